"""Sparse autoencoders as roots: their features at a prompt's tokens, at mlp_out, at what attention or MLP adds, and anywhere in the stream."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from huggingface.activations import read_activations
from huggingface.sites import declared_layer
from huggingface.transcoder import Transcoder
from huggingface.transcoder_adapter import reader_beside
from transcoder_circuits.components import FeatureVector, make_sae_feature_vector
from transcoder_circuits.frozen import FrozenPass
from util.errors import UserError


def sae_features(cache: FrozenPass, sae: Transcoder, layer: int) -> Float[Tensor, "token n_features"]:
    """An autoencoder's features at each token of the prompt, float32.

    Raises:
        UserError: if the model has no such layer.
        CheckpointError: if the autoencoder does not fit the model.
    """
    point, features = reader_beside(cache.model, layer, sae)
    with torch.inference_mode():
        read = read_activations(cache.model, [point], input_ids=torch.tensor([cache.ids], device=cache.model.device), use_cache=False)
        return features(read[point][0]).float().clone()


def sae_root(cache: FrozenPass, sae: Transcoder, feature_idx: int | None = None, token: int = -1, layer: int | None = None) -> FeatureVector:
    """A feature of an autoencoder as a root, with its activation: that of its own activation function, which may be more than a ReLU.

    Args:
        feature_idx: by default the most active one.
        layer: where the autoencoder stands, if the name of its site does not say it.

    Raises:
        UserError: if there is no such feature or token, the layer is not known, or no feature is active.
        CheckpointError: if the autoencoder does not fit the model.
    """
    layer = declared_layer(sae.sites) if layer is None else layer
    if layer is None:
        raise UserError("The autoencoder does not say which layer it is of; give the layer.")
    at = sae_features(cache, sae, layer)[cache.position(token)]
    if feature_idx is None and not (at != 0).any():
        raise UserError(f"No feature of the autoencoder of layer {layer} is active at token {token}; give another token.")
    root = make_sae_feature_vector(sae, int(at.argmax()) if feature_idx is None else feature_idx, token=token, layer=layer)
    assert root.component.feature_idx is not None
    return replace(root, contrib=at[root.component.feature_idx].item())
