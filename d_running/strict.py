"""Test programs that do not hold the expected results: each returned value goes out, and is counted and compared here.

So does each argument that is compared after the call.

A plain test program compares for itself. A translation can then have its function return a value of its own type that equals everything,
declare a function which the comparison calls (``fabs``, ``isNaN``, C's ``memcmp``), change the counts through the members of its module,
or search its own memory. Here none of these helps: neither results nor counts nor keys are in the program, its files or its arguments, and
what is not there the translation can only give by computing it. What stays possible is to recognise the inputs, which are the same in
every run, and to answer them from a table.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from d_running.harness import FUNCTION_NAME, INTEGER_BITS, MARKER, TOLERANCE, without_report
from util.errors import BenchmarkError

_EXPECTED = re.compile(r"(?P<type>\w+(?:\[\])+)\s+(?P<name>results|after\d+)\s*=\s*(?=\[)")
_CALL = re.compile(rf"\b{FUNCTION_NAME}\s*\(")
_COMPARED = re.compile(r"(?:\b(?P<exact>results|after\d+)\[\w+\]\s*==\s*|\b(?:close|allClose)\s*\(\s*(?P<tolerant>results|after\d+)\[\w+\]\s*,\s*)$")
_ARGUMENT = re.compile(r"\bafter\d+\[i\] == (?=param\d+\[i\];)|\b(?:close|allClose)\(after\d+\[i\], (?=param\d+\[i\]\);)")
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
_SENT = re.compile(r"(?P<kind>[iu])(?P<size>[1248]):(?P<integer>-?[0-9]{1,20}) |(?P<real>[fdr]):(?P<bits>[0-9a-f]{16})(?P<inexact>~?) ")
# Bytes of what an expected value can be; a smaller one was not sent by `kecode_values`.
_BYTES = {"bool": 1, "byte": 1, "ubyte": 1, "char": 1, "string": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "long": 8, "ulong": 8}

Value = int | float | list["Value"]


@dataclass(frozen=True)
class Expected:
    """What one value must be in each test: the result, or an argument after the call.

    Attributes:
        values: one a test; strings and their characters as numbers, as D compares them.
        kind: the type of their numbers, such as "int" for an array of int arrays.
        is_exact: whether they are compared by ``==``, otherwise with the test programs' tolerance.
    """

    values: list[Value]
    kind: str
    is_exact: bool

    def is_sent(self, test: int, line: str) -> bool:
        """Whether ``line`` is a value equal to that of the test; no more of it is read than that is long."""
        return self._end(self.values[test], line, 0) == len(line)

    def _end(self, expected: Value, line: str, position: int) -> int:
        """Where the text of a value equal to ``expected`` ends that begins at ``position``; -1 if there is none."""
        if isinstance(expected, list):
            if not line.startswith("[", position):
                return -1
            position += 1
            for element in expected:
                position = self._end(element, line, position)
                if position < 0:
                    return -1
            return position + 1 if line.startswith("]", position) else -1
        token = _SENT.match(line, position)
        return token.end() if token and self._is(expected, token) else -1

    def _is(self, expected: int | float, token: re.Match[str]) -> bool:
        """Whether D's ``==``, or the test programs' ``close``, finds the sent number equal."""
        if token["kind"]:
            size = int(token["size"])
            wrapped = int(expected) % (1 << 8 * size)
            signed = wrapped - (1 << 8 * size) if token["kind"] == "i" and wrapped >> (8 * size - 1) else wrapped
            return size >= _BYTES.get(self.kind, 9) and int(token["integer"]) == signed
        value, kind = struct.unpack(">d", bytes.fromhex(token["bits"]))[0], token["real"]
        expected = _single(expected) if self.kind == "float" or kind == "f" else float(expected)
        if kind == "f" and self.kind == "double":
            return False
        if self.is_exact:
            return value == expected and not token["inexact"]
        if value == expected or (value != value and expected != expected):
            return True
        return abs(expected) != float("inf") and abs(expected - value) <= float(TOLERANCE) * abs(expected)


@dataclass(frozen=True)
class StrictTest:
    """A test program without its expected results.

    Attributes:
        program: it, with the marker.
        expected: what is sent in each test, in this order.
    """

    program: str
    expected: list[Expected]

    @property
    def total(self) -> int:
        """The number of tests."""
        return len(self.expected[0].values)

    def passed(self, sent: str) -> int | None:
        """In how many tests all of the values in ``sent``, one a line, are as expected; None if there are too many or few, or no "end".

        Whoever wrote ``sent`` is not to be trusted.
        """
        lines, width = sent.split("\n"), len(self.expected)
        if lines[-2:] != ["end", ""] or len(lines) != self.total * width + 2:
            return None
        return sum(all(one.is_sent(test, lines[test * width + k]) for k, one in enumerate(self.expected)) for test in range(self.total))


def strict_test(test_program: str, name: str) -> StrictTest:
    """The test program without results and report, its call's value sent by `kecode_values`, imported as ``name_values``.

    No line moves. The comparison stays, so that what does not compile as a comparison does not compile here.

    Raises:
        BenchmarkError: if the program has not KECode's form: an array ``results``, and one call that is compared with an element of it;
            or also, or instead, arrays ``afterK`` that the arguments ``paramK[i]`` are compared with.
    """
    head, marker, tail = test_program.partition(MARKER)
    calls, declared = list(_CALL.finditer(tail)), list(_EXPECTED.finditer(tail))
    if not declared or len(calls) != 1 or declared[-1].start() > calls[0].start():
        raise BenchmarkError("it needs an array `results` of a named type and one call of the function after it")
    after_call = _closing(tail, calls[0].end())
    sent = [(calls[0].start(), after_call)] if declared[0]["name"] == "results" else []
    sent += [(found.end(), tail.index("[i]", found.end()) + 3) for found in _ARGUMENT.finditer(tail, after_call)]
    expected, parts, position = {}, [head, marker], 0
    for found in declared:
        values, end = _array(tail, found.end())
        expected[found["name"]] = (values, found["type"].partition("[")[0])
        blank = f"new {found['type']}({len(values)})" + "\n" * tail.count("\n", found.end(), end)
        parts += [tail[position : found.end()], blank]
        position = end
    columns = []
    for start, end in sent:
        compared = _COMPARED.search(tail, position, start)
        if compared is None or (array := compared["exact"] or compared["tolerant"]) not in expected:
            raise BenchmarkError("the call's value must be compared as `results[i] == …` or `close(results[i], …)`")
        columns.append(Expected(*expected.pop(array), is_exact=compared["exact"] is not None))
        parts += [tail[position:start], f"{name}_values.send!(typeof({array}[0]))({tail[start:end]})"]
        position = end
    if expected or len({len(column.values) for column in columns}) != 1:
        raise BenchmarkError("each of its arrays of expected values needs one comparison, and as many values as the others")
    program = "".join(parts) + tail[position:]
    program = without_report(program if program.endswith("\n") else program + "\n")
    return StrictTest(f"{program}import {name}_values = kecode_values;\n", columns)


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


def _single(value: float) -> float:
    """``value`` rounded to 32 bits."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
