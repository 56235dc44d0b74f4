"use strict";
/* The page of an edit's neurons: an overview, then a card for each: where it fires, what it writes, what the edit is without it. */

const root = document.getElementById("page");

function overviewOption(neurons) {
  const series = (name, own, value) => ({
    type: "bar", name, data: neurons.map(value), itemStyle: { color: colour(own), borderRadius: [0, 2, 2, 0] },
    label: { show: true, position: "right", color: colour("muted"), fontSize: 11, formatter: ({ value: share }) => percent(share) },
  });
  return (narrow) => ({
    height: neurons.length * 46 + 46,
    grid: { left: 62, right: 58, top: narrow ? 50 : 28, bottom: 4 },
    legend: { top: 0, left: 0, textStyle: { color: colour("muted") }, orient: narrow ? "vertical" : "horizontal" },
    xAxis: axis({ type: "value", axisLabel: { show: false }, splitLine: { show: false } }),
    yAxis: axis({ type: "category", inverse: true, data: neurons.map((one) => `#${one.feature}`), axisLabel: { color: colour("text"), fontSize: 13 }, axisLine: { show: false } }),
    tooltip: { formatter: ({ seriesName, name, value }) => tip(name, `${seriesName}: ${percent(value)}`) },
    series: [series("share of the change of v", "series-1", (one) => one.share_of_value), series("share of ΔW's squared norm", "unchanged", (one) => one.share_of_norm)],
  });
}

function state(neuron) { return data.ablation ? (neuron.active ? "changed" : "not changed") : (neuron.active ? "active" : "inactive"); }

function changed() {
  if (data.ablation) return `${data.columns} of ${data.n_features} columns change, all but those that are active at lim ${data.lim},`;
  return data.columns === data.n_features ? `All ${data.n_features} columns change` : `${data.columns} of ${data.n_features} columns are active at lim ${data.lim}`;
}

function facts(neuron) {
  const { before, after } = data.likelihood;
  return element("ul", { class: "tiles" }, [
    tile("At the edit", number(neuron.key), neuron.active ? `number ${neuron.rank} of ${data.n_features} by activation` : data.ablation ? `active at lim ${data.lim}: its column stays` : `below the lim ${data.lim}: not active`),
    tile("Fires", neuron.fired ? percent(neuron.frequency, neuron.frequency < 0.01 ? 2 : 1) : "never",
      neuron.fired ? `of tokens; at most ${number(neuron.most)}` : `in ${times(data.texts.n_tokens, "token")}`),
    tile("Change of v", percent(neuron.share_of_value), `${percent(neuron.share_of_norm)} of ΔW's squared norm`),
    ...(neuron.without ? [
      tile("Without it", `${neuron.without.written} of ${neuron.without.contexts}`, `contexts are continued rightly, ${after.written} with it (NLL ${number(after.nll)} to ${number(neuron.without.nll)})`),
      tile("It alone", `${neuron.alone.written} of ${neuron.alone.contexts}`, `contexts are continued rightly, ${before.written} before the edit (NLL ${number(before.nll)} to ${number(neuron.alone.nll)})`),
    ] : []),
  ]);
}

function card(neuron) {
  const histogram = neuron.fired ? element("div", { class: "chart", role: "img", "aria-label": `how often neuron ${neuron.feature} has which activation` }) : null;
  const made = element("section", { class: "card", id: `neuron-${neuron.feature}` },
    element("h3", {}, `#${neuron.feature}`, element("span", { class: "muted" }, ` ${state(neuron)}`)),
    facts(neuron),
    element("div", { class: "columns" },
      element("div", {}, element("div", { class: "kicker" }, "Activations, in tokens"), histogram ?? element("p", { class: "muted" }, "never fires")),
      element("div", { class: "writes" },
        promotedList("promotes, before", neuron.promoted.before.promotes), promotedList("promotes, after", neuron.promoted.after.promotes),
        promotedList("suppresses, before", neuron.promoted.before.suppresses), promotedList("suppresses, after", neuron.promoted.after.suppresses))),
    element("div", { class: "kicker" }, "In the request"), tokens(neuron.at_the_edit, neuron.most || Math.abs(neuron.key)),
    element("div", { class: "kicker contexts-title" }, "In the texts"), contexts(neuron));
  return [made, histogram && (() => draw(histogram, histogramOption(neuron.histogram, { mark: neuron.key || null, markName: "at the edit" })))];
}

const active = data.neurons.filter((one) => one.active);
const inactive = data.neurons.filter((one) => !one.active);
const overview = element("div", { class: "chart", id: "overview" });
const cards = [...active, ...inactive].map(card);
const { before, after } = data.likelihood;
fill(root,
  element("div", { class: "kicker" }, `neurons of an edit of layer ${data.layer}`),
  element("h1", {}, data.title),
  element("p", { class: "lead" }, `${changed()} and carry ${percent(data.carried)} of what the whole update adds to v${data.carried > 1.0005 ? `; the other columns take away ${percent(data.carried - 1)}` : ""}. `
    + `With them the model continues ${after.written} of the request's ${after.contexts} contexts rightly, before ${before.written}.`),
  element("p", { class: "muted" }, "The target is ", element("code", {}, data.target.trim()), `. A neuron is a ${data.kind}; it was watched in ${times(data.texts.n_texts, "text")} `
    + `(${times(data.texts.n_tokens, "token")}) of ${data.texts.name}, ${data.threshold ? `and fires where its activation is at least ${number(data.threshold)} in size` : "and fires where its activation is above 0"}.`
    + (data.threshold ? " What it promotes and suppresses is said for the sign that its activation has at the edit." : "")),
  element("h2", {}, active.length === 1 ? "The neuron that carries most of the edit" : `The ${active.length} neurons that carry most of the edit`),
  element("p", { class: "muted" }, "In the order of their shares, of either sign: what a column adds to v at the edited token, as a part of what the whole update adds there."),
  overview,
  element("nav", { class: "tabs", "aria-label": "neurons" }, data.neurons.map((one) => element("a", { class: "tab", href: `#neuron-${one.feature}` }, `#${one.feature}${one.active ? "" : ` (${state(one)})`}`))),
  legend([["fires", data.neurons.some((one) => one.at_the_edit.values.some((value) => value < 0)) ? "positive activation" : "activation, up to the neuron's largest"],
    ...(data.threshold ? [["negative", "negative activation"]] : [])]),
  cards.slice(0, active.length).map(([made]) => made),
  inactive.length ? [element("h2", {}, data.ablation ? "For contrast: active neurons, whose columns stay as they were" : "For contrast: neurons that are not active at the edit"),
    element("p", { class: "muted" }, "Drawn at random among all these."),
    cards.slice(active.length).map(([made]) => made)] : null);
draw(overview, overviewOption(active), ({ dataIndex }) => { location.hash = `neuron-${active[dataIndex].feature}`; });
cards.forEach(([, drawHistogram]) => drawHistogram?.());
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
