"""An edit in words: its request, how it was found, and the features that carry it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tcpe.update import Edit

TOP_FEATURES = 10
"""Features that are shown."""


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n" for row in rows)


def describe(edit: "Edit") -> str:
    """Lines for people; the table at their end has the strongest features (see ``Edit.strongest``)."""
    update, details = edit.update, edit.update.details
    request, losses = details.get("request", {}), details.get("losses", [])
    facts = {
        "layer": update.layer,
        "weight": f"{len(update.value_shift)} x {len(update.key)}",
        "error": f"{request.get('error')}: {request.get('brief_description')}",
        "prompt": repr(request.get("prompt", "")),
        "subject": repr(request.get("subject", "")),
        "target": repr(request.get("target_new", "")),
        "contexts": f"{len(request.get('contexts', []))} of the request, {len(details.get('templates', []))} sampled",
        "token": details.get("fact_token"),
        "statistics": f"{details.get('second_moment_tokens')} tokens, {details.get('never_active_features')} features never active, "
        f"condition number {details.get('condition_number', float('nan')):.1e} with epsilon {details.get('epsilon')}",
        "losses": ", ".join(f"{name} {losses[0][name]:.4g} -> {losses[-1][name]:.4g}" for name in losses[0]) if losses else "none",
        "steps": len(losses),
        "size": f"|r| |u| = {update.value_shift.norm() * update.key_direction.norm():.4g}",
        "columns": f"{len(edit.columns())} of {len(update.key)} at lim {edit.lim}, with "
        f"{(update.key_direction[edit.columns()].norm() / update.key_direction.norm()) ** 2:.1%} of |u|^2",
    }
    lines = [f"{name:11}{value}" for name, value in facts.items()]
    rows = [("feature", "key", "share")]
    rows += [(str(feature), f"{activation:.4f}", f"{share:.1%}") for feature, activation, share in edit.strongest(TOP_FEATURES)]
    return "\n".join(lines) + "\n" + table(rows)
