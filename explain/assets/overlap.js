"use strict";
/* The page of overlaps: edits, then the functions of each cluster; heat maps, the test, the neurons that clusters share. */

const root = document.getElementById("page");

function shortened(text, length) { return text.length > length ? `${text.slice(0, length - 1).trimEnd()}…` : text; }
function share(value, digits = 2) { return value === null ? "–" : value.toFixed(digits); }

/** From no overlap, which is the page's own colour, to a full one. */
function scale(more) {
  return { min: 0, max: 1, calculable: false, orient: "horizontal", left: "center", bottom: 0, itemWidth: 12, itemHeight: 160, text: ["1", "0"],
    textStyle: { color: colour("muted") }, inRange: { color: [colour("panel"), colour("series-1")] }, ...more };
}

/** A heat map of named rows and columns, with figures in it. */
function namedOption(names, matrix, tipOf) {
  return (narrow) => {
    const left = narrow ? 120 : 330;
    const label = (index) => `${shortened(names[index], narrow ? 14 : 46)}  ${Number(index) + 1}`;
    const filled = (value) => (value > 0.6 ? colour("background") : colour("text"));
    return {
      height: names.length * 44 + 30,
      grid: { left, right: 12, top: 24, bottom: 6 },
      xAxis: axis({ type: "category", position: "top", data: names.map((_, index) => index), splitLine: { show: false },
        axisLabel: { color: colour("text"), formatter: (index) => String(Number(index) + 1), interval: 0 } }),
      yAxis: axis({ type: "category", inverse: true, data: names.map((_, index) => index), splitLine: { show: false }, axisLabel: { color: colour("text"), formatter: label, interval: 0 } }),
      visualMap: scale({ show: false }),
      tooltip: { formatter: ({ value: [column, row, value] }) => tip(`${share(value === "-" ? null : value)} (Jaccard)`, ...tipOf(row, column)) },
      series: [{
        type: "heatmap", data: matrix.flatMap((line, row) => line.map((value, column) => ({ value: [column, row, value ?? "-"], label: { color: filled(value) } }))),
        itemStyle: { borderColor: colour("background"), borderWidth: 2 },
        label: { show: true, formatter: ({ value }) => (value[2] === "-" ? "" : share(value[2])) },
      }],
    };
  };
}

function verdict({ within, across, p_value: p }, what) {
  if (p === null) return `No two ${what} share a cluster, so there is no "within" to compare with.`;
  const odds = p < 0.001 ? p.toExponential(1) : share(p, 3);
  return `Within a cluster ${what} overlap by ${share(within)} on average, across clusters by ${share(across)}. Clusters dealt out at random give such a difference with p = ${odds}`
    + (p < 0.05 ? ": errors of one cluster do share neurons." : ": that may be chance.");
}

function requestsPart(requests) {
  const chart = element("div", { class: "chart", id: "requests" });
  const { names, sizes, shared, features, jaccard, lims } = requests;
  const pairs = names.flatMap((one, row) => names.slice(row + 1).map((other, index) => [row, row + 1 + index])).filter(([row, column]) => shared[row][column]);
  return [[
    element("h2", {}, "Edits"),
    element("p", {}, verdict(requests.test, "edits")),
    element("p", { class: "muted" }, "Overlap of their active sets: neurons in both, by neurons in either."),
    chart,
    table(["edit", ["active", "number"], "at lim"], names.map((name, index) => [name, sizes[index], lims[index]])),
    element("h3", { style: "margin-top: 22px" }, "Neurons that two edits share"),
    pairs.length ? table(["edit", "edit", ["shared", "number"], "neurons"],
      pairs.map(([row, column]) => [names[row], names[column], shared[row][column], features[row][column].map((feature) => `#${feature}`).join(", ")]))
      : element("p", { class: "muted" }, "None: no neuron is active in two of them."),
  ], () => draw(chart, namedOption(names, jaccard, (row, column) => [names[row], names[column], `${shared[row][column]} shared`]))];
}

function functionsOption({ names, labels, clusters, jaccard }) {
  const starts = clusters.map((_, number) => labels.indexOf(number));
  return (narrow) => ({
    height: narrow ? 380 : 760,
    grid: { left: narrow ? 8 : 330, right: 12, top: 6, bottom: 44, containLabel: false },
    xAxis: axis({ type: "category", data: names, axisLabel: { show: false }, splitLine: { show: false } }),
    yAxis: axis({ type: "category", inverse: true, data: names, splitLine: { show: false }, axisLabel: { show: !narrow, color: colour("text"),
      interval: (index) => clusters.some((one, number) => starts[number] + Math.floor(one.functions / 2) === index),
      formatter: (_, index) => shortened(clusters[labels[index]].message, 46) } }),
    visualMap: scale({ type: "continuous" }),
    tooltip: { formatter: ({ value: [column, row, value] }) => tip(`${share(value)} (Jaccard)`, `${names[row]}: ${clusters[labels[row]].message}`, `${names[column]}: ${clusters[labels[column]].message}`) },
    series: [{ type: "heatmap", progressive: 0, data: jaccard.flatMap((line, row) => line.map((value, column) => [column, row, value])) }],
  });
}

function functionsPart(functions) {
  const means = element("div", { class: "chart", id: "means" });
  const all = element("div", { class: "chart", id: "functions" });
  const { clusters, test } = functions;
  return [[
    element("h2", {}, "Functions of each cluster"),
    element("p", {}, verdict(test, "functions")),
    element("p", { class: "muted" }, `A function's active set is taken of layer ${functions.layer} at lim ${functions.lim}, at the last token before the place that the compiler's message points at. `
      + `The test deals the clusters out ${functions.permutations.toLocaleString("en")} times.${functions.empty ? ` In ${functions.empty} functions no neuron reaches the lim.` : ""}`),
    means,
    element("h3", { style: "margin-top: 22px" }, "Neurons that at least half of a cluster's functions share"),
    table(["cluster", ["functions", "number"], ["active each", "number"], "neurons, with their share of these functions, and of all others"], clusters.map((one) =>
      [one.message, one.functions === one.of ? one.functions : `${one.functions} of ${one.of}`, one.active,
        one.shared.length ? one.shared.map(([feature, own, others]) => `#${feature} (${percent(own, 0)}, ${percent(others, 0)})`).join(", ") : "none"]), "shared"),
    element("h3", { style: "margin-top: 22px" }, "Every pair of functions, cluster by cluster"), all,
  ], () => {
    draw(means, namedOption(clusters.map((one) => one.message), functions.means, (row, column) => [clusters[row].message, clusters[column].message]));
    draw(all, functionsOption(functions), undefined, "canvas");
  }];
}

const parts = [data.requests && requestsPart(data.requests), data.functions && functionsPart(data.functions)].filter(Boolean);
fill(root,
  element("div", { class: "kicker" }, data.folder),
  element("h1", {}, "Which neurons errors share"),
  parts.map(([elements]) => elements));
parts.forEach(([, drawPart]) => drawPart());
