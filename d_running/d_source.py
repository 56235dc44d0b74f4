"""D source as text: the first function of an answer, found by matching braces outside strings and comments."""

import re
from collections.abc import Iterator

# What a brace inside does not count in; nested comments, which no regular expression can match, are followed below.
_OPAQUE = re.compile(
    r"""//[^\n]*|/\*.*?(?:\*/|\Z)|`[^`]*(?:`|\Z)|[rx]"[^"]*(?:"|\Z)|"(?:\\.|[^"\\])*(?:"|\Z)|'(?:\\.|[^'\\\n])+'""",
    re.DOTALL,
)
_SIGNATURE_END = re.compile(r"[\w\]*>)]\s+(?P<name>[A-Za-z_]\w*)\s*\(|^\s*(?P<bare>[A-Za-z_]\w*)\s*\(")
_NOT_FUNCTIONS = {"if", "for", "foreach", "foreach_reverse", "while", "switch", "catch", "with", "synchronized", "version", "debug"}
_DEFINES_TYPE = re.compile(r"\b(?:struct|class|interface|union|enum|unittest|template|mixin)\b[^();]*$")
_CONTRACT = re.compile(r"\s*(?:do|body|in|out)\b")  # what may follow the block of a contract: the next one, or the body
_NESTED_EDGE = re.compile(r"/\+|\+/")


def _code(text: str) -> Iterator[tuple[int, str]]:
    """Positions and characters of ``text`` that are code: outside comments, strings and character literals."""
    position = 0
    while position < len(text):
        if text.startswith("/+", position):
            position = _end_of_nested_comment(text, position)
        elif (opaque := _OPAQUE.match(text, position)) and not _continues_name(text, position):
            position = opaque.end()
        else:
            yield position, text[position]
            position += 1


def _continues_name(text: str, position: int) -> bool:
    """Whether the r of a would-be r"…" is the last letter of a longer name."""
    return text[position] in "rx" and position > 0 and (text[position - 1].isalnum() or text[position - 1] == "_")


def _end_of_nested_comment(text: str, start: int) -> int:
    depth = 0
    for edge in _NESTED_EDGE.finditer(text, start):
        depth += 1 if edge.group() == "/+" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def first_function(answer: str) -> tuple[str, str] | None:
    """The first function of ``answer`` with its body, as ``(name, source)``; None where there is none or it is not closed.

    All that follows the previous ``;`` or ``}`` of the outermost level belongs to it, such as attributes. Token strings
    (``q{…}``) need no rule of their own, because their braces are balanced.
    """
    begin = depth = 0
    name: str | None = None
    for position, char in _code(answer):
        if char == "{":
            if depth == 0:
                name = _declared_name(answer[begin:position])
            depth += 1
        elif char == "}":
            depth -= 1
            if depth < 0:
                return None
            if depth == 0:
                if name and not _CONTRACT.match(answer, position + 1):
                    return name, answer[begin : position + 1].strip()
                begin = begin if name else position + 1
        elif char == ";" and depth == 0:
            begin = position + 1
    return None


def _declared_name(declaration: str) -> str | None:
    """The name of the function that ``declaration`` (all before its body) declares, None if it declares something else."""
    code = blank_opaque(declaration)
    if _DEFINES_TYPE.search(code):
        return None
    for found in _SIGNATURE_END.finditer(code):
        name = found["name"] or found["bare"]
        if name not in _NOT_FUNCTIONS:
            return name
    return None


def blank_opaque(text: str) -> str:
    """``text`` with everything that is not code turned into spaces, so that positions stay."""
    blank = [" "] * len(text)
    for position, char in _code(text):
        blank[position] = char
    return "".join(blank)


def rename(source: str, old: str, new: str) -> str:
    """``source`` with the identifier ``old`` renamed wherever it is code, and not a member (``x.old``)."""
    code = blank_opaque(source)
    parts, end = [], 0
    for found in re.finditer(rf"(?<![\w.]){re.escape(old)}(?!\w)", code):
        parts += [source[end : found.start()], new]
        end = found.end()
    return "".join(parts) + source[end:]
