"""What parts of a model put out, changed for a while: to see what depends on it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from huggingface.activations import Point, read_activations
from huggingface.architectures import architecture_of, attention_of, layer_of, layers_of, mlp_of, place_of, submodule


def mapped(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A module's output with its tensor, the first where there are several, changed."""
    return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)


@contextmanager
def changed(model: PreTrainedModel, layer: int, change: Float[Tensor, "token d_model"], attention: bool) -> Iterator[None]:
    """While open, what a layer's attention adds to the residual stream, or what the layer returns, is changed at each token."""
    module = layer_of(model, layer)
    if attention:
        module = place_of(model, module, "post_attention_norm") or attention_of(model, layer)
    handle = module.register_forward_hook(lambda _module, _args, output: mapped(output, lambda found: found + change.to(found.dtype)))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def patched(model: PreTrainedModel, layer: int, site: str, value: Float[Tensor, " width"], token: int, head: int | None = None) -> Iterator[None]:
    """While open, what a layer's attention or MLP puts out at a token is ``value`` [d_model], or one head's mixed values [d_head] are.

    Args:
        site: "attn_out", "mlp_out" or, with a head, "head_values".
    """

    def put(found: Tensor) -> Tensor:
        whole = found.clone()
        width = whole.shape[-1] // model.config.num_attention_heads
        columns = slice(None) if head is None else slice(head * width, (head + 1) * width)
        whole[:, token, columns] = value.to(whole.dtype)
        return whole

    attention = attention_of(model, layer)
    if site == "head_values":
        handle = submodule(model, attention, architecture_of(model).o_proj).register_forward_pre_hook(lambda _, args: (put(args[0]),))
    else:
        module = {"attn_out": attention, "mlp_out": mlp_of(model, layer)}[site]
        handle = module.register_forward_hook(lambda _module, _args, output: mapped(output, put))
    try:
        yield
    finally:
        handle.remove()


def activation_patching(
    model: PreTrainedModel,
    clean: Sequence[int],
    corrupted: Sequence[int],
    metric: Callable[[Tensor], float],
    site: str = "mlp_out",
    token: int = -1,
) -> Float[Tensor, " layer"] | Float[Tensor, "layer head"]:
    """What of a metric of the last logits comes back when one part of the corrupted prompt is given its activation from the clean one.

    Args:
        metric: of the logits [vocabulary] at the last token.
        site: "attn_out", "mlp_out", or "head_values" for each head alone.

    Returns:
        [layer], or [layer, head]: 0 as corrupted, 1 as clean.
    """
    device, layers = model.device, range(len(layers_of(model)))
    clean_ids, corrupted_ids = (torch.tensor([list(ids)], device=device) for ids in (clean, corrupted))
    points: Any = [Point(layer, site) for layer in layers]  # type: ignore[arg-type]
    with torch.inference_mode():
        kept = read_activations(model, points, input_ids=clean_ids, use_cache=False)

        def score(ids: Tensor) -> float:
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
