"""Transcoders of EleutherAI's sparsify: ``layers.{i}.mlp/`` with ``cfg.json`` and ``sae.safetensors``."""

import re
from pathlib import Path

from huggingface.loaders.checks import check_digest, check_tensors, checked_k, named_sites, read_config, read_safetensors, setting, shown
from huggingface.transcoder import CONFIG_FILE, TOPK_WEIGHTS_FILE, Sites, TopK, Transcoder
from util.errors import CheckpointError

DIMENSIONS = {"encoder.weight": ("num_latents", "d_in"), "encoder.bias": ("num_latents",), "W_dec": ("num_latents", "d_in"), "b_dec": ("d_in",)}
_MLP = re.compile(r"(?:^|\.)(\d+)\.mlp$")
_HOOKPOINT = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.\d+(?:\.|$)")


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder whose ``cfg.json`` says how many latents there are, or one of such folders named by their MLPs."""
    if (path / CONFIG_FILE).is_file():
        config = read_config(path / CONFIG_FILE)
        return isinstance(config, dict) and bool({"expansion_factor", "num_latents"} & config.keys())
    return bool(_by_layer(path))


def _by_layer(path: Path) -> dict[int, Path]:
    """The folders in ``path`` that hold a transcoder, by the layer in their name."""
    named = {folder: _MLP.search(folder.name) for folder in path.iterdir()} if path.is_dir() else {}
    return {int(match[1]): folder for folder, match in named.items() if match and (folder / CONFIG_FILE).is_file()}


def load(path: Path, layer: int | None) -> Transcoder:
    """Read the transcoder in the folder ``path``, or of ``layer`` among those in it; it stands for that Hugging Face MLP, input to output.

    Raises:
        CheckpointError: for an autoencoder, one of another hook point, or settings or tensors that do not fit.
    """
    if not (path / CONFIG_FILE).is_file():
        folders = _by_layer(path)
        if layer not in folders:
            raise CheckpointError(f"{path} has transcoders of the layers {', '.join(map(str, sorted(folders)))}, not {layer}; name one of them.")
        path = folders[layer]
    name = path.absolute().name
    if _HOOKPOINT.search(name) and not _MLP.search(name):
        raise CheckpointError(f"{path} is named after the hook point {name}, which is no MLP; give one of layers.N.mlp.")
    file, weights = path / CONFIG_FILE, path / TOPK_WEIGHTS_FILE
    config = read_config(file)
    d_in, k = setting(file, config, "d_in", int), setting(file, config, "k", int)
    if config.get("transcode") is not True:
        raise CheckpointError(f"{file} says that this is an autoencoder (transcode is not true); give a transcoder.")
    if (activation := config.get("activation", "topk")) != "topk" or config.get("signed"):
        raise CheckpointError(f"{file} has the activation {'signed ' if config.get('signed') else ''}{shown(activation)}; known is topk.")
    n_features = config.get("num_latents") and setting(file, config, "num_latents", int)
    n_features = n_features or d_in * setting(file, config, "expansion_factor", int)
    tensors = read_safetensors(weights)
    skip = {"W_skip": ("d_in", "d_in")} if config.get("skip_connection") else {}
    check_tensors(weights, tensors, DIMENSIONS | skip, {"num_latents": n_features, "d_in": d_in})
    check_digest(file, config, weights)
    return Transcoder.from_matrices(
        tensors["encoder.weight"].T,
        tensors["encoder.bias"],
        tensors["W_dec"],
        tensors["b_dec"],
        W_skip=tensors.get("W_skip"),
        activation=TopK(checked_k(file, k, n_features)),
        sites=named_sites(file, config.get("metadata", {}), ("hook_name", "hook_name_out"), Sites(_site(name, "in"), _site(name, "out"))),
    )


def _site(name: str, end: str) -> str:
    """The MLP's input or output, with the layer's number if the folder's name says it."""
    match = _MLP.search(name)
    return f"blocks.{match[1]}.mlp.hook_{end}" if match else f"mlp_{end}"
