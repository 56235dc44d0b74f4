"""How well a transcoder stands in for its MLP: on its activations, and in the model's predictions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from huggingface.transcoder import Transcoder
from huggingface.unexplained import Unexplained
from sae_training.buffer import select
from sae_training.hooked_model import HookedModel, Replacement, pad_contexts, stands_in, token_losses
from util.errors import UserError

POOL_BATCH = 2048
"""Tokens of the pool that are encoded at a time."""

EPSILON = 1e-10
"""Added to a feature's frequency before its logarithm (transcoder_circuits)."""


class FitMeter:
    """Adds up how well a transcoder explains what an MLP wrote, batch by batch, in float64.

    Attributes:
        fired: on how many of them each feature was active, int64 [n_features].
    """

    def __init__(self, n_features: int) -> None:
        self.fired = torch.zeros(n_features, dtype=torch.long)
        self._unexplained = Unexplained()

    def add(
        self,
        prediction: Float[Tensor, "token d_out"],
        target: Float[Tensor, "token d_out"],
        features: Float[Tensor, "token n_features"],
    ) -> None:
        """Take a batch in; ``target`` is what the MLP wrote."""
        self._unexplained.add(prediction, target)
        self.fired += (features != 0).sum(0).cpu()

    @property
    def tokens(self) -> int:
        """Number of tokens seen."""
        return self._unexplained.tokens

    @property
    def mean(self) -> Float[Tensor, " d_out"]:
        """The mean target."""
        return self._unexplained.mean

    @property
    def fvu(self) -> float:
        """The squared error divided by that of the mean target: the fraction of variance unexplained.

        Raises:
            UserError: if the target never varies, or prediction or target is not finite.
        """
        fraction = self._unexplained.fraction
        if not math.isfinite(self._unexplained.error):
            raise UserError("The transcoder's output, or the MLP's, is not finite; train again with a smaller --lr or with --dtype float32.")
        if math.isnan(fraction):
            raise UserError("The MLP writes the same for every token of the evaluation, so there is nothing to explain; give other texts.")
        return fraction

    @property
    def l0(self) -> float:
        """Mean number of active features a token."""
        return self.fired.sum().item() / self.tokens


@dataclass(frozen=True)
class Evaluation:
    """A transcoder's figures on held-out contexts.

    Attributes:
        fvu: fraction of the MLP output's variance unexplained.
        l0: mean number of active features a token.
        dead_features: features that fire on no token, or on a smaller share than the recipe's threshold.
        n_features: number of features.
        tokens: tokens that fvu and l0 are taken over.
        frequency_tokens: tokens that dead features are counted over: those, and the training's pool of activations. On few tokens, features
            that are rare look dead.
        ce_loss_without_sae: cross entropy of the model itself, in nats a token.
        ce_loss_with_sae: the same with the transcoder in the place of the MLP.
        ce_loss_with_ablation: the same with the MLP's mean output in its place.
        loss_recovered: the share of the loss between ablation and model that the transcoder wins back; 1 is as good as the MLP;
            None unless the ablation makes it worse. Transcoder and mean stand in at every token, a context's first one included; those of an
            autoencoder only where it was trained.
    """

    fvu: float
    l0: float
    dead_features: int
    n_features: int
    tokens: int
    frequency_tokens: int
    ce_loss_without_sae: float
    ce_loss_with_sae: float
    ce_loss_with_ablation: float
    loss_recovered: float | None


def logged(figures: Evaluation, frequency: Float[Tensor, " n_features"]) -> dict[str, float]:
    """An evaluation's figures for WandB, under transcoder_circuits' names where it has them."""
    found = {
        "evaluation/fvu": figures.fvu,
        "evaluation/l0": figures.l0,
        "evaluation/dead_features": figures.dead_features,
        "metrics/ce_loss_without_sae": figures.ce_loss_without_sae,
        "metrics/ce_loss_with_sae": figures.ce_loss_with_sae,
        "metrics/ce_loss_with_ablation": figures.ce_loss_with_ablation,
        "sparsity/below_1e-5": (frequency < 1e-5).double().mean().item(),
    }
    return found if figures.loss_recovered is None else found | {"metrics/CE_loss_score": figures.loss_recovered}


@torch.no_grad()
def evaluate(
    model: HookedModel,
    tokenizer: PreTrainedTokenizerFast,
    transcoders: dict[int, Transcoder],
    contexts: Sequence[list[int]],
    device: torch.device,
    batch_size: int = 32,
    keep_first_token: bool = False,
    dead_feature_threshold: float = 0.0,
    pools: Mapping[int, Float[Tensor, "token d_in"]] | None = None,
) -> dict[int, tuple[Evaluation, Float[Tensor, " n_features"]]]:
    """Measure each layer's transcoder alone, on contexts that it was not trained on.

    Args:
        pools: further inputs of each layer, for counting how often features fire.

    Returns:
        For each layer its figures, and each feature's frequency, float64.
    """
    transcoders = {layer: transcoder.copy_to(device, torch.float32) for layer, transcoder in transcoders.items()}
    meters = {layer: FitMeter(t.n_features) for layer, t in transcoders.items()}
    batches = [pad_contexts(contexts[i : i + batch_size], tokenizer, device) for i in range(0, len(contexts), batch_size)]
    for batch in batches:
        kept = stands_in(batch, keep_first_token)
        activations = model.activations(batch)
        for layer, transcoder in transcoders.items():
            x, y = select(activations[layer], kept, device)
            features = transcoder.encode(x.float())
            meters[layer].add(transcoder.decode(features, x.float()), y, features)

    def standing_in(layer: int, compute: Replacement) -> dict[int, Replacement]:
        sites = model.sites[layer]

        def replace(x: Float[Tensor, "row column d_in"]) -> Float[Tensor, "row column d_out"]:
            written = compute(x.to(device, torch.float32)).to(x.device)
            if sites.reads == sites.writes and not keep_first_token:
                # Without its first token's own huge activations in the stream a model breaks down, whatever the other tokens are.
                written = torch.cat([x[:, :1], written[:, 1:].to(x.dtype)], 1)
            return written

        return {layer: replace}

    def loss(replacements: dict[int, Replacement]) -> float:
        losses = [token_losses(model.logits(batch, replacements), batch).double() for batch in batches]
        return torch.cat(losses).mean().item()

    clean, results = loss({}), {}
    for layer, transcoder in transcoders.items():
        meter = meters[layer]
        mean = meter.mean.to(device=device, dtype=torch.float32)
        spliced = loss(standing_in(layer, transcoder))
        ablated = loss(standing_in(layer, _always(mean)))
        fired, tokens = meter.fired, meter.tokens
        for x in (pools or {}).get(layer, torch.empty(0)).split(POOL_BATCH):
            if len(x):
                fired = fired + (transcoder.encode(x.float()) != 0).sum(0).cpu()
                tokens += len(x)
        frequency = fired.double() / tokens
        dead = int(((fired == 0) | (frequency < dead_feature_threshold)).sum())
        recovered = (ablated - spliced) / (ablated - clean) if ablated > clean else None
        figures = Evaluation(meter.fvu, meter.l0, dead, len(frequency), meter.tokens, tokens, clean, spliced, ablated, recovered)
        results[layer] = figures, frequency
    return results


def _always(mean: Float[Tensor, " d_out"]) -> Replacement:
    """Writes the same for every token."""
    return lambda x: mean.expand(*x.shape[:-1], -1)
