"""Parts of a frozen forward pass: norms with their scale fixed, layers as they computed, and what attribution gives back."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from huggingface.attention import AttentionHeads
from huggingface.sites import Scale
from huggingface.transcoder import Transcoder
from util.errors import EditError

NORM_TOLERANCE = 1e-3
"""How far a frozen norm may be from what the norm puts out, relative to it: a norm of another formula is off by far more."""


@dataclass(frozen=True)
class FrozenNorm:
    """``scale * weight * (x - mean) + bias`` with the scale that the norm had on each token of the prompt; without a weight the identity.

    Attributes:
        scale: float32 [token].
        centred: whether the mean over the width is taken off.
    """

    scale: Float[Tensor, " token"]
    weight: Float[Tensor, " d_model"] | None = None
    bias: Float[Tensor, " d_model"] | None = None
    centred: bool = False

    def pull(self, v: Float[Tensor, "*any d_model"], token: Int[Tensor, " batch"] | slice) -> Float[Tensor, "*any d_model"]:
        """The direction before the norm that stands for ``v`` behind it, at each token of ``v``'s last axis but one or for each row."""
        if self.weight is not None:
            v = v * self.weight * self.scale[token, None]
        return v - v.mean(-1, keepdim=True) if self.centred else v

    def push(self, x: Float[Tensor, "token d_model"]) -> Float[Tensor, "token d_model"]:
        """What a change of what the norm reads changes behind it."""
        if self.centred:
            x = x - x.mean(-1, keepdim=True)
        return x if self.weight is None else x * self.weight * self.scale[:, None]

    def constant(self, v: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any"]:
        """What the norm's bias contributes along ``v`` behind it."""
        return v.new_zeros(v.shape[:-1]) if self.bias is None else v @ self.bias


def weight_of_norm(norm: nn.Module, offset: float) -> Float[Tensor, " d_model"]:
    """What a norm multiplies by, float32; ``offset`` is what the family adds to its parameter."""
    return norm.get_parameter("weight").detach().float() + (0.0 if isinstance(norm, Scale) else offset)


def freeze_norm(norm: nn.Module, x: Float[Tensor, "token d_model"], offset: float) -> FrozenNorm:
    """The norm as it was on ``x``; its scale is measured, so that no formula is assumed but that it is linear but for its scale.

    Raises:
        EditError: if it is not.
    """
    if isinstance(norm, nn.Identity):
        return FrozenNorm(x.new_ones(len(x)))
    weight = weight_of_norm(norm, offset)
    bias = getattr(norm, "bias", None)
    bias = bias.detach().float() if isinstance(bias, Tensor) else None
    centred = isinstance(norm, nn.LayerNorm)
    with torch.no_grad():
        y = norm(x.to(norm.get_parameter("weight").dtype)).float()
    base = (x - x.mean(-1, keepdim=True) if centred else x) * weight
    left = y if bias is None else y - bias
    scale = (base * left).sum(-1) / base.square().sum(-1).clamp(min=torch.finfo(torch.float32).tiny)
    if (base * scale[:, None] - left).norm() > NORM_TOLERANCE * left.norm():
        raise EditError(f"{type(norm).__name__} is more than a scale, a weight and a bias, so it cannot be frozen exactly.")
    return FrozenNorm(scale, weight, bias, centred)


@dataclass(frozen=True)
class FrozenLayer:
    """What one layer computed on the prompt, float32.

    Attributes:
        pattern: [head, query, key].
        values: [key, head, d_head], with b_V.
        attn_in_norm, attn_out_norm: before and behind the attention.
        read, write: from ``resid_mid`` to what the transcoder reads, and from what it writes to what is added.
        transcoder: in float32; None where there is none, and the whole MLP counts as its error.
        features, preactivations: [token, n_features].
        error: [token, d_model], what the MLP writes beyond the transcoder, at the site where that writes.
        attn_out: [token, d_model], what the attention puts out, before a norm behind it.
    """

    heads: AttentionHeads
    pattern: Float[Tensor, "head query key"]
    values: Float[Tensor, "key head d_head"]
    attn_in_norm: FrozenNorm
    attn_out_norm: FrozenNorm
    read: FrozenNorm
    write: FrozenNorm
    transcoder: Transcoder | None
    features: Float[Tensor, "token n_features"]
    preactivations: Float[Tensor, "token n_features"]
    error: Float[Tensor, "token d_model"]
    attn_out: Float[Tensor, "token d_model"]

    @cached_property
    def W_V(self) -> Float[Tensor, "head d_model d_head"]:
        """One matrix of values for each head, float32."""
        return self.heads.W_V.float()[[self.heads.key_value_head(head) for head in range(self.heads.n_heads)]]

    @cached_property
    def W_O(self) -> Float[Tensor, "head d_head d_model"]:
        """What the heads write with, float32."""
        return self.heads.W_O.float()

    @cached_property
    def b_V(self) -> Float[Tensor, "head d_head"]:
        """One bias of values for each head, with what the norm's bias adds to it."""
        b_V = self.heads.by_head(self.heads.b_V.float())
        return b_V if self.attn_in_norm.bias is None else b_V + torch.einsum("m,hmd->hd", self.attn_in_norm.bias, self.W_V)

    @property
    def W_enc(self) -> Float[Tensor, "n_features d_model"]:
        """The encoder's rows, one a feature."""
        assert self.transcoder is not None
        return self.transcoder.up_proj.weight

    @property
    def W_dec(self) -> Float[Tensor, "d_model n_features"]:
        """The decoder's columns, one a feature."""
        assert self.transcoder is not None
        return self.transcoder.down_proj.weight


class Direct(NamedTuple):
    """What each part contributes to each of a batch of directions, without going through any.

    Attributes:
        features: by layer [batch, n_features], only layers that the direction can see and that have a transcoder.
        heads: by layer [batch, head, source token].
        embedding: [batch], of the token of the direction.
        errors: by layer [batch], what the MLP writes beyond the transcoder.
        mlp_biases, attn_biases: by layer [batch], output biases, those of norms behind included.
    """

    features: dict[int, Float[Tensor, "batch n_features"]]
    heads: dict[int, Float[Tensor, "batch head source"]]
    embedding: Float[Tensor, " batch"]
    errors: dict[int, Float[Tensor, " batch"]]
    mlp_biases: dict[int, Float[Tensor, " batch"]]
    attn_biases: dict[int, Float[Tensor, " batch"]]

    def total(self) -> Float[Tensor, " batch"]:
        """The sum of all parts: what the direction finds."""
        parts = [self.embedding, *self.errors.values(), *self.mlp_biases.values(), *self.attn_biases.values()]
        parts += [part.sum(-1) for part in self.features.values()] + [part.sum((-2, -1)) for part in self.heads.values()]
        return torch.stack(parts).sum(0)


class Through(NamedTuple):
    """What each feature, error and token contributes to each of a batch of directions, through heads too.

    Attributes:
        features: [batch, active feature], in the order of ``FrozenPass.active``.
        errors: [batch, layer, token].
        embeddings: [batch, token].
        bias: [batch], all biases on the way.
    """

    features: Float[Tensor, "batch active"]
    errors: Float[Tensor, "batch layer token"]
    embeddings: Float[Tensor, "batch token"]
    bias: Float[Tensor, " batch"]


class Writers(NamedTuple):
    """The active features that write into one layer, by token.

    Attributes:
        numbers: int64 [token, most], their numbers in ``FrozenPass.active``; where a token has fewer, how many are active in all.
        vectors: float32 [token, most, d_model], what each writes; zeros where a token has fewer.
    """

    numbers: Int[Tensor, "token most"]
    vectors: Float[Tensor, "token most d_model"]

    @classmethod
    def of(
        cls, numbers: Int[Tensor, " writer"], tokens: Int[Tensor, " writer"], rows: Float[Tensor, "writer d_model"], n_tokens: int, n_active: int
    ) -> "Writers":
        """From the numbers of features, their tokens and what each writes."""
        order = tokens.argsort(stable=True)
        numbers, tokens, rows = numbers[order], tokens[order], rows[order]
        counts = torch.bincount(tokens, minlength=n_tokens)
        place = torch.arange(len(tokens), device=tokens.device) - (counts.cumsum(0) - counts)[tokens]
        most = int(counts.max())
        index = torch.full((n_tokens, most), n_active, device=tokens.device)
        vectors = rows.new_zeros(n_tokens, most, rows.shape[1])
        index[tokens, place], vectors[tokens, place] = numbers, rows
        return cls(index, vectors)

    def add(self, w: Float[Tensor, "batch seen d_model"], features: Float[Tensor, "batch active_and_one"]) -> None:
        """Add what each feature contributes along directions ``w`` at the first tokens to its column of ``features``."""
        n_seen = w.shape[1]
        found = torch.bmm(w.transpose(0, 1), self.vectors[:n_seen].transpose(1, 2))
        features.index_add_(1, self.numbers[:n_seen].flatten(), found.transpose(0, 1).flatten(1))


class Active(NamedTuple):
    """The features that are not zero, in the order of layers, then tokens, then features; int64 [active]."""

    layer: Int[Tensor, " active"]
    token: Int[Tensor, " active"]
    feature: Int[Tensor, " active"]
