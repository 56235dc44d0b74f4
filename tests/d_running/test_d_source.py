import pytest

from d_running.d_source import first_function, rename
from d_running.translate import d_function

BODIES = ["", 'string s = "}\\"";', "char c = '}';", "// }\n", "/* } */", "/+ } /+ } +/ } +/", "auto b = `}`;", "if (n) { n--; }"]
BODIES += ['auto r = r"}\\";', "auto q = q{ { } };"]


@pytest.mark.parametrize("body", BODIES)
def test_braces_in_strings_and_comments_do_not_count(body):
    function = f"int solution(int n) {{ {body} return n; }}"
    assert first_function(f"import std.stdio;\n{function}\nint other() {{ return 1; }}") == ("solution", function)


def test_types_and_contracts_are_not_the_function():
    assert first_function("struct Pair { int a; }\nPair[] solution() { return []; }") == ("solution", "Pair[] solution() { return []; }")
    contract = "int solution(int n)\nin { assert(n > 0); }\ndo { return n; }"
    assert first_function(contract) == ("solution", contract)


@pytest.mark.parametrize("answer", ["", "I cannot translate this.", "int solution(int n) { return n;", "}"])
def test_an_answer_without_a_whole_function_has_none_and_is_kept(answer):
    assert first_function(answer) is None
    assert d_function(answer).strip() == answer.replace("solution", "f_filled")


def test_rename_leaves_strings_members_and_longer_names():
    source = 'int solution() { return solution2() + x.solution + solution("solution"); }'
    assert rename(source, "solution", "f") == 'int f() { return solution2() + x.solution + f("solution"); }'
