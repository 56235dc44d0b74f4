"""A folder belongs to one process at a time, and to none when its holder is dead."""

import subprocess
import sys
from pathlib import Path

import pytest

from util.errors import UserError
from util.lock import LOCK_FILE, locked

ROOT = Path(__file__).parent.parent.parent


def holder(folder: Path, seconds: float) -> subprocess.Popen:
    code = f"""
import time
from pathlib import Path
from util.lock import locked
with locked(Path({str(folder)!r})):
    print("held", flush=True)
    time.sleep({seconds})"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_who_holds_the_folder_until_that_is_killed(tmp_path: Path) -> None:
    process = holder(tmp_path, 60)
    with pytest.raises(UserError, match=f"is in use by process {process.pid} "), locked(tmp_path):
        pass
    process.kill()
    process.wait()
    with locked(tmp_path):
        assert (tmp_path / LOCK_FILE).exists()
    assert list(tmp_path.iterdir()) == []


def test_waiting_ends_when_the_other_process_does(tmp_path: Path) -> None:
    process = holder(tmp_path, 0.3)
    with locked(tmp_path, wait=True):
        assert (tmp_path / LOCK_FILE).exists()
    assert process.wait(timeout=20) == 0
