"""Hostile programs: judged as failed in every tier and mode, nothing left behind, honest results unchanged."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from d_running import sandbox
from d_running.dataset import Sample
from d_running.harness import shared_program
from d_running.unit_test import UnitTestConfig, run_unit_tests
from tests.d_running.hostile import AT_RUN_TIME, CHEATS, HOSTILE, ONE, RIGHT

pytestmark = pytest.mark.skipif(shutil.which("ldc2") is None, reason="needs the D compiler ldc2")

CONFINES = pytest.mark.skipif(sandbox.probe_tier() != "landlock+seccomp", reason="needs Landlock and seccomp")
WRAPS = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
HONEST = {f"honest{i}": (ONE, f"{RIGHT} // {i}") for i in range(6)} | {"wrong": (ONE, "int f_filled(int n) { return 1; }")}
# What resource limits alone stop, without harm to a machine that has nothing else.
LIMITED = ["ignores_signals", "takes_memory", "takes_a_huge_stack", "prints_endlessly", "leaves_early", "endless_ctfe", "ends_the_file"]


def judge(folder: Path, cases: dict[str, tuple[str, str]], **options):
    (folder / "translations").mkdir(parents=True)
    for name, (_, function) in cases.items():
        (folder / "translations" / f"{name}.d").write_text(function)
    samples = [Sample(name, "", program) for name, (program, _) in cases.items()]
    options = {"run_limit": 1, "compile_limit": 1, "cache_dir": folder / "cache"} | options
    return {result.name: result for result in run_unit_tests(folder / "translations", samples, folder / "out", UnitTestConfig(**options))}


@pytest.fixture
def leaves_nothing(tmp_path, monkeypatch):
    """Checks after a test that no process runs from the temporary folder, and that no file and no descriptor is left."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    places = [Path("/tmp"), Path("/dev/shm")]
    descriptors, children = names_in("/proc/self/fd"), children_of_this_process()
    yield
    assert names_in("/proc/self/fd") == descriptors
    assert children_of_this_process() == children
    assert list(temporary.iterdir()) == []
    assert not [place for place in places if (place / "d_running_left_behind").exists()]
    assert "24301" not in Path("/proc/sysvipc/shm").read_text()  # 0x5eed
    assert not [process for process in Path("/proc").glob("[0-9]*") if str(temporary) in command_of(process)]


def names_in(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


def children_of_this_process() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def command_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_text() + str((process / "cwd").readlink())
    except OSError:
        return ""


def failed_as_they_should(results, names) -> bool:
    passed = {name: results[name] for name in names if results[name].error in ("No", "Exception", "Correctness")}
    assert passed == {}
    assert all(result.success for name, result in results.items() if name.startswith("honest"))
    assert results["wrong"].description == "1 of 2 tests passed"
    return True


@pytest.mark.slow
@CONFINES
def test_hostile_programs_fail_and_leave_nothing_behind(tmp_path, capfd, leaves_nothing):
    results = judge(tmp_path, {name: (ONE, program) for name, program in HOSTILE.items()} | HONEST)
    assert failed_as_they_should(results, HOSTILE)
    assert "Results" not in capfd.readouterr().out
    assert json.loads((tmp_path / "out" / "results_info.json").read_text())["sandbox"] == "landlock+seccomp"
    again = ["takes_memory", "takes_a_huge_stack", "prints_endlessly", "fork_bomb", "deep_ctfe"]
    assert judge(tmp_path / "again", {name: (ONE, HOSTILE[name]) for name in again}) == {name: results[name] for name in again}


@pytest.mark.slow
@CONFINES
def test_fast_mode_judges_them_alike(tmp_path, leaves_nothing):
    names = ["endless_ctfe", "deep_ctfe", "deep_nesting", "endless_template", "needs_what_is_nowhere"]
    assert all(shared_program(ONE, HOSTILE[name], "x") for name in names)
    cases = {name: (ONE, HOSTILE[name]) for name in [*names, "leaves_early", "has_its_own_c_main", "runs_before_main"]} | HONEST
    assert judge(tmp_path / "fast", cases, fast_judge=True) == judge(tmp_path / "default", cases)


@WRAPS
def test_bubblewrap_contains_them_too(tmp_path, monkeypatch, leaves_nothing):
    monkeypatch.setattr("d_running.unit_test.choose_tier", lambda _: "bubblewrap")
    names = [*AT_RUN_TIME, "reads_at_compile_time", "huge_object"]
    results = judge(tmp_path, {name: (ONE, HOSTILE[name]) for name in names} | HONEST)
    assert failed_as_they_should(results, names)


def test_resource_limits_stop_what_they_can(tmp_path, monkeypatch, leaves_nothing):
    monkeypatch.setattr("d_running.unit_test.choose_tier", lambda _: "rlimits")
    results = judge(tmp_path, {name: (ONE, HOSTILE[name]) for name in LIMITED} | HONEST)
    assert failed_as_they_should(results, LIMITED)


@CONFINES
def test_a_compiler_writes_only_into_its_folder(tmp_path):
    (tmp_path / "inside").mkdir()
    outside = tmp_path / "outside"
    script = f"import os; open('inside', 'w').write('x'); os.stat('/usr'); open({str(outside)!r}, 'w')"
    with sandbox.Launcher("landlock+seccomp") as launcher:
        argv, readable = [sys.executable, "-c", script], [sys.prefix, sys.base_prefix]
        command = sandbox.Command(argv, str(tmp_path / "inside"), 5, 5, 1 << 32, file_bytes=100, may="build", readable=readable)
        assert "PermissionError" in launcher.run(command).errors
    assert (tmp_path / "inside" / "inside").exists() and not outside.exists()


@CONFINES
@pytest.mark.parametrize("fast", [False, True])
def test_cheats_fail_in_strict_mode(tmp_path, fast):
    names = ["leaves_early", "writes_the_verdict", "says_it_was_not_loaded", "prints_the_score", "runs_after_main"]
    cases = CHEATS | {name: (ONE, HOSTILE[name]) for name in names} | HONEST
    results = judge(tmp_path, cases, strict_verdict=True, fast_judge=fast)
    assert {name for name, result in results.items() if result.success} == {name for name in HONEST if name != "wrong"}
    assert results["wrong"].description == "1 of 2 tests passed"


@CONFINES
def test_what_the_default_mode_does_not_stop(tmp_path):
    assert all(result.success for result in judge(tmp_path, CHEATS).values())
