"""What D functions return that we wrote ourselves; translations are judged by `d_running.unit_test`, contained."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d_running.harness import IMPORTS, d_literal
from util.errors import BenchmarkError


@dataclass(frozen=True)
class Calls:
    """One D function named ``solution`` and the inputs to call it with.

    Attributes:
        source: the function.
        param_types: D types of the parameters.
        inputs: one list of arguments per call: int, float, bool, str and nested lists of them.
    """

    source: str
    param_types: Sequence[str]
    inputs: Sequence[Sequence[Any]]


def d_results(functions: Sequence[Calls]) -> list[list[Any]]:
    """The results of each function's calls, in order: int, float, bool and str. The functions must not throw.

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
    lines = iter(output.splitlines())
    return [[json.loads(next(lines)) for _ in calls.inputs] for calls in functions]


def _run(command: list[str], folder: str, remedy: str) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except FileNotFoundError as error:
        raise BenchmarkError(f"{command[0]} was not found; {remedy}.") from error
    if done.returncode:
        raise BenchmarkError(f"{command[0]} failed with: {(done.stderr or done.stdout).strip()[:500]}")
    return done.stdout
