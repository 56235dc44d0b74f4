"""One process at a time in a folder, or at a piece of work; a lock ends with its holder, however and wherever that dies.

Two things hold it. The kernel's lock (``flock``) ends with its process: on a local disk it is all that is needed, and on NFS and on Lustre mounted
with ``flock`` it holds between machines too. But some mounts keep it to one machine (``local_lock``, ``localflock``) or have none, and none says so.
Therefore the holder also writes into the file which machine it is on and, every few seconds, that it still lives. Where the kernel gives a lock whose
file names another machine, that sign is watched: if it changes, the holder lives; if it stands still for ``SILENT_SECONDS`` it is dead. Only whether
it changes counts, by the watcher's own clock, so that clocks may differ.
"""

import errno
import fcntl
import json
import logging
import os
import secrets
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from util.errors import UserError
from util.files import folder_beside, machine

logger = logging.getLogger(__name__)

LOCK_FILE = ".lock"

SIGN_SECONDS = 5.0
"""Between two signs of life."""

SILENT_SECONDS = 40.0
"""After so long without one, a holder on another machine counts as dead. NFS may show a file as it was some seconds ago."""

SETTLE_SECONDS = 1.0
"""Between two looks at a holder's file, and before the one who took it looks whether it has it."""

_NO_KERNEL_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextmanager
def locked(folder: Path, wait: bool = False, work: str = "") -> Iterator[None]:
    """Hold ``folder`` while open. It is made if it is not there, and removed with the folders above it that were made, if it stays empty.

    Args:
        wait: until another process lets go of it, which the log says; by default that is an error.
        work: hold only this piece of work in the folder, named by what decides it; others go on meanwhile.

    Raises:
        UserError: if another process holds it, naming that; or the folder cannot be written to.
    """
    path = folder / f"{LOCK_FILE}{work and f'_{work}'}"
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        lock = _acquire(path, wait)
    except BlockingIOError as error:
        raise UserError(
            f"{folder} is in use by {_holder(path)}; wait for that to end, or name another folder. Two at once would do the same work twice."
        ) from error
    except OSError as error:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file; name a folder.") from error
        raise UserError(f"Cannot lock {path}: {error.strerror}; name a folder that you may write to.") from error
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # one holds something now
            for one in made:
                one.rmdir()


class _Lock:
    """A held lock's file, in which a thread gives signs of life.

    Attributes:
        file: open, and locked by the kernel where it can.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self.file = path, file
        self._token, self._signs = secrets.token_hex(8), 0
        self._released = threading.Event()

    def sign(self) -> None:
        """Say who holds the lock, and that it lives."""
        command = shlex.join(sys.argv[:3]) + " ..." * (len(sys.argv) > 3)
        holder = f"process {os.getpid()} on {socket.gethostname()} ({command})"
        said = json.dumps({"holder": holder, "machine": machine(), "token": self._token, "signs": self._signs}).encode("ascii")
        self._signs += 1
        os.pwrite(self.file.fileno(), said, 0)
        os.ftruncate(self.file.fileno(), len(said))
        os.fsync(self.file.fileno())

    def is_held(self) -> bool:
        """Whether the file is still the one at its path, and says what this process wrote."""
        return _is_at(self._path, self.file) and _said(self._path).get("token") == self._token

    def keep(self) -> None:
        """Give signs of life until the lock is released."""
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        while not self._released.wait(SIGN_SECONDS):
            with suppress(OSError, ValueError):  # a full disk must not end the work that is guarded; a closed file is a released lock
                if not self.is_held():
                    break
                self.sign()
        if not self._released.is_set():  # signs would now be those of another
            logger.error("%s was removed, or is held by another, who saw no sign of this process for long; see that not both go on", self._path)

    def release(self) -> None:
        self._released.set()
        with suppress(OSError):
            if self.is_held():
                self._path.unlink()  # before the lock is let go, so that none removes another's
        self.file.close()


def _acquire(path: Path, wait: bool) -> _Lock:
    """The lock, held and kept.

    Raises:
        BlockingIOError: if another process holds it and ``wait`` is not set.
    """
    while True:  # a file that its last holder removes meanwhile is opened anew, and its folder made anew
        with suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if lock := _made(path) or _taken(path, wait):
                lock.keep()
                return lock


def _made(path: Path) -> _Lock | None:
    """A new lock, which appears under its name held and signed; None if there is one already."""
    if path.exists():
        return None
    with folder_beside(path) as folder:
        lock = _Lock(path, open(folder / path.name, "x+b", buffering=0))  # noqa: SIM115 - held as long as the lock
        try:
            _flock(path, lock.file, wait=False)
            lock.sign()
            os.link(folder / path.name, path)
        except BaseException as error:
            lock.file.close()
            if isinstance(error, FileExistsError):
                return None
            raise
    return lock


def _taken(path: Path, wait: bool) -> _Lock | None:
    """The lock that a dead process has left, or a living one releases; None if it goes meanwhile."""
    try:
        file = open(path, "r+b", buffering=0)  # noqa: SIM115 - held as long as the lock
    except FileNotFoundError:
        return None
    try:
        by_kernel = _flock(path, file, wait)
        if not _is_at(path, file):
            file.close()
            return None
        lock = _Lock(path, file)
        if by_kernel and _said(path).get("machine") == machine():
            lock.sign()
            return lock
        if _fell_silent(path, wait):
            lock.sign()
            time.sleep(SETTLE_SECONDS)
            if lock.is_held():  # and no other watcher took it at the same time
                return lock
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _flock(path: Path, file: BinaryIO, wait: bool) -> bool:
    """Take the kernel's lock; False where the file system has none.

    Raises:
        BlockingIOError: if another process has it and ``wait`` is not set.
    """
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            logger.info("Waiting for %s, which holds %s", _holder(path), path)
            fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_KERNEL_LOCKS:
            raise
        return False
    return True


def _fell_silent(path: Path, wait: bool) -> bool:
    """Watch a holder that the kernel cannot answer for: True if it gives no sign of life, False if its file goes.

    Raises:
        BlockingIOError: if it lives and ``wait`` is not set.
    """
    logger.info("%s held %s; if it gives no sign within %g s it is dead", _holder(path), path, SILENT_SECONDS)
    last, since = None, time.monotonic()
    while True:
        try:
            now = path.read_bytes()
        except FileNotFoundError:
            return False
        if last is not None and now != last:
            if not wait:
                raise BlockingIOError(errno.EAGAIN, "its holder lives")
            since = time.monotonic()
        elif time.monotonic() - since >= SILENT_SECONDS:  # behind the last look, so that another watcher's sign is not overlooked
            return True
        last = now
        time.sleep(SETTLE_SECONDS)


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether the open file is the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _said(path: Path) -> dict[str, Any]:
    """What the holder wrote; nothing if that cannot be read, as of an earlier version."""
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _holder(path: Path) -> str:
    """What the holder says of itself."""
    return str(_said(path).get("holder", "another process"))
