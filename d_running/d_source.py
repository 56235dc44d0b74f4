"""D source as text: the first function of an answer, found by matching brackets outside strings and comments."""

import re

_FENCE = re.compile(r"^[ \t]*```.*$", re.MULTILINE)
# Comments, strings and characters. Those that nest have no end here: no regular expression can find it.
_OPAQUE = re.compile(
    r"""
    //[^\n]* | /\*.*?(?:\*/|\Z) | (?P<comment>/\+)
    | (?<!\w)q"(?:(?P<opens>[(\[{<]) | (?P<word>[^\W\d]\w*)\r?\n.*?(?:\n(?P=word)"|\Z) | (?P<mark>[^\w\s]).*?(?:(?P=mark)"|\Z))
    | (?<!\w)r"[^"]*(?:"|\Z) | `[^`]*(?:`|\Z) | "(?:\\.|[^"\\])*(?:"|\Z)
    | '(?:\\(?:[xuU][\da-fA-F]+|[0-7]+|&\w+;|.)|[^'\\\n])'
    """,
    re.DOTALL | re.VERBOSE,
)
_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}
_EDGES = {opens: re.compile(f"{re.escape(opens)}|{re.escape(closes)}") for opens, closes in (_CLOSING | {"/+": "+/"}).items()}
_MASK = "\0"
_CONTINUES = frozenset(("in", "out", "do", "body", "if"))
"""Words that may follow a function's parameters behind an empty line."""
_STARTS = 16
"""How many places at which a declaration may begin are tried, the last ones; without a limit a hostile megabyte would take minutes."""
# What can end a declaration or change how deep we are; what can only end prose counts as an edge too.
_EDGE = re.compile(r"[()\[\]{};]|[.:?](?=\s)|!(?=\r?\n)|\n(?:[ \t\r]*\n)+")
_TOKEN = re.compile(r"[^\W\d]\w*|[^\s\0]")
_CONTRACT = re.compile(r"(?:\bin|\bout(?:[\s\0]*\([\s\0]*\w*[\s\0]*\))?)[\s\0]*$")  # not `in (n > 0)`: the body follows that
_NOT_NAMES = frozenset(
    """
    align assert cast catch const debug delegate deprecated extern for foreach foreach_reverse function if immutable in inout is out
    package pragma return scope shared switch synchronized typeof typeid version while with
    """.split()
)
_NO_FUNCTIONS = frozenset("alias class enum import interface invariant mixin module struct template union unittest".split())


def mask_opaque(text: str) -> str:
    """``text`` with comments, strings and characters, newlines in them too, replaced by as many NULs."""
    parts, end = [], 0
    while found := _OPAQUE.search(text, end):
        parts.append(text[end : found.start()])
        if found["comment"]:
            end = _end_of_nested(text, found.start(), "/+", "")
        elif opens := found["opens"]:
            end = _end_of_nested(text, found.start("opens"), opens, '"')
        else:
            end = found.end()
        parts.append(_MASK * (end - found.start()))
    return "".join(parts) + text[end:]


def _end_of_nested(text: str, start: int, opens: str, last: str) -> int:
    """Where what opens at ``start`` ends, ``last`` included; the end of the text if it does not close."""
    depth = 0
    for edge in _EDGES[opens].finditer(text, start):
        depth += 1 if edge.group() == opens else -1
        if depth == 0:
            end = edge.end()
            return end + len(last) if text.startswith(last, end) else end
    return len(text)


def first_function(answer: str) -> tuple[str, str] | None:
    """The first function of ``answer`` with its body, as ``(name, source)``; None where there is none or it is not closed.

    Of an answer with fences each part is looked through by itself. Attributes and comments directly above a function belong to it,
    sentences above it do not. Token strings (``q{…}``) need no rule of their own, because their brackets are balanced.
    """
    for part in _FENCE.split(answer):
        if found := _first_function(part):
            return found
    return None


def _first_function(text: str) -> tuple[str, str] | None:
    code = mask_opaque(text)
    starts = [0]  # where a declaration may begin: behind the last one, and behind sentences in front of it
    opened: list[str] = []
    braces = 0  # of them
    name: str | None = None
    closed = 0  # where the last outermost block ended
    for edge in _EDGE.finditer(code):
        position, char = edge.start(), edge.group()
        if char in _CLOSING:
            if char == "{" and not opened:
                if name is None:
                    name, start = _declared(code, starts, position)
                is_contract = _CONTRACT.search(code, closed, position) is not None
            opened.append(char)
            braces += char == "{"
        elif char == "}":
            if not braces:
                return None
            braces -= 1
            while opened.pop() != "{":
                pass
            closed = position + 1
            if opened:
                continue
            if name is None:
                starts = [closed]
            elif not is_contract:
                return name, text[start : position + 1].strip()
        elif char in ")]":
            if opened and _CLOSING[opened[-1]] == char:
                opened.pop()
        elif not opened and char == ";":
            name, start = _declared(code, starts, position)
            if name and "=>" in code[start:position]:  # int f(int n) => n + 1;
                return name, text[start : position + 1].strip()
            name, starts, closed = None, [position + 1], position + 1
        elif not opened:
            starts.append(edge.end())
    return None


def _declared(code: str, starts: list[int], end: int) -> tuple[str | None, int]:
    """The name of the function that is declared in front of ``end``, and where: at the last of ``starts`` with more than contracts behind."""
    for start in reversed(starts[-_STARTS:]):
        tokens = _TOKEN.findall(code, start, end)
        if tokens and tokens[0] not in _CONTINUES:
            return _declared_name(tokens), start
    return None, starts[0]


def _declared_name(tokens: list[str]) -> str | None:
    """The name of the function that a declaration (all before its body) declares, None if it declares something else."""
    depth = 0
    for index, token in enumerate(tokens):
        if depth == 0 and (token in _NO_FUNCTIONS or token == "="):
            return None
        if depth == 0 and token == "(" and index:
            name, before = tokens[index - 1], tokens[index - 2] if index > 1 else ""
            if (name[0].isalpha() or name[0] == "_") and name not in _NOT_NAMES and before not in ("!", "@", "."):
                return name
        depth += (token in "([{") - (token in ")]}")
        if depth < 0:
            return None
    return None


def rename(source: str, old: str, new: str) -> str:
    """``source`` with the identifier ``old`` renamed wherever it is code, and not a member (``x.old``)."""
    parts, end = [], 0
    for found in re.finditer(rf"(?<![\w.]){re.escape(old)}(?!\w)", mask_opaque(source)):
        parts += [source[end : found.start()], new]
        end = found.end()
    return "".join(parts) + source[end:]
