"""The one family of exceptions for mistakes that a user can mend."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class UserError(Exception):
    """A mistake of the user's: a bad path, flag, CSV, checkpoint, or a missing compiler.

    Its text is one sentence that says what was wrong, what was found and what to do. The entry points print it
    without a traceback and exit with code 2; a traceback is for our own bugs.
    """


@contextmanager
def named_as_arguments() -> Iterator[None]:
    """Within, and in a function that this decorates, a ``UserError`` names arguments (``lim``) where it would name flags (``--lim``).

    Flags and the arguments of the Python functions have the same names, so that one sentence serves both.
    """
    try:
        yield
    except UserError as error:
        error.args = tuple(re.sub(r"(?<![\w-])--(?=[A-Za-z])", "", str(text)) for text in error.args)
        raise


def check_argument(name: str, value: Any, kind: Any, wanted: str) -> None:
    """Refuse an argument that is not of a kind, such as the text ``"5"`` where a number is wanted.

    Args:
        kind: as ``isinstance`` takes it.
        wanted: what is to be given instead.

    Raises:
        UserError: saying what ``name`` must be, and what it is.
    """
    if not isinstance(value, kind):
        raise UserError(f"{name} must be {wanted}, not {value!r:.60}.")


def list_of_strings(name: str, values: Any) -> list[str]:
    """``values`` as a list of strings; a single string is refused, which Python would take for a list of its characters.

    Raises:
        UserError: saying what was found.
    """
    found = [values] if isinstance(values, str) or not hasattr(values, "__iter__") else list(values)
    wrong = found if isinstance(values, str) else [one for one in found if not isinstance(one, str)]
    if wrong:
        raise UserError(f"{name} must be a list of strings, not {'the string ' * isinstance(values, str)}{wrong[0]!r:.60}.")
    return found


class CheckpointError(UserError):
    """A transcoder, model or saved update that cannot be read or does not fit."""


class RequestError(UserError):
    """An edit request that cannot be used as it is written."""


class EditError(UserError):
    """An edit that cannot be computed or applied; the model is left unedited."""


class BenchmarkError(UserError):
    """A benchmark folder, translation folder or clustering that cannot be judged."""
