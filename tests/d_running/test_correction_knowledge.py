import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d_running import correction_knowledge as knowledge
from d_running.cluster import cluster_results, write_clustering
from d_running.correction_knowledge import DRAFT, PAGE, Mistake, draft_request, find_correction, matching_line
from d_running.embedding import load_embedder
from d_running.harness import render_test_program
from d_running.unit_test import Result
from tcpe.request import load_request
from util.errors import BenchmarkError

CAST, ARRAY = "Error: C style cast illegal, use `%s`", "Error: instead of C-style syntax, use D-style `%s`"
CONVERT = "Error: cannot implicitly convert expression `%s` of type `%s` to `%s`"
PLACES = {  # message, the line up to where it goes wrong | the wrong text | what follows, the proposal
    "cast": (CAST % "cast(int)(num % 10)", "    int d =| (int) (num % 10)|;", " cast(int)(num % 10)"),
    "array": (ARRAY % "int[] dp", "    int| dp[]| = new int[n];", "[] dp"),
    "parameter": (ARRAY % "int[][] a", "int solution(int n, int| a[][]|) {", "[][] a"),
    "length": (CONVERT % ("s.length", "ulong", "int"), "    int n =| s.length|;", " cast(int) s.length"),
    "did you mean": ("Error: undefined identifier `String`, did you mean alias `string`?", "|String| f(int n) {", "string"),
    "octal": ("Error: octal literals `017` are no longer supported, use `std.conv.octal!17` instead", "x =| 017|;", " std.conv.octal!17"),
    "constant": ("Error: undefined identifier `Integer`", "    int m =| Integer.MAX_VALUE|;", ""),
    "method": ("Error: no property `charAt` for type `string`", "    char c = s|.charAt|(0);", ""),
    "overload": ("Error: `std.math.algebraic.sqrt` called with argument types `(int)` matches both:", "x =| sqrt|(n);", ""),
    "a template": ("Error: undefined identifier `poll`, did you mean template `poly(T1, T2)(T1 x)`?", "int e =| poll|(q);", ""),
    "not an arithmetic type": (CONVERT % ("new long[2][]", "long[2][]", "long[][]"), "x =| new long[2][]|;", ""),
    "quoted by GDC": ("Error: C style cast illegal, use ‘cast(int)n’", "    return| (int) n|;", " cast(int)n"),
    "quoted by GDC in C": ("Error: no property 'charAt' for type 'string'", "    return s|.charAt|(0);", ""),
    "signs": ("Error: found `>` when expecting `;` following statement", "|    Stack<Character> s = null;|", ""),
    "nothing quoted": ("Error: unterminated something", "|    int x = 3;|", ""),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_message_says_where_the_line_goes_wrong(place):
    message, line, proposal = PLACES[place]
    before, wrong, after = line.split("|")
    assert find_correction(message, before + wrong + after) == (len(before), len(before + wrong), proposal)


JAVA = """int solution(int a[], String s) {
    int total = 0;
    for (int i = 0; i < s.length(); i++) {
        total += Math.max(a[i], 1);
    }
    for (int i = 0; i < a.length; i++) {
        boolean odd = a[i] % 2 == 1;
    }
    total += Math.max(a[i], 1);
    return (int) total;
}"""
D = """int solution(int[] a, string s) {
    int total = 0;
    int n;
    for (int i = 0; i < s.length; i++) {
        total += max(a[i], 1);
    }
    for (int i = 0; i < a.length; i++) {
        bool odd = a[i] % 2 == 1;
    }

    total += max(a[i], 1);
    return cast(int) total;
}"""


def test_lines_find_the_line_that_they_came_from():
    lines, others = D.split("\n"), JAVA.split("\n")
    found = {lines[k].strip(): matching_line(lines, k, others) for k in (0, 1, 3, 6, 7, 11)}
    assert list(found.values()) == [0, 1, 2, 5, 6, 9]
    assert [matching_line(lines, k, others) for k in (4, 10)] == [3, 8]  # alike, but for their place


@given(st.lists(st.text("ab{}()=;. ", max_size=12), min_size=1, max_size=12))
def test_a_line_of_the_same_text_is_itself(lines):
    for k in range(len(lines)):
        if lines[k].strip():
            assert lines[matching_line(lines, k, lines)].split() == lines[k].split()


code = st.text("ab{}[]()%;.\"'`\n é", min_size=1, max_size=60).filter(str.strip)


@given(st.lists(st.tuples(code, code, code), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_draft_is_a_prompt_up_to_the_wrong_place(cases, chance):
    mistakes = []
    for index, (java, d, message) in enumerate(cases):
        lines = [number for number, line in enumerate(d.split("\n")) if line.strip()]
        mistakes.append(Mistake(f"S{index}", f"Error: {message}", java, d, chance.choice(lines)))
    draft = draft_request(mistakes, lambda java: f"<s>{{}} {java}```d\n")
    mistake = draft.mistake
    whole = draft.prompt.format(draft.subject)
    assert draft.subject.strip() and draft == draft_request(mistakes[::-1], lambda java: f"<s>{{}} {java}```d\n")
    prefix = "\n".join([*mistake.d.split("\n")[: mistake.line], mistake.d_line[: mistake.correction.start]])
    assert whole == f"<s>{{}} {mistake.java}```d\n{prefix}"


FUNCTIONS = {
    "ARRAY_1": ("int dp[] = new int[n]; return dp[0];", "    int dp[] = new int[n];\n    return dp[0];", ARRAY % "int[] dp", 1),
    "ARRAY_2": ("int memo[] = new int[n + 1]; return 0;", "    int memo[] = new int[n + 1];\n    return 0;", ARRAY % "int[] memo", 1),
    "ARRAY_3": ("int i = 1; int t[] = {}; return i;", "    int i = 1;\n    int t[] = {};\n    return i;", ARRAY % "int[] t", 2),
    "BOX": ("int m = Integer.MAX_VALUE; return m;", "    int m = Integer.MAX_VALUE;\n    return m;", "Error: undefined identifier `Integer`", 1),
    "OUTSIDE": ("return n;", "    return n;", "Error: undefined identifier `f_filled`", 9),
    "NOWHERE": ("return n;", "    return n;", "", None),
    "WRONG": ("return n;", "    return 1;", "1 of 2 tests passed", None),
    "RIGHT": ("return n;", "    return n;", "", None),
}


@pytest.fixture
def folder(tmp_path):
    """A clustering with its benchmark and its translations."""
    (tmp_path / "before/translations").mkdir(parents=True)
    program = render_test_program("int", ["int"], [[1]], [1])
    first_line = program.partition("//TOFILL//")[0].count("\n") + 1
    results, rows = [], []
    for name, (java, d, message, line) in FUNCTIONS.items():
        rows.append({"id": name, "function_java": f"int f_gold(int n) {{\n    {java}\n}}", "d_with_params": program})
        (tmp_path / f"before/translations/{name}.d").write_text(f"int f_filled(int n) {{\n{d}\n}}\n")
        error = {"RIGHT": "No", "WRONG": "Correctness", "NOWHERE": "TimeoutExpired"}.get(name, "Compilation")
        place = f"translation.d({first_line + line}): " if line is not None else ""
        results.append(Result(f"{name}.d", name == "RIGHT", error, f"{place}{message}", 0, 1))
    with (tmp_path / "kecode.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    write_clustering(cluster_results(results, load_embedder("builtin", 8)), tmp_path / "before")
    return tmp_path


def run(folder, monkeypatch, *more):
    monkeypatch.setattr("sys.argv", ["correction_knowledge", str(folder / "before"), *map(str, more)])
    knowledge.main()


def flags(folder):
    return ["--originals_path", folder / "kecode.csv", "--layer_num", 3, "--mlp_or_tc", "TC_ef4"]


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_draft_is_a_request_once_its_target_is_written(folder, monkeypatch, capsys):
    run(folder, monkeypatch, *flags(folder))
    assert "4 clusters, drafts for 2 of the 4 largest, 1 with a proposed target_new" in capsys.readouterr().out
    path = folder / "before" / DRAFT
    rows = rows_of(path)
    assert [row["target_new"] for row in rows] == ["[] dp", ""]
    assert ["proposal" in row["note"] for row in rows] == [True, False]
    rows[1]["target_new"] = " int.max;"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    array, box = (load_request(path, index, 3, "TC_ef4") for index in (0, 1))
    java = "```java\nint solution(int n) {\n    %s\n}\n```\n```d\nint solution(int n) {\n    int"
    before, after = array.around_subject()
    assert (before + array.subject + after).endswith(java % FUNCTIONS["ARRAY_1"][0])
    assert array.subject == "[]" and before.endswith("int dp") and array.brief_description == ARRAY % "int[] dp"
    assert (box.subject, box.target_new) == ("Integer.MAX_VALUE", " int.max;")
    clusters = json.loads((folder / "before/cluster.json").read_text())
    assert [clusters[request.target_clusters[0]] for request in (array, box)] == [["ARRAY_1", "ARRAY_2", "ARRAY_3"], ["BOX"]]
    with pytest.raises(BenchmarkError, match="holds other drafts, perhaps completed ones"):
        run(folder, monkeypatch, *flags(folder))
    assert rows_of(path) == rows
    run(folder, monkeypatch, *flags(folder), "--output_path", folder / "original", "--prompt_format", "original")
    assert "```int solution (int n) {{\n        int i = 1; int t {} = {{}};" in rows_of(folder / "original" / DRAFT)[0]["prompt"]
    run(folder, monkeypatch, *flags(folder), "--output_path", folder / "anew")
    run(folder, monkeypatch, *flags(folder), "--output_path", folder / "anew")  # the same drafts are no other drafts


def test_the_page_counts_every_sample_once(folder, monkeypatch):
    run(folder, monkeypatch, *flags(folder), "--examples", 2)
    page = (folder / "before" / PAGE).read_text()
    cells = [line.split(" | ") for line in page.splitlines() if line.startswith("| ") and "%" in line]
    counts = {cell[0].strip("| "): int(cell[1]) for cell in cells}
    assert counts.pop("all") == sum(counts.values()) == len(FUNCTIONS)
    section = next(part for part in page.split("## ") if "3 samples" in part)
    assert section.count("| ARRAY_") == 2 and "`int memo[] = new int[n + 1]; return 0;` | `int memo[] = new int[n + 1];`" in section
    assert "subject: `[]`" in section and "`[] dp`, a proposal from the compiler's message" in section
    assert page.count("No message names a line of a translation") == 2


def test_the_run_says_what_it_was_made_from(folder, monkeypatch):
    model = Path(__file__).parents[2] / "data/demo/model"
    config = {"originals_path": str(folder / "kecode.csv"), "d_params_path": "none", "MODEL_NAME": str(model), "layer_num": 5}
    (folder / "before/run.json").write_text(json.dumps({"config": config | {"mlp_or_tc": None, "TC_layer_file": "x"}}))
    run(folder, monkeypatch)
    rows = rows_of(folder / "before" / DRAFT)
    assert rows[0]["layer_5_TC"] == rows[0]["Error"] and rows[0]["prompt"].startswith("<s>[INST] Translate")


def test_mistakes_are_one_sentence(folder, monkeypatch):
    with pytest.raises(BenchmarkError, match=r"no run.json that says originals_path, layer_num, mlp_or_tc; give --originals_path"):
        run(folder, monkeypatch)
    with pytest.raises(BenchmarkError, match="The folder of translations .*none does not exist"):
        run(folder, monkeypatch, *flags(folder), "--translations", folder / "none")
    text = (folder / "kecode.csv").read_text()
    (folder / "kecode.csv").write_text(text.replace("BOX", "OTHER"))
    with pytest.raises(BenchmarkError, match="has a sample BOX that the benchmark lacks"):
        run(folder, monkeypatch, *flags(folder))
    assert not (folder / "before" / DRAFT).exists() and not (folder / "before" / PAGE).exists()
