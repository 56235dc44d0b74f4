"""What a command says where a Python package that it needs is not installed."""

import sys
from types import TracebackType

from util.files import ROOT


def missing_package(error: BaseException) -> str | None:
    """The sentence for a package that is not installed; None for any other error, a module of ours that is not there among them."""
    if not isinstance(error, ModuleNotFoundError) or not error.name or (ROOT / error.name.partition(".")[0]).exists():
        return None
    return (
        f"error: The Python package {error.name} is missing in {sys.executable}: run ./setup.sh and use .venv/bin/python, or install "
        "requirements.txt with pip.\n"
    )


def explain_missing_packages() -> None:
    """Let ``python -m ROOM.MODULE`` say so where its imports fail; the rooms call it before them. It does nothing for who imports a room."""
    if sys.argv[:1] == ["-m"]:  # so Python calls the command while it looks for the module
        sys.excepthook = _explain


def _explain(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if sentence := missing_package(error):
        sys.stderr.write(sentence)
        sys.exit(2)
    sys.__excepthook__(kind, error, traceback)
