"""The reference translator: each rule's right and wrong D, and programs that behave as the Java does."""

import pytest

from d_running.java_to_d import RULES, d_type, translate_java
from util.errors import BenchmarkError

CASES = {
    "arrays": ("int dp[] = new int[n];", "int[] dp = new int[n];", "int dp[] = new int[n];"),
    "casts": ("int r = (int) (x / 2);", "int r = cast(int) (x / 2);", "int r = (int) (x / 2);"),
    "constants": ("int b = Integer.MIN_VALUE;", "int b = int.min;", "int b = Integer.MIN_VALUE;"),
    "length": ("int n = a.length;", "int n = cast(int) a.length;", "int n = a.length;"),
    "math": ("b = Math.max(b, 1);", "b = max(b, 1);", "b = Math.max(b, 1);"),
    "strings": ("char c = s.charAt(i);", "char c = s[i];", "char c = s.charAt(i);"),
    "types": ("boolean f = true;", "bool f = true;", "boolean f = true;"),
}


def body(java: str, without: tuple[str, ...] = ()) -> str:
    return translate_java(f"void solution() {{ {java} }}", without).splitlines()[1].strip()


def test_every_rule_has_a_case() -> None:
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_that_is_off_copies_the_java(rule: str) -> None:
    java, right, wrong = CASES[rule]
    assert body(java) == right
    assert body(java, (rule,)) == wrong
    others = tuple(name for name in RULES if name != rule)
    assert body(java, others) == right


@pytest.mark.parametrize(
    ("java", "d"),
    [
        ("int[][] g = new int[n][m];", "int[][] g = new int[][](n, m);"),
        ("int[] a = {1, 2};", "int[] a = [1, 2];"),
        ("int x = 1, y = 2;", "int x = 1, y = 2;"),
        ("int x, a[] = new int[3];", "int x; int[] a = new int[3];"),
        ("s = t.substring(1) + 2;", "s = t[1 .. $] ~ to!string(2);"),
        ("double r = Math.sqrt(n);", "double r = sqrt(cast(double) (n));"),
        ("for (int v : a) { k += v; }", "foreach (int v; a) {"),
        ("long in = 5l;", "long in_ = 5L;"),
        ("double d = Double.MIN_VALUE;", "double d = double.min_normal;"),
    ],
)
def test_translates(java: str, d: str) -> None:
    assert body(java) == d


def test_layout_is_one_statement_a_line() -> None:
    java = "int f(int n){int s=0;for(int i=0;i<n;i++){if(i>2)s+=i;else{s--;}}return s;}"
    assert translate_java(java) == (
        "int f(int n) {\n    int s = 0;\n    for (int i = 0; i < n; i++) {\n        if (i > 2) s += i; else {\n            s--;\n"
        "        }\n    }\n    return s;\n}"
    )


def test_types() -> None:
    assert [d_type(kind) for kind in ("boolean", "String[]", "int[][]", "long")] == ["bool", "string[]", "int[][]", "long"]


@pytest.mark.parametrize(
    ("java", "without", "message"),
    [
        ("int f( { }", (), "does not parse"),
        ("int f(java.util.List<Integer> x) { return 0; }", (), "No rule translates"),
        ("int f() { return 0; }", ("no_such",), "rules are"),
        ("int x;", (), "no method"),
    ],
)
def test_says_what_it_cannot_translate(java: str, without: tuple[str, ...], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        translate_java(java, without)
