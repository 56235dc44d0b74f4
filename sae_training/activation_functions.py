"""JumpReLU and its count of active features, with straight-through gradients for the thresholds.

Source: Rajamanoharan et al. 2024, "Jumping Ahead" (arXiv 2407.14435), equations (11) and (12): the step's derivative is taken as that of a
kernel estimate, a rectangle of width ``bandwidth`` around the threshold.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def near_threshold(
    pre_activations: Float[Tensor, "token n_features"], threshold: Float[Tensor, " n_features"], bandwidth: float
) -> Bool[Tensor, "token n_features"]:
    """Where the rectangle kernel is not zero."""
    return (pre_activations - threshold).abs() < bandwidth / 2


class _JumpReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre_activations: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre_activations, threshold)
        ctx.bandwidth = bandwidth
        return pre_activations * (pre_activations > threshold)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        pre_activations, threshold = ctx.saved_tensors
        near = near_threshold(pre_activations, threshold, ctx.bandwidth)
        grad_threshold = -threshold / ctx.bandwidth * (grad * near).sum(0)
        return grad * (pre_activations > threshold), grad_threshold, None


class _CountActive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre_activations: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre_activations, threshold)
        ctx.bandwidth = bandwidth
        return (pre_activations > threshold).sum(1).to(pre_activations.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        pre_activations, threshold = ctx.saved_tensors
        near = near_threshold(pre_activations, threshold, ctx.bandwidth)
        return None, -1 / ctx.bandwidth * (grad[:, None] * near).sum(0), None


def jump_relu(
    pre_activations: Float[Tensor, "token n_features"], threshold: Float[Tensor, " n_features"], bandwidth: float
) -> Float[Tensor, "token n_features"]:
    """``h`` where ``h > threshold``, else 0."""
    return _JumpReLU.apply(pre_activations, threshold, bandwidth)


def count_active(
    pre_activations: Float[Tensor, "token n_features"], threshold: Float[Tensor, " n_features"], bandwidth: float
) -> Float[Tensor, " token"]:
    """Number of features above their thresholds (L0), with a gradient for the thresholds only."""
    return _CountActive.apply(pre_activations, threshold, bandwidth)
