"""Hooks take themselves away; what is tracked is on disk whether or not WandB is there."""

import json

import pytest
import torch
from torch import nn

from util.cli import run_main
from util.errors import UserError
from util.hooks import Trace
from util.tracking import RunTracker


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
