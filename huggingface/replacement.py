"""A model whose MLPs' outputs are computed by something else from what the layers read, for as long as a context is open."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.activations import Point, read_activations
from huggingface.architectures import mlp_of
from huggingface.cross_layer_transcoder import CrossLayerTranscoder
from huggingface.loaders.cross_layer import check_fits_model
from huggingface.sites import Scale, norms_of, reading_norm, resolve, value_written, writing_norm
from huggingface.tokenization import Batch, positions
from huggingface.transcoder import Sites

Substitute = Callable[[Float[Tensor, "row column d_model"], Float[Tensor, "row column d_model"]], Float[Tensor, "row column d_model"]]
"""What a layer's written site gets, from what the layer reads at its site and what its own MLP makes at the written one."""


@contextmanager
def substituted(model: PreTrainedModel, substitutes: Mapping[int, tuple[Sites, Substitute]]) -> Iterator[None]:
    """While open, some layers' MLPs are stood in for, whatever reads the model; the MLPs themselves still run. Gradients flow.

    Raises:
        CheckpointError: for a site that is not known.
        UserError: if the model has no such layer.
    """
    with ExitStack() as stack:
        for layer, (sites, substitute) in substitutes.items():
            for handle in _hooks(model, layer, resolve(sites, model, layer), substitute):
                stack.callback(handle.remove)
        yield


def _hooks(model: PreTrainedModel, layer: int, sites: Sites, substitute: Substitute) -> list[Any]:
    mlp, (norm, post_norm) = mlp_of(model, layer), norms_of(model, layer)
    reading = nn.Identity() if sites.reads == "mlp_in" else reading_norm(model, layer, sites.reads)
    behind = nn.Identity() if post_norm is None or sites.writes == "mlp_out" else writing_norm(model, layer, sites.writes)
    read: list[Tensor] = []

    def keep(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        read[:] = [args[0] if args else kwargs["hidden_states"]]

    def put(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        own = output / behind.weight if isinstance(behind, Scale) else output
        written = substitute(reading(read.pop()), own).to(output.dtype)
        return behind(written) if isinstance(behind, Scale) else written

    writer = mlp if post_norm is None or sites.writes == "mlp_out" else post_norm
    return [(mlp if sites.reads == "mlp_in" else norm).register_forward_pre_hook(keep, with_kwargs=True), writer.register_forward_hook(put)]


def read_sites(
    model: PreTrainedModel, sites: Mapping[int, Sites], batch: Batch
) -> dict[int, tuple[Float[Tensor, "row column d_model"], Float[Tensor, "row column d_model"]]]:
    """What each layer reads and what its MLP writes at ``sites`` in one pass over ``batch``, padding included.

    Raises:
        CheckpointError: for a site that is not known.
        UserError: if the model has no such layer.
    """
    resolved = {layer: resolve(own, model, layer) for layer, own in sites.items()}
    reads = {layer: Point(layer, "mlp_in" if own.reads == "mlp_in" else "resid_mid") for layer, own in resolved.items()}
    found = read_activations(
        model, [*reads.values(), *(Point(layer, "mlp_out") for layer in resolved)], **batch._asdict(), use_cache=False
    )
    return {
        layer: (
            found[reads[layer]] if own.reads == "mlp_in" else reading_norm(model, layer, own.reads)(found[reads[layer]]),
            value_written(model, layer, own.writes, found[Point(layer, "mlp_out")]),
        )
        for layer, own in resolved.items()
    }


class LivePass:
    """What a replaced model's latest forward pass computed.

    Attributes:
        features: for each layer the activations [row, column, n_features], at the columns of that pass.
        reconstructions: for each layer what the transcoder made of them [row, column, d_model], without error terms.
    """

    def __init__(self) -> None:
        self.features: list[Float[Tensor, "row column n_features"]] = []
        self.reconstructions: list[Float[Tensor, "row column d_model"]] = []


@contextmanager
def replaced(
    model: PreTrainedModel,
    transcoder: CrossLayerTranscoder,
    errors: Sequence[Float[Tensor, "row column d_model"]] | None = None,
    edit: Callable[[Float[Tensor, "row column n_features"], int], Float[Tensor, "row column n_features"]] | None = None,
) -> Iterator[LivePass]:
    """While open, ``transcoder`` writes what all MLPs of ``model`` do.

    Features are those of the residual stream of the same pass. They depend on their own token only, so that a cache of keys and values, padding
    and batches change nothing. Where a text begins, the MLPs keep their own outputs unless the transcoder was trained there.

    Args:
        errors: error terms, added to what is written: those of a pass over the same batch, after which the output is that of the model itself.
        edit: changes a layer's features before they write; gets the layer's number too.

    Raises:
        CheckpointError: if the transcoder is for a model of other sizes.
    """
    check_fits_model(transcoder, model)
    live = LivePass()
    begins: list[Bool[Tensor, "row column"]] = []
    written: list[Tensor] = []

    def start(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        begins[:] = [_first_tokens(args[0] if args else kwargs["input_ids"], kwargs)]
        live.features.clear()
        live.reconstructions.clear()

    def stand_in(layer: int) -> Substitute:
        def substitute(x: Tensor, own: Tensor) -> Tensor:
            device, dtype = transcoder.scale_in.device, transcoder.scale_in.dtype
            features = transcoder.encode(x.to(device, dtype), layer)
            if not transcoder.first_token:
                features = features.masked_fill(begins[0].to(device)[..., None], 0)
            if edit is not None:
                features = edit(features, layer)
            if not layer:
                written[:] = [transcoder.bias(target) for target in range(transcoder.n_layers)]
            for target, part in enumerate(transcoder.write(features, layer).unbind(-2), layer):
                written[target] = written[target] + part
            reconstruction = written[layer].to(own.device)
            live.features.append(features)
            live.reconstructions.append(reconstruction)
            out = reconstruction if errors is None else reconstruction + errors[layer].to(own.device)
            return out if transcoder.first_token or errors is not None else torch.where(begins[0].to(own.device)[..., None], own, out)

        return substitute

    substitutes = {layer: (transcoder.sites, stand_in(layer)) for layer in range(transcoder.n_layers)}
    starter = model.register_forward_pre_hook(start, with_kwargs=True)
    try:
        with substituted(model, substitutes):
            yield live
    finally:
        starter.remove()


def _first_tokens(input_ids: Int[Tensor, "row column"], kwargs: Mapping[str, Any]) -> Bool[Tensor, "row column"]:
    """Where in a call of a model the first tokens of its texts are; the padding before them counts too."""
    place = kwargs.get("position_ids")
    if place is None:
        cache, mask = kwargs.get("past_key_values"), kwargs.get("attention_mask")
        seen = 0 if cache is None else cache.get_seq_length()
        mask = torch.ones(len(input_ids), seen + input_ids.shape[1], dtype=torch.long) if mask is None else mask
        place = positions(mask)[:, -input_ids.shape[1] :]
    return (place == 0).expand(input_ids.shape)


@torch.no_grad()
def error_terms(model: PreTrainedModel, transcoder: CrossLayerTranscoder, batch: Batch) -> list[Float[Tensor, "row column d_model"]]:
    """What ``transcoder`` leaves of each MLP's output in the model's own pass over ``batch``.

    Raises:
        CheckpointError: if the transcoder is for a model of other sizes.
    """
    check_fits_model(transcoder, model)
    found = read_sites(model, dict.fromkeys(range(transcoder.n_layers), transcoder.sites), batch)
    features = [transcoder.encode(found[layer][0].to(transcoder.scale_in), layer) for layer in range(transcoder.n_layers)]
    if not transcoder.first_token:
        begins = (batch.position_ids == 0).to(features[0].device)[..., None]
        features = [active.masked_fill(begins, 0) for active in features]
    decoded = transcoder.decode(features)
    return [found[layer][1] - decoded[layer].to(found[layer][1].device) for layer in range(transcoder.n_layers)]
