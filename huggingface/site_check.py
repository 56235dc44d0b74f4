"""Does a transcoder fit the layer that it is put in? Measured on real text, at the sites that it declares and at the others."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.activations import Point, read_activations
from huggingface.architectures import layers_of, mlp_norm_of
from huggingface.sites import declared_layer, ignores_the_mean, known_sites, reading_norm, resolve, value_written
from huggingface.tokenization import encode, pad
from huggingface.transcoder import Sites, Transcoder
from huggingface.transcoder_adapter import adapt
from huggingface.unexplained import Unexplained
from util.errors import CheckpointError, UserError

REFUSED_FVU = 0.9
"""A transcoder that leaves more of the variance unexplained is refused: 1 is no better than the mean."""

CLEARLY_BETTER = 0.9
"""Another site is clearly better if the transcoder's FVU there is below this share of that at the declared one. It was trained to be
smallest at the right one, so any real gap speaks; what is left out is chance."""

NEGLIGIBLE = 1e-3
"""A smaller difference of two FVUs is rounding, or does not matter."""


class SiteFit(NamedTuple):
    """How well a transcoder stands in for a layer's MLP, read and written at one pair of sites.

    Attributes:
        fvu: the fraction of the written site's variance that is left unexplained: 0 is perfect, 1 no better than the mean.
    """

    layer: int
    sites: Sites
    fvu: float


@torch.inference_mode()
def measure_sites(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, transcoder: Transcoder, texts: Iterable[str], max_tokens: int = 512
) -> list[SiteFit]:
    """The transcoder's fit at its declared sites, then at every other pair of sites of the layer and at the declared ones of its neighbours.

    The model's own MLPs must be in place. The first token of each text is left out: its activations are so large that they would
    decide the figure alone. So is the mean over the width in models with LayerNorm, where nothing sees it.

    Args:
        transcoder: runs in the layer's dtype, as it will when it is spliced in.
        texts: the first ``max_tokens`` tokens of each are read.

    Returns:
        The declared sites' fit first, by what they mean in this model, the rest from the best to the worst.

    Raises:
        CheckpointError: if the widths do not fit the model, or a site is not known.
        UserError: if the texts have fewer than two tokens to measure on.
    """
    declared, adapted = resolve(transcoder.sites, model, layer), adapt(transcoder, model, layer)
    device = adapted.up_proj.weight.device
    reads, writes = known_sites(model, layer)
    pairs = {(layer, Sites(read, write)): Unexplained() for read in reads for write in writes}
    neighbours = [other for other in (layer - 1, layer + 1) if 0 <= other < len(layers_of(model))]
    pairs |= {(other, declared): Unexplained() for other in neighbours}
    inputs = {(other, sites.reads): reading_norm(model, other, sites.reads) for other, sites in pairs}
    points = [Point(other, site) for other in (layer, *neighbours) for site in ("resid_mid", "mlp_out")]
    for text in texts:
        batch = pad([encode(tokenizer, text).ids[:max_tokens]], tokenizer.pad_token_id, model.device)
        found = read_activations(model, points, input_ids=batch.input_ids, use_cache=False)
        predictions = {(other, read): adapted(norm(found[Point(other, "resid_mid")]).to(device)) for (other, read), norm in inputs.items()}
        for (other, sites), unexplained in pairs.items():
            target = value_written(model, other, sites.writes, found[Point(other, "mlp_out")])
            both = [x[0, 1:].to(device).double() for x in (predictions[other, sites.reads], target)]
            if ignores_the_mean(mlp_norm_of(model, other)):
                both = [x - x.mean(-1, keepdim=True) for x in both]
            unexplained.add(*both)
    if not all(unexplained.tokens > 1 for unexplained in pairs.values()):
        raise UserError("There are too few tokens to measure the transcoder on; give longer texts.")
    fits = [SiteFit(other, sites, unexplained.fraction) for (other, sites), unexplained in pairs.items()]
    fits.sort(key=lambda fit: (fit.layer != layer or fit.sites != declared, math.inf if math.isnan(fit.fvu) else fit.fvu))
    return fits


def check_site(transcoder: Transcoder, fits: list[SiteFit], name: str) -> None:
    """Refuse a transcoder that explains hardly anything, or that fits another site clearly better than the one that it declares.

    Args:
        fits: what ``measure_sites`` says.
        name: what the user calls the transcoder.

    Raises:
        CheckpointError: with the table of ``fits``.
    """
    own, best = fits[0], min((fit for fit in fits if not math.isnan(fit.fvu)), key=lambda fit: fit.fvu, default=fits[0])
    said = declared_layer(transcoder.sites)
    if best.fvu < CLEARLY_BETTER * own.fvu - NEGLIGIBLE and best.fvu < REFUSED_FVU:
        where = f"--layer_num {best.layer}" if best.layer != own.layer else f"--TC_sites {best.sites.reads} {best.sites.writes}"
        reason = f"fits another site than the one it declares clearly better; give {where}"
    elif not own.fvu < REFUSED_FVU:
        reason = f"leaves {own.fvu:.0%} of the variance of layer {own.layer}'s output unexplained, so it is of another model, layer or site; give "
        reason += "the right --TC_layer_file and --layer_num"
    elif said not in (None, own.layer):
        reason = f"says that it is of layer {said} ({transcoder.sites.reads}), not {own.layer}; give the right --TC_layer_file and --layer_num"
    else:
        return
    raise CheckpointError(f"The transcoder {name} {reason}, or --skip_site_check to use it all the same:\n{site_table(fits)}")


def site_table(fits: list[SiteFit]) -> str:
    """``fits`` as a table, the declared sites marked."""
    rows = [f"layer  {'reads':<18} {'writes':<17} unexplained (FVU)"]
    for row, (layer, sites, fvu) in enumerate(fits):
        rows.append(f"{layer:>5}  {sites.reads:<18} {sites.writes:<17} {fvu:.3g}{'' if row else ' (declared)'}")
    return "\n".join(rows)
