"""What passes through a model at named points: read in one forward pass of any number of layers, or as a stream over many texts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.architectures import architecture_of, attention_of, down_projection, layer_of, mlp_norm_of, mlp_of, place_of, submodule
from huggingface.tokenization import Batch
from util.errors import EditError

Site = Literal[
    "resid_pre", "attn_in", "pattern", "head_values", "attn_out", "attn_added", "resid_mid", "mlp_in", "neurons", "mlp_out", "added", "resid_post"
]
"""Points of a layer, in the order in which they are computed; the names of ``huggingface/sites.py`` mean the same here.

- ``resid_pre``: the residual stream that the layer reads.
- ``attn_in``: what the attention receives, the norm's output with its weight and bias.
- ``pattern``: [row, head, query, key], the attention of each query to each key; only with eager attention, which is used while it is read.
- ``head_values``: [row, query, head * d_head], the values that each head has mixed, what the output projection reads.
- ``attn_out``: what the attention puts out; ``attn_added``: what is added to the stream, in Gemma 2 and 3 the output of a norm behind it.
- ``resid_mid``: the residual stream that the norm before the MLP reads. Where attention and MLP run in parallel this is ``resid_pre``.
- ``mlp_in``: what the MLP receives; ``neurons``: what its down projection reads, which are the features of a transcoder in its place.
- ``mlp_out``, ``added``: as ``attn_out`` and ``attn_added``, of the MLP.
- ``resid_post``: the residual stream that the layer returns.
"""


class Point(NamedTuple):
    """A place in a model where activations are read."""

    layer: int
    site: Site


class _StopForward(Exception):
    """Ends a forward pass that has reached its last point."""


def read_activations(model: PreTrainedModel, points: Iterable[Point], **inputs: Any) -> dict[Point, Shaped[Tensor, "row ..."]]:
    """Run a batch up to the last of ``points`` and return what passes there, in the model's dtype and with the batch's padding.

    Gradients flow if they are enabled. Modules that stand in a layer for a while, such as a spliced transcoder, are read like its own.

    Args:
        inputs: what the model's forward takes.

    Raises:
        UserError: if the model has no such layer.
        EditError: if a point takes no part in the forward pass, so that the family's row of the table is wrong.
    """
    wanted, found = dict.fromkeys(points), {}
    if not wanted:
        return {}

    def keep(point: Point, value: Tensor) -> None:
        found[point] = value
        if len(found) == len(wanted):
            raise _StopForward

    with ExitStack() as stack:
        stack.enter_context(eager_attention(model) if any(point.site == "pattern" for point in wanted) else nullcontext())
        for point in wanted:
            stack.callback(_watch(model, point, partial(keep, point)).remove)
        try:
            model(**inputs)
        except _StopForward:
            return {point: found[point] for point in wanted}
    missing = ", ".join(f"{point.site} of layer {point.layer}" for point in wanted if point not in found)
    raise EditError(
        f"{missing} takes no part in the forward pass of {type(model).__name__}; correct the family's row in huggingface/architectures.py."
    )


def stream_activations(
    model: PreTrainedModel, points: Sequence[Point], batches: Iterable[Batch], keep_first_token: bool = True
) -> Iterator[dict[Point, Float[Tensor, "token width"]]]:
    """What passes at ``points`` at each real token, one batch after the other, so that one batch is in memory at a time.

    Args:
        batches: as from ``tokenization.batches``.
        keep_first_token: whether a row's first token is given too, whose activations are huge and depend on no text.

    Raises:
        As ``read_activations``.
    """
    for batch in batches:
        kept = real_tokens(batch, keep_first_token)
        found = read_activations(model, points, **batch._asdict(), use_cache=False)
        yield {point: token_rows(values, kept) for point, values in found.items()}


def real_tokens(batch: Batch, keep_first_token: bool = True) -> Bool[Tensor, "row column"]:
    """Where a batch has tokens and not padding, whichever side that is on."""
    real = batch.attention_mask.bool()
    # Positions count real tokens; the padding has position 0 too.
    return real if keep_first_token else real & (batch.position_ids > 0)


def token_rows(values: Shaped[Tensor, "row column ..."], kept: Bool[Tensor, "row column"]) -> Shaped[Tensor, "token ..."]:
    """The entries of ``values`` at the tokens in the mask ``kept``; a view where that is all of them."""
    return values.flatten(0, 1) if kept.all() else values[kept.to(values.device)]


@contextmanager
def eager_attention(model: PreTrainedModel) -> Iterator[None]:
    """While open, the model's attention is computed in the plain way, which alone has a pattern; other ways differ from it by rounding."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _watch(model: PreTrainedModel, point: Point, keep: Callable[[Tensor], None]) -> Any:
    """Hand what passes at ``point`` to ``keep``; returns the hook's handle."""
    layer, attention = layer_of(model, point.layer), attention_of(model, point.layer)
    mlp = mlp_of(model, point.layer)
    reads: dict[str, nn.Module] = {
        "resid_pre": layer,
        "attn_in": attention,
        "head_values": submodule(model, attention, architecture_of(model).o_proj),
        "resid_mid": mlp_norm_of(model, point.layer),
        "mlp_in": mlp,
        "neurons": down_projection(model, point.layer),
    }
    writes = {
        "pattern": attention,
        "attn_out": attention,
        "attn_added": place_of(model, layer, "post_attention_norm") or attention,
        "mlp_out": mlp,
        "added": place_of(model, layer, "post_mlp_norm") or mlp,
        "resid_post": layer,
    }
    if point.site in reads:
        hook = lambda _module, args, kwargs: keep(args[0] if args else kwargs["hidden_states"])  # noqa: E731
        return reads[point.site].register_forward_pre_hook(hook, with_kwargs=True)
    if point.site not in writes:
        raise ValueError(f"{point.site} is no site; sites are {', '.join(get_args(Site))}")
    part = int(point.site == "pattern")
    return writes[point.site].register_forward_hook(lambda _module, _args, output: keep(output if isinstance(output, Tensor) else output[part]))
