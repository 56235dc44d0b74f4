"""The state of a training on disk: whole or not there, and safe to read."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from util.errors import CheckpointError, UserError
from util.files import write_atomically

CHECKPOINT_FILE = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in ``folder``; if the disk is full, the last one stays as it was.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        write_atomically(folder / CHECKPOINT_FILE, lambda path: torch.save(state, path))
    except RuntimeError as error:
        # torch's writer raises this, not an OSError, when the disk is full.
        raise UserError(f"Cannot write {folder / CHECKPOINT_FILE} ({error}); free some space, the last checkpoint is untouched.") from error


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state in ``folder``, on the CPU, or None if there is none; runs no code of the file.

    Raises:
        CheckpointError: if the file is damaged.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    if not path.is_file():
        raise CheckpointError(f"{path} is no file of data; remove it or give another --output_file_path.")
    try:
        _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not state.keys() >= {"settings", "step", "layers", "buffer", "contexts"}:
            raise ValueError("it lacks parts of a training's state")
    except Exception as error:  # of as many kinds as there are ways to damage a pickle
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"The checkpoint {path} is damaged ({first_line}); delete it or give --restart.") from error
    return state


def _check_archive(path: Path) -> None:
    """See that the members of a checkpoint's archive are as torch writes them, since it looks neither at their checksums nor at what they are.

    Raises:
        ValueError: if one is not.
        zipfile.BadZipFile: if it is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            # A folder would leave its tensor's memory as it is found.
            if member.compress_type != zipfile.ZIP_STORED or member.external_attr or member.is_dir():
                raise ValueError(f"{member.filename} is not as torch writes it")
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise ValueError("its parts are larger than the file")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {damaged} is another")
