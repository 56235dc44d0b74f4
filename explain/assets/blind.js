"use strict";
/* The page of a blind comparison: features without their origin, three answers for each, and the answers as a file. */

const root = document.getElementById("page");
const given = {};
const progress = element("p", { class: "lead", "aria-live": "polite" });
const save = element("a", { class: "tab", download: "answers.json", href: "#" }, "save answers.json");

function update() {
  fill(progress, `${Object.keys(given).length} of ${data.features.length} answered. `, save);
  if (save.href.startsWith("blob:")) URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(new Blob([JSON.stringify({ comparison: data.comparison, answers: given }, null, 2)], { type: "application/json" }));
}

function card(feature, index) {
  const buttons = data.answers.map((answer) => element("button", { class: "tab", "aria-pressed": "false", click: () => {
    given[index] = answer;
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === answer)));
    update();
  } }, answer));
  return element("section", { class: "card" }, element("h3", {}, `${index + 1}`), contexts(feature),
    element("div", { class: "tabs answers", role: "group", "aria-label": `answer for feature ${index + 1}` }, "One meaning?", buttons));
}

fill(root,
  element("div", { class: "kicker" }, "a blind comparison"),
  element("h1", {}, "Which features have one meaning?"),
  element("p", {}, "Say for each whether you can name what it fires on, in all its bands. Where it comes from is told by the key alone, when all is answered. "
    + "Tokens are shaded by the activation, up to the feature's largest."),
  progress, data.features.map(card));
update();
