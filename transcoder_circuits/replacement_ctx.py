"""Transcoders in the place of MLPs for a while, or nothing in their place; the very modules are back afterwards."""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.architectures import architecture_of, layer_of
from huggingface.transcoder_adapter import splice_transcoder
from transcoder_circuits.sets import Transcoders, by_layer


class _Replaced:
    """A context that puts modules into layers; contexts nest, and what was there is back after an exception too."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model, self._stack = model, ExitStack()

    def _put(self) -> None:
        raise NotImplementedError

    def _back(self, layer: int, replaced: dict[str, nn.Module]) -> None:
        """Remember what to put back."""
        for place, module in replaced.items():
            self._stack.callback(layer_of(self._model, layer).set_submodule, place, module)

    def __enter__(self) -> "_Replaced":
        try:
            self._put()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()


class TranscoderReplacementContext(_Replaced):
    """While open, transcoders stand in for the MLPs of their layers.

    Raises:
        CheckpointError: if one does not fit the model; nothing is replaced then.
    """

    def __init__(self, model: PreTrainedModel, transcoders: Transcoders) -> None:
        super().__init__(model)
        self._transcoders = by_layer(transcoders)

    def _put(self) -> None:
        for layer, transcoder in self._transcoders.items():
            self._back(layer, splice_transcoder(self._model, layer, transcoder))


class _Nothing(nn.Module):
    """Writes zeros."""

    def forward(self, x: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any d_model"]:
        return torch.zeros_like(x)


class ZeroAblationContext(_Replaced):
    """While open, the MLPs of some layers add nothing to the residual stream.

    Raises:
        UserError: if a layer is not there; nothing is replaced then.
    """

    def __init__(self, model: PreTrainedModel, layers: Sequence[int]) -> None:
        super().__init__(model)
        self._layers = list(layers)

    def _put(self) -> None:
        places = architecture_of(self._model)
        for layer in self._layers:
            module = layer_of(self._model, layer)
            # A norm behind the MLP may have a bias, which would be added all the same.
            for place in filter(None, (places.mlp, places.post_mlp_norm)):
                self._back(layer, {place: module.get_submodule(place)})
                module.set_submodule(place, _Nothing())
