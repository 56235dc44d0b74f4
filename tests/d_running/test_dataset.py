import csv

import pytest

from d_running.dataset import java_function, load_samples
from d_running.harness import render_test_program
from util.errors import BenchmarkError

PROGRAM = render_test_program("int", ["int"], [[1]], [1])
FUNCTION = "    static int f_gold(int n) {\n        return n;\n    }\n"
JAVA = f"import java.util.*;\npublic class A {{\n{FUNCTION}\n//TOFILL\npublic static void main() {{}}\n}}\n"


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_folders_and_csv_give_the_same_samples_sorted_by_name(tmp_path):
    java = write(tmp_path / "java", {"B.java": JAVA, "A.java": JAVA, "notes.txt": ""})
    d = write(tmp_path / "d", {"A.d": PROGRAM, "B.d": PROGRAM})
    samples = load_samples(java, d)
    assert [sample.name for sample in samples] == ["A", "B"]
    assert samples[0].java == "static int f_gold(int n) {\n    return n;\n}"
    with (tmp_path / "kecode.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "function_java", "d_with_params"])
        rows.writerows([sample.name, sample.java, sample.test_program] for sample in reversed(samples))
    assert load_samples(tmp_path / "kecode.csv") == samples


def test_java_without_a_marker_is_taken_whole():
    assert java_function("int solution(int n) { return n; }\n") == "int solution(int n) { return n; }"


@pytest.mark.parametrize(
    ("java", "d", "says"),
    [
        ({}, {"A.d": PROGRAM}, "No ID.java"),
        ({"A.java": JAVA, "B.java": JAVA}, {"A.d": PROGRAM}, "first B"),
        ({"A.java": JAVA}, {"A.d": "void main() {}"}, "test program of A must have the marker"),
        ({"A.java": JAVA}, {"A.d": "//TOFILL//\nvoid main() {}"}, "test program of A does not end with"),
    ],
)
def test_what_is_wrong_with_a_benchmark_is_said(tmp_path, java, d, says):
    with pytest.raises(BenchmarkError, match=says):
        load_samples(write(tmp_path / "java", java), write(tmp_path / "d", d))


def test_missing_folders_and_columns_are_named(tmp_path):
    with pytest.raises(BenchmarkError, match="does not exist"):
        load_samples(tmp_path / "none", tmp_path)
    (tmp_path / "x.csv").write_text("id,function_java\nA,x\n")
    with pytest.raises(BenchmarkError, match="no column d_with_params"):
        load_samples(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("id,function_java,d_with_params\nA,x,y\nA,x,y\n")
    with pytest.raises(BenchmarkError, match="1 different ids"):
        load_samples(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["../../evil", "a/b", "", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with (tmp_path / "k.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "function_java", "d_with_params"])
        rows.writerow([name, "int f_gold() { return 1; }", render_test_program("int", [], [[]], [1])])
    with pytest.raises(BenchmarkError, match="is no file name"):
        load_samples(tmp_path / "k.csv")
