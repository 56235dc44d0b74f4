"""A folder belongs to one process at a time, and to none when its holder is dead."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from util import lock
from util.errors import UserError
from util.lock import LOCK_FILE, locked

ELSEWHERE = json.dumps({"holder": "process 7 on node9 (x)", "machine": "node9", "token": "a", "signs": 1})

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


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is a file; name a folder"), locked(tmp_path / "file"):
        pass


def test_waiting_ends_when_the_other_process_does(tmp_path: Path) -> None:
    process = holder(tmp_path, 0.3)
    with locked(tmp_path, wait=True):
        assert (tmp_path / LOCK_FILE).exists()
    assert process.wait(timeout=20) == 0


def test_different_work_in_one_folder_does_not_wait(tmp_path: Path) -> None:
    with locked(tmp_path, work="one"), locked(tmp_path, work="other"), pytest.raises(UserError, match="in use"), locked(tmp_path, work="one"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_makes_folders_removes_those_that_stayed_empty(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b"):
        pass
    assert not list(tmp_path.iterdir())
    with locked(tmp_path / "a" / "b"):
        (tmp_path / "a" / "other").touch()
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "other"]


def test_a_folder_that_its_maker_removes_meanwhile_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, beside = tmp_path / "work", lock.folder_beside

    def removed_once(path: Path):
        monkeypatch.setattr(lock, "folder_beside", beside)
        folder.rmdir()
        return beside(path)

    monkeypatch.setattr(lock, "folder_beside", removed_once)
    with locked(folder):
        assert (folder / LOCK_FILE).exists()
    assert not folder.exists()


@pytest.fixture
def quick(monkeypatch):
    """Seconds a hundredth as long, and a file system without locks."""

    def flock(*_):
        raise OSError(errno.ENOSYS, "not implemented")

    monkeypatch.setattr(lock, "SIGN_SECONDS", 0.02)
    monkeypatch.setattr(lock, "SILENT_SECONDS", 0.4)
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("left", [ELSEWHERE, "process 12 (run_tcpe.py)", "", "[]"])
def test_a_lock_that_a_dead_process_on_another_machine_has_left_is_taken(tmp_path: Path, quick: None, left: str) -> None:
    (tmp_path / LOCK_FILE).write_text(left)
    begun = time.monotonic()
    with locked(tmp_path):
        assert time.monotonic() - begun >= 0.4
        assert json.loads((tmp_path / LOCK_FILE).read_text())["machine"] != "node9"
    assert list(tmp_path.iterdir()) == []


def test_a_living_holder_on_another_machine_is_seen_without_the_kernel_s_help(tmp_path: Path, quick: None) -> None:
    with locked(tmp_path):
        with pytest.raises(UserError, match=r"is in use by process \d+ on "), locked(tmp_path):
            pass
        taken = threading.Event()

        def wait() -> None:
            with locked(tmp_path, wait=True):
                taken.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.6)
        assert not taken.is_set()
    waiting.join(timeout=20)
    assert taken.is_set() and list(tmp_path.iterdir()) == []


def test_a_holder_that_was_taken_for_dead_gives_no_more_signs(tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / LOCK_FILE
    with locked(tmp_path):
        path.write_text(ELSEWHERE)
        time.sleep(0.2)
        assert path.read_text() == ELSEWHERE
    assert path.read_text() == ELSEWHERE and "is held by another" in caplog.text


def test_a_sign_while_the_watcher_last_slept_is_seen(tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path, now = tmp_path / LOCK_FILE, [0.0]
    path.write_text(ELSEWHERE)

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] >= lock.SILENT_SECONDS:
            path.write_text(ELSEWHERE.replace("node9", "node8"))

    monkeypatch.setattr(lock, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    with pytest.raises(UserError, match="is in use by process 7 on node8"), locked(tmp_path):
        pass


@pytest.mark.parametrize("years", [-30, 30])
def test_clocks_that_differ_decide_nothing(tmp_path: Path, quick: None, years: int) -> None:
    path, then = tmp_path / LOCK_FILE, time.time() + years * 365 * 86400
    with locked(tmp_path):
        os.utime(path, (then, then))
        with pytest.raises(UserError, match="is in use by process"), locked(tmp_path):
            pass
    path.write_text(ELSEWHERE)
    os.utime(path, (then, then))
    with locked(tmp_path):
        assert json.loads(path.read_text())["machine"] != "node9"


CROWD = """
import os, random, sys, time
from pathlib import Path
from util.lock import locked
folder, survives, end = Path(sys.argv[1]), sys.argv[2] == "survives", time.monotonic() + 2
print("begun", flush=True)
while time.monotonic() < end:
    with locked(folder, wait=True, work="it"):
        if survives:  # two of these inside would meet
            os.close(os.open(folder.parent / "inside", os.O_CREAT | os.O_EXCL))
        time.sleep(0.002 * random.random())
        if survives:
            os.unlink(folder.parent / "inside")
"""


def test_of_a_crowd_whose_members_are_killed_one_is_inside_at_a_time(tmp_path: Path) -> None:
    def start(role: str) -> subprocess.Popen:
        command = [sys.executable, "-c", CROWD, str(tmp_path / "work"), role]
        one = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert one.stdout.readline() == "begun\n"
        return one

    crowd = [start(role) for role in ("survives", "survives", "survives", "dies", "dies", "dies")]
    for killed in crowd[3:]:
        time.sleep(0.1)
        killed.kill()
    said = [one.communicate(timeout=60)[1] for one in crowd]
    assert [one.returncode for one in crowd] == [0] * 3 + [-9] * 3, said
    with locked(tmp_path / "work"):  # who comes next removes what the killed were writing
        pass
    assert list((tmp_path / "work").iterdir()) == []


def test_of_two_that_take_a_dead_one_s_lock_without_the_kernel_s_help_one_gets_it_at_a_time(tmp_path: Path, quick: None) -> None:
    (tmp_path / LOCK_FILE).write_text(ELSEWHERE)
    inside, most = [], []

    def take() -> None:
        with locked(tmp_path, wait=True):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.1)
            inside.pop()

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert most == [1, 1, 1]
