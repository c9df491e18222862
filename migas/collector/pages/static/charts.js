// Reads a chart's values out of its table: under the pointer, or by the arrow keys.
"use strict";

for (const chart of document.querySelectorAll(".chart[data-table]")) {
  const table = document.getElementById(chart.dataset.table);
  const plot = chart.querySelector(".plot");
  if (!table || !plot) continue;
  const heads = [...table.tHead.rows[0].cells];
  const names = heads.map((head) => head.textContent.trim());
  const rows = [...table.tBodies[0].rows];  // in the order of time, however they are sorted later
  let at = null;

  const tip = document.createElement("div");
  tip.className = "tip";
  const line = document.createElement("div");
  line.className = "cursor";
  line.hidden = tip.hidden = true;
  const said = document.createElement("div");  // by a screen reader
  said.className = "unseen";
  said.setAttribute("role", "status");
  chart.append(line, tip, said);

  const show = (index) => {
    at = index;
    line.hidden = tip.hidden = index === null;
    if (index === null) return;
    const title = document.createElement("strong");
    title.textContent = rows[index].cells[0].textContent.trim().replace(/\s+/g, " ");
    const lines = [...rows[index].cells].slice(1).map((cell, number) => {
      const entry = document.createElement("span");
      const swatch = document.createElement("i");
      const value = document.createElement("b");
      swatch.className = `swatch ${heads[number + 1].dataset.kind || ""}`;
      value.textContent = cell.textContent.trim() || "–";
      entry.append(swatch, `${names[number + 1]} `, value);
      return entry;
    });
    tip.replaceChildren(title, ...lines);
    const box = plot.getBoundingClientRect();
    const left = box.left - chart.getBoundingClientRect().left + box.width * (index + 0.5) / rows.length;
    const room = chart.clientWidth - tip.offsetWidth;
    const beside = left + 16 > room ? left - 16 - tip.offsetWidth : left + 16;
    line.style.left = `${left}px`;
    tip.style.left = `${Math.max(0, Math.min(beside, room))}px`;
  };

  const follow = (event) => {
    const box = plot.getBoundingClientRect();
    const index = Math.floor((event.clientX - box.left) / box.width * rows.length);
    show(Math.max(0, Math.min(rows.length - 1, index)));
  };
  chart.addEventListener("pointermove", follow);
  chart.addEventListener("pointerdown", follow);
  chart.addEventListener("pointerleave", () => show(null));
  chart.addEventListener("blur", () => show(null));
  chart.addEventListener("keydown", (event) => {
    const last = rows.length - 1;
    const now = at ?? last + 1;
    const next = {
      ArrowLeft: Math.max(0, now - 1),
      ArrowRight: at === null ? 0 : Math.min(last, now + 1),
      Home: 0,
      End: last,
      Escape: null,
    }[event.key];
    if (next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(next);
    said.textContent = tip.hidden ? "" : [...tip.children].map((part) => part.textContent).join(", ");
  });
}
