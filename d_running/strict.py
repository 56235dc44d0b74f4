"""Test programs that do not hold the expected results: each returned value goes out, and is compared here.

By default a program compares for itself, and reports what only the end of its own ``main`` can: the translation cannot name the
variable of the counts, and has not the key that signs them. That does not stop a translation whose function returns a value of its own
type that equals everything, that declares a function which the comparison calls (``fabs``, ``isNaN``, C's ``memcmp``), or that searches
and changes its own memory. Here none of these helps: what is not in the program, the translation can only give by computing it. What
stays possible is to recognise the inputs, which are the same in every run, and to answer them from a table.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d_running.harness import FUNCTION_NAME, INTEGER_BITS, MARKER, TOLERANCE
from util.errors import BenchmarkError

VALUES_SOURCE = Path(__file__).with_name("kecode_values.d")

_RESULTS = re.compile(r"(?P<type>\w+(?:\[\])+)\s+results\s*=\s*(?=\[)")
_CALL = re.compile(rf"\b{FUNCTION_NAME}\s*\(")
_EXACT, _TOLERANT = re.compile(r"\bresults\[\w+\]\s*==\s*$"), re.compile(r"\b(?:close|allClose)\s*\(\s*results\[\w+\]\s*,\s*$")
_TOKEN = re.compile(
    r"""\s*(?:cast\(\w+[][]*\)\s*)?(?:(?P<punctuation>[\[\],])|(?P<text>"(?:\\.|[^"\\])*"|`[^`]*`|r"[^"]*")|(?P<char>'(?:\\.[^']*|[^'\\])')
    |(?P<hex>[-+]?0[xX][\da-fA-F_]+)[uUL]*|(?P<integer>[-+]?\d[\d_]*(?=[^\d_.eEfF]))[uUL]*
    |(?P<real>[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][-+]?\d+)?)[fFL]*|(?P<property>-?\w+\.\w+)|(?P<word>true|false|null))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:x(?P<byte>[\da-fA-F]{2})|u(?P<point>[\da-fA-F]{4})|U(?P<long_point>[\da-fA-F]{8})|(?P<octal>[0-7]{1,3})|(?P<letter>.))", re.DOTALL
)
_LETTERS = {"n": 10, "r": 13, "t": 9, "a": 7, "b": 8, "f": 12, "v": 11}
_SENT = re.compile(r"[\[\]]|(?P<kind>[iu])(?P<size>[1248]):(?P<integer>-?\d+) |(?P<real>[fdr]):(?P<bits>[\da-f]{16})(?P<inexact>~?) ")

_LONGEST = 1 << 20
"""Of a returned value's text; `kecode_values` cuts longer ones off, and no expected result is as long."""

Value = int | float | list["Value"]


@dataclass(frozen=True)
class StrictTest:
    """A test program without its expected results.

    Attributes:
        program: it, with the marker.
        expected: the results; strings and their characters as numbers, as D compares them.
        is_float: whether they are reals of 32 bits.
        is_exact: whether they are compared by ``==``, otherwise with the test programs' tolerance.
    """

    program: str
    expected: list[Value]
    is_float: bool
    is_exact: bool

    def passed(self, sent: str) -> int | None:
        """How many of the values in ``sent``, one a line, are as expected; None if they are not the returned values of this test."""
        lines = sent.splitlines()
        if len(lines) != len(self.expected):
            return None
        try:
            return sum(len(line) <= _LONGEST and self._same(expected, _received(line)) for expected, line in zip(self.expected, lines, strict=True))
        except ValueError:
            return None

    def _same(self, expected: Value, received: Any) -> bool:
        if isinstance(expected, list) or isinstance(received, list):
            both = isinstance(expected, list) and isinstance(received, list) and len(expected) == len(received)
            return both and all(map(self._same, expected, received))
        kind, size, value, is_all = received
        if kind in "iu":
            wrapped = int(expected) % (1 << 8 * size)
            return value == (wrapped - (1 << 8 * size) if kind == "i" and wrapped >> (8 * size - 1) else wrapped)
        expected = _single(expected) if self.is_float or kind == "f" else float(expected)
        if self.is_exact:
            return value == expected and is_all
        if value == expected or (value != value and expected != expected):
            return True
        return abs(expected) != float("inf") and abs(expected - value) <= float(TOLERANCE) * abs(expected)


def strict_test(test_program: str, name: str) -> StrictTest:
    """The test program with its results taken out and its call's value sent by `kecode_values`, imported as ``name_values``.

    No line moves. The comparison stays, so that what does not compile as a comparison does not compile here.

    Raises:
        BenchmarkError: if the program has not KECode's form: an array ``results``, and one call that is compared with an element of it.
    """
    head, marker, tail = test_program.partition(MARKER)
    declaration, calls = _RESULTS.search(tail), list(_CALL.finditer(tail))
    if declaration is None or len(calls) != 1 or declaration.start() > calls[0].start():
        raise BenchmarkError("it needs an array `results` of a named type and one call of the function after it")
    before = tail[: calls[0].start()]
    is_exact = bool(_EXACT.search(before))
    if not is_exact and not _TOLERANT.search(before):
        raise BenchmarkError("the call's value must be compared as `results[i] == …` or `close(results[i], …)`")
    expected, end = _array(tail, declaration.end())
    kind = declaration["type"]
    blank = f"new {kind}({len(expected)})" + "\n" * tail.count("\n", declaration.end(), end)
    close = _closing(tail, calls[0].end())
    call = f"{name}_values.send!(typeof(results[0]))({tail[calls[0].start() : close]})"
    program = head + marker + tail[: declaration.end()] + blank + tail[end : calls[0].start()] + call + tail[close:]
    program = program if program.endswith("\n") else program + "\n"
    return StrictTest(f"{program}import {name}_values = kecode_values;\n", expected, kind.startswith("float"), is_exact)


def _closing(text: str, position: int) -> int:
    """The position behind the parenthesis that closes the one before ``position``."""
    depth = 1
    while depth and position < len(text):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        position += 1
    return position


def _array(text: str, start: int) -> tuple[list[Value], int]:
    """The D array literal at ``start``, and the position behind it.

    Raises:
        BenchmarkError: if there is anything else but literals in it.
    """
    stack: list[list[Any]] = [[]]
    position = start
    while True:
        token = _TOKEN.match(text, position)
        if token is None:
            raise BenchmarkError(f"its results have {text[position : position + 20].strip()!r}, which is no literal")
        position = token.end()
        if token["punctuation"] == "[":
            stack.append([])
        elif token["punctuation"] == "]":
            done = stack.pop()
            stack[-1].append(done)
            if len(stack) == 1:
                return done, position
        elif token["punctuation"] is None:
            stack[-1].append(_literal(token))


def _literal(token: re.Match[str]) -> Value:
    if text := token["text"]:
        return list(_unescaped(text[1:-1]) if text[0] == '"' else text.lstrip("r")[1:-1].encode())
    if token["char"]:
        code = _unescaped(token["char"][1:-1])
        return ord(code.decode()) if len(code) > 1 else code[0]
    if token["integer"] or token["hex"]:
        return int((token["integer"] or token["hex"]).replace("_", ""), 16 if token["hex"] else 10)
    if token["real"]:
        return float(token["real"].replace("_", ""))
    if token["word"]:
        return [] if token["word"] == "null" else int(token["word"] == "true")
    kind, _, what = token["property"].lstrip("-").partition(".")
    sign = -1 if token["property"].startswith("-") else 1
    if kind in INTEGER_BITS and what in ("min", "max"):
        half = 1 << (INTEGER_BITS[kind] - 1)
        return sign * (-half if what == "min" else half - 1)
    if kind in ("float", "double") and what in ("nan", "infinity"):
        return sign * float(what)
    raise BenchmarkError(f"its results have {token['property']!r}, which is no literal")


def _unescaped(text: str) -> bytes:
    def code(escape: re.Match[str]) -> bytes:
        if escape["byte"] or escape["octal"]:
            return bytes([int(escape["byte"], 16) if escape["byte"] else int(escape["octal"], 8)])
        if point := escape["point"] or escape["long_point"]:
            return chr(int(point, 16)).encode()
        return bytes([_LETTERS[escape["letter"]]]) if escape["letter"] in _LETTERS else escape["letter"].encode()

    return b"".join(_pieces(text, code))


def _pieces(text: str, code: Any) -> Iterator[bytes]:
    end = 0
    for escape in _ESCAPE.finditer(text):
        yield text[end : escape.start()].encode()
        yield code(escape)
        end = escape.end()
    yield text[end:].encode()


def _received(line: str) -> Any:
    """A line that `kecode_values.send` has written: nested lists of (kind, bytes, value, whether that is all of it).

    Raises:
        ValueError: if it is no such line.
    """
    stack: list[list[Any]] = [[]]
    position = 0
    while position < len(line):
        token = _SENT.match(line, position)
        if token is None or (token.group() == "]" and len(stack) == 1):
            raise ValueError(line)
        position = token.end()
        if token.group() == "[":
            stack.append([])
        elif token.group() == "]":
            done = stack.pop()
            stack[-1].append(done)
        elif token["kind"]:
            stack[-1].append((token["kind"], int(token["size"]), int(token["integer"]), True))
        else:
            value = struct.unpack(">d", bytes.fromhex(token["bits"]))[0]
            stack[-1].append((token["real"], 8, value, not token["inexact"]))
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ValueError(line)
    return stack[0][0]


def _single(value: float) -> float:
    """``value`` rounded to 32 bits."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
