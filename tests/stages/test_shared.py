"""A run that two processes share has the bytes of one process's run: its statistics, its update, its texts, its metrics."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from d_running.cluster import Clustering, write_clustering
from d_running.dataset import Sample
from d_running.evaluation import Metrics, evaluate
from d_running.unit_test import Result
from stages import run
from stages.config import run_config
from stages.run import run_stage
from util.errors import UserError
from util.files import ROOT

FUNCTIONS, ROW = 5, 2
PROGRAM = """
import json, sys
from stages import run
from stages.config import run_config
from tests.stages.test_shared import judge_by_length
from util.cli import run_main

def main():
    run.judge = judge_by_length
    run.run_stage(run_config(json.loads(sys.argv[1])))

run_main(main)
"""


def judge_by_length(
    translations: Path, samples: list[Sample], output: Path, _config: object, before: Clustering, targets: list[str], *_: object
) -> tuple[Clustering, Metrics]:
    """So that no D compiler is needed."""
    lengths = [len((translations / f"{one.name}.d").read_text()) for one in samples]
    results = [Result(f"{one.name}.d", n % 2 == 0, "No", "Error: x", 1, 1) for one, n in zip(samples, lengths, strict=True)]
    clustering = Clustering(results, ["Success" if one.success else "0" for one in results], {"compiler": "one"})
    write_clustering(clustering, output)
    return clustering, evaluate(before, clustering, targets)


def prepared(folder: Path) -> dict:
    """The flags of a run in ``folder``, with what it needs."""
    csv.field_size_limit(sys.maxsize)
    with open(ROOT / "data/demo/validation.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "MIN_VALUE" in row["function_java"]][:FUNCTIONS]
    with open(ROOT / "data/demo/edit_requests.csv", newline="") as file:
        description = list(csv.DictReader(file))[ROW]["brief_description"]
    folder.mkdir()
    with open(folder / "functions.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    results = [Result(f"{name}.d", False, "Compilation", description, 0, 0) for name in sorted(next(iter(row.values())) for row in rows)]
    write_clustering(Clustering(results, ["0"] * len(rows)), folder / "before")
    (folder / "program.py").write_text(PROGRAM)
    return {
        "MODEL_NAME": "data/demo/model", "layer_num": 5, "TC_layer_file": "data/demo/transcoder", "mlp_or_tc": "TC_ef4", "device": "cpu",
        "edit_sequence_path": "data/demo/edit_requests.csv", "originals_path": str(folder / "functions.csv"), "translation_batch_size": 2,
        "fact_token": "last", "mom2_dataset": "data/demo/texts.jsonl", "mom2_n_samples": 60, "epsilon": 0.1, "context_template_length_params": [],
        "v_num_grad_steps": 3, "v_lr": 0.1, "container_workspace": str(folder / "work"), "preKE_cluster_result": str(folder / "before"),
        "alg_name": "TCPE_pre", "i": ROW, "output_file_path": str(folder / "run"),
    }  # fmt: skip


@pytest.mark.slow
def test_two_processes_have_the_bytes_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = os.environ | {"WANDB_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    flags = {name: prepared(tmp_path / name) for name in ("one", "two")}
    command = [*launcher, str(tmp_path / "two/program.py"), json.dumps(flags["two"])]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(run, "judge", judge_by_length)
    run_stage(run_config(flags["one"]))
    patterns = ("run/metrics.json", "run/translations/*.d", "run/update.*", "work/second_moments/*", "run/metrics.jsonl")
    found = {
        name: {str(path.relative_to(tmp_path / name)): path.read_bytes() for pattern in patterns for path in (tmp_path / name).glob(pattern)}
        for name in flags
    }
    lines = [[json.loads(line) for line in files.pop("run/metrics.jsonl").splitlines()] for files in found.values()]
    assert [{**line, "seconds": 0} for line in lines[0]] == [{**line, "seconds": 0} for line in lines[1]]
    assert found["one"].keys() == found["two"].keys() and len(found["one"]) == 1 + FUNCTIONS + 2 + 2
    assert [name for name, content in found["one"].items() if content != found["two"][name]] == []


def test_the_rules_are_not_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    folders = {name: str(tmp_path) for name in ("output_file_path", "container_workspace", "preKE_cluster_result")}
    with pytest.raises(UserError, match="needs no torchrun"):
        run_stage(run_config({"MODEL_NAME": "reference", "alg_name": "noKE", **folders}))
