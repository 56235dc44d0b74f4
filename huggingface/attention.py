"""One layer's attention, head by head: its weights, what each head reads, where it looks and what it writes.

``AttentionHeads`` holds the model's own weights, seen by head. With the layer's pattern given (``read_activations`` has it) everything else is
linear in what the attention reads, which is what circuits are made of::

    heads = attention_heads(model, layer)
    written = heads.outputs(pattern, attn_in)            # [row, query, head, d_model]
    attn_out = written.sum(-2) + heads.b_O               # the attention's own output
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.architectures import architecture_of, attention_of, oriented_weight, place_of, submodule
from util.errors import UserError

Angles = tuple[Float[Tensor, "row column rotated"], Float[Tensor, "row column rotated"]]


@dataclass(frozen=True)
class AttentionHeads:
    """The attention of one layer.

    Weights are views of the model's, in its dtype and on its device: they follow an edit of it. A model with grouped queries has fewer heads
    of keys and values than of queries; ``by_head`` repeats theirs.

    Attributes:
        W_Q: [head, d_model, d_head], maps what the attention reads to queries: x @ W_Q[h].
        W_K, W_V: [key_value_head, d_model, d_head].
        W_O: [head, d_head, d_model], maps a head's mixed values to what it writes.
        b_Q, b_K, b_V, b_O: their biases; zeros where the model has none. ``b_O`` is no head's.
        query_norm, key_norm: what is done to each query and key before its rotation; mostly nothing.
        scaling: factor of the scores.
        score_cap: scores become cap * tanh(score / cap); None without.
        window: a query sees so many columns, its own included; None for all.
        angles: (x, position_ids) to the cosines and sines by which queries and keys are rotated; None where they are not.
    """

    W_Q: Float[Tensor, "head d_model d_head"]
    W_K: Float[Tensor, "key_value_head d_model d_head"]
    W_V: Float[Tensor, "key_value_head d_model d_head"]
    W_O: Float[Tensor, "head d_head d_model"]
    b_Q: Float[Tensor, "head d_head"]
    b_K: Float[Tensor, "key_value_head d_head"]
    b_V: Float[Tensor, "key_value_head d_head"]
    b_O: Float[Tensor, " d_model"]
    query_norm: nn.Module
    key_norm: nn.Module
    scaling: float
    score_cap: float | None
    window: int | None
    angles: Callable[[Tensor, Tensor], Angles] | None

    @property
    def n_heads(self) -> int:
        """Number of heads, counted by queries."""
        return len(self.W_Q)

    @property
    def n_key_value_heads(self) -> int:
        """Number of heads of keys and values."""
        return len(self.W_K)

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return self.W_Q.shape[-1]

    def key_value_head(self, head: int) -> int:
        """The head of keys and values that ``head`` uses."""
        return head // (self.n_heads // self.n_key_value_heads)

    def by_head(self, grouped: Float[Tensor, "*any key_value_head d_head"]) -> Float[Tensor, "*any head d_head"]:
        """Keys or values with one entry for each head."""
        return grouped.repeat_interleave(self.n_heads // self.n_key_value_heads, dim=-2)

    def W_OV(self, head: int) -> Float[Tensor, "d_model d_model"]:
        """The matrix by which a head moves what it reads to what it writes: x @ W_OV, at an attention of 1, without biases."""
        return self.W_V[self.key_value_head(head)] @ self.W_O[head]

    def values(self, attn_in: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any key_value_head d_head"]:
        """The values of each token."""
        return torch.einsum("...m,hmd->...hd", attn_in, self.W_V) + self.b_V

    def moved(self, attn_in: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any head d_model"]:
        """What each head writes for a source that it looks at with an attention of 1: the OV circuit, with b_V, without b_O."""
        return torch.einsum("...hd,hdm->...hm", self.by_head(self.values(attn_in)), self.W_O)

    def outputs(
        self, pattern: Float[Tensor, "row head query key"], attn_in: Float[Tensor, "row key d_model"]
    ) -> Float[Tensor, "row query head d_model"]:
        """What each head writes, all its sources together; the attention's output is their sum and ``b_O``."""
        mixed = torch.einsum("rhqk,rkhd->rqhd", pattern, self.by_head(self.values(attn_in)))
        return torch.einsum("rqhd,hdm->rqhm", mixed, self.W_O)

    def queries(
        self, attn_in: Float[Tensor, "row column d_model"], position_ids: Int[Tensor, "row column"]
    ) -> Float[Tensor, "row column head d_head"]:
        """The queries as the scores use them, rotated to their positions."""
        queries = torch.einsum("...m,hmd->...hd", attn_in, self.W_Q) + self.b_Q
        return self._rotated(self.query_norm(queries), attn_in, position_ids)

    def keys(
        self, attn_in: Float[Tensor, "row column d_model"], position_ids: Int[Tensor, "row column"]
    ) -> Float[Tensor, "row column key_value_head d_head"]:
        """The keys as the scores use them, rotated to their positions."""
        keys = torch.einsum("...m,hmd->...hd", attn_in, self.W_K) + self.b_K
        return self._rotated(self.key_norm(keys), attn_in, position_ids)

    def _rotated(
        self, x: Float[Tensor, "row column any_head d_head"], attn_in: Float[Tensor, "row column d_model"], position_ids: Int[Tensor, "row column"]
    ) -> Float[Tensor, "row column any_head d_head"]:
        """``x`` with pairs of its first entries, half of them apart, rotated by the angles of its position (Su et al. 2021, RoFormer)."""
        if self.angles is None:
            return x
        cos, sin = (part[:, :, None] for part in self.angles(attn_in, position_ids))
        turned, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
        first, second = turned.chunk(2, dim=-1)
        return torch.cat([turned * cos + torch.cat([-second, first], dim=-1) * sin, rest], dim=-1)

    def scores(
        self, attn_in: Float[Tensor, "row column d_model"], position_ids: Int[Tensor, "row column"]
    ) -> Float[Tensor, "row head column column"]:
        """How strongly each query wants each key, scaled and capped, before masking and softmax."""
        keys = self.by_head(self.keys(attn_in, position_ids))
        scores = torch.einsum("rqhd,rkhd->rhqk", self.queries(attn_in, position_ids), keys) * self.scaling
        return scores if self.score_cap is None else self.score_cap * (scores / self.score_cap).tanh()

    def pattern(
        self, attn_in: Float[Tensor, "row column d_model"], attention_mask: Int[Tensor, "row column"], position_ids: Int[Tensor, "row column"]
    ) -> Float[Tensor, "row head column column"]:
        """The attention of each query to each key, as the layer computes it; on padding it means nothing."""
        scores, columns = self.scores(attn_in, position_ids), torch.arange(attn_in.shape[1], device=attn_in.device)
        behind = columns[:, None] - columns[None]
        seen = (behind >= 0) & (behind < (self.window or len(columns))) & attention_mask[:, None, None].bool()
        return scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(-1, dtype=torch.float32).to(scores.dtype)


def attention_heads(model: PreTrainedModel, layer: int) -> AttentionHeads:
    """The heads of a layer.

    Raises:
        UserError: if the model has no such layer, its row of the table is wrong, or its weights are quantised or offloaded.
    """
    places, attention = architecture_of(model), attention_of(model, layer)
    W_O, b_O = _matrix(submodule(model, attention, places.o_proj))
    n_heads = model.config.num_attention_heads
    n_groups = getattr(model.config, "num_key_value_heads", None) or n_heads
    d_head = W_O.shape[1] // n_heads
    if places.qkv_proj:
        fused = _matrix(submodule(model, attention, places.qkv_proj))
        if places.qkv_order == "heads":
            parts = [[x.unflatten(0, (n_heads, 3, d_head))[:, which] for x in fused] for which in range(3)]
        else:
            blocks = [x.split([n_heads * d_head, n_groups * d_head, n_groups * d_head]) for x in fused]
            parts = [[x.unflatten(0, (-1, d_head)) for x in part] for part in zip(*blocks)]
    else:
        projections = (_matrix(submodule(model, attention, path)) for path in (places.q_proj, places.k_proj, places.v_proj))
        parts = [[x.unflatten(0, (-1, d_head)) for x in projection] for projection in projections]
    (W_Q, b_Q), (W_K, b_K), (W_V, b_V) = parts
    rotary = place_of(model, model, "rotary")
    by_type = {"layer_type": model.config.layer_types[layer]} if places.rotary_by_layer_type else {}
    return AttentionHeads(
        W_Q=W_Q.mT,
        W_K=W_K.mT,
        W_V=W_V.mT,
        W_O=W_O.unflatten(1, (n_heads, d_head)).permute(1, 2, 0),
        b_Q=b_Q,
        b_K=b_K,
        b_V=b_V,
        b_O=b_O,
        query_norm=place_of(model, attention, "query_norm") or nn.Identity(),
        key_norm=place_of(model, attention, "key_norm") or nn.Identity(),
        scaling=vars(attention)["scaling"],
        score_cap=getattr(attention, places.score_cap) if places.score_cap else None,
        window=_window(model, layer),
        angles=partial(rotary, **by_type) if rotary is not None else None,
    )


def _matrix(projection: nn.Module) -> tuple[Float[Tensor, "d_out d_in"], Float[Tensor, " d_out"]]:
    """A projection's weight and bias."""
    weight = oriented_weight(projection)
    if weight.is_meta or not weight.is_floating_point():
        raise UserError(
            f"The attention's weights are quantised or offloaded ({weight.dtype}, {weight.device}); load the model in float32, float16 or "
            "bfloat16, on one device."
        )
    bias = projection.bias
    return weight, bias.detach() if isinstance(bias, Tensor) else weight.new_zeros(len(weight))


def _window(model: PreTrainedModel, layer: int) -> int | None:
    """How many columns a query of the layer sees."""
    types = getattr(model.config, "layer_types", None)
    return getattr(model.config, "sliding_window", None) if types is None or types[layer] == "sliding_attention" else None
