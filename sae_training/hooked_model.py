"""A model whose MLPs are watched and replaced: through TransformerLens's bridge, or with plain hooks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import layer_of
from huggingface.replacement import Substitute, read_sites, substituted
from huggingface.tokenization import Batch, pad, positions
from huggingface.transcoder import Sites
from util.errors import UserError

logger = logging.getLogger(__name__)

Replacement = Callable[[Float[Tensor, "... d_in"]], Float[Tensor, "... d_out"]]


class Activations(NamedTuple):
    """What one site pair gave for a batch, in the model's dtype; the batch's padding is in it."""

    inputs: Float[Tensor, "row column d_in"]
    outputs: Float[Tensor, "row column d_out"]


@runtime_checkable
class HookedModel(Protocol):
    """What training needs of a model.

    Attributes:
        sites: for each watched layer, where is read and written.
    """

    sites: dict[int, Sites]

    def activations(self, batch: Batch) -> dict[int, Activations]:
        """Run up to the last watched layer."""

    def logits(self, batch: Batch, replacements: Mapping[int, Replacement]) -> Float[Tensor, "row column vocabulary"]:
        """Run the whole model, with what some layers' MLPs write computed from what they read; nothing stays replaced. Gradients flow."""


class BridgedModel:
    """TransformerLens's bridge around a Hugging Face model: any of its hook points. The model's modules are wrapped for good.

    Raises:
        UserError: for a hook point that the model does not have.
    """

    def __init__(self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, sites: dict[int, Sites]) -> None:
        from transformer_lens.model_bridge import TransformerBridge

        self.sites = sites
        self._bridge = TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=tokenizer, device=model.device, dtype=model.dtype)
        known = self._bridge.hook_dict
        for site in sites.values():
            for hook_point in (site.reads, site.writes):
                if hook_point not in known:
                    block = hook_point[: hook_point.index(".", len("blocks."))]
                    found = [point.removeprefix(f"{block}.") for point in known if point.startswith(f"{block}.")]
                    raise UserError(f"The model has no hook point {hook_point}; in {block} it has {', '.join(found)}.")

    @torch.no_grad()
    def activations(self, batch: Batch) -> dict[int, Activations]:
        found: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: Any) -> None:
            found[hook.name] = value

        hooks = {self._name(point): keep for site in self.sites.values() for point in (site.reads, site.writes)}
        self._bridge.run_with_hooks(batch.input_ids, fwd_hooks=list(hooks.items()), return_type=None, stop_at_layer=max(self.sites) + 1)
        return {layer: Activations(found[self._name(site.reads)], found[self._name(site.writes)]) for layer, site in self.sites.items()}

    def _name(self, point: str) -> str:
        """The name that a hook point has itself: TransformerLens has several for some."""
        return self._bridge.hook_dict[point].name or point

    def logits(self, batch: Batch, replacements: Mapping[int, Replacement]) -> Float[Tensor, "row column vocabulary"]:
        read: dict[str, Tensor] = {}
        hooks: list[tuple[str | Callable[..., Any], Callable[..., Any]]] = []
        for layer, replace in replacements.items():
            source, target = (self._name(point) for point in (self.sites[layer].reads, self.sites[layer].writes))

            def keep(value: Tensor, hook: Any) -> None:
                read[hook.name] = value

            def put(value: Tensor, hook: Any, source: str = source, replace: Replacement = replace) -> Tensor:  # noqa: ARG001
                return replace(read[source]).to(value.dtype)

            hooks += [(source, keep), (target, put)]
        return self._bridge.run_with_hooks(batch.input_ids, fwd_hooks=hooks, return_type="logits")


class PlainModel:
    """Hooks on the modules of a model of the architecture table, at the sites that ``huggingface/sites.py`` knows.

    Raises:
        UserError: for other hook points.
    """

    def __init__(self, model: PreTrainedModel, sites: dict[int, Sites]) -> None:
        if encoder := next((site for site in sites.values() if site.autoencoder), None):
            raise UserError(f"Plain hooks read and write around MLPs, not {encoder.reads} alone; give --hooks bridge, or two hook points.")
        self.sites, self._model = sites, model

    @torch.no_grad()
    def activations(self, batch: Batch) -> dict[int, Activations]:
        everywhere = torch.ones_like(batch.attention_mask)  # padding is on the right; the bridge sees it as tokens too
        unmasked = Batch(batch.input_ids, everywhere, positions(everywhere))
        return {layer: Activations(*found) for layer, found in read_sites(self._model, self.sites, unmasked).items()}

    def logits(self, batch: Batch, replacements: Mapping[int, Replacement]) -> Float[Tensor, "row column vocabulary"]:
        def standing_in(replace: Replacement) -> Substitute:
            return lambda x, _own: replace(x)

        with substituted(self._model, {layer: (self.sites[layer], standing_in(replace)) for layer, replace in replacements.items()}):
            return self._model(input_ids=batch.input_ids, use_cache=False).logits


def hook_model(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, sites: dict[int, Sites], hooks: str = "auto"
) -> HookedModel:
    """Watch ``sites`` of ``model``; ``hooks`` is "bridge", "plain", or "auto": the bridge if it knows the model.

    Raises:
        UserError: for a layer or hook point that the model does not have, or with "bridge" a model that the bridge does not know.
    """
    for layer in sites:
        layer_of(model, layer)
    knows = hooks != "plain" and _bridge_knows(model)
    if hooks == "bridge" and not knows:
        raise UserError(f"TransformerLens's bridge does not know {type(model).__name__}; give --hooks plain.")
    if knows:
        return BridgedModel(name, model, tokenizer, sites)
    logger.info("plain hooks on %s", type(model).__name__)
    return PlainModel(model, sites)


def _bridge_knows(model: PreTrainedModel) -> bool:
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES

    return type(model).__name__ in SUPPORTED_ARCHITECTURES


def pad_contexts(contexts: Sequence[list[int]], tokenizer: PreTrainedTokenizerFast, device: Any) -> Batch:
    """Contexts as a batch, padded on the right: behind a causal model's back, so that no mask is needed."""
    return pad(list(contexts), tokenizer.pad_token_id, device, side="right")


def stands_in(batch: Batch, first_token: bool) -> Bool[Tensor, "row column"]:
    """Where a batch of contexts has tokens, with or without each context's first."""
    kept = batch.attention_mask.bool()
    if not first_token:
        kept[:, 0] = False
    return kept


def token_losses(logits: Float[Tensor, "row column vocabulary"], batch: Batch) -> Float[Tensor, " predicted"]:
    """Cross entropy of each real token but a row's first, in nats."""
    kept = batch.attention_mask[:, 1:].bool()
    return cross_entropy(logits[:, :-1][kept].float(), batch.input_ids[:, 1:][kept], reduction="none")
