import csv
import shutil

import pytest

from d_running.dataset import load_samples
from d_running.strict import strict_test
from d_running.translate import translate_with_rules, write_translations
from d_running.unit_test import UnitTestConfig, run_unit_tests
from examples import corpus
from examples.corpus import BENCHMARK, FUNCTIONS, read_functions
from examples.inputs import COUNT
from util.errors import BenchmarkError

TWICE = """class A {
    // n: 1..90
    static int %s(int n) {
        return n < 2 ? 1 : n * %s(n - 2);
    }
}
"""

def test_a_function_and_its_calls_of_itself_get_the_name_of_the_benchmark(tmp_path):
    (tmp_path / "A.java").write_text(TWICE % ("twice", "twice"))
    (found,) = read_functions(tmp_path)
    assert found.name == "twice" and found.java == "static int f_gold(int n) {\n    return n < 2 ? 1 : n * f_gold(n - 2);\n}"
    assert len(found.inputs) == COUNT


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no Java functions"),
        ({"A": TWICE % ("a", "a"), "B": TWICE % ("b", "b")}, "a and b in .* are the same"),
        ({"A": TWICE % ("a", "a"), "B": (TWICE % ("a", "a")).replace("1 :", "2 :")}, "Two functions in .* are named a"),
        ({"A": (TWICE % ("a", "a")).replace("..", "")}, "A.java, a: .* gives 1 different inputs"),
        ({"A": (TWICE % ("a", "a")).replace("static int", "static Object")}, "A.java, a: it returns a Object"),
        ({"A": (TWICE % ("a", "a")).replace("(", "", 1)}, "A.java does not parse"),
    ],
)
def test_functions_that_cannot_be_used_are_refused_by_name(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / f"{name}.java").write_text(text)
    with pytest.raises(BenchmarkError, match=said):
        read_functions(tmp_path)


def test_the_benchmark_is_that_of_the_functions_in_this_repository():
    written = {function.name: function for function in read_functions(FUNCTIONS)}
    samples = {sample.name: sample for sample in load_samples(BENCHMARK)}
    assert len(written) >= 300 and samples.keys() == written.keys()
    for name, sample in samples.items():
        assert sample.java == written[name].java and not sample.problem


def test_every_function_gives_different_results_on_its_inputs():
    for sample in load_samples(BENCHMARK):
        results = strict_test(sample.test_program, sample.name).expected[0].values
        assert len(results) == COUNT and len(set(map(repr, results))) > 1, sample.name


@pytest.mark.skipif(shutil.which("ldc2") is None, reason="needs the D compiler ldc2")
def test_the_reference_translator_is_right_on_a_part_of_them(tmp_path):
    samples = load_samples(BENCHMARK)[::15]
    write_translations(translate_with_rules(samples), tmp_path / "translations")
    results = run_unit_tests(tmp_path / "translations", samples, tmp_path / "out", UnitTestConfig(cache_dir=tmp_path / "cache", fast_judge=True))
    assert [result.path for result in results if not result.success] == []


@pytest.mark.skipif(not (shutil.which("javac") and shutil.which("java")), reason="needs a JDK")
def test_a_function_on_which_java_fails_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    java = "class A {\n    // n: 0..9\n    static int inverse(int n) {\n        return 10 / n;\n    }\n}\n"
    (tmp_path / "A.java").write_text(java)
    monkeypatch.setattr("sys.argv", ["corpus", "--source", str(tmp_path), "--output_path", str(tmp_path / "out.csv")])
    with pytest.raises(BenchmarkError, match="inverse cannot be kept whole: input 0: Java throws"):
        corpus.main()
    assert not (tmp_path / "out.csv").exists()

    (tmp_path / "A.java").write_text(java.replace("n: 0", "n: 1").replace("9\n", "15\n"))
    corpus.main()
    with (tmp_path / "out.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["id"] == "inverse" and "f_gold" in row["function_java"]
