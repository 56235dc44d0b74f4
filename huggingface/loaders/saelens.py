"""Transcoders in SAELens 6's layout, which is also ours: ``cfg.json`` and ``sae_weights.safetensors``."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from huggingface.loaders.checks import check_tensors
from huggingface.transcoder import CONFIG_FILE, WEIGHTS_FILE, JumpReLU, Sites, Transcoder
from util.errors import CheckpointError
from util.files import read_json

ARCHITECTURES = ("transcoder", "jumprelu_transcoder")
DIMENSIONS = {"W_enc": ("d_in", "d_sae"), "b_enc": ("d_sae",), "W_dec": ("d_sae", "d_out"), "b_dec": ("d_out",)}


def load(folder: Path) -> Transcoder:
    """Read the transcoder in ``folder``; ``b_dec`` is its output bias.

    Raises:
        CheckpointError: for another kind of autoencoder, settings that change what it computes, or tensors that do not fit.
    """
    config = read_json(folder / CONFIG_FILE, "the transcoder's configuration")
    architecture = config.get("architecture") if isinstance(config, dict) else None
    if architecture not in ARCHITECTURES:
        raise CheckpointError(f"{folder} holds a {architecture!r}; give a transcoder of the kinds {', '.join(ARCHITECTURES)}.")
    if config.get("normalize_activations", "none") != "none" or config.get("apply_b_dec_to_input"):
        raise CheckpointError(f"The transcoder {folder} normalises or shifts its input, which is not read here; fold it into the weights.")
    try:
        tensors = load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"Cannot read {folder / WEIGHTS_FILE} ({error}); the transcoder is not whole.") from error
    jump = architecture == "jumprelu_transcoder"
    check_tensors(folder, tensors, DIMENSIONS | ({"threshold": ("d_sae",)} if jump else {}))
    metadata = config.get("metadata", {})
    return Transcoder.from_matrices(
        tensors["W_enc"],
        tensors["b_enc"],
        tensors["W_dec"],
        tensors["b_dec"],
        activation=JumpReLU(tensors["threshold"].float()) if jump else None,
        sites=Sites(metadata.get("hook_name") or Sites.reads, metadata.get("hook_name_out") or Sites.writes),
    )
