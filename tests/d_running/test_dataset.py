import csv

import pytest

from d_running.dataset import java_function, load_functions, load_samples
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
        (JAVA, None, "The sample B has B.java and no B.d"),
        (None, PROGRAM, "The sample B has B.d and no B.java"),
        (JAVA, "void main() {}", "test program of B must have the marker"),
        (JAVA, "//TOFILL//\nvoid main() {}", "test program of B does not end with"),
        ("\udce9", PROGRAM, "files of the sample B cannot be read"),
        (" ", PROGRAM, "sample B has no Java function"),
    ],
)
def test_a_sample_that_cannot_be_judged_is_named_and_the_rest_goes_on(tmp_path, caplog, java, d, says):
    folders = write(tmp_path / "java", {"A.java": JAVA}), write(tmp_path / "d", {"A.d": PROGRAM})
    for folder, name, text in zip(folders, ("B.java", "B.d"), (java, d), strict=True):
        if text is not None:
            (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    good, bad = load_samples(*folders)
    assert (good.name, good.problem, bad.name) == ("A", "", "B")
    assert says in bad.problem and says in caplog.text


def test_a_benchmark_without_any_usable_sample_is_refused(tmp_path):
    d = write(tmp_path / "d", {"A.d": PROGRAM})
    with pytest.raises(BenchmarkError, match="No ID.java"):
        load_samples(write(tmp_path / "java", {}), d)
    with pytest.raises(BenchmarkError, match="None of the 1 samples .* the first: The test program of A"):
        load_samples(write(tmp_path / "java", {"A.java": JAVA}), write(tmp_path / "d", {"A.d": ""}))


def test_missing_folders_and_columns_are_named(tmp_path):
    with pytest.raises(BenchmarkError, match="does not exist"):
        load_samples(tmp_path / "none", tmp_path)
    (tmp_path / "x.csv").write_text("id,function_java\nA,x\n")
    with pytest.raises(BenchmarkError, match="no column d_with_params"):
        load_samples(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("id,function_java,d_with_params\nA,x,y\nA,x,y\n")
    with pytest.raises(BenchmarkError, match="2 samples named A"):
        load_samples(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["../../evil", "a/b", "", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with (tmp_path / "k.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "function_java", "d_with_params"])
        rows.writerow([name, "int f_gold() { return 1; }", render_test_program("int", [], [[]], [1])])
    with pytest.raises(BenchmarkError, match="is no file name"):
        load_samples(tmp_path / "k.csv")


def test_a_file_that_is_no_benchmark_says_what_is_needed(tmp_path):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(BenchmarkError, match="is a file, and no .csv; give a kecode.csv, or the folder"):
        load_functions(tmp_path / "empty.txt")
    with pytest.raises(BenchmarkError, match="No such file or directory; give a kecode.csv"):
        load_samples(tmp_path / "nowhere.csv")
