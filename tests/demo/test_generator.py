"""Generated functions: deterministic, different, each family planted alone, and the same in Java and D."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from d_running.java_to_d import translate_java
from demo.datasets import TEST_SEED, VALIDATION_SEED, expected_results
from demo.generator import FAMILIES, INPUTS, draw_functions


def test_a_seed_decides_the_draw() -> None:
    assert draw_functions(5, 40) == draw_functions(5, 40)
    assert draw_functions(5, 40) != draw_functions(6, 40)


def test_every_family_has_its_share() -> None:
    counts = Counter(function.family for function in draw_functions(TEST_SEED, 320))
    assert counts[None] == 160 and all(counts[family] == 32 for family in FAMILIES)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_only_the_familys_rule_changes_the_translation(seed: int) -> None:
    for function in draw_functions(seed, 20):
        right = translate_java(function.java)
        assert len(function.inputs) == INPUTS
        for family, rule in FAMILIES.items():
            assert (translate_java(function.java, [rule]) != right) == (function.family == family)


def test_java_and_d_agree() -> None:
    """`expected_results` refuses a draw in which they do not."""
    functions = draw_functions(VALIDATION_SEED, 60)
    assert [len(row) for row in expected_results(functions)] == [INPUTS] * 60
