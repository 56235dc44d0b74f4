"""A transcoder in the place of a layer's MLP: its sites mapped to the model's, its fit measured."""

import copy
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import architecture_of, down_projection, layer_of, mlp_of, set_mlp
from huggingface.tokenization import encode, pad
from huggingface.transcoder import Transcoder
from util.errors import CheckpointError, UserError
from util.hooks import Trace

logger = logging.getLogger(__name__)

MLP_INPUT_SITES = ("mlp_in", "mlp.hook_in")
NORMALIZED_SITE = "ln2.hook_normalized"
MLP_OUTPUT_SITES = ("mlp_out", "hook_mlp_out", "mlp.hook_out")

_BLOCK = re.compile(r"^blocks\.\d+\.")


def adapt(transcoder: Transcoder, model: PreTrainedModel, layer: int) -> Transcoder:
    """A copy of ``transcoder`` that reads the Hugging Face MLP's input, on the layer's device and in its dtype.

    A site before the norm's weight (and bias) is reached by dividing them out, folded into the encoder:
    ``W ((x - b) / w) + c = (W / w) x + (c - (W / w) b)``.

    Raises:
        CheckpointError: if the widths do not fit the model, or the site is not known.
    """
    layer_module, architecture = layer_of(model, layer), architecture_of(model)
    width = model.config.hidden_size
    found = (transcoder.up_proj.in_features, transcoder.down_proj.out_features)
    if found != (width, width):
        raise CheckpointError(f"The transcoder maps width {found[0]} to {found[1]}, but the model has width {width}; give the model's own.")
    adapted = copy.deepcopy(transcoder)
    reads, writes = (_BLOCK.sub("", site) for site in (transcoder.sites.reads, transcoder.sites.writes))
    if writes not in MLP_OUTPUT_SITES:
        raise CheckpointError(f"The transcoder writes {writes}, which is not the MLP's output; known are {', '.join(MLP_OUTPUT_SITES)}.")
    if reads == NORMALIZED_SITE:
        norm = layer_module.get_submodule(architecture.mlp_norm)
        weight = norm.weight.detach().double().cpu() + architecture.norm_weight_offset
        if not weight.all():
            raise CheckpointError(f"The norm before the MLP of layer {layer} has zero weights, so {reads} cannot be recovered.")
        bias = getattr(norm, "bias", None)
        encoder = adapted.up_proj.weight.double() / weight
        adapted.up_proj.weight.copy_(encoder)
        if bias is not None:
            adapted.up_proj.bias.copy_(adapted.up_proj.bias.double() - encoder @ bias.detach().double().cpu())
    elif reads not in MLP_INPUT_SITES:
        raise CheckpointError(
            f"The transcoder reads {reads}, which cannot be mapped to the MLP's input; known are {', '.join(MLP_INPUT_SITES)} and "
            f"{NORMALIZED_SITE}."
        )
    weight = down_projection(model, layer).weight
    return adapted.to(device=weight.device, dtype=weight.dtype)


def splice_transcoder(model: PreTrainedModel, layer: int, transcoder: Transcoder) -> nn.Module:
    """Replace the MLP of ``layer`` by ``transcoder`` and return the MLP, for putting it back with ``set_mlp``.

    Raises:
        CheckpointError: as ``adapt``.
    """
    adapted, mlp = adapt(transcoder, model, layer), mlp_of(model, layer)
    set_mlp(model, layer, adapted)
    return mlp


@contextmanager
def spliced(model: PreTrainedModel, layer: int, transcoder: Transcoder) -> Iterator[None]:
    """While open, ``transcoder`` stands in for the MLP of ``layer``."""
    mlp = splice_transcoder(model, layer, transcoder)
    try:
        yield
    finally:
        set_mlp(model, layer, mlp)


@torch.inference_mode()
def unexplained_variance(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, transcoder: Transcoder, texts: list[str], max_tokens: int = 512
) -> float:
    """The fraction of the MLP output's variance over the tokens of ``texts`` that ``transcoder`` leaves unexplained (FVU).

    About 0 is a perfect stand-in, 1 no better than the mean. The model's own MLP must still be in place. The first token
    of each text is left out: its activations are so large that they would decide the figure alone.

    Raises:
        UserError: if the texts have fewer than two tokens to measure on.
    """
    adapted, mlp = adapt(transcoder, model, layer), mlp_of(model, layer)
    targets, predictions = [], []
    for text in texts:
        batch = pad([encode(tokenizer, text).ids[:max_tokens]], tokenizer.pad_token_id, model.device)
        with Trace(mlp, stop=True) as trace:
            model(input_ids=batch.input_ids)
        targets.append(trace.output[0, 1:].double())
        predictions.append(adapted(trace.input)[0, 1:].double())
    target, prediction = torch.cat(targets), torch.cat(predictions)
    if len(target) < 2:
        raise UserError("There are too few tokens to measure the transcoder on; give longer texts.")
    fraction = ((target - prediction).square().sum() / (target - target.mean(0)).square().sum()).item()
    logger.info("The transcoder leaves %.2f %% of the variance of layer %d's MLP output unexplained", 100 * fraction, layer)
    return fraction
