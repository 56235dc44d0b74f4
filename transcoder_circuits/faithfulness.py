"""How faithful transcoders are: the model's cross entropy and KL divergence with them, and with nothing, in the place of its MLPs.

usage: python -m transcoder_circuits.faithfulness --MODEL_NAME data/demo/model --transcoders data/demo/transcoders data/demo/transcoder \\
           --dataset data/demo/texts.jsonl
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from util.cli import ArgumentParser

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from collections.abc import Iterator

    from torch import Tensor
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


@contextmanager
def patched(model: "PreTrainedModel", layer: int, site: str, value: "Tensor", token: int, head: int | None = None) -> "Iterator[None]":
    """While open, what a layer's attention or MLP puts out at a token is ``value`` [d_model], or one head's mixed values [d_head] are.

    Args:
        site: "attn_out", "mlp_out" or, with a head, "head_values".
    """
    from huggingface.architectures import architecture_of, attention_of, mlp_of, submodule

    def put(output: Any) -> Any:
        whole = output[0] if isinstance(output, tuple) else output
        whole = whole.clone()
        width = whole.shape[-1] // model.config.num_attention_heads
        columns = slice(None) if head is None else slice(head * width, (head + 1) * width)
        whole[:, token, columns] = value.to(whole.dtype)
        return (whole, *output[1:]) if isinstance(output, tuple) else whole

    attention = attention_of(model, layer)
    if site == "head_values":
        handle = submodule(model, attention, architecture_of(model).o_proj).register_forward_pre_hook(lambda _, args: (put(args[0]),))
    else:
        module = {"attn_out": attention, "mlp_out": mlp_of(model, layer)}[site]
        handle = module.register_forward_hook(lambda _module, _args, output: put(output))
    try:
        yield
    finally:
        handle.remove()


def activation_patching(
    model: "PreTrainedModel",
    clean: Sequence[int],
    corrupted: Sequence[int],
    metric: "Callable[[Tensor], float]",
    site: str = "mlp_out",
    token: int = -1,
) -> "Tensor":
    """What of a metric of the last logits comes back when one part of the corrupted prompt is given its activation from the clean one.

    Args:
        metric: of the logits [vocabulary] at the last token.
        site: "attn_out", "mlp_out", or "head_values" for each head alone.

    Returns:
        [layer], or [layer, head]: 0 as corrupted, 1 as clean.
    """
    import torch

    from huggingface.activations import Point, read_activations
    from huggingface.architectures import layers_of

    device, layers = model.device, range(len(layers_of(model)))
    clean_ids, corrupted_ids = (torch.tensor([list(ids)], device=device) for ids in (clean, corrupted))
    points: Any = [Point(layer, site) for layer in layers]  # type: ignore[arg-type]
    with torch.inference_mode():
        kept = read_activations(model, points, input_ids=clean_ids, use_cache=False)

        def score(ids: "Tensor") -> float:
            return metric(model(input_ids=ids, use_cache=False).logits[0, -1].float())

        best, worst = score(clean_ids), score(corrupted_ids)
        rows = []
        for layer in layers:
            value = kept[Point(layer, site)][0, token]  # type: ignore[arg-type]
            heads = list(enumerate(value.chunk(model.config.num_attention_heads))) if site == "head_values" else [(None, value)]
            row = []
            for head, part in heads:
                with patched(model, layer, site, part, token, head):
                    row.append((score(corrupted_ids) - worst) / (best - worst))
            rows.append(row)
    return torch.tensor(rows) if site == "head_values" else torch.tensor(rows)[:, 0]


def main() -> None:
    parser = ArgumentParser(prog="python -m transcoder_circuits.faithfulness", description=__doc__)
    parser.add_argument("--MODEL_NAME", required=True, help="model folder in Hugging Face's format, or a model's name on the hub")
    parser.add_argument("--transcoders", nargs="+", required=True, help="folders of transcoders, or with a folder layer_N for each")
    parser.add_argument("--dataset", required=True, help="texts: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    parser.add_argument("--n_texts", type=int, default=100, help="at most so many of them (default: %(default)s)")
    arguments = parser.parse_args()
    from explain.neurons import TextStream
    from huggingface.load import load_model_and_tokenizer
    from huggingface.tokenization import batches, encode
    from transcoder_circuits.sets import load_transcoders

    transcoders = load_transcoders(list(map(Path, arguments.transcoders)))
    texts = TextStream(arguments.dataset, arguments.n_texts)
    model, tokenizer = load_model_and_tokenizer(arguments.MODEL_NAME, device="cpu")
    limit = getattr(model.config, "max_position_embeddings", None) or 1024
    rows = [encode(tokenizer, text).ids[:limit] for text in texts]
    table = faithfulness_table(model, transcoders, list(batches(rows, tokenizer.pad_token_id, model.device, max_rows=16)))
    sys.stdout.write("| layer | CE original | CE replaced | CE zero-ablated | KL replaced | KL zero-ablated |\n|---|---|---|---|---|---|\n")
    for name, *figures in table:
        sys.stdout.write(f"| {name} | {' | '.join(f'{figure:.4f}' for figure in figures)} |\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
