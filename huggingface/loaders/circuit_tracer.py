"""Transcoders of circuit-tracer: ``config.yaml`` beside ``layer_{i}.safetensors``."""

import re
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from huggingface.loaders.checks import check_tensors, checked_k, read_config, read_safetensors, setting, shown
from huggingface.transcoder import JumpReLU, Sites, TopK, Transcoder
from util.errors import CheckpointError
from util.files import write_atomically, write_text

CONFIG = "config.yaml"
DIMENSIONS = {"W_enc": ("n_features", "d_model"), "b_enc": ("n_features",), "W_dec": ("n_features", "d_model"), "b_dec": ("d_model",)}
THRESHOLD = "activation_function.threshold"
OPTIONAL = {"W_skip": ("d_model", "d_model"), THRESHOLD: ("n_features",)}
HOOKS = {
    "mlp_in": "mlp.hook_in",
    "normalized": "ln2.hook_normalized",
    "resid_mid": "hook_resid_mid",
    "mlp_out": "hook_mlp_out",
    "added": "hook_mlp_out",
}
"""The library's names of our sites."""


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder with ``config.yaml``, or a single layer's file."""
    return (path / CONFIG).is_file() or (path.is_file() and path.suffix == ".safetensors")


def load(path: Path, layer: int | None) -> Transcoder:
    """Read the file ``path``, or that of ``layer`` in the folder ``path``; ``b_dec`` is its output bias.

    Features are computed at every position. (The library zeroes them at the first one when it attributes, not in ``forward``.)

    Raises:
        CheckpointError: for a cross-layer transcoder, a layer that is not there, or settings or tensors that do not fit.
    """
    weights = path if path.is_file() else path / f"layer_{layer}.safetensors"
    file = weights.parent / CONFIG
    config = read_config(file)
    sites = _sites(file, config, weights)
    if not weights.is_file():
        found = ", ".join(sorted(file.name for file in path.glob("layer_*.safetensors"))) or "none"
        raise CheckpointError(f"{path} has no {weights.name}; of such files it has: {found}; give a --layer_num that is there.")
    tensors = read_safetensors(weights)
    k = tensors.pop("k", None)
    check_tensors(weights, tensors, DIMENSIONS | {name: OPTIONAL[name] for name in OPTIONAL if name in tensors})
    return Transcoder.from_matrices(
        tensors["W_enc"].T,
        tensors["b_enc"],
        tensors["W_dec"],
        tensors["b_dec"],
        W_skip=tensors.get("W_skip"),
        activation=_activation(file, config, weights, k, tensors.get(THRESHOLD), len(tensors["b_enc"])),
        sites=sites,
    )


def _activation(file: Path, config: dict[str, Any], weights: Path, k: Tensor | None, threshold: Tensor | None, n_features: int) -> nn.Module:
    """What ``activation`` and ``k`` of the configuration say, or the tensors ``k`` and threshold where it says nothing; else ReLU.

    Raises:
        CheckpointError: if they contradict each other, or name what is not known.
    """
    counts = []
    if config.get("k") is not None:
        counts.append(setting(file, config, "k", int))
    if k is not None:
        if k.numel() != 1 or k.dtype not in (torch.int64, torch.int32, torch.float32) or not float(k).is_integer():
            raise CheckpointError(f"k of the transcoder {weights} is {shown(k.tolist())}, where one whole number is expected.")
        counts.append(int(k))
    if len(set(counts)) > 1:
        raise CheckpointError(f"k is {counts[0]} in {file}, but {counts[1]} in {weights.name}; fetch them again.")
    if counts and threshold is not None:
        raise CheckpointError(f"The transcoder {weights} has both k and {THRESHOLD}, so its activation is not known.")
    found = "topk" if counts else "relu" if threshold is None else "jumprelu"
    declared = found if config.get("activation") is None else setting(file, config, "activation", str).lower()
    if declared not in ("relu", "jumprelu", "topk"):
        raise CheckpointError(f"{file} has the activation {shown(declared)}; known are relu, jumprelu and topk.")
    if declared != found:
        needs = {"relu": "neither k nor a threshold", "jumprelu": f"{THRESHOLD} in {weights.name}", "topk": "k beside it"}[declared]
        raise CheckpointError(f"{file} has the activation {declared}, which goes with {needs}; fetch both files again.")
    if threshold is not None:
        return JumpReLU(threshold.float())
    return TopK(checked_k(file, counts[0], n_features), relu=False) if counts else nn.ReLU()


def _sites(file: Path, config: Any, weights: Path) -> Sites:
    """The sites that the configuration declares for all layers, with the layer's number if the name of ``weights`` says it."""
    if (kind := setting(file, config, "model_kind", str)) != "transcoder_set":
        raise CheckpointError(f"{file} says that this is a {shown(kind)}; give one of per-layer transcoders, a transcoder_set.")
    number = re.search(r"layer_(\d+)$", weights.stem)
    block = f"blocks.{number[1]}." if number else ""
    return Sites(*(block + setting(file, config, f"feature_{end}_hook", str) for end in ("input", "output")))


def save(transcoder: Transcoder, folder: Path, layer: int, model_name: str) -> None:
    """Write ``layer_{layer}.safetensors`` and the configuration, which all layers of a folder share. The library wants all layers from 0 on.

    TopK is written as ``activation`` and ``k`` of the configuration; the library's keeps features below zero.

    Raises:
        CheckpointError: if what is there is of another model, sites or activation, or the transcoder has no place in the layout.
    """
    up, down, activation = transcoder.up_proj, transcoder.down_proj, transcoder.activation
    if up.in_features != down.out_features:
        raise CheckpointError(f"circuit-tracer's layout has one width, but this transcoder maps {up.in_features} to {down.out_features}.")
    if isinstance(activation, TopK) and activation.relu:
        raise CheckpointError("circuit-tracer's TopK keeps features below zero, which this transcoder sets to zero; its layout cannot say so.")
    bare = [re.sub(r"^blocks\.\d+\.", "", name) for name in (transcoder.sites.reads, transcoder.sites.writes)]
    reads, writes = (HOOKS.get(name, name) for name in bare)
    config: dict[str, str | int] = {
        "model_kind": "transcoder_set",
        "model_name": model_name,
        "feature_input_hook": reads,
        "feature_output_hook": writes,
    }
    if isinstance(activation, TopK):
        config |= {"activation": "topk", "k": activation.k}
    if (folder / CONFIG).exists() and (there := read_config(folder / CONFIG)) != config:
        raise CheckpointError(f"{folder / CONFIG} says {shown(there)}, which is not {config}; give another folder.")
    tensors = {"W_enc": up.weight, "b_enc": up.bias, "W_dec": down.weight.T, "b_dec": down.bias}
    if isinstance(activation, JumpReLU):
        tensors[THRESHOLD] = activation.threshold
    if transcoder.skip is not None:
        tensors["W_skip"] = transcoder.skip.weight
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(folder / f"layer_{layer}.safetensors", lambda path: save_file(tensors, path))
    write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
