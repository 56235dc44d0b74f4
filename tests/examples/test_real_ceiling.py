"""Mending an error in the text of a translation."""

import pytest

from examples.real_ceiling import mended
from examples.real_requests import CORRECTIONS


@pytest.mark.parametrize(
    ("error", "d", "right"),
    [
        ("cast", "return (int) (a * (long) b);", "return cast(int) (a * cast(long) b);"),
        ("cast", "a = (int)(b); c = (double) (d);", "a = cast(int)(b); c = cast(double) (d);"),
        ("array", "int counts[] = new int[3];\nbool seen[] = x;", "int[] counts = new int[3];\nbool[] seen = x;"),
        ("length", "int n = a.length, m = b.length - 1;", "int n = cast(int) a.length, m = cast(int) b.length - 1;"),
    ],
)
def test_every_place_of_the_error_is_mended_once(error, d, right):
    assert mended(CORRECTIONS[error], d) == right
    assert mended(CORRECTIONS[error], right) == right
