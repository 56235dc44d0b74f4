import math
import re
import shutil
import subprocess

import pytest

from d_running.harness import check_test_program, d_literal, plain_program, render_test_program, reporting_program, shared_program, without_report
from util.errors import BenchmarkError


@pytest.mark.parametrize(
    ("kind", "value", "literal"),
    [
        ("int", -(2**31), "int.min"),
        ("long", -(2**63), "long.min"),
        ("long", 2**40, "1099511627776"),
        ("float", 1e-05, "1e-05f"),
        ("double", -math.inf, "-double.infinity"),
        ("double", math.nan, "double.nan"),
        ("double", 5e-324, "cast(double) 5e-324L"),
        ("byte", -128, "byte.min"),
        ("long[]", [5, -(2**63)], "[5L, long.min]"),
        ("short[]", [-1], "[cast(short) -1]"),
        ("char", "\x07", "'\\x07'"),
        ("bool", True, "true"),
        ("char", "'", "'\\''"),
        ("string", 'a"\\\n\x01é', '"a\\"\\\\\\n\\x01é"'),
        ("int[][]", [[], [1, 2]], "[[], [1, 2]]"),
    ],
)
def test_values_are_written_as_d(kind, value, literal):
    assert d_literal(kind, value) == literal


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int", 2**31), ("int", True), ("byte", 128), ("int", 1.5), ("char", "é"), ("char", "ab"), ("bool", 1), ("Pair", 1), ("int[]", 1)],
)
def test_values_that_do_not_fit_are_refused(kind, value):
    with pytest.raises(BenchmarkError, match="cannot be written as a D"):
        d_literal(kind, value)


def test_a_test_program_has_kecodes_form():
    program = render_test_program("int", ["int[]", "int"], [[[1, 2], 2], [[], 0]], [2, 0])
    check_test_program("A", program)
    assert "int[] results = [2, 0];" in program
    assert "int[][] param0 = [[1, 2], []];" in program
    assert "results[i] == f_filled(param0[i], param1[i])" in program
    with pytest.raises(BenchmarkError, match="one result and 1 arguments"):
        render_test_program("int", ["int"], [[1], [2]], [1])


@pytest.mark.skipif(not shutil.which("ldc2"), reason="needs ldc2")
@pytest.mark.parametrize(
    ("kind", "exact", "results", "returned", "passed"),
    [
        ("double", False, [1.0, -0.0, 3e300], [1.0000009, 0.0, 3.1e300], 2),
        ("double", False, [math.inf, -math.inf, math.nan], [5.0, -math.inf, math.nan], 2),
        ("float", True, [1.0, 2.0], [1.0000001, 2.0], 1),
        ("double[]", False, [[1.0, 2.0], [], [1.0]], [[1.0000001, 2.0], [], [1.0, 1.0]], 2),
        ("float[][]", False, [[[1.0], []], [[2.0]]], [[[1.0], []], [[2.1]]], 1),
        ("double[]", True, [[1.0], [2.0]], [[1.0000001], [2.0]], 1),
        ("string[]", False, [["a", "\x001"], []], [["a", "\x001"], [""]], 1),
    ],
)
def test_results_are_compared(tmp_path, kind, exact, results, returned, passed):
    test_program = render_test_program(kind, ["int"], [[i] for i in range(len(results))], results, exact)
    function = f"{kind} f_filled(int i) {{ {kind}[] all = [{', '.join(d_literal(kind, value) for value in returned)}]; return all[i]; }}"
    (tmp_path / "a.d").write_text(plain_program(test_program, function))
    subprocess.run(["ldc2", "-O0", "a.d"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "a"], capture_output=True, text=True, check=True).stdout == f"#Results:{passed}, {len(results)}\n"


def test_reporting_moves_no_line():
    program = render_test_program("int", ["int"], [[1]], [1]).replace("results.length);", "\n results.length);")
    function = 'int f_filled(int n) {\n    writefln("#Results:%d, %d", 1, 1);\n    return n;\n}'
    plain = plain_program(program, function).splitlines()
    for changed, line in (
        (reporting_program(program, "secret"), "secret = [n_success, results.length];"),
        (without_report(program) + "import a = b;\n", "{}"),
    ):
        lines = plain_program(changed, function).splitlines()
        assert [(b, b.strip()) for a, b in zip(plain, lines, strict=False) if a != b] == [(f"    {line}", line), ("", "")]
        assert len(lines) == len(plain) + 1


def test_the_published_report_is_found():
    published = 'import std.stdio;\n//TOFILL//\nvoid main() {\n    writefln("#Results: %d, %d",n_success,  param0.length) ;\n}'
    check_test_program("A", published)
    assert re.search(r"secret = \[n_success, param0.length\];\n}\n", reporting_program(published, "secret"))


def test_a_shared_program_is_a_module_whose_lines_stay():
    program = render_test_program("int", ["int"], [[1]], [1])
    function = "int f_filled(int n) { return n; }"
    shared = shared_program(program, function, "name").splitlines()
    plain = plain_program(program, function).splitlines()
    changed = [(a, b) for a, b in zip(plain, shared, strict=True) if a != b]
    assert changed == [(plain[0], f"module name; {plain[0]}"), ("void main() {", "extern(C) void name_main() {")]


@pytest.mark.parametrize(
    "function",
    """static this() {}|shared static ~this() {}|pragma(lib, `x`);|extern(C) int f();|module a;|asm { nop; }|mixin(`int x;`);|enum x = import(`a`);
    void main() {}|string s = __FILE__;|string s = int.stringof;|import core.stdc.stdlib;|#line 7
    static ~ this() {}|static/**/this() {}|shared static @safe ~/+ +/this() {}|import ldc.attributes;|import/**/std.stdio, ldc.llvmasm;|import a = b;
    import kecode_0123456789abcdef;""".replace("\n", "|").split("|"),
)
def test_what_could_tell_that_it_is_not_alone_is_not_shared(function):
    assert shared_program(render_test_program("int", ["int"], [[1]], [1]), function, "name") is None
