"""Files are whole or not there, whatever happens to who writes them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from util import files
from util.errors import UserError

ROOT = Path(__file__).parent.parent.parent


def run(code: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_a_killed_process_was_writing_is_removed_by_the_next_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text("before")
    slow = f"""
import time
from util.files import write_atomically
def write(path):
    path.write_text("half")
    path.with_name(".a library's own").touch()
    print("writing", flush=True)
    time.sleep(60)
write_atomically({str(path)!r}, write)"""
    killed, living = run(slow), run(slow)
    for process in (killed, living):
        assert process.stdout.readline() == "writing\n"
    killed.kill()
    killed.wait()
    assert len(list(tmp_path.iterdir())) == 3
    after = run(f"from util.files import write_text; write_text({str(tmp_path / 'other')!r}, '')")
    assert after.wait(timeout=20) == 0
    assert len(list(tmp_path.glob(".*"))) == 1 and path.read_text() == "before"
    living.kill()
    living.wait()


def test_what_another_machine_is_writing_is_let_alone_for_a_day(tmp_path: Path) -> None:
    places, here = {}, files.machine()
    ages = [("theirs", "node9", 3600), ("old", "node9", 90_000), ("from the future", "node9", -(10**8)), ("ours", here, 0), ("begun", here, 0)]
    for name, machine, age in ages:
        places[name] = tmp_path / f".{name}.{machine}.part"
        places[name].mkdir()
        if name != "begun":
            (places[name] / "lock").touch()
        then = time.time() - age
        os.utime(places[name], (then, then))
    files.write_text(tmp_path / "new", "")
    assert {name for name, place in places.items() if place.exists()} == {"theirs", "from the future"}
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {"new"}


SAVING = "write_atomically(path, lambda file: save({'a': zeros(10**6)}, file))"


@pytest.mark.parametrize(
    "write", ["write_json(path, 'x' * 10**6)", f"from safetensors.torch import save_file as save; {SAVING}", f"from torch import save; {SAVING}"]
)
def test_a_disk_that_takes_no_more_is_said_in_one_sentence_and_leaves_the_old_file(tmp_path: Path, write: str) -> None:
    path = tmp_path / "figures"
    path.write_text("before")
    process = run(f"""
import resource, signal
from torch import zeros
from util.files import write_atomically, write_json
from util.cli import run_main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path = {str(path)!r}
def main():
    {write}
run_main(main)""")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and said.startswith(f"error: Cannot write {path}: ") and said.count("\n") == 1, said
    assert [file.name for file in tmp_path.iterdir()] == ["figures"] and path.read_text() == "before"


def test_a_folder_that_could_be_written_to_is_not_made_yet(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "a", tmp_path / ("n" * 300)):
        with pytest.raises(UserError, match="Cannot write to .*give a folder that you may write to"):
            files.check_writable(folder)
