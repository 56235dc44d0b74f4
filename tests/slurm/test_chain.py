"""Chains on a real SLURM of one node: arrays, dependencies, failure, requeueing, cancelling, a lost node, two chains at once, the judge in tasks."""

import csv
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.collect import collect
from stages.plan import Plan, Task, make_plan
from stages.slurm import Settings, check_not_queued, submissions, submit, write_scripts
from tests.slurm.cluster import cluster, lacking
from util.errors import UserError
from util.files import ROOT

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(lacking()), reason=f"SLURM's {', '.join(lacking())} are missing: as root, apt-get install slurm-wlm, or make test-slurm"),
]

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT")
PROGRAM = """
import pathlib, signal, sys, time
folder, behaviour = pathlib.Path(sys.argv[1]), sys.argv[2]
folder.mkdir(parents=True, exist_ok=True)
tries = len(list(folder.glob("try_*")))
(folder / f"try_{tries}").touch()
def stop(number, _):
    (folder / f"saved_{number}").touch()
    sys.exit(128 + number)
signal.signal(signal.SIGUSR1, stop)
signal.signal(signal.SIGTERM, stop)
if behaviour == "fail":
    sys.exit("error: no luck")
if behaviour == "stop" or (behaviour == "long" and not tries):
    time.sleep(120)
for name in ("run.json", "metrics.json"):
    (folder / name).write_text("{}")
"""


@pytest.fixture(scope="module", autouse=True)
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("WANDB_MODE", "disabled")
        with cluster(tmp_path_factory.mktemp("slurm")):
            yield


def until(there: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, subprocess.run(["scontrol", "show", "job", "-o"], capture_output=True, text=True).stdout
        time.sleep(0.3)


def without_delay(job: str) -> None:
    """See that the first task of an array is queued again, and take away the two minutes that SLURM lets such a task wait."""
    until(lambda: states(job)[0]["Restarts"] == "1" and states(job)[0]["JobState"] == "PENDING")
    until(lambda: subprocess.run(["scontrol", "update", f"JobId={job}_0", "StartTime=now"], capture_output=True).returncode == 0)


def states(job: str) -> dict[int, dict[str, str]]:
    """What SLURM shows of each task of an array."""
    shown = subprocess.run(["scontrol", "show", "job", "-o", job], capture_output=True, text=True).stdout
    fields = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.splitlines()]
    return {int(one["ArrayTaskId"]): one for one in fields if one.get("ArrayTaskId", "").isdecimal()}


def ended(job: str, count: int = 1) -> bool:
    found = states(job)
    return len(found) == count and all(one["JobState"] in ENDED for one in found.values())


def scripted(folder: Path, *behaviours: str) -> Plan:
    """A noKE, and for each behaviour a TCPE_pre that has it with a TCPE that follows."""
    tasks: dict[str, Task] = {}

    def add(name: str, kind: str, behaviour: str, needs: list[str], follows: str = "") -> None:
        tasks[name] = Task(name, kind, [str(program), str(folder / name), behaviour], needs, follows)

    folder.mkdir()
    program = folder / "program.py"
    program.write_text(PROGRAM)
    add("noKE", "noKE", "end", [])
    for row, behaviour in enumerate(behaviours):
        add(f"s/{row}/TCPE_pre", "TCPE_pre", behaviour, ["noKE"])
        add(f"s/{row}/TCPE", "TCPE", "end", [f"s/{row}/TCPE_pre"], f"s/{row}/TCPE_pre")
    return Plan("sweep.yaml", folder, tasks)


def submitted(plan: Plan, **options: int) -> dict[str, str]:
    """Job ids by array; a task runs with this Python."""
    settings = Settings({"cpus-per-task": 1, "time": "5", **options}, setup=f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    return submit(plan.folder.resolve(), submissions(plan, write_scripts(plan, settings), 0))


def test_a_task_that_fails_stops_only_what_follows_it(tmp_path: Path) -> None:
    plan = scripted(tmp_path / "out", "end", "fail", "end")
    ids = submitted(plan)
    until(lambda: ended(ids["TCPE_pre"], 3) and ended(ids["TCPE"], 3))
    pre, after = states(ids["TCPE_pre"]), states(ids["TCPE"])
    assert [pre[i]["JobState"] for i in range(3)] == ["COMPLETED", "FAILED", "COMPLETED"] and pre[1]["ExitCode"] == "1:0"
    assert [after[i]["JobState"] for i in range(3)] == ["COMPLETED", "CANCELLED", "COMPLETED"]
    assert "no luck" in (plan.folder / "logs/slurm_TCPE_pre_1.log").read_text()
    plan.write()
    assert [one.array.name for one in submissions(plan, write_scripts(plan, Settings()), 0)] == ["TCPE_pre", "TCPE"]


@pytest.mark.parametrize(("signal", "number"), [("USR1", 10), ("TERM", 15)])
def test_a_stopped_task_is_queued_again_and_its_follower_waits(tmp_path: Path, signal: str, number: int) -> None:
    plan = scripted(tmp_path / "out", "long")
    ids = submitted(plan)
    until(lambda: (plan.folder / "s/0/TCPE_pre/try_0").exists())
    with pytest.raises(UserError, match=f"Jobs .*{ids['TCPE_pre']}.* of another chain into"):
        check_not_queued(plan.folder)
    time.sleep(0.5)
    subprocess.run(["scancel", f"--signal={signal}", "--batch", f"{ids['TCPE_pre']}_0"], check=True)
    without_delay(ids["TCPE_pre"])
    until(lambda: ended(ids["TCPE"]), 60)
    assert (plan.folder / f"s/0/TCPE_pre/saved_{number}").exists() and (plan.folder / "s/0/TCPE_pre/try_1").exists()
    assert states(ids["TCPE_pre"])[0]["Restarts"] == "1" and states(ids["TCPE"])[0]["JobState"] == "COMPLETED"
    check_not_queued(plan.folder)


SHARING = """
import os, pathlib, signal, sys, time
folder, rank = pathlib.Path(sys.argv[1]), os.environ["RANK"]
assert os.environ["WORLD_SIZE"] == "2" and os.environ["LOCAL_RANK"] == rank and os.environ["MASTER_ADDR"] and os.environ["MASTER_PORT"]
folder.mkdir(parents=True, exist_ok=True)
def stop(number, _):
    (folder / f"saved_{number}_{rank}").touch()
    sys.exit(128 + number)
signal.signal(signal.SIGUSR1, stop)
(folder / f"try_{rank}").touch()
if not list(folder.glob("saved_*")):
    time.sleep(60)
for name in ("run.json", "metrics.json"):
    (folder / name).write_text("{}")
"""


def test_processes_that_share_a_run_are_stopped_and_queued_again_together(tmp_path: Path) -> None:
    plan = scripted(tmp_path / "out", "end")
    (plan.folder / "program.py").write_text(SHARING)
    ids = submitted(plan, ntasks=2)
    run = plan.folder / "noKE"
    until(lambda: (run / "try_0").exists() and (run / "try_1").exists())
    subprocess.run(["scancel", "--signal=USR1", "--batch", f"{ids['noKE']}_0"], check=True)
    without_delay(ids["noKE"])
    until(lambda: ended(ids["noKE"]), 60)
    assert states(ids["noKE"])[0]["JobState"] == "COMPLETED"
    assert {path.name for path in run.glob("saved_*")} == {"saved_10_0", "saved_10_1"}
    subprocess.run(["scancel", *ids.values()], check=False)


def test_a_cancelled_task_saves_its_state_and_stays_cancelled(tmp_path: Path) -> None:
    plan = scripted(tmp_path / "out", "stop")
    ids = submitted(plan)
    until(lambda: (plan.folder / "s/0/TCPE_pre/try_0").exists())
    time.sleep(0.5)
    subprocess.run(["scancel", f"{ids['TCPE_pre']}_0"], check=True)
    until(lambda: ended(ids["TCPE_pre"]) and ended(ids["TCPE"]))
    assert states(ids["TCPE_pre"])[0]["JobState"] == states(ids["TCPE"])[0]["JobState"] == "CANCELLED"
    until(lambda: (plan.folder / "s/0/TCPE_pre/saved_15").exists(), 5)


def test_an_index_beyond_the_tasks_fails(tmp_path: Path) -> None:
    plan = scripted(tmp_path / "out", "end")
    ids = submitted(plan)
    until(lambda: ended(ids["TCPE"]))
    job = subprocess.run(["sbatch", "--parsable", "--array=9", str(plan.folder / "slurm/TCPE.sbatch")], capture_output=True, text=True).stdout.strip()
    until(lambda: ended(job))
    assert states(job)[9]["JobState"] == "FAILED" and states(job)[9]["ExitCode"] == "2:0"
    assert "array index 9 is beyond" in (plan.folder / "logs/slurm_TCPE_9.log").read_text()


def test_a_task_of_a_lost_node_is_queued_again(tmp_path: Path) -> None:
    plan = scripted(tmp_path / "out", "long")
    ids = submitted(plan)
    until(lambda: (plan.folder / "s/0/TCPE_pre/try_0").exists())
    node = states(ids["TCPE_pre"])[0]["NodeList"]
    subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost"], check=True)
    time.sleep(1)
    subprocess.run(["scontrol", "update", f"NodeName={node}", "State=RESUME"], check=False)  # which it may have done by itself
    without_delay(ids["TCPE_pre"])
    until(lambda: ended(ids["TCPE"]), 60)
    assert states(ids["TCPE"])[0]["JobState"] == "COMPLETED" and (plan.folder / "s/0/TCPE_pre/try_1").exists()


def few_functions(path: Path) -> Path:
    """Test functions of the embedded model, a third of them with the error of row 2."""
    with open(ROOT / "data/demo/test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [row for row in rows if "MIN_VALUE" in row["function_java"]][:4]
    chosen += [row for row in rows if row not in chosen][:8]
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(chosen)
    return path


def test_two_chains_of_the_embedded_model_at_once(tmp_path: Path) -> None:
    common = {
        "MODEL_NAME": "data/demo/model", "layer_num": 5, "TC_layer_file": "data/demo/transcoder", "mlp_or_tc": "TC_ef4", "device": "cpu",
        "edit_sequence_path": "data/demo/edit_requests.csv", "originals_path": str(few_functions(tmp_path / "few.csv")), "jobs": 1,
        "translation_batch_size": 12, "fact_token": "last", "mom2_dataset": "data/demo/texts.jsonl", "mom2_n_samples": 60, "epsilon": 0.1,
        "context_template_length_params": [], "v_num_grad_steps": 20, "v_lr": 0.1, "lim": 0.5,
    }  # fmt: skip
    (tmp_path / "sweep.yaml").write_text(json.dumps({"common": common, "rows": [2], "stages": ["TCPE_pre", "TCPE", "ablation"]}))
    plans = [make_plan(str(tmp_path / "sweep.yaml"), str(tmp_path / name)) for name in ("one", "two")]
    jobs = []
    for plan in plans:
        plan.folder.mkdir()
        plan.write()
        jobs.append(submitted(plan))
    until(lambda: all(ended(ids[name]) for ids in jobs for name in ("TCPE", "ablation")), 170)
    lines = [collect(plan.folder) for plan in plans]
    assert {line.state for line in lines[0] + lines[1]} == {"finished"}, [line.why for line in lines[0] + lines[1]]
    metrics = [[(plan.folder / "default/2" / kind / "metrics.json").read_bytes() for kind in ("TCPE_pre", "TCPE", "ablation")] for plan in plans]
    assert metrics[0] == metrics[1]
    assert json.loads(metrics[0][1])["accuracy_of_target_cluster"] > json.loads(metrics[0][2])["accuracy_of_target_cluster"]
