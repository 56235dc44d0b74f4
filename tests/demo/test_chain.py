"""The chain of ``--demo`` on a small fresh draw: the summary's form, and edits that repair what they are for."""

import json
from functools import partial
from pathlib import Path

import pytest

from demo import chain
from demo.edit_requests import CORRECTIONS

FIGURES = {"generalization", "cluster_drift", "specificity", "destructiveness", "reliability", "accuracy_before", "accuracy_after", "columns"}


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict:
    runs = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "RUNS", runs)
        patch.setattr(chain, "write_dataset", partial(chain.write_dataset, count=60))
        patch.setenv("WANDB_MODE", "disabled")
        chain.run_demo(seed=31)
    return json.loads((runs / "seed_31" / "summary.json").read_text())


@pytest.mark.slow
def test_the_summary_has_its_form(summary: dict) -> None:
    assert summary.keys() == {"samples", "accuracy_before", "families", "multi_error", "seconds", "peak_memory_mb"}
    assert summary["samples"] == 60
    assert summary["families"].keys() == CORRECTIONS.keys()
    for figures in summary["families"].values():
        assert figures.keys() == {"targets", "TCPE_pre", "TCPE", "ablation"}
        assert all(figures[stage].keys() == FIGURES for stage in ("TCPE_pre", "TCPE", "ablation"))
    assert summary["multi_error"].keys() == FIGURES
    assert summary["seconds"].keys() == {"noKE", "TCPE_pre", "TCPE", "ablation", "multi_error"}
    assert 100 < summary["peak_memory_mb"] < 4000


@pytest.mark.slow
def test_the_active_columns_carry_the_edits(summary: dict) -> None:
    families = summary["families"].values()
    assert sum(figures["TCPE"]["generalization"] for figures in families) / len(families) >= 0.8
    assert all(figures["ablation"]["generalization"] <= 0.05 for figures in families)
    assert all(figures["TCPE"]["columns"] + figures["ablation"]["columns"] == figures["TCPE_pre"]["columns"] for figures in families)
    assert summary["multi_error"]["accuracy_after"] >= 0.8 > summary["accuracy_before"]


@pytest.mark.slow
def test_the_table_has_a_line_per_edit(summary: dict) -> None:
    assert len(chain.table(summary).splitlines()) == 2 + 3 * len(CORRECTIONS) + 1 + 1


def test_the_data_folder_is_whole(tmp_path: Path) -> None:
    """What is shipped is what the scripts make: requests, texts and functions, byte for byte."""
    from transformers import AutoTokenizer

    from demo.datasets import TEST_SEED, write_dataset
    from demo.edit_requests import request_rows
    from demo.settings import DATA
    from util.files import write_csv

    rows = request_rows(AutoTokenizer.from_pretrained(DATA / "model"))
    write_csv(tmp_path / "requests.csv", list(rows[0]), rows)
    assert (tmp_path / "requests.csv").read_bytes() == (DATA / "edit_requests.csv").read_bytes()
    write_dataset(TEST_SEED, tmp_path / "test.csv")
    assert (tmp_path / "test.csv").read_bytes() == (DATA / "test.csv").read_bytes()
    assert sum(path.stat().st_size for folder in ("model", "transcoder") for path in (DATA / folder).iterdir()) < 12_000_000
