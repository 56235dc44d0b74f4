"""The one family of exceptions for mistakes that a user can mend."""


class UserError(Exception):
    """A mistake of the user's: a bad path, flag, CSV, checkpoint, or a missing compiler.

    Its text is one sentence that says what was wrong, what was found and what to do. The entry points print it
    without a traceback and exit with code 2; a traceback is for our own bugs.
    """


class CheckpointError(UserError):
    """A transcoder, model or saved update that cannot be read or does not fit."""


class RequestError(UserError):
    """An edit request that cannot be used as it is written."""


class EditError(UserError):
    """An edit that cannot be computed or applied; the model is left unedited."""


class BenchmarkError(UserError):
    """A benchmark folder, translation folder or clustering that cannot be judged."""
