import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.inputs import COUNT, draw_inputs
from util.errors import BenchmarkError


@settings(max_examples=30)
@given(st.integers(-50, 50), st.integers(10, 60), st.text(min_size=1))
def test_numbers_stay_in_their_range_and_are_drawn_again_alike(low, width, seed):
    comment = f"n: {low}..{low + width}; x: 0.5..2.5"
    rows = draw_inputs(comment, {"n": "int", "x": "double"}, seed)
    assert len(rows) == COUNT and rows == draw_inputs(comment, {"n": "int", "x": "double"}, seed)
    assert all(low <= n <= low + width and type(n) is int and 0.5 <= x <= 2.5 for n, x in rows)


def test_a_range_may_depend_on_an_earlier_parameter_whatever_the_order_of_the_arguments():
    rows = draw_inputs("arr: 3..9 of 0..9; n: arr.length; last: arr.length-1; k: 1..n", {"n": "int", "k": "int", "arr": "int[]", "last": "int"}, "a")
    assert all(n == len(arr) and last == n - 1 and 1 <= k <= n for n, k, arr, last in rows)


def test_arrays_matrices_strings_and_their_orders():
    types = {"up": "int[]", "down": "int[]", "grid": "int[][]", "words": "String[]", "s": "String", "c": "char", "cs": "char[]"}
    comment = """up: sorted distinct 4..6 of 1..20; down: descending 5 of 1..9; grid: 2..4 x 2..4 of [3, 7];
                 words: 2..3 of ["yes", "no"]; s: 2..8 of "ab"; c: 'p'..'r'; cs: 3 of 'x'..'z'"""
    for up, down, grid, words, s, c, cs in draw_inputs(comment, types, "a"):
        assert up == sorted(set(up)) and down == sorted(down, reverse=True)
        assert len({len(row) for row in grid}) == 1 and {item for row in grid for item in row} <= {3, 7}
        assert set(words) <= {"yes", "no"} and 2 <= len(s) <= 8 and set(s) <= {"a", "b"}
        assert c in "pqr" and len(cs) == 3 and set(cs) <= set("xyz")


def test_alternatives_take_turns():
    rows = draw_inputs('s: "no; on" | 3 of "xyz"; flag: true | false', {"s": "String", "flag": "boolean"}, "a")
    assert [row[1] for row in rows].count(True) >= 1 and rows[0] == ["no; on", True] and [row[0] for row in rows].count("no; on") == 1


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("n: 1..", "a number, a character or a parameter's name must come at ''"),
        ("n 1..9", "':' must come at '1..9'"),
        ("n: 1..9 9", "'|', ';' or the end must come at '9'"),
        ('n: ["a', "a JSON value must come"),
        ("m: 1..9", "specifies m; the parameters are n"),
        ("", "a parameter's name must come"),
        ("n: k..9", "uses k before it is specified"),
        ("n: 1..3", "gives 3 different inputs; 10 are needed"),
        ("n: distinct 3 of 1..2", "no 3 distinct items"),
    ],
)
def test_a_wrong_comment_is_refused_with_what_is_wrong(comment, said):
    with pytest.raises(BenchmarkError) as error:
        draw_inputs(comment, {"n": "int"}, "a")
    assert said in str(error.value)
