"""``--lim``: how strongly a feature must fire at the edit to be edited, and the short form of an edit with its lim and decay."""

import re

from util.errors import UserError

Lim = float | str
"""An activation, -1 for every column, a share of the largest activation ("20%"), or a number of features ("top:16")."""


def parse_lim(value: Lim) -> Lim:
    """``value`` as a number, as ``"20%"`` or as ``"top:16"``.

    Raises:
        UserError: if it is none of these.
    """
    text = str(value).strip()
    try:
        if text.startswith("top:"):
            if (count := int(text.removeprefix("top:"))) > 0:
                return f"top:{count}"
        elif text.endswith("%"):
            if 0 < (share := float(text.removesuffix("%"))) <= 100:
                return f"{share:g}%"
        elif (lim := float(text)) >= 0 or lim == -1:
            return lim
    except ValueError:
        pass
    raise UserError(
        f"--lim {value} must be an activation, at least 0; a share of the largest one, such as 20%; a number of features, such as top:16; "
        "or -1 for all columns."
    )


def parse_edit(text: str, lim: Lim, decay: float) -> tuple[str, Lim, float]:
    """``NAME[:LIM[:DECAY]]`` as its parts; what is left out is ``lim`` and ``decay``.

    Raises:
        UserError: for an impossible lim or decay.
    """
    match = re.fullmatch(r"(.*?)(?::(top:[^:]*|[^:]*))?(?::([^:]*))?", text, re.DOTALL)
    assert match is not None  # since all of it may be missing
    name, own_lim, own_decay = match.groups()
    try:
        divisor = float(own_decay or decay)
    except ValueError:
        divisor = 0
    if not divisor > 0:
        raise UserError(f"--upd_decay must be above 0, not {own_decay or decay}.")
    return name, parse_lim(own_lim or lim), divisor
