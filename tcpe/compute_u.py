"""The key of an edit: which features fire at the subject (k*), and the direction that singles them out (u)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import down_projection
from huggingface.context import check_fits_context
from huggingface.tokenization import pad
from tcpe.contexts import Context
from tcpe.second_moment import SecondMoment
from util.errors import EditError
from util.hooks import Trace
from util.memory import out_of_memory_explained


@out_of_memory_explained()
@torch.no_grad()
def compute_key(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, contexts: Sequence[Context], batch_size: int = 16
) -> Float[Tensor, " n_features"]:
    """k*: the mean over contexts of what the layer's down projection reads at the token where the edit acts.

    This one key stands wherever the update's equation has k*. ROME's own code takes the key of the plain prompt in one place and the
    mean in another, for which models collapse after some edits (Gupta et al. 2024, "Rebuilding ROME: Resolving Model Collapse during
    Sequential Model Editing", https://arxiv.org/abs/2403.07175).

    Returns:
        float32 on the CPU; with a transcoder in the layer these are its feature activations.

    Raises:
        EditError: if no feature is active, an activation is not finite, or memory runs out.
        UserError: if a prompt is longer than the model's context.
    """
    check_fits_context(model, max(context.position for context in contexts) + 1, "The longest prompt up to its edited token")
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(contexts), batch_size):
        # What follows the token cannot change it, so each row ends there, in the last column.
        rows = [context.ids[: context.position + 1] for context in contexts[start : start + batch_size]]
        batch = pad(rows, tokenizer.pad_token_id, model.device)
        with Trace(down_projection(model, layer), stop=True) as trace:
            model(**batch._asdict(), use_cache=False)
        total = total + trace.input[:, -1].cpu().double().sum(0)
    key = (total / len(contexts)).float()
    if not torch.isfinite(key).all():
        raise not_finite(layer)
    if not key.any():
        raise EditError(f"No feature of layer {layer} is active at the token of the edit; choose another --fact_token, subject or layer.")
    return key


def not_finite(layer: int) -> EditError:
    """What to say about NaN and infinity in a forward pass."""
    return EditError(
        f"The activations of layer {layer} or the logits are not finite; load the model with --dtype bfloat16 or float32, and see that its "
        "checkpoint and its transcoder are whole."
    )


def compute_u(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    layer: int,
    contexts: Sequence[Context],
    moment: SecondMoment,
    epsilon: float = 1e-8,
) -> Float[Tensor, " n_features"]:
    """ROME's left vector u of an edit in ``contexts``, by the name that ROME's code gives it: ``key_direction`` of ``compute_key``.

    Returns:
        float32 on the CPU, of length 1.

    Raises:
        EditError, UserError: as those two do.
    """
    return key_direction(moment, compute_key(model, tokenizer, layer, contexts), epsilon)


def key_direction(moment: SecondMoment, key: Float[Tensor, " n_features"], epsilon: float) -> Float[Tensor, " n_features"]:
    """u = (C + epsilon I)^-1 k*, scaled to length 1; float32.

    Raises:
        EditError: if C + epsilon I is singular, or made from another number of features.

    Source: ROME, equation (2), with epsilon for features that never fire.
    """
    direction = moment.solve(key.double(), epsilon)
    return (direction / direction.norm()).float()
