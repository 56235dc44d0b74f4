"""How well a cross-layer transcoder stands in for all MLPs: on what they write, and in the model's predictions."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.cross_layer_transcoder import CrossLayerTranscoder
from huggingface.replacement import read_sites, replaced, substituted
from huggingface.tokenization import Batch
from huggingface.transcoder import Sites
from sae_training.buffer import Pair, select
from sae_training.evaluation import POOL_BATCH, Evaluation, FitMeter
from sae_training.hooked_model import Activations, pad_contexts, stands_in, token_losses


@torch.no_grad()
def collect_pairs(model: PreTrainedModel, sites: Mapping[int, Sites], batches: Sequence[Batch], first_token: bool = False) -> list[Pair]:
    """What each layer reads and writes at ``sites`` at the tokens of ``batches``, float32 on the model's device.

    Args:
        batches: padded on the right.
        first_token: whether a row's first token counts.
    """
    parts: dict[int, list[Pair]] = {layer: [] for layer in sites}
    for batch in batches:
        kept = stands_in(batch, first_token)
        for layer, (read, written) in read_sites(model, sites, batch).items():
            parts[layer].append((read[kept.to(read.device)].float(), written[kept.to(written.device)].float()))
    return [(torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])) for pairs in parts.values()]


@torch.no_grad()
def cross_entropy(model: PreTrainedModel, batches: Sequence[Batch], standing_in: AbstractContextManager[object] | None = None) -> float:
    """The model's mean cross entropy on ``batches``, in nats a token, while the context ``standing_in`` is open."""
    with standing_in or nullcontext():
        losses = [token_losses(model(**batch._asdict(), use_cache=False).logits, batch).double() for batch in batches]
    return torch.cat(losses).mean().item()


@torch.no_grad()
def evaluate_cross_layer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    transcoder: CrossLayerTranscoder,
    contexts: Sequence[list[int]],
    batch_size: int = 32,
    dead_feature_threshold: float = 0.0,
    pools: Mapping[int, Float[Tensor, "token d_model"]] | None = None,
) -> dict[int, tuple[Evaluation, Float[Tensor, " n_features"]]]:
    """Measure a transcoder on contexts that it was not trained on.

    Args:
        pools: further inputs of each layer, for counting how often features fire.

    Returns:
        For each layer its figures, and each feature's frequency, float64. The cross entropies are those of the whole model, the same for all
        layers: with the transcoder in the place of all MLPs, and with their mean outputs there.
    """
    layers, device = range(transcoder.n_layers), transcoder.scale_in.device
    sites = dict.fromkeys(layers, transcoder.sites)
    batches = [pad_contexts(contexts[i : i + batch_size], tokenizer, model.device) for i in range(0, len(contexts), batch_size)]
    meters = [FitMeter(transcoder.n_features) for _ in layers]
    for batch in batches:
        kept = stands_in(batch, transcoder.first_token)
        pairs = [select(Activations(*pair), kept, device) for pair in read_sites(model, sites, batch).values()]
        features = [transcoder.encode(x.to(transcoder.scale_in), layer) for layer, (x, _) in enumerate(pairs)]
        for meter, made, active, (_, y) in zip(meters, transcoder.decode(features), features, pairs):
            meter.add(made, y, active)
    clean, spliced = cross_entropy(model, batches), cross_entropy(model, batches, replaced(model, transcoder))
    means = [meter.mean.float() for meter in meters]
    constant = {layer: (transcoder.sites, lambda _x, own, mean=means[layer]: mean.to(own).expand_as(own)) for layer in layers}
    ablated = cross_entropy(model, batches, substituted(model, constant))
    recovered = (ablated - spliced) / (ablated - clean) if ablated != clean else None
    results = {}
    for layer, meter in enumerate(meters):
        fired, tokens = meter.fired, meter.tokens
        for x in (pools or {}).get(layer, torch.empty(0)).split(POOL_BATCH):
            if len(x):
                fired = fired + (transcoder.encode(x.to(transcoder.scale_in), layer) != 0).sum(0).cpu()
                tokens += len(x)
        frequency = fired.double() / tokens
        dead = int(((fired == 0) | (frequency < dead_feature_threshold)).sum())
        figures = Evaluation(meter.fvu, meter.l0, dead, len(frequency), meter.tokens, tokens, clean, spliced, ablated, recovered)
        results[layer] = figures, frequency
    return results
