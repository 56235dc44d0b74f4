"""Transcoders in the place of MLPs for a while, or nothing in their place; the very modules are back afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.architectures import architecture_of, attention_of, is_parallel, layer_of, mlp_of, place_of
from huggingface.sites import encoded_point
from huggingface.transcoder import Transcoder
from huggingface.transcoder_adapter import adapt, splice_transcoder
from transcoder_circuits.patching import mapped
from transcoder_circuits.sets import Transcoders, by_layer


class _Replaced:
    """A context that puts modules into layers; contexts nest, and what was there is back after an exception too."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model, self._stack = model, ExitStack()

    def _put(self) -> None:
        raise NotImplementedError

    def _back(self, layer: int, replaced: dict[str, nn.Module]) -> None:
        """Remember what to put back."""
        for place, module in replaced.items():
            self._stack.callback(layer_of(self._model, layer).set_submodule, place, module)

    def __enter__(self) -> "_Replaced":
        try:
            self._put()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()


class TranscoderReplacementContext(_Replaced):
    """While open, transcoders stand in for the MLPs of their layers, and what an autoencoder makes of its site stands there instead.

    What passes an autoencoder's site at a text's first token, on which none is trained, stays as it is: without that token's own huge
    activations a model breaks down, whatever the other tokens are.

    Raises:
        CheckpointError: if one does not fit the model; nothing is replaced then.
    """

    def __init__(self, model: PreTrainedModel, transcoders: Transcoders) -> None:
        super().__init__(model)
        self._transcoders = by_layer(transcoders)

    def _put(self) -> None:
        for layer, transcoder in self._transcoders.items():
            if transcoder.sites.autoencoder:
                self._stack.enter_context(reconstructed(self._model, layer, transcoder))
            else:
                self._back(layer, splice_transcoder(self._model, layer, transcoder))


@contextmanager
def reconstructed(model: PreTrainedModel, layer: int, sae: Transcoder) -> Iterator[None]:
    """While open, what passes an autoencoder's site is what it makes of it, but for a batch's first column.

    Raises:
        UserError: if the model has no such layer.
        CheckpointError: if the autoencoder does not fit the model.
    """
    encoded, adapted = encoded_point(sae.sites, model, layer), adapt(sae, model, layer)
    module, attention, mlp = layer_of(model, layer), attention_of(model, layer), mlp_of(model, layer)
    site = "resid_pre" if encoded == "resid_mid" and is_parallel(model) else encoded
    stream: list[Tensor] = []

    def put(x: Tensor) -> Tensor:
        return torch.cat([x[:, :1], adapted(x[:, 1:])], 1)

    def read(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        x = args[0] if args else kwargs["hidden_states"]
        stream[:] = [x]
        if site != "resid_pre":
            return args, kwargs
        return ((put(x), *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": put(x)})

    # The stream between attention and MLP is changed by what the attention adds to it.
    change = (lambda out: put(stream[0] + out) - stream[0]) if site == "resid_mid" else put
    behind_attention = place_of(model, module, "post_attention_norm") or attention
    writes = {
        "attn_added": behind_attention,
        "resid_mid": behind_attention,
        "mlp_out": mlp,
        "added": place_of(model, module, "post_mlp_norm") or mlp,
        "resid_post": module,
    }
    handles = [module.register_forward_pre_hook(read, with_kwargs=True)]
    if site in writes:
        handles.append(writes[site].register_forward_hook(lambda _module, _args, output: mapped(output, change)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Nothing(nn.Module):
    """Writes zeros."""

    def forward(self, x: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any d_model"]:
        return torch.zeros_like(x)


class ZeroAblationContext(_Replaced):
    """While open, the MLPs of some layers add nothing to the residual stream.

    Raises:
        UserError: if a layer is not there; nothing is replaced then.
    """

    def __init__(self, model: PreTrainedModel, layers: Sequence[int]) -> None:
        super().__init__(model)
        self._layers = list(layers)

    def _put(self) -> None:
        places = architecture_of(self._model)
        for layer in self._layers:
            module = layer_of(self._model, layer)
            # A norm behind the MLP may have a bias, which would be added all the same.
            for place in filter(None, (places.mlp, places.post_mlp_norm)):
                self._back(layer, {place: module.get_submodule(place)})
                module.set_submodule(place, _Nothing())
