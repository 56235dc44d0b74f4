"use strict";
/* The page of an attribution graph: hover a node to see what it is and what feeds it, click to pin it, group pinned nodes into supernodes.
   A graph of an edit has two versions, before and after, and shows their difference too. */

const root = document.getElementById("page");
const { nodes, links } = data;
const VERSIONS = data.versions.length;
const MODES = VERSIONS > 1 ? ["before", "after", "change"] : ["graph"];
const DRAWN = 220; // links that are drawn while no node is chosen
const LISTED = 12;
const byId = new Map(nodes.map((node, index) => [node.id, index]));
const state = { mode: MODES[MODES.length - 1], hovered: null, chosen: null, pinned: new Set(), supernodes: [], ticked: new Set() };

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

const last = VERSIONS - 1;
const change = () => state.mode === "change";
const version = () => (state.mode === "before" ? 0 : last);
/** A number that each version has its own of: that of the version shown, or the difference. */
const shown = (values) => (change() ? (values[last] ?? 0) - (values[0] ?? 0) : values[version()] ?? 0);
const signed = (value) => `${value < 0 ? "−" : "+"}${number(Math.abs(value))}`;
const cut = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);
const short = (text) => cut(spelled(text), 14);
const isThere = (node) => (change() ? node.kept.some(Boolean) : node.kept[version()]);

function what(node) {
  return { feature: `layer ${node.layer} #${node.number}`, error: `error of layer ${node.layer}`, embedding: "token", logit: "logit of" }[node.kind];
}
/** A node in a few words: what it is, and the text of its token or logit. */
function title(node) { return `${what(node)} ${short(node.kind === "logit" ? node.text : data.tokens[node.token])}`; }

/** What the edit did to a node: nothing, made it, took it away, or moved it by at least a tenth. */
function mark(node) {
  if (VERSIONS < 2 || node.kind === "error" || node.kind === "embedding") return "";
  const [before, after] = [node.value[0] ?? 0, node.value[last] ?? 0];
  if (node.kind === "feature" && !before) return "made";
  if (node.kind === "feature" && !after) return "gone";
  return Math.abs(after - before) >= 0.1 * Math.max(Math.abs(before), Math.abs(after)) ? "moved" : "";
}

function shape(node, r) {
  const { x, y } = node;
  if (node.kind === "feature") return svg("circle", { cx: x, cy: y, r });
  if (node.kind === "error") return svg("path", { d: `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z` });
  return svg("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, rx: 1.5 });
}

function curve(source, target) {
  const middle = (source.y + target.y) / 2;
  return `M${source.x} ${source.y}C${source.x} ${middle} ${target.x} ${middle} ${target.x} ${target.y}`;
}

const MARGIN = 66;
const names = svg("svg", { width: MARGIN, height: data.height, class: "graph" }, data.rows.map(([name, y]) => svg("text", { x: 10, y: y + 4, class: "row" }, name)));
const drawing = svg("svg", { viewBox: `${MARGIN} 0 ${data.width - MARGIN} ${data.height}`, width: data.width - MARGIN, height: data.height, class: "graph", role: "group", "aria-label": "the graph" });
const layers = { rows: svg("g"), columns: svg("g"), links: svg("g"), nodes: svg("g"), labels: svg("g") };
drawing.append(...Object.values(layers));
layers.rows.append(...data.rows.map(([, y]) => svg("line", { x1: MARGIN, x2: data.width - 8, y1: y, y2: y, class: "rule" })));
const foot = data.rows[0][1] + 16;
data.tokens.forEach((token, index) => {
  layers.columns.append(svg("text", { class: `token${index === data.position ? " edited" : ""}`, transform: `translate(${data.columns[index] + 3} ${foot}) rotate(-60)`, "text-anchor": "end" },
    short(token), svg("title", {}, `token ${index}: ${spelled(token)}${index === data.position ? ", the edited one" : ""}`)));
});

const marks = nodes.map((node, index) => {
  const label = `${title(node)}, ${node.name}`;
  const made = svg("g", { class: `node ${node.kind} ${mark(node)}${node.edited ? " written" : ""}`, tabindex: 0, role: "button", "aria-label": label, "data-id": node.id,
    mouseenter: () => hover(index), mouseleave: () => hover(null), focus: () => hover(index), blur: () => hover(null),
    click: () => pin(index), keydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pin(index); } } },
  svg("circle", { cx: node.x, cy: node.y, r: 9, class: "reach" }),
  mark(node) || node.edited ? svg("circle", { cx: node.x, cy: node.y, r: node.r + 3, class: "ring" }) : null,
  shape(node, node.r), svg("title", {}, label));
  if (node.kind === "logit") {
    node.caption = svg("text", { x: node.x - 15, y: node.y + 4, "text-anchor": "end", class: "logit-name" });
    made.append(node.caption);
  }
  if (node.label) made.append(svg("text", { x: node.x, y: node.y - node.r - 3, "text-anchor": "middle", class: "feature-name" }, node.label));
  return made;
});
layers.nodes.append(...marks);

/** Links that go into a node, or out of it, the strongest first. */
function linksOf(index, end) {
  return links.filter((link) => link[end] === index && shown(link[2])).sort((one, other) => Math.abs(shown(other[2])) - Math.abs(shown(one[2])));
}

function drawLinks() {
  const focus = state.hovered ?? state.chosen;
  const weight = (link) => (focus === null ? (change() ? Math.max(...link[3]) * Math.min(1, Math.abs(shown(link[2])) / (Math.max(...link[2].map(Math.abs)) || 1)) : link[3][version()]) : Math.abs(shown(link[2])));
  const chosen = focus === null
    ? links.filter((link) => shown(link[2])).sort((one, other) => weight(other) - weight(one)).slice(0, DRAWN)
    : [...linksOf(focus, 0), ...linksOf(focus, 1)];
  const strongest = Math.max(...chosen.map(weight), 1e-9);
  fill(layers.links, chosen.reverse().map((link) => {
    const share = Math.sqrt(weight(link) / strongest);
    return svg("path", { d: curve(nodes[link[0]], nodes[link[1]]), class: `link ${shown(link[2]) > 0 ? "adds" : "takes"}`,
      "stroke-width": 0.5 + (focus === null ? 2.2 : 3) * share, "stroke-opacity": 0.07 + 0.75 * share });
  }));
  const near = new Set(focus === null ? [] : [focus, ...chosen.flatMap((link) => [link[0], link[1]])]);
  marks.forEach((made, index) => {
    made.classList.toggle("absent", !isThere(nodes[index]));
    made.classList.toggle("faint", focus !== null && !near.has(index));
    made.classList.toggle("focus", focus === index);
    made.classList.toggle("pinned", state.pinned.has(index));
    made.setAttribute("aria-pressed", String(state.pinned.has(index)));
    const node = nodes[index];
    if (node.caption) {
      const chance = change() ? `${percent(node.probability[0])} → ${percent(node.probability[last])}` : percent(node.probability[version()] ?? 0);
      node.caption.textContent = `${short(node.text)}  ${chance}`;
    }
  });
}

const likeliest = nodes.reduce((best, node, index) => (node.kind === "logit" && (best < 0 || node.probability[last] > nodes[best].probability[last]) ? index : best), -1);
const details = element("section", { class: "card node-card", "aria-live": "polite" });

function linkList(heading, index, end) {
  const own = linksOf(index, end);
  if (!own.length) return null;
  const strongest = Math.abs(shown(own[0][2]));
  return element("div", {}, element("div", { class: "kicker" }, `${heading} (${own.length})`),
    element("ul", { class: "ends" }, own.slice(0, LISTED).map((link) => {
      const other = link[1 - end];
      const value = shown(link[2]);
      return element("li", {}, element("button", { click: () => choose(other), title: nodes[other].name },
        element("span", { class: "bar" }, element("i", { class: value > 0 ? "adds" : "takes", style: `width: ${Math.max(2, Math.round(100 * Math.abs(value) / strongest))}%` })),
        element("span", { class: "numbers" }, signed(value)), element("span", { class: "end" }, title(nodes[other]))));
    }), own.length > LISTED ? element("li", { class: "muted" }, `and ${own.length - LISTED} weaker ones`) : null));
}

function figures(node) {
  const each = (values, digits) => (VERSIONS > 1 ? `${values[0] === null ? "–" : number(values[0], digits)} → ${values[last] === null ? "–" : number(values[last], digits)}` : number(values[0], digits));
  const chance = VERSIONS > 1 ? `${percent(node.probability[0])} → ${percent(node.probability[last])}` : percent(node.probability[0]);
  return element("ul", { class: "tiles" }, [
    node.kind === "feature" ? tile("Activation", each(node.value, 3), node.edited ? "the edit writes into its column" : "") : null,
    node.kind === "logit" ? tile("Probability", chance, "") : null,
    node.kind === "logit" ? tile("Logit", each(node.value, 3), "less the mean logit") : null,
    node.kind === "logit" ? null : tile("Influence", each(node.influence, 2), "on the logits, all ways"),
    node.kind === "feature" || node.kind === "logit" ? tile("Biases", each(node.bias, 2), "on the way to it") : null,
  ].filter(Boolean));
}

function drawDetails() {
  const index = state.hovered ?? state.chosen ?? likeliest;
  const node = nodes[index];
  const feature = node.kind === "feature" ? data.features[`${node.layer}_${node.number}`] : null;
  const says = { made: "on only after the edit", gone: "off after the edit", moved: "moved by the edit", "": "" }[mark(node)];
  fill(details,
    element("h3", {}, title(node), element("span", { class: "muted" }, ` ${node.name}${says ? `, ${says}` : ""}`)),
    figures(node),
    element("div", { class: "node-columns" }, linkList("from", index, 1), linkList("to", index, 0),
      feature ? element("div", { class: "writes-two" }, promotedList("promotes", feature.promoted.promotes), promotedList("suppresses", feature.promoted.suppresses)) : null),
    feature && feature.strongest ? [element("div", { class: "kicker contexts-title" }, `where it fires most, of ${times(data.texts.n_tokens, "token")} (${percent(feature.frequency, 2)})`),
      feature.fired ? element("div", { class: "contexts" }, feature.strongest.slice(0, 6).map((example) => tokens(example, feature.most)))
        : element("p", { class: "never" }, "It fires nowhere in these texts.")] : null);
}

function hover(index) { state.hovered = index; drawLinks(); drawDetails(); }

function choose(index) { state.chosen = index; state.hovered = null; drawLinks(); drawDetails(); }

function pin(index) {
  if (state.pinned.has(index)) {
    state.pinned.delete(index);
    state.supernodes = state.supernodes.map((one) => ({ ...one, members: one.members.filter((member) => member !== index) })).filter((one) => one.members.length);
    if (state.chosen === index) state.chosen = null;
  } else {
    state.pinned.add(index);
    state.chosen = index;
  }
  state.ticked.clear();
  remember();
  drawLinks(); drawDetails(); drawPinned();
}

/* Pinned nodes, each alone or within a supernode. */
const pinned = element("section", { id: "pinned" });

function groups() {
  const inside = new Set(state.supernodes.flatMap((one) => one.members));
  return [...state.supernodes.map((one, number) => ({ name: one.name, members: one.members, supernode: number })),
    ...[...state.pinned].filter((index) => !inside.has(index)).map((index) => ({ name: title(nodes[index]), members: [index], supernode: null }))];
}

function between(source, target) {
  const [from, to] = [new Set(source.members), new Set(target.members)];
  return links.reduce((sum, link) => (from.has(link[0]) && to.has(link[1]) ? sum + shown(link[2]) : sum), 0);
}

const BOX = { width: 168, height: 46, gap: 26, rise: 66, aside: 34 };

function pinnedDrawing(all) {
  const height = (group) => group.members.reduce((sum, index) => sum + nodes[index].y, 0) / group.members.length;
  const sorted = [...all].sort((one, other) => height(one) - height(other));
  const rows = [];
  for (const group of sorted) {
    const row = rows[rows.length - 1];
    if (row && row.length < 5 && height(group) - height(row[0]) < 30) row.push(group); else rows.push([group]);
  }
  const width = Math.max(...rows.map((row) => row.length)) * (BOX.width + BOX.gap) + BOX.gap + 2 * BOX.aside * Math.max(0, rows.length - 1);
  rows.forEach((row, number) => {
    row.sort((one, other) => nodes[one.members[0]].x - nodes[other.members[0]].x);
    row.forEach((group, place) => {
      group.x = width / 2 + (place - (row.length - 1) / 2) * (BOX.width + BOX.gap);
      group.y = 16 + BOX.height / 2 + number * (BOX.height + BOX.rise);
      group.row = number;
    });
  });
  const total = 32 + rows.length * BOX.height + (rows.length - 1) * BOX.rise;
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${total}`, width, height: total, class: "pinned-graph", role: "group", "aria-label": "pinned nodes" });
  const edges = all.flatMap((source) => all.filter((target) => target !== source).map((target) => ({ source, target, weight: between(source, target) }))).filter((edge) => edge.weight);
  const strongest = Math.max(...edges.map((edge) => Math.abs(edge.weight)), 1e-9);
  const labels = svg("g");
  let passed = 0;
  for (const { source, target, weight } of edges) {
    const [x1, y1, x2, y2] = [source.x, source.y - BOX.height / 2, target.x, target.y + BOX.height / 2];
    // What skips a row goes round its boxes, left and right in turn.
    const skipped = source.row - target.row - 1;
    const side = skipped > 0 ? ((passed += 1) % 2 ? 1 : -1) : 0;
    const boxes = Math.max(1, ...rows.slice(target.row + 1, source.row).map((row) => row.length));
    const reach = side * (boxes * (BOX.width + BOX.gap) / 2 + BOX.aside * (skipped - 0.5)) * 1.333;
    const [c1, c2] = [x1 + reach, x2 + reach];
    const middle = (y1 + y2) / 2;
    const share = Math.abs(weight) / strongest;
    drawn.append(svg("path", { d: `M${x1} ${y1}C${c1} ${middle} ${c2} ${middle} ${x2} ${y2}`, class: `link ${weight > 0 ? "adds" : "takes"}`, "stroke-width": 1 + 5 * share, "stroke-opacity": 0.35 + 0.5 * share }));
    labels.append(svg("text", { x: (x1 + 3 * c1 + 3 * c2 + x2) / 8, y: middle + 4, class: "weight", "text-anchor": "middle" }, signed(Number(weight.toPrecision(2)))));
  }
  for (const group of all) {
    const first = nodes[group.members[0]];
    const many = group.members.length > 1;
    const key = group.members.join(" ");
    drawn.append(svg("g", { class: `box ${first.kind}${state.ticked.has(key) ? " ticked" : ""}`, role: "button", tabindex: 0, "aria-pressed": String(state.ticked.has(key)), "aria-label": group.name,
      click: () => tick(key), keydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); tick(key); } } },
    many ? svg("rect", { x: group.x - BOX.width / 2 + 4, y: group.y - BOX.height / 2 - 4, width: BOX.width, height: BOX.height, rx: 7 }) : null,
    svg("rect", { x: group.x - BOX.width / 2, y: group.y - BOX.height / 2, width: BOX.width, height: BOX.height, rx: 7 }),
    svg("text", { x: group.x, y: group.y - 3, "text-anchor": "middle", class: "box-name" }, cut(group.name, 24)),
    svg("text", { x: group.x, y: group.y + 14, "text-anchor": "middle", class: "box-detail" }, many ? times(group.members.length, "node") : cut(first.name, 26))));
  }
  drawn.append(labels);
  return drawn;
}

function tick(key) { if (state.ticked.has(key)) state.ticked.delete(key); else state.ticked.add(key); drawPinned(); }

function group(name) {
  const members = [...state.ticked].flatMap((key) => key.split(" ").map(Number));
  if (!members.length) return;
  state.supernodes = state.supernodes.filter((one) => !one.members.some((member) => members.includes(member)));
  state.supernodes.push({ name: name || title(nodes[members[0]]), members });
  state.ticked.clear();
  remember(); drawPinned();
}

function ungroup() {
  const members = new Set([...state.ticked].flatMap((key) => key.split(" ").map(Number)));
  state.supernodes = state.supernodes.filter((one) => !one.members.some((member) => members.has(member)));
  state.ticked.clear();
  remember(); drawPinned();
}

function drawPinned() {
  const all = groups();
  if (!all.length) { fill(pinned, element("p", { class: "muted" }, "Nothing is pinned yet.")); return; }
  const name = element("input", { type: "text", placeholder: "name of the supernode", "aria-label": "name of the supernode", keydown: (event) => { if (event.key === "Enter") group(name.value.trim()); } });
  const none = state.ticked.size === 0;
  fill(pinned,
    element("p", { class: "muted" }, "Click boxes to choose them, then group or name them. Numbers are what one adds to the other; a supernode adds what its members add together."),
    element("div", { class: "tabs" }, name,
      element("button", { class: "tab", id: "group", disabled: none, click: () => group(name.value.trim()) }, "Group"),
      element("button", { class: "tab", id: "ungroup", disabled: none, click: ungroup }, "Ungroup"),
      element("button", { class: "tab", click: () => { state.pinned.clear(); state.supernodes = []; state.ticked.clear(); state.chosen = null; remember(); drawLinks(); drawDetails(); drawPinned(); } }, "Unpin all")),
    element("div", { class: "scroll" }, pinnedDrawing(all)));
}

/* The address leads back to what is pinned. */
function remember() {
  const parameters = new URLSearchParams();
  if (VERSIONS > 1) parameters.set("mode", state.mode);
  if (state.pinned.size) parameters.set("pinned", [...state.pinned].map((index) => nodes[index].id).join(","));
  if (state.supernodes.length) parameters.set("supernodes", JSON.stringify(state.supernodes.map((one) => [one.name, ...one.members.map((index) => nodes[index].id)])));
  history.replaceState(null, "", `#${parameters}`);
}

function recall() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  if (MODES.includes(parameters.get("mode"))) state.mode = parameters.get("mode");
  const known = (ids) => ids.filter((id) => byId.has(id)).map((id) => byId.get(id));
  known((parameters.get("pinned") ?? "").split(",")).forEach((index) => state.pinned.add(index));
  try {
    state.supernodes = JSON.parse(parameters.get("supernodes") ?? "[]").map(([name, ...ids]) => ({ name: String(name), members: known(ids).filter((index) => state.pinned.has(index)) })).filter((one) => one.members.length);
  } catch { state.supernodes = []; }
}

const tabs = MODES.map((mode) => element("button", { class: "tab", click: () => show(mode) }, mode));
function show(mode) {
  state.mode = mode;
  tabs.forEach((tab, index) => tab.setAttribute("aria-pressed", String(MODES[index] === mode)));
  remember(); drawLinks(); drawDetails(); drawPinned();
}

function scores(one, name) {
  return [
    tile(`Replacement${name}`, percent(one.replacement), "of the influence on the logits is the tokens', not errors'"),
    tile(`Completeness${name}`, percent(one.completeness), "of what comes into nodes is not errors'"),
    tile(`Kept${name}`, `${one.nodes} nodes`, `of ${one.of_nodes.toLocaleString("en")}, and ${one.edges.toLocaleString("en")} of ${one.of_edges.toLocaleString("en")} edges`),
  ];
}

recall();
const start = element("div", { class: "scroll" }, drawing);
const hint = element("span");
fill(root,
  element("div", { class: "kicker" }, VERSIONS > 1 ? "the graph of an edit" : "an attribution graph"),
  element("h1", {}, data.title),
  data.lead ? element("p", { class: "lead" }, data.lead) : null,
  element("ul", { class: "tiles" }, data.versions.flatMap((one, index) => (VERSIONS > 1 && index === 0 ? [] : scores(one, VERSIONS > 1 ? ", after" : "")))),
  element("h2", {}, "The graph"),
  VERSIONS > 1 ? element("div", { class: "tabs", role: "group", "aria-label": "which graph" }, tabs) : null,
  legend([["node-feature", "feature"], ["plain", "token"], ["node-error", "error: what the MLP writes beyond its transcoder"], ["node-logit", "logit"],
    ["series-1", VERSIONS > 1 ? "adds, or adds more" : "adds"], ["series-2", VERSIONS > 1 ? "takes away, or adds less" : "takes away"],
    ...(VERSIONS > 1 ? [["moved", "ring: the edit changed it; dashed: it is off after the edit"], ["text", "black ring: the edit writes into its column"]] : [])]),
  element("p", { class: "muted" }, "Hover a node to see what feeds it and where it goes; click it to pin it below.", hint),
  element("div", { class: "graph-box" }, names, start), details,
  element("h2", {}, "Pinned"), pinned,
  element("p", { class: "muted" }, "Attention patterns, the norms' scales and which features are active are frozen: an edge is exactly what its source adds to its target then. "
    + `Of all edges those are kept that hold ${percent(data.edge_share, 0)} of the influence between the nodes that hold ${percent(data.node_share, 0)}; while no node is chosen the ${DRAWN} of most influence are drawn.`));
if (state.pinned.size) state.chosen = [...state.pinned][state.pinned.size - 1];
tabs.forEach((tab, index) => tab.setAttribute("aria-pressed", String(MODES[index] === state.mode)));
drawLinks(); drawDetails(); drawPinned();
start.scrollLeft = start.scrollWidth;
if (start.scrollLeft > 0) hint.textContent = ` ← The first of the ${data.tokens.length} tokens are further left: scroll there.`;
