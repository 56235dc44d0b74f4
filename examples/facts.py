"""Edits facts in SmolLM2: first one, with what the model says before and after, then those of data/real/facts.json, scored as in ROME.

usage: python -m examples.facts

Each fact is edited by ROME in the layer's own MLP, and by TCPE in a transcoder that is trained here, once, on English text.
"""


import hashlib
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from pydoc_data.topics import topics
from statistics import fmean, harmonic_mean
from typing import Any

import torch
from scipy.stats import t
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from examples.smollm2 import PACKAGE, RUNS, WHEEL_SHA256, check_memory, make_base
from huggingface.generation import greedy_generate, sample_texts
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.tokenization import encode, pad
from huggingface.transcoder import CONFIG_FILE, Transcoder, save_transcoder
from huggingface.transcoder_adapter import spliced
from sae_training.activations import collect_mlp_activations
from sae_training.config import Recipe
from sae_training.trainer import measure_fit, train_transcoder
from tcpe.compute_v import ValueSettings
from tcpe.request import EditRequest
from tcpe.second_moment import SecondMoment, Site, cached_second_moments
from tcpe.tcpe_pre import compute_update
from tcpe.update import Edit, RankOneUpdate, applied
from util.cli import ArgumentParser
from util.errors import UserError
from util.files import read_json, write_json
from util.lock import locked
from util.progress import Progress
from util.seeds import set_seed

logger = logging.getLogger(__name__)

FACTS = Path("data/real/facts.json")
RESULTS = "results.json"
LAYER, SEED = 8, 0
EPSILON = 1e-4
SETTINGS = ValueSettings(learning_rate=0.5, steps=25, stop_loss=0.05)
"""The end of the search is that of ROME's own code."""

Fact = dict[str, Any]
DOCUMENTATION_TOKENS, OWN_TEXTS, OWN_TEXT_TOKENS = 24_000, 128, 96
"""English text for the second moments and the transcoder: of Python's documentation, and written by the model itself."""
HELD_OUT = 16
"""Of the latter texts, those that the transcoder's fit is measured on."""
RECIPE = Recipe(
    expansion_factor=8,
    activation="topk",
    k=32,
    total_training_tokens=400_000,
    encoder_init="transpose",
    encoder_dtype="float32",
    dead_feature_window=100,
)
LIM = "10%"
"""TCPE's active columns: a feature's activation at the subject is at least this share of the largest."""

FIRST: Fact = {
    "prompt": "{} is located in the city of",
    "subject": "The Eiffel Tower",
    "target_new": "Rome",
    "ask": [
        "The Eiffel Tower is located in the city of",
        "To visit the Eiffel Tower, you must travel to the city of",
        "The Louvre is located in the city of",
        "The Statue of Liberty is located in the city of",
    ],
}
SCORES = ("efficacy", "paraphrase", "neighbourhood")


def documentation(tokenizer: PreTrainedTokenizerFast, tokens: int) -> list[str]:
    """English text that comes with Python, the documentation of its language: ``tokens`` tokens or a few more, in pieces of 1,000 characters."""
    pieces, found = [], 0
    for name in sorted(topics):
        text = topics[name]
        for start in range(0, len(text), 1000):
            pieces.append(text[start : start + 1000])
            found += len(encode(tokenizer, pieces[-1]).ids)
            if found >= tokens:
                return pieces
    return pieces


def english_transcoder(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], folder: Path) -> Transcoder:
    """A transcoder of `LAYER` trained on ``texts``, kept in ``folder``."""
    made_from = hashlib.sha256(json.dumps([WHEEL_SHA256, LAYER, asdict(RECIPE), list(texts)]).encode()).hexdigest()
    if (folder / CONFIG_FILE).is_file():
        transcoder = load_transcoder(folder, LAYER)
        if read_json(folder / CONFIG_FILE, "the transcoder's description")["metadata"].get("made_from") == made_from:
            return transcoder
    seen, unseen = (collect_mlp_activations(model, tokenizer, LAYER, part) for part in (texts[:-HELD_OUT], texts[-HELD_OUT:]))
    transcoder = train_transcoder(seen, RECIPE)
    fit = measure_fit(transcoder, unseen)
    logger.info("On other texts the transcoder leaves %.3f of the variance unexplained, with %.1f active features", fit.fvu, fit.l0)
    save_transcoder(transcoder, folder, model_name=PACKAGE, hook_layer=LAYER, training=asdict(RECIPE), fit=asdict(fit), made_from=made_from)
    return transcoder


def edit_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, fact: Fact, moment: SecondMoment) -> RankOneUpdate:
    """The update that makes the model continue the fact's prompt with its new object: ROME's, or TCPE's with a transcoder in the layer."""
    request = EditRequest(str(fact.get("id", 0)), "", fact["prompt"], fact["subject"], " " + fact["target_new"])
    return compute_update(model, tokenizer, LAYER, request, moment, epsilon=EPSILON, settings=SETTINGS)


@torch.no_grad()
def probabilities(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], objects: Sequence[str]) -> list[list[float]]:
    """For each prompt and each object how likely the model is to go on with it: the geometric mean over the object's tokens, as in ROME's code."""
    starts = [encode(tokenizer, prompt).ids for prompt in prompts]
    ends = [tokenizer(" " + name, add_special_tokens=False)["input_ids"] for name in objects]
    # An object's last token is never read, so that all objects of one token share a row.
    rows = {tuple(start + end[:-1]): None for start in starts for end in ends}
    batch = pad(list(map(list, rows)), tokenizer.pad_token_id, model.device)
    logits = model(**batch._asdict(), use_cache=False, logits_to_keep=max(map(len, ends))).logits.float().log_softmax(-1).cpu()
    of_row = dict(zip(rows, logits))
    found = []
    for start in starts:
        likely = (of_row[tuple(start + end[:-1])][-len(end) :].gather(-1, torch.tensor(end)[:, None]) for end in ends)
        found.append([value.mean().exp().item() for value in likely])
    return found


def score(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, fact: Fact) -> dict[str, dict[str, float]]:
    """ROME's success and magnitude (Meng et al. 2022, section 3.4) of the fact's own prompt, its paraphrases and its neighbours.

    Success is the share of prompts on which the wanted object is likelier than the other, magnitude the mean difference of the two;
    wanted is the new object, and of neighbours the true one.
    """
    kinds = {
        "efficacy": [fact["prompt"].format(fact["subject"])],
        "paraphrase": fact["paraphrase_prompts"],
        "neighbourhood": fact["neighborhood_prompts"],
    }
    asked = [prompt for prompts in kinds.values() for prompt in prompts]
    likely = iter(probabilities(model, tokenizer, asked, (fact["target_new"], fact["target_true"])))
    scores = {}
    for kind, prompts in kinds.items():
        sign = -1 if kind == "neighbourhood" else 1
        differences = [sign * (new - true) for new, true in (next(likely) for _ in prompts)]
        scores[kind] = {"success": fmean(difference > 0 for difference in differences), "magnitude": fmean(differences)}
    return scores


def known(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact]) -> list[Fact]:
    """The facts whose true object is what the model itself goes on with."""
    answers = greedy_generate(model, tokenizer, [fact["prompt"].format(fact["subject"]) for fact in facts], batch_size=30, max_new_tokens=6)
    return [fact for fact, answer in zip(facts, answers) if answer.lstrip().removeprefix("the ").startswith(fact["target_true"])]


def table(results: Sequence[dict[str, Any]]) -> str:
    """One line for each way of editing: each score's mean in percent with its 95 % interval over facts (Student's t)."""
    heads = "".join(f"{name:>18}{'magnitude':>16}" for name in SCORES)
    lines = [f"{len(results)} facts, each edited alone; in percent", f"{'':12}{'score':>8}{heads}"]
    for when in results[0]:
        means = [fmean(one[when][kind]["success"] for one in results) for kind in SCORES]
        cells = ""
        for kind in SCORES:
            for what, width in (("success", 18), ("magnitude", 16)):
                values = [100 * one[when][kind][what] for one in results]
                spread = torch.tensor(values, dtype=torch.float64).std().item() / len(values) ** 0.5 * t.ppf(0.975, len(values) - 1)
                cells += f"{f'{fmean(values):.1f} ± {spread:.1f}':>{width}}"
        lines.append(f"{when:12}{100 * harmonic_mean(means):>8.1f}{cells}")
    return "\n".join(lines) + "\n"


def first_edit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, moment: SecondMoment) -> None:
    """Edit one fact and print what the model says before and after."""
    before = greedy_generate(model, tokenizer, FIRST["ask"], batch_size=4, max_new_tokens=4)
    with applied(model, [Edit(edit_of(model, tokenizer, FIRST, moment))]):
        after = greedy_generate(model, tokenizer, FIRST["ask"], batch_size=4, max_new_tokens=4)
    sys.stdout.write(f"Edited: {FIRST['prompt'].format(FIRST['subject'])} {FIRST['target_new']}\n")
    for prompt, old, new in zip(FIRST["ask"], before, after):
        sys.stdout.write(f"{prompt} ...\n    before:{old!r}\n    after: {new!r}\n")
    sys.stdout.flush()


def run(facts: Sequence[Fact], folder: Path) -> None:
    """Edit one fact, then each that the model knows; facts scored in an earlier run are not edited again."""
    check_memory()
    set_seed(SEED)
    model, tokenizer = load_model_and_tokenizer(str(make_base()), device="cpu")
    pieces = documentation(tokenizer, DOCUMENTATION_TOKENS)
    first_edit(model, tokenizer, *cached_second_moments(folder / "moments", model, tokenizer, [Site(LAYER)], pieces))
    # The model's own texts, and a transcoder trained on all, take minutes, for which that one edit need not wait.
    texts = pieces + sample_texts(model, tokenizer, OWN_TEXTS, OWN_TEXT_TOKENS, SEED, top_k=50, temperature=1.0)
    transcoder = english_transcoder(model, tokenizer, texts, folder / "transcoder")
    sites = [Site(LAYER), Site(LAYER, transcoder)]
    of_mlp, of_transcoder = cached_second_moments(folder / "moments", model, tokenizer, sites, texts)
    settings = [WHEEL_SHA256, LAYER, EPSILON, vars(SETTINGS), asdict(RECIPE), LIM, texts, list(facts)]
    made_from = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    path = folder / RESULTS
    state = read_json(path, "the scores of facts") if path.is_file() else {}
    if state.get("made_from") != made_from:
        state = {"made_from": made_from, "facts": {}}
    kept = known(model, tokenizer, facts)
    if len(kept) < 2:
        raise UserError(f"The model knows {len(kept)} of {len(facts)} facts; the table needs two.")
    logger.info("The model knows %d of %d facts", len(kept), len(facts))
    for fact in Progress(kept, desc="facts", unit="fact"):
        if str(fact["id"]) in state["facts"]:
            continue
        scores = {"none": score(model, tokenizer, fact)}
        with applied(model, [Edit(edit_of(model, tokenizer, fact, of_mlp))]):
            scores["ROME"] = score(model, tokenizer, fact)
        with spliced(model, LAYER, transcoder):
            scores["transcoder"] = score(model, tokenizer, fact)
            update = edit_of(model, tokenizer, fact, of_transcoder)
            for name, lim in (("TCPE_pre", -1), ("TCPE", LIM)):
                with applied(model, [Edit(update, lim)]):
                    scores[name] = score(model, tokenizer, fact)
        state["facts"][str(fact["id"])] = scores
        write_json(path, state)
    sys.stdout.write(table([state["facts"][str(fact["id"])] for fact in kept]))


def main() -> None:
    """Command line, see the module's first lines."""
    parser = ArgumentParser(prog="python -m examples.facts", description=__doc__.splitlines()[0])
    parser.add_argument("--facts", type=Path, default=FACTS, help="JSON list of facts (default: %(default)s)")
    parser.add_argument("--output_path", type=Path, default=RUNS / "facts", help="folder for the scores (default: %(default)s)")
    arguments = parser.parse_args()
    with locked(arguments.output_path):
        run(read_json(arguments.facts, "the facts"), arguments.output_path)


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
