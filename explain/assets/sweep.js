"use strict";
/* The page of a sweep: the figures over the number of active neurons, with these and with all other columns; a table of all points. */

const root = document.getElementById("page");
const KINDS = { active: ["the active columns", "series-1", "solid", "circle"], others: ["all other columns", "series-2", "dashed", "triangle"] };
const FIGURES = {
  accuracy_of_target_cluster: ["Generalization", "targets that pass now"],
  specificity: ["Specificity", "others in the cluster they were in"],
  change_of_target_cluster: ["Cluster drift", "size of the target cluster, by that before"],
  columns: ["Columns", "changed by the edit"],
};

function option(figure) {
  const shares = figure !== "columns";
  return () => ({
    height: 250,
    grid: { left: 50, right: 16, top: 14, bottom: 42 },
    xAxis: axis({ type: "log", logBase: 4, name: "active neurons", nameLocation: "middle", nameGap: 26, max: data.n_features,
      splitLine: { show: false } }),
    yAxis: axis({ type: "value", min: 0, ...(shares ? { max: ({ max }) => Math.max(1, Math.ceil(5 * max) / 5), interval: 0.2 } : {}),
      axisLabel: { formatter: (value) => (shares ? `${Math.round(100 * value)} %` : String(value)) } }),
    tooltip: { formatter: ({ seriesName, value }) => tip(seriesName, `${value[0]} active neurons at lim ${value[2]}`, shares ? `${FIGURES[figure][0]}: ${percent(value[1])}` : null, `${value[3]} columns changed`) },
    series: Object.entries(KINDS).map(([kind, [name, own, type, symbol]]) => ({
      type: "line", name, symbol, symbolSize: 8, itemStyle: { color: colour(own) }, lineStyle: { color: colour(own), type, width: 2 },
      data: data.points.filter((point) => point.kind === kind).map((point) => [point.active, point[figure], point.lim, point.columns]),
    })),
  });
}

function headline() {
  const own = (kind) => data.points.find((point) => point.kind === kind && point.lim === data.lim);
  const [active, others, without] = ["active", "others", "without_strongest"].map(own);
  const alone = data.points.find((point) => point.kind === "active" && point.active === 1);
  return [`At lim ${data.lim} the ${active.active} active columns repair ${percent(active.accuracy_of_target_cluster)} of ${active.targets} targets`,
    others ? `, all others ${percent(others.accuracy_of_target_cluster)}` : "", ". ",
    without ? `Without the strongest neuron, #${data.strongest}, ${percent(without.accuracy_of_target_cluster)} are left` : "",
    without && alone ? `; it alone repairs ${percent(alone.accuracy_of_target_cluster)}.` : without ? "." : ""].join("");
}

const boxes = Object.keys(FIGURES).map((figure) => [figure, element("div", { class: "chart" })]);
fill(root,
  element("div", { class: "kicker" }, `an edit of layer ${data.layer}, in more and fewer of its ${data.n_features} columns`),
  element("h1", {}, data.title),
  element("p", { class: "lead" }, headline()),
  legend(Object.values(KINDS).map(([name, own]) => [own, name])),
  element("div", { class: "panels" }, boxes.map(([figure, box]) => element("section", {}, element("h3", {}, FIGURES[figure][0]), element("div", { class: "kicker" }, FIGURES[figure][1]), box))),
  element("h2", {}, "All points"),
  table(["lim", ["active", "number"], "applied", ["columns", "number"], ["generalization", "number"], ["drift", "number"], ["specificity", "number"], ["destructiveness", "number"], ["accuracy", "number"]],
    data.points.map((point) => [point.lim === "-1" ? "−1, all" : point.lim, point.active,
      point.kind === "without_strongest" ? `active without #${data.strongest}` : KINDS[point.kind][0], point.columns, percent(point.accuracy_of_target_cluster),
      percent(point.change_of_target_cluster), percent(point.specificity), percent(point.destructiveness), percent(point.overall_accuracy_after)]), "points"));
boxes.forEach(([figure, box]) => draw(box, option(figure)));
