"""Folders to judge in: locked while they are used, swept when their process has died, and checked for room."""

import fcntl
import logging
import os
import queue
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from d_running.sandbox import Launcher, Tier, Trouble, hand_over

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


class Workplaces:
    """Launchers for several threads at a time, each with folders of its own; a context manager."""

    def __init__(self, tier: Tier, jobs: int, prepare: Callable[[Path], Sequence[str]]) -> None:
        """``prepare`` puts what all programs need into the folder ``tools``, and says what else of the machine's files they may see."""
        self._tier, self._jobs, self._prepare = tier, jobs, prepare

    def __enter__(self) -> Self:
        """Start the launchers.

        Raises:
            Trouble, OSError, UserError: if that fails.
        """
        self._launchers: queue.SimpleQueue[tuple[Launcher, Path]] = queue.SimpleQueue()
        self._all_launchers: list[Launcher] = []
        with ExitStack() as stack:
            base = stack.enter_context(working_folder())
            check_room(base)
            (base / "tools").mkdir()
            visible = self._prepare(base / "tools")
            for number in range(self._jobs):
                folder = base / str(number)
                shutil.copytree(base / "tools", folder / "tools", copy_function=os.link)
                folder.chmod(0o711)
                launcher = stack.enter_context(Launcher(self._tier, folder, visible))
                self._all_launchers.append(launcher)
                self._launchers.put((launcher, folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def stop(self) -> None:
        """End what runs now, from any thread; nothing can be run afterwards."""
        for launcher in self._all_launchers:
            launcher.stop()

    @contextmanager
    def place(self) -> Iterator[tuple[Launcher, Path]]:
        """A launcher and an empty folder, for one thread; ``tools`` lies beside the folder."""
        launcher, home = self._launchers.get()
        try:
            with empty_folder(home / "work") as folder:
                yield launcher, folder
        finally:
            self._launchers.put((launcher, home))


@contextmanager
def empty_folder(folder: Path) -> Iterator[Path]:
    """A new folder that belongs to whom commands run as, removed at the end."""
    folder.mkdir()
    try:
        folder.chmod(0o700)
        hand_over(folder)
        yield folder
    finally:
        shutil.rmtree(folder)


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
