// Sorts a table by the column whose head is clicked, and the other way round by the next click.
//
// The order of days, versions and runs is not that of their letters: where a head has `data-order`,
// its column is as the server has it, which is in that order. Else it is sorted here, as numbers
// where its head is of such (`num`, or `data-sorted`), and as names where it is not.
"use strict";

(() => {
  const names = new Intl.Collator("en", { numeric: true });  // python 3.9 before python 3.10
  const opposite = { ascending: "descending", descending: "ascending", other: "other" };

  const isOfNumbers = head => head.classList.contains("num") || "sorted" in head.dataset;

  const valueOf = (row, head) => {
    const cell = row.cells[head.cellIndex];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = isOfNumbers(head) ? Number.parseFloat(text.replaceAll(",", "")) : NaN;
    return Number.isNaN(number) ? text : number;
  };

  const compare = (one, other) =>
    typeof one === "number" && typeof other === "number"
      ? one - other
      : typeof one === typeof other ? names.compare(one, other) : typeof one === "number" ? 1 : -1;

  function sort(table, head, original) {
    const isAgain = head.dataset.turn === "first";
    const first = head.dataset.order ?? (isOfNumbers(head) ? "descending" : "ascending");
    for (const other of table.tHead.rows[0].cells) {
      other.removeAttribute("aria-sort");
      delete other.dataset.turn;
    }
    head.dataset.turn = isAgain ? "second" : "first";
    const order = isAgain ? opposite[first] : first;
    head.setAttribute("aria-sort", order);
    const rows = [...original];
    if (!("order" in head.dataset)) {
      const sign = order === "descending" ? -1 : 1;
      rows.sort((one, other) => sign * compare(valueOf(one, head), valueOf(other, head)));
    } else if (isAgain) {
      rows.reverse();
    }
    table.tBodies[0].append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const original = [...table.tBodies[0].rows];
    for (const head of table.tHead.rows[0].cells) {
      if (head.cellIndex && !isOfNumbers(head)) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, original));
      head.append(button);
    }
  }
})();
