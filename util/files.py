"""Files that are either whole or not there: written beside their target and renamed."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from util.errors import UserError

ROOT = Path(__file__).parent.parent
"""The folder of the rooms: the repository, or that of an installation."""

# It can only be read by setting it, which would disturb other threads later.
_UMASK = os.umask(0)
os.umask(_UMASK)


def shipped(path: str) -> str:
    """Where ``path``, a file that comes with TCPE, lies as seen from the current folder."""
    return path if Path.cwd() == ROOT else str(ROOT / path)


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file in the folder of ``path``, then rename it to ``path``.

    A reader, or a run that is killed in the middle, finds the old file or the new one, never a part.

    Raises:
        UserError: if the folder cannot be written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}; name a folder that you may write to.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}; free some space or name another folder.") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make ``folder``.

    Raises:
        UserError: if that is not possible, or nothing can be written there.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
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
