"use strict";
/* The page of a sweep's runs: each figure's mean with its interval for every setting and stage, and a table of all tasks. */

const root = document.getElementById("page");
const STAGES = { TCPE_pre: ["TCPE_pre, the whole update", "series-2", "rect"], TCPE: ["TCPE, the active columns", "series-1", "circle"],
  ablation: ["ablation, the other columns", "muted", "triangle"] };
const stageOf = (stage) => STAGES[stage] ?? [stage, "series-3", "diamond"];
const settings = [...new Set(data.means.map((mean) => mean.setting))];
const stages = [...new Set(data.means.map((mean) => mean.stage))];

/** Points with whiskers, the settings below one another and a setting's stages close together. */
function option(short) {
  const gap = 0.5 / Math.max(1, stages.length);
  const place = (mean) => settings.indexOf(mean.setting) + (stages.indexOf(mean.stage) - (stages.length - 1) / 2) * gap;
  const shown = data.means.filter((mean) => mean[short] !== null);
  const top = Math.max(1, ...shown.map((mean) => Math.ceil(5 * (mean[`${short}_high`] ?? mean[short])) / 5));
  return (narrow) => ({
    height: 70 + 22 * Math.max(1, stages.length) * settings.length,
    grid: { left: narrow ? 110 : 190, right: 16, top: 8, bottom: 30 },
    xAxis: axis({ type: "value", min: 0, max: top, axisLine: { show: false }, interval: top > 2 ? undefined : 0.5, axisLabel: { formatter: (value) => `${Math.round(100 * value)} %` } }),
    yAxis: axis({ type: "value", min: -0.5, max: settings.length - 0.5, interval: 1, inverse: true, splitLine: { show: false }, axisLabel: { show: false } }),
    tooltip: { formatter: ({ data: point }) => tip(point.mean.setting, stageOf(point.mean.stage)[0],
      `${percent(point.mean[short])}, ${percent(point.mean[`${short}_low`])} to ${percent(point.mean[`${short}_high`])}`, times(point.mean.runs, "run")) },
    series: [
      { type: "scatter", symbolSize: 0, silent: true, data: settings.map((name, index) => ({ value: [0, index], mean: { setting: name },
        label: { show: true, position: "left", distance: 10, formatter: () => name, width: narrow ? 90 : 170, overflow: "truncate", color: colour("text") } })) },
      ...stages.map((stage) => ({ type: "custom", silent: true, renderItem: whisker, itemStyle: { color: colour(stageOf(stage)[1]) },
        data: shown.filter((mean) => mean.stage === stage && mean[`${short}_low`] !== null).map((mean) => [mean[`${short}_low`], place(mean), mean[`${short}_high`]]) })),
      ...stages.map((stage) => ({ type: "scatter", name: stage, symbol: stageOf(stage)[2], symbolSize: 9, itemStyle: { color: colour(stageOf(stage)[1]) },
        data: shown.filter((mean) => mean.stage === stage).map((mean) => ({ value: [mean[short], place(mean)], mean })) })),
    ],
  });
}

function whisker(_, api) {
  const [from, to] = [api.coord([api.value(0), api.value(1)]), api.coord([api.value(2), api.value(1)])];
  return { type: "line", shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }, style: { stroke: api.visual("color"), lineWidth: 2 } };
}

const boxes = data.figures.map(([, short]) => [short, element("div", { class: "chart" })]);
fill(root,
  element("div", { class: "kicker" }, data.kind),
  element("h1", {}, data.title),
  data.means.length ? [
    element("p", { class: "lead" }, `${data.means.some((mean) => mean.runs > 1) ? "Means over edit requests and seeds" : "Each edit's figures"}, with 95 % bootstrap intervals over functions.`),
    legend(stages.map((stage) => [stageOf(stage)[1], stageOf(stage)[0]])),
    element("div", { class: "panels" }, boxes.map(([short, box]) => element("section", {}, element("h3", {}, short.replace("_", " ")), box))),
  ] : element("p", { class: "lead" }, "No edit is finished yet."),
  element("h2", {}, "All tasks"),
  table(["task", "state", ["targets", "number"], ["columns", "number"], ...data.figures.map(([, short]) => [short.replace("_", " "), "number"]), "why"],
    data.tasks.map((task) => [task.task, task.state, task.targets ?? "–", task.columns ?? "–", ...data.figures.map(([, short]) => percent(task[short])), task.why]), "points"));
if (data.means.length) boxes.forEach(([short, box]) => draw(box, option(short)));
