"""The page of a layer's features: where each fires in texts, which tokens it promotes, and what turns it on whatever the text.

usage: python -m transcoder_circuits.dashboard --MODEL_NAME data/demo/model --transcoders data/demo/transcoders data/demo/transcoder \\
           --layer 5 --features 201 82 --dataset data/demo/texts.jsonl --output_path runs/dashboard.html
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface.config import add_model_flags
from util.cli import ArgumentParser
from util.errors import UserError
from util.files import check_writable

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from huggingface.feature_contexts import FeatureContexts
    from huggingface.transcoder import Transcoder
    from transcoder_circuits.components import FeatureVector

PAGE = "runs/dashboard.html"
FEATURES, TEXTS = 20, 200
HEADS = 4
"""Heads that are shown of those that can turn a feature on."""


def choose_features(scores: "FeatureContexts", n: int, seed: int = 0) -> list[int]:
    """An even draw of ``n`` live features, in their order.

    Raises:
        UserError: if none is live.
    """
    import numpy as np

    from transcoder_circuits.feature_dashboards import live_features

    live = np.array(scores.features)[live_features(scores)]
    if not len(live):
        raise UserError(f"No feature is live: none fires in {scores.n_tokens} tokens; give more texts, or features with --features.")
    return sorted(np.random.default_rng(seed).permutation(live)[:n].tolist())


def dashboard_data(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    encoder: "Transcoder",
    layer: int,
    features: Sequence[int],
    scores: "FeatureContexts",
    below: "Mapping[int, Transcoder] | None" = None,
) -> dict[str, Any]:
    """The page's values, as JSON.

    Args:
        scores: of all features, or of those at least.
        below: transcoders of lower layers, for the pullbacks.
    """
    import numpy as np

    from transcoder_circuits.feature_dashboards import live_features

    live, fires = live_features(scores), scores.fired > 0
    counts, edges = np.histogram(np.log10(scores.fired[fires] / scores.n_tokens), 30)
    return {
        "kind": "autoencoder" if encoder.sites.autoencoder else "transcoder",
        "layer": layer,
        "reads": encoder.sites.reads,
        "n_features": encoder.n_features,
        "watched": len(scores.features),
        "live": int(live.sum()),
        "silent": int((~fires).sum()),
        "frequencies": {"edges": [round(float(one), 4) for one in edges], "counts": counts.tolist()},
        "texts": {"n_texts": scores.n_texts, "n_tokens": scores.n_tokens},
        "features": [_feature(model, tokenizer, encoder, layer, one, scores, below or {}) for one in features],
    }


def _feature(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    encoder: "Transcoder",
    layer: int,
    feature: int,
    scores: "FeatureContexts",
    below: "Mapping[int, Transcoder]",
) -> dict[str, Any]:
    from explain.features import firing, promoted
    from transcoder_circuits.components import make_sae_feature_vector
    from transcoder_circuits.feature_dashboards import get_logits_for_feature, logits_histogram

    logits = get_logits_for_feature(model, encoder, feature, layer)
    edges, counts = logits_histogram(logits)
    vector = make_sae_feature_vector(encoder, feature, layer=layer)
    return {
        "feature": feature,
        **firing(tokenizer, scores, feature),
        "promoted": promoted(tokenizer, logits),
        "logits": {"edges": [round(float(one), 4) for one in edges], "counts": counts.tolist()},
        **(_inputs(model, tokenizer, encoder, vector, below) if vector.sublayer.startswith("resid") else {}),
    }


def _inputs(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    encoder: "Transcoder",
    vector: "FeatureVector",
    below: "Mapping[int, Transcoder]",
) -> dict[str, Any]:
    """What turns a feature on whatever the text: tokens, heads and lower features."""
    from explain.features import PROMOTED, strongest_tokens
    from transcoder_circuits.feature_dashboards import get_de_embeddings, get_ov_norms_for_transcoder_feature, get_pullback

    feature = vector.component.feature_idx
    assert feature is not None
    norms = get_ov_norms_for_transcoder_feature(model, encoder, feature, vector.layer)
    best = norms.flatten().topk(min(HEADS, norms.numel()))
    places = [divmod(one, norms.shape[1]) for one in best.indices.tolist()]
    lower = [
        [below_layer, one, round(value, 3)]
        for below_layer, transcoder in below.items()
        if below_layer < vector.layer
        for one, value in enumerate(get_pullback(model, transcoder, vector, below_layer).tolist())
    ]
    return {
        "tokens": strongest_tokens(tokenizer, get_de_embeddings(model, vector)),
        "heads": [
            {"layer": at, "head": head, "norm": round(norm, 3), "tokens": strongest_tokens(tokenizer, get_de_embeddings(model, vector, at, head))}
            for (at, head), norm in zip(places, best.values.tolist())
        ],
        "below": sorted(lower, key=lambda one: -one[2])[:PROMOTED],
    }


def check_features(encoder: "Transcoder", layer: int, features: Sequence[int]) -> None:
    """See that the encoder of a layer has these features.

    Raises:
        UserError: for the first that it has not.
    """
    from transcoder_circuits.components import check_feature

    for one in features:
        check_feature(encoder, one, f"The {'autoencoder' if encoder.sites.autoencoder else 'transcoder'} of layer {layer}")


def write_dashboard(
    path: str | Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    encoder: "Transcoder",
    layer: int,
    texts: Iterable[str],
    features: Sequence[int] | None = None,
    n_features: int = FEATURES,
    below: "Mapping[int, Transcoder] | None" = None,
    title: str = "",
) -> Path:
    """Write the page of a layer's features.

    Args:
        encoder: the layer's transcoder, or an autoencoder.
        features: those that get a card; by default ``n_features`` live ones, drawn evenly.
        below: transcoders of lower layers, for the pullbacks.
        title: what the encoder is called.

    Raises:
        UserError: for a feature or layer that is not there, texts without tokens, or a page that cannot be written.
        CheckpointError: if the encoder does not fit the model.
    """
    from explain.page import write_page
    from transcoder_circuits.feature_dashboards import get_feature_scores

    path = Path(path)
    check_writable(path.parent)
    check_features(encoder, layer, features or ())
    scores = get_feature_scores(model, tokenizer, encoder, texts, act_layer=layer)
    chosen = choose_features(scores, n_features) if features is None else list(features)
    data = dashboard_data(model, tokenizer, encoder, layer, chosen, scores, below)
    write_page(path, f"Features of layer {layer} – TCPE", ["features", "dashboard"], {"title": title or f"Features of layer {layer}", **data})
    return path


def main() -> None:
    parser = ArgumentParser(prog="python -m transcoder_circuits.dashboard", description=__doc__)
    add_model_flags(parser)
    where = "folders of transcoders, or with a folder layer_N for each; those of lower layers are for pullbacks"
    parser.add_argument("--transcoders", nargs="+", default=[], help=where)
    parser.add_argument("--sae", help="folder of a sparse autoencoder whose features are shown instead; transcoders are then for pullbacks only")
    parser.add_argument("--layer", type=int, help="whose features are shown; by default that of the last transcoder")
    parser.add_argument("--features", type=int, nargs="+", help=f"which; by default {FEATURES} live ones, drawn evenly")
    parser.add_argument("--n_features", type=int, default=FEATURES, help="how many are drawn (default: %(default)s)")
    parser.add_argument("--dataset", required=True, help="texts: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    parser.add_argument("--n_texts", type=int, default=TEXTS, help="at most so many of them (default: %(default)s)")
    parser.add_argument("--output_path", default=PAGE, help="the page (default: %(default)s)")
    arguments = parser.parse_args()
    for name in ("n_features", "n_texts"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, not {getattr(arguments, name)}.")
    sys.stdout.write(f"{run(arguments)}\n")


def run(arguments: Any) -> Path:
    """Write the page that the command asks for."""
    from explain.neurons import TextStream
    from huggingface.load import load_asked
    from transcoder_circuits.graph_page import check_page
    from transcoder_circuits.sets import load_transcoders, transcoder_of

    texts = TextStream(arguments.dataset, arguments.n_texts)
    below = load_transcoders(arguments.transcoders) if arguments.transcoders or not arguments.sae else {}
    chosen = load_transcoders([arguments.sae]) if arguments.sae else below
    layer, encoder = transcoder_of(chosen, arguments.layer)
    check_page(Path(arguments.output_path))
    check_features(encoder, layer, arguments.features or ())
    model, tokenizer = load_asked(arguments)
    return write_dashboard(
        arguments.output_path, model, tokenizer, encoder, layer, texts, arguments.features, arguments.n_features, below
    )


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
