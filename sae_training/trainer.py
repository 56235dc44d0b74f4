"""Trains a ReLU transcoder: squared error plus L1 on activations weighted by the norms of their decoder rows."""

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import trange

from huggingface.transcoder import Transcoder
from sae_training.activations import MLPActivations

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainerConfig:
    """The recipe; activations are scaled to unit mean norm while training, and the scale is folded back at the end."""

    expansion_factor: int = 4
    """Number of features divided by the width of the model."""
    l1_coefficient: float = 4e-2
    learning_rate: float = 2e-3
    steps: int = 6000
    batch_size: int = 1024
    """Tokens of one step."""
    warmup_share: float = 0.1
    """Share of the steps over which the L1 coefficient rises from 0; the learning rate rises ten times faster."""
    seed: int = 0


@dataclass(frozen=True)
class Fit:
    """How well a transcoder stands in for its MLP on given activations.

    Attributes:
        fvu: fraction of the output's variance unexplained.
        l0: mean number of active features a token.
        dead: number of features that never fired.
    """

    fvu: float
    l0: float
    dead: int


def train_transcoder(activations: MLPActivations, config: TrainerConfig) -> Transcoder:
    """Train on ``activations``; deterministic in ``config.seed``, float32 on the device of the activations.

    Returns:
        A transcoder in the units of ``activations``, input bias and scales folded in. Its decoder rows have length 1, so that an
        activation says how much the feature adds to the output, and activations of different features compare.

    Source: decoder-norm-weighted L1 after Anthropic, "Update on how we train SAEs" (April 2024).
    """
    generator = torch.Generator().manual_seed(config.seed)
    inputs, outputs = activations
    d_in, d_out = inputs.shape[1], outputs.shape[1]
    n_features = config.expansion_factor * d_in
    center, target_mean = inputs.mean(0), outputs.mean(0)
    scale_in, scale_out = (inputs - center).norm(dim=1).mean(), (outputs - target_mean).norm(dim=1).mean()
    x, y = (inputs - center) / scale_in, (outputs - target_mean) / scale_out

    w_dec = torch.randn(n_features, d_out, generator=generator)
    w_dec = w_dec / w_dec.norm(dim=1, keepdim=True) * 0.1
    w_enc = torch.randn(d_in, n_features, generator=generator) / d_in**0.5 * 3
    parameters = [w_enc, torch.zeros(n_features), w_dec, torch.zeros(d_out)]
    parameters = [parameter.to(inputs.device).requires_grad_() for parameter in parameters]
    w_enc, b_enc, w_dec, b_out = parameters
    optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, betas=(0.9, 0.999))
    warmup = max(1, int(config.warmup_share * config.steps))
    order = torch.empty(0, dtype=torch.long)
    progress = trange(config.steps, desc="training the transcoder", disable=None)
    for step in progress:
        if len(order) < config.batch_size:
            order = torch.cat([order, torch.randperm(len(x), generator=generator)])
        rows, order = order[: config.batch_size], order[config.batch_size :]
        decay = min(1.0, 2.5 * (1 - step / config.steps))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, 10 * (step + 1) / warmup) * decay
        features = (x[rows] @ w_enc + b_enc).relu()
        error = (features @ w_dec + b_out - y[rows]).square().sum(1).mean()
        sparsity = (features * w_dec.norm(dim=1)).sum(1).mean()
        loss = error + config.l1_coefficient * min(1.0, step / warmup) * sparsity
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            progress.set_postfix(error=f"{error.item():.4f}", l0=f"{(features > 0).sum(1).float().mean().item():.1f}")
    with torch.no_grad():
        lengths = w_dec.norm(dim=1) * scale_out
        w_enc, b_enc, w_dec = w_enc * (lengths / scale_in), b_enc * lengths, w_dec * (scale_out / lengths[:, None])
        return Transcoder.from_matrices(w_enc, b_enc, w_dec, b_out * scale_out + target_mean, b_dec=center)


@torch.inference_mode()
def measure_fit(transcoder: Transcoder, activations: MLPActivations, batch_size: int = 8192) -> Fit:
    """Measure ``transcoder`` on ``activations``, which it should not have been trained on."""
    squares, active = 0.0, 0
    fired = torch.zeros(transcoder.up_proj.out_features, dtype=torch.bool)
    for x, y in zip(activations.inputs.split(batch_size), activations.outputs.split(batch_size), strict=True):
        features: Float[Tensor, "token n_features"] = transcoder.activation(transcoder.up_proj(x))
        squares += (transcoder.down_proj(features) - y).double().square().sum().item()
        active += int((features > 0).sum())
        fired |= (features > 0).any(0)
    variance = (activations.outputs - activations.outputs.mean(0)).double().square().sum().item()
    return Fit(squares / variance, active / len(activations.inputs), int((~fired).sum()))
