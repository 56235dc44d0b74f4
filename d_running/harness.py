"""The D test programs of KECode: written, joined with a translated function, and made to report out of band."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from util.errors import BenchmarkError

MARKER = "//TOFILL//"
FUNCTION_NAME = "f_filled"
RUNNER_SOURCE = Path(__file__).with_name("runner.d")
VALUES_SOURCE = Path(__file__).with_name("kecode_values.d")

IMPORTS = "".join(f"import std.{name};\n" for name in ("stdio", "math", "conv", "algorithm"))
REAL_TYPES = ("float", "double")
INTEGER_BITS = {"byte": 8, "short": 16, "int": 32, "long": 64}
_SMALLEST_NORMAL = {"float": 2.0**-126, "double": 2.0**-1022}
TOLERANCE = "1e-6"

# The report that ends every test program, ours or the published ones: `writefln("#Results:%d, %d", passed, all);`
_REPORT = re.compile(r'writef(?:ln)?\s*\(\s*"#Results:\s*%\w\s*,\s*%\w(?:\\n)?"\s*,(?P<passed>[^,;]+),(?P<total>[^;]+)\)\s*;')
_MAIN = re.compile(r"\bvoid\s+main\s*\(\s*\)")
# What a function must not contain to share a binary: what runs outside it or names symbols of its own (module constructors, extern,
# asm, sections, …), what is only known when the compiler runs (mixins, traits), and what says the module's name. Single words, since
# comments may stand between them. Too many cost only time.
_UNSHARED = re.compile(
    r"\b(?:module|pragma|extern|export|asm|mixin|main|translation|this|__\w+|stringof|mangleof|typeid|classinfo|TypeInfo|ModuleInfo"
    r"|fullyQualifiedName|moduleName|factory|package|object|core|etc|ldc|gcc|rt|kecode_\w+)\b|\bimport\b(?!\s+std\b)|[\0\x1a#]"
)

_CLOSE = f"""\
    static bool close(double expected, double actual) {{
        return expected == actual || (isFinite(expected) && fabs(expected - actual) <= {TOLERANCE} * fabs(expected))
            || (isNaN(expected) && isNaN(actual));
    }}
"""
_ALL_CLOSE = """\
    static bool allClose(T, U)(T expected, U actual) {
        bool same = expected.length == actual.length;
        for (size_t k = 0; same && k < expected.length; ++k) {
            static if (is(T : const(double)[]) || is(T : const(float)[])) {
                same = close(expected[k], actual[k]);
            } else {
                same = allClose(expected[k], actual[k]);
            }
        }
        return same;
    }
"""

_ESCAPES = {"\\": "\\\\", '"': '\\"', "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def harness_version() -> str:
    """A digest of the files that decide a verdict; a cached verdict is valid for one version only."""
    names: tuple[str, ...] = ("harness.py", "strict.py", "kecode_values.d", "runner.d", "compiler.py", "execution.py", "words.py")
    names += ("sandbox.py", "launcher.py", "confine.py", "isolate.py")
    files = [Path(__file__).with_name(name) for name in names]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]


def render_test_program(
    return_type: str,
    param_types: Sequence[str],
    inputs: Sequence[Sequence[Any]],
    results: Sequence[Any],
    exact: bool = False,
    after: Mapping[int, Sequence[Any]] | None = None,
) -> str:
    """The test program of one sample, in KECode's form, with the marker where the function goes.

    Args:
        return_type: the function's type in D's spelling: byte, short, int, long, float, double, char, bool, string, or arrays of them; or
            void, if there are arguments to compare.
        param_types: the types of its parameters, in the same spelling.
        inputs: one list of argument values per test; a char is a string of one character.
        results: the expected value of each test.
        exact: compare real values with ``==`` instead of a relative tolerance of 1e-6.
        after: for each parameter whose arguments are compared after the calls too, what they are then.

    Raises:
        BenchmarkError: if the counts do not fit or a value cannot be written in its type.
    """
    after = after or {}
    columns = [results, *after.values()]
    if not inputs or any(len(column) != len(inputs) for column in columns) or any(len(row) != len(param_types) for row in inputs):
        raise BenchmarkError(f"A test program needs one result and {len(param_types)} arguments for each of its inputs.")
    call = f"{FUNCTION_NAME}({', '.join(f'param{k}[i]' for k in range(len(param_types)))})"
    arrays, compared = [], []
    if return_type != "void":
        arrays.append(_array("results", return_type, results))
        compared.append((return_type, "results", call))
    arrays += [_array(f"param{k}", kind, [row[k] for row in inputs]) for k, kind in enumerate(param_types)]
    for k, column in sorted(after.items()):
        arrays.append(_array(f"after{k}", param_types[k], column))
        compared.append((param_types[k], f"after{k}", f"param{k}[i]"))
    if not compared:
        raise BenchmarkError("A test program of a function without a result needs an argument to compare.")
    real = [] if exact else [kind for kind, _, _ in compared if kind.partition("[")[0] in REAL_TYPES]
    helpers = bool(real) * _CLOSE + any(kind.endswith("[]") for kind in real) * _ALL_CLOSE
    checks = [_comparison(kind, expected, actual, exact) for kind, expected, actual in compared]
    steps = [f"{call};"] * (return_type == "void")
    steps += [f"bool passes = {checks[0]};", *(f"passes &= {check};" for check in checks[1:])] if after else []
    body = "".join(f"        {step}\n" for step in steps)
    counted = compared[0][1]
    return (
        f"{IMPORTS}\n{MARKER}\n\nvoid main() {{\n    int n_success = 0;\n{''.join(arrays)}{helpers}"
        f"    for (int i = 0; i < {counted}.length; ++i) {{\n{body}"
        f"        if ({'passes' if after else checks[0]}) {{\n            n_success += 1;\n        }}\n    }}\n"
        f'    writefln("#Results:%d, %d", n_success, {counted}.length);\n}}\n'
    )


def _comparison(kind: str, expected: str, actual: str, exact: bool) -> str:
    """The expression that compares ``actual`` with an element of the array ``expected``."""
    if exact or kind.partition("[")[0] not in REAL_TYPES:
        return f"{expected}[i] == {actual}"
    return f"{'allClose' if kind.endswith('[]') else 'close'}({expected}[i], {actual})"


def _array(name: str, element_type: str, values: Sequence[Any]) -> str:
    return f"    {element_type}[] {name} = [{', '.join(d_literal(element_type, value) for value in values)}];\n"


def d_literal(kind: str, value: Any) -> str:
    """``value`` as a D literal of the type ``kind``.

    Raises:
        BenchmarkError: if the type is not one of KECode's, or the value does not fit into it.
    """
    if kind.endswith("[]") and isinstance(value, list | tuple):
        literal = f"[{', '.join(_element(kind[:-2], item) for item in value)}]"
        is_untyped = kind.endswith("[][]") and value and not any(value)  # `[[], []]` has the type void[][]
        return f"cast({kind}) {literal}" if is_untyped else literal
    if kind in INTEGER_BITS and isinstance(value, int) and not isinstance(value, bool):
        limit = 1 << (INTEGER_BITS[kind] - 1)
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


def _element(kind: str, value: Any) -> str:
    """The literal of an array's element, with its type: an array of what D takes for ints does not fit among arrays of longs."""
    literal = d_literal(kind, value)
    if kind in ("byte", "short"):
        return f"cast({kind}) {literal}"
    return literal + "L" if kind == "long" and not literal.endswith("min") else literal


def _real_literal(kind: str, value: float) -> str:
    if math.isnan(value):
        return f"{kind}.nan"
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}{kind}.infinity"
    if 0 < abs(value) < _SMALLEST_NORMAL[kind]:  # D takes no subnormal literal but of its wider type real
        return f"cast({kind}) {value!r}L"
    return repr(value) + ("f" if kind == "float" else "")


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(char) or (char if char.isprintable() else _code_point(char)) for char in text)


def _code_point(char: str) -> str:
    if char.isascii():  # D gives '\\u0001' the type dchar
        return f"\\x{ord(char):02x}"
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


def reporting_program(test_program: str, name: str) -> str:
    """The same program with its marker, which leaves its two counts in a variable ``name``; no line moves.

    Without the templates behind ``writefln`` it compiles about four times faster. ``name`` is a secret of this one
    judgement: what the function prints, calls or exits with is no result, because it cannot name the variable.
    """
    report = list(_REPORT.finditer(test_program))[-1]
    counts = f"{name} = [{report['passed'].strip()}, {report['total'].strip()}];" + "\n" * report.group().count("\n")
    program = test_program[: report.start()] + counts + test_program[report.end() :]
    program = program if program.endswith("\n") else program + "\n"
    return f"{program}extern(C) __gshared ulong[2] {name};\n"


def without_report(test_program: str) -> str:
    """The same program without its report; no line moves."""
    report = list(_REPORT.finditer(test_program))[-1]
    return test_program[: report.start()] + "{}" + "\n" * report.group().count("\n") + test_program[report.end() :]


def shared_program(program: str, function: str, name: str) -> str | None:
    """``program``, with a marker where ``function`` goes, as the module ``name``, to be compiled with others; its ``main`` is ``name_main``.

    None for a program that must be compiled alone, because it could see or disturb the others, or mean something else in such a module.
    """
    head, _, tail = program.partition(MARKER)
    tail, mains = _MAIN.subn(f"extern(C) void {name}_main()", tail)
    if mains != 1 or _UNSHARED.search(function):
        return None
    return f"module {name}; {head}{function}{tail}"
