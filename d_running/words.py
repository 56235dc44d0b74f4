"""What a compiler or a program said, without what differs from run to run or does more than be read."""

import re

_BACKTRACE = re.compile(r"^-{10,}$.*", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}|\b[0-9a-f]{12,16}\b")
# Escape sequences of terminals, other control characters but newline and tab, and what turns the direction of writing.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """``text`` without what a terminal would obey, and without surrogates, which no file can hold."""
    return _CONTROL.sub("", text)


def faithful_words(errors: str) -> str:
    """A program's error output without what differs from run to run: the backtrace and addresses."""
    return _ADDRESS.sub("0x…", _BACKTRACE.sub("", printable(errors))).strip()
