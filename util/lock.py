"""One process at a time in a folder; the kernel lets go of the lock when its holder dies, however it dies."""

import fcntl
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from util.errors import UserError

logger = logging.getLogger(__name__)

LOCK_FILE = ".lock"


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Hold ``folder``, which is made if it is not there, while open.

    Args:
        wait: until another process lets go of it, which the log says; by default that is an error.

    Raises:
        UserError: if another process holds it, naming that; or the folder cannot be written to.
    """
    path, was_there = folder / LOCK_FILE, folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _acquire(path, wait)
    except BlockingIOError as error:
        raise UserError(
            f"{folder} is in use by {_holder(path)}; wait for that to end, or name another folder. Two at once would do the same work twice."
        ) from error
    except OSError as error:
        raise UserError(f"Cannot lock {path}: {error.strerror}; name a folder that you may write to, on a file system with locks.") from error
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} ({shlex.join(sys.argv[:3])}{' ...' * (len(sys.argv) > 3)})".encode("utf-8", "surrogateescape"))
        file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock is let go, so that none removes another's
        file.close()
        if not was_there:
            with suppress(OSError):  # it holds something now
                folder.rmdir()


def _acquire(path: Path, wait: bool) -> BinaryIO:
    """The lock's file, open and held; one that its last holder removes meanwhile is opened anew."""
    while True:
        file = open(path, "ab")  # noqa: SIM115 - held as long as the lock
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                logger.info("Waiting for %s, which holds %s", _holder(path), path.parent)
                fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _holder(path: Path) -> str:
    """What the holder says of itself."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") or "another process"
    except OSError:
        return "another process"
