"""Python source as text: the first function of an answer, with what it needs of the lines in front of it."""

import io
import itertools
import re
import textwrap
import tokenize
from collections.abc import Iterator

_FENCE = re.compile(r"^[ \t]*```.*$", re.MULTILINE)
_DEFINITION = re.compile(r"^(?P<indent>[ \t]*)(?:async[ \t]+)?def[ \t]+(?P<name>\w+)", re.MULTILINE)
_IMPORT = re.compile(r"(?:import|from)[ \t]+[\w.]+")
_LAYOUT = (tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def first_function(answer: str) -> tuple[str, str] | None:
    """The first function of ``answer`` with its decorators and the imports in front of it, as ``(name, source)``; None if there is none.

    Of an answer with fences each part is looked through by itself. A function inside a class is taken out of it.
    """
    for part in _FENCE.split(answer):
        if found := _first_function(part):
            return found
    return None


def _first_function(text: str) -> tuple[str, str] | None:
    found = _DEFINITION.search(text)
    if found is None:
        return None
    before = text[: found.start()].splitlines()
    imports = [line.strip() for line in before if _IMPORT.match(line.strip())]
    decorators = list(itertools.takewhile(lambda line: line.startswith("@"), (line.strip() for line in reversed(before))))[::-1]
    lines = textwrap.dedent(_without_margin(text[found.start() :], found["indent"])).splitlines(keepends=True)
    end = _end(lines)
    if end is None:
        return None
    function = "".join(lines[:end]).rstrip()
    return found["name"], "\n".join([*imports, *[""] * (2 * bool(imports)), *decorators, function])


def _without_margin(text: str, margin: str) -> str:
    """The lines of ``text`` without their margin, as far as all of them have it or are empty."""
    lines = []
    for line in text.splitlines(keepends=True):
        if line.strip() and not line.startswith(margin):
            break
        lines.append(line.removeprefix(margin))
    return "".join(lines)


def _end(lines: list[str]) -> int | None:
    """How many of the lines are the function that they begin with; None where it does not end as Python can end."""
    depth, has_body = 0, False
    last = 0
    try:
        for token in tokenize.generate_tokens(iter(lines).__next__):
            if token.type == tokenize.INDENT:
                depth += 1
            elif token.type == tokenize.DEDENT:
                depth -= 1
            elif token.type not in _LAYOUT:
                if has_body and depth == 0:
                    return last
                last = token.end[0]
            if token.type == tokenize.NEWLINE:
                has_body = True
    except (tokenize.TokenError, SyntaxError):
        # What follows the function need be no Python, such as a sentence with an apostrophe.
        return last if has_body and last and lines[last:] and not lines[last].startswith((" ", "\t")) else None
    return last if has_body else None


def rename(source: str, old: str, new: str) -> str:
    """``source`` with the identifier ``old`` renamed wherever it is code, and not a member (``x.old``)."""
    lines = list(io.StringIO(source))  # as it is split into tokens: at newlines alone
    starts = list(itertools.accumulate(map(len, lines), initial=0))
    parts, end = [], 0
    for row, column in _places(source, old):
        start = starts[row - 1] + column
        parts += [source[end:start], new]
        end = start + len(old)
    return "".join(parts) + source[end:]


def _places(source: str, name: str) -> Iterator[tuple[int, int]]:
    """Row, from 1, and column of each place; as far as the text can be split into tokens."""
    before = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.NAME and token.string == name and before != ".":
                yield token.start
            before = token.string
    except (tokenize.TokenError, SyntaxError):
        return
