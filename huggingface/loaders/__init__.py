"""Transcoder checkpoints: one loader per format, chosen by looking at the files. docs/formats.md has the table."""

from pathlib import Path

import torch

from huggingface.loaders import circuit_tracer, cross_layer, gemma_scope, saelens, sparsify, transcoder_circuits
from huggingface.loaders.hub import HUB, fetch
from huggingface.transcoder import CONFIG_FILE, TOPK_WEIGHTS_FILE, WEIGHTS_FILE, Transcoder
from util.errors import CheckpointError

LOADERS = (saelens, sparsify, gemma_scope, circuit_tracer, transcoder_circuits)


def load_transcoder(path: str | Path, layer: int | None = None, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Transcoder:
    """Read a transcoder of any known format. No code of a checkpoint ever runs.

    Known are SAELens 6 and ours (a folder), transcoder_circuits (a ``.pt`` file), circuit-tracer (a folder of layers, one layer's
    file), GemmaScope (``params.npz``) and GemmaScope 2 (a folder), and EleutherAI sparsify (the folder of an MLP, or of several).

    Args:
        path: of the file or folder, or ``hub:OWNER/NAME[/FOLDER_OR_FILE][@REVISION]`` for one on the Hugging Face hub, of which only what
            ``layer`` needs is fetched.
        layer: which one of a checkpoint that holds several layers.

    Raises:
        CheckpointError: if nothing is there, the format is not known or unsafe, or the tensors do not fit together.
    """
    try:
        return _load(fetch(str(path), layer) if str(path).startswith(HUB) else Path(path), layer).to(device, dtype)
    except OSError as error:
        # A name that no file can have, a folder that may not be read, a disk that fails.
        raise CheckpointError(f"Cannot read the transcoder {str(path)[:200]} ({error.strerror}); give the folder or file of one.") from error


def _load(path: Path, layer: int | None) -> Transcoder:
    if not path.exists():
        raise CheckpointError(f"There is no transcoder {path}; give the folder or file of one with --TC_layer_file.")
    if path.name in (CONFIG_FILE, WEIGHTS_FILE, TOPK_WEIGHTS_FILE, circuit_tracer.CONFIG):
        path = path.parent
    if cross_layer.matches(path):
        raise CheckpointError(
            f"{path} is a cross-layer transcoder, and one of a single layer is needed here; python -m transcoder_circuits.graph takes it with "
            "--cross_layer, and OpenCrossLayerTranscoder.load_model in Python."
        )
    for loader in LOADERS:
        if loader.matches(path):
            transcoder = loader.load(path, layer)
            if not transcoder.up_proj.bias.isfinite().all():
                raise CheckpointError(f"The input bias of the transcoder {path} is too large to be folded into the encoder's; fetch it again.")
            return transcoder
    layers = sorted((folder for folder in path.glob("layer_*") if folder.is_dir()), key=lambda folder: (len(folder.name), folder.name))
    if layers:
        raise CheckpointError(f"{path} holds transcoders of single layers; name one of them: {', '.join(map(str, layers))}.")
    raise CheckpointError(
        f"{path} is in no format that is read here; give a folder with cfg.json and sae_weights.safetensors (SAELens, ours) or "
        "sae.safetensors (sparsify), one with config.yaml and layer_N.safetensors (circuit-tracer), a params.npz (GemmaScope), or a "
        ".pt file of transcoder_circuits (.pkl files are refused, since opening one can run any code)."
    )
