"""What a function really returns: runs Java methods with the JDK, or D functions with the D compiler, on given inputs.

Only for code that we wrote or trust; translations are judged by `d_running.unit_test`, contained.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d_running.harness import IMPORTS, d_literal
from util.errors import BenchmarkError

_CHARACTERS_A_METHOD = 20_000  # the JVM takes at most 64 KiB of byte code a method


@dataclass(frozen=True)
class Calls:
    """One function named ``solution`` and the inputs to call it with.

    Attributes:
        source: the function, in Java or D.
        param_types: types of the parameters, in the language of ``source``.
        inputs: one list of arguments per call: int, float, bool, str and nested lists of them.
    """

    source: str
    param_types: Sequence[str]
    inputs: Sequence[Sequence[Any]]


def has_jdk() -> bool:
    """Whether ``javac`` and ``java`` are on the PATH."""
    return bool(shutil.which("javac") and shutil.which("java"))


def java_results(functions: Sequence[Calls]) -> list[list[Any]]:
    """The results of each function's calls, in order; int, float, bool and str; None where Java threw.

    Raises:
        BenchmarkError: if the JDK is missing or a function does not compile.
    """
    classes, tests = [], []
    for index, calls in enumerate(functions):
        classes.append(f"class S{index} {{\nstatic {calls.source}\n}}\n")
        lines = []
        for row in calls.inputs:
            arguments = ", ".join(java_literal(kind, value) for kind, value in zip(calls.param_types, row, strict=True))
            lines.append(f"try {{ show(S{index}.solution({arguments})); }} catch (Throwable e) {{ System.out.println(\"null\"); }}")
        tests.append(lines)
    shows = "".join(f"static void show({kind} x) {{ System.out.println(x); }}\n" for kind in ("int", "long", "double", "boolean"))
    methods = [part for lines in tests for part in _parts(lines)]
    bodies = "".join(f"static void t{i}() {{\n{body}\n}}\n" for i, body in enumerate(methods))
    calls_of_all = "".join(f"t{i}();\n" for i in range(len(methods)))
    main = f"public class Main {{\n{shows}{bodies}public static void main(String[] args) {{\n{calls_of_all}}}\n}}\n"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Main.java").write_text("".join(classes) + main, encoding="utf-8")
        _run(["javac", "-nowarn", "-encoding", "UTF-8", "Main.java"], folder, "install a JDK (Debian: default-jdk-headless)")
        output = _run(["java", "-Xss64m", "Main"], folder, "install a JDK (Debian: default-jdk-headless)")
    return _split(output, functions)


def d_results(functions: Sequence[Calls]) -> list[list[Any]]:
    """The same for D functions, which must not throw.

    Raises:
        BenchmarkError: if ``ldc2`` is missing, a function does not compile, or one throws.
    """
    parts = []
    for index, calls in enumerate(functions):
        shows = "".join(
            f"    show(S{index}.solution({', '.join(d_literal(k, v) for k, v in zip(calls.param_types, row, strict=True))}));\n"
            for row in calls.inputs
        )
        parts.append(f"struct S{index} {{\nstatic {calls.source}\n}}\nvoid t{index}() {{\n{shows}}}\n")
    show = "void show(T)(T value) { writeln(value); }\n"
    main = "void main() {\n" + "".join(f"    t{index}();\n" for index in range(len(functions))) + "}\n"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.d").write_text(IMPORTS + show + "".join(parts) + main, encoding="utf-8")
        _run(["ldc2", "-O0", "-of=main", "main.d"], folder, "install the LDC compiler (Debian: ldc)")
        output = _run(["./main"], folder, "report this: the reference translation failed")
    return _split(output, functions)


def java_literal(kind: str, value: Any) -> str:
    """``value`` as a Java expression of the type ``kind``."""
    if kind.endswith("[]"):
        return f"new {kind}{{{', '.join(_inner(kind[:-2], item) for item in value)}}}"
    if kind == "String":
        return json.dumps(value)
    if kind == "char":
        return f"'{value}'"
    return f"{str(value).lower()}{'L' if kind == 'long' else ''}"


def _inner(kind: str, value: Any) -> str:
    return f"{{{', '.join(_inner(kind[:-2], item) for item in value)}}}" if kind.endswith("[]") else java_literal(kind, value)


def _parts(lines: list[str]) -> list[str]:
    """``lines`` joined into texts short enough for one Java method each."""
    parts: list[str] = [""]
    for line in lines:
        if len(parts[-1]) + len(line) > _CHARACTERS_A_METHOD:
            parts.append("")
        parts[-1] += line + "\n"
    return parts


def _run(command: list[str], folder: str, remedy: str) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except FileNotFoundError as error:
        raise BenchmarkError(f"{command[0]} was not found; {remedy}.") from error
    if done.returncode:
        raise BenchmarkError(f"{command[0]} failed with: {(done.stderr or done.stdout).strip()[:500]}")
    return done.stdout


def _split(output: str, functions: Sequence[Calls]) -> list[list[Any]]:
    """Printed lines as values, one list per function."""
    lines = iter(output.splitlines())
    return [[json.loads(next(lines)) for _ in calls.inputs] for calls in functions]
