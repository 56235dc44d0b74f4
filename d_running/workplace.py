"""Folders to judge in: locked while they are used, swept when their process has died, and checked for room."""

import fcntl
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from d_running.sandbox import Trouble

_PREFIX = "d_running-"
_ROOM = 64 << 20
_TRIAL = 1 << 20

log = logging.getLogger(__name__)


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder of its own in the system's temporary folder, removed at the end; those that killed processes left are removed now.

    Raises:
        OSError: if there can be none.
    """
    base = Path(tempfile.gettempdir())
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=base))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = folder.rename(base / folder.name.removeprefix("."))  # only now, locked, can a sweep find it
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(base: Path) -> None:
    """Remove this user's folders whose process has died: the system releases a lock when its process ends, however it ends."""
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                state = os.fstat(descriptor)
                if stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    log.info("Removing %s, which a killed run has left.", folder)
                    shutil.rmtree(folder)
            finally:
                os.close(descriptor)


def check_room(folder: Path) -> None:
    """See that the disk has room for a compilation in ``folder``.

    Raises:
        Trouble: if it has not.
    """
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    if free < _ROOM or (state.f_files and not state.f_favail):
        raise Trouble(f"{tempfile.gettempdir()} has {free >> 20} MiB and {state.f_favail} files left; it needs {_ROOM >> 20} MiB")
    trial = folder / "trial"
    try:
        with trial.open("wb") as file:  # a quota does not show in the figures above
            os.posix_fallocate(file.fileno(), 0, _TRIAL)
    except OSError as error:
        raise Trouble(f"nothing can be written to {tempfile.gettempdir()}: {error.strerror}") from error
    finally:
        trial.unlink(missing_ok=True)
