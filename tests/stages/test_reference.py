"""The reference translator as a model: no torch, the judge's figures, and what does not go with it."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages.config import run_config
from util.errors import UserError

ROOT = Path(__file__).parents[2]
SAMPLES = 6
RUN = "import sys, run_tcpe; run_tcpe.main(); assert 'torch' not in sys.modules"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a kecode.csv of some functions of the demo, half of them with C-style arrays."""
    folder = tmp_path_factory.mktemp("reference")
    with open(ROOT / "data/demo/test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda row: "[] = new" not in row["function_java"])
    rows = rows[: SAMPLES // 2] + rows[-SAMPLES // 2 :]
    with open(folder / "kecode.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


def run(work: Path, output: str, *flags: str) -> subprocess.CompletedProcess[str]:
    paths = ["--originals_path", str(work / "kecode.csv"), "--output_file_path", str(work / output), "--container_workspace", str(work / "ws")]
    command = [sys.executable, "-c", RUN, "--MODEL_NAME", "reference", "--alg_name", "noKE", "--preKE_cluster_result", str(work / output)]
    environment = {"WANDB_MODE": "disabled", "PATH": str(Path("/usr/local/bin")) + ":/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    return subprocess.run([*command, *paths, *flags], cwd=work, env=environment, capture_output=True, text=True, check=False)


def test_an_edit_is_a_rule_switched_on_again(work: Path) -> None:
    accuracy = []
    for output, flags in (("before", ["--without_rule", "arrays", "math"]), ("after", ["--without_rule", "math"]), ("right", [])):
        done = run(work, output, *flags)
        assert done.returncode == 0, done.stderr
        metrics = json.loads((work / output / "metrics.json").read_text())
        assert metrics["samples"] == SAMPLES
        accuracy.append(metrics["accuracy"])
    assert accuracy[0] <= accuracy[1] - 0.5 and accuracy[2] == 1
    refused = run(work, "after", "--without_rule", "casts")
    assert "another translations, without_rule" in refused.stderr
    assert "[] = new" not in "".join(file.read_text() for file in (work / "after/translations").iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alg_name": "TCPE", "i": 0}, "an edit of the reference is another noKE run"),
        ({"alg_name": "TCPE_pre", "i": 0}, "no weights to edit"),
        ({"MODEL_NAME": "gpt", "layer_num": 0, "translation_batch_size": 1, "without_rule": ["casts"]}, "belongs to --MODEL_NAME reference"),
        ({"MODEL_NAME": "gpt"}, "--layer_num, --translation_batch_size must be given"),
    ],
)
def test_what_does_not_go_with_the_reference_is_refused(changes: dict, message: str) -> None:
    flags = {"MODEL_NAME": "reference", "alg_name": "noKE", "output_file_path": "o", "container_workspace": "w", "preKE_cluster_result": "b"}
    with pytest.raises(UserError, match=message):
        run_config(flags | changes)
