"""What every loader asks of a checkpoint's settings and tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from huggingface.transcoder import Sites
from util.errors import CheckpointError


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped from it; changing one does not change the file.

    Raises:
        CheckpointError: if the file is missing or broken.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"Cannot read {path} ({error}); the transcoder is not whole, fetch it again.") from error


def setting(path: Path, config: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    """``config[key]`` of the configuration file ``path``.

    Raises:
        CheckpointError: if it is missing or not of type ``kind``.
    """
    if not isinstance(config, Mapping) or key not in config:
        raise CheckpointError(f"{path} lacks the setting {key}: it is not whole, or of another format.")
    value = config[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise CheckpointError(f"{path} has {key} {value!r}, where a value of type {names} is expected.")
    return value


def check_tensors(
    path: Path, tensors: Mapping[str, Tensor], dimensions: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int] | None = None
) -> None:
    """Refuse tensors that are missing, unknown, of a wrong shape or not finite.

    Args:
        path: the file they come from.
        dimensions: the names of each tensor's dimensions, e.g. ``{"W_enc": ("d_in", "d_sae")}``; equal names mean equal sizes.
        sizes: dimensions whose size the configuration says.

    Raises:
        CheckpointError: naming the file and the tensor.
    """
    if missing := dimensions.keys() - tensors.keys():
        raise CheckpointError(f"The transcoder {path} lacks the tensors {', '.join(sorted(missing))}: not whole, or of another format.")
    if extra := tensors.keys() - dimensions.keys():
        raise CheckpointError(f"The transcoder {path} has unknown tensors ({', '.join(sorted(map(str, extra)))}); it is of another format.")
    known = dict(sizes or {})
    for name, names in dimensions.items():
        tensor = tensors[name]
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise CheckpointError(f"{name} of the transcoder {path} is no tensor of real numbers.")
        fits = tensor.ndim == len(names) and all(known.setdefault(key, size) == size for key, size in zip(names, tensor.shape))
        if not fits:
            expected = ", ".join(f"{key}={known[key]}" if key in known else key for key in names)
            raise CheckpointError(f"{name} of the transcoder {path} has shape {list(tensor.shape)}, not [{expected}].")
        # The extremes are NaN if any number is, and finding them takes no second copy of the tensor.
        if not tensor.numel() or not torch.stack(torch.aminmax(tensor)).isfinite().all():
            raise CheckpointError(f"{name} of the transcoder {path} is empty, or holds NaN or infinite numbers; train or fetch it again.")


def checked_k(path: Path, k: int, n_features: int) -> int:
    """The ``k`` of a TopK.

    Raises:
        CheckpointError: unless it is from 1 to the number of features.
    """
    if not 1 <= k <= n_features:
        raise CheckpointError(f"{path} says that k is {k}, but the transcoder has {n_features} features; k must be from 1 to that.")
    return k


def named_sites(path: Path, config: Any, keys: tuple[str, str], default: Sites) -> Sites:
    """The sites under ``keys`` of ``config``; of ``default`` where it names none.

    Raises:
        CheckpointError: if one is no text.
    """
    named = {key: config[key] for key in keys if isinstance(config, Mapping) and config.get(key)}
    return Sites(*(setting(path, named, key, str) if key in named else name for key, name in zip(keys, (default.reads, default.writes))))
