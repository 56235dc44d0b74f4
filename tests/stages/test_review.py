"""What WandB is told of a run, read from the file of an offline run: by the run itself, and by a replay of what it left."""

import json
import subprocess
import sys

import pytest

from d_running.cluster import write_clustering
from huggingface import drafts
from stages import run as stage
from stages.config import changed
from stages.plan import PLAN_FILE
from stages.review import CHANGED, CLUSTERS
from stages.run import run_stage
from stages.wandb_workspace import workspace
from tests.stages.test_run import as_no_ke, config, judge, model_and_tokenizer  # noqa: F401 - fixtures
from tests.wandb_files import figures_of, history_of, record_of, records_of
from util.files import ROOT
from util.tracking import TRACKING_FILE


@pytest.fixture
def sweep(config, model_and_tokenizer, judge, monkeypatch):  # noqa: F811
    """A run in a sweep's folder, whose noKE has ended, and a judge that keeps its clusters."""
    plain = stage.judge

    def keeping(translations, samples, output, *more):
        clustering, metrics = plain(translations, samples, output, *more)
        write_clustering(clustering, output)
        return clustering, metrics

    monkeypatch.setattr(stage, "judge", keeping)
    folder = config.output.parent / "7b"
    before = changed(as_no_ke(config), output_file_path=str(folder / "noKE"), preKE_cluster_result=str(folder / "noKE"))
    run_stage(before, model_and_tokenizer)
    (folder / PLAN_FILE).write_text("{}")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_PROJECT", "not this")
    monkeypatch.setenv("WANDB_ENTITY", "theirs")
    monkeypatch.setenv("WANDB_TAGS", "mine,also")
    return changed(config, output_file_path=str(folder / "fast/0/TCPE_pre"), preKE_cluster_result=str(folder / "noKE"), wandb_project="edits")


def lasting(history):
    """What was logged, without the random names of WandB's own copies of tables."""
    return {line: {name: value for name, value in values.items() if not name.endswith("artifact_path")} for line, values in history.items()}


def strings(value):
    """All strings in a JSON value."""
    if isinstance(value, dict | list):
        return [text for one in (value.values() if isinstance(value, dict) else value) for text in strings(one)]
    return [value] if isinstance(value, str) else []


def replayed(*folders):
    said = subprocess.run([sys.executable, "-m", "stages.wandb_replay", *map(str, folders)], cwd=ROOT, capture_output=True, text=True)
    return said.returncode, said.stdout, said.stderr


@pytest.mark.slow
def test_a_run_and_its_replay_tell_the_whole_review(sweep, model_and_tokenizer, monkeypatch):  # noqa: F811
    monkeypatch.setattr(drafts, "greedy_generate", lambda model, tokenizer, prompts, **_: ["int solution() { return 1; }"] * len(prompts))
    run_stage(sweep, model_and_tokenizer)
    own = records_of(sweep.output)
    run = record_of(own, "run")
    assert (run.entity, run.project, run.run_group, run.job_type, run.display_name) == (
        "theirs", "edits", "7b/fast", "TCPE_pre", "fast/0/TCPE_pre",
    )  # fmt: skip
    assert list(run.tags) == ["TCPE_pre", "error 3", "layer 2", "TC", "mine", "also"]
    settings = {item.key: item.value_json for item in run.config.update}
    assert (settings["error"], settings["v_num_grad_steps"]) == ('"3"', "5")
    history = history_of(own)
    losses = [json.loads(line) for line in (sweep.output / "metrics.jsonl").read_text().splitlines()][:5]
    assert [history[line] | losses[line] for line in range(5)] == [history[line] for line in range(5)]
    assert {(record.metric.name, record.metric.step_metric) for record in own if record.HasField("metric")} >= {("nll", "value_step")}
    summary, metrics = figures_of(own), json.loads((sweep.output / "metrics.json").read_text())
    assert summary["MainMetrics/Specificity"] == metrics["specificity"]
    assert summary["SubMetrics/overall_accuracy_after"] == metrics["overall_accuracy_after"]
    assert summary["MainMetrics/accuracy_of_target_cluster"] == metrics["accuracy_of_target_cluster"]
    one = {name.removeprefix("SubMetrics/"): value for name, value in history[5].items()}
    assert 0 < one["dW_relative_norm"] < one["dW_norm"] and one["early_stopping_step"] == 5 and 0 < one["kstar_num"] <= 96
    assert one["index_union_len"] == one["index_intersection_len"] == one["kstar_num"]
    assert abs(one["v0_norm"] - one["delta_norm"]) <= one["v_star_norm"] <= one["v0_norm"] + one["delta_norm"]
    panels = json.loads(workspace("theirs", "edits")._to_model().model_dump_json())
    named = [text for text in strings(panels["spec"]["section"]["panel_bank_config"]) if "Metrics/" in text]
    told = summary.keys() | {name for line in history.values() for name in line}
    assert len(named) == 17 and {text.removeprefix("summary:") for text in named} <= told
    files, places = next(sweep.output.glob("wandb/offline-run-*/files")), {name: history[7][f"{name}/path"] for name in (CLUSTERS, CHANGED)}
    clusters, moved = (json.loads((files / places[name]).read_text()) for name in places)
    assert clusters["columns"] == ["cluster", "message", "before", "after", "target"]
    assert ["0", "x", 1, 1, True] in clusters["data"] and [row[2:4] for row in clusters["data"]] == [[1, 1], [2, 2]]
    assert moved["columns"][1:3] == ["cluster before", "cluster after"] and len(moved["data"]) == 3
    assert moved["data"][0][5:] == ["int f_filled() {}\n", "int f_filled() { return 1; }\n"]
    pages = {record.artifact.name: record.artifact.manifest for record in own if record.HasField("artifact") and record.artifact.type == "report"}
    assert [entry.path for entry in pages[f"report-{run.run_id}"].contents] == ["report.html"]
    before = {path.name for path in (sweep.output / "wandb").iterdir()}
    code, said, errors = replayed(sweep.output.parents[2])
    assert code == 0 and said.startswith("2 of 2 runs are in WandB; WandB is offline here"), said + errors
    again = records_of(sweep.output, without=before)
    assert record_of(again, "run").run_id == run.run_id and lasting(history_of(again)) == lasting(history)
    assert lasting({0: figures_of(again)}) == lasting({0: summary})
    assert record_of(again, "exit").exit_code == record_of(own, "exit").exit_code == 0
    of_before = record_of(records_of(sweep.output.parents[2] / "noKE"), "run")
    assert of_before.run_group == "7b" or of_before.run_group == sweep.output.parents[3].name


@pytest.mark.slow
def test_what_a_killed_task_had_logged_is_replayed_and_what_cannot_be_is_said(sweep, monkeypatch):
    folder, broken = sweep.output, sweep.output.parent / "broken"
    tracked = {"id": "TCPE_pre-0123", "name": "fast/0/TCPE_pre", "config": {"i": 0}, "stage": "TCPE_pre", "series": {"value_step": ["loss"]}}
    for one in (folder, broken):
        one.mkdir(parents=True)
        (one / TRACKING_FILE).write_text(json.dumps(tracked))
        (one / "metrics.jsonl").write_text('{"value_step": 0, "loss": 2.5}\n{"value_step": 1, "loss": 1.5}\n{"value_step": 2, "lo')
    (broken / TRACKING_FILE).write_text("{}")
    code, said, errors = replayed(folder.parent)
    assert (code, said.splitlines()[1]) == (1, f"left out: {broken}") and "does not describe a run" in errors
    found = records_of(folder)
    assert {line: values["loss"] for line, values in history_of(found).items()} == {0: 2.5, 1: 1.5}
    assert record_of(found, "run").run_id == "TCPE_pre-0123" and record_of(found, "exit").exit_code == 1
