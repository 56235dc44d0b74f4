"""TransformerLens's bridge around a model with a transcoder, which stands in for the MLP at the bridge's own hook points."""

from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.sites import resolve
from huggingface.transcoder import Transcoder
from huggingface.transcoder_adapter import adapt
from util.errors import UserError

HOOK_POINTS = {
    "mlp_in": "mlp.hook_in",
    "normalized": "ln2.hook_normalized",
    "resid_mid": "ln2.hook_in",
    "mlp_out": "mlp.hook_out",
    "added": "hook_mlp_out",
    "added_normalized": "ln2_post.hook_normalized",
}
"""The bridge's names of our sites."""


def bridged(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Any:
    """A ``TransformerBridge`` of ``model``, whose modules it wraps for good.

    Raises:
        UserError: if the bridge does not know the model.
    """
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
    from transformer_lens.model_bridge import TransformerBridge

    if type(model).__name__ not in SUPPORTED_ARCHITECTURES:
        raise UserError(f"TransformerLens's bridge does not know {type(model).__name__}; use the Hugging Face model itself.")
    name = model.config.name_or_path
    return TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=tokenizer, device=model.device, dtype=model.dtype)


def bridge_with_transcoder(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, transcoder: Transcoder) -> Any:
    """A ``TransformerBridge`` of ``model``, whose modules it wraps for good, that computes with ``transcoder`` in the place of a layer's MLP.

    The MLP itself still runs; what it writes is replaced before anything sees it but its own hook points.

    Args:
        model: with its own MLPs in place.

    Raises:
        CheckpointError: if the transcoder does not fit the model.
        UserError: for a site that the bridge has no hook point for, or a model that it does not know.
    """
    sites, adapted = resolve(transcoder.sites, model, layer), adapt(transcoder, model, layer)
    bridge = bridged(model, tokenizer)
    points = [f"blocks.{layer}.{HOOK_POINTS.get(site, site)}" for site in (sites.reads, sites.writes)]
    if unknown := [point for point in points if point not in bridge.hook_dict]:
        raise UserError(f"TransformerLens's bridge has no hook point {unknown[0]} in {type(model).__name__}; use the Hugging Face model itself.")
    reads, writes = (bridge.hook_dict[point] for point in points)
    read: list[torch.Tensor] = []

    def keep(value: torch.Tensor, hook: Any) -> None:  # noqa: ARG001 - the bridge passes it
        read[:] = [value]

    def put(value: torch.Tensor, hook: Any) -> torch.Tensor:  # noqa: ARG001
        return adapted(read.pop()).to(value.dtype)

    reads.add_hook(keep, is_permanent=True)
    writes.add_hook(put, is_permanent=True)
    return bridge
