"""Stages killed at random moments and given again: whether the metrics are those of runs that were not, and what is left behind.

Every stage runs once undisturbed on the embedded model; then each kill takes a stage in turn, ends it by SIGKILL (every fourth by SIGTERM) at a
moment drawn from its duration, gives the same command again, and compares ``metrics.json`` byte for byte. Left behind can be locks, half-written
files, processes, and what an undisturbed run does not leave in the temporary folder either.
"""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import psutil

from util.cli import ArgumentParser, run_main
from util.files import ROOT, TEMPORARY
from util.lock import LOCK_FILE

MODEL = ["--MODEL_NAME", "data/demo/model", "--layer_num", "5"]
SEARCH = ["--fact_token", "last", "--mom2_dataset", "data/demo/texts.jsonl", "--epsilon", "0.1", "--v_num_grad_steps", "10", "--v_lr", "0.1"]
TRAINING = ["--dataset", "data/demo/texts.jsonl", "--separate_texts", "--k", "16", "--total_training_tokens", "60000", "--device", "cpu"]
STAGES = {
    "noKE": ["--alg_name", "noKE"],
    "TCPE_pre": ["--alg_name", "TCPE_pre", "--i", "2", *SEARCH, "--context_template_length_params", "[]"],
    "TCPE": ["--alg_name", "TCPE", "--i", "2", "--lim", "0.5"],
    "ablation": ["--alg_name", "TCPE", "--i", "2", "--lim", "0.5", "--abla_exp"],
    "train": [],
}


def command(stage: str, work: Path, functions: Path) -> list[str]:
    """The command of a stage, everything below ``work``."""
    output = ["--output_file_path", str(work / stage)]
    if stage == "train":
        return [sys.executable, "-m", "sae_training.train", *MODEL, *TRAINING, *output]
    folders = ["--container_workspace", str(work / "workspace"), "--preKE_cluster_result", str(work / "before")]
    inputs = ["--TC_layer_file", "data/demo/transcoder", "--mlp_or_tc", "TC_ef4", "--edit_sequence_path", "data/demo/edit_requests.csv"]
    sizes = ["--originals_path", str(functions), "--translation_batch_size", "8", "--device", "cpu"]
    return [sys.executable, "run_tcpe.py", *MODEL, *inputs, *folders, *sizes, *output, *STAGES[stage]]


def start(stage: str, work: Path, functions: Path) -> subprocess.Popen[bytes]:
    """The stage, running."""
    environment = os.environ | {"WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1", "TMPDIR": str(functions.parent / "tmp")}
    return subprocess.Popen(command(stage, work, functions), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def left_behind(work: Path, functions: Path) -> list[str]:
    """Locks, half-written files, and whatever lies in the temporary folder."""
    files = [path for path in work.rglob(".*") if path.name.startswith(LOCK_FILE) or path.suffix == TEMPORARY]
    return [str(path) for path in [*files, *(functions.parent / "tmp").iterdir()]]


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    moments, failures, late = random.Random(arguments.seed), 0, 0
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        functions, whole = base / "functions.csv", base / "whole"
        (base / "tmp").mkdir()
        csv.field_size_limit(sys.maxsize)
        with (ROOT / "data/demo/validation.csv").open(newline="") as source, functions.open("w", newline="") as target:
            rows = csv.DictReader(source)
            writer = csv.DictWriter(target, list(rows.fieldnames or ()))
            writer.writeheader()
            writer.writerows(islice((row for row in rows if "MIN_VALUE" in row["function_java"]), 8))
        seconds, before = {}, {}
        for stage in STAGES:
            before[stage] = base / f"before_{stage}"
            if whole.exists():
                shutil.copytree(whole, before[stage])
            begun = time.monotonic()
            run = start(stage, whole, functions)
            said = run.communicate()[1]
            if run.returncode:
                raise SystemExit(said.decode())
            seconds[stage] = time.monotonic() - begun
        usual = set(left_behind(whole, functions))
        sys.stdout.write(f"undisturbed: {', '.join(f'{stage} {took:.1f} s' for stage, took in seconds.items())}\n")
        for number in range(arguments.kills):
            stage, ending = list(STAGES)[number % len(STAGES)], signal.SIGTERM if number % 4 == 3 else signal.SIGKILL
            work, moment = base / f"killed_{number}", moments.uniform(0.1, 1) * seconds[stage]
            if before[stage].exists():
                shutil.copytree(before[stage], work)
                for place in (work / "workspace").rglob("verdicts"):
                    shutil.rmtree(place)
            killed = start(stage, work, functions)
            time.sleep(moment)
            children = psutil.Process(killed.pid).children(recursive=True) if killed.poll() is None else []
            killed.send_signal(ending)
            killed.communicate()
            late += killed.returncode == 0
            again = start(stage, work, functions)
            said = again.communicate()[1]
            _, alive = psutil.wait_procs(children, timeout=5)
            same = again.returncode == 0 and (work / stage / "metrics.json").read_bytes() == (whole / stage / "metrics.json").read_bytes()
            left = sorted(set(left_behind(work, functions)) - usual)
            failures += not same or bool(left or alive)
            verdict = "same metrics" if same else f"OTHER METRICS (exit {again.returncode}): {said.decode()[-300:]}"
            rest = f"{len(alive)} processes, {len(left)} files left {' '.join(left[:3])}".rstrip()
            sys.stdout.write(f"{stage:9} {ending.name} after {moment:5.1f} s, exit {killed.returncode:4}: {verdict}; {rest}\n")
            sys.stdout.flush()
            shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write(f"{arguments.kills} kills, {late} of them after the end; {failures} with other metrics or something left\n")
    return int(failures > 0)


if __name__ == "__main__":
    run_main(main)
