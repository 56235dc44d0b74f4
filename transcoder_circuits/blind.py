"""A blind comparison of transcoders and autoencoders: is what a feature fires on one thing that a reader can name?

usage: python -m transcoder_circuits.blind ask --MODEL_NAME data/demo/model --encoders data/demo/transcoder saes/layer_5 \\
           --dataset data/demo/texts.jsonl --output_path blind
                                          writes blind/questions.html, and blind/key.json, which the reader must not see
       python -m transcoder_circuits.blind tally blind/key.json answers.json
"""

import secrets
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface.config import add_model_flags
from util.cli import ArgumentParser
from util.errors import UserError
from util.files import check_writable, read_json, write_json

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from huggingface.transcoder import Transcoder

ANSWERS = ("yes", "maybe", "no")
PAGE, KEY = "questions.html", "key.json"
FEATURES, TEXTS = 25, 200


def write_questions(
    folder: str | Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    encoders: "Sequence[tuple[str, int, Transcoder]]",
    texts: Iterable[str],
    n_features: int = FEATURES,
    seed: int | None = None,
) -> Path:
    """Write the page of shuffled features, which says nothing of where each comes from, and the key beside it.

    Args:
        encoders: each with its name and layer; the same number of live features is drawn of each.
        texts: read once for each encoder.
        seed: of the draw and the order; by default one that nobody can guess. The key has it.

    Raises:
        UserError: if a name is there twice, or an encoder has no live feature.
    """
    import numpy as np

    from explain.features import firing
    from explain.page import write_page
    from transcoder_circuits.dashboard import choose_features
    from transcoder_circuits.feature_dashboards import get_feature_scores

    folder = Path(folder)
    check_writable(folder)
    if twice := [name for name, count in Counter(name for name, _, _ in encoders).items() if count > 1]:
        raise UserError(f"{twice[0]} is there twice; give different encoders.")
    seed = secrets.randbits(63) if seed is None else seed
    drawn = []
    for number, (name, layer, encoder) in enumerate(encoders):
        scores = get_feature_scores(model, tokenizer, encoder, texts, act_layer=layer)
        for feature in choose_features(scores, n_features, seed + number):
            said = firing(tokenizer, scores, feature)
            shown = {part: said[part] for part in ("fired", "most", "strongest", "bands")}
            drawn.append(({"encoder": name, "layer": layer, "feature": feature}, shown))
        counted = {"n_texts": scores.n_texts, "n_tokens": scores.n_tokens}
    order = np.random.default_rng(seed).permutation(len(drawn)).tolist()
    identity = f"{np.random.default_rng(seed + len(encoders)).integers(2**62):016x}"
    data = {"comparison": identity, "answers": ANSWERS, "texts": counted, "features": [drawn[place][1] for place in order]}
    write_json(folder / KEY, {"comparison": identity, "seed": seed, "features": [drawn[place][0] for place in order]})
    write_page(folder / PAGE, "Which features have one meaning?", ["features", "blind"], data)
    return folder / PAGE


def tally(key: Any, answers: Any) -> dict[str, dict[str, int]]:
    """For each encoder how many of its features got which answer, and how many none.

    Raises:
        UserError: if the answers are of another page, or hold something else.
    """
    try:
        identity, given, features = key["comparison"], answers["answers"], key["features"]
        if answers["comparison"] != identity:
            raise UserError("The answers are of another comparison than the key; give those that belong together.")
        counts = {one["encoder"]: dict.fromkeys((*ANSWERS, "none"), 0) for one in features}
        for number, one in enumerate(features):
            counts[one["encoder"]][given.get(str(number), "none")] += 1
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"These are no key and answers of a blind comparison ({error!r}); give key.json and what the page saved.") from error
    return counts


def tally_text(counts: dict[str, dict[str, int]]) -> str:
    """The table of a tally, in Markdown."""
    lines = ["| encoder | yes | maybe | no | not answered |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(map(str, found.values()))} |" for name, found in sorted(counts.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = ArgumentParser(prog="python -m transcoder_circuits.blind", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    ask = commands.add_parser("ask", help="write the page and the key")
    add_model_flags(ask)
    ask.add_argument("--encoders", nargs="+", required=True, help="folders of the transcoders and autoencoders that are compared")
    ask.add_argument("--dataset", required=True, help="texts: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    ask.add_argument("--n_texts", type=int, default=TEXTS, help="at most so many of them (default: %(default)s)")
    ask.add_argument("--n_features", type=int, default=FEATURES, help="live features of each, drawn evenly (default: %(default)s)")
    ask.add_argument("--seed", type=int, help="of the draw and the order; by default one that nobody can guess")
    ask.add_argument("--output_path", default="blind", help="folder for both (default: %(default)s)")
    count = commands.add_parser("tally", help="count the answers by encoder")
    count.add_argument("key", help="key.json")
    count.add_argument("answers", help="what the page saved")
    arguments = parser.parse_args()
    if arguments.command == "tally":
        sys.stdout.write(tally_text(tally(read_json(Path(arguments.key), "the key"), read_json(Path(arguments.answers), "the answers"))))
    else:
        sys.stdout.write(f"{run(arguments)}\n")


def run(arguments: Any) -> Path:
    """Write the page and the key that the command asks for."""
    from explain.neurons import TextStream
    from huggingface.load import load_asked
    from transcoder_circuits.sets import load_transcoders

    for name in ("n_features", "n_texts"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, not {getattr(arguments, name)}.")
    texts = TextStream(arguments.dataset, arguments.n_texts)
    encoders = [
        (folder if len(found) == 1 else f"{folder}/layer_{layer}", layer, one)
        for folder in arguments.encoders
        for found in [load_transcoders([folder])]
        for layer, one in found.items()
    ]
    model, tokenizer = load_asked(arguments)
    return write_questions(arguments.output_path, model, tokenizer, encoders, texts, arguments.n_features, arguments.seed)


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
