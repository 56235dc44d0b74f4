"""Running only as much of a model as some of its logits need, from a hidden state that is known."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.architectures import layers_of, mlp_of


def logits_after(
    model: PreTrainedModel, layer: int, state: Float[Tensor, "row column d_model"], columns: list[int], **inputs: Any
) -> Float[Tensor, "row kept vocabulary"]:
    """The model's logits in ``columns`` when ``layer`` returns ``state``, by running only the layers behind it.

    The model's own code still makes the masks and positions and runs the later layers, so this holds for every family whose layers
    return one tensor and whose MLPs treat each token on its own.

    Args:
        inputs: what else the model's forward takes. The layers up to ``layer`` leave a key/value cache as it is.
    """
    layers = layers_of(model)
    with ExitStack() as replaced:
        for module in layers[: layer + 1]:
            replaced.enter_context(_forward_replaced(module, lambda *_args, **_kwargs: state))
        if layer < len(layers) - 1:
            mlp = mlp_of(model, len(layers) - 1)
            replaced.enter_context(_forward_replaced(mlp, _in_columns(mlp.forward, columns)))
        # Numbers and not a tensor: it would have to be where the last layer is, when a model is spread over several devices.
        return model(**inputs, logits_to_keep=columns).logits


def _in_columns(forward: Callable[[Tensor], Tensor], columns: list[int]) -> Callable[[Tensor], Tensor]:
    """``forward`` in some columns and zero in the others, which nothing behind the last MLP reads."""

    def partial(x: Float[Tensor, "row column d_model"]) -> Float[Tensor, "row column d_model"]:
        output = torch.zeros_like(x)
        output[:, columns] = forward(x[:, columns])
        return output

    return partial


@contextmanager
def _forward_replaced(module: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    """While open, ``module`` computes ``forward``."""
    # A forward of the instance, such as accelerate's for a model on several devices, is put back as it was.
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own
