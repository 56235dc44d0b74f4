"""What every way of editing has in common: changes of some weights of a model, written in and taken back to the bit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from util.errors import EditError


@dataclass(frozen=True)
class WeightChange:
    """What an edit adds to one weight of a model.

    Attributes:
        name: the weight's, for messages.
        weight: the model's own weight as [outputs, inputs], a view: what is written into it changes the model.
        columns: the inputs whose columns change, ascending.
        delta: float32, on the weight's device: what is added to those columns.
    """

    name: str
    weight: Float[Tensor, "d_out d_in"]
    columns: Int[Tensor, " n_columns"]
    delta: Float[Tensor, "d_out n_columns"]


@runtime_checkable
class WeightEdit(Protocol):
    """An edit of any weights in any layers, ready to be applied: a rank-one update, a merged one, or what a rival of TCPE has found."""

    def check(self, model: PreTrainedModel, other_model: bool = False) -> None:
        """Refuse a model that the edit was not made for.

        Args:
            other_model: let other weights of the same shape pass.

        Raises:
            EditError: saying what does not fit.
        """

    def changes(self, model: PreTrainedModel) -> Sequence[WeightChange]:
        """What the edit adds to the weights of ``model``, which is left as it is."""


@dataclass(frozen=True)
class Replaced:
    """Columns of a weight as they were before an edit.

    Attributes:
        weight: the model's own, as in ``WeightChange``.
        columns: which of its columns.
        values: what stood there, in the weight's dtype.
    """

    weight: Float[Tensor, "d_out d_in"]
    columns: Int[Tensor, " n_columns"]
    values: Float[Tensor, "d_out n_columns"]


@torch.no_grad()
def write(changes: Iterable[WeightChange]) -> list[Replaced]:
    """Add ``changes`` to the weights that they name; those of one weight are summed.

    The new columns are computed in float32 and rounded once to the weight's dtype.

    Returns:
        What was there, for ``restore``.

    Raises:
        EditError: if a weight's dtype cannot hold what it should become; all weights are then as they were.
    """
    of_weight: dict[int, list[WeightChange]] = {}
    for change in changes:
        of_weight.setdefault(change.weight.data_ptr(), []).append(change)
    replaced: list[Replaced] = []
    try:
        for group in of_weight.values():
            weight, columns, delta = group[0].weight, group[0].columns.to(group[0].weight.device), group[0].delta
            if len(group) > 1:
                columns, places = torch.cat([change.columns.to(weight.device) for change in group]).unique(return_inverse=True)
                delta = torch.zeros(len(weight), len(columns), device=weight.device)
                delta.index_add_(1, places, torch.cat([change.delta for change in group], 1))
            before = weight[:, columns]
            exact = before.float() + delta
            after = exact.to(weight.dtype)
            if not after.isfinite().all():
                raise EditError(
                    f"The edit overflows the {str(weight.dtype).removeprefix('torch.')} of {group[0].name}, whose largest entry would become "
                    f"{exact.abs().max():.3g}; load the model with --dtype bfloat16 or float32, or give a larger --upd_decay."
                )
            replaced.append(Replaced(weight, columns, before))
            weight[:, columns] = after
    except BaseException:
        restore(replaced)
        raise
    return replaced


@torch.no_grad()
def restore(replaced: Sequence[Replaced]) -> None:
    """Put back what ``write`` replaced, to the bit."""
    for one in replaced:
        one.weight[:, one.columns] = one.values
