"""Transcoders and autoencoders in SAELens 6's layout, which is also ours: ``cfg.json`` and ``sae_weights.safetensors``."""

from pathlib import Path

from torch import nn

from huggingface.loaders.checks import check_digest, check_tensors, checked_k, named_sites, read_config, read_safetensors, setting, shown
from huggingface.transcoder import CONFIG_FILE, WEIGHTS_FILE, JumpReLU, Sites, TopK, Transcoder
from util.errors import CheckpointError

TRANSCODERS = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
AUTOENCODERS = ("standard", "jumprelu", "topk")
DIMENSIONS = {"W_enc": ("d_in", "d_sae"), "b_enc": ("d_sae",), "W_dec": ("d_sae", "d_out"), "b_dec": ("d_out",)}
UNREAD = {"normalize_activations": (None, "none"), "reshape_activations": (None, "none"), "rescale_acts_by_decoder_norm": (None, False)}
"""Settings that change what is computed, and their values that do not."""


def matches(path: Path) -> bool:
    """Whether ``path`` is a folder whose ``cfg.json`` names an architecture."""
    if not (path / CONFIG_FILE).is_file():
        return False
    config = read_config(path / CONFIG_FILE)
    return isinstance(config, dict) and "architecture" in config


def load(path: Path, _layer: int | None) -> Transcoder:
    """Read what is in the folder ``path``; ``b_dec`` is its output bias, and an autoencoder may take it from its input first.

    Raises:
        CheckpointError: for another architecture, settings that change what it computes, or tensors that do not fit.
    """
    file, weights = path / CONFIG_FILE, path / WEIGHTS_FILE
    config = read_config(file)
    architecture = setting(file, config, "architecture", str)
    encodes = architecture in AUTOENCODERS
    if architecture not in (*TRANSCODERS, *AUTOENCODERS):
        raise CheckpointError(f"{file} says that this is a {shown(architecture)}; known are {', '.join((*TRANSCODERS, *AUTOENCODERS))}.")
    unread = UNREAD if encodes else UNREAD | {"apply_b_dec_to_input": (None, False)}
    for key, harmless in unread.items():
        if config.get(key) not in harmless:
            raise CheckpointError(f"{file} has {key} {shown(config[key])}, which is not read here; fold it into the weights and save it again.")
    # Older files name the activation; the architecture decides it since.
    if config.get("activation_fn", "relu") not in ("relu", "topk" if architecture == "topk" else "relu"):
        raise CheckpointError(f"{file} has the activation {shown(config['activation_fn'])}; known is relu.")
    sizes = {key: setting(file, config, key, int) for key in ("d_in", "d_sae", *(() if encodes else ("d_out",)))}
    sizes.setdefault("d_out", sizes["d_in"])
    tensors = read_safetensors(weights)
    jump, skip = "jumprelu" in architecture, "skip" in architecture
    dimensions = DIMENSIONS | ({"threshold": ("d_sae",)} if jump else {}) | ({"W_skip": ("d_out", "d_in")} if skip else {})
    check_tensors(weights, tensors, dimensions, sizes)
    check_digest(file, config, weights)
    activation: nn.Module | None = None
    if jump:
        # SAELens applies ReLU too, so that a threshold below zero is one of zero.
        activation = JumpReLU(tensors["threshold"].float().clamp(min=0))
    elif architecture == "topk":
        activation = TopK(checked_k(file, setting(file, config, "k", int), sizes["d_sae"]))
    return Transcoder.from_matrices(
        tensors["W_enc"],
        tensors["b_enc"],
        tensors["W_dec"],
        tensors["b_dec"],
        b_dec=tensors["b_dec"] if encodes and config.get("apply_b_dec_to_input", True) else None,
        W_skip=tensors.get("W_skip"),
        activation=activation,
        # Before version 6 there was no metadata, and the names stood beside the other settings.
        sites=named_sites(file, config.get("metadata", config), ("hook_name", "hook_name" if encodes else "hook_name_out"), Sites()),
    )
