"""Java to Python: its test programs, functions in answers, mutants, and verdicts, which are those of a plain run of the test program."""

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d_running.dataset import Sample
from d_running.language_pairs import language_pair
from d_running.python_target.execution import PythonJudge
from d_running.python_target.harness import MARKER, check_test_program, read_tests, render_test_program
from d_running.python_target.mutation import mutants_of
from d_running.python_target.runner import _text
from d_running.python_target.source import first_function, rename
from d_running.sandbox import probe_tier
from d_running.translate import function_of
from d_running.unit_test import UnitTestConfig, run_unit_tests
from util.errors import BenchmarkError, UserError

PAIR = language_pair("java-python")
SCALARS = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans() | st.text(st.characters(codec="ascii"))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=9)


def same(one, two):
    if isinstance(one, list):
        return isinstance(two, list) and len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and (one == two or one != one != two)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4))
def test_a_test_program_is_read_as_it_was_written_and_each_value_equals_itself_as_sent(rows):
    inputs, results = [[one] for one, _ in rows], [two for _, two in rows]
    program = render_test_program("double", ["double"], inputs, results, False, {0: [one for (one,) in inputs]})
    tests = read_tests(program)
    assert same(tests.inputs, inputs) and same(tests.expected[0].values, results) and tests.arguments == [0]
    for k, (before, result) in enumerate(rows):
        assert tests.expected[0].is_sent(k, _text(result)) and tests.expected[1].is_sent(k, _text(before))


@pytest.mark.parametrize(
    ("expected", "actual", "exact", "equal"),
    [
        (3, 3.0, True, True), (3, 4.0, True, False), (True, 1, True, True), (0, False, True, True), (3, "3", True, False), ("3", 3, True, False),
        ([1], (1,), True, True), (["a", "b"], "ab", True, False), (1.0, 1.0000001, False, True), (1.0, 1.0000001, True, False),
        (1.0, 1.1, False, False), (math.nan, math.nan, False, True), (math.inf, 5.0, False, False), (-math.inf, -math.inf, True, True),
        (1.5, None, False, False), ([[]], [[], []], True, False), (2**62, 2**62 + 1, True, False), (5, 10**300, True, False),
        (1.0, 1, False, True),
    ],
)  # fmt: skip
def test_values_are_compared_as_python_does(expected, actual, exact, equal):
    program = render_test_program("double", [], [[]], [expected], exact)
    assert read_tests(program).expected[0].is_sent(0, _text(actual)) is equal
    whole = PAIR.program(program, f"from math import *\ndef f_filled(): return {actual!r}")
    plain = subprocess.run([sys.executable, "-c", whole], capture_output=True, check=False).stdout
    assert (plain == b"#Results:1, 1\n") is equal or isinstance(actual, tuple)  # a list is no tuple to Python, and both stand for Java's array


@pytest.mark.parametrize(
    "broken",
    ["x = 1", "if __name__ == '__main__':\n    results = [f()]\n", "if x:\n    results = [1]\n    param0 = [1, 2]\n", "if x:\n  (", "if x: pass"],
)
def test_other_forms_are_refused(broken):
    with pytest.raises(BenchmarkError, match="The test program of A cannot be used"):
        check_test_program("A", f"{MARKER}\n{broken}")
    with pytest.raises(BenchmarkError, match="must have the marker"):
        check_test_program("A", broken)


LONG = """\
```python
import math
from a import b

@cache
def solution(n):
    if n:
        return solution(n - 1) + '''
def solution'''

    return x.solution

print(1)
```
"""
ANSWERS = {
    "def solution(n):\n    return n\n```\nThat is all, isn't it?": "def f_filled(n):\n    return n\n",
    LONG: f"import math\nfrom a import b\n\n\n{LONG.partition('b' + chr(10) * 2)[2].partition(chr(10) * 2 + 'print')[0]}\n".replace(
        "def solution(n)", "def f_filled(n)").replace("return solution", "return f_filled"),
    "class Solution:\n    def solution(n):\n        return 1\n    def other(): pass": "def f_filled(n):\n    return 1\n",
    "def solution(n): return n\nx = 1": "def f_filled(n): return n\n",
    "Here it is:\n\ndef solution(n):\n    return n\n\nI'm glad.": "def f_filled(n):\n    return n\n",
    "def solution(n):\n    return (n +": "def f_filled(n):\n    return (n +\n",
    "nothing": "nothing\n",
}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_first_function_of_an_answer_is_taken(answer):
    assert function_of(answer, "java-python") == ANSWERS[answer]


@given(st.text())
def test_any_answer_gives_some_text(answer):
    first_function(answer)
    assert rename(answer, "solution", "solution") == answer


def test_mutants_have_one_mistake_in_the_function():
    body = "    x = -a[0] * 2  # é\n    if n < 3 and a[0] == 1.5 or f'{1}':\n        x += max(x, True)\n    return x\n"
    source = f"def f_filled(a, n):\n{body}\n\ndef other():\n    return 1\n"
    found = mutants_of(source)
    assert {(one.kind, one.line, one.after) for one in found} >= {
        ("constant", 2, "x = -a[1] * 2  # é"), ("constant", 2, "x = -a[(-1)] * 2  # é"), ("arithmetic", 2, "x = ((-a[0]) // (2))  # é"),
        ("off by one", 3, "if (n) <= (3) and a[0] == 1.5 or f'{1}':"), ("library", 4, "x += min(x, True)"),
        ("constant", 4, "x += max(x, False)"),
    }  # fmt: skip
    lines = source.split("\n")
    for one in found:
        other = one.source.split("\n")
        assert [k for k in range(len(lines)) if lines[k] != other[k]] == [one.line - 1]
        compile(one.source, "mutant", "exec")
    assert mutants_of("def other(): return 1") == mutants_of("(") == []


SORTS = render_test_program("void", ["int[]"], [[[3, 1]], [[]]], [None, None], False, {0: [[1, 3], []]})
HALF = render_test_program("double", ["int"], [[1], [2]], [0.5, 1.0])
JUDGED = {  # test program, function, error, the words or count
    "right": (HALF, "def f_filled(n):\n    return n / 2", "No", ""),
    "wrong": (HALF, "def f_filled(n):\n    return n // 2", "Correctness", "1 of 2 tests passed"),
    "sorts": (SORTS, "def f_filled(a):\n    a.sort()", "No", ""),
    "copies": (SORTS, "def f_filled(a):\n    return sorted(a)", "Correctness", "1 of 2 tests passed"),
    "prints": (HALF, "def f_filled(n):\n    print('#Results:2, 2')\n    return n / 2", "No", ""),
    "does_not_parse": (HALF, "def f_filled(n):\n    return (n", "Compilation", "translation.py(2): Error: SyntaxError: '(' was never closed"),
    "tabs": (HALF, "def f_filled(n):\n\tif n:\n        return 1", "Compilation", "Error: TabError: inconsistent use of tabs and spaces"),
    "nul": (HALF, "x = '\0'", "Compilation", "Error: SyntaxError: source code string cannot contain null bytes"),
    "raises": (HALF, "def f_filled(n):\n    return n // 0", "RuntimeError", "translation.py(2): Error: ZeroDivisionError: integer division"),
    "no_function": (HALF, "x = 1", "RuntimeError", "Error: NameError: name 'f_filled' is not defined"),
    "names_an_address": (HALF, "def f_filled(n):\n    raise KeyError(object())", "RuntimeError", "Error: KeyError: <object object at 0x…>"),
    "complains": (HALF, "import sys\ndef f_filled(n):\n    sys.stderr.write('x')\n    return n / 2", "RuntimeError", "x"),
    "warns": (HALF, "def f_filled(n):\n    return n / 2 if n is not 7 else 0", "No", ""),
    "needs_a_package": (HALF, "import numpy", "RuntimeError", "Error: ModuleNotFoundError: No module named 'numpy'"),
    "recurses": (HALF, "def f_filled(n):\n    return f_filled(n)", "RuntimeError", "Error: RecursionError: maximum recursion depth exceeded"),
    "leaves": (HALF, "import os\nos._exit(0)", "RuntimeError", "Error: the tests ended without their verdict"),
    "exits": (HALF, "raise SystemExit(0)", "RuntimeError", "translation.py(1): Error: SystemExit: 0"),
    "loops": (HALF, "while True:\n    pass", "TimeoutExpired", "Error: the tests did not end within 1 s"),
}


def test_translations_are_judged_with_exceptions_as_messages(tmp_path):
    (tmp_path / "translations").mkdir()
    for name, (_, function, _, _) in JUDGED.items():
        PAIR.file(tmp_path / "translations", name).write_text(function)
    samples = [Sample(name, "", program) for name, (program, *_) in JUDGED.items()]
    config = UnitTestConfig(tmp_path / "cache", run_limit=1, language_pair="java-python")
    results = {result.name: result for result in run_unit_tests(tmp_path / "translations", samples, tmp_path / "out", config)}
    for name, (_, _, error, words) in JUDGED.items():
        assert (results[name].error, words in results[name].description) == (error, True), results[name]
    again = UnitTestConfig(tmp_path / "other", run_limit=1, language_pair="java-python", fast_judge=True)
    assert {result.name: result for result in run_unit_tests(tmp_path / "translations", samples, tmp_path / "out", again)} == results


def test_the_program_that_is_run_holds_nothing_that_is_expected():
    seen = "def f_filled(n):\n    return 4242 if str(4200 + 42) in open('job.json').read().partition('inputs')[2] else 7"
    program = render_test_program("int", ["int"], [[1]], [4242])
    with PythonJudge(probe_tier(), 1, 1) as judge:
        assert judge.judge(program, seen).description == "0 of 1 tests passed"
        assert judge.judge(program.replace("4242", "7"), seen).error == "No"


def test_what_is_for_d_alone_is_refused():
    with pytest.raises(UserError, match="--plain_verdict is for --language_pair java-d"):
        PAIR.target(UnitTestConfig(plain_verdict=True, language_pair="java-python"))
    with pytest.raises(BenchmarkError, match="has no rules"):
        PAIR.reference([], ["casts"])
    with pytest.raises(BenchmarkError, match="No sample has a Python function"):
        PAIR.reference([Sample("A", "", "")], [])
