"""A transcoder in the place of a layer's MLP, reading and writing at the sites that it was trained on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.activations import Point
from huggingface.architectures import architecture_of, down_projection, layer_of
from huggingface.sites import encoded_point, reading_norm, resolve, writing_norm
from huggingface.transcoder import Transcoder
from util.errors import CheckpointError


def adapt(transcoder: Transcoder, model: PreTrainedModel, layer: int) -> Transcoder:
    """A copy of ``transcoder`` on the layer's device and in its dtype.

    Raises:
        CheckpointError: if the widths do not fit the model.
    """
    width = model.config.hidden_size
    found = (transcoder.d_in, transcoder.d_out)
    if found != (width, width):
        raise CheckpointError(f"The transcoder maps width {found[0]} to {found[1]}, but the model has width {width}; give the model's own.")
    weight = down_projection(model, layer).get_parameter("weight")
    return transcoder.copy_to(weight.device, weight.dtype)


def encoder_beside(
    model: PreTrainedModel, layer: int, transcoder: Transcoder
) -> Callable[[Float[Tensor, "*any d_model"]], Float[Tensor, "*any n_features"]]:
    """Maps ``resid_mid`` of ``layer`` to the features of ``transcoder``, which reads beside the layer's MLP and does not replace it.

    What reaches a layer does not depend on what stands in its MLP's place, so several transcoders can be read in one pass of the model.

    Raises:
        CheckpointError: as ``splice_transcoder``.
    """
    adapted = adapt(transcoder, model, layer)
    norm = reading_norm(model, layer, resolve(transcoder.sites, model, layer).reads)
    return lambda stream: adapted.encode(norm(stream))


def reader_beside(
    model: PreTrainedModel, layer: int, transcoder: Transcoder
) -> tuple[Point, Callable[[Float[Tensor, "*any d_model"]], Float[Tensor, "*any n_features"]]]:
    """Where a transcoder or a sparse autoencoder beside the model reads, and what maps that to its features.

    Raises:
        UserError: if the model has no such layer.
        CheckpointError: if the widths do not fit the model, or a site is not known.
    """
    if not transcoder.sites.autoencoder:
        return Point(layer, "resid_mid"), encoder_beside(model, layer, transcoder)
    point = Point(layer, encoded_point(transcoder.sites, model, layer))
    return point, adapt(transcoder, model, layer).encode


def splice_transcoder(model: PreTrainedModel, layer: int, transcoder: Transcoder) -> dict[str, nn.Module]:
    """Replace the MLP of ``layer`` by ``transcoder``, and the norms beside it by what its sites leave of them.

    Returns:
        The modules that were there, by their place in the layer, for putting them back.

    Raises:
        CheckpointError: if the widths do not fit the model, or a site is not known.
    """
    places, sites = architecture_of(model), resolve(transcoder.sites, model, layer)
    new: dict[str, nn.Module] = {places.mlp: adapt(transcoder, model, layer), places.mlp_norm: reading_norm(model, layer, sites.reads)}
    if places.post_mlp_norm and (norm := writing_norm(model, layer, sites.writes)) is not None:
        new[places.post_mlp_norm] = norm
    module = layer_of(model, layer)
    replaced = {place: module.get_submodule(place) for place in new}
    for place, part in new.items():
        module.set_submodule(place, part)
    return replaced


@contextmanager
def spliced(model: PreTrainedModel, layer: int, transcoder: Transcoder) -> Iterator[None]:
    """While open, ``transcoder`` stands in for the MLP of ``layer``."""
    replaced = splice_transcoder(model, layer, transcoder)
    try:
        yield
    finally:
        for place, part in replaced.items():
            layer_of(model, layer).set_submodule(place, part)
