"""Progress is said without a terminal too, and what is the same for every stage once."""

import logging
import time

import pytest

from util import progress
from util.logs import ONCE, LogHandler


def test_lines_come_without_a_terminal_and_without_an_update(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
    with caplog.at_level(logging.INFO), progress.Progress(total=10, desc="outer"), progress.Progress(range(4), desc="Translating") as bar:
        bar.update(1)
        deadline = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
    assert caplog.messages and all(message.startswith("Translating: 1 of 4, 00:0") and "left" in message for message in caplog.messages)
    assert not progress.Progress._speaking


def test_short_steps_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert list(progress.Progress(range(3))) == [0, 1, 2]
    assert caplog.messages == []


def test_once_is_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("any")
    logger.addHandler(LogHandler())
    for _ in range(2):
        logger.info("the table %d", 1, extra=ONCE)
        logger.info("a step")
    said = [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said == ["the table 1", "a step", "a step"]
