"""The D test programs of KECode: written, joined with a translated function, and made to report out of band."""

import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from util.errors import BenchmarkError

MARKER = "//TOFILL//"
FUNCTION_NAME = "f_filled"
VERDICT_SOURCE = Path(__file__).with_name("verdict.d")

IMPORTS = "".join(f"import std.{name};\n" for name in ("stdio", "math", "conv", "algorithm"))
REAL_TYPES = ("float", "double")
TOLERANCE = "1e-6"

# The report that ends every test program, ours or the published ones: `writefln("#Results:%d, %d", passed, all);`
_REPORT = re.compile(r'writef(?:ln)?\s*\(\s*"#Results:\s*%\w\s*,\s*%\w(?:\\n)?"\s*,(?P<passed>[^,;]+),(?P<total>[^;]+)\)\s*;')
# One line, after the last: no line of the program moves, so that the compiler's messages stay those of the plain program.
_DECLARATION = "extern(C) void kecode_verdict(const(char)*, ulong, ulong) nothrow @nogc;\n"

_CLOSE = f"""\
    static bool close(double expected, double actual) {{
        return expected == actual || fabs(expected - actual) <= {TOLERANCE} * fabs(expected)
            || (isNaN(expected) && isNaN(actual));
    }}
"""

_ESCAPES = {"\\": "\\\\", '"': '\\"', "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def harness_version() -> str:
    """A digest of the files that decide a verdict; a cached verdict is valid for one version only."""
    folder = Path(__file__).parent
    files = [
        folder / name for name in ("harness.py", "verdict.d", "compiler.py", "execution.py", "sandbox.py", "launcher.py", "confine.py")
    ]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]


def render_test_program(return_type: str, param_types: list[str], inputs: list[list[Any]], results: list[Any]) -> str:
    """The test program of one sample, in KECode's form, with the marker where the function goes.

    Args:
        return_type: the function's type in D's spelling: int, long, float, double, char, bool, string, or arrays of them.
        param_types: the types of its parameters, in the same spelling.
        inputs: one list of argument values per test; a char is a string of one character.
        results: the expected value of each test. Real values compare with a relative tolerance of 1e-6.

    Raises:
        BenchmarkError: if the counts do not fit or a value cannot be written in its type.
    """
    if len(inputs) != len(results) or not results or any(len(row) != len(param_types) for row in inputs):
        raise BenchmarkError(f"A test program needs one result and {len(param_types)} arguments for each of its inputs.")
    columns = [[row[k] for row in inputs] for k in range(len(param_types))]
    arrays = [_array("results", return_type, results)]
    arrays += [_array(f"param{k}", kind, column) for k, (kind, column) in enumerate(zip(param_types, columns, strict=True))]
    call = f"{FUNCTION_NAME}({', '.join(f'param{k}[i]' for k in range(len(param_types)))})"
    is_real = return_type in REAL_TYPES
    passes = f"close(results[i], {call})" if is_real else f"results[i] == {call}"
    return (
        f"{IMPORTS}\n{MARKER}\n\nvoid main() {{\n    int n_success = 0;\n{''.join(arrays)}{_CLOSE if is_real else ''}"
        f"    for (int i = 0; i < results.length; ++i) {{\n        if ({passes}) {{\n            n_success += 1;\n        }}\n    }}\n"
        '    writefln("#Results:%d, %d", n_success, results.length);\n}\n'
    )


def _array(name: str, element_type: str, values: Sequence[Any]) -> str:
    return f"    {element_type}[] {name} = [{', '.join(d_literal(element_type, value) for value in values)}];\n"


def d_literal(kind: str, value: Any) -> str:
    """``value`` as a D literal of the type ``kind``.

    Raises:
        BenchmarkError: if the type is not one of KECode's, or the value does not fit into it.
    """
    if kind.endswith("[]") and isinstance(value, list | tuple):
        return f"[{', '.join(d_literal(kind[:-2], item) for item in value)}]"
    if kind in ("int", "long") and isinstance(value, int) and not isinstance(value, bool):
        limit = 2 ** (31 if kind == "int" else 63)
        if -limit < value < limit:
            return str(value)
        if value == -limit:
            return f"{kind}.min"
    if kind in REAL_TYPES and isinstance(value, int | float) and not isinstance(value, bool):
        return _real_literal(kind, float(value))
    if kind == "bool" and isinstance(value, bool):
        return str(value).lower()
    if kind == "char" and isinstance(value, str) and len(value) == 1 and value.isascii():
        return f"'{_escaped(value)}'"
    if kind == "string" and isinstance(value, str):
        return f'"{_escaped(value)}"'
    raise BenchmarkError(f"The value {value!r} cannot be written as a D {kind}; leave this input out.")


def _real_literal(kind: str, value: float) -> str:
    if math.isnan(value):
        return f"{kind}.nan"
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}{kind}.infinity"
    return repr(value) + ("f" if kind == "float" else "")


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(char) or (char if char.isprintable() else _code_point(char)) for char in text)


def _code_point(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def check_test_program(name: str, test_program: str) -> None:
    """See that the test program of sample ``name`` has its marker and its report.

    Raises:
        BenchmarkError: naming the sample and what is missing.
    """
    if test_program.count(MARKER) != 1:
        count = test_program.count(MARKER)
        raise BenchmarkError(f"The test program of {name} must have the marker {MARKER} once; it has it {count} times.")
    if not _REPORT.search(test_program.partition(MARKER)[2]):
        raise BenchmarkError(f'The test program of {name} does not end with writefln("#Results:%d, %d", passed, all).')


def plain_program(test_program: str, function: str) -> str:
    """The test program with ``function`` in the marker's place: what a plain judge would compile."""
    head, _, tail = test_program.partition(MARKER)
    return head + function + tail


def reporting_program(test_program: str, function: str, key: str) -> tuple[str, int]:
    """The same program with its report sent through `verdict.d`, and the line (from 1) of that report.

    Without the templates behind ``writefln`` it compiles about four times faster. The ``key`` is a secret of this one
    judgement: whatever else the program prints or calls, only its own ``main`` can sign a verdict.
    """
    head, _, tail = test_program.partition(MARKER)
    report = list(_REPORT.finditer(tail))[-1]
    call = f'kecode_verdict("{key}", {report["passed"].strip()}, {report["total"].strip()});'
    before = head + function + tail[: report.start()]
    after = tail[report.end() :]
    return f"{before}{call}{after if after.endswith(chr(10)) else after + chr(10)}{_DECLARATION}", before.count("\n") + 1
