"""The two ends of a model's residual stream: what tokens and positions put in, and how logits are read off."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.architectures import architecture_of, oriented_weight, place_of, submodule


def embedding_matrix(model: PreTrainedModel) -> Float[Tensor, "vocabulary d_model"]:
    """W_E: what each token puts into the stream, with the family's scale (Gemma multiplies by the root of the width)."""
    embedding = submodule(model, model, architecture_of(model).embedding)
    weight = embedding.get_parameter("weight").detach()
    scale = getattr(embedding, "embed_scale", None)
    return weight if scale is None else weight * scale.to(weight.dtype)


def embed(
    model: PreTrainedModel, input_ids: Int[Tensor, "row column"], position_ids: Int[Tensor, "row column"]
) -> Float[Tensor, "row column d_model"]:
    """The stream that layer 0 reads: the tokens' embeddings, and the positions' where those are learned."""
    tokens = submodule(model, model, architecture_of(model).embedding)(input_ids)
    positions = place_of(model, model, "position_embedding")
    return tokens if positions is None else tokens + positions(position_ids)


def unembedding_matrix(model: PreTrainedModel) -> Float[Tensor, "d_model vocabulary"]:
    """W_U: maps the final norm's output to logits, before any cap; a view."""
    return oriented_weight(submodule(model, model, architecture_of(model).head)).T


def unembed(model: PreTrainedModel, residual: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any vocabulary"]:
    """The logits of what the last layer returns: final norm, unembedding and the family's cap."""
    places = architecture_of(model)
    logits = submodule(model, model, places.head)(submodule(model, model, places.final_norm)(residual))
    cap = getattr(model.config, places.logit_cap) if places.logit_cap else None
    return logits if cap is None else cap * torch.tanh(logits / cap)


@torch.no_grad()
def direct_logits(model: PreTrainedModel, directions: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any vocabulary"]:
    """What directions of the stream add to the logits straight away, past all layers between, less its mean over the vocabulary.

    The final norm takes part with its weight, and LayerNorm by what it takes off the mean; its scale, which depends on the text, does not.
    Without a common summand, which no probability depends on, positive tokens are promoted and negative ones suppressed.

    Returns:
        float32.
    """
    norm = place_of(model, model, "final_norm")
    assert norm is not None
    weight = norm.get_parameter("weight")
    directions = directions.float().to(weight.device)
    if isinstance(norm, nn.LayerNorm):
        directions = directions - directions.mean(-1, keepdim=True)
    unembedding = unembedding_matrix(model)
    scaled = directions * (weight.float() + architecture_of(model).norm_weight_offset)
    logits = scaled.to(unembedding.device) @ unembedding.float()
    return logits - logits.mean(-1, keepdim=True)
