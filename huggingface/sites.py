"""Where a transcoder can read and write: what other libraries call it, and what it means in a Hugging Face layer.

A layer computes ``x + post_norm(mlp(norm(x)))``, with ``post_norm`` in Gemma only. Each site is what stands in the place of one
of the two norms while a transcoder stands in the place of the MLP, so that reading at a site, writing at it and measuring it are
the same modules.
"""

import copy
import re

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.activations import Site
from huggingface.architectures import architecture_of, layer_of
from huggingface.transcoder import Sites
from util.errors import CheckpointError

READS = {
    "mlp_in": "mlp_in",
    "mlp.hook_in": "mlp_in",
    "ln2.hook_out": "mlp_in",
    "normalized": "normalized",
    "ln2.hook_normalized": "normalized",
    "resid_mid": "resid_mid",
    "hook_resid_mid": "resid_mid",
    "hook_mlp_in": "resid_mid",
    "ln2.hook_in": "resid_mid",
    "resid_mid_centred": "resid_mid_centred",
}
"""Names of inputs, ours and TransformerLens's within a block, and the site that each means.

- ``mlp_in``: what the Hugging Face MLP receives, the norm's output with its weight and bias.
- ``normalized``: before that weight and bias. TransformerLens hooks here, whether it folds them into the MLP or not.
- ``resid_mid``: the residual stream that the norm reads.
- ``resid_mid_centred``: that minus its mean, which TransformerLens's default processing makes of it in models with LayerNorm.
"""

WRITES = {
    "mlp_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
    "hook_mlp_out": "added",
    "added": "added",
    "ln2_post.hook_in": "mlp_out",
    "ln2_post.hook_normalized": "added_normalized",
    "added_normalized": "added_normalized",
    "ln2_post.hook_out": "added",
}
"""Names of outputs and the site that each means.

- ``mlp_out``: the Hugging Face MLP's output.
- ``added``: what is added to the residual stream: the same, but in Gemma the output of ``post_norm``.
- ``added_normalized``: Gemma only, the output of ``post_norm`` before its weight.
"""

ENCODED: dict[str, Site] = {
    "mlp_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
    "hook_mlp_out": "added",
    "added": "added",
    "hook_attn_out": "attn_added",
    "attn_added": "attn_added",
    "hook_resid_pre": "resid_pre",
    "resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "resid_post": "resid_post",
}
"""Names of what a sparse autoencoder reads and writes again, and the point of ``huggingface/activations.py`` that each means."""

_BLOCK = re.compile(r"^blocks\.(\d+)\.")


class _Centre(nn.Module):
    """Subtracts the mean over the width."""

    def forward(self, x: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        return x - x.mean(-1, keepdim=True)


class Scale(nn.Module):
    """Multiplies by a norm's weight, without normalising."""

    def __init__(self, weight: Float[Tensor, " width"]) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        return x * self.weight


def declared_layer(sites: Sites) -> int | None:
    """The layer that the sites' names begin with, as ``blocks.19.``; None if neither does."""
    numbers = [int(match[1]) for name in (sites.reads, sites.writes) if (match := _BLOCK.match(name))]
    return numbers[0] if numbers else None


def known_sites(model: PreTrainedModel, layer: int) -> tuple[list[str], list[str]]:
    """The sites that a layer of this model can be read at, and those that it can be written at."""
    norm, post_norm = norms_of(model, layer)
    reads = ["mlp_in", "normalized", "resid_mid"] + (["resid_mid_centred"] if ignores_the_mean(norm) else [])
    return reads, ["mlp_out"] + (["added", "added_normalized"] if post_norm is not None else [])


def encoded_point(sites: Sites, model: PreTrainedModel, layer: int) -> Site:
    """The point of ``huggingface/activations.py`` that a sparse autoencoder with these sites stands at.

    Raises:
        UserError: if the model has no such layer.
        CheckpointError: for a name that is not known, or two different ones.
    """
    layer_of(model, layer)
    name = _BLOCK.sub("", sites.reads)
    if sites.reads != sites.writes or name not in ENCODED:
        raise CheckpointError(
            f"The autoencoder reads {sites.reads} and writes {sites.writes}, which is not one of the places that are known; these are "
            f"{', '.join(ENCODED)}."
        )
    return ENCODED[name]


def resolve(sites: Sites, model: PreTrainedModel, layer: int) -> Sites:
    """``sites`` by their meaning in this model.

    Raises:
        CheckpointError: for a name that is not known, or that this model has no site for.
    """
    norm, post_norm = norms_of(model, layer)
    reads, writes = (_BLOCK.sub("", name) for name in (sites.reads, sites.writes))
    if reads not in READS or (READS[reads] == "resid_mid_centred" and not ignores_the_mean(norm)):
        raise CheckpointError(f"The transcoder reads {sites.reads}, which {_is_not('inputs', READS, model)}")
    if writes not in WRITES or (post_norm is None and writes.startswith(("ln2_post", "added_"))):
        raise CheckpointError(f"The transcoder writes {sites.writes}, which {_is_not('outputs', WRITES, model)}")
    # Without a norm behind the MLP, what it puts out is what is added.
    return Sites(READS[reads], WRITES[writes] if post_norm is not None else "mlp_out")


def _is_not(kind: str, names: dict[str, str], model: PreTrainedModel) -> str:
    """The end of the sentence that refuses a site."""
    return f"is none of the {kind} of an MLP that are known for {type(model).__name__}; known names are {', '.join(names)}."


def norms_of(model: PreTrainedModel, layer: int) -> tuple[nn.Module, nn.Module | None]:
    """The norm before a layer's MLP, and the one behind it if the model has one."""
    places, module = architecture_of(model), layer_of(model, layer)
    return module.get_submodule(places.mlp_norm), module.get_submodule(places.post_mlp_norm) if places.post_mlp_norm else None


def ignores_the_mean(norm: nn.Module) -> bool:
    """Whether the model's norms subtract the mean over the width, so that nothing in it sees that of the residual stream."""
    return isinstance(norm, nn.LayerNorm)


@torch.no_grad()
def without_weight(norm: nn.Module, offset: float) -> nn.Module:
    """A copy of ``norm`` that only normalises; ``offset`` is what the norm adds to its weight."""
    bare = copy.deepcopy(norm)
    bare.get_parameter("weight").fill_(1 - offset)
    if (bias := getattr(bare, "bias", None)) is not None:
        bias.zero_()
    return bare


def reading_norm(model: PreTrainedModel, layer: int, reads: str) -> nn.Module:
    """What stands in the norm's place so that the MLP's place receives the site ``reads``."""
    norm, _ = norms_of(model, layer)
    if reads == "normalized":
        return without_weight(norm, architecture_of(model).norm_weight_offset)
    return {"mlp_in": norm, "resid_mid": nn.Identity(), "resid_mid_centred": _Centre()}[reads]


def writing_norm(model: PreTrainedModel, layer: int, writes: str) -> nn.Module | None:
    """What stands in the place of the norm behind the MLP so that the MLP's place puts out the site ``writes``; None without such a norm."""
    _, post_norm = norms_of(model, layer)
    if post_norm is None or writes == "mlp_out":
        return post_norm
    if writes == "added":
        return nn.Identity()
    return Scale((post_norm.get_parameter("weight") + architecture_of(model).norm_weight_offset).detach().clone())


def value_written(model: PreTrainedModel, layer: int, writes: str, mlp_out: Tensor) -> Tensor:
    """What the model itself has at the site ``writes`` when its MLP puts out ``mlp_out``."""
    _, post_norm = norms_of(model, layer)
    if post_norm is None or writes == "mlp_out":
        return mlp_out
    return (post_norm if writes == "added" else without_weight(post_norm, architecture_of(model).norm_weight_offset))(mlp_out)
