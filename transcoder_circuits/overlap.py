"""How many of a feature's strongest connections the input-independent pullback and the mean input times gradient have in common.

usage: python -m transcoder_circuits.overlap --MODEL_NAME data/demo/model --transcoders data/demo/transcoders data/demo/transcoder \\
           --layer 5 --lower 4 --dataset data/demo/texts.jsonl
"""

import sys
from typing import Any

from huggingface.config import add_model_flags
from util.cli import ArgumentParser

OVERLAPS = (10, 20, 50)
ROOTS, TEXTS = 50, 200


def main() -> None:
    parser = ArgumentParser(prog="python -m transcoder_circuits.overlap", description=__doc__)
    add_model_flags(parser)
    parser.add_argument("--transcoders", nargs="+", required=True, help="folders of transcoders, or with a folder layer_N for each")
    parser.add_argument("--layer", type=int, help="of the roots; by default that of the last transcoder")
    parser.add_argument("--lower", type=int, help="whose features are compared; by default the layer below")
    parser.add_argument("--features", type=int, nargs="+", help=f"the roots; by default {ROOTS} live ones, drawn evenly")
    parser.add_argument("--all_tokens", action="store_true", help="average over all tokens, not over those at which the root fires")
    parser.add_argument("--dataset", required=True, help="texts: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    parser.add_argument("--n_texts", type=int, default=TEXTS, help="at most so many of them (default: %(default)s)")
    sys.stdout.write(run(parser.parse_args()))


def run(arguments: Any) -> str:
    """The table of overlaps as text."""
    import torch

    from explain.neurons import TextStream
    from huggingface.load import load_asked
    from transcoder_circuits.components import check_feature, make_sae_feature_vector
    from transcoder_circuits.dashboard import choose_features
    from transcoder_circuits.feature_dashboards import get_feature_scores, get_pullback
    from transcoder_circuits.mean_ixg import get_mean_ixg, overlap
    from transcoder_circuits.sets import load_transcoders, transcoder_of

    texts = TextStream(arguments.dataset, arguments.n_texts)
    transcoders = load_transcoders(arguments.transcoders)
    layer, root = transcoder_of(transcoders, arguments.layer)
    lower, encoder = transcoder_of(transcoders, layer - 1 if arguments.lower is None else arguments.lower)
    for one in arguments.features or ():
        check_feature(root, one, f"The transcoder of layer {layer}")
    model, tokenizer = load_asked(arguments)
    features = arguments.features or choose_features(get_feature_scores(model, tokenizer, root, texts, act_layer=layer), ROOTS)
    mean = get_mean_ixg(model, tokenizer, encoder, root, features, texts, (lower, layer), not arguments.all_tokens)
    pullbacks = torch.stack([get_pullback(model, encoder, make_sae_feature_vector(root, one, layer=layer), lower) for one in features])
    ks = [k for k in OVERLAPS if k <= encoder.n_features]
    shares = [sum(overlap(one, other, k) for one, other in zip(mean, pullbacks)) / len(features) for k in ks]
    lines = [f"{len(features)} features of layer {layer}, features of layer {lower}: how many of the k strongest are the same, "
             "pullback and mean input times gradient\n| k | overlap | by chance |\n|---|---|---|"]  # fmt: skip
    return "\n".join([*lines, *(f"| {k} | {share:.0%} | {k / encoder.n_features:.0%} |" for k, share in zip(ks, shares))]) + "\n"


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
