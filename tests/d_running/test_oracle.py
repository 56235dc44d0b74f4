"""The oracles run the real compilers and Python, agree with each other, and hold what a function does to itself."""

import math
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from d_running.gold import converted, d_type
from d_running.harness import d_literal
from d_running.oracles import java_oracle, python_oracle
from d_running.oracles.d_oracle import Calls, d_results
from d_running.oracles.java_oracle import JavaMethod, has_jdk, java_results
from d_running.oracles.python_oracle import PythonFunction, python_results
from d_running.sandbox import probe_tier
from util.errors import BenchmarkError

needs_jdk = pytest.mark.skipif(not has_jdk(), reason="needs javac and java")
needs_ldc = pytest.mark.skipif(not shutil.which("ldc2"), reason="needs ldc2")

INPUTS = [[[1, 2], "abc", True], [[3, 7], "", False]]
RESULTS = [4, 7 * 100000 * 100000 - 16 * 2**32]  # int wraps in both languages


@needs_ldc
def test_d_gives_the_values() -> None:
    d = "int solution(int[] a, string s, bool f) { return f ? a[0] + cast(int) s.length : a[1] * 100000 * 100000; }"
    assert d_results([Calls(d, ["int[]", "string", "bool"], INPUTS)] * 2) == [RESULTS, RESULTS]


# Values, there and back

ASCII = st.characters(codec="ascii")
SCALARS = {
    "byte": st.integers(-(2**7), 2**7 - 1),
    "short": st.integers(-(2**15), 2**15 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "char": ASCII,
    "boolean": st.booleans(),
    "String": st.text(ASCII),
}
EDGES = {
    "int": [-(2**31)], "long": [-(2**63), 2**63 - 1], "float": [-0.0, 2.0**-149, math.nan, math.inf], "char": list("\0'\"\\\x7f"),
    "double": [-0.0, 5e-324, 2.0**-1022, 1.7976931348623157e308, -math.inf], "String": ['\x001"\\\n\r\x7f0', ""],
}  # fmt: skip
KINDS = {kind: st.lists(values).map(lambda drawn, kind=kind: drawn + EDGES.get(kind, [])) for kind, values in SCALARS.items()}
KINDS |= {kind + "[]": st.lists(st.lists(values, max_size=3), max_size=4) for kind, values in SCALARS.items()}
KINDS |= {
    # With one matrix that is not empty: D cannot tell the type of nothing but empty arrays.
    kind + "[][]": st.lists(st.lists(st.lists(SCALARS[kind], max_size=2), max_size=2), max_size=2).map(lambda drawn, one=one: [*drawn, [[one]]])
    for kind, one in {"int": 1, "long": 2**40, "short": -1, "double": 0.5, "char": "a", "String": ""}.items()
}
DRAWS = st.fixed_dictionaries(KINDS)
slowly = settings(max_examples=2, deadline=None, phases=[Phase.generate])  # every example starts a compiler


@needs_jdk
@slowly
@given(DRAWS)
def test_values_go_to_java_and_back_exactly(draws):
    methods = [
        JavaMethod(f"class E {{ static {kind} f_gold({kind} x) {{ return x; }} }}", "E", "f_gold", [[converted(kind, value)] for value in values])
        for kind, values in draws.items()
    ]
    for values, found in zip(draws.values(), java_results(methods), strict=True):
        assert (found.problem, repr([answer.value for answer in found.answers])) == ("", repr(values))


SHOW = """
import std.stdio;
void show(T)(T x) {
    static if (is(T == string)) { write('s'); foreach (c; x) { write(' ', cast(int) c); } }
    else static if (is(T E : E[])) { write('['); foreach (e; x) { show(e); } write(']'); }
    else static if (is(T == double) || is(T == float)) { if (x != x) { write("nan"); } else { double d = x; write(*cast(ulong*) &d); } }
    else static if (is(T == char)) { write(cast(int) x); }
    else { write(x); }
    write(',');
}
"""


def shown(kind, value):
    if kind.endswith("[]"):
        text = f"[{''.join(shown(kind[:-2], item) for item in value)}]"
    elif kind == "String":
        text = "s" + "".join(f" {ord(character)}" for character in value)
    elif kind in ("float", "double"):
        text = "nan" if value != value else str(struct.unpack("Q", struct.pack("d", value))[0])
    else:
        text = str(ord(value)) if kind == "char" else str(value).lower()
    return text + ","


@needs_ldc
@slowly
@given(DRAWS)
def test_values_are_written_in_d_exactly(tmp_path_factory, draws):
    folder = tmp_path_factory.mktemp("d")
    shows = "".join(
        f"    {{ {d_type(kind)}[] a = [{', '.join(d_literal(d_type(kind), value) for value in values)}]; show(a); writeln; }}\n"
        for kind, values in draws.items()
    )
    (folder / "main.d").write_text(f"{SHOW}void main() {{\n{shows}}}\n")
    compiled = subprocess.run(["ldc2", "-O0", "main.d"], cwd=folder, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr
    printed = subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == [f"[{''.join(shown(kind, value) for value in values)}]," for kind, values in draws.items()]


# What a function can do to the oracle


def outcome(answers) -> str:
    return answers.problem or str([answer.failure or answer.value for answer in answers.answers])


ENDLESS_JAVA = {
    "return n;": r"\[1, 2]",
    "while (n > 1) { } return 1;": r"does not end within 1 s \(input 2\)",
    "new Thread(() -> { while (true) { } }).start(); return n;": r"\[1, 2]",
    "while (true) try { Thread.sleep(1000000); } catch (Throwable e) { }": r"does not end within 1 s \(input 1\)",
    "return count++;": r"\[0, 1]",
}
JAVA = {
    "System.out.println(7); return n;": r"\[1, 2]",
    "System.exit(0); return 1;": "ends the program",
    "try { return System.in.read(); } catch (Exception e) { return 5; }": r"\[-1, -1]",
    "try { new java.io.FileOutputStream(java.io.FileDescriptor.out).write(7); } catch (Exception e) { } return n;": "writes into its results",
    "return m;": "does not compile: line 1: cannot find symbol",
    "return n; } } }": "does not compile: line 1",
    "return n; {": "does not compile: line 1: reached end of file",
    "return f_gold(n + 1);": "throws java.lang.StackOverflowError.*throws java.lang.StackOverflowError",
    "return new int[1 << 30].length;": "throws java.lang.OutOfMemoryError.*throws",
    "return n / (n - 2);": r"\[-1, 'throws java.lang.ArithmeticException'",
    "return (int) (Math.random() * 1e9);": "gives another result when it is called again.*gives",
    "return Later.x;": "throws java.lang.ExceptionInInitializerError",
    "return n;": r"\[1, 2]",
}


@pytest.mark.slow
@needs_jdk
@pytest.mark.parametrize(("methods", "limits"), [(ENDLESS_JAVA, (1, 5)), (JAVA, None)], ids=["endless", "others"])
def test_java_that_misbehaves_disturbs_no_other(methods, limits, monkeypatch):
    if limits:  # a stack overflows in more than a second where the machine is busy
        monkeypatch.setattr(java_oracle, "CPU_SECONDS", limits[0])
        monkeypatch.setattr(java_oracle, "_WALL_SECONDS", limits[1])
    unit = "class Later {{ static int x = 1 / 0; }} public class A {{ static int count; static int f_gold(int n) {{ {} }} }}"
    found = java_results([JavaMethod(unit.format(body), "A", "f_gold", [[1], [2]]) for body in methods])
    for (body, says), answers in zip(methods.items(), found, strict=True):
        assert re.search(says, outcome(answers)), body


@needs_jdk
def test_a_method_that_breaks_the_compiler_itself_is_found(monkeypatch):
    real = java_oracle._javac
    monkeypatch.setattr(java_oracle, "_javac", lambda files, folder: "out of resources" if "m1/A" in files else real(files, folder))
    found = java_results([JavaMethod("class A { static int f_gold(int n) { return n; } }", "A", "f_gold", [[1]])] * 2)
    assert list(map(outcome, found)) == ["[1]", "its Java does not compile: out of resources"]


def test_without_a_jdk_the_remedy_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BenchmarkError, match="javac and java were not found; install"):
        java_results([])


PYTHON = {
    "return n": r"\[1, 2]",
    "return (n, [2.5, 'a', None, True])": r"\[\[1, \[2.5, 'a', None, True]], ",
    "global f_gold; f_gold = None; return n": r"\[1, 2]",
    "return n / (n - 2)": r"\[-1.0, 'raises ZeroDivisionError']",
    "while n > 1: pass\n return n": r"\[1, 'does not end within 1 s']",
    "raise SystemExit": r"\['raises SystemExit', 'raises SystemExit']",
    "import os; os._exit(0)": r"\['ends the program instead of returning', 'ends",
    "import sys, os; print(1, file=sys.stderr, flush=True); os.write(3, b'x\\n'); return 1": "writes into its results",
    "return len([0] * (1 << 29))": "raises MemoryError.*raises MemoryError",
    "return {n}": "returns a set",
    "return 10 ** 9999": "more than 4300 digits",
    "x = []\n for _ in range(9999): x = [x]\n return x": "nested too deeply",
    "return 'a' * (1 << 21)": "more than 1 MiB",
    "import random; return random.random()": "gives another result",
    "return list({'a', 'b', 'cd', 'ef'})": r"\[\['",
}
CONFINED = [
    "return os.fork()",
    "return open('/etc/passwd').read()",
    "return open('x', 'w').write('a')",
    "os.kill(os.getppid(), 9)",
    "socket.socket()",
]


def python_function(body: str) -> PythonFunction:
    return PythonFunction(f"def f_gold(n):\n {body}\n", "f_gold", [[1], [2]])


def test_python_that_misbehaves_disturbs_no_other(monkeypatch):
    monkeypatch.setattr(python_oracle, "CPU_SECONDS", 1)
    found = list(map(outcome, python_results([python_function(body) for one in PYTHON for body in (one, "return n")])))
    assert found[1::2] == ["[1, 2]"] * len(PYTHON)
    for (body, says), came in zip(PYTHON.items(), found[::2], strict=True):
        assert re.search(says, came), body
    assert "cannot be run: KeyError: 3" in outcome(python_results([PythonFunction("raise KeyError(3)", "f_gold", [[1]])])[0])


@pytest.mark.skipif(probe_tier() != "landlock+seccomp", reason="needs a kernel with Landlock and seccomp")
def test_python_reads_and_starts_nothing(tmp_path):
    for answers in python_results([python_function(f"import os, socket; {body}") for body in CONFINED]):
        assert outcome(answers) in [f"['raises {error}', 'raises {error}']" for error in ("PermissionError", "FileNotFoundError")]


def test_python_gets_fresh_inputs_for_every_call():
    function = PythonFunction("def f_gold(a, b):\n a.append(b)\n return a\n", "f_gold", [[[1], "x"], [[1.5], math.inf]])
    assert outcome(python_results([function])[0]) == "[[1, 'x'], [1.5, inf]]"


@pytest.mark.slow
@needs_jdk
def test_java_ends_with_the_process_that_started_it_however_that_ends(tmp_path):
    endless = "JavaMethod('class A { static int f_gold(int n) { while (true) { } } }', 'A', 'f_gold', [[1]])"
    code = f"from d_running.oracles.java_oracle import *\njava_results([{endless}])"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        wait_for(lambda: java_in(tmp_path))
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not java_in(tmp_path))


def java_in(folder: Path) -> list[str]:
    """The drivers that run in a folder below ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder) in str((process / "cwd").readlink()) and b"JavaOracle\0jobs" in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
