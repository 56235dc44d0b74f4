"""Which features carry an edit: those that fire strongly enough at its key."""

import numpy as np
from jaxtyping import Float32, Int64

from tcpe.lim import Lim
from util.errors import EditError


def active_indices(key: Float32[np.ndarray, " n_features"], lim: Lim) -> Int64[np.ndarray, " n_active"]:
    """Indices of the features that carry the edit, ascending: ``|key| > 0`` and ``|key| >= lim``.

    A transcoder's features are never negative. The neurons of an MLP are, and carry as much of the edit then: of the key's squared length
    2 to 18 % were measured.

    Args:
        lim: an activation; or "20%", a share of the largest one; or "top:16", so many features, of equals the first; or -1, all columns.

    Raises:
        EditError: if none is left, naming the largest activation, so that the caller can lower ``lim``.

    Source: TCPE, equation (1).
    """
    if lim == -1:
        return np.arange(len(key))
    strength = np.abs(key)
    if str(lim).startswith("top:"):
        strongest = np.argsort(-strength, kind="stable")[: int(str(lim).removeprefix("top:"))]
        active = np.sort(strongest[strength[strongest] > 0])
    else:
        least = float(lim.removesuffix("%")) / 100 * strength.max() if isinstance(lim, str) else lim
        active = np.flatnonzero((strength > 0) & (strength >= least))
    if not len(active):
        raise EditError(f"No feature reaches --lim {lim}: the largest activation is {strength.max():.4g}; give a smaller --lim.")
    return active
