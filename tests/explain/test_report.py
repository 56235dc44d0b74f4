"""The report of a run: what it says, that it is the same each time, and what it refuses."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d_running.cluster import Clustering
from d_running.unit_test import Result
from explain.page import ASSETS, write_page
from explain.report import cluster_meanings, diff, report_data, write_report
from explain.runs import read_run, runs_under
from tests.explain.runs import MESSAGE, OTHER, RIGHT, WRONG, Runs
from util.errors import UserError

ROOT = Path(__file__).parents[2]
DIGEST = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
HOSTILE = "</script><img src=x onerror=alert(1)><!-- & \u2028 \x00 ü"


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def data_of(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


def test_a_page_holds_each_function_once_and_what_an_edit_changed(runs: Runs) -> None:
    _, second, third = runs.names[:3]
    folder = runs.run("edited", {second: (WRONG, MESSAGE), third: ("int f_filled(int n) {\n    return Math;\n}\n", OTHER)})
    data = data_of(write_report(folder))
    assert [one["name"] for one in data["functions"]] == runs.names
    assert data["functions"][0]["d"] == WRONG and "return (int) n;" in data["functions"][0]["java"]
    (run,) = data["runs"]
    assert run["groups"] == ["Success", "0", "1", "Success", "Success", "Success"]
    assert set(run["diffs"]) == {"0", "2"}, "the second function is as it was"
    assert run["diffs"]["0"] == [
        [" ", "int f_filled(int n) {"],
        ["-", "    return (int) n;"],
        ["+", "    return ", "cast", "(int) n;"],
        [" ", "}"],
    ]
    assert run["messages"] == {"0": "", "2": OTHER}
    assert run["clusters"]["1"] == "undefined identifier `Math`"
    assert run["figures"]["accuracy_of_target_cluster"] == pytest.approx(1 / 3)
    assert run["method"] == "whole update" and run["title"] == "C style cast illegal"


def test_the_loss_is_shown_in_the_parts_that_add_up_to_it(runs: Runs) -> None:
    (edit,) = data_of(write_report(runs.run("edited", {})))["runs"][0]["edits"]
    assert edit["losses"]["kl"] == [0.5 * 0.01 * step for step in range(5)]
    assert edit["losses"]["weight_decay"] == [0.25 * 0.1 * step for step in range(5)]
    assert edit["of"] == 4 and edit["target"] == " cast(int)"


def test_the_same_runs_give_the_same_bytes(runs: Runs) -> None:
    folder = runs.run("edited", {})
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_several_runs_share_a_page(runs: Runs) -> None:
    runs.run("b/pre", {})
    runs.run("a/pre", {runs.names[0]: (WRONG, MESSAGE)})
    data = data_of(write_report(runs.root))
    assert [run["name"] for run in data["runs"]] == ["before", "a/pre", "b/pre"]
    assert data["runs"][0]["edits_nothing"] and not data["runs"][0]["diffs"]


def test_where_what_stood_before_was_not_kept_the_new_text_is_shown(runs: Runs) -> None:
    folder = runs.run("edited", {})
    shutil.rmtree(runs.before / "translations")
    data = data_of(write_report(folder))
    assert data["functions"][0]["d"] is None and data["runs"][0]["written"]["0"] == RIGHT


def test_no_text_can_begin_a_tag(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", HOSTILE, "report", {"text": HOSTILE, "bytes": "\udcff"})
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<img src=x" not in text and text.count("</script>") == 4
    assert data_of(tmp_path / "page.html") == {"text": HOSTILE, "bytes": "\N{REPLACEMENT CHARACTER}"}


LINES = st.lists(st.text(st.sampled_from("ab (c"), max_size=6), max_size=6).map("\n".join)


@given(LINES, LINES)
def test_a_diff_gives_both_texts_back(before: str, after: str) -> None:
    rows = diff(before, after)
    assert ["".join(row[1:]) for row in rows if row[0] != "+"] == before.splitlines()
    assert ["".join(row[1:]) for row in rows if row[0] != "-"] == after.splitlines()


def test_six_hundred_functions_are_a_small_page(tmp_path: Path) -> None:
    runs = Runs(tmp_path, 600)
    page = write_report(runs.run("edited", {}))
    assert page.stat().st_size < 3_000_000


def test_the_command_writes_a_page_and_complains_in_a_sentence(runs: Runs) -> None:
    folder = runs.run("edited", {})
    command = [sys.executable, "-m", "explain.report"]
    done = subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(folder / "report.html")), done.stderr
    page = (folder / "report.html").read_bytes()
    (folder / "metrics.json").unlink()
    done = subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "has not ended: metrics.json is missing" in done.stderr and "Traceback" not in done.stderr
    assert (folder / "report.html").read_bytes() == page


def test_what_cannot_be_reported_is_said(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not the folder of a run: there is no such folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"it has no run\.json"):
        write_report(tmp_path / "before/translations")
    folder = runs.run("edited", {})
    (runs.root / "kecode.csv").write_text("id,function_java\nF000,static int f_gold() { return 1; }\n")
    with pytest.raises(UserError, match="lacks the function F001"):
        write_report(folder)


def test_runs_with_other_clusterings_before_are_refused(runs: Runs) -> None:
    folder = runs.run("edited", {})
    other = runs.run("other", {runs.names[5]: (WRONG, MESSAGE)}, alg_name="noKE", targets=[])
    description = json.loads((other / "run.json").read_text())
    description["config"]["preKE_cluster_result"] = str(other)
    (other / "run.json").write_text(json.dumps(description))
    (other / "metrics.json").write_text(json.dumps({"samples": 6, "accuracy": 0.5, "clusters": 2}))
    assert read_run(other).edits_nothing
    with pytest.raises(UserError, match="compared with different clusterings"):
        report_data([read_run(folder), read_run(other)], ["a", "b"])
    assert len(runs_under(runs.root)) == 3


def test_the_library_is_as_it_was_published() -> None:
    """Apache ECharts 6.1.0, dist/echarts.min.js of the npm package, beside its licence."""
    folder = ASSETS / "echarts"
    digest = hashlib.sha256((folder / "echarts.min.js").read_bytes()).hexdigest()
    assert digest == DIGEST
    assert {"LICENSE", "NOTICE", "LICENSE-d3"} <= {path.name for path in folder.iterdir()}


def test_a_cluster_is_called_as_the_edit_that_is_for_it() -> None:
    names = [f"f{number}.d" for number in range(4)]
    briefs = ["Error: cast `a`", "Error: cast `b`", "Error: cast `b`", "Error: other"]
    clustering = Clustering([Result(name, False, "compile", brief, 0, 1) for name, brief in zip(names, briefs)], ["0", "0", "0", "1"])
    assert cluster_meanings(clustering) == {"0": "cast `b`", "1": "other"}
    assert cluster_meanings(clustering, ["Error: cast `a`", "Error: elsewhere"]) == {"0": "cast `a`", "1": "other"}
