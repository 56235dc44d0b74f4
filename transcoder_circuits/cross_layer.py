"""What circuits ask of a cross-layer transcoder: features are read in one layer and write into that one and all later ones."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from huggingface.transcoder import Transcoder


@runtime_checkable
class CrossLayer(Protocol):
    """A transcoder for all layers of a model, in the model's own units: scales that it was trained with are undone.

    Attributes:
        n_layers: the model's.
    """

    n_layers: int

    def layer_transcoder(self, layer: int) -> Transcoder:
        """A layer's encoder and activation, the decoder from this layer into itself, and the bias of what is written into this layer."""
        ...

    def decoder_rows(self, source: int, target: int, features: Int[Tensor, " n"]) -> Float[Tensor, "n d_model"]:
        """What some features of layer ``source``, given on any device, write into a later layer ``target`` when their activation is 1; on its own."""
        ...
