"""Files that are either whole or not there: written beside their target and renamed."""

import csv
import fcntl
import functools
import hashlib
import io
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from util.errors import CheckpointError, UserError

ROOT = Path(__file__).parent.parent
"""The folder of the rooms: the repository, or that of an installation."""

TEMPORARY = ".part"
"""Ends the names of what is not yet whole."""

DIGEST = "sha256"
"""The entry of a description that guards itself and the file that it describes. Other libraries ignore it, and leave it out when they save."""

_LOCK = "lock"
_FOREIGN_SECONDS = 86_400
"""After so long what another machine was writing counts as left, both times being the file system's own."""

_DISK_TROUBLE = re.compile("No space left on device|Disk quota exceeded|File too large|Input/output error|PytorchStreamWriter failed|unexpected pos")
"""In the errors of libraries that have their own for a disk that takes no more."""

# It can only be read by setting it, which would disturb other threads later.
_UMASK = os.umask(0)
os.umask(_UMASK)


def shipped(path: str) -> str:
    """Where ``path``, a file that comes with TCPE, lies as seen from the current folder."""
    return path if Path.cwd() == ROOT else str(ROOT / path)


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file in the folder of ``path``, then rename it to ``path``.

    A reader, or a run that is killed in the middle, finds the old file or the new one, never a part. What a killed run left of it is removed when
    the folder is written to again.

    Raises:
        UserError: if the folder cannot be written to, or has no room.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with folder_beside(path) as folder:
            temporary = folder / path.name
            write(temporary)
            temporary.chmod(0o666 & ~_UMASK)
            temporary.replace(path)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}; name a folder that you may write to, with some space left.") from error
    except Exception as error:
        if reason := _DISK_TROUBLE.search(str(error)):
            raise UserError(f"Cannot write {path}: {reason[0]}; free some space or name another folder.") from error
        raise


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A new folder beside ``path``, removed at the end; those that killed processes left there are removed now.

    A folder, since libraries write files of their own beside the one that they are asked for.
    """
    _sweep(path.parent.resolve())
    lock, folder = _locked_folder(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder(path: Path) -> tuple[int, Path]:
    """A new folder, and a file in it, open and locked: as long as it is, `_sweep` knows that its process lives.

    The folder's name says which machine that is on, since a process can be killed before it has written anything.
    """
    while True:
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=f".{machine()}{TEMPORARY}"))
        with suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
            with suppress(OSError):  # where there are no locks, nothing is swept
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:
                return lock, folder
            os.close(lock)


@functools.cache
def _sweep(folder: Path) -> None:
    """Remove what killed processes left half written in ``folder``, when this process first writes there.

    Some network file systems keep locks to one machine, so what another one writes is let alone for a day, by the file system's clock.
    """
    for left in folder.glob(f".*{TEMPORARY}"):
        with suppress(OSError):
            if not left.name.endswith(f".{machine()}{TEMPORARY}") and _time_there(folder) - left.stat().st_mtime <= _FOREIGN_SECONDS:
                continue
            if not any(left.iterdir()):
                left.rmdir()  # of one that was killed, or else that takes another folder now
                continue
            with (left / _LOCK).open("a+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)


def _time_there(folder: Path) -> float:
    """What time it is for the file system of ``folder``."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"now")
        file.flush()
        return os.fstat(file.fileno()).st_mtime


@functools.cache
def machine() -> str:
    """Names the running kernel, which containers on one machine share."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def check_writable(folder: Path) -> None:
    """See that ``folder`` can be written to, or made; it is not made yet, so that what is refused later leaves nothing.

    Raises:
        UserError: if not.
    """
    try:
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=there):  # of no name, which another process could take away
            pass
    except OSError as error:
        raise UserError(f"Cannot write to {folder}: {error.strerror}; give a folder that you may write to.") from error


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode("utf-8", "surrogateescape")))


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON with a final newline, atomically; NaN is refused (it is no JSON)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


class _Rows(io.StringIO):
    """Ends rows with a newline alone; for a writer that ends them with CRLF, so that it quotes a cell with a lone CR too."""

    def write(self, row: str) -> int:
        return super().write(row.removesuffix("\r\n") + "\n")


def write_csv(path: str | Path, fields: list[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write ``rows`` as CSV with a header of ``fields``, atomically."""
    text = _Rows(newline="")
    writer = csv.DictWriter(text, fields, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_description(path: Path, description: Mapping[str, Any], file: Path) -> None:
    """Write the description of ``file``, which is there already, as JSON with the SHA-256 of both."""
    write_json(path, {**description, DIGEST: _digest(description, file)})


def check_description(path: Path, description: Mapping[str, Any], file: Path, kind: str, remedy: str) -> None:
    """Refuse a file whose description, or which itself, is not as ``write_description`` found it; one that others wrote has no digest.

    Args:
        path: the description's own file.
        kind, remedy: what two of them are called, and what to do, for the message.

    Raises:
        CheckpointError: naming both files.
    """
    try:
        changed = description.get(DIGEST) is not None and description[DIGEST] != _digest(description, file)
    except RecursionError as error:
        raise CheckpointError(f"{path} is nested too deeply for a description; {remedy}.") from error
    if changed:
        raise CheckpointError(
            f"{path} and {file.name} are not as they were saved: bits have changed, or they are of two {kind}; {remedy}, or remove {DIGEST} from "
            f"{path.name} if you changed them on purpose."
        )


def _digest(description: Mapping[str, Any], file: Path) -> str:
    """SHA-256 of a description, but for its own digest, and of the file that it describes."""
    text = json.dumps({key: value for key, value in description.items() if key != DIGEST}, sort_keys=True)
    with open(file, "rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.sha256(text.encode())).hexdigest()


def read_json(path: str | Path, what: str) -> Any:
    """The value of a JSON file; ``what`` names it in the error ("the clustering").

    Raises:
        UserError: if the file is missing, unreadable or not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read {what} {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what.capitalize()} {path} is not valid JSON ({error}); make it again.") from error
