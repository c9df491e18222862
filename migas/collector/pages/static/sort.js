// Sorts a table by the column whose head is clicked: as numbers where there are any, else as texts.
"use strict";

(() => {
  const valueOf = (row, column) => {
    const text = row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const number = Number.parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? text : number;
  };

  const compare = (one, other) =>
    typeof one === "number" && typeof other === "number"
      ? one - other
      : typeof one === typeof other ? one.localeCompare(other) : typeof one === "number" ? 1 : -1;

  function sort(table, head, original) {
    const descending = head.getAttribute("aria-sort") !== "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    const body = table.tBodies[0];
    // The order of versions is not that of their letters: the first column is as the server has it.
    if (head.cellIndex === 0) return body.append(...original);
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = [...original].sort((one, other) => {
      const order = compare(valueOf(one, head.cellIndex), valueOf(other, head.cellIndex));
      return descending ? -order : order;
    });
    body.append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const original = [...table.tBodies[0].rows];
    for (const head of table.tHead.rows[0].cells) {
      const isSorted = head.classList.contains("num") || "sorted" in head.dataset;
      if (head.cellIndex && !isSorted) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, original));
      head.append(button);
    }
  }
})();
