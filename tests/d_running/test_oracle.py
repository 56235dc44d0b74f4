"""The oracles run the real compilers and agree with each other."""

import pytest

from d_running.java_to_d import translate_java
from d_running.oracle import Calls, d_results, has_jdk, java_results

JAVA = "int solution(int[] a, String s, boolean f) { return f ? a[0] + s.length() : a[1] * 100000 * 100000; }"
INPUTS = [[[1, 2], "abc", True], [[3, 7], "", False]]
RESULTS = [4, 7 * 100000 * 100000 - 16 * 2**32]  # int wraps in both languages


def test_d_gives_the_values() -> None:
    assert d_results([Calls(translate_java(JAVA), ["int[]", "string", "bool"], INPUTS)] * 2) == [RESULTS, RESULTS]


@pytest.mark.skipif(not has_jdk(), reason="needs javac and java")
def test_java_gives_the_values_and_none_where_it_throws() -> None:
    calls = Calls(JAVA, ["int[]", "String", "boolean"], [*INPUTS, [[], "", True]])
    assert java_results([calls]) == [[*RESULTS, None]]
