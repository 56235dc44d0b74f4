"""Changes of what parts of a model write, followed forwards through a frozen pass: features may be held, follow linearly, or switch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from transcoder_circuits.cross_layer import CrossLayer

if TYPE_CHECKING:
    from transcoder_circuits.frozen import FrozenPass

Features = Literal["held", "linear", "switching"]
"""What features do: keep their values; follow what they read if they are active, however far; or be computed anew, so that they switch too."""

Written = Float[Tensor, "token d_model"]


@dataclass(frozen=True)
class Changes:
    """What is added to what parts write.

    Attributes:
        embedding: to what layer 0 reads; None for nothing.
        attention: by layer, to what the attention puts out.
        mlp: by layer, at the site where the layer's transcoder writes, or else to what its MLP puts out.
    """

    embedding: Written | None = None
    attention: Mapping[int, Written] = field(default_factory=dict)
    mlp: Mapping[int, Written] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The first layer that anything is changed in, or before."""
        return 0 if self.embedding is not None else min([*self.attention, *self.mlp])


@torch.no_grad()
def pushed(cache: "FrozenPass", changes: Changes, features: Features) -> Iterator[tuple[Written, Written]]:
    """What changes do to what each MLP's norm reads and each layer returns, from ``changes.first`` on, with patterns and norms' scales frozen."""
    stream = torch.zeros_like(cache.embedding) if changes.embedding is None else changes.embedding
    moved: dict[int, Tensor] = {}
    for number in range(changes.first, cache.n_layers):
        one = cache.layers[number]
        read = one.attn_in_norm.push(stream)
        mixed = torch.einsum("hqk,khd->qhd", one.pattern, torch.einsum("km,hmd->khd", read, one.W_V))
        attention = torch.einsum("qhd,hdm->qm", mixed, one.W_O)
        if number in changes.attention:
            attention = attention + changes.attention[number]
        middle = stream + one.attn_out_norm.push(attention)
        read = stream if cache.parallel else middle
        written = changes.mlp[number] if number in changes.mlp else torch.zeros_like(middle)
        if one.transcoder is not None:
            x = one.read.push(read)
            if features != "held":
                before, change = one.preactivations, x @ one.W_enc.T
                follows = features == "linear"
                moved[number] = change * (one.features != 0) if follows else one.transcoder.activation(before + change) - one.features
                written = written + moved[number] @ one.W_dec.T
                written = written + moved_from_below(cache.cross, number, moved, written)
            if one.transcoder.skip is not None:
                written = written + one.transcoder.skip(x)
        stream = middle + one.write.push(written)
        yield read, stream


def moved_from_below(cross: CrossLayer | None, layer: int, moved: Mapping[int, Tensor], like: Tensor) -> Tensor:
    """What moved features of lower layers write into ``layer``."""
    total = torch.zeros_like(like)
    for source, change in moved.items():
        if cross is None or source == layer:
            continue
        chosen = change.any(0).nonzero()[:, 0]
        total = total + change[:, chosen] @ cross.decoder_rows(source, layer, chosen).to(like)
    return total
