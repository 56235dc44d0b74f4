"""Command lines: flags are written out, mistakes are answered, and a process ends in order."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from util.cli import ArgumentParser
from util.errors import UserError

ROOT = Path(__file__).parent.parent.parent


def parser() -> ArgumentParser:
    made = ArgumentParser(prog="x", examples="  x --layer_num 3")
    made.add_argument("--layer_num", type=int, required=True)
    made.add_argument("--translation_batch_size", type=int)
    return made


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--translation_batchsize 8", r"--translation_batchsize \(did you mean --translation_batch_size\?\)"),
        ("--translation_batchsize=8 --layer_num 3", r"did you mean --translation_batch_size"),
        ("--layer 3", r"unrecognized flag --layer \(did you mean --layer_num\?\)"),
        ("--zzz 3", r"unrecognized flag --zzz; --help"),
        ("--translation_batch_size 8", "--layer_num"),
    ],
)
def test_flags_are_written_out_and_mistyped_ones_answered(given: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parser().parse_args(given.split())


def test_flags_of_a_subcommand_are_known_and_suggested() -> None:
    made = ArgumentParser(prog="x")
    made.add_subparsers(dest="command", required=True).add_parser("merge").add_argument("--save_path")
    assert made.parse_args(["merge", "--save_path", "a"]).save_path == "a"
    with pytest.raises(UserError, match=r"did you mean --save_path"):
        made.parse_args(["merge", "--savepath", "a"])


def test_help_ends_in_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    assert capsys.readouterr().out.rstrip().endswith("examples:\n  x --layer_num 3")


def test_every_command_line_has_a_version_and_no_abbreviations() -> None:
    for path in ROOT.glob("[a-z]*/*.py"):
        if path.parent.name not in ("tests", "util"):
            assert "argparse.ArgumentParser(" not in path.read_text(), path
    done = subprocess.run([sys.executable, "run_tcpe.py", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("TCPE ")


def test_a_missing_package_is_one_sentence() -> None:
    code = "from util.cli import run_main\ndef main():\n    import no_such_package\nrun_main(main)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: The Python package no_such_package is missing") and done.stderr.count("\n") == 1


def test_torch_is_quiet_from_the_start() -> None:
    code = "import logging\nfrom util.cli import run_main\nrun_main(lambda: logging.getLogger('torch._subclasses').info('stats'))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stderr == ""


def test_a_command_of_any_room_says_so_too() -> None:
    """Without site-packages it shows its help, or says which package it needs."""
    commands = {path.parent.name: path for path in ROOT.glob("[a-z]*/*.py") if '__name__ == "__main__":' in path.read_text()}
    assert {"d_running", "tcpe", "sae_training", "demo", "examples", "benchmarks"} <= set(commands)
    for room, path in commands.items():
        done = subprocess.run([sys.executable, "-S", "-m", f"{room}.{path.stem}", "--help"], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            assert done.returncode == 2 and done.stderr.startswith("error: The Python package ") and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize(("number", "status", "continues"), [(signal.SIGTERM, 143, True), (signal.SIGUSR1, 138, False)])
def test_a_signal_to_end_cleans_up_and_says_so(tmp_path: Path, number: signal.Signals, status: int, continues: bool) -> None:
    code = f"""
import sys, time
from pathlib import Path
from util.cli import run_main
from util.lock import locked
def main():
    with locked(Path({str(tmp_path)!r})):
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            Path({str(tmp_path)!r}, "cleaned").touch()
run_main(main, continues={continues})"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == status and said == f"terminated{'; the same command continues' * continues}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["cleaned"]
