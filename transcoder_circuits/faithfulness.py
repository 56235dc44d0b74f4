"""How faithful transcoders are: the model's cross entropy and KL divergence with them, and with nothing, in the place of its MLPs.

usage: python -m transcoder_circuits.faithfulness --MODEL_NAME data/demo/model --transcoders data/demo/transcoders data/demo/transcoder \\
           --dataset data/demo/texts.jsonl
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from util.cli import ArgumentParser

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedModel

    from huggingface.tokenization import Batch
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


def main() -> None:
    parser = ArgumentParser(prog="python -m transcoder_circuits.faithfulness", description=__doc__)
    parser.add_argument("--MODEL_NAME", required=True, help="model folder in Hugging Face's format, or a model's name on the hub")
    parser.add_argument("--transcoders", nargs="+", required=True, help="folders of transcoders, or with a folder layer_N for each")
    parser.add_argument("--dataset", required=True, help="texts: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    parser.add_argument("--n_texts", type=int, default=100, help="at most so many of them (default: %(default)s)")
    arguments = parser.parse_args()
    from explain.neurons import TextStream
    from huggingface.context import context_length
    from huggingface.load import load_model_and_tokenizer
    from huggingface.tokenization import batches, encode
    from transcoder_circuits.sets import load_transcoders

    transcoders = load_transcoders(list(map(Path, arguments.transcoders)))
    texts = TextStream(arguments.dataset, arguments.n_texts)
    model, tokenizer = load_model_and_tokenizer(arguments.MODEL_NAME, device="cpu")
    rows = [encode(tokenizer, text).ids[: context_length(model)] for text in texts]
    table = faithfulness_table(model, transcoders, list(batches(rows, tokenizer.pad_token_id, model.device, max_rows=16)))
    sys.stdout.write("| layer | CE original | CE replaced | CE zero-ablated | KL replaced | KL zero-ablated |\n|---|---|---|---|---|---|\n")
    for name, *figures in table:
        sys.stdout.write(f"| {name} | {' | '.join(f'{figure:.4f}' for figure in figures)} |\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
