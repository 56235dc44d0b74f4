"""The state of a training on disk: whole or not there, and safe to read."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from huggingface.loaders.checks import check_pickle
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
    with refused(folder):
        _check_archive(path)
        check_pickle(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not state.keys() >= {"settings", "step", "layers", "buffer", "contexts"}:
            raise ValueError("it lacks parts of a training's state")
    return state


@contextmanager
def refused(folder: Path) -> Iterator[None]:
    """While open, what goes wrong is the fault of the checkpoint in ``folder``, but for a device without the memory.

    Raises:
        CheckpointError: saying so.
    """
    try:
        yield
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of as many kinds as there are ways to damage a pickle
        first_line = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise CheckpointError(f"The checkpoint {folder / CHECKPOINT_FILE} is damaged ({first_line}); delete it or give --restart.") from error


def expect(fits: bool, what: str) -> None:
    """Refuse a part of a state.

    Raises:
        ValueError: unless it fits.
    """
    if not fits:
        raise ValueError(f"{what} in it does not fit")


def is_number(value: object, most: float = float("inf")) -> bool:
    """Whether ``value`` is a count from 0 to ``most``."""
    return type(value) is int and 0 <= value <= most


def is_plain(value: object) -> bool:
    """Whether ``value`` is a tensor of which each number is stored."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_meta:
        return False
    return value.numel() * value.itemsize <= value.untyped_storage().nbytes()


def restore_optimizer(optimizer: torch.optim.Adam, state: dict[str, Any]) -> None:
    """Load what its ``state_dict`` gave. PyTorch looks at no shapes, and fused Adam writes beyond the end of a moment that is too short.

    Raises:
        ValueError: if it is of other parameters.
    """
    own, saved = optimizer.state_dict()["param_groups"], state["param_groups"]
    kinds = [[{name: type(group[name]) for name in ("params", "lr", "betas", "eps", "weight_decay")} for group in groups] for groups in (own, saved)]
    expect(kinds[0] == kinds[1] and all(group.keys() == other.keys() for group, other in zip(own, saved)), "the optimizer's groups")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    expect(state["state"].keys() in (set(), set(range(len(parameters)))), "the optimizer's state")
    for number, moments in state["state"].items():
        shapes = {"step": (), "exp_avg": parameters[number].shape, "exp_avg_sq": parameters[number].shape}
        expect(moments.keys() == shapes.keys(), "the optimizer's state")
        for name, moment in moments.items():
            fits = is_plain(moment) and moment.dtype == torch.float32 and moment.shape == shapes[name]
            expect(fits and bool(moment.isfinite().all()), f"the optimizer's {name}")
    optimizer.load_state_dict(state)


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
