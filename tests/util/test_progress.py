"""Progress is said without a terminal too, and what is the same for every stage once."""

import io
import logging
import re
import sys
import time

import pytest

from util import progress
from util.logs import ONCE, LogHandler, close_bars


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


def screen(written: str) -> list[str]:
    """The lines that a terminal shows, which knows ends of lines, returns and the way up."""
    lines, row, column = [""], 0, 0
    for text in re.split(r"(\n|\r|\x1b\[A)", written):
        if text == "\n":
            row, column = row + 1, 0
            lines += [""] * (row == len(lines))
        elif text == "\r":
            column = 0
        elif text == "\x1b[A":
            row -= 1
        else:
            lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + len(text) :]
            column += len(text)
    return [line.rstrip() for line in lines if line.strip()]


def test_on_a_terminal_lines_and_bars_leave_each_other_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    handler = LogHandler()

    def say(text: str) -> None:
        handler.emit(logging.LogRecord("any", logging.INFO, "", 0, text, None, None))

    outer = progress.Progress(total=2, desc="outer", ncols=80)
    for text in ("one", "two"):
        for _ in progress.Progress(range(2), desc="inner", ncols=120, mininterval=0):
            say("within")
        say(text)
    bar = progress.Progress(range(2), desc="interrupted", ncols=120)
    close_bars()
    assert [line.split(maxsplit=1)[1] for line in screen(terminal.getvalue())] == ["within", "within", "one", "within", "within", "two"]
    assert outer.disable is bar.disable is True


def test_once_is_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("any")
    logger.addHandler(LogHandler())
    for _ in range(2):
        logger.info("the table %d", 1, extra=ONCE)
        logger.info("a step")
    said = [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said == ["the table 1", "a step", "a step"]
