"""How large an edit is: the lengths of what was found, and of what it changed in the weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from tcpe.update import Edit
from tcpe.weight_edit import Replaced, WeightEdit


def edit_figures(edits: Sequence[WeightEdit], replaced: Sequence[Replaced]) -> dict[str, float]:
    """The figures of applied edits, by name.

    Args:
        replaced: what the edits, which are applied now, have replaced.

    Returns:
        ``dW_norm``, the Frobenius norm of what was added to the weights, in their dtype, and ``dW_relative_norm``, that by the norm of these
        weights before. Of each edit with a key ``kstar_num``, its active features (with lim -1 those of k* that are not zero), and as far as its
        update says ``delta_norm``, ``v0_norm``, ``v_star_norm`` and ``early_stopping_step``, the steps that its search took; of several edits
        with the request's number behind a slash. Over all of them ``index_union_len`` and ``index_intersection_len``, how many features are
        active in at least one and in all of them.
    """
    if not edits:
        return {}
    figures = _change(replaced)
    with_keys = [edit for edit in edits if isinstance(edit, Edit)]
    active = [set(edit.active().tolist() if edit.lim != -1 else edit.update.key.nonzero().flatten().tolist()) for edit in with_keys]
    for edit, features in zip(with_keys, active):
        behind = f"/{edit.update.details.get('request', {}).get('error')}" if len(with_keys) > 1 else ""
        own = {"kstar_num": len(features), **_search(edit.update.details)}
        figures |= {name + behind: value for name, value in own.items()}
    if active:
        figures |= {"index_union_len": len(set.union(*active)), "index_intersection_len": len(set.intersection(*active))}
    return figures


def _change(replaced: Sequence[Replaced]) -> dict[str, float]:
    """Of the weights together."""
    added = before = 0.0
    for one in replaced:
        now, old = one.weight[:, one.columns].detach().double(), one.values.double()
        added += (now - old).square().sum().item()
        before += one.weight.detach().double().square().sum().item() + old.square().sum().item() - now.square().sum().item()
    return {"dW_norm": added**0.5, "dW_relative_norm": (added / before) ** 0.5 if before > 0 else 0.0}


def _search(details: Mapping[str, Any]) -> dict[str, float]:
    """Of the search for the value; nothing of an update that an earlier version has saved."""
    norms = {f"{name}_norm": float(value) for name, value in details.get("norms", {}).items()}
    return norms | ({"early_stopping_step": len(details["losses"])} if "losses" in details else {})

