"""The sweep over lims: its points, each computed once, and the page; on a tiny model with the judge replaced."""

import json
from pathlib import Path

import pytest
import torch

from d_running.cluster import Clustering
from d_running.evaluation import evaluate
from d_running.unit_test import Result
from explain import sweep
from explain.sweep import points_of, write_sweep
from huggingface import drafts
from huggingface.digest import model_digest
from tcpe.update import Edit, RankOneUpdate
from tests.browser import Open
from tests.explain.runs import Runs
from tests.explain.test_report import data_of
from tests.tcpe.test_update import random_update
from tests.tiny import tiny_model, tiny_tokenizer
from util.errors import UserError


def an_edit(lim: float | str = 0.5) -> Edit:
    key = torch.tensor([0.0, 2.0, 1.0, 0.2, 0.6])
    return Edit(RankOneUpdate(torch.ones(3), key / key.norm() + 0.01, key, torch.zeros(5), 2, {}), lim)


def test_points_have_the_columns_of_their_lims() -> None:
    points = points_of(an_edit(), ["top:1", "top:3", 0.5, 5.0, -1])
    assert [(point.lim, point.active, point.kind) for point in points] == [
        ("top:1", 1, "active"), ("top:1", 1, "others"), ("top:3", 3, "active"), (0.5, 3, "active"), ("top:3", 3, "others"), (0.5, 3, "others"),
        (0.5, 3, "without_strongest"), (-1, 5, "active"),
    ]  # fmt: skip
    keys = {(point.lim, point.kind): point.key for point in points}
    assert keys["top:3", "active"] == keys[0.5, "active"] and keys["top:3", "others"] == keys[0.5, "others"]
    assert len(set(keys.values())) == 6
    without = next(point.edit for point in points if point.kind == "without_strongest")
    assert without.columns().tolist() == [2, 4]
    assert without.factors()[1][0].nonzero().flatten().tolist() == [2, 4]
    with pytest.raises(UserError, match="No neuron is active at any"):
        points_of(an_edit(), [7.0])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of a tiny model's MLP edit."""
    runs = Runs(tmp_path)
    folder = runs.run("pre", {})
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ bos_token }}[INST] {{ m['content'] }} [/INST] {% endfor %}"
    tiny_model().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    random_update(tiny_model()).save(folder / "update")
    description = json.loads((folder / "run.json").read_text())
    description["config"] |= {
        "MODEL_NAME": str(tmp_path / "model"), "TC_layer_file": None, "device": "cpu", "d_params_path": "", "lim": "top:2",
        "translation_batch_size": 4,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(description))
    monkeypatch.setattr(drafts, "greedy_generate", lambda model, tokenizer, prompts, **_: [model_digest(model)] * len(prompts))
    return folder


def test_what_is_equal_is_judged_once_and_never_again(run: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open) -> None:
    judged: list[str] = []

    def judge(translations: Path, samples: list, output: Path, config: object, before: Clustering, targets: list[str]) -> tuple:
        judged.append((translations / "F000.d").read_text())
        after = Clustering([Result(f"{sample.name}.d", True, "No", "", 8, 8) for sample in samples], ["Success"] * len(samples))
        return after, evaluate(before, after, targets)

    monkeypatch.setattr(sweep, "judge", judge)
    page = write_sweep(run, lims=["top:1", "top:2", "20%", -1])
    data = data_of(page)
    assert len(judged) == len(set(judged)) == len({path.parent for path in page.parent.glob("*/metrics.json")})
    assert len(data["points"]) > len(judged) - 1 and data["points"][0]["columns"] == 1
    assert {point["accuracy_of_target_cluster"] for point in data["points"]} == {1.0}
    first = page.read_bytes()
    write_sweep(run, lims=["top:1", "top:2", "20%", -1])
    assert page.read_bytes() == first and len(judged) == len(set(judged))
    shown = open_page(page, 390, "dark")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    assert shown.locator(".panels svg").count() == 4


def test_a_run_without_an_edit_has_no_sweep(run: Path) -> None:
    with pytest.raises(UserError, match="no saved update with a key"):
        write_sweep(run.parent / "before")
