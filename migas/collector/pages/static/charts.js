// Draws the sessions and the completion rate from the numbers in the page, and follows the pointer.
"use strict";

(() => {
  const source = document.getElementById("chart-data");
  if (!source) return;
  const numbers = JSON.parse(source.textContent);
  const kinds = [
    ["completed", "completed"],
    ["failed", "failed"],
    ["suspended", "suspended"],
    ["running", "no end reported"],
  ];
  const span = numbers.days[numbers.days.length - 1] - numbers.days[0];
  const written = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
  const dayOf = written({ day: "numeric", month: "short", year: "numeric" });
  const tick = written(
    span > 300 * 86400 ? { month: "short", year: "2-digit" } : { day: "numeric", month: "short" },
  );
  const count = new Intl.NumberFormat("en-GB");
  const short = new Intl.NumberFormat("en-GB", { notation: "compact" });

  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // Each bar is drawn from zero up to the sum so far, the tallest first, the next one over it.
  function stacked() {
    const sums = [];
    for (const [kind] of kinds) {
      const below = sums[sums.length - 1];
      sums.push(numbers[kind].map((value, index) => value + (below ? below[index] : 0)));
    }
    return sums.reverse();
  }

  function axes(values, size) {
    const common = {
      stroke: colour("soft"),
      font: "12px system-ui, sans-serif",
      ticks: { show: false },
    };
    return [
      {
        ...common,
        grid: { show: false },
        space: 64,
        incrs: [1, 2, 7, 14, 28, 61, 91, 182, 365].map((days) => days * 86400),
        values: (_plot, splits) => splits.map((at) => tick.format(at * 1000)),
        splits: (_plot, _axis, from, to, step) => ticks(from, to, step),
        size: 32,
      },
      { ...common, grid: { stroke: colour("line"), width: 1 }, gap: 8, space: 26, size, values },
    ];
  }

  // Days are counted from the first bar, so that a label stands under a bar; long spans get months.
  function ticks(from, to, step) {
    const days = numbers.days;
    if (span > 300 * 86400) {
      const months = Math.max(1, Math.round(step / (30 * 86400)));
      const at = new Date(from * 1000);
      const found = [];
      for (let month = at.getUTCMonth() + 1; ; month += months) {
        const first = Date.UTC(at.getUTCFullYear(), month, 1) / 1000;
        if (first > to) return found;
        found.push(first);
      }
    }
    const every = Math.max(1, Math.round(step / numbers.step));
    return days.filter((_day, index) => index % every === 0);
  }

  // A time that is not over would look like a bad one: its bar is washed out.
  function pale(plot) {
    const last = numbers.days.length - 1;
    if (!numbers.open || last < 0) return;
    const half = numbers.step / 2;
    const [from, to] = [-half, half].map((by) => plot.valToPos(numbers.days[last] + by, "x", true));
    plot.ctx.save();
    plot.ctx.globalAlpha = 0.6;
    plot.ctx.fillStyle = colour("card");
    plot.ctx.fillRect(from, plot.bbox.top, to - from, plot.bbox.height);
    plot.ctx.restore();
  }

  function follow(plot, tip) {
    const index = plot.cursor.idx;
    if (index === null || index === undefined) {
      tip.hidden = true;
      return;
    }
    tip.replaceChildren();
    const title = document.createElement("strong");
    const open = numbers.open && index === numbers.days.length - 1;
    title.textContent = (numbers.step === 7 * 86400 ? "Week of " : numbers.step > 7 * 86400 ? "Month of " : "") + dayOf.format(numbers.days[index] * 1000) +
      (open ? ", not over" : "");
    tip.append(title);
    for (const [kind, label] of kinds) row(tip, kind, label, count.format(numbers[kind][index]));
    const rate = numbers.rate[index];
    row(tip, "", "completion rate", rate === null ? "–" : `${rate.toFixed(1)}%`);
    tip.hidden = false;
    const left = plot.valToPos(numbers.days[index], "x");
    const room = plot.over.clientWidth;
    const beside = left + 16 + tip.offsetWidth > room ? left - 16 - tip.offsetWidth : left + 16;
    tip.style.transform = `translate(${Math.max(0, Math.min(beside, room - tip.offsetWidth))}px, 8px)`;
  }

  function row(tip, kind, label, value) {
    const line = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.className = kind ? `swatch ${kind}` : "swatch";
    const number = document.createElement("b");
    number.textContent = value;
    line.append(swatch, label, number);
    tip.append(line);
  }

  function draw(id, series, data, y, values, withTip) {
    const place = document.getElementById(id);
    place.replaceChildren();
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    const half = numbers.step / 2;
    const plot = new uPlot(
      {
        width: place.clientWidth,
        height: place.clientHeight,
        legend: { show: false },
        padding: [10, 4, 0, 0],
        cursor: {
          drag: { setScale: false },
          y: false,
          sync: { key: "days", setSeries: false },
          points: { show: false },
        },
        tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
        scales: { x: { range: (_plot, from, to) => [from - half, to + half] }, y },
        axes: axes(values, 44),
        series: [{}, ...series],
        hooks: withTip ? { setCursor: [(self) => follow(self, tip)], draw: [pale] } : {},
      },
      [numbers.days, ...data],
      place,
    );
    plot.over.append(tip);
    return plot;
  }

  function drawAll() {
    const bars = uPlot.paths.bars({ size: [0.78, 44], radius: 0 });
    const sessions = draw(
      "sessions-chart",
      kinds.toReversed().map(([kind]) => ({
        fill: colour(kind), width: 0, paths: bars, points: { show: false },
      })),
      stacked(),
      { range: (_plot, _low, high) => [0, Math.max(4, high * 1.06)] },
      (_plot, splits) => splits.map((value) => (value % 1 ? "" : short.format(value))),
      true,
    );
    const rates = numbers.rate.filter((rate) => rate !== null);
    const low = rates.length ? Math.min(...rates) : 0;
    // A rate is honest on a scale that ends at 100; it begins where there is something to see.
    const bottom = Math.max(0, Math.min(90, Math.floor((low - 2) / 10) * 10));
    const rate = draw(
      "rate-chart",
      [{
        stroke: colour("completed"), width: 2, spanGaps: true,
        points: { show: rates.length < 40, size: 5, fill: colour("completed") },
      }],
      [numbers.rate],
      { range: () => [bottom, 100] },
      (_plot, splits) => splits.map((value) => `${value}%`),
      false,
    );
    return [sessions, rate];
  }

  let plots = drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const plot of plots) plot.destroy();
    plots = drawAll();
  });
  const watch = new ResizeObserver(() => {
    for (const plot of plots) {
      const place = plot.root.parentElement;
      if (place.clientWidth !== plot.width)
        plot.setSize({ width: place.clientWidth, height: place.clientHeight });
    }
  });
  watch.observe(document.getElementById("sessions-chart"));
})();
