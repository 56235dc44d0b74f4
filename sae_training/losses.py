"""The terms of a transcoder's loss. Targets are always what the MLP wrote, never what it read."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from sae_training.activation_functions import count_active
from sae_training.sparse import ActiveFeatures, Places, decode_active
from sae_training.transcoder import Output, TrainableTranscoder

SMALL = 1e-6


class Losses(NamedTuple):
    """One step's loss and its terms, scalars; ``sparsity`` without its coefficient."""

    overall: Float[Tensor, ""]
    mse: Float[Tensor, ""]
    sparsity: Float[Tensor, ""]
    auxiliary: Float[Tensor, ""]


def transcoder_losses(
    transcoder: TrainableTranscoder, x: Float[Tensor, "token d_in"], target: Float[Tensor, "token d_out"], output: Output, step: int
) -> Losses:
    """The recipe's loss for scaled inputs and targets, at ``step`` counted from 0."""
    recipe = transcoder.recipe
    # Matryoshka (Bussmann et al. 2025, arXiv 2503.17547): every prefix of the features is a dictionary of its own.
    predictions = (*output.nested, output.reconstruction)
    mse = torch.stack([squared_errors(prediction, target, recipe.mse_norm).sum(1).mean() for prediction in predictions]).mean()
    sparsity = auxiliary = torch.zeros((), device=x.device)
    overall = mse
    if not recipe.selects:
        sparsity = sparsity_penalty(transcoder, output)
        overall = overall + recipe.l1_coefficient * min(1.0, step / max(1, recipe.l1_warm_up_steps)) * sparsity
    if (recipe.use_ghost_grads or (recipe.selects and recipe.revive == "auxk")) and transcoder.dead.any():
        if recipe.selects:
            auxiliary = recipe.aux_coefficient * auxiliary_loss(transcoder, x, (target - output.reconstruction).detach())
        else:
            auxiliary = ghost_loss(transcoder, x, target, output.reconstruction.detach())
        overall = overall + auxiliary
    return Losses(overall, mse, sparsity, auxiliary)


def squared_errors(
    prediction: Float[Tensor, "token d_out"], target: Float[Tensor, "token d_out"], norm: str
) -> Float[Tensor, "token d_out"]:
    """Squared errors whose sum over the width is a token's loss: with ``norm`` "none" as they are, with "token" divided by the width and the
    target's length (transcoder_circuits)."""
    squares = (prediction - target).square()
    return squares if norm == "none" else squares / (squares.shape[1] * target.norm(dim=1, keepdim=True).clamp(min=SMALL))


def sparsity_penalty(transcoder: TrainableTranscoder, output: Output) -> Float[Tensor, ""]:
    """Mean over the tokens of L1 (relu), or of L0 or the sum of tanh (jumprelu).

    Sources: L1 weighted with decoder norms, and tanh: Anthropic, "Update on how we train SAEs" (April 2024) and "Circuits Updates - January
    2025"; L0: Rajamanoharan et al. 2024, equation (9).
    """
    recipe = transcoder.recipe
    assert output.features is not None and output.pre_activations is not None
    if recipe.activation == "jumprelu" and recipe.sparsity_penalty == "l0":
        return count_active(output.pre_activations.detach(), transcoder.threshold, recipe.jumprelu_bandwidth).mean()
    strength = output.features
    if recipe.activation == "relu" and recipe.l1_decoder_norm == "weighted":
        return (strength @ transcoder.W_dec.norm(dim=1)).mean()
    if recipe.l1_decoder_norm == "weighted":
        strength = strength * transcoder.W_dec.norm(dim=1)
    if recipe.activation == "jumprelu":
        strength = (recipe.tanh_scale * strength).tanh()
    return strength.sum(1).mean()


def auxiliary_loss(
    transcoder: TrainableTranscoder, x: Float[Tensor, "token d_in"], residual: Float[Tensor, "token d_out"]
) -> Float[Tensor, ""]:
    """How badly the strongest dead features of each token explain the residual: mean squared error (Gao et al. 2024, appendix A.2)."""
    dead = transcoder.dead.nonzero().squeeze(1)
    pre_activations = linear(x - transcoder.b_dec.detach(), transcoder.W_enc[dead], transcoder.b_enc[dead])
    k_aux = min(transcoder.recipe.k_aux or max(1, residual.shape[1] // 2), len(dead))
    values, indices = pre_activations.topk(k_aux, dim=-1, sorted=False)
    explained = decode_active(ActiveFeatures(values.relu(), Places(indices, len(dead))), transcoder.W_dec[dead])
    return (explained - residual).square().sum(1).mean()


def ghost_loss(
    transcoder: TrainableTranscoder,
    x: Float[Tensor, "token d_in"],
    target: Float[Tensor, "token d_out"],
    reconstruction: Float[Tensor, "token d_out"],
) -> Float[Tensor, ""]:
    """Ghost gradients: dead features with exponential activations, half as long as the residual, fit it; each squared error is rescaled to the
    size of the reconstruction's at the same place, so that the gradient is large where much is left to explain.

    The residual is what ``ghost_residual`` of the recipe says minus the (detached) reconstruction.

    Source: Anthropic, "Circuits Updates - January 2024"; transcoder_circuits' forward pass.
    """
    recipe, dead = transcoder.recipe, transcoder.dead.nonzero().squeeze(1)
    residual = (target if recipe.ghost_residual == "output" else x) - reconstruction
    ghosts = linear(x - transcoder.b_dec, transcoder.W_enc[dead], transcoder.b_enc[dead]).exp() @ transcoder.W_dec[dead]
    scale = (residual.norm(dim=1) / (2 * ghosts.norm(dim=1) + SMALL)).detach()
    errors = squared_errors(ghosts * scale[:, None], residual, recipe.mse_norm)
    small = SMALL if recipe.mse_norm == "none" else SMALL / residual.shape[1]
    rescaled = squared_errors(reconstruction, target, recipe.mse_norm) / (errors.detach() + small)
    return (rescaled * errors).sum(1).mean()
