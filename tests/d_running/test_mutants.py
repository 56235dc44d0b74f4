"""Mutants are right functions with one mistake; inputs that let one pass are found, and the card says how many do."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d_running import mutants, report
from d_running.build_kecode import build
from d_running.dataset import load_samples
from d_running.gold import converted
from d_running.harness import render_test_program
from d_running.mutants import MutantsConfig, digest_of
from d_running.mutation import chosen_mutants, mutants_of
from d_running.oracles.java_oracle import has_jdk
from d_running.stronger_inputs import generated_inputs
from util.errors import BenchmarkError

needs_jdk = pytest.mark.skipif(not has_jdk(), reason="needs javac and java")

FUNCTION = """import std.array;
int f_filled(int[] a, int n) {
    // a < b
    int x = -a[0] * 2;
    for (int i = 0; i < n; i++) {
        if (a[i] == int.max) x += max(x, i);
    }
    string s = "1 + 1";
    return x;
}
int helper(int x) {
    return x + 1;
}
"""


def test_mutants_have_one_mistake_in_the_code_of_the_function():
    found = mutants_of(FUNCTION)
    changed = {(mutant.kind, mutant.line, mutant.after) for mutant in found}
    assert changed == {
        ("constant", 4, "int x = -a[1] * 2;"), ("constant", 4, "int x = -a[(-1)] * 2;"),
        ("arithmetic", 4, "int x = -a[0] / 2;"), ("arithmetic", 4, "int x = -a[0] + 2;"),
        ("constant", 4, "int x = -a[0] * 3;"), ("constant", 4, "int x = -a[0] * 1;"),
        ("constant", 5, "for (int i = 1; i < n; i++) {"), ("constant", 5, "for (int i = (-1); i < n; i++) {"),
        ("off by one", 5, "for (int i = 0; i <= n; i++) {"), ("relation", 5, "for (int i = 0; i >= n; i++) {"),
        ("condition", 6, "if (!(a[i] == int.max)) x += max(x, i);"), ("relation", 6, "if (a[i] != int.max) x += max(x, i);"),
        ("arithmetic", 6, "if (a[i] == int.max) x -= max(x, i);"), ("library", 6, "if (a[i] == int.max) x += min(x, i);"),
        ("return", 9, "return (x) + 1;"),
    }  # fmt: skip
    lines = FUNCTION.split("\n")
    for mutant in found:
        other = mutant.source.split("\n")
        assert [k for k in range(len(lines)) if lines[k] != other[k]] == [mutant.line - 1] and len(other) == len(lines)
        assert (lines[mutant.line - 1].strip(), other[mutant.line - 1].strip()) == (mutant.before, mutant.after)
    assert mutants_of("no function") == mutants_of("int other(int n) { return n; }") == []


def test_a_draw_is_the_same_every_time_and_among_all():
    every = mutants_of(FUNCTION)
    assert chosen_mutants("A", every, None) == every == chosen_mutants("A", every, 99)
    drawn = chosen_mutants("A", every, 5)
    assert drawn == chosen_mutants("A", every, 5) and len(drawn) == 5 and set(drawn) <= set(every)
    assert len({tuple(one.number for one in chosen_mutants(name, every, 5)) for name in "ABCDE"}) > 1


JAVA = "static int f_gold ( int a ) { if ( a > 3 ) return 1 ; return 0 ; }"
RIGHT = "int f_filled(int a) {\n    if (a > 3) return 1;\n    return 0;\n}\n"


@pytest.fixture
def kecode(tmp_path):
    """The same function with inputs that notice everything, and with one that notices little."""
    rows = [
        {"id": name, "function_java": JAVA, "d_with_params": render_test_program("int", ["int"], [[a] for a in inputs], [int(a > 3) for a in inputs])}
        for name, inputs in {"STRONG": [2, 3, 4, 5], "WEAK": [-7, 90]}.items()
    ]
    with (tmp_path / "kecode.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


def run(module, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", [module.__name__, *map(str, arguments)])
    module.main()


def test_the_score_names_what_survives(kecode, monkeypatch, capsys):
    flags = ["--originals_path", kecode / "kecode.csv", "--output_path", kecode / "out", "--cache_dir", kecode / "cache"]
    run(mutants, monkeypatch, *flags, "--mutants_per_sample", 0)
    printed = capsys.readouterr().out
    values = json.loads((kecode / "out/mutants.json").read_text())
    strong, weak = values["samples"]
    assert (strong["id"], strong["score"], strong["survivors"]) == ("STRONG", 1.0, [])
    assert {one["after"] for one in weak["survivors"]} == {"if (a >= 3) return 1;", "if (a > 4) return 1;", "if (a > 2) return 1;"}
    assert (values["killed"], values["survived"]) == (strong["killed"] + weak["killed"], 3)
    assert values["score"] == values["killed"] / (values["killed"] + 3)
    assert "1 of 2 samples have a mutant that passes" in printed and "WEAK: 3, such as" in printed
    same = [digest_of(RIGHT.replace("> 3", "> 4"))]
    (kecode / "new_inputs.json").write_text(json.dumps({"samples": [{"equivalent_mutants": same}]}))
    run(mutants, monkeypatch, *flags, "--mutants_per_sample", 0, "--equivalent", kecode / "new_inputs.json")
    again = json.loads((kecode / "out/mutants.json").read_text())
    assert (again["survived"], again["equivalent"], again["killed"]) == (2, 1, values["killed"])
    (kecode / "new_inputs.json").write_text("[]")
    with pytest.raises(BenchmarkError, match="lists no equivalent_mutants"):
        run(mutants, monkeypatch, *flags, "--equivalent", kecode / "new_inputs.json")
    (kecode / "wrong").mkdir()
    (kecode / "wrong/WEAK.d").write_text(RIGHT.replace("> 3", "< 3"))
    with pytest.raises(BenchmarkError, match="None of the 1 translations passes"):
        run(mutants, monkeypatch, *flags, "--translations", kecode / "wrong")


ROWS = {
    "int": st.integers(-(2**31), 2**31 - 1), "long": st.integers(-(2**63), 2**63 - 1), "byte": st.integers(-128, 127), "boolean": st.booleans(),
    "double": st.floats(-1e6, 1e6), "float": st.floats(-1e6, 1e6, width=32), "char": st.sampled_from("az~! "), "String": st.text("ab1 ", max_size=6),
}  # fmt: skip


@given(st.data())
def test_generated_inputs_are_new_and_of_their_types(data):
    types = data.draw(st.lists(st.sampled_from([kind + brackets for kind in ROWS for brackets in ("", "[]", "[][]")]), min_size=1, max_size=3))

    def values(kind):
        return st.lists(values(kind[:-2]), max_size=4) if kind.endswith("[]") else ROWS[kind]

    inputs = data.draw(st.lists(st.tuples(*map(values, types)).map(list), min_size=1, max_size=4))
    made = generated_inputs(types, inputs, 10, "0")
    assert made == generated_inputs(types, inputs, 10, "0")
    assert len({repr(row) for row in made}) == len(made) <= 10
    assert not {repr(row) for row in inputs} & {repr(row) for row in made}
    for row in made:
        assert [converted(kind, value) for kind, value in zip(types, row, strict=True)] == row


def test_generated_inputs_keep_what_a_function_may_rely_on():
    made = generated_inputs(["int[]", "int"], [[[1, 3, 8, 9], 4], [[2, 2, 70], 3]], 60, "0")
    assert all(array == sorted(array) for array, _ in made)
    inside = [0 <= number <= 70 for array, _ in made for number in array] + [0 <= n <= 12 for _, n in made]
    assert 0.8 < sum(inside) / len(inside) < 1
    assert {0, 1, 2} <= {len(array) for array, n in made if n == len(array)}


@needs_jdk
def test_a_strong_build_adds_the_inputs_that_kill_and_lists_them(tmp_path):
    for language in ("java", "python"):
        (tmp_path / "gfg" / language).mkdir(parents=True)
    for name, inputs in {"WEAK": "(-7,), (90,)", "STRONG": "(2,), (3,), (4,), (5,), (0,)"}.items():
        (tmp_path / f"gfg/java/{name}.java").write_text(f"public class {name} {{\n{JAVA}\n//TOFILL\n}}")
        (tmp_path / f"gfg/python/{name}.py").write_text(f"def f_gold(a):\n    return int(a > 3)\n\n#TOFILL\nparam = [{inputs}]\n")
    config = MutantsConfig(cache_dir=tmp_path / "cache", mutants_per_sample=0)
    output = tmp_path / "kecode"
    strong = build(tmp_path / "gfg", output, inputs="strong", config=config)
    after = {sample.name: sample.test_program for sample in load_samples(output / "kecode.csv")}
    listed = json.loads((output / "new_inputs.json").read_text())
    plain = build(tmp_path / "gfg", output)
    before = {sample.name: sample.test_program for sample in load_samples(output / "kecode.csv")}
    assert not (output / "new_inputs.json").exists() and plain["inputs_new"] == 0
    other, sample = listed["samples"]
    assert (other["id"], other["new"]) == ("STRONG", [])
    assert sample["id"] == "WEAK" and sum(one["kills"] for one in sample["new"]) == 3 and sample["equivalent_mutants"] == []
    assert {one["arguments"] for one in sample["new"]} == {"3", "4"} and {one["result"] for one in sample["new"]} == {"0", "1"}
    assert strong["inputs_new"] == 2 and listed["mutants_original"]["survived"] == 3
    assert (listed["mutants_strong"]["score"], listed["mutants_strong"]["survived"]) == (1.0, 0)
    assert before["STRONG"] == after["STRONG"]
    assert "param0 = [-7, 90];" in before["WEAK"] and "param0 = [-7, 90, " in after["WEAK"]
    with pytest.raises(BenchmarkError, match="--inputs strong takes Java's results"):
        build(tmp_path / "gfg", tmp_path / "other", "python", "strong", config)


def test_the_card_says_what_was_measured(kecode, monkeypatch):
    flags = ["--originals_path", kecode / "kecode.csv", "--cache_dir", kecode / "cache"]
    run(mutants, monkeypatch, *flags, "--output_path", kecode / "out", "--mutants_per_sample", 0)
    run(report, monkeypatch, *flags, "--output_path", kecode / "card", "--mutants", kecode / "out", "--title", "A <set>")
    card = json.loads((kecode / "card/card.json").read_text())
    assert card["samples"] == {
        "count": 2, "by_return_type": {"int": 2}, "by_parameters": {"number": 2}, "lines_of_java": {"least": 1, "median": 1, "most": 1},
        "with_arguments_compared": 0,
    }  # fmt: skip
    assert card["inputs"] == {"count": 6, "a_sample": {"least": 2, "median": 3, "most": 4}, "new": 0, "samples_with_new": 0}
    assert card["mutation"]["measured"]["survived"] == 3 and card["mutation"]["samples_with_most_survivors"][0]["id"] == "WEAK"
    assert card["oracle"] == {} and (card["solvability"]["solved"], card["solvability"]["not_solved"]) == (2, [])
    page = (kecode / "card/card.html").read_text()
    assert "A &lt;set&gt;" in page and "if (a &gt;= 3) return 1;" in page and "was not built here" in page and "src=" not in page
    (kecode / "out/mutants.json").write_text("{}")
    with pytest.raises(BenchmarkError, match="holds no judged mutants"):
        run(report, monkeypatch, *flags, "--output_path", kecode / "card", "--mutants", kecode / "out")
