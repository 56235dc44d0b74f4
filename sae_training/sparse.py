"""Encoding and decoding for training: a dense encoder, and a decoder whose work and gradients touch active features only.

All sums over active features are embedding bags with weights: y_n = sum over the bag of token n of value * row (Gao et al. 2024, appendix
D, use kernels of their own for the same).
"""

from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

CHUNK_BYTES = 2**26
"""Size of the dense pre-activations that exist at a time on a CPU: fresh memory costs more there than the arithmetic on it."""

GROUPS = 16
"""Features are compared in groups of this size before the largest are sought; measured best for 16384 features on a CPU."""

DENSE_SHARE = 1 / 40
"""From this share of active features on, the dense product is faster than the bags (512 x 16384 on a CPU)."""


@cache
def multiplies_bfloat16() -> bool:
    """Whether this machine's CPU has instructions for products in bfloat16; without them they are slower than those in float32."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


class ActiveFeatures(NamedTuple):
    """The active features of each token, the same number for all."""

    values: Float[Tensor, "token k"]
    indices: Int[Tensor, "token k"]


def top_features(pre_activations: Float[Tensor, "token n_features"], k: int) -> ActiveFeatures:
    """The ``k`` largest of each row, in no particular order: exact, and twice as fast as ``torch.topk`` on a CPU.

    The k largest lie in the k groups with the largest maxima: a group left out has k groups, hence k elements, at or above all of its own.
    """
    tokens, n_features = pre_activations.shape
    n_groups = n_features // GROUPS
    if pre_activations.is_cuda or n_features % GROUPS or n_groups <= k:
        return ActiveFeatures(*pre_activations.topk(k, dim=-1, sorted=False))
    # Group g holds the features g, g + n_groups, ...: maxima over a stride are fast, over neighbours they are not.
    grouped = pre_activations.view(tokens, GROUPS, n_groups)
    groups = grouped.amax(1).topk(k, dim=-1, sorted=False).indices
    candidates = grouped.gather(2, groups[:, None].expand(-1, GROUPS, -1)).flatten(1)
    values, places = candidates.topk(k, dim=-1, sorted=False)
    return ActiveFeatures(values, groups.gather(1, places % k) + places // k * n_groups)


class _TopKEncode(torch.autograd.Function):
    """``ReLU(TopK(x W + b))`` as values and indices; the gradient reaches the rows of active features only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        rows = len(x) if x.is_cuda else max(1, CHUNK_BYTES // (len(weight) * dtype.itemsize))
        transposed, bias = weight.to(dtype).T, bias.to(dtype)
        buffer = torch.empty(min(rows, len(x)), len(weight), dtype=dtype, device=x.device)
        parts = [top_features(torch.addmm(bias, part, transposed, out=buffer[: len(part)]), k) for part in x.to(dtype).split(rows)]
        values = torch.cat([part.values for part in parts]).to(x.dtype).relu_()
        indices = torch.cat([part.indices for part in parts])
        ctx.mark_non_differentiable(indices)
        ctx.save_for_backward(x, weight, values, indices)
        return values, indices

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor, _grad_indices: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, values, indices = ctx.saved_tensors
        grad_values = grad_values * (values > 0)
        with torch.enable_grad():
            # The bag is the gradient for x, and its own gradient for the rows, given x, is that of the encoder: sum of grad * x per row.
            rows = weight.detach().requires_grad_()
            bag = embedding_bag(indices, rows, per_sample_weights=grad_values, mode="sum")
        (grad_weight,) = torch.autograd.grad(bag, rows, x)
        grad_bias = torch.zeros(len(weight), dtype=x.dtype, device=x.device).index_add_(0, indices.flatten(), grad_values.flatten())
        return bag.detach(), grad_weight, grad_bias, None, None


def encode_top_k(
    x: Float[Tensor, "token d_in"],
    weight: Float[Tensor, "n_features d_in"],
    bias: Float[Tensor, " n_features"],
    k: int,
    dtype: torch.dtype = torch.float32,
) -> ActiveFeatures:
    """``ReLU(TopK(x weight^T + bias))``, the dense product in ``dtype``; differentiable in ``x``, ``weight`` and ``bias``."""
    return ActiveFeatures(*_TopKEncode.apply(x, weight, bias, k, dtype))


def decode_active(active: ActiveFeatures, rows: Float[Tensor, "n_features d_out"]) -> Float[Tensor, "token d_out"]:
    """The sum of each token's active decoder rows, weighted by their values."""
    return embedding_bag(active.indices, rows, per_sample_weights=active.values, mode="sum")


def largest_of_batch(values: Float[Tensor, "token candidates"], k: int) -> Bool[Tensor, "token candidates"]:
    """Where the ``k`` times the number of tokens largest values of all tokens together are (BatchTopK: Bussmann et al. 2024)."""
    chosen = values.flatten().topk(min(k * len(values), values.numel()), sorted=False).indices
    return torch.zeros(values.numel(), dtype=torch.bool, device=values.device).index_fill_(0, chosen, True).view_as(values)


def decode_ragged(
    active: ActiveFeatures, kept: Bool[Tensor, "token k"], rows: Float[Tensor, "n_features d_out"]
) -> Float[Tensor, "token d_out"]:
    """As ``decode_active``, with the features in the mask ``kept`` alone: a different number for each token."""
    offsets = kept.sum(1).cumsum(0).roll(1)
    offsets[0] = 0
    return embedding_bag(active.indices[kept], rows, offsets, per_sample_weights=active.values[kept], mode="sum")


def decode_masked(
    features: Float[Tensor, "token n_features"], support: Bool[Tensor, "token n_features"], rows: Float[Tensor, "n_features d_out"]
) -> Float[Tensor, "token d_out"]:
    """``features @ rows`` where ``features`` vanish outside ``support``; their gradients are right inside ``support`` only.

    Dense as long as ``support`` is, as at the start of a training with ReLU.
    """
    places = support.flatten().nonzero().squeeze(1)
    if len(places) > DENSE_SHARE * support.numel():
        return features @ rows
    offsets = support.sum(1).cumsum(0).roll(1)
    offsets[0] = 0
    return embedding_bag(places % len(rows), rows, offsets, per_sample_weights=features.flatten()[places], mode="sum")
