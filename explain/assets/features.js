"use strict";
/* What pages draw of a feature: tokens shaded by its activation, how often it has which, and what it promotes. */

const SHOWN = 6;

function number(value, digits = 3) {
  return value === 0 ? "0" : Math.abs(value) < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(digits)));
}

function times(count, what) { return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`; }

/** A line of tokens, each shaded by its activation; the tip of a token says the activation. */
function tokens({ tokens: pieces, values, focus }, most) {
  return element("div", { class: "context" }, pieces.map((piece, index) => {
    const share = Math.min(1, Math.abs(values[index]) / (most || 1));
    const shade = values[index] ? `background: color-mix(in srgb, var(--${values[index] > 0 ? "fires" : "negative"}) ${Math.round(100 * share)}%, transparent)` : null;
    const shown = piece.replace(/\n/g, "↵\n").replace(/\t/g, "⇥");
    return element("span", { class: index === focus ? "focus" : null, style: shade, title: number(values[index]) }, shown || " ");
  }));
}

function spelled(token) { return token.replace(/ /g, "␣").replace(/\n/g, "↵").replace(/\t/g, "⇥"); }

function promotedList(title, entries) {
  return element("div", {}, element("div", { class: "kicker" }, title),
    element("ol", { class: "promoted" }, entries.map(([token, value]) =>
      element("li", {}, element("code", {}, spelled(token)), element("span", { class: "numbers muted" }, `${value > 0 ? "+" : "−"}${number(Math.abs(value))}`)))));
}

/** How many tokens, or other things, fall between which values; `mark` is a value that is pointed out, with its name. */
function histogramOption({ edges, counts }, { mark = null, markName = "", what = "token", name = "activation" } = {}) {
  const [low, high] = [Math.min(edges[0], mark ?? edges[0]), Math.max(edges[edges.length - 1], mark ?? edges[0])];
  const bars = counts.map((count, index) => [(edges[index] + edges[index + 1]) / 2, count || null, edges[index], edges[index + 1]]);
  return () => ({
    height: 130,
    grid: { left: 44, right: 14, top: 14, bottom: 34 },
    xAxis: axis({ type: "value", min: low, max: high, name, nameLocation: "middle", nameGap: 20, splitLine: { show: false },
      axisLabel: { fontSize: 11, formatter: (value) => number(value) } }),
    yAxis: axis({ type: "log", name: "", min: 0.7, axisLabel: { fontSize: 11, formatter: (value) => (value < 1 ? "" : value.toLocaleString("en")) }, splitNumber: 2 }),
    tooltip: { formatter: ({ value }) => tip(times(value[1], what), `${name} ${number(value[2])} to ${number(value[3])}`) },
    series: [{ type: "bar", data: bars, barWidth: "92%", itemStyle: { color: colour("fires") },
      markLine: mark === null ? undefined : { symbol: "none", silent: true, lineStyle: { color: colour("text"), type: "dashed" },
        label: { formatter: markName, color: colour("text"), fontSize: 11, position: "end" },
        data: [{ xAxis: mark }] } }],
  });
}

/** Where a feature fires: tabs for the strongest examples and for each band, and the examples of the chosen one. */
function contexts(feature) {
  if (!feature.fired) return element("p", { class: "never" }, `It fires at none of the ${times(data.texts.n_tokens, "token")} of these texts, so there is no context to show.`);
  const bands = [{ title: "strongest", examples: feature.strongest, tokens: null }, ...feature.bands.map((band) => ({ title: `${number(band.low, 2)} to ${number(band.high, 2)}`, ...band }))];
  const list = element("div", { class: "contexts" });
  const tabs = bands.map((band, index) => element("button", { class: "tab", click: () => show(index) }, band.title));
  const show = (index) => {
    tabs.forEach((tab, other) => tab.setAttribute("aria-pressed", String(other === index)));
    const { examples, tokens: count } = bands[index];
    fill(list, count === null ? null : element("p", { class: "kicker" }, count ? `${times(count, "token")} in this band; ${times(examples.length, "example")}, drawn evenly` : "no token in this band"),
      examples.slice(0, SHOWN).map((example) => tokens(example, feature.most)),
      examples.length > SHOWN ? element("button", { class: "tab", click: (event) => event.target.replaceWith(...examples.slice(SHOWN).map((example) => tokens(example, feature.most))) },
        `${examples.length - SHOWN} more`) : null);
  };
  show(0);
  return [element("div", { class: "tabs", role: "group", "aria-label": "bands of activation" }, tabs), list];
}
