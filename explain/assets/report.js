"use strict";
/* The page of one run or several: figures, the flow of functions between clusters, each function's code, the loss of v, the settings. */

const SUCCESS = "Success";
const KINDS = {
  repaired: ["✓", "repaired: passes now"],
  broken: ["✗", "broken: passed before"],
  moved: ["→", "another failure than before"],
  unchanged: ["=", "as before"],
};
const root = document.getElementById("page");
const chosen = { run: 0, flow: null, name: null };

function kindOf(old, now) {
  if (old === now) return "unchanged";
  return now === SUCCESS ? "repaired" : old === SUCCESS ? "broken" : "moved";
}

function run() { return data.runs[chosen.run]; }
function groupsBefore() { return run().edits_nothing ? run().groups : data.before.groups; }
function messageOf(cluster) { return data.before.clusters[cluster] ?? run().clusters[cluster]; }
function isNumber(cluster) { return /^\d+$/.test(cluster); }

/** Clusters in the order of the page: errors by their numbers, then wrong results, then successes. */
function ordered(clusters) {
  const rank = (name) => (isNumber(name) ? Number(name) : name === SUCCESS ? Infinity : Number.MAX_VALUE);
  return [...new Set(clusters)].sort((a, b) => rank(a) - rank(b));
}

/** The functions of each flow, by "before>after". */
function flows() {
  const found = new Map();
  const old = groupsBefore();
  run().groups.forEach((now, index) => {
    const key = `${old[index]}>${now}`;
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(index);
  });
  return found;
}

/** The functions that a choice means: a flow "2>Success", all of a cluster before "2>", or after ">Success". */
function functionsOf(flow) {
  const [old, now] = flow.split(">");
  const before = groupsBefore();
  return run().groups.flatMap((group, index) => ((!old || before[index] === old) && (!now || group === now) ? [index] : []));
}

function counted(count, what) { return `${count} ${what}${count === 1 ? "" : "s"}`; }
function shortened(text, length) { return text.length > length ? `${text.slice(0, length - 1).trimEnd()}…` : text; }
function clusterLabel(cluster) { return isNumber(cluster) ? messageOf(cluster) : cluster === SUCCESS ? "passes" : "wrong result"; }

function headline() {
  const now = run().figures;
  if (run().edits_nothing) {
    return `${percent(now.accuracy)} of ${now.samples} functions compile and pass; the others fail in ${counted(now.clusters - 1, "cluster")}.`;
  }
  const repaired = Math.round((now.accuracy_of_target_cluster ?? 0) * now.targets);
  const broken = Math.round((now.destructiveness ?? 0) * now.successes_before);
  const [edit] = run().edits;
  const size = now.columns !== undefined ? ` It changes ${now.columns}${edit?.of ? ` of ${edit.of}` : ""} columns of layer ${run().settings.layer_num}.` : "";
  return `The edit repairs ${repaired} of the ${counted(now.targets, "function")} that it is for, and breaks ${broken || "none"} of the ${now.successes_before} that passed.${size}`;
}

function tiles() {
  const now = run().figures;
  if (run().edits_nothing) {
    return [
      tile("Accuracy", percent(now.accuracy), `of ${now.samples} functions compile and pass`),
      tile("Clusters", String(now.clusters), "successes and wrong results among them"),
      ...(now.transcoder_fvu === undefined ? [] : [tile("Transcoder", percent(now.transcoder_fvu), "of the MLP's variance is unexplained")]),
    ];
  }
  const others = now.samples - now.targets;
  const stayed = Math.round((now.specificity ?? 0) * others);
  const repaired = Math.round((now.accuracy_of_target_cluster ?? 0) * now.targets);
  const broken = Math.round((now.destructiveness ?? 0) * now.successes_before);
  return [
    tile("Accuracy", percent(now.overall_accuracy_after), `${now.successes_after} of ${now.samples} pass; before: ${percent(now.overall_accuracy_before)} (${now.successes_before})`),
    tile("Generalization", percent(now.accuracy_of_target_cluster), `${repaired} of ${now.targets} targets pass; before: none`),
    tile("Cluster drift", percent(now.change_of_target_cluster), `${now.targets_after} in the target cluster; before: ${now.targets}`),
    tile("Specificity", percent(now.specificity), `${stayed} of ${others} others are in the cluster they were in`),
    tile("Destructiveness", percent(now.destructiveness), `${broken} of ${now.successes_before} that passed before fail`),
    tile("Reliability", percent(now.reliability), "of the single tests passed before still pass"),
  ];
}

function overview() {
  const heads = ["error", "edit", ["targets", "number"], ["columns", "number"], ["generalization", "number"], ["drift", "number"],
    ["specificity", "number"], ["destructiveness", "number"], ["reliability", "number"], ["accuracy", "number"]];
  const rows = data.runs.map((one, index) => {
    const now = one.figures;
    const first = one.title !== data.runs[index - 1]?.title;
    const choose = element("button", { click: () => selectRun(index), "aria-current": index === chosen.run ? "true" : null }, one.method);
    const figures = one.edits_nothing
      ? ["", "", "", "", "", "", "", percent(now.accuracy)]
      : [now.targets, now.columns, percent(now.accuracy_of_target_cluster), percent(now.change_of_target_cluster), percent(now.specificity),
        percent(now.destructiveness), percent(now.reliability), percent(now.overall_accuracy_after)];
    return { cells: [first ? one.title : "", choose, ...figures.map((value) => (value === undefined ? "–" : String(value)))],
      className: [index === chosen.run && "chosen", first && index > 0 && "first"].filter(Boolean).join(" ") || null };
  });
  return table(heads, rows, "overview");
}

/** The flow that is shown first: what the edit repaired, or else broke or moved. */
function firstFlow() {
  if (run().edits_nothing) return `>${ordered(run().groups)[0]}`;
  const found = [...flows().keys()];
  return Object.keys(KINDS).map((kind) => found.find((key) => kindOf(...key.split(">")) === kind)).find(Boolean);
}

function flowOption(narrow) {
  const found = flows();
  const before = ordered(groupsBefore());
  const after = ordered(run().groups);
  const targets = new Set(run().figures.target_clusters ?? []);
  const size = (groups) => groups.reduce((counts, name) => ({ ...counts, [name]: (counts[name] ?? 0) + 1 }), {});
  const sizes = { before: size(groupsBefore()), after: size(run().groups) };
  const margin = narrow ? 4 : 330;
  const node = (side, name) => ({
    name: `${side}>${name}`,
    depth: side === "before" ? 0 : 1,
    value: sizes[side][name],
    itemStyle: { color: targets.has(name) ? colour("text") : colour("plain") },
    label: { position: narrow === (side === "before") ? "right" : "left", align: narrow === (side === "before") ? "left" : "right" },
  });
  const opacity = (key) => (chosen.flow === key ? 0.9 : 0.3);
  return {
    height: Math.max(300, 26 * Math.max(before.length, after.length) + 150),
    tooltip: {
      formatter: ({ dataType, data: shown }) => {
        if (dataType === "node") {
          const [side, name] = shown.name.split(">");
          return tip(clusterLabel(name), `${counted(shown.value, "function")} ${side} the edit`);
        }
        const [old, now] = [shown.source, shown.target].map((end) => end.split(">")[1]);
        return tip(`${counted(shown.value, "function")}, ${KINDS[kindOf(old, now)][1]}`, `before: ${clusterLabel(old)}`, `after: ${clusterLabel(now)}`);
      },
    },
    series: [{
      type: "sankey",
      left: margin, right: margin, top: 10, bottom: 10,
      nodeWidth: 12, nodeGap: 18, draggable: false, layoutIterations: 0,
      data: [...before.map((name) => node("before", name)), ...after.map((name) => node("after", name))],
      links: [...found].map(([key, members]) => {
        const [old, now] = key.split(">");
        return { source: `before>${old}`, target: `after>${now}`, value: members.length,
          lineStyle: { color: colour(kindOf(old, now)), opacity: opacity(key), curveness: 0.5 } };
      }),
      label: {
        color: colour("text"), fontSize: 12, textBorderColor: colour("background"), textBorderWidth: narrow ? 2 : 0,
        formatter: ({ name, value }) => {
          const [side, cluster] = name.split(">");
          const text = shortened(clusterLabel(cluster), narrow ? 20 : 46);
          return narrow === (side === "before") ? `${value}  ${text}` : `${text}  ${value}`;
        },
      },
      emphasis: { focus: "none", lineStyle: { opacity: 0.9 } },
    }],
  };
}

function flowList() {
  const rank = Object.keys(KINDS);
  const nothing = run().edits_nothing;
  const rows = [...flows()].map(([key, members]) => {
    const [old, now] = key.split(">");
    return { key: nothing ? `>${now}` : key, old, now, kind: kindOf(old, now), count: members.length };
  }).sort((a, b) => rank.indexOf(a.kind) - rank.indexOf(b.kind) || b.count - a.count);
  return walkable(element("ul", { class: "flows", "aria-label": nothing ? "clusters" : "flows between clusters" }, rows.map(({ key, old, now, kind, count }) =>
    element("li", {}, element("button", { click: () => selectFlow(key), "aria-pressed": String(chosen.flow === key), "data-flow": key,
      title: nothing ? clusterLabel(now) : `${clusterLabel(old)} → ${clusterLabel(now)}` },
      element("span", { class: `mark ${kind}`, title: KINDS[kind][1] }, nothing ? "" : KINDS[kind][0]),
      element("span", { class: "count" }, String(count)),
      element("span", { class: "end before" }, clusterLabel(old)),
      nothing ? null : [element("span", { class: "arrow muted" }, "→"), element("span", { class: "end after" }, clusterLabel(now))])))));
}

function clusterOption(narrow) {
  const names = ordered([...groupsBefore(), ...run().groups]);
  const count = (groups, name) => groups.filter((group) => group === name).length;
  const series = (title, groups, name, side) => ({
    type: "bar", name: title, barGap: "15%", barCategoryGap: "32%", itemStyle: { color: colour(name), borderRadius: [0, 2, 2, 0] },
    label: { show: true, position: "right", color: colour("muted"), fontSize: 11 },
    data: names.map((cluster) => ({ value: count(groups, cluster), flow: side === "before" ? `${cluster}>` : `>${cluster}` })),
  });
  return {
    height: names.length * (run().edits_nothing ? 30 : 44) + 30,
    grid: { left: narrow ? 150 : 340, right: 44, top: 4, bottom: 22 },
    xAxis: axis({ type: "value", minInterval: 1 }),
    yAxis: axis({ type: "category", data: names, inverse: true, splitLine: { show: false },
      axisLabel: { color: colour("text"), width: narrow ? 140 : 325, overflow: "truncate", formatter: clusterLabel } }),
    tooltip: { formatter: ({ seriesName, name, value }) => tip(clusterLabel(name), `${seriesName}: ${counted(value, "function")}`) },
    series: run().edits_nothing
      ? [series("functions", run().groups, "series-1", "after")]
      : [series("before", groupsBefore(), "unchanged", "before"), series("after", run().groups, "series-1", "after")],
  };
}

const PARTS = {
  loss: ["the loss, their sum", "series-4", "solid"],
  nll: ["target's negative log-likelihood", "series-1", "solid"],
  kl: ["divergence on the essence prompt", "series-2", "dashed"],
  weight_decay: ["length of the shift", "series-3", "dotted"],
};

function lossOption(losses) {
  return (narrow) => ({
    height: narrow ? 340 : 310,
    grid: { left: 62, right: 18, top: narrow ? 100 : 40, bottom: 42 },
    legend: { top: 0, left: 0, orient: narrow ? "vertical" : "horizontal", textStyle: { color: colour("muted") }, itemWidth: 30 },
    xAxis: axis({ type: "value", name: "step", nameLocation: "middle", nameGap: 26, max: losses.nll.length - 1, minInterval: 1, splitLine: { show: false } }),
    yAxis: axis({ type: "log", axisLabel: { formatter: (value) => (value < 0.001 ? value.toExponential(0) : String(Number(value.toPrecision(1)))) } }),
    tooltip: {
      trigger: "axis",
      formatter: (points) => tip(`step ${points[0].value[0]}`, ...points.map((point) => `${point.seriesName}: ${(point.value[1] ?? 0).toPrecision(3)}`)),
    },
    series: Object.entries(PARTS).filter(([part]) => losses[part]).map(([part, [name, own, type]]) => ({
      type: "line", name, showSymbol: false, symbol: "none", color: colour(own), lineStyle: { type, width: part === "loss" ? 3 : 2 },
      data: losses[part].map((value, step) => [step, value > 0 ? value : null]),
    })),
  });
}

function code(text) { return element("pre", { tabindex: "0" }, text ?? "not kept"); }

function diffBlock(rows) {
  const kind = { "-": "removed", "+": "added", " ": "same" };
  return element("pre", { class: "diff", tabindex: "0" }, rows.map(([sign, ...pieces]) =>
    element("span", { class: kind[sign], "data-sign": sign === "-" ? "−" : sign },
      pieces.map((piece, index) => (index % 2 ? element("mark", {}, piece) : piece)), pieces.join("") ? "" : " ")));
}

function showFunction() {
  const index = data.functions.findIndex((one) => one.name === chosen.name);
  const box = document.getElementById("function");
  if (index < 0) return fill(box);
  const { name, java, d } = data.functions[index];
  const one = run();
  const old = data.before.messages[index];
  const now = one.messages[index] ?? old;
  const rows = one.diffs[index];
  const unchanged = d === null ? "the D after the edit; what stood before was not kept" : one.edits_nothing ? "D" : "D, the same before and after";
  fill(box,
    element("h3", {}, name),
    element("div", { class: "sides" },
      element("section", {}, element("div", { class: "kicker" }, "Java"), code(java)),
      element("section", {}, element("div", { class: "kicker" }, rows ? "D, before (−) and after (+)" : unchanged), rows ? diffBlock(rows) : code(d ?? one.written[index]))),
    element("div", { class: "messages" }, one.edits_nothing
      ? verdict("", one.groups[index], now)
      : [verdict("before", data.before.groups[index], old), verdict("after", one.groups[index], now)]));
}

function verdict(when, group, message) {
  const words = group === SUCCESS ? "compiles and passes" : group === "Correctness" ? "compiles, wrong result" : `cluster ${group}`;
  return element("section", {}, element("div", { class: "kicker" }, [when, words].filter(Boolean).join(": ")), message ? element("pre", { class: "wrapped" }, message) : null);
}

function showDetails() {
  const box = document.getElementById("details");
  const members = functionsOf(chosen.flow);
  const [old, now] = chosen.flow.split(">");
  const title = old && now ? `${clusterLabel(old)} → ${clusterLabel(now)}` : `${clusterLabel(old || now)}, ${old ? "before" : "after"}`;
  if (!members.some((index) => data.functions[index].name === chosen.name)) chosen.name = members.length ? data.functions[members[0]].name : null;
  fill(box,
    element("h2", {}, run().edits_nothing ? clusterLabel(old || now) : title),
    element("p", { class: "muted" }, `${counted(members.length, "function")}; the arrow keys go from one to the next.`),
    element("div", { class: "details" },
      walkable(element("ul", { class: "names", "aria-label": "functions" }, members.map((index) => {
        const { name } = data.functions[index];
        return element("li", {}, element("button", { click: () => selectFunction(name), "aria-pressed": String(name === chosen.name), "data-function": name }, name));
      }))),
      element("div", { id: "function" })));
  showFunction();
}

function remember() {
  const parts = Object.entries({ run: data.runs.length > 1 ? run().name : null, flow: chosen.flow, function: chosen.name }).filter(([, value]) => value !== null);
  history.replaceState(null, "", `#${new URLSearchParams(parts)}`);
}

function selectFunction(name) {
  chosen.name = name;
  document.querySelectorAll("[data-function]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.function === name)));
  showFunction();
  remember();
}

function selectFlow(flow) {
  Object.assign(chosen, { flow, name: null });
  document.querySelectorAll("[data-flow]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.flow === flow)));
  const picture = document.getElementById("flow");
  if (picture) redraw(picture);
  showDetails();
  remember();
}

function selectRun(index) {
  Object.assign(chosen, { run: index });
  Object.assign(chosen, { flow: firstFlow(), name: null });
  render();
  remember();
}

function showLosses() {
  const edits = run().edits.filter((edit) => edit.losses.nll);
  if (!edits.length) return [];
  const container = element("div", { class: "chart", id: "loss" });
  const title = element("p", { class: "muted" });
  const show = (edit) => {
    tabs.forEach((tab, index) => tab.setAttribute("aria-pressed", String(edits[index] === edit)));
    fill(title, `Error ${edit.error}: the loss of each step of the search for v, and the weighted parts that it is the sum of. The value is made to say `, element("code", {}, edit.target.trim()), ".");
    draw(container, lossOption(edit.losses));
  };
  const tabs = edits.map((edit) => element("button", { class: "tab", click: () => show(edit) }, shortened(edit.description.replace(/^Error: /, ""), 60)));
  const choose = edits.length > 1 ? element("div", { class: "tabs" }, tabs) : null;
  return [[element("h2", {}, "How the value was found"), choose, title, container], () => show(edits[0])];
}

function showSettings() {
  const rows = (values) => Object.entries(values).map(([name, value]) => [name, value === null || value === "" ? "–" : String(value)]);
  return element("details", {}, element("summary", {}, "All flags and versions of this run"),
    table(["flag", "value"], rows(run().settings), "settings"), element("h3", { style: "margin-top: 18px" }, "Versions"), table(["", ""], rows(run().versions), "settings"));
}

function render() {
  const one = run();
  const many = data.runs.length > 1;
  const flow = element("div", { class: "chart", id: "flow", "aria-label": "flow of functions from clusters before to clusters after" });
  const clusters = element("div", { class: "chart", id: "clusters" });
  const [losses, drawLosses] = showLosses();
  fill(root,
    element("a", { class: "skip", href: "#details" }, "to the functions"),
    many ? [element("h1", {}, data.title),
      element("p", { class: "lead" }, "Choose a run: the rest of the page is about it."), overview(),
      element("h2", { style: "font-size: 1.35rem" }, one.title), element("div", { class: "kicker" }, `${one.name}: ${one.method}`)]
      : [element("div", { class: "kicker" }, `${one.name}: ${one.method}`), element("h1", {}, one.title)],
    element("p", { class: "lead" }, headline()),
    element("ul", { class: "tiles" }, tiles()),
    one.edits_nothing ? null : [
      element("h2", {}, "From clusters before to clusters after"),
      element("p", { class: "muted" }, "Each band is a group of functions; click one, or a line of the list, to see them. Numbers count functions."),
      legend(Object.entries(KINDS).map(([kind, [sign, text]]) => [kind, `${sign} ${text}`]).concat([["text", "the cluster that the edit is for"]])),
      flow, flowList()],
    one.edits_nothing ? null : element("div", { id: "details" }),
    element("h2", {}, "Cluster sizes"),
    element("p", { class: "muted" }, one.edits_nothing ? "Each with a typical message; click a bar, or a line of the list, to see its functions." : "Each with a typical message, in functions."),
    one.edits_nothing ? null : legend([["unchanged", "before"], ["series-1", "after"]]),
    clusters,
    one.edits_nothing ? [flowList(), element("div", { id: "details" })] : null,
    losses,
    element("h2", {}, "Settings"), showSettings());
  if (!one.edits_nothing) {
    draw(flow, flowOption, ({ dataType, data: shown }) => {
      const [side, name] = (shown.name ?? "").split(">");
      selectFlow(dataType === "edge" ? `${shown.source.split(">")[1]}>${shown.target.split(">")[1]}` : side === "before" ? `${name}>` : `>${name}`);
    });
  }
  draw(clusters, clusterOption, ({ data: bar }) => selectFlow(bar.flow));
  drawLosses?.();
  showDetails();
}

const asked = new URLSearchParams(location.hash.slice(1));
chosen.run = Math.max(0, data.runs.findIndex((one) => one.name === asked.get("run")));
if (!asked.get("run") && data.runs.length > 1) chosen.run = data.runs.length - 1;
chosen.flow = asked.get("flow");
if (!chosen.flow || !functionsOf(chosen.flow).length) chosen.flow = firstFlow();
chosen.name = asked.get("function");
render();
