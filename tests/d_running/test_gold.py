"""The files of the TransCoder set: signatures, inputs, and Python values as Java's types take them."""

import math

import pytest

from d_running.gold import Signature, Unusable, compilation_unit, converted, d_type, gold_pairs, java_signature, python_inputs
from d_running.java_inputs import java_inputs
from util.errors import BenchmarkError


def java(function: str) -> str:
    return f"import java.util. *;\nimport javafx.util.Pair;\npublic class A{{\n{function}\n//TOFILL\npublic static void main(String args[]) {{}}\n}}"


@pytest.mark.parametrize(
    ("function", "return_type", "param_types"),
    [
        ("static int f_gold ( int x ) { return x ; }", "int", ("int",)),
        ("public static boolean f_gold ( int arr [ ] , String s , char c ) { return true ; }", "boolean", ("int[]", "String", "char")),
        ("static double [ ] [ ] f_gold ( final double [ ] m [ ] , long [ ] a ) { return m ; }", "double[][]", ("double[][]", "long[]")),
        ("static Boolean f_gold ( Integer [ ] a , Character c , float f ) { return true ; }", "boolean", ("int[]", "char", "float")),
        ("static int help ( List<Integer> l ) { return 1 ; } static byte f_gold ( ) { return 1 ; }", "byte", ()),
    ],
)
def test_signatures(function, return_type, param_types):
    assert java_signature(java(function)) == Signature("A", return_type, param_types)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (java("static int f_gold ( List < Integer > l ) { return 1 ; }"), "its parameter l is a List<Integer>"),
        (java("static Node f_gold ( int a ) { return null ; }"), "it returns a Node"),
        (java("static int f_gold ( int ... a ) { return 1 ; }"), "variable number"),
        (java("int f_gold ( int a ) { return 1 ; }"), "not static"),
        (java("static int other ( int a ) { return 1 ; }"), "0 methods named f_gold"),
        (java("static int f_gold ( int a ) { } static int f_gold ( ) { }"), "2 methods named f_gold"),
        (java("static int f_gold { return ; } } }"), "does not parse"),
        ("class A { static int f_gold ( int a ) { return 1 ; } }", "no marker //TOFILL"),
    ],
)
def test_what_has_no_signature_is_named(source, says):
    with pytest.raises(Unusable, match=says):
        java_signature(source)


def test_the_compilation_unit_is_closed_and_drops_the_import_that_no_jdk_has():
    unit = compilation_unit(java("static int f_gold ( ) { return 1 ; }"))
    assert "javafx" not in unit and "main" not in unit
    assert unit.count("{") == unit.count("}")


def test_types_in_d():
    assert [d_type(kind) for kind in ("boolean", "String[]", "int[][]", "byte")] == ["bool", "string[]", "int[][]", "byte"]


def inputs(rows: str) -> list:
    return python_inputs(f"def f_gold(a):\n    return a\n\nif __name__ == '__main__':\n    param = [{rows}]\n    print(param)\n")[0]


def test_inputs_are_read_without_being_run():
    row = "1, -2.5, 'a', [[1], []], True, [3] * 2 + [2 ** 10], float('inf')"
    assert inputs(f"({row}), (1,)") == [[1, -2.5, "a", [[1], []], True, [3, 3, 1024], math.inf], [1]]


@pytest.mark.parametrize(
    "row",
    ["(open('x'),)", "5", "(x,)", "(10 ** 10 ** 10,)", "([0] * 10 ** 9,)", "('a' * (9 ** 30),)", "(1 + 'a',)", "({1},)", "(None,)", "(2.0 ** 9999,)"],
)
def test_an_input_that_is_no_plain_value_is_left_out_alone(row):
    first, second = inputs(f"{row}, (2,)")
    assert isinstance(first, Unusable)
    assert second == [2]


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("param = [(1, , 2)]", "does not parse in line 1"),
        ("x = 1", "there is no `param"),
        ("param = []", "is empty"),
        ("param = make()", "there is no `param"),
        ("a\0b", "does not parse"),
    ],
)
def test_a_python_file_without_inputs_is_named(python, says):
    with pytest.raises(Unusable, match=says):
        python_inputs(python)


def test_inputs_that_change_later_are_noted():
    assert "changes `param` later" in python_inputs("param = [(1,)]\nfor i, p in enumerate(param):\n    param[i] = [0]\n")[1][0]


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        ("int", 3.0, 3),
        ("int", True, 1),
        ("double", 3, 3.0),
        ("float", 0.1, 0.10000000149011612),
        ("boolean", 0, False),
        ("char[]", "ab", ["a", "b"]),
        ("String[]", ("a", ""), ["a", ""]),
        ("double[][]", [[1], []], [[1.0], []]),
    ],
)
def test_values_take_the_java_type(kind, value, result):
    assert repr(converted(kind, value)) == repr(result)


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("int", 2**31, "too large for int"),
        ("byte", 128, "too large for byte"),
        ("long", 1e30, "too large for long"),
        ("int", 2.5, "is no int"),
        ("int", math.nan, "is no int"),
        ("int", "1", "is no int"),
        ("float", 1e39, "too large for float"),
        ("double", 10**400, "too large for double"),
        ("double", True, "is no double"),
        ("boolean", 2, "is no boolean"),
        ("char", "ab", "is no char"),
        ("char", 97, "is no char"),
        ("String", None, "is no String"),
        ("String", "naïve", "beyond ASCII"),
        ("char", "\x80", "beyond ASCII"),
        ("int[]", [1, [2]], "is no int"),
        ("int[]", 1, r"is no int\[\]"),
    ],
)
def test_values_that_do_not_fit_are_refused(kind, value, says):
    with pytest.raises(Unusable, match=says):
        converted(kind, value)


def test_a_folder_in_another_layout_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="has no folder java"):
        gold_pairs(tmp_path)
    (tmp_path / "java").mkdir()
    (tmp_path / "python").mkdir()
    with pytest.raises(BenchmarkError, match="hold no ID.java"):
        gold_pairs(tmp_path)


MAIN = """//TOFILL
public static void main(String args[]) {
    List<int [ ]> param0 = new ArrayList<>();
    param0.add(new int[]{2,-6, 1 - 3});
    param0.add(new int[]{});
    List<String> filled_function_param0 = new ArrayList<>();
    filled_function_param0.add("no input");
    List<Object> param1 = new ArrayList<>();
    param1.add(%s);
    param1.add(-4.5F);
    for (int i = 0; i < param0.size(); ++i) System.out.println(f_gold(param0.get(i), param1.get(i)));
}
}"""


@pytest.mark.parametrize(
    ("written", "value"),
    [("7L", 7), ("'a'", "a"), ('"a\\n\\""', 'a\n"'), ("true", True), ("new char[]{'x', ' '}", ["x", " "]), ('Long.parseLong("12")', 12),
     ("new int[][]{new int[]{1}, new int[]{2, 3}}", [[1], [2, 3]]), ("(long) 2.5", 2.5)],
)  # fmt: skip
def test_inputs_of_a_java_main(written, value):
    assert java_inputs(MAIN % written, 2) == [[[2, -6, -2], value], [[], -4.5]]


def test_inputs_of_a_java_main_that_cannot_be_read_say_why():
    first, second = java_inputs(MAIN % "n + 1", 2)
    assert isinstance(first, Unusable) and "not written as plain values: n + 1" in str(first) and second == [[], -4.5]
    for java, parameters in ((MAIN % "1", 3), (MAIN % "1", 1), ("//TOFILL\n}", 1), ("no marker", 1), ("//TOFILL\n} } param0.add(", 0)):
        with pytest.raises(Unusable, match="does not list as many arguments for each parameter"):
            java_inputs(java, parameters)
