"""The state of a training on disk: whole or not there, and safe to read."""

import pickle
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
    try:
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:  # torch does not look at its checksums
                raise ValueError(f"the checksum of {damaged} is another")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not state.keys() >= {"settings", "step", "layers", "buffer", "contexts"}:
            raise ValueError("it lacks parts of a training's state")
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"The checkpoint {path} is damaged ({first_line}); delete it or give --restart.") from error
    return state
