"""Transcoders of GemmaScope (``params.npz``) and GemmaScope 2 (``config.json`` beside ``params.safetensors``), all JumpReLU."""

import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from huggingface.loaders.checks import check_archive, check_tensors, read_config, read_safetensors, setting, shown
from huggingface.transcoder import JumpReLU, Sites, Transcoder
from util.errors import CheckpointError

CONFIG, WEIGHTS = "config.json", "params.safetensors"
DIMENSIONS = {
    "W_enc": ("d_model", "n_features"),
    "b_enc": ("n_features",),
    "W_dec": ("n_features", "d_model"),
    "b_dec": ("d_model",),
    "threshold": ("n_features",),
}
SKIP = "affine_skip_connection"
SITES = Sites("ln2.hook_normalized", "hook_mlp_out")
"""Where the first GemmaScope reads and writes: before the norm's weight, and after the MLP's own norm."""

_NORMS = {"pre_feedforward_layernorm.output": "mlp_in", "post_feedforward_layernorm.output": "added"}
"""The second one's names of Hugging Face modules, and our sites."""


def matches(path: Path) -> bool:
    """Whether ``path`` is an ``.npz`` file, or a folder or file of GemmaScope 2."""
    folder = path if path.is_dir() else path.parent
    return (path.is_file() and path.suffix == ".npz") or (path in (folder, folder / WEIGHTS) and (folder / CONFIG).is_file() and _is_second(folder))


def _is_second(folder: Path) -> bool:
    config = read_config(folder / CONFIG)
    return isinstance(config, dict) and "hf_hook_point_in" in config


def load(path: Path, _layer: int | None) -> Transcoder:
    """Read ``relu(h) * (h > threshold)`` and its decoder; ``b_dec`` is the output bias.

    Raises:
        CheckpointError: for an autoencoder or cross-layer transcoder, or settings or tensors that do not fit.
    """
    if path.suffix == ".npz":
        tensors, sites = _read_arrays(path), SITES
        check_tensors(path, tensors, DIMENSIONS)
    else:
        folder = path if path.is_dir() else path.parent
        file, path = folder / CONFIG, folder / WEIGHTS
        config = read_config(file)
        if (kind := setting(file, config, "architecture", str)) != "jump_relu":
            raise CheckpointError(f"{file} has the architecture {shown(kind)}; known is jump_relu.")
        sites = Sites(*(_site(file, setting(file, config, f"hf_hook_point_{end}", str)) for end in ("in", "out")))
        own = {"w_enc": "W_enc", "w_dec": "W_dec"}
        tensors = {own.get(name, name): tensor for name, tensor in read_safetensors(path).items()}
        check_tensors(path, tensors, DIMENSIONS | ({SKIP: ("d_model", "d_model")} if SKIP in tensors else {}))
    return Transcoder.from_matrices(
        tensors["W_enc"],
        tensors["b_enc"],
        tensors["W_dec"],
        tensors["b_dec"],
        W_skip=tensors[SKIP].T if SKIP in tensors else None,
        activation=JumpReLU(tensors["threshold"].float().clamp(min=0)),
        sites=sites,
    )


def _site(file: Path, name: str) -> str:
    """Our name for the output of ``model.layers.N.`` and a norm."""
    match = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", name)
    if not match or match[2] not in _NORMS:
        raise CheckpointError(f"{file} names the hook point {shown(name)}; known are model.layers.N. and {', '.join(_NORMS)}.")
    return f"blocks.{match[1]}.{_NORMS[match[2]]}"


def _read_arrays(path: Path) -> dict[str, Tensor]:
    """The arrays of an ``.npz`` file; what their headers claim is read before memory is taken for it.

    Raises:
        CheckpointError: for anything else than the format's arrays of numbers.
    """
    check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                with archive.open(part) as file:
                    version = np.lib.format.read_magic(file)
                    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                    shape, _, dtype = read_header(file)
                    if file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize != part.file_size:
                        raise ValueError("a header claims another size than the file has")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except Exception as error:
        # A damaged archive or header raises what its bytes happen to say.
        raise CheckpointError(f"Cannot read {path} safely: it is broken, or holds more than arrays of numbers.") from error
