"""Transcoder checkpoints: one loader per format, chosen by looking at the files."""

from pathlib import Path

import torch

from huggingface.loaders import circuit_tracer, saelens, sparsify, transcoder_circuits
from huggingface.transcoder import CONFIG_FILE, TOPK_WEIGHTS_FILE, WEIGHTS_FILE, Transcoder
from util.errors import CheckpointError

LOADERS = (saelens, sparsify, circuit_tracer, transcoder_circuits)


def load_transcoder(path: str | Path, layer: int | None = None, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Transcoder:
    """Read a transcoder of any known format. No code of a checkpoint ever runs.

    Known are SAELens 6 and ours (a folder), transcoder_circuits (a ``.pt`` file), circuit-tracer (a folder of layers, one layer's
    file, GemmaScope's ``params.npz``) and EleutherAI sparsify (the folder of an MLP, or of several).

    Args:
        layer: which one of a checkpoint that holds several layers.

    Raises:
        CheckpointError: if nothing is there, the format is not known or unsafe, or the tensors do not fit together.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"There is no transcoder {path}; give the folder or file of one with --TC_layer_file.")
    if path.name in (CONFIG_FILE, WEIGHTS_FILE, TOPK_WEIGHTS_FILE, circuit_tracer.CONFIG):
        path = path.parent
    for loader in LOADERS:
        if loader.matches(path):
            return loader.load(path, layer).to(device, dtype)
    raise CheckpointError(
        f"{path} is in no format that is read here; give a folder with cfg.json and sae_weights.safetensors (SAELens, ours) or "
        "sae.safetensors (sparsify), one with config.yaml and layer_N.safetensors (circuit-tracer), a params.npz (GemmaScope), or a "
        ".pt file of transcoder_circuits (.pkl files are refused, since opening one can run any code)."
    )
