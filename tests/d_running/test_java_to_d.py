"""The reference translator: each rule's right and wrong D, the D of single constructs, and what it refuses."""

import pytest

from d_running.java_to_d import RULES, translate_java
from util.errors import BenchmarkError

PARAMETERS = "int n, int b, long x, double r, String s, String t, int[] a, boolean f, double[] ds, List<Integer> l, Map<Integer, Integer> m"
CASES = {
    "arrays": ("int dp[] = new int[n];", "int[] dp = new int[n];", "int dp[] = new int[n];"),
    "builders": ("StringBuilder q = new StringBuilder(s);", "char[] q = s.dup;", "StringBuilder q = new StringBuilder(s);"),
    "casts": ("int q = (int) (x / 2);", "int q = cast(int) (x / 2);", "int q = (int) (x / 2);"),
    "characters": ("s += (char) ('a' + n);", "s ~= cast(wchar) ('a' + n);", "s ~= cast(char) ('a' + n);"),
    "clashes": ("int max = Math.max(n, 1);", "int max_ = max(n, 1);", "int max = max(n, 1);"),
    "concatenation": ("s = t + n;", "s = t ~ to!string(n);", "s = t + n;"),
    "constants": ("b = Integer.MIN_VALUE;", "b = int.min;", "b = Integer.MIN_VALUE;"),
    "defaults": ("ds = new double[n];", "ds = new double[n]; ds[] = 0;", "ds = new double[n];"),
    "exceptions": ("throw new IllegalStateException(s);", "throw new Exception(s);", "throw new IllegalStateException(s);"),
    "foreach": ("for (int v : a) n += v;", "foreach (int v; a) n += v;", "for (int v : a) n += v;"),
    "identity": ("f = s == t;", "f = s is t;", "f = s == t;"),
    "initializers": ("int[] q = {1, 2};", "int[] q = [1, 2];", "int[] q = {1, 2};"),
    "keywords": ("int in = 5;", "int in_ = 5;", "int in = 5;"),
    "length": ("b = a.length;", "b = cast(int) a.length;", "b = a.length;"),
    "lists": ("l.add(n);", "l ~= n;", "l.add(n);"),
    "literals": ("b = 017;", "b = 15;", "b = 017;"),
    "maps": ("m.put(n, b);", "m[n] = b;", "m.put(n, b);"),
    "math": ("b = Math.max(b, 1);", "b = max(b, 1);", "b = Math.max(b, 1);"),
    "matrices": ("int[][] q = new int[n][b];", "int[][] q = new int[][](n, b);", "int[][] q = new int[n][b];"),
    "nulls": ("f = s == null;", "f = s is null;", "f = s == null;"),
    "overloads": ("r = Math.sqrt(n);", "r = sqrt(cast(double) n);", "r = sqrt(n);"),
    "precedence": ("f = f & n == b;", "f = f & (n == b);", "f = f & n == b;"),
    "printing": ("System.out.println(n);", "writeln(n);", "System.out.println(n);"),
    "saturation": ("b = (int) r;", "b = toInt(r);", "b = cast(int) r;"),
    "shifts": ("b = 1 << n;", "b = 1 << (n & 31);", "b = 1 << n;"),
    "strings": ("char c = s.charAt(n);", "char c = s[n];", "char c = s.charAt(n);"),
    "switches": ("switch (n) { case 1: b = 2; }", "switch (n) { case 1: b = 2; break; default: break; }", "switch (n) { case 1: b = 2; }"),
    "types": ("boolean q = true;", "bool q = true;", "boolean q = true;"),
    "utilities": ("Arrays.sort(a);", "a.sort();", "Arrays.sort(a);"),
    "wrappers": ("b = Integer.parseInt(s);", "b = to!int(s);", "b = Integer.parseInt(s);"),
}

STANDS_ON = {"characters": ("casts", "concatenation"), "clashes": ("math",), "overloads": ("math",), "saturation": ("casts",)}
"""Rules that are about what others write."""


def body(java: str, without: tuple[str, ...] = ()) -> str:
    """The D of statements in a method with `PARAMETERS`, on one line."""
    lines = translate_java(f"void solution({PARAMETERS}) {{ {java} }}", without).partition("\n}")[0].splitlines()[1:]
    return " ".join(line.strip() for line in lines if not line.strip().startswith("import "))


@pytest.mark.parametrize("java", ["abstract int f(int n);", "void f(Integer[] a) { Arrays.sort(a, new Comparator<Integer>() {}); }"])
def test_java_without_a_body_is_refused(java: str) -> None:
    with pytest.raises(BenchmarkError, match="No rule translates"):
        translate_java(java)


def test_every_rule_has_a_case() -> None:
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_that_is_off_copies_the_java_and_leaves_the_others_alone(rule: str) -> None:
    java, right, wrong = CASES[rule]
    assert body(java) == right
    assert body(java, (rule,)) == wrong
    assert body(java, tuple(RULES.keys() - {rule, *STANDS_ON.get(rule, ())})) == right


@pytest.mark.parametrize(
    ("java", "d"),
    [
        ("int[][] g = new int[n][b];", "int[][] g = new int[][](n, b);"),
        ("int q = 1, y = 2;", "int q = 1, y = 2;"),
        ("int q, z[] = new int[3];", "int q; int[] z = new int[3];"),
        ("s = t.substring(1) + 2;", "s = t[1 .. $] ~ to!string(2);"),
        ("r = Math.sqrt(2) + Math.pow(r, 2);", "r = sqrt(2.0) + pow(r, 2.0);"),
        ("x = 5l;", "x = 5L;"),
        ("r = Double.MIN_VALUE;", "r = double.min_normal;"),
        ("b = -2147483648;", "b = int.min;"),
        ("f = !s.equals(t) && !m.containsKey(n);", "f = s != t && n !in m;"),
        ("if (m.containsKey(n)) b++;", "if (n in m) b++;"),
        ("f = m.containsKey(n);", "f = (n in m) !is null;"),
        ("f = m.get(n) == null;", "f = n !in m;"),
        ("b = n >>> 2;", "b = n >>> 2;"),
        ("n *= 1.5;", "n = toInt(n * 1.5);"),
        ("for (; n > 0; n--);", "for (; n > 0; n--) {}"),
        ("if ((n & 1) == 0) return;", "if ((n & 1) == 0) return;"),
        ("char c = (char) (n % 26 + 'a');", "char c = cast(char) (n % 26 + 'a');"),
        ("for (int k : m.keySet()) n += k;", "foreach (int k; m.keys) n += k;"),
        ("l.get(0);", "cast(void) l[0];"),
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


def test_imports_and_helpers_come_only_with_what_needs_them() -> None:
    d = translate_java("int solution(String s, double r) { return s.indexOf('x') + (int) r; }")
    assert d.startswith("int solution(string s, double r) {\n    import std.string : indexOf;\n")
    assert d.count("int toInt(double x)") == 1
    assert "toInt" not in translate_java("int solution(String s, double r) { return (int) r; }", ["saturation"])


def test_a_map_that_is_walked_along_keeps_javas_order() -> None:
    loop = "for (int k : q.keySet()) n += k;"
    java = "int solution(int n) {{ HashMap<Integer, Integer> q = new HashMap<>(); q.put(n, 1); {} return n; }}"
    assert "int[int] q;" in translate_java(java.format(""))
    assert "HashMap!(int, int) q = new HashMap!(int, int)();" in translate_java(java.format(loop))
    assert "HashMap<Integer, Integer> q = new HashMap<>();" in translate_java(java.format(loop), ["maps"])


@pytest.mark.parametrize(
    ("java", "without", "message"),
    [
        ("int f( { }", (), "does not parse"),
        ("int f(java.util.Optional<Integer> x) { return 0; }", (), "No rule translates the Java type Optional<Integer>"),
        ("int f() { return g; }", (), "g is used and not declared"),
        ("int f(int[] a) { return Arrays.hashCode(a); }", (), "Arrays.hashCode"),
        ("int f() { synchronized (this) { return 0; } }", (), "synchronized_statement"),
        ("int f() { return 0; }", ("no_such",), "rules are"),
        ("int x;", (), "no method"),
    ],
)
def test_says_what_it_cannot_translate(java: str, without: tuple[str, ...], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        translate_java(java, without)
