import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d_running.compiler import find_compiler
from d_running.execution import Judge
from d_running.harness import MARKER, plain_program, render_test_program
from d_running.sandbox import probe_tier
from d_running.strict import strict_test
from util.errors import BenchmarkError

VALUES = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "char": st.characters(max_codepoint=127),
    "string": st.text(st.characters(exclude_categories=["Cs"])),
    "double": st.floats(),
}


@pytest.mark.parametrize("kind", VALUES)
@given(st.data())
def test_results_are_read_as_d_reads_them(kind, data):
    values = data.draw(st.lists(VALUES[kind], min_size=1, max_size=4))
    expected = strict_test(render_test_program(kind, ["int"], [[1]] * len(values), values), "x").expected[0].values
    as_numbers = {"string": lambda text: list(text.encode()), "char": ord}.get(kind, lambda value: value)
    assert all(a == b or (a != a and b != b) for a, b in zip(expected, map(as_numbers, values), strict=True))


@given(st.lists(st.lists(VALUES["int"])), st.lists(st.lists(VALUES["string"])))
def test_nested_results_are_read(numbers, texts):
    assert strict_test(render_test_program("int[][]", ["int"], [[1]], [numbers]), "x").expected[0].values == [numbers]
    assert strict_test(render_test_program("string[][]", ["int"], [[1]], [texts]), "x").expected[0].values == [
        [[list(text.encode()) for text in row] for row in texts]
    ]


def test_the_program_holds_no_result_and_no_line_moves():
    program = render_test_program("int", ["int"], [[1], [2]], [40_001, 40_002])
    blind = strict_test(program, "x").program
    assert "40001" not in blind and "results = new int[](2);" in blind
    assert "results[i] == x_values.send!(typeof(results[0]))(f_filled(param0[i]))" in blind
    assert len(plain_program(blind, "").splitlines()) == len(plain_program(program, "").splitlines()) + 1


@pytest.mark.parametrize(
    "tail",
    [
        "void main() { auto results = [1]; if (results[0] == f_filled(1)) {} }",
        "void main() { int[] results = [1 + 1]; if (results[0] == f_filled(1)) {} }",
        "void main() { int[] results = [1]; if (f_filled(1) > 0) {} }",
        "void main() { int[] results = [1]; if (results[0] == f_filled(1) && results[0] == f_filled(2)) {} }",
        "void main() { int[] results = [1]; int[] after0 = [1]; if (results[0] == f_filled(1)) {} }",
        "void main() { int[] results = [1]; int[] after0 = [1, 2]; if (results[0] == f_filled(1)) {} passes &= after0[i] == param0[i]; }",
    ],
)
def test_other_forms_are_refused(tail):
    with pytest.raises(BenchmarkError):
        strict_test(MARKER + tail, "x")


PUBLISHED = f"""import std.stdio;
import std.math;
import std.conv;
import std.algorithm;
{MARKER}
void main()
{{
    int n_success = 0;
    RESULTS
    int[] param0 = [1,2,3];
    for(int i = 0; i < param0.length; ++i)
    {{
        if(results[i]==f_filled(param0[i]))
        {{
            n_success+=1;
        }}
    }}
    writefln("#Results:%d, %d", n_success, results.length);
}}
"""
CASES = {  # test program's results, translation
    "int": ("int[] results = [-1, 2,\n 3];", "auto f_filled(int n) { return n == 1 ? -1 : n; }"),
    "wider": ("int[] results = [-1, 2, 3];", "long f_filled(int n) { return n == 1 ? -1 : n; }"),
    "unsigned": ("int[] results = [-1, 2, 3];", "uint f_filled(int n) { return n == 1 ? uint.max : n; }"),
    "unsigned_and_wider": ("int[] results = [-1, 2, 3];", "ulong f_filled(int n) { return n == 1 ? uint.max : n; }"),
    "char": ("char[] results = ['a', '\\n', '\\''];", "int f_filled(int n) { return [97, 10, 39][n - 1]; }"),
    "bool": ("bool[] results = [true, false, true];", "int f_filled(int n) { return n % 2 * n; }"),
    "float": ("float[] results = [0.1, 2, 3e-3f];", "float f_filled(int n) { return [0.1f, 2f, 0.003f][n - 1]; }"),
    "float_as_double": ("float[] results = [0.1, 2, 3e-3f];", "double f_filled(int n) { return [0.1, 2, 0.003][n - 1]; }"),
    "real": ("double[] results = [0.5, 0.1, 1e300];", "real f_filled(int n) { return n == 1 ? 0.5L : n == 2 ? 0.1L : 1e300; }"),
    "long_as_double": ("long[] results = [9007199254740993, 2, 3];", "double f_filled(int n) { return n == 1 ? 9007199254740992.0 : n; }"),
    "nan": ("double[] results = [double.nan, -double.infinity, 1];", "double f_filled(int n) { return [double.nan, -1.0 / 0.0, 1][n - 1]; }"),
    "string": ('string[] results = ["aé", `b\\`, ""];', 'char[] f_filled(int n) { return ["aé".dup, "b\\\\".dup, null][n - 1]; }'),
    "array": ("int[][] results = [[1], [], [1, 2]];", "long[] f_filled(int n) { return [[1L], null, [1L, 2L]][n - 1]; }"),
    "array_of_wrong_length": ("int[][] results = [[1], [], [1, 2]];", "int[] f_filled(int n) { return [1, 2]; }"),
    "huge": ("int[][] results = [[1], [], [1, 2]];", "int[] f_filled(int n) { return new int[](3_000_000); }"),
    "does_not_compare": ("int[] results = [1, 2, 3];", 'string f_filled(int n) { return "a"; }'),
    "returns_nothing": ("int[] results = [1, 2, 3];", "void f_filled(int n) { }"),
    "throws": ("int[] results = [1, 2, 3];", "int f_filled(int n) { return [1, 2][n - 1]; }"),
}


SWAPS = {"inputs": [[[3, 1], [0.5]], [[], [1.0]]], "after": {0: [[1, 3], []], 1: [[0.5], [2.0]]}}
CHANGES = {  # what becomes of the arguments, and how many tests pass
    "a.sort(); b[0] *= n == 2 ? 1 : 2;": 2,
    "a.sort(); b[0] *= n == 2 ? 1 : 2; b[0] *= 1 + 1e-9;": 2,
    "a.sort(); b[0] = 2;": 1,
    "auto c = a.dup; c.sort(); b[0] *= n == 2 ? 1 : 2;": 1,
    "a = [1, 3]; b[0] *= n == 2 ? 1 : 2;": 1,
    "a.sort(); b[0] *= n == 2 ? 1 : 2; a ~= 1;": 2,
    "static int[] kept; kept ~= a; kept.sort(); b = [2.0];": 0,
}


@pytest.mark.skipif(shutil.which("ldc2") is None, reason="needs the D compiler ldc2")
@pytest.mark.parametrize("kind", ["int", "void"])
def test_arguments_after_the_call_are_compared(kind):
    program = render_test_program(kind, ["int[]", "double[]"], SWAPS["inputs"], [7, 7], after=SWAPS["after"])
    blind = strict_test(program, "x")
    assert "2.0" not in blind.program and "3]]" not in blind.program and len(blind.expected) == (3 if kind == "int" else 2)
    returns = "return 7;" if kind == "int" else ""
    functions = {f"{kind} f_filled(int[] a, double[] b) {{ const n = a.length; {change} {returns} }}": count for change, count in CHANGES.items()}
    with Judge(find_compiler(), probe_tier(), 1, 10, 2, plain=True) as judge, Judge(find_compiler(), probe_tier(), 1, 10, 2) as strict_judge:
        plain = judge.judge_together({function: (program, function) for function in functions})
        strict = strict_judge.judge_together({function: (program, function) for function in functions})
    assert {function: verdict.correct for function, verdict in strict.items()} == functions
    assert plain == strict


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ldc2") is None, reason="needs the D compiler ldc2")
def test_strict_verdicts_are_those_of_the_program_itself():
    programs = {name: (PUBLISHED.replace("RESULTS", results), function) for name, (results, function) in CASES.items()}
    with Judge(find_compiler(), probe_tier(), 1, 10, 2, plain=True) as judge, Judge(find_compiler(), probe_tier(), 1, 10, 2) as strict_judge:
        expected = {name: judge.judge(*program) for name, program in programs.items()}
        strict = {name: strict_judge.judge(*program) for name, program in programs.items()}
        assert strict_judge.judge_together(programs).items() <= expected.items()
    assert strict == expected
    assert expected["real"].correct == expected["float_as_double"].correct == 1 and expected["unsigned"].error == "No"
