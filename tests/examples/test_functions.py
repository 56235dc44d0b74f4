import re

import pytest

from d_running.dataset import Sample
from examples.functions import normalized_digest, part_of, training_samples

LARGER = 'static int f(int a, int[] b) { int max = Math.max(a, b[0]); String s = "a b"; return max - s.length(); }'


@pytest.mark.parametrize(
    "same",
    [
        'public  static int g(int x,int[] xs){int y=Math.max(x,xs[0]);String t="a b";return y-t.length();}',
        'int f(final int a, int[] b) {\n  // more\n  int max = Math.max(a, b[0]); /* one */\n String s = "a b";\n  return max - s.length();\n}',
        'static int f_gold ( int a , int [ ] b ) { int max = Math . max ( a , b [ 0 ] ) ; String s = "a b" ; return max - s . length ( ) ; }',
    ],
)
def test_renaming_spaces_comments_and_modifiers_leave_the_digest_alone(same):
    assert normalized_digest(same) == normalized_digest(LARGER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Math.max(a, b[0])", "a"), ("a b", "ab"), ("b[0]", "b[1]"), ("(a, b[0])", "(b[0], a)"),
        ("int a", "long a"), ("return max", "return a"),
    ],
)  # fmt: skip
def test_other_functions_have_other_digests(old, new):
    assert normalized_digest(LARGER.replace(old, new)) != normalized_digest(LARGER)


def test_the_names_of_variables_in_loops_and_lambdas_do_not_count():
    java = "static int f(int[] a) { int s = 0; for (int v : a) s += v; Comparator<Integer> c = (x, y) -> y - x; return s; }"
    renamed = re.sub(r"\b([avsxyc])\b", r"\1\1", java)
    assert renamed != java and normalized_digest(renamed) == normalized_digest(java)


def test_a_model_is_trained_on_no_function_of_another_part_or_equal_to_one():
    names = {part: [name for name in map(str, range(60)) if part_of(name) == part] for part in ("training", "validation", "test")}
    trained, copy, unseen = names["training"][:3]
    texts = {trained: "a * 2", copy: "a * 3", unseen: "a * 4", names["validation"][0]: "a * 5", names["test"][0]: "a * 3"}
    samples = [Sample(name, f"static int f(int a) {{ return {text}; }}", "") for name, text in texts.items()]
    kept = training_samples(samples, [Sample("own", "public static int g(int b) { return b * 4; }", "")])
    assert [sample.name for sample in kept] == [trained]
