"use strict";
/* What every page has in common. Texts reach the page as text only: nothing here takes HTML. */

const data = JSON.parse(document.getElementById("data").textContent);

/** A new element; attributes that are functions are listeners, children are elements or texts. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** Put these children, and nothing else, into `parent`. */
function fill(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
}

/** A colour of the style sheet, which has one for light and one for dark. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const charts = new Map();

/** Draw what `option(narrow)` describes into `container`; drawn again at another width, and in another scheme of colours. */
function draw(container, option, onClick, renderer = "svg") {
  for (const [old, entry] of charts) {
    if (!old.isConnected && old !== container) { entry.chart.dispose(); charts.delete(old); }
  }
  if (!charts.has(container)) {
    const chart = echarts.init(container, null, { renderer });
    charts.set(container, { chart });
    chart.on("click", (event) => charts.get(container).onClick?.(event));
    let width = container.clientWidth;
    new ResizeObserver(() => {
      if (container.isConnected && container.clientWidth && container.clientWidth !== width) {
        width = container.clientWidth;
        redraw(container);
      }
    }).observe(container);
  }
  Object.assign(charts.get(container), { option, onClick });
  redraw(container);
}

function redraw(container) {
  const { chart, option } = charts.get(container);
  const common = {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif", color: colour("text") },
    aria: { enabled: true },
  };
  const own = option(container.clientWidth < 560);
  if (own.height) container.style.height = `${own.height}px`;
  delete own.height;
  chart.resize();
  const tooltip = own.tooltip && {
    backgroundColor: colour("background"),
    borderColor: colour("line"),
    textStyle: { color: colour("text") },
    confine: true,
    className: "tip",
    ...own.tooltip,
  };
  chart.setOption({ ...common, ...own, tooltip }, { notMerge: true });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((_, container) => redraw(container)));

/** The tip of a chart: lines of text, the first in bold; an element, so that nothing in the texts is taken for HTML. */
function tip(...lines) {
  return element("div", { class: "tip" }, lines.filter(Boolean).map((line, index) => element("div", {}, index ? line : element("b", {}, line))));
}

/** An axis in the page's colours. */
function axis(more) {
  return {
    axisLine: { lineStyle: { color: colour("line") } },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: colour("line") } },
    nameTextStyle: { color: colour("muted") },
    ...more,
    axisLabel: { color: colour("muted"), ...more.axisLabel },
  };
}

/** Names of colours and what they stand for. */
function legend(entries) {
  return element("ul", { class: "legend" }, entries.map(([name, text]) =>
    element("li", {}, element("span", { class: "swatch", style: `background: var(--${name})` }), text)));
}

function percent(share, digits = 1) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)} %`;
}

function tile(name, value, detail) {
  return element("li", {}, element("div", { class: "name" }, name), element("div", { class: "value" }, value), element("div", { class: "detail" }, detail));
}

/** A table; a cell is a text, a number or an element, a head is a text or [text, "number"]. */
function table(heads, rows, className = "") {
  const kinds = heads.map((head) => (Array.isArray(head) ? head[1] : "text"));
  return element("div", { class: "scroll" }, element("table", { class: className },
    element("thead", {}, element("tr", {}, heads.map((head, index) => element("th", { class: kinds[index], scope: "col" }, Array.isArray(head) ? head[0] : head)))),
    element("tbody", {}, rows.map((row) => {
      const cells = Array.isArray(row) ? row : row.cells;
      return element("tr", { class: row.className ?? null }, cells.map((cell, index) => element("td", { class: kinds[index] }, cell ?? "–")));
    }))));
}

/** Let the arrow keys walk through the buttons of a list, choosing each. */
function walkable(list) {
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...list.querySelectorAll("button")];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (next) { event.preventDefault(); next.focus(); next.click(); }
  });
  return list;
}
