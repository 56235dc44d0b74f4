"""Hooks take themselves away; what is tracked is on disk whether or not WandB is there."""

import json
import struct
import time

import pytest
import torch
from torch import nn

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


BLOCK = 1 << 15


def records_of(folder):
    """What WandB's own file of an offline run holds, in WandB's messages; the file is LevelDB's log behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content = next(folder.glob("wandb/offline-run-*/*.wandb")).read_bytes()
    assert content[:4] == b":W&B"
    place, message, records = 7, b"", []
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        if place + 7 + length > len(content):
            break
        message += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            records.append(Record.FromString(message))
            message = b""
    return records


def test_an_offline_run_holds_what_a_review_needs_under_an_address_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    folder = tmp_path / "sweep" / "run"
    with RunTracker(folder, "a name", {"v_lr": 0.1}, stage="TCPE_pre", series={"value_step": ["loss"]}) as tracker:
        tracker.log(value_step=0, loss=1.5)
        tracker.summarize(**{"MainMetrics/Specificity": 0.75})
    deadline, records = time.monotonic() + 30, []
    while not any(record.HasField("exit") for record in records):  # WandB's own process writes it, perhaps only now
        assert time.monotonic() < deadline
        time.sleep(0.1)
        records = records_of(folder)
    run = next(record.run for record in records if record.HasField("run"))
    assert (run.project, run.run_group, run.job_type, run.display_name) == ("theirs", "sweep", "TCPE_pre", "a name")
    assert run.run_id == run_id(folder, {"v_lr": 0.1}, "TCPE_pre") != run_id(folder, {"v_lr": 0.2}, "TCPE_pre")
    assert {(record.metric.name, record.metric.step_metric) for record in records if record.HasField("metric")} >= {("loss", "value_step")}
    logged = {item.key or "/".join(item.nested_key): item.value_json for record in records for item in record.history.item}
    assert logged["loss"] == "1.5"
    summary = {item.key or "/".join(item.nested_key): item.value_json for record in records for item in record.summary.update}
    assert summary["MainMetrics/Specificity"] == "0.75"


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
        (fail_with(KeyboardInterrupt()), 130, "stopped; the same command continues\n"),
    ],
)
def test_commands_end_with_a_sentence_and_a_code(main, code, words, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_main(main)
    assert exit_.value.code == code
    assert capsys.readouterr().err == words
