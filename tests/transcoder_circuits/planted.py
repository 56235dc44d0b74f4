"""A small random cross-layer transcoder, as circuits ask for one."""

import torch

from huggingface.transcoder import Transcoder
from tests.tiny import FEATURES, LAYERS, WIDTH, tiny_transcoder


class PlantedCrossLayer:
    """Random encoders, and a random decoder from each layer into itself and every later one."""

    def __init__(self, n_layers: int = LAYERS) -> None:
        self.n_layers = n_layers
        self._own = [tiny_transcoder(layer + 1) for layer in range(n_layers)]
        generator = torch.Generator().manual_seed(5)
        pairs = [(source, target) for source in range(n_layers) for target in range(source + 1, n_layers)]
        self.decoders = {pair: torch.randn(FEATURES, WIDTH, generator=generator) / 8 for pair in pairs}

    def layer_transcoder(self, layer: int) -> Transcoder:
        return self._own[layer]

    def decoder_rows(self, source: int, target: int, features: torch.Tensor) -> torch.Tensor:
        return self.decoders[source, target][features.cpu()]
