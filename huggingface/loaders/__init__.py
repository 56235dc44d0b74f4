"""Transcoder checkpoints: one loader per format, chosen by looking at the files."""

from pathlib import Path

from huggingface.loaders import saelens, transcoder_circuits
from huggingface.transcoder import CONFIG_FILE, Transcoder
from util.errors import CheckpointError


def load_transcoder(path: str | Path) -> Transcoder:
    """Read a transcoder of any known format; float32 on the CPU.

    Known are a folder with ``cfg.json`` and ``sae_weights.safetensors`` (ours and SAELens 6), and transcoder_circuits' ``.pt`` file.
    No code of a checkpoint ever runs.

    Raises:
        CheckpointError: if nothing is there, the format is not known or unsafe, or the tensors do not fit together.
    """
    path = Path(path)
    if path.name == CONFIG_FILE:
        path = path.parent
    if path.is_dir() and (path / CONFIG_FILE).is_file():
        return saelens.load(path)
    if path.is_file() and path.suffix == ".pt":
        return transcoder_circuits.load(path)
    if not path.exists():
        raise CheckpointError(f"There is no transcoder {path}; give the folder or file of one with --TC_layer_file.")
    raise CheckpointError(
        f"{path} is in no format that is read here; give a folder with cfg.json and sae_weights.safetensors, or a .pt file of "
        "transcoder_circuits (.pkl files are refused, since opening one can run any code)."
    )
