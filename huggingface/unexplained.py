"""The fraction of variance unexplained (FVU): how far a prediction of activations is from them, against how far their mean is."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


class Unexplained:
    """Adds up squared errors and the variance of a target, batch by batch, in float64.

    Attributes:
        tokens: number of tokens seen.
        error: the squared error, summed over them.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.error, self._squares = 0.0, 0.0
        self._sum = torch.zeros((), dtype=torch.double)

    def add(self, prediction: Float[Tensor, "token width"], target: Float[Tensor, "token width"]) -> None:
        """Take a batch in."""
        target = target.double()
        self.error += (prediction.double() - target).square().sum().item()
        self._sum = self._sum + target.sum(0).cpu()
        self._squares += target.square().sum().item()
        self.tokens += len(target)

    @property
    def mean(self) -> Float[Tensor, " width"]:
        """The mean target, on the CPU."""
        return self._sum / self.tokens

    @property
    def fraction(self) -> float:
        """The squared error divided by that of the mean target: 0 is perfect, 1 no better than the mean; NaN if the target never varies."""
        variance = self._squares - (self._sum.square().sum() / self.tokens).item() if self.tokens else 0.0
        return self.error / variance if variance > 0 else math.nan
