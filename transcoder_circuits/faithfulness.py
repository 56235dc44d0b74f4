"""How faithful transcoders are: the model's cross entropy and KL divergence with them, and with nothing, in the place of its MLPs.

usage: python -m transcoder_circuits.faithfulness --MODEL_NAME data/demo/model --transcoders data/demo/transcoders data/demo/transcoder \\
           --dataset data/demo/texts.jsonl
       ... --sweep --transcoders A B C         L0 against cross entropy, each of them alone; autoencoders too
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from huggingface.config import add_model_flags
from util.cli import ArgumentParser

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedModel

    from huggingface.tokenization import Batch
    from huggingface.transcoder import Transcoder
    from transcoder_circuits.sets import Transcoders


class Faithfulness(NamedTuple):
    """A model with something else in the place of MLPs, against itself.

    Attributes:
        cross_entropy: nats a token, over all tokens but each text's first.
        kl: divergence of its predictions from the model's, nats a token.
    """

    name: str
    cross_entropy: float
    kl: float


def measure_faithfulness(
    model: "PreTrainedModel", batches: "Sequence[Batch]", replacements: "Sequence[tuple[str, AbstractContextManager[object]]]"
) -> list[Faithfulness]:
    """Cross entropy and KL divergence of the model under each named context; the model itself comes first.

    Args:
        batches: texts, padded on the right.
    """
    import torch
    from torch.nn.functional import cross_entropy

    contexts: list[tuple[str, AbstractContextManager[object]]] = [("original", nullcontext()), *replacements]
    entropies, divergences = [0.0] * len(contexts), [0.0] * len(contexts)
    tokens = 0
    with torch.inference_mode():
        for batch in batches:
            kept = batch.attention_mask[:, 1:].bool()
            wanted = batch.input_ids[:, 1:][kept]
            tokens += len(wanted)
            own = None
            for number, (_, context) in enumerate(contexts):
                with context:
                    logits = model(**batch._asdict(), use_cache=False).logits[:, :-1][kept].float().log_softmax(-1)
                own = logits if own is None else own
                entropies[number] += cross_entropy(logits, wanted, reduction="sum").item()
                divergences[number] += (own.exp() * (own - logits)).sum().item()
    return [Faithfulness(name, entropy / tokens, kl / tokens) for (name, _), entropy, kl in zip(contexts, entropies, divergences)]


def faithfulness_table(model: "PreTrainedModel", transcoders: "Transcoders", batches: "Sequence[Batch]") -> list[list[Any]]:
    """For each layer, and for all together: [layer, CE original, replaced, zero-ablated, KL replaced, zero-ablated]."""
    from transcoder_circuits.replacement_ctx import TranscoderReplacementContext, ZeroAblationContext
    from transcoder_circuits.sets import by_layer

    chosen = by_layer(transcoders)
    groups: list[tuple[str, list[int]]] = [(str(layer), [layer]) for layer in chosen]
    groups += [("all", list(chosen))] if len(chosen) > 1 else []
    contexts: list[tuple[str, AbstractContextManager[object]]] = []
    for name, layers in groups:
        contexts.append((name, TranscoderReplacementContext(model, {layer: chosen[layer] for layer in layers})))
        contexts.append((name, ZeroAblationContext(model, layers)))
    own, *found = measure_faithfulness(model, batches, contexts)
    pairs = zip(groups, found[::2], found[1::2])
    return [[name, own.cross_entropy, one.cross_entropy, zero.cross_entropy, one.kl, zero.kl] for (name, _), one, zero in pairs]


class Sparsity(NamedTuple):
    """A transcoder or an autoencoder in the model.

    Attributes:
        name: as given.
        layer: which it stands in.
        kind: "transcoder" or "autoencoder".
        l0: mean number of active features a token, each text's first one left out.
        figures: of the model with it.
    """

    name: str
    layer: int
    kind: str
    l0: float
    figures: Faithfulness


def sparsity_sweep(
    model: "PreTrainedModel", batches: "Sequence[Batch]", encoders: "Sequence[tuple[str, int, Transcoder]]"
) -> tuple[Faithfulness, list[Sparsity]]:
    """L0 against cross entropy: the model itself, and with each of some named transcoders and autoencoders alone in its layer.

    Raises:
        CheckpointError: if one does not fit the model.
    """
    import torch

    from huggingface.activations import read_activations, real_tokens, token_rows
    from huggingface.transcoder_adapter import reader_beside
    from transcoder_circuits.replacement_ctx import TranscoderReplacementContext

    readers = [reader_beside(model, layer, encoder) for _, layer, encoder in encoders]
    active, tokens = [0] * len(encoders), 0
    with torch.inference_mode():
        for batch in batches:
            kept = real_tokens(batch, keep_first_token=False)
            found = read_activations(model, {point for point, _ in readers}, **batch._asdict(), use_cache=False)
            tokens += int(kept.sum())
            for number, (point, features) in enumerate(readers):
                active[number] += int((features(token_rows(found[point], kept)) != 0).sum())
    contexts = [(name, TranscoderReplacementContext(model, {layer: encoder})) for name, layer, encoder in encoders]
    own, *figures = measure_faithfulness(model, batches, contexts)
    kinds = ["autoencoder" if encoder.sites.autoencoder else "transcoder" for _, _, encoder in encoders]
    rows = zip(encoders, kinds, active, figures)
    return own, [Sparsity(name, layer, kind, count / tokens, one) for (name, layer, _), kind, count, one in rows]


def _sweep_text(own: Faithfulness, rows: list[Sparsity]) -> str:
    lines = ["| | layer | kind | L0 | CE | KL |", "|---|---|---|---|---|---|", f"| the model itself | | | | {own.cross_entropy:.4f} | 0 |"]
    for row in sorted(rows, key=lambda row: (row.layer, row.kind, -row.l0)):
        lines.append(f"| {row.name} | {row.layer} | {row.kind} | {row.l0:.2f} | {row.figures.cross_entropy:.4f} | {row.figures.kl:.4f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = ArgumentParser(prog="python -m transcoder_circuits.faithfulness", description=__doc__)
    add_model_flags(parser)
    parser.add_argument("--transcoders", nargs="+", required=True, help="folders of transcoders, or with a folder layer_N for each")
    parser.add_argument("--dataset", required=True, help="texts: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    parser.add_argument("--sweep", action="store_true", help="L0 against cross entropy; there may be many of one layer, and autoencoders")
    parser.add_argument("--n_texts", type=int, default=100, help="at most so many of them (default: %(default)s)")
    arguments = parser.parse_args()
    from explain.neurons import TextStream
    from huggingface.context import context_length
    from huggingface.load import load_asked
    from huggingface.tokenization import batches, encode
    from transcoder_circuits.sets import load_transcoders

    if arguments.sweep:
        encoders = [(folder, layer, one) for folder in arguments.transcoders for layer, one in load_transcoders([folder]).items()]
    else:
        transcoders = load_transcoders(arguments.transcoders)
    texts = TextStream(arguments.dataset, arguments.n_texts)
    model, tokenizer = load_asked(arguments)
    rows = [encode(tokenizer, text).ids[: context_length(model)] for text in texts]
    padded = list(batches(rows, tokenizer.pad_token_id, model.device, max_rows=16))
    if arguments.sweep:
        sys.stdout.write(_sweep_text(*sparsity_sweep(model, padded, encoders)))
        return
    table = faithfulness_table(model, transcoders, padded)
    sys.stdout.write("| layer | CE original | CE replaced | CE zero-ablated | KL replaced | KL zero-ablated |\n|---|---|---|---|---|---|\n")
    for name, *figures in table:
        sys.stdout.write(f"| {name} | {' | '.join(f'{figure:.4f}' for figure in figures)} |\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
