"""What every loader asks of the tensors of a checkpoint."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from util.errors import CheckpointError


def check_tensors(path: Path, tensors: Mapping[str, Tensor], dimensions: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse tensors that are missing, unknown, of a wrong shape or not finite.

    Args:
        dimensions: the names of each tensor's dimensions, e.g. ``{"W_enc": ("d_in", "d_sae")}``; equal names mean equal sizes.

    Raises:
        CheckpointError: naming the tensor.
    """
    if missing := dimensions.keys() - tensors.keys():
        raise CheckpointError(f"The transcoder {path} lacks the tensors {', '.join(sorted(missing))}: not whole, or of another format.")
    if extra := tensors.keys() - dimensions.keys():
        raise CheckpointError(f"The transcoder {path} has unknown tensors ({', '.join(sorted(map(str, extra)))}); it is of another format.")
    sizes: dict[str, int] = {}
    for name, names in dimensions.items():
        tensor = tensors[name]
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise CheckpointError(f"{name} of the transcoder {path} is no tensor of real numbers.")
        fits = tensor.ndim == len(names) and all(sizes.setdefault(key, size) == size for key, size in zip(names, tensor.shape))
        if not fits:
            expected = ", ".join(f"{key}={sizes[key]}" if key in sizes else key for key in names)
            raise CheckpointError(f"{name} of the transcoder {path} has shape {list(tensor.shape)}, not [{expected}].")
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{name} of the transcoder {path} holds NaN or infinite numbers; train or fetch it again.")
