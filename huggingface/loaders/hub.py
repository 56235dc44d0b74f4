"""Transcoders on the Hugging Face hub, by names that begin with ``hub:``."""

import re
from pathlib import Path

from huggingface.transcoder import CONFIG_FILE, TOPK_WEIGHTS_FILE, WEIGHTS_FILE
from util.errors import CheckpointError

HUB = "hub:"
FILES = (CONFIG_FILE, WEIGHTS_FILE, TOPK_WEIGHTS_FILE, "config.yaml", "config.json", "params.safetensors", "params.npz")
"""What a folder with one transcoder, or the settings of many, can hold; nothing else is fetched."""

_NAME = re.compile(r"hub:(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<inside>[^@]+?))?/?(?:@(?P<revision>.+))?")


def fetch(name: str, layer: int | None) -> Path:
    """Where ``hub:OWNER/NAME[/FOLDER_OR_FILE][@REVISION]`` lies on this machine, after what ``layer`` needs of it was fetched.

    Raises:
        CheckpointError: for a name of another form, or one that is not there or cannot be reached.
    """
    from huggingface_hub import snapshot_download

    match = _NAME.fullmatch(name)
    if not match:
        raise CheckpointError(f"{name} is no transcoder on the hub; give hub:OWNER/NAME, hub:OWNER/NAME/FOLDER or hub:OWNER/NAME@REVISION.")
    inside = match["inside"] or ""
    folder = f"{inside}/" if inside else ""
    wanted = [f"{folder}{file}" for file in (*FILES, f"layer_{layer}.safetensors", f"*layers.{layer}.mlp/*")] + ([inside] if inside else [])
    if inside.endswith(".safetensors"):
        wanted += [f"{inside.rpartition('/')[0]}/{file}".lstrip("/") for file in FILES[3:5]]
    try:
        snapshot = snapshot_download(match["repository"], revision=match["revision"], allow_patterns=wanted)
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"Cannot fetch {name} ({first_line}); is it there, and can you reach the hub?") from error
    path = Path(snapshot) / inside
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        raise CheckpointError(f"{name} holds no transcoder{'' if layer is None else f' of layer {layer}'}; name its folder or file.")
    return path
