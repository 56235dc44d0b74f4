"""A run that is killed at any point, or whose disk takes no more: the same command ends as if nothing had been, and leaves nothing behind."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.stages.test_reference import ROOT, work  # noqa: F401 - a fixture
from util.files import TEMPORARY
from util.lock import LOCK_FILE

MOMENTS: dict[str, Callable[[Path], bool]] = {
    "it holds its folder": lambda run: any(run.glob(f"{LOCK_FILE}*")),
    "it has begun to translate": lambda run: any(run.glob("translations/*.d")),
    "it has begun to judge": lambda run: any(run.glob("ws/verdicts/*/*.json")),
    "it has its verdicts": lambda run: (run / "results.json").exists(),
}


def start(folder: Path, output: Path, *flags: str) -> subprocess.Popen[bytes]:
    """The reference's run, with a temporary folder of its own."""
    (output.parent / "tmp").mkdir(exist_ok=True, parents=True)
    paths = ["--originals_path", str(folder / "kecode.csv"), "--output_file_path", str(output), "--container_workspace", str(output / "ws")]
    command = [sys.executable, "run_tcpe.py", "--MODEL_NAME", "reference", "--alg_name", "noKE", "--preKE_cluster_result", str(output)]
    environment = os.environ | {"WANDB_MODE": "disabled", "TMPDIR": str(output.parent / "tmp")}
    return subprocess.Popen([*command, *paths, *flags], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def left_behind(output: Path) -> list[str]:
    """Locks and half-written files, and what lies in the temporary folder."""
    hidden = [path for path in output.rglob(".*") if path.name.startswith(LOCK_FILE) or path.suffix == TEMPORARY]
    return sorted(path.name for path in [*hidden, *(output.parent / "tmp").iterdir()])


def test_a_run_that_is_killed_at_four_moments_ends_with_the_same_bytes(work: Path, tmp_path: Path) -> None:  # noqa: F811
    whole, killed = tmp_path / "whole/run", tmp_path / "killed/run"
    said = start(work, whole).communicate()[1]
    assert (whole / "metrics.json").exists(), said
    usual, children = left_behind(whole), []
    for moment, has_come in MOMENTS.items():
        one = start(work, killed)
        while not has_come(killed):
            assert one.poll() is None, f"it ended before {moment}: {one.stderr.read().decode()}"
            time.sleep(0.002)
        children += psutil.Process(one.pid).children(recursive=True)
        one.kill()
        one.communicate()
        assert not (killed / "metrics.json").exists()
    again = start(work, killed)
    said = again.communicate()[1]
    assert again.returncode == 0, said.decode()
    for name in ("metrics.json", "results.json", "cluster.csv", "cluster.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert left_behind(killed) == usual == []
    assert psutil.wait_procs(children, timeout=5)[1] == []


def test_a_disk_that_takes_no_more_ends_a_run_with_a_sentence_and_the_next_one_is_whole(work: Path, tmp_path: Path) -> None:  # noqa: F811
    whole, full = tmp_path / "whole/run", tmp_path / "full/run"
    assert start(work, whole, "--translate_only").wait() == 0
    largest = max(path.stat().st_size for path in (whole / "translations").iterdir())
    one = start(work, full, "--translate_only")
    resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (largest - 1, largest - 1))
    said = one.communicate()[1].decode()
    assert one.returncode == 2 and said.splitlines()[-1].startswith(f"error: Cannot write {full}/"), said
    assert "File too large" in said and "Traceback" not in said and left_behind(full) == []
    assert start(work, full, "--translate_only").wait() == 0
    texts = [{path.name: path.read_bytes() for path in (run / "translations").iterdir()} for run in (whole, full)]
    assert texts[0] == texts[1] and left_behind(full) == []
