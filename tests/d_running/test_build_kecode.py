"""KECode is built from the public layout: usable samples whole, every other one with its reason, and the counts add up."""

import csv
import json
import shutil
import subprocess

import pytest

from d_running import build_kecode, build_report
from d_running.build_kecode import build, summary
from d_running.dataset import load_samples
from d_running.harness import plain_program
from d_running.mutants import MutantsConfig
from d_running.oracles import java_oracle
from d_running.oracles.java_oracle import has_jdk
from util.errors import BenchmarkError

needs_jdk = pytest.mark.skipif(not has_jdk(), reason="needs javac and java")


def java(function: str) -> str:
    return f"import java.util. *;\nimport javafx.util.Pair;\npublic class A{{\n{function}\n//TOFILL\npublic static void main(String args[]) {{}}\n}}"


def python(code: str, param: str) -> str:
    return f"def f_gold ( a ) :\n    {code}\n\n#TOFILL\n\nif __name__ == '__main__':\n    param = [{param}]\n    print(f_filled(param))\n"


INT = "static int f_gold ( int a ) { %s }"
LISTED = java(INT % "return a ;").replace("{}", "{ param0.add(5); param0.add(-6); }")
SAMPLES = {
    "AGREES": (java(INT % "return a / 2 ;"), python("return a // 2", "(4,), (7,)")),
    "WRAPS": (java(INT % "return a * a ;"), python("return a * a", "(3,), (65537,)")),
    "FRACTION": (java(INT % "return a / 2 ;"), python("return a / 2", "(7,), (8,)")),
    "THROWS": (java(INT % "return 6 / a ;"), python("return 6 // a if a else 0", "(0,), (3,)")),
    "REALS": (java("static double f_gold ( double a ) { return a / 3 ; }"), python("return a / 3", "(1,), (2.5,)")),
    "TEXT": (java("static String f_gold ( String a ) { return a + ( char ) 130 ; }"), python("return a", "('a',)")),
    "INPUT": (java("static int f_gold ( char a [ ] ) { return a.length ; }"), python("return len(a)", "('ab',), ('é',), (5,), (1, 2), ([],)")),
    "1_DIGIT": (java("static boolean f_gold ( boolean a ) { return ! a ; }"), python("raise KeyError", "(True,)")),
    "agrees": (java(INT % "return a ;"), python("return a", "(1,)")),
    "BAD NAME": (java(INT % "return a ;"), python("return a", "(1,)")),
    "BROKEN": (java(INT % "return b ;"), python("return a", "(1,)")),
    "LISTS": (java("static int f_gold ( List<Integer> a ) { return 1 ; }"), python("return a", "([1],)")),
    "VOID": (java("static void f_gold ( int a ) { }"), python("return a", "(1,)")),
    "MARKER": (java(INT % "return a ;").replace("//TOFILL", ""), python("return a", "(1,)")),
    "NO_PARAM": (java(INT % "return a ;"), "def f_gold(a):\n    return a\n"),
    "SYNTAX": (java(INT % "return a ;"), python("return a", "(1, , 2)")),
    "NO_PYTHON": (java(INT % "return a ;"), None),
    "LISTED": (LISTED.replace("A{", "LISTED{"), None),
    "LISTED_TOO": (LISTED.replace("A{", "LISTED_TOO{"), python("return a", "'a'")),
    "CHANGED": (LISTED.replace("A{", "CHANGED{"), python("return a", "(1,)").replace("    print", "    param[0] = 2\n    print")),
    "SORTS": (java("static void f_gold ( int a [ ] ) { Arrays . sort ( a ) ; }"), python("a.sort()", "([3, 1],), ([],)")),
    "HALVES": (java("static int f_gold ( double a [ ] ) { a [ 0 ] /= 2 ; return 1 ; }"), python("return 1", "([3],), ([5, 1],)")),
    "NO_JAVA": (None, python("return a", "(1,)")),
    "LATIN": ("// \xe9\n" + java(INT % "return a ;"), python("return a", "(1,)")),
    "FOREVER": (java(INT % "while ( true ) { }"), python("return a", "(1,)")),
    "EXITS": (java(INT % "System.exit ( 0 ) ; return a ;"), python("return a", "(1,)")),
}
LEFT_OUT = {
    "agrees": "differs from AGREES by case only",
    "BAD NAME": "no plain file name",
    "BROKEN": "does not compile: line 4: cannot find symbol",
    "LISTS": "its parameter a is a List<Integer>",
    "VOID": "it returns void and changes no argument",
    "MARKER": "no marker //TOFILL",
    "NO_PARAM": "there is no `param",
    "SYNTAX": "does not parse in line 7",
    "NO_PYTHON": "there is no python/NO_PYTHON.py",
    "NO_JAVA": "there is no java/NO_JAVA.java",
    "LATIN": "java/LATIN.java cannot be read",
    "FOREVER": "does not end within",
    "EXITS": "ends the program",
    "TEXT": r"beyond ASCII",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gfg")
    for language in ("java", "python"):
        (folder / language).mkdir()
    for name, files in SAMPLES.items():
        for path, text in zip((folder / f"java/{name}.java", folder / f"python/{name}.py"), files, strict=True):
            if text is not None:
                path.write_bytes(text.encode("latin-1" if name == "LATIN" else "utf-8"))
    (folder / "java" / "notes.txt").write_text("")
    return folder


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    output = tmp_path_factory.mktemp("kecode")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(java_oracle, "CPU_SECONDS", 1)
        build(source, output)
    return output, json.loads((output / "report.json").read_text())


def by_id(report):
    return {sample["id"]: sample for sample in report["samples"]}


@needs_jdk
def test_every_sample_is_kept_or_left_out_with_its_reason(built):
    _, report = built
    samples = by_id(report)
    assert samples.keys() == SAMPLES.keys()
    assert {name for name, sample in samples.items() if not sample["kept"]} == LEFT_OUT.keys()
    for name, says in LEFT_OUT.items():
        assert says in samples[name]["reason"], name
    assert report["samples_given"] == len(SAMPLES) == report["samples_kept"] + report["samples_left_out"]
    assert report["inputs_read"] == report["inputs_kept"] + report["inputs_left_out"] + report["inputs_of_samples_left_out"]
    assert report["samples_given"] == report["agree"] + report["disagree"] + report["not_compared"]
    assert report["other_files"] == ["java/notes.txt"]
    for sample in samples.values():
        assert not sample["kept"] or sample["inputs"] == sample["inputs_kept"] + len(sample["inputs_left_out"])
    assert all(f"{name}: " in summary(report) for name in LEFT_OUT)


@needs_jdk
def test_inputs_that_cannot_be_used_are_left_out_with_their_reason(built):
    samples = by_id(built[1])
    reasons = {one["input"]: one["reason"] for one in samples["INPUT"]["inputs_left_out"]}
    assert reasons.keys() == {2, 3, 4}
    assert "beyond ASCII" in reasons[2] and "is no char[]" in reasons[3] and "2 arguments for 1 parameters" in reasons[4]
    assert samples["THROWS"]["inputs_left_out"] == [{"input": 1, "arguments": "0", "reason": "Java throws java.lang.ArithmeticException"}]


@needs_jdk
def test_the_languages_are_compared(built):
    _, report = built
    samples = by_id(report)
    assert [samples[name]["agreement"] for name in ("AGREES", "REALS", "WRAPS", "1_DIGIT")] == ["agree", "agree", "disagree", "disagree"]
    assert samples["WRAPS"]["disagreements"] == [{"input": 2, "arguments": "65537", "java": "131073", "python": "4295098369", "kind": "wrap-around"}]
    assert samples["FRACTION"]["disagreements"][0]["kind"] == "lost fraction"
    assert samples["1_DIGIT"]["disagreements"][0]["python"] == "raises KeyError"
    assert samples["THROWS"]["disagreements"][0] | {"arguments": ""} == {
        "input": 1, "arguments": "", "java": "throws java.lang.ArithmeticException", "python": "0", "kind": "other"
    }  # fmt: skip
    assert (report["disagree_by_wrap_around_alone"], report["disagree_by_lost_fraction_alone"]) == (1, 1)


@needs_jdk
def test_both_forms_hold_the_same_samples_with_javas_results(built):
    output, report = built
    samples = load_samples(output / "kecode.csv")
    assert samples == load_samples(output / "originals", output / "d_with_params")
    assert not any(sample.problem for sample in samples)
    assert {sample.name for sample in samples} == {name for name, sample in by_id(report).items() if sample["kept"]}
    programs = {sample.name: sample.test_program for sample in samples}
    assert "int[] results = [9, 131073];" in programs["WRAPS"]
    assert "char[][] param0 = [['a', 'b'], []];" in programs["INPUT"]
    assert "close(results[i]" in programs["REALS"]


@needs_jdk
def test_arguments_that_java_changes_are_compared_after_the_call(built, source, tmp_path, monkeypatch):
    output, report = built
    programs = {sample.name: sample.test_program for sample in load_samples(output / "kecode.csv")}
    assert "int[][] after0 = [[1, 3], []];" in programs["SORTS"] and "results" not in programs["SORTS"].replace("#Results", "")
    assert "double[][] after0 = [[1.5], [2.5, 1.0]];" in programs["HALVES"] and "int[] results = [1, 1];" in programs["HALVES"]
    assert "passes &= allClose(after0[i], param0[i]);" in programs["HALVES"]
    assert {name for name, sample in by_id(report).items() if sample["arguments_compared"]} == {"SORTS", "HALVES"}
    assert (report["samples_with_arguments"], report["samples_without_result"]) == (2, 1)
    with (output / "kecode.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert "after0" not in rows["HALVES"]["d_with_params"] and not rows["SORTS"]["d_with_params"] and not rows["AGREES"]["d_with_arguments"]
    some = {name: (source / f"java/{name}.java", source / f"python/{name}.py") for name in ("SORTS", "HALVES")}
    monkeypatch.setattr(build_kecode, "gold_pairs", lambda _: (some, []))
    samples = by_id(build(source, tmp_path, selection="original"))
    assert samples["SORTS"]["reason"] == "it returns void, and arguments are not compared" and samples["HALVES"]["kept"]
    assert (tmp_path / "kecode.csv").read_text().startswith("id,function_java,d_with_params\n")


@needs_jdk
def test_where_python_lists_no_inputs_those_of_javas_main_serve(built, source, tmp_path, monkeypatch):
    output, report = built
    programs = {sample.name: sample.test_program for sample in load_samples(output / "kecode.csv")}
    samples = by_id(report)
    for name in ("LISTED", "LISTED_TOO", "CHANGED"):
        assert samples[name]["origin"] == "java" and "param0 = [5, -6];" in programs[name]
        assert "the inputs are those of its Java's main: " in samples[name]["notes"][0]
    assert samples["AGREES"]["origin"] == "python" and report["samples_with_inputs_of_java"] == 3
    assert samples["LISTED"]["agreement"] == "not compared" and samples["CHANGED"]["agreement"] == "agree"
    monkeypatch.setattr(java_oracle, "CPU_SECONDS", 1)
    some = {name: (source / f"java/{name}.java", source / f"python/{name}.py") for name in ("CHANGED", "LISTED_TOO")}
    monkeypatch.setattr(build_kecode, "gold_pairs", lambda _: (some | {"LISTED": (source / "java/LISTED.java", None)}, []))
    samples = by_id(build(source, tmp_path, selection="original"))
    assert [samples[name]["kept"] for name in ("CHANGED", "LISTED_TOO", "LISTED")] == [True, False, False]
    assert "param0 = [1];" in load_samples(tmp_path / "kecode.csv")[0].test_program


@needs_jdk
def test_a_second_build_writes_the_same_and_removes_what_is_gone(built, source, tmp_path, monkeypatch):
    monkeypatch.setattr(java_oracle, "CPU_SECONDS", 1)
    build(source, tmp_path)
    first = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert first == {path.relative_to(built[0]): path.read_bytes() for path in built[0].rglob("*") if path.is_file()}
    monkeypatch.setattr(build_kecode, "gold_pairs", lambda _: ({"AGREES": (source / "java/AGREES.java", source / "python/AGREES.py")}, []))
    build(source, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.[jd]*") if path.parent != tmp_path) == ["AGREES.d", "AGREES.java"]


def test_the_python_oracle_needs_no_jdk(source, tmp_path, monkeypatch):
    monkeypatch.setattr(build_kecode, "has_jdk", lambda: False)
    monkeypatch.setattr(build_report, "java_version", lambda: "")
    report = build(source, tmp_path, "python")
    samples = by_id(report)
    assert report["java"] == "not run, there is no JDK here" and report["not_compared"] == len(SAMPLES)
    assert "1_DIGIT" in [name for name, sample in samples.items() if "Python raises KeyError" in sample["reason"]]
    programs = {sample.name: sample.test_program for sample in load_samples(tmp_path / "kecode.csv")}
    assert "int[] results = [9];" in programs["WRAPS"]  # the other overflows
    assert "int[] results = [4];" in programs["FRACTION"]  # the other is no int
    assert "int[] results = [0, 2];" in programs["THROWS"]
    assert "if (results[i] == f_filled(param0[i]))" in programs["REALS"]
    with pytest.raises(BenchmarkError, match="javac and java were not found; install .* --oracle python"):
        build(source, tmp_path, "java")


def test_nothing_is_written_where_nothing_can_be_kept_or_others_files_are(source, tmp_path, monkeypatch):
    monkeypatch.setattr(build_kecode, "gold_pairs", lambda _: ({"A": (None, None)}, []))
    with pytest.raises(BenchmarkError, match="None of the 1 samples in .* can be kept; the first is A: there is no java/A.java"):
        build(source, tmp_path / "new", "python")
    assert not (tmp_path / "new").exists()
    (tmp_path / "originals").mkdir()
    (tmp_path / "originals" / "MINE.java").write_text("")
    with pytest.raises(BenchmarkError, match="MINE.java is there, but no report.json"):
        build(source, tmp_path, "python")


@needs_jdk
@pytest.mark.skipif(not shutil.which("ldc2"), reason="needs ldc2")
def test_a_right_translation_passes(built, tmp_path):
    programs = {sample.name: sample.test_program for sample in load_samples(built[0] / "kecode.csv")}
    for name, function in {
        "WRAPS": "int f_filled(int a) { return a * a; }",
        "REALS": "double f_filled(double a) { return a / 3; }",
        "INPUT": "int f_filled(char[] a) { return cast(int) a.length; }",
    }.items():
        (tmp_path / "translation.d").write_text(plain_program(programs[name], function))
        subprocess.run(["ldc2", "-O0", "translation.d"], cwd=tmp_path, check=True)
        assert subprocess.run([tmp_path / "translation"], capture_output=True, text=True, check=True).stdout == "#Results:2, 2\n"


@needs_jdk
def test_a_benchmark_of_another_language_pair_holds_the_sets_own_functions_and_says_which_are_solved(source, tmp_path, monkeypatch):
    some = {name: (source / f"java/{name}.java", source / f"python/{name}.py") for name in ("AGREES", "HALVES", "SORTS", "WRAPS")}
    monkeypatch.setattr(build_kecode, "gold_pairs", lambda _: (some, []))
    report = build(source, tmp_path / "out", config=MutantsConfig(cache_dir=tmp_path / "cache"), pair="java-python")
    assert report["reference"] == {
        "solved": 2,
        "not_solved": [
            {"id": "HALVES", "error": "Correctness", "message": "0 of 2 tests passed"},  # its Python does not change the argument
            {"id": "WRAPS", "error": "Correctness", "message": "1 of 2 tests passed"},
        ],
    }
    assert "the reference solves 2 of the 4 samples kept" in summary(report) and "Not solved by the reference: 2" in summary(report)
    samples = load_samples(tmp_path / "out/kecode.csv", pair="java-python")
    assert samples == load_samples(tmp_path / "out/originals", tmp_path / "out/python_with_params", "java-python")
    assert {sample.name: sample.gold for sample in samples}["AGREES"] == "def f_filled ( a ) :\n    return a // 2\n"
    with pytest.raises(BenchmarkError, match="has no column d_with_params .*, or another --language_pair"):
        load_samples(tmp_path / "out/kecode.csv")


@needs_jdk
@pytest.mark.skipif(not shutil.which("ldc2"), reason="needs ldc2")
def test_the_reference_solves_what_is_kept(source, tmp_path, monkeypatch):
    some = {name: (source / f"java/{name}.java", source / f"python/{name}.py") for name in ("HALVES", "SORTS", "INPUT")}
    monkeypatch.setattr(build_kecode, "gold_pairs", lambda _: (some, []))
    report = build(source, tmp_path / "out", config=MutantsConfig(cache_dir=tmp_path / "cache"))
    assert report["reference"] == {"solved": 3, "not_solved": []}
    report = build(source, tmp_path / "out", config=MutantsConfig(cache_dir=tmp_path / "cache", d_compiler="nowhere"))
    assert "No D compiler found" in report["reference"]["not_tried"] and "was not tried: No D compiler found" in summary(report)
