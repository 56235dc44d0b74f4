"""The one family of exceptions for mistakes that a user can mend."""

import re
from collections.abc import Iterator
from contextlib import contextmanager


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


class CheckpointError(UserError):
    """A transcoder, model or saved update that cannot be read or does not fit."""


class RequestError(UserError):
    """An edit request that cannot be used as it is written."""


class EditError(UserError):
    """An edit that cannot be computed or applied; the model is left unedited."""


class BenchmarkError(UserError):
    """A benchmark folder, translation folder or clustering that cannot be judged."""
