"""TransformerLens's bridge around a model with a transcoder, which stands in for the MLP at the bridge's own hook points."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import architecture_of, layer_of, mlp_of
from huggingface.sites import ignores_the_mean, norms_of, resolve
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
        UserError: if the bridge does not know the model, a transcoder stands in it, or the tokenizer is from no folder; the model is left as it was.
    """
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
    from transformer_lens.model_bridge import TransformerBridge

    if type(model).__name__ not in SUPPORTED_ARCHITECTURES:
        raise UserError(f"TransformerLens's bridge does not know {type(model).__name__}; use the Hugging Face model itself.")
    if any(isinstance(module, Transcoder) for module in model.modules()):
        raise UserError("A transcoder stands in the model, which TransformerLens's bridge does not know; use Model.bridge, or bridge_edited.")
    if tokenizer.bos_token is not None and "name_or_path" not in tokenizer.init_kwargs:
        raise UserError(
            "TransformerLens's bridge reads the tokenizer again, from where it was loaded, and this one was made in memory; "
            "write it with save_pretrained and load it from that folder."
        )
    name = model.config.name_or_path
    return TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=tokenizer, device=model.device, dtype=model.dtype)


def bridge_spliced(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, own: dict[str, nn.Module]) -> Any:
    """A ``TransformerBridge`` of ``model``, whose modules it wraps for good, that computes with the transcoder that stands in a layer.

    The MLP itself runs again; what it writes is replaced before anything sees it but its own hook points. That holds after
    ``enable_compatibility_mode()`` too, which folds the norm before the MLP into its weights, and after ``to()`` and ``reset_hooks()``.

    Args:
        own: the modules that stood in the layer before, as ``splice_transcoder`` gives them; without any, the model is bridged as it is.

    Raises:
        UserError: for a site that the bridge has no hook point for, or as ``bridged``.
    """
    if not own:
        return bridged(model, tokenizer)
    transcoder = mlp_of(model, layer)
    assert isinstance(transcoder, Transcoder)
    for place, module in own.items():
        layer_of(model, layer).set_submodule(place, module)
    sites, adapted = resolve(transcoder.sites, model, layer), adapt(transcoder, model, layer)
    norm, _ = norms_of(model, layer)
    reading = _unfolded(norm, architecture_of(model).norm_weight_offset) if sites.reads == "mlp_in" else nn.Identity()
    bridge = bridged(model, tokenizer)
    if sites.reads == "resid_mid" and ignores_the_mean(norm):
        bridge.adapter.supports_center_writing_weights = False  # the transcoder sees the mean, which the bridge would take away
    points = [f"blocks.{layer}.{HOOK_POINTS.get(site, site)}" for site in (sites.reads, sites.writes)]
    if unknown := [point for point in points if point not in bridge.hook_dict]:
        raise UserError(f"TransformerLens's bridge has no hook point {unknown[0]} in {type(model).__name__}; use the Hugging Face model itself.")
    reads, writes = (bridge.hook_dict[point] for point in points)
    read: list[Tensor] = []

    def keep(_point: nn.Module, _given: tuple[Tensor], value: Tensor) -> None:
        read[:] = [value]

    def keep_last(point: nn.Module, _given: tuple[Tensor]) -> None:
        point._forward_hooks[kept.id] = point._forward_hooks.pop(kept.id)

    def put(_point: nn.Module, _given: tuple[Tensor]) -> tuple[Tensor]:
        value = reading(read.pop())
        return (adapted.to(value.device, value.dtype)(value),)

    # Hooks of PyTorch's own, since the bridge can take all of its away. The first is called behind the user's, the other before them:
    # the transcoder reads what they make of its input, and they see and change what it writes.
    kept = reads.register_forward_hook(keep)
    reads.register_forward_pre_hook(keep_last)
    writes.register_forward_pre_hook(put)
    return bridge


def _unfolded(norm: nn.Module, offset: float) -> Callable[[Float[Tensor, "... width"]], Float[Tensor, "... width"]]:
    """Maps what the MLP reads to what it would read had the bridge not folded the weight and bias of ``norm`` into the MLP.

    Args:
        offset: what the norm adds to its weight.
    """
    weight = norm.get_parameter("weight").detach() + offset
    bias = getattr(norm, "bias", None)
    shift = torch.zeros_like(weight) if bias is None else bias.detach().clone()

    def mlp_in(value: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        now = norm.get_parameter("weight")
        folded = bool((now + offset == 1).all()) and (bias is None or not norm.get_parameter("bias").any())
        return value * weight.to(now) + shift.to(now) if folded else value

    return mlp_in
