"""The Python test programs of KECode: written, and split into what the judged program gets and what stays here.

They have the form of the D ones, and anybody can run them. Judged, a program gets the inputs alone: it sends what it computes, and the host
compares (see `d_running.strict`).
"""

import ast
import hashlib
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d_running.gold import Unusable, literal
from d_running.harness import FUNCTION_NAME, REAL_TYPES, TOLERANCE
from util.errors import BenchmarkError

MARKER = "#TOFILL#"
RUNNER_SOURCE = Path(__file__).with_name("runner.py")
_CLOSE = f"""\
def close(expected, actual):
    if isinstance(expected, list):
        return len(expected) == len(actual) and all(map(close, expected, actual))
    if expected != expected or abs(expected) == float("inf"):
        return expected == actual or (expected != expected and actual != actual)
    return abs(expected - actual) <= {TOLERANCE} * abs(expected)


"""
_COMPARED = re.compile(r"^        passes (?:=|&=) (?P<close>close\()?(?P<name>results|after\d+)\[i\](?: == |, )(?P<value>.*?)\)?$", re.MULTILINE)
_SENT = re.compile(r"n:(?P<integer>-?[0-9]{1,20}) |d:(?P<bits>[0-9a-f]{16}) |t:(?P<text>(?:[0-9a-f]{2})*) ")

Value = bool | int | float | str | list["Value"]


def harness_version() -> str:
    """A digest of the files that decide a verdict."""
    files = [Path(__file__), RUNNER_SOURCE, Path(__file__).with_name("execution.py")]
    files += [Path(__file__).parents[1] / f"{name}.py" for name in ("strict", "execution", "sandbox", "launcher", "confine", "isolate", "words")]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]


def render_test_program(
    return_type: str,
    param_types: Sequence[str],
    inputs: Sequence[Sequence[Any]],
    results: Sequence[Any],
    exact: bool = False,
    after: Mapping[int, Sequence[Any]] | None = None,
) -> str:
    """The test program of one sample; types are Java's, otherwise as `d_running.harness.render_test_program`.

    Raises:
        BenchmarkError: if the counts do not fit, or there is nothing to compare.
    """
    after = after or {}
    columns = [results, *after.values()]
    if not inputs or any(len(column) != len(inputs) for column in columns) or any(len(row) != len(param_types) for row in inputs):
        raise BenchmarkError(f"A test program needs one result and {len(param_types)} arguments for each of its inputs.")
    call = f"{FUNCTION_NAME}({', '.join(f'param{k}[i]' for k in range(len(param_types)))})"
    arrays: dict[str, Sequence[Any]] = {f"param{k}": [row[k] for row in inputs] for k in range(len(param_types))}
    compared = [] if return_type == "void" else [(return_type, "results", call)]
    compared += [(param_types[k], f"after{k}", f"param{k}[i]") for k in sorted(after)]
    if not compared:
        raise BenchmarkError("A test program of a function without a result needs an argument to compare.")
    arrays = ({} if return_type == "void" else {"results": results}) | arrays | {f"after{k}": after[k] for k in sorted(after)}
    is_close = [kind.partition("[")[0] in REAL_TYPES and not exact for kind, _, _ in compared]
    checks = [f"close({name}[i], {value})" if close else f"{name}[i] == {value}" for close, (_, name, value) in zip(is_close, compared, strict=True)]
    steps = [call] * (return_type == "void") + [f"passes = {checks[0]}", *(f"passes &= {check}" for check in checks[1:])]
    body = "".join(f"        {step}\n" for step in steps)
    listed = "".join(f"    {name} = {_text(values)}\n" for name, values in arrays.items())
    return (
        f"{MARKER}\n\n\n{_CLOSE * any(is_close)}if __name__ == \"__main__\":\n{listed}    n_success = 0\n"
        f"    for i in range({len(inputs)}):\n{body}        n_success += passes\n"
        f'    print("#Results:%d, %d" % (n_success, {len(inputs)}))\n'
    )


def _text(value: Any) -> str:
    """A value as a Python literal."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return ascii(value)


@dataclass(frozen=True)
class Expected:
    """What one value must be in each test: the result, or an argument after the call.

    Attributes:
        values: one a test.
        is_exact: whether reals are compared by ``==``, otherwise with the test programs' tolerance.
    """

    values: list[Value]
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

    def _is(self, expected: bool | int | float | str, token: re.Match[str]) -> bool:
        """Whether Python's ``==``, or the test programs' ``close``, finds the sent value equal."""
        if token["text"] is not None:
            return isinstance(expected, str) and expected.encode().hex() == token["text"]
        if isinstance(expected, str):
            return False
        actual = int(token["integer"]) if token["integer"] else struct.unpack(">d", bytes.fromhex(token["bits"]))[0]
        if actual == expected or self.is_exact or not isinstance(expected, float):
            return actual == expected
        if not math.isfinite(expected):
            return expected != expected and actual != actual
        return abs(expected - actual) <= float(TOLERANCE) * abs(expected)


@dataclass(frozen=True)
class Tests:
    """A test program taken apart.

    Attributes:
        inputs: the arguments of each test.
        expected: what is sent in each test, in this order.
        sends_result: whether the result is among that, as the first.
        arguments: the parameters whose arguments are sent after the call.
    """

    inputs: list[list[Any]]
    expected: list[Expected]
    sends_result: bool
    arguments: list[int]

    @property
    def total(self) -> int:
        """The number of tests."""
        return len(self.inputs)

    def passed(self, sent: str) -> int | None:
        """In how many tests all of the values in ``sent``, one a line, are as expected; None if there are too many or few, or no "end".

        Whoever wrote ``sent`` is not to be trusted.
        """
        lines, width = sent.split("\n"), len(self.expected)
        if lines[-2:] != ["end", ""] or len(lines) != self.total * width + 2:
            return None
        return sum(all(one.is_sent(test, lines[test * width + k]) for k, one in enumerate(self.expected)) for test in range(self.total))


def read_tests(test_program: str) -> Tests:
    """The inputs and the expected values of a test program.

    Raises:
        BenchmarkError: if it has not the form that `render_test_program` gives it.
    """
    _, marker, tail = test_program.partition(MARKER)
    try:
        statements = next(node.body for node in ast.parse(tail).body if isinstance(node, ast.If))
    except (SyntaxError, ValueError, RecursionError, StopIteration) as error:
        raise BenchmarkError("it does not parse, or has no `if __name__ == ...`") from error
    lists: dict[str, list[Any]] = {}
    for node in statements:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.List() as value):
                try:
                    lists[name] = literal(value)
                except Unusable as error:
                    raise BenchmarkError(f"its {name} are no literals: {error}") from error
    params = [lists[f"param{k}"] for k in range(sum(name.startswith("param") for name in lists)) if f"param{k}" in lists]
    compared = list(_COMPARED.finditer(tail))
    names = [found["name"] for found in compared]
    wanted = [name for name in lists if not name.startswith("param")]
    lengths = {len(column) for column in lists.values()}
    if marker == "" or not names or sorted(names) != sorted(wanted) or len(lengths) != 1 or tail.count(f"{FUNCTION_NAME}(") != 1:
        raise BenchmarkError("it needs arrays results, paramK and afterK of one length, a comparison with each expected one, and one call")
    expected = [Expected(lists[found["name"]], is_exact=not found["close"]) for found in compared]
    rows = [list(row) for row in zip(*params, strict=True)] if params else [[] for _ in range(lengths.pop())]
    return Tests(rows, expected, names[0] == "results", [int(name.removeprefix("after")) for name in names if name != "results"])


def check_test_program(name: str, test_program: str) -> None:
    """See that the test program of sample ``name`` has its form.

    Raises:
        BenchmarkError: naming the sample and what is missing.
    """
    if test_program.count(MARKER) != 1:
        raise BenchmarkError(f"The test program of {name} must have the marker {MARKER} once; it has it {test_program.count(MARKER)} times.")
    try:
        read_tests(test_program)
    except BenchmarkError as error:
        raise BenchmarkError(f"The test program of {name} cannot be used: {error}.") from error
