import math
import re

import pytest

from d_running.harness import check_test_program, d_literal, plain_program, render_test_program, reporting_program
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
        ("bool", True, "true"),
        ("char", "'", "'\\''"),
        ("string", 'a"\\\n\x01é', '"a\\"\\\\\\n\\u0001é"'),
        ("int[][]", [[], [1, 2]], "[[], [1, 2]]"),
    ],
)
def test_values_are_written_as_d(kind, value, literal):
    assert d_literal(kind, value) == literal


@pytest.mark.parametrize(
    ("kind", "value"), [("int", 2**31), ("int", True), ("int", 1.5), ("char", "é"), ("char", "ab"), ("bool", 1), ("Pair", 1), ("int[]", 1)]
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


def test_reporting_moves_no_line():
    program = render_test_program("int", ["int"], [[1]], [1])
    function = 'int f_filled(int n) {\n    writefln("#Results:%d, %d", 1, 1);\n    return n;\n}'
    reporting, line = reporting_program(program, function, "secret")
    plain = plain_program(program, function).splitlines()
    changed = [number for number, (a, b) in enumerate(zip(plain, reporting.splitlines(), strict=False), 1) if a != b]
    assert changed == [line]
    assert 'kecode_verdict("secret", n_success, results.length);' in reporting
    assert len(reporting.splitlines()) == len(plain) + 1


def test_the_published_report_is_found():
    published = 'import std.stdio;\n//TOFILL//\nvoid main() {\n    writefln("#Results: %d, %d",n_success,  param0.length) ;\n}'
    check_test_program("A", published)
    assert re.search(r'kecode_verdict\("k", n_success, param0.length\);\n}\n', reporting_program(published, "", "k")[0])
