"""Overlap of active neurons: Jaccard by hand, the test's verdict on planted clusters, and the page of edits and functions."""

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from explain.overlap import PERMUTATIONS, jaccard, within_and_across, write_overlap
from tests.browser import Open
from tests.explain.runs import OTHER, Runs
from tests.explain.test_report import data_of
from tests.tiny import tiny_model, tiny_tokenizer
from util.errors import UserError


def test_jaccard_is_the_shared_by_all() -> None:
    active = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    assert jaccard(active) == pytest.approx(np.array([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]))


def test_planted_clusters_are_found_and_random_ones_are_not() -> None:
    generator, clusters = np.random.default_rng(1), np.repeat([0, 1, 2], 6)
    planted = generator.random((18, 40)) < 0.1
    for number in range(3):
        planted[clusters == number, number * 3 : number * 3 + 3] = True
    found = within_and_across(jaccard(planted), clusters)
    assert found["within"] > found["across"] + 0.2 and found["p_value"] == pytest.approx(1 / (PERMUTATIONS + 1))
    p_values = [within_and_across(jaccard(generator.random((12, 40)) < 0.2), np.repeat([0, 1], 6))["p_value"] for _ in range(3)]
    assert min(p_values) > 0.01
    assert within_and_across(jaccard(planted[:2]), np.array([0, 1]))["p_value"] is None


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Runs of a tiny model: two clusters of failures before any edit, and two edits."""
    runs = Runs(tmp_path, 8)
    runs.run("one", {})
    runs.run("two", {})
    runs.save_update(runs.root / "two/update", (0.0, 2.0, 0.0, 3.0))
    wrong = "int f_filled(int n) {\n    return Math.abs(n);\n}\n"
    for name in runs.names[4:6]:
        (runs.before / f"translations/{name}.d").write_text(wrong)
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ bos_token }}[INST] {{ m['content'] }} [/INST] {% endfor %}"
    tiny_model().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return runs


def failing(runs: Runs) -> None:
    """Give the run before two clusters, and a model that can be loaded."""
    description = json.loads((runs.before / "run.json").read_text())
    description["config"] |= {"MODEL_NAME": str(runs.root / "model"), "TC_layer_file": None, "device": "cpu", "lim": 0.3, "d_params_path": ""}
    text = (runs.before / "cluster.csv").read_text()
    for name in runs.names[4:6]:
        row = next(line for line in text.splitlines() if f"{name}.d" in line)
        text = text.replace(row, f'"{OTHER}",Compilation,False,{name}.d,Error: undefined identifier `Math`,1,0,0')
    (runs.before / "cluster.csv").write_text(text)
    (runs.before / "run.json").write_text(json.dumps(description))


def test_the_page_compares_edits_and_functions(runs: Runs, open_page: Open) -> None:
    failing(runs)
    for folder in ("one", "two"):
        (runs.root / folder / "cluster.csv").write_text((runs.before / "cluster.csv").read_text())
    page = write_overlap(runs.root)
    data = data_of(page)
    assert data["requests"]["sizes"] == [2, 2] and data["requests"]["shared"] == [[2, 1], [1, 2]]
    assert data["requests"]["jaccard"][0][1] == pytest.approx(1 / 3, abs=1e-3) and data["requests"]["features"][0][1] == [1]
    assert data["requests"]["test"]["p_value"] is None
    functions = data["functions"]
    assert [(one["name"], one["functions"]) for one in functions["clusters"]] == [("0", 4), ("1", 2)]
    assert np.array(functions["jaccard"]).shape == (6, 6) and 0 < functions["test"]["p_value"] <= 1
    shown = open_page(page, 390)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    expect(shown.locator("#means svg")).to_be_visible()


def test_folders_without_edits_and_clusters_are_refused(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not the folder of a run"):
        write_overlap(tmp_path / "nowhere")
    with pytest.raises(UserError, match="neither saved updates nor a run without an edit"):
        write_overlap(runs.root / "one")
