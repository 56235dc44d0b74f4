"""Hooks take themselves away; what is tracked is on disk whether or not WandB is there."""

import json

import pytest
import torch
from torch import nn

from tests.wandb_files import figures_of, history_of, record_of, records_of
from util.cli import run_main
from util.errors import UserError
from util.hooks import Trace
from util.tracking import RunTracker, run_id


def test_trace_sees_edits_stops_and_goes_away():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    x = torch.ones(1, 2)
    plain = net(x)
    with Trace(net[0], edit_output=torch.zeros_like) as trace:
        assert torch.equal(net(x), net[1](torch.zeros(1, 2)))
    assert torch.equal(trace.input, x) and torch.equal(trace.output, net[0](x))
    with Trace(net[0], stop=True), Trace(net[1]) as later:
        net(x)
    assert not hasattr(later, "output")
    with pytest.raises(ZeroDivisionError), Trace(net[0], stop=True):
        raise ZeroDivisionError
    assert torch.equal(net(x), plain)


def test_everything_logged_is_in_the_local_file(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with RunTracker(tmp_path / "run", "name", {"a": 1}) as tracker:
        tracker.log(step=0, loss=1.5)
        tracker.log(metrics={"accuracy": None})
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 0, "loss": 1.5}, {"metrics": {"accuracy": None}}]


def test_an_offline_run_holds_what_a_review_needs_under_an_address_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    folder = tmp_path / "sweep" / "run"
    with RunTracker(folder, "a name", {"v_lr": 0.1}, stage="TCPE_pre", series={"value_step": ["loss"]}) as tracker:
        tracker.log(value_step=0, loss=1.5)
        tracker.mirror.summarize({"MainMetrics/Specificity": 0.75})
    records = records_of(folder)
    run = record_of(records, "run")
    assert (run.project, run.run_group, run.job_type, run.display_name) == ("theirs", "sweep", "TCPE_pre", "a name")
    assert run.run_id == run_id(folder, {"v_lr": 0.1}, "TCPE_pre") != run_id(folder, {"v_lr": 0.2}, "TCPE_pre")
    assert {(record.metric.name, record.metric.step_metric) for record in records if record.HasField("metric")} >= {("loss", "value_step")}
    assert history_of(records) == {0: {"value_step": 0, "loss": 1.5}}
    assert figures_of(records)["MainMetrics/Specificity"] == 0.75


def test_what_wandb_does_not_take_stops_no_run(tmp_path, monkeypatch, caplog):
    class Broken:
        def log(self, *_, **__):
            raise RuntimeError("the service has gone")

    monkeypatch.setattr("util.tracking._start_wandb", lambda *_: Broken())
    with RunTracker(tmp_path, "name", {}) as tracker:
        tracker.log(step=0)
        tracker.log(step=1)
    assert not tracker.mirror.works and caplog.text.count("the service has gone") == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def fail_with(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "code", "words"),
    [
        (lambda: None, None, ""),
        (lambda: 3, 3, ""),
        (fail_with(UserError("Bad path.")), 2, "error: Bad path.\n"),
        (fail_with(KeyboardInterrupt()), 130, "stopped\n"),
    ],
)
def test_commands_end_with_a_sentence_and_a_code(main, code, words, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_main(main)
    assert exit_.value.code == code
    assert capsys.readouterr().err == words
