"""The two ends of a model's residual stream: what tokens and positions put in, and how logits are read off."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from huggingface.architectures import architecture_of, oriented_weight, place_of


def embedding_matrix(model: PreTrainedModel) -> Float[Tensor, "vocabulary d_model"]:
    """W_E: what each token puts into the stream, with the family's scale (Gemma multiplies by the root of the width)."""
    embedding = place_of(model, model, "embedding")
    weight = embedding.weight.detach()
    scale = getattr(embedding, "embed_scale", None)
    return weight if scale is None else weight * scale.to(weight.dtype)


def embed(
    model: PreTrainedModel, input_ids: Int[Tensor, "row column"], position_ids: Int[Tensor, "row column"]
) -> Float[Tensor, "row column d_model"]:
    """The stream that layer 0 reads: the tokens' embeddings, and the positions' where those are learned."""
    tokens, positions = place_of(model, model, "embedding")(input_ids), place_of(model, model, "position_embedding")
    return tokens if positions is None else tokens + positions(position_ids)


def unembedding_matrix(model: PreTrainedModel) -> Float[Tensor, "d_model vocabulary"]:
    """W_U: maps the final norm's output to logits, before any cap; a view."""
    return oriented_weight(place_of(model, model, "head")).T


def unembed(model: PreTrainedModel, residual: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any vocabulary"]:
    """The logits of what the last layer returns: final norm, unembedding and the family's cap."""
    logits = place_of(model, model, "head")(place_of(model, model, "final_norm")(residual))
    setting = architecture_of(model).logit_cap
    cap = getattr(model.config, setting) if setting else None
    return logits if cap is None else cap * torch.tanh(logits / cap)
