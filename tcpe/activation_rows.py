"""Activations of some tokens in the form in which their products are added up fastest, and cross from process to process."""

from typing import NamedTuple

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from util.errors import EditError

SPARSE_BELOW = 0.1
"""Share of non-zero activations below which a sparse product is faster than a dense one."""


class ActivationRows(NamedTuple):
    """Activations of some tokens as they are added up, and sent from process to process.

    Attributes:
        dense: [token, n_features] if many of them are not zero; else the next three.
        features: int32, of the activations that are not zero, token by token.
        values: float32, of them.
        counts: int64 [token], how many each token has.
    """

    shape: tuple[int, int]
    dense: Tensor | None = None
    features: numpy.ndarray | None = None
    values: numpy.ndarray | None = None
    counts: numpy.ndarray | None = None

    @classmethod
    def of(cls, activations: Float[Tensor, "token n_features"]) -> "ActivationRows":
        """The activations, in the form that is added up faster.

        Raises:
            EditError: if one is not finite.
        """
        n_tokens, n_features = activations.shape
        flat = activations.flatten()
        # On a GPU only what is not zero crosses over; on the CPU numpy finds it several times as fast as torch.
        index = numpy.flatnonzero(flat.float().numpy() != 0) if flat.device.type == "cpu" else flat.nonzero().squeeze(1).cpu().numpy()
        sparse = len(index) < SPARSE_BELOW * len(flat)
        values = flat[torch.from_numpy(index).to(flat.device)] if sparse else flat
        if not values.isfinite().all():
            raise EditError(
                "The activations for the second moment are not finite; load the model with --dtype bfloat16 or float32, and see that its "
                "checkpoint and its transcoder (--TC_layer_file) are whole."
            )
        if not sparse:
            return cls((n_tokens, n_features), activations)
        tokens, features = numpy.divmod(index, n_features)
        counts = numpy.bincount(tokens, minlength=n_tokens)
        return cls((n_tokens, n_features), None, features.astype(numpy.int32), values.float().cpu().numpy(), counts)

    def tensors(self) -> list[Tensor]:
        """For ``Processes.collected``."""
        if self.dense is not None:
            return [self.dense]
        assert self.features is not None and self.values is not None and self.counts is not None
        return [torch.tensor(self.shape), *map(torch.from_numpy, (self.features, self.values, self.counts))]

    @classmethod
    def received(cls, tensors: list[Tensor], device: torch.device) -> "ActivationRows":
        """What another process's ``tensors`` gave; dense ones on ``device``, where this process would have made them."""
        if len(tensors) == 1:
            n_tokens, n_features = tensors[0].shape
            return cls((n_tokens, n_features), tensors[0].to(device))
        n_tokens, n_features = tensors[0].tolist()
        return cls((n_tokens, n_features), None, *(tensor.numpy() for tensor in tensors[1:]))
