"""GeeksforGeeks' tokenised Java, written as a person would: the form in which a model is asked to translate it."""

import re

FUNCTION_NAME = "solution"
_BENCHMARK_NAMES = re.compile(r"\bf_(?:gold|filled)\b")  # the second is that of the published kecode.csv
_INDENT = "    "

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])+'
    |0[xX][\da-fA-F_]+[lL]?|(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][+-]?\d+)?[lLfFdD]?|[^\W\d][\w$]*
    |>>>=|<<=|>>=|>>>|\.\.\.|->|::|\+\+|--|&&|\|\||<<|>>|[-+*/%&|^=!<>]=|\S""",
    re.VERBOSE | re.DOTALL,
)
_QUALIFIERS = re.compile(r"^(?:(?:public|private|protected|static|final|synchronized|strictfp)\b\s*)+(?=[\w<])", re.MULTILINE)
_BEFORE_SPACE = re.compile(r"[\w$>)]")  # the original's space before a bracket; there is none in `][` and `((`
_OPERAND_END = re.compile(r"""[\w$"')\]]$|\d\.$|\+\+$|--$""")
_KEYWORDS = {"if", "for", "while", "switch", "catch", "synchronized", "return", "else", "do", "try", "case", "throw", "assert"}
_PRIMITIVES = {"int", "long", "short", "byte", "char", "float", "double", "boolean"}
_OPENS = {"(", "[", ".", "::", "@"}  # no space after these, none before those
_CLOSES = {";", ",", ")", "[", "]", ".", "::", "..."}
_SIGNS = {"+", "-", "++", "--"}


def natural_java(text: str) -> str:
    """``text`` without qualifiers, its function named ``solution``; tokenised code is also spaced, broken and indented.

    Code that is naturally spaced already keeps its lines and spaces, so that the function is idempotent.
    """
    if " ( " in text.partition("{")[0]:
        text = _Layout(_TOKEN.findall(text)).text()
    text = _QUALIFIERS.sub("", text)
    return _BENCHMARK_NAMES.sub(FUNCTION_NAME, text).strip()


def original_java(java: str) -> str:
    """Naturally spaced Java as the original benchmark shows it: ``str.length ()``, ``int mat [][]``, indents of eight.

    Its published edit requests are what there is to go by.
    """

    def spaced(token: re.Match[str]) -> str:
        is_glued = token.group() in ("(", "[") and _BEFORE_SPACE.match(java, token.start() - 1) is not None
        return f" {token.group()}" if is_glued else token.group()

    return re.sub(rf"^(?:{_INDENT})+", lambda indent: 2 * indent.group(), _TOKEN.sub(spaced, java), flags=re.MULTILINE)


class _Layout:
    """Java tokens on their way to natural lines: one statement a line, indented by the braces around it."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._angles = self._type_argument_brackets()
        self._prefixes = {index for index, token in enumerate(tokens) if token in "!~" or self._is_sign(index)}

    def text(self) -> str:
        """The code, laid out."""
        lines = [""]
        parentheses = 0
        braces: list[str] = []  # what each open brace encloses: "array" elements, a "do" body, or another "block"
        for index, token in enumerate(self._tokens):
            if token == "{":
                braces.append(self._enclosed(index))
            inside = braces[-1] if braces else ""
            if token == "}":
                braces = braces[:-1]
                if inside != "array" and lines[-1]:
                    lines.append("")
            at_array_edge = inside == "array" and (token == "}" or self._at(index - 1) == "{")
            if not lines[-1]:
                lines[-1] = _INDENT * (len(braces) - (token == "{")) + token
            else:
                lines[-1] += token if at_array_edge or self._is_glued(index) else f" {token}"
            parentheses += (token == "(") - (token == ")")
            if self._ends_line(index, lines[-1], inside) and not parentheses:
                lines.append("")
        return "\n".join(lines)

    def _at(self, index: int) -> str:
        return self._tokens[index] if 0 <= index < len(self._tokens) else ""

    def _enclosed(self, index: int) -> str:
        """What the opening brace at ``index`` encloses."""
        before = self._at(index - 1)
        if before in ("=", "]", ",", "(") or (before == "{" and self._enclosed(index - 1) == "array"):
            return "array"
        return "do" if before == "do" else "block"

    def _ends_line(self, index: int, line: str, inside: str) -> bool:
        """Whether a line ends after this token, if it is not in parentheses; ``inside`` is what the innermost brace encloses."""
        token, following = self._tokens[index], self._at(index + 1)
        if token == "}":
            stays = {"array": True, "do": following == "while"}.get(inside, following in ("else", "catch", "finally", ";", ",", ")"))
            return not stays
        if inside == "array":
            return False
        return token in (";", "{") or token.startswith("//") or (token == ":" and line.split()[0] in ("case", "default"))

    def _is_glued(self, index: int) -> bool:
        """Whether no space comes before this token (which does not begin a line)."""
        before, token = self._at(index - 1), self._tokens[index]
        if index - 1 in self._prefixes:
            return not (before in "+-" and token in _SIGNS)
        if before in _OPENS or token in _CLOSES or index in self._angles or (before == "<" and index - 1 in self._angles):
            return True
        if token == "(":
            return before not in _KEYWORDS and (_is_word(before) or index - 1 in self._angles)
        if token in ("++", "--"):
            return index not in self._prefixes
        return token == ":" and before == "default"

    def _is_sign(self, index: int) -> bool:
        """Whether this token is a sign or an increment in front of its operand."""
        before = self._at(index - 1)
        if self._tokens[index] not in _SIGNS:
            return False
        if before == ")":
            follows_cast = self._at(index - 2) in _PRIMITIVES
            return follows_cast or (len(self._tokens[index]) == 2 and _is_word(self._at(index + 1)))
        return before in _KEYWORDS or not _OPERAND_END.search(before)

    def _type_argument_brackets(self) -> set[int]:
        """The indices of the ``<`` and ``>`` that enclose type arguments."""
        found: set[int] = set()
        for start, token in enumerate(self._tokens):
            if token != "<" or start in found or not self._at(start - 1)[:1].isupper():
                continue
            inside, depth = {start}, 1
            for index in range(start + 1, len(self._tokens)):
                token = self._tokens[index]
                if token == "<" or set(token) == {">"}:
                    inside.add(index)
                    depth += 1 if token == "<" else -len(token)
                elif not (_is_word(token) or token in ".,?[]"):
                    break
                if depth <= 0:
                    found |= inside
                    break
        return found


def _is_word(token: str) -> bool:
    return bool(re.match(r"[^\W\d][\w$]*$", token))
