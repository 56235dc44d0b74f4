"""Encoding and decoding for training: a dense encoder, and a decoder whose work and gradients touch active features only.

All sums over active features are embedding bags with weights: y_n = sum over the bag of token n of value * row (Gao et al. 2024, appendix
D, use kernels of their own for the same).
"""

from functools import cache, cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

CHUNK_BYTES = 2**26
"""Size of the dense pre-activations that exist at a time on a CPU: fresh memory costs more there than the arithmetic on it."""

GROUPS = 16
"""Features are compared in groups of this size before the largest are sought; measured best for 16384 features on a CPU."""

DENSE_SHARE = 1 / 15
"""From this share of active features on, the dense product is faster than the bags, gradients included (512 x 16384 and others on a CPU)."""


@cache
def multiplies_bfloat16() -> bool:
    """Whether this machine's CPU has instructions for products in bfloat16; without them they are slower than those in float32."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def product_dtype(chosen: str, device: torch.device) -> torch.dtype:
    """The type of the encoder's product where features are selected: float32, bfloat16, or with "auto" the faster one of ``device``."""
    if chosen == "auto":
        chosen = "bfloat16" if device.type == "cpu" and multiplies_bfloat16() else "float32"
    return torch.float32 if chosen == "float32" else torch.bfloat16


_KEYS = {torch.bfloat16: (torch.int16, torch.int32), torch.float32: (torch.int32, torch.int64)}
"""The integers that order positive numbers of a type as their bits do, and those that hold such bits with a column behind them."""


class Places:
    """Where which features are active.

    Attributes:
        indices: the active features of each token, the same number for all.
    """

    def __init__(self, indices: Int[Tensor, "token k"], n_features: int) -> None:
        self.indices, self._n_features = indices, n_features

    @cached_property
    def _by_feature(self) -> tuple[Int[Tensor, " active"], Int[Tensor, " active"], Int[Tensor, " n_features"]]:
        """The order in which the places of a feature follow each other, the token of each, and where each feature's begin."""
        features, order = self.indices.flatten().sort(stable=True)
        begin = torch.searchsorted(features, torch.arange(self._n_features, device=features.device))
        return order, order // self.indices.shape[1], begin

    def sum_by_feature(self, weights: Float[Tensor, "..."], rows: Float[Tensor, "token d"]) -> Float[Tensor, "n_features d"]:
        """For each feature the sum of the rows of the tokens that it is active for, weighted: what gradients of weights are.

        PyTorch's own gradient of a bag is the same sum, ten times slower on a CPU.
        """
        order, tokens, begin = self._by_feature
        return embedding_bag(tokens, rows, begin, per_sample_weights=weights.flatten()[order], mode="sum")


class ListedPlaces(Places):
    """As ``Places``, for any number of active features a token.

    Attributes:
        indices: the active features one token after the other.
    """

    def __init__(self, indices: Int[Tensor, " active"], tokens: Int[Tensor, " active"], n_features: int) -> None:
        self.indices, self._tokens, self._n_features = indices, tokens, n_features

    @cached_property
    def _by_feature(self) -> tuple[Int[Tensor, " active"], Int[Tensor, " active"], Int[Tensor, " n_features"]]:
        features, order = self.indices.sort(stable=True)
        begin = torch.searchsorted(features, torch.arange(self._n_features, device=features.device))
        return order, self._tokens[order], begin


class ActiveFeatures(NamedTuple):
    """The activations of each token's active features, float [token, k], and which those are."""

    values: Float[Tensor, "token k"]
    places: Places

    @property
    def indices(self) -> Int[Tensor, "token k"]:
        """The active features of each token."""
        return self.places.indices


def _largest(values: Float[Tensor, "token n"], k: int) -> Int[Tensor, "token k"]:
    """The columns of the ``k`` largest values of each row that are above 0, in no particular order, and of any others if there are less.

    On a CPU the bits of each number and its column make one integer, of which numpy selects with vector instructions.
    """
    n = values.shape[1]
    if values.is_cuda or values.dtype not in _KEYS or n > 2**16:
        return values.topk(k, dim=-1, sorted=False).indices
    bits, wide = _KEYS[values.dtype]
    keys = values.view(bits).to(wide).mul_(2 ** (8 * bits.itemsize)).add_(torch.arange(n, dtype=wide))
    keys.numpy().partition(n - k, axis=1)
    return (keys[:, n - k :] & (2**16 - 1)).long()


def top_features(pre_activations: Float[Tensor, "token n_features"], k: int) -> tuple[Float[Tensor, "token k"], Int[Tensor, "token k"]]:
    """The ``k`` largest of each row after a ReLU, in no particular order, and their columns.

    The k largest lie in the k groups with the largest maxima: a group left out has k groups, hence k elements, at or above all of its own.
    """
    tokens, n_features = pre_activations.shape
    n_groups = n_features // GROUPS
    if pre_activations.is_cuda or n_features % GROUPS or n_groups <= k:
        indices = _largest(pre_activations, k)
    else:
        # Group g holds the features g, g + n_groups, ...: maxima over a stride are fast, over neighbours they are not.
        grouped = pre_activations.view(tokens, GROUPS, n_groups)
        groups = _largest(grouped.amax(1), k)
        places = _largest(grouped.gather(2, groups[:, None].expand(-1, GROUPS, -1)).flatten(1), k)
        indices = groups.gather(1, places % k) + places // k * n_groups
    return pre_activations.gather(1, indices).relu_(), indices


class _TopKEncode(torch.autograd.Function):
    """``ReLU(TopK((x - center) W^T + b))``; the gradient reaches the rows of active features only."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, center: Tensor, weight: Tensor, bias: Tensor, k: int, dtype: torch.dtype
    ) -> tuple[Tensor, Places]:
        x = x - center
        rows = len(x) if x.is_cuda else max(1, CHUNK_BYTES // (len(weight) * dtype.itemsize))
        transposed, narrow_bias = weight.to(dtype).T, bias.to(dtype)
        buffer = torch.empty(min(rows, len(x)), len(weight), dtype=dtype, device=x.device)
        parts = [top_features(torch.addmm(narrow_bias, part, transposed, out=buffer[: len(part)]), k) for part in x.to(dtype).split(rows)]
        values = torch.cat([values for values, _ in parts]).to(x.dtype)
        ctx.places = Places(torch.cat([indices for _, indices in parts]), len(weight))
        ctx.save_for_backward(x, weight, values)
        return values, ctx.places

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor, _places: None) -> tuple[Tensor | None, ...]:
        x, weight, values = ctx.saved_tensors
        grad_values = grad_values * (values > 0)
        grad_bias = torch.zeros(len(weight), dtype=x.dtype, device=x.device)
        grad_bias.index_add_(0, ctx.places.indices.flatten(), grad_values.flatten())
        return None, -grad_bias @ weight, ctx.places.sum_by_feature(grad_values, x), grad_bias, None, None


def encode_top_k(
    x: Float[Tensor, "token d_in"],
    center: Float[Tensor, " d_in"],
    weight: Float[Tensor, "n_features d_in"],
    bias: Float[Tensor, " n_features"],
    k: int,
    dtype: torch.dtype = torch.float32,
) -> ActiveFeatures:
    """``ReLU(TopK((x - center) weight^T + bias))``, the dense product in ``dtype``; differentiable in ``center``, ``weight`` and ``bias``."""
    return ActiveFeatures(*_TopKEncode.apply(x, center, weight, bias, k, dtype))


class _WithGradientOfRows(torch.autograd.Function):
    """``decoded`` as it is; its gradient reaches ``rows`` too."""

    @staticmethod
    def forward(ctx: Any, decoded: Tensor, rows: Tensor, values: Tensor, places: Places) -> Tensor:  # noqa: ARG004
        ctx.places = places
        ctx.save_for_backward(values)
        return decoded.view_as(decoded)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (values,) = ctx.saved_tensors
        return grad, ctx.places.sum_by_feature(values, grad), None, None


def decode_active(active: ActiveFeatures, rows: Float[Tensor, "n_features d_out"]) -> Float[Tensor, "token d_out"]:
    """The sum of each token's active decoder rows, weighted by their values."""
    decoded = embedding_bag(active.indices, rows.detach(), per_sample_weights=active.values, mode="sum")
    return _WithGradientOfRows.apply(decoded, rows, active.values.detach(), active.places)


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
    decoded = embedding_bag(active.indices[kept], rows.detach(), offsets, per_sample_weights=active.values[kept], mode="sum")
    return _WithGradientOfRows.apply(decoded, rows, active.values.detach() * kept, active.places)


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
    columns, values = places % len(rows), features.flatten()[places]
    decoded = embedding_bag(columns, rows.detach(), offsets, per_sample_weights=values, mode="sum")
    return _WithGradientOfRows.apply(decoded, rows, values.detach(), ListedPlaces(columns, places // len(rows), len(rows)))
