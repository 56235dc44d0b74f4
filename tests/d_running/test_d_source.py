import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d_running.d_source import first_function, mask_opaque, rename
from d_running.translate import function_of

OPAQUE = [
    "// }\n",
    "// it's {\n",
    "/* } */",
    "/* /* { */",
    "/+ } /+ } +/ } +/",
    '/+ " +/',
    '"}\\""',
    '"// {"',
    r'r"}\"',
    "`}'\"`",
    "'}'",
    r"'\''",
    r"'\u007b'",
    "'\"'",
    'q"(a " (}) b)"',
    'q"{ { " } }"',
    'q"<">"',
    'q"/ } " \' /"',
    'q"EOS\n } " EOS \nEOS"',
    "q{ { } '}' }",
]
STATEMENTS = [f"auto x = [{text}];" if text[0] in "\"'`qr" else text for text in OPAQUE]
STATEMENTS += [
    "if (n) { n--; }",
    "foreach (i; 0 .. n) { }",
    "auto f = (int x) { return x; };",
    "int g(int y) { return y; }",
    "struct S { int a; }",
    "\r\n",
]
HEADS = [
    "int %s(int n) ",
    "int[][] %s(int[][] a,\n        int n)\n",
    "@safe pure nothrow\nint %s(int n) ",
    "static immutable(char)[] %s(string s)\n\n",
    "Tuple!(int, string) %s(int n)",
    "typeof(1) %s(int n) ",
    "extern(C++, ns) ref int %s(ref int n) ",
    '@("}") deprecated("old;") auto %s(int n) ',
    "T %s(T : int)(T n) if (is(T == int)) ",
    "int %s(int delegate(int) f = (int x) { return x; }, char c = '{', int k = 1 ? 2 : 3) ",
    'int %s(int n)\nin (n > 0; "}")\nout (r; r > 0)\n',
    "int %s(int n)\nin { assert(n > 0); }\n\nout (result) { assert(result > 0); }\ndo ",
    "int %s(int n) in { foo(n); } body ",
    "/// Doc: } comment.\n///\n/**\n\n * More; of it.\n */\nint %s(int n) ",
]
BEFORE = [
    "import std.stdio, std.math;\n",
    "module a.b;\n\n",
    "struct Pair(T) { T a; int sum() { return a; } }\n",
    "class Solution { int method(int n) { return n; } }\n",
    "enum Kind { one, two }\n",
    "int forward(int n);\n",
    "int[] table = [1, 2];\n",
    "alias square = (int x) { return x * x; };\n",
    "auto cube = (int x) => x * x * x;\n",
    "unittest { assert(1); }\n",
    "version (linux) { int k; }\n",
    "Here's the D code (it isn't tested):\n\n",
    "Sure! The function `solution` is below.\n",
    "1) First, a helper:\n",
]
AFTER = [
    "",
    "\nint other() { return 1; }",
    "\n\nIt does what Java does; in short (see above) { }.",
    "\ndo note that it's } unclosed",
    "\nvoid main() {",
]
bodies = st.lists(st.sampled_from(STATEMENTS), max_size=5).map(lambda parts: "{ " + " ".join(parts) + " return n; }")
functions = st.builds(lambda head, body: head % "solution" + body, st.sampled_from(HEADS), bodies)


@given(functions, st.lists(st.sampled_from(BEFORE), max_size=3).map("".join), st.sampled_from(AFTER), st.booleans())
def test_the_first_function_is_found_whatever_stands_around_and_in_it(function, before, after, crlf):
    function, before, after = (text.replace("\n", "\r\n") if crlf else text for text in (function, before, after))
    name, found = first_function(before + function + after)
    assert name == "solution"
    assert found == function
    assert first_function(found) == ("solution", found)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("text", OPAQUE)
def test_each_head_and_each_text(head, text):
    function = head % "solution" + "{ auto s = " + text + " ;\n return 1; }"
    assert first_function(function + "\n}") == ("solution", function)


@pytest.mark.parametrize("text", OPAQUE)
def test_what_is_no_code_is_masked(text):
    if not text.startswith("q{"):
        assert mask_opaque(f"a{text}b".replace("aq", "a q").replace("ar", "a r")).strip("\0 ab\n") == ""


def test_fences_are_not_code():
    function = "int solution(int n) {\n    return n;\n}"
    for answer in (
        f"Here's it (in D):\n```d\n{function}\n```\nIt's done, isn't it?\n```\nint other() {{ }}\n```",
        f"{function}\n```\nThe ` in it is odd.",
        f"The Java code\n```java\nint x = 3;\n```\n  ```d\n{function}",
    ):
        assert first_function(answer) == ("solution", function)
        assert function_of(answer) == function.replace("solution", "f_filled") + "\n"


def test_a_function_may_be_one_expression():
    assert first_function("int a = 3;\nint solution(int n) => n + 1;\nint b() {}") == ("solution", "int solution(int n) => n + 1;")


NONE = ["", "I cannot translate this.", "int solution(int n) { return n;", "}", "int solution(int n);", "auto f = (int n) { return n; };"]
NONE += ["int solution(int n) { return '{; }", 'int solution() { auto s = q"(; }', "int solution() /+ /+ +/ { }"]


@pytest.mark.parametrize("answer", NONE)
def test_an_answer_without_a_whole_function_has_none_and_is_kept(answer):
    assert first_function(answer) is None
    assert function_of(answer).strip() == answer.replace("solution", "f_filled")


@given(st.text("{}()[];'\"`/+*q\\\n rx.:inout sf", max_size=60))
def test_any_text_has_a_function_or_none(text):
    found = first_function(text)
    assert found is None or found[1] in text
    assert len(mask_opaque(text)) == len(text)


def test_the_time_is_linear():
    start = time.process_time()
    for piece in ("It is so. ", "{", "in {} ", "'", '"', "f(", "q{", "/+", "f() {} } ", "int f(int n);\n", "a b\n\n"):
        first_function(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 20


def test_rename_leaves_strings_members_and_longer_names():
    source = 'int solution() { return solution2() + x.solution + solution("solution"); }'
    assert rename(source, "solution", "f") == 'int f() { return solution2() + x.solution + f("solution"); }'


@pytest.mark.parametrize("part", ['q"()"', "/++/", "(", "{}", '"', "int f(); ", "((({}", "[{"])
def test_a_long_hostile_text_takes_linear_time(part):
    def seconds(length):
        text = part * (length // len(part))
        times = []
        for _ in range(3):
            start = time.process_time()
            first_function(text)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(160_000) < 0.02 + 3 * 4 * seconds(40_000)


def test_braces_behind_many_brackets_take_linear_time():
    start = time.process_time()
    assert first_function("(" * 200_000 + "{}" * 100_000) is None
    assert time.process_time() - start < 5
