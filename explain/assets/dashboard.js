"use strict";
/* The page of a layer's features: how often all of them fire, then a card for each: where it fires, what it promotes, what turns it on. */

const root = document.getElementById("page");

/** Names with values, the first of them the strongest. */
function valued(title, entries) {
  return element("div", {}, element("div", { class: "kicker" }, title),
    element("ol", { class: "promoted" }, entries.map(([name, value]) => element("li", {}, element("code", {}, name), element("span", { class: "numbers muted" }, number(value))))));
}

function facts(feature) {
  return element("ul", { class: "tiles" }, [
    tile("Fires", feature.fired ? percent(feature.frequency, feature.frequency < 0.01 ? 3 : 1) : "never", `${times(feature.fired, "token")} of ${data.texts.n_tokens.toLocaleString("en")}`),
    tile("Most", feature.fired ? number(feature.most) : "–", "its strongest activation"),
  ]);
}

/** What turns the feature on whatever the text; nothing where it reads one sublayer alone. */
function inputs(feature) {
  if (!feature.tokens) return element("p", { class: "muted" }, `It reads ${data.reads}, which one sublayer writes, so no token or head reaches it straight away.`);
  return [element("div", { class: "kicker contexts-title" }, "Turned on, whatever the text, by"),
    element("div", { class: "panels" },
      valued("tokens, from their embeddings", feature.tokens.map(([token, value]) => [spelled(token), value])),
      feature.below.length ? valued("features of lower layers", feature.below.map(([layer, lower, value]) => [`mlp${layer}tc[${lower}]`, value])) : null,
      feature.heads.map((head) => valued(`attn${head.layer}[${head.head}], ‖OV·v‖ ${number(head.norm)}, from tokens`, head.tokens.map(([token, value]) => [spelled(token), value]))))];
}

function card(feature) {
  const histogram = feature.fired ? element("div", { class: "chart", role: "img", "aria-label": `how often feature ${feature.feature} has which activation` }) : null;
  const logits = element("div", { class: "chart", role: "img", "aria-label": `which logits feature ${feature.feature} adds` });
  const made = element("section", { class: "card", id: `feature-${feature.feature}` },
    element("h3", {}, `#${feature.feature}`),
    facts(feature),
    element("div", { class: "columns" },
      element("div", {}, element("div", { class: "kicker" }, "Activations, in tokens"), histogram ?? element("p", { class: "muted" }, "never fires"),
        element("div", { class: "kicker" }, "Logits that it adds, in tokens of the vocabulary"), logits),
      element("div", { class: "writes" }, promotedList("promotes", feature.promoted.promotes), promotedList("suppresses", feature.promoted.suppresses))),
    inputs(feature),
    element("div", { class: "kicker contexts-title" }, "In the texts"), contexts(feature));
  return [made, () => {
    if (histogram) draw(histogram, histogramOption(feature.histogram));
    draw(logits, histogramOption(feature.logits, { name: "logit" }));
  }];
}

const frequencies = element("div", { class: "chart", id: "frequencies", role: "img", "aria-label": "how often features fire" });
const cards = data.features.map(card);
fill(root,
  element("div", { class: "kicker" }, `${data.kind} of layer ${data.layer}, which reads ${data.reads}`),
  element("h1", {}, data.title),
  element("p", { class: "lead" }, `${data.live} of ${times(data.watched, "feature")} are live: they fire on more than one token in 10,000. ${data.silent} never fire `
    + `in ${times(data.texts.n_texts, "text")} (${times(data.texts.n_tokens, "token")}).`),
  data.frequencies.counts.some(Boolean) ? [element("div", { class: "kicker" }, "How often they fire, in features"), frequencies] : null,
  element("nav", { class: "tabs", "aria-label": "features" }, data.features.map((one) => element("a", { class: "tab", href: `#feature-${one.feature}` }, `#${one.feature}`))),
  legend([["fires", "activation, up to the feature's largest"]]),
  element("p", { class: "muted" }, "What holds for all texts counts each norm's weight and not its scale, which depends on the text: such values compare with one another only."),
  cards.map(([made]) => made));
if (frequencies.isConnected) draw(frequencies, histogramOption(data.frequencies, { what: "feature", name: "log10 frequency" }));
cards.forEach(([, drawCharts]) => drawCharts());
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
