"""Transcoders of circuit-tracer: ``config.yaml`` beside ``layer_{i}.safetensors``, and GemmaScope's ``params.npz`` that it also reads."""

import re
import zipfile
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from huggingface.loaders.checks import check_tensors, checked_k, read_safetensors, setting
from huggingface.transcoder import JumpReLU, Sites, TopK, Transcoder
from util.errors import CheckpointError

CONFIG = "config.yaml"
DIMENSIONS = {"W_enc": ("n_features", "d_model"), "b_enc": ("n_features",), "W_dec": ("n_features", "d_model"), "b_dec": ("d_model",)}
OPTIONAL = {"W_skip": ("d_model", "d_model"), "activation_function.threshold": ("n_features",)}
GEMMA_SCOPE_SITES = Sites("ln2.hook_normalized", "hook_mlp_out")


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder with ``config.yaml``, or a single layer's file."""
    return (path / CONFIG).is_file() or (path.is_file() and path.suffix in (".safetensors", ".npz"))


def load(path: Path, layer: int | None) -> Transcoder:
    """Read the file ``path``, or that of ``layer`` in the folder ``path``; ``b_dec`` is its output bias.

    Features are computed at every position. (The library zeroes them at the first one when it attributes, not in ``forward``.)

    Raises:
        CheckpointError: for a cross-layer transcoder, a layer that is not there, or settings or tensors that do not fit.
    """
    if path.suffix == ".npz":
        return _load_gemma_scope(path)
    weights = path if path.is_file() else path / f"layer_{layer}.safetensors"
    sites = _sites(weights.parent / CONFIG, weights)
    if not weights.is_file():
        found = ", ".join(sorted(file.name for file in path.glob("layer_*.safetensors"))) or "none"
        raise CheckpointError(f"{path} has no {weights.name}; of such files it has: {found}; give a --layer_num that is there.")
    tensors = read_safetensors(weights)
    k = tensors.pop("k", None)
    if k is not None and not (k.numel() == 1 and float(k).is_integer()):
        raise CheckpointError(f"k of the transcoder {weights} is {k.tolist()}, where one whole number is expected.")
    check_tensors(weights, tensors, DIMENSIONS | {name: OPTIONAL[name] for name in OPTIONAL if name in tensors})
    threshold = tensors.get("activation_function.threshold")
    if k is not None and threshold is not None:
        raise CheckpointError(f"The transcoder {weights} has both k and activation_function.threshold, so its activation is not known.")
    activation = None
    if threshold is not None:
        activation = JumpReLU(threshold.float())
    elif k is not None:
        activation = TopK(checked_k(weights, int(k), len(tensors["b_enc"])), relu=False)
    return Transcoder.from_matrices(
        tensors["W_enc"].T,
        *(tensors[name] for name in ("b_enc", "W_dec", "b_dec")),
        W_skip=tensors.get("W_skip"),
        activation=activation,
        sites=sites,
    )


def _sites(file: Path, weights: Path) -> Sites:
    """The sites that ``config.yaml`` declares for all layers, with the layer's number if the name of ``weights`` says it."""
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"Cannot read {file} ({error.strerror}), which says where {weights.name} reads and writes; put it there.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file} is not valid YAML; fetch it again.") from error
    if setting(file, config, "model_kind", str) != "transcoder_set":
        raise CheckpointError(f"{file} says that this is a {config['model_kind']!r}; give one of per-layer transcoders, a transcoder_set.")
    number = re.search(r"layer_(\d+)$", weights.stem)
    block = f"blocks.{number[1]}." if number else ""
    return Sites(*(block + setting(file, config, f"feature_{end}_hook", str) for end in ("input", "output")))


def _load_gemma_scope(path: Path) -> Transcoder:
    """GemmaScope's transcoders: ``relu(h) * (h > threshold)``, read before the norm's weight, written after the MLP's own norm."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            tensors: dict[str, Tensor] = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"Cannot read {path} safely: it is broken, or holds more than arrays of numbers.") from error
    dimensions = {"W_enc": ("d_model", "n_features"), "threshold": ("n_features",)}
    check_tensors(path, tensors, DIMENSIONS | dimensions)
    activation = JumpReLU(tensors["threshold"].float().clamp(min=0))
    matrices = (tensors[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec"))
    return Transcoder.from_matrices(*matrices, activation=activation, sites=GEMMA_SCOPE_SITES)
