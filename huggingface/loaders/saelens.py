"""Transcoders in SAELens 6's layout, which is also ours: ``cfg.json`` and ``sae_weights.safetensors``."""

from pathlib import Path

from huggingface.loaders.checks import check_digest, check_tensors, named_sites, read_config, read_safetensors, setting, shown
from huggingface.transcoder import CONFIG_FILE, WEIGHTS_FILE, JumpReLU, Sites, Transcoder
from util.errors import CheckpointError

ARCHITECTURES = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
DIMENSIONS = {"W_enc": ("d_in", "d_sae"), "b_enc": ("d_sae",), "W_dec": ("d_sae", "d_out"), "b_dec": ("d_out",)}
UNREAD = {"normalize_activations": (None, "none"), "apply_b_dec_to_input": (None, False), "reshape_activations": (None, "none")}
"""Settings that change what is computed, and their values that do not."""


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder whose ``cfg.json`` names an architecture."""
    if not (path / CONFIG_FILE).is_file():
        return False
    config = read_config(path / CONFIG_FILE)
    return isinstance(config, dict) and "architecture" in config


def load(path: Path, _layer: int | None) -> Transcoder:
    """Read the transcoder in the folder ``path``; ``b_dec`` is its output bias.

    Raises:
        CheckpointError: for another kind of autoencoder, settings that change what it computes, or tensors that do not fit.
    """
    file, weights = path / CONFIG_FILE, path / WEIGHTS_FILE
    config = read_config(file)
    architecture = setting(file, config, "architecture", str)
    if architecture not in ARCHITECTURES:
        raise CheckpointError(f"{file} says that this is a {shown(architecture)}; give a transcoder, one of {', '.join(ARCHITECTURES)}.")
    for key, harmless in UNREAD.items():
        if config.get(key) not in harmless:
            raise CheckpointError(f"{file} has {key} {shown(config[key])}, which is not read here; fold it into the weights and save it again.")
    # Older files name the activation; the architecture decides it since.
    if config.get("activation_fn", "relu") != "relu":
        raise CheckpointError(f"{file} has the activation {shown(config['activation_fn'])}; known is relu.")
    sizes = {key: setting(file, config, key, int) for key in ("d_in", "d_sae", "d_out")}
    tensors = read_safetensors(weights)
    jump, skip = "jumprelu" in architecture, "skip" in architecture
    dimensions = DIMENSIONS | ({"threshold": ("d_sae",)} if jump else {}) | ({"W_skip": ("d_out", "d_in")} if skip else {})
    check_tensors(weights, tensors, dimensions, sizes)
    check_digest(file, config, weights)
    return Transcoder.from_matrices(
        tensors["W_enc"],
        tensors["b_enc"],
        tensors["W_dec"],
        tensors["b_dec"],
        W_skip=tensors.get("W_skip"),
        # SAELens applies ReLU too, so that a threshold below zero is one of zero.
        activation=JumpReLU(tensors["threshold"].float().clamp(min=0)) if jump else None,
        # Before version 6 there was no metadata, and the names stood beside the other settings.
        sites=named_sites(file, config.get("metadata", config), ("hook_name", "hook_name_out"), Sites()),
    )
