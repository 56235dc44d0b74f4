"""Several edits of one weight at once: each keeps, in the others' company, the effect that it has alone."""

import logging
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from util.errors import EditError
from util.logs import ONCE

logger = logging.getLogger(__name__)

LARGEST_CONDITION = 1e3
"""Of the matrix of mutual effects, scaled to a diagonal of ones; two keys of one length with a cosine of 0.998 reach it."""


def solve_together(
    left: Float[Tensor, "d_model n_edits"],
    right: Float[Tensor, "n_edits n_features"],
    keys: Float[Tensor, "n_edits n_features"],
    names: Sequence[str],
) -> Float[Tensor, "d_model n_edits"]:
    """The left factors with which ``new_left @ right`` does to each edit's key what the edit alone does to it.

    Simply added, edits whose keys are not orthogonal to each other's rows disturb one another: edit i adds
    ``left_i (right_i . key_j)`` to what the weight makes of key j. Whole updates that are solved together keep W' k_j* = v_j* for every j.

    Args:
        left, right: of each edit alone, float32.
        keys: k* of each edit.
        names: of the edits, for messages.

    Returns:
        float32. Where no edit acts on another one's key this is ``left``.

    Raises:
        EditError: if keys are so alike that the weight cannot tell them apart, naming the edits.
    """
    effects = right.double() @ keys.double().T  # [i, j]: how much of edit i key j calls up
    own = effects.diagonal()
    if (own.abs() <= 1e-9 * right.double().norm(dim=1) * keys.double().norm(dim=1)).any():
        dead = [name for name, value in zip(names, own.tolist()) if abs(value) <= own.abs().min()]
        raise EditError(f"The columns of the edit {dead[0]} do nothing to its own key, so that it cannot be combined; give a smaller --lim.")
    relative = effects / own[:, None]  # of what each does to its own key
    condition = torch.linalg.cond(effects / (own.abs().sqrt()[:, None] * own.abs().sqrt()))
    if not condition < LARGEST_CONDITION:
        alike = torch.nn.functional.cosine_similarity(keys.double()[:, None], keys.double()[None], dim=-1).fill_diagonal_(-1)
        first, second = divmod(int(alike.argmax()), len(names))
        raise EditError(
            f"The edits {names[first]} and {names[second]} act on keys that the weight cannot tell apart (cosine {alike.max():.4f}), so that both "
            "cannot hold: apply one of them, or make one request of both with the other's prompt in its column contexts."
        )
    cross = (relative - torch.eye(len(names), dtype=torch.double)).abs().max()
    logger.info(
        "%d edits are solved together: simply added, one would reach another's key with %.1f%% of its strength", len(names), 100 * cross, extra=ONCE
    )
    return torch.linalg.solve(effects.T, (left.double() * own).T).T.float()
