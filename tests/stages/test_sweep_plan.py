"""A sweep's file as tasks and arrays: what is shared, what waits for what, and the mistakes that are told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages import slurm
from stages.collect import collect, rerun
from stages.plan import Plan, Task, make_plan, read_plan
from stages.slurm import arrays_of, as_bash, read_settings, spans, submissions, write_scripts
from stages.sweep import Runner
from util.errors import UserError
from util.files import ROOT

COMMON = {
    "MODEL_NAME": str(ROOT / "data/demo/model"), "layer_num": 5, "TC_layer_file": str(ROOT / "data/demo/transcoder"), "mlp_or_tc": "TC_ef4",
    "edit_sequence_path": str(ROOT / "data/demo/edit_requests.csv"), "originals_path": str(ROOT / "data/demo/test.csv"),
    "translation_batch_size": 24,
}  # fmt: skip


def a_plan(folder: Path, **value: object) -> Plan:
    path = folder / "sweep.yaml"
    path.write_text(json.dumps({"output_path": str(folder / "out"), "common": COMMON, "rows": [0, 2], **value}))
    return make_plan(str(path))


def scripted(folder: Path, statuses: dict[str, int]) -> Plan:
    """A plan of small programs that end with these statuses: a, b needs a, c needs b, d needs nothing."""
    needs = {"a": [], "b": ["a"], "c": ["b"], "d": []}
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write('x'); print('error: no luck', file=sys.stderr); sys.exit(int(sys.argv[2]))"
    tasks = {
        name: Task(name, "statistics", ["-c", code, str(folder / f"{name}.ran"), str(statuses.get(name, 0))], those) for name, those in needs.items()
    }
    return Plan("sweep.yaml", folder, tasks)


def test_what_settings_share_is_made_once(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, settings=[{"lim": 0.5}, {"lim": "20%"}, {"v_lr": "1e-1"}, {"v_lr": 0.2, "seed": 1}])
    kinds = [task.kind for task in plan.tasks.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"noKE": 1, "statistics": 1, "TCPE_pre": 6, "TCPE": 8, "ablation": 8}
    assert plan.tasks["lim_20pct/2/TCPE"].needs == ["lim_0.5/2/TCPE_pre"]


def test_arrays_wait_for_the_task_of_their_own_index(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, settings=[{"lim": 0.5}, {"lim": "20%"}, {"v_lr": 0.2}])
    arrays = arrays_of(plan, 1000)
    of_name = {array.name: array for array in arrays}
    for array in arrays:
        for index, task in array.tasks.items():
            if task.follows:
                assert of_name[array.after].tasks[index].name == task.follows
    lines = as_bash(plan.folder, submissions(plan, arrays)).splitlines()
    assert lines[2].startswith("TCPE_pre=$(sbatch --parsable --array=0-3 --dependency=afterok:${noKE}_0:${statistics}_0 --kill-on-invalid-dep=yes ")
    assert lines[4].startswith("TCPE_2=$(sbatch --parsable --array=0-1 --dependency=aftercorr:${TCPE_pre} --kill-on-invalid-dep=yes ")
    assert sum(len(array.tasks) for array in arrays) == len(plan.tasks)
    small = arrays_of(plan, 3)
    assert max(len(array.tasks) for array in small) == 3 and sum(len(array.tasks) for array in small) == len(plan.tasks)


def test_edits_applied_together_wait_for_all_of_them(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, rows=[0], settings=[{"more_edits": ["3"]}], stages=["TCPE"])
    pre = ["more_edits_-3/0/TCPE_pre", "more_edits_-3/3/TCPE_pre"]
    (joint,) = [task for task in plan.tasks.values() if task.kind == "TCPE"]
    assert [need.partition("/")[2] for need in joint.needs] == [name.partition("/")[2] for name in pre] and not joint.follows
    assert "afterok:${TCPE_pre}_0:${TCPE_pre}_1" in as_bash(plan.folder, submissions(plan, arrays_of(plan, 10)))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"settings": [{"v_lrr": 1}]}, "Setting 1 of .*unrecognized flag --v_lrr .did you mean --v_lr"),
        ({"settings": [{"v_lr": 0.05}, {"name": "b"}]}, "Setting 2 of .* the same as setting 1 of"),
        ({"settings": [{"v_lr": 1}, {"v_lr": 1}]}, "called v_lr_1 as Setting 1"),
        ({"settings": [{"layer_num": 5}]}, "gives layer_num, which common gives"),
        ({"settings": [{"output_file_path": "x"}]}, "which the sweep sets itself"),
        ({"settings": [{}], "rows": "3-7"}, "--i 5 is out of range: .* has 5 edit requests"),
        ({"settings": [{}], "rows": [1, "0-2"]}, "rows names 1 twice"),
        ({"settings": [{"v_lr": -1}]}, "--v_lr must be above 0"),
        ({"settings": [{"abla_exp": True}]}, "which the sweep sets itself"),
        ({"setings": [{}]}, "has setings"),
        ({"settings": [{}], "common": {"layer_num": "five"}}, "^common of .*, line [0-9]+: argument --layer_num: invalid int value"),
        ({"settings": [{}, {"v_lr": -1}]}, "^Setting 2 of .*, line [0-9]+: --v_lr must be"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(tmp_path: Path, value: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        a_plan(tmp_path, **value)
    assert not (tmp_path / "out").exists()


def test_a_doubled_key_or_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("settings:\n- {v_lr: 1, v_lr: 2}\n")
    (tmp_path / "a.csv").write_text("v_lr,v_lr\n1,2\n")
    for name in ("a.yaml", "a.csv"):
        with pytest.raises(UserError, match="twice"):
            make_plan(str(tmp_path / name), "out")


def test_a_csv_says_the_same_as_yaml(tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text("name,v_lr,lim\na,0.1,0.5\nb,,20%\n")
    ours = a_plan(tmp_path, settings="lines.csv")
    other = a_plan(tmp_path, settings=[{"name": "a", "v_lr": 0.1, "lim": 0.5}, {"name": "b", "lim": "20%"}])
    assert ours.tasks.keys() == other.tasks.keys() and ours.tasks["b/0/TCPE"].arguments == other.tasks["b/0/TCPE"].arguments


def test_another_sweep_in_the_folder_is_refused_and_more_lines_are_not(tmp_path: Path) -> None:
    a_plan(tmp_path, settings=[{"name": "a", "v_lr": 1}]).write()
    with pytest.raises(UserError, match="task a/0/TCPE_pre of a sweep with another v_lr"):
        a_plan(tmp_path, settings=[{"name": "a", "v_lr": 2}]).write()
    a_plan(tmp_path, settings=[{"name": "b", "v_lr": 2}]).write()
    assert {"a/0/TCPE", "b/0/TCPE"} <= read_plan(tmp_path / "out").tasks.keys()


def test_a_failure_stops_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    plan = scripted(tmp_path, {"b": 2})
    assert Runner(plan, 2).run() == {"a": 0, "b": 2, "d": 0}
    assert [plan.state(task) for task in plan.tasks.values()] == ["finished", "failed", "missing", "finished"]
    plan.write()
    lines = {line.name: line for line in collect(tmp_path)}
    assert "status 2: no luck" in lines["b"].why and lines["c"].why == "needs b"
    mended = scripted(tmp_path, {})
    assert Runner(mended, 1).run() == {"b": 0, "c": 0}
    assert (tmp_path / "a.ran").read_text() == "x" and (tmp_path / "b.ran").read_text() == "xx"


def test_the_batch_script_runs_its_line_and_refuses_an_index_beyond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yaml").write_text("sbatch: {mem: 1G}\n")
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    plan = scripted(tmp_path, {"b": 3})
    arrays = write_scripts(plan, read_settings("settings.yaml"))
    script = tmp_path / "slurm" / f"{arrays[0].name}.sbatch"
    assert "#SBATCH --mem=1G\n" in script.read_text() and "#SBATCH --requeue\n" in script.read_text()

    def run(name: str, index: int) -> subprocess.CompletedProcess[str]:
        there = {"SLURM_ARRAY_TASK_ID": str(index), "PATH": f"{python.parent}:/usr/bin:/bin"}
        return subprocess.run(["bash", tmp_path / "slurm" / f"{name}.sbatch"], capture_output=True, text=True, env=there)

    first, second = arrays[0].name, arrays[1].name
    assert run(first, 0).returncode == 0 and (tmp_path / "status/a").read_text() == "0\n"
    failed = run(second, 0)
    assert failed.returncode == 3 and "error: task b ended with status 3: no luck" in failed.stderr
    beyond = run(first, 9)
    assert beyond.returncode == 2 and "array index 9 is beyond" in beyond.stderr
    assert "--array=0 " in rerun(plan)[1]


def test_spans_are_slurms() -> None:
    assert spans([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"


@pytest.mark.parametrize("already", [False, True])
def test_where_slurm_is_not_set_up_one_sentence_says_so_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], already: bool
) -> None:
    plan = a_plan(tmp_path)
    if already:
        plan.write()
    (tmp_path / "bin").mkdir()
    for name in ("sbatch", "scancel", "squeue"):
        lines = ["#!/bin/sh", f"echo '{name}: error: resolve_ctls_from_dns_srv' >&2", f"echo '{name}: fatal: no config' >&2", "exit 1"]
        (tmp_path / "bin" / name).write_text("\n".join(lines))
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "argv", ["slurm", str(tmp_path / "sweep.yaml")])
    with pytest.raises(UserError, match="^SLURM refused sbatch .*: fatal: no config; nothing is left of this submission.$") as caught:
        slurm.main()
    assert "\n" not in str(caught.value) and capfd.readouterr() == ("", "")
    assert (tmp_path / "out").exists() == already


def test_what_cannot_be_cancelled_is_named_and_keeps_its_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_plan(tmp_path)
    (tmp_path / "bin").mkdir()
    for name, code in {"sbatch": f"[ -e {tmp_path}/once ] && exit 1; touch {tmp_path}/once; echo 7", "scancel": "exit 1"}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "argv", ["slurm", str(tmp_path / "sweep.yaml")])
    with pytest.raises(UserError, match="cancel what was submitted before it: scancel 7"):
        slurm.main()
    assert list((tmp_path / "out" / "slurm").glob("*.sbatch"))
