"""Hostile programs: judged as failed in every tier and mode, nothing left behind, honest results unchanged."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from d_running import sandbox
from d_running.dataset import Sample
from d_running.harness import shared_program
from d_running.language_pairs import language_pair
from d_running.unit_test import UnitTestConfig, read_results, run_unit_tests
from tests.d_running import hostile_python
from tests.d_running.hostile import AT_RUN_TIME, CHEATS, FAILS, HOSTILE, MAY_PASS, NEEDS_ISOLATION, ONE, RIGHT

pytestmark = pytest.mark.skipif(shutil.which("ldc2") is None, reason="needs the D compiler ldc2")

CONFINES = pytest.mark.skipif(sandbox.probe_tier() != "landlock+seccomp", reason="needs Landlock and seccomp")
WRAPS = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
HONEST = {f"honest{i}": (ONE, f"{RIGHT} // {i}") for i in range(6)} | {"wrong": (ONE, "int f_filled(int n) { return 1; }")}
# All of them in each mode take minutes: `python -m benchmarks.containment`.
PART = [name for name in [*HOSTILE][::6] if name not in MAY_PASS and (sandbox.probe_isolation() or name not in NEEDS_ISOLATION)]
# What resource limits alone stop, without harm to a machine that has nothing else.
LIMITED = ["ignores_signals", "takes_memory", "takes_a_huge_stack", "prints_endlessly", "leaves_early", "endless_ctfe", "ends_the_file"]


def judge(folder: Path, cases: dict[str, tuple[str, str]], **options):
    (folder / "translations").mkdir(parents=True)
    for name, (_, function) in cases.items():
        language_pair(options.get("language_pair", "java-d")).file(folder / "translations", name).write_text(function)
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
    passed = {name: results[name] for name in names if results[name].error in ("No", "Exception", "NotJudged")}
    assert passed == {}
    assert all(result.success for name, result in results.items() if name.startswith("honest"))
    assert results["wrong"].description == "1 of 2 tests passed"
    return True


@pytest.mark.slow
@CONFINES
def test_hostile_programs_fail_and_leave_nothing_behind(tmp_path, capfd, leaves_nothing):
    again = ["takes_memory", "takes_a_huge_stack", "prints_endlessly", "fork_bomb", "deep_ctfe"]
    names = dict.fromkeys([*PART, *again])
    results = judge(tmp_path, {name: (ONE, HOSTILE[name]) for name in names} | HONEST)
    assert failed_as_they_should(results, names)
    assert "Results" not in capfd.readouterr().out
    assert json.loads((tmp_path / "out" / "results_info.json").read_text())["sandbox"] == "landlock+seccomp"
    assert judge(tmp_path / "again", {name: (ONE, HOSTILE[name]) for name in again}) == {name: results[name] for name in again}


@pytest.mark.slow
@CONFINES
def test_fast_mode_judges_them_alike(tmp_path, leaves_nothing):
    names = ["endless_ctfe", "deep_ctfe", "deep_nesting", "endless_template", "needs_what_is_nowhere"]
    assert all(shared_program(ONE, HOSTILE[name], "x") for name in names)
    cases = {name: (ONE, HOSTILE[name]) for name in [*names, "leaves_early", "has_its_own_c_main", "runs_before_main"]} | HONEST
    # The whole link that words a failed one takes 0.3 s, and took more than 1 s on a busy machine.
    results = [judge(tmp_path / str(fast), cases, fast_judge=fast, compile_limit=2) for fast in (True, False)]
    assert results[0] == results[1]


@WRAPS
def test_bubblewrap_contains_them_too(tmp_path, monkeypatch, leaves_nothing):
    monkeypatch.setattr("d_running.unit_test.choose_tier", lambda _: "bubblewrap")
    names = [*[*AT_RUN_TIME][::4], "reads_at_compile_time", "huge_object"]
    results = judge(tmp_path, {name: (ONE, HOSTILE[name]) for name in names} | HONEST)
    assert failed_as_they_should(results, names)


def test_resource_limits_stop_what_they_can(tmp_path, monkeypatch, leaves_nothing):
    monkeypatch.setattr("d_running.unit_test.choose_tier", lambda _: "rlimits")
    results = judge(tmp_path, {name: (ONE, HOSTILE[name]) for name in LIMITED} | HONEST)
    assert failed_as_they_should(results, LIMITED)


@CONFINES
@pytest.mark.parametrize("isolated", sorted({False, sandbox.probe_isolation()}))
def test_a_compiler_sees_and_writes_only_its_folder(tmp_path, isolated):
    home, outside = tmp_path / "home", tmp_path / "outside"
    (home / "work").mkdir(parents=True)
    home.chmod(0o711)
    sandbox.hand_over(home / "work")
    outside.write_text("secret")
    script = f"echo x >inside; for file in {outside} /etc/passwd ../inside; do cat $file; echo x >$file; done; ls / ..; cat inside >&3"
    with sandbox.Launcher("landlock+seccomp", home, isolated=isolated) as launcher:
        command = sandbox.Command(["/bin/sh", "-c", script], str(home / "work"), 5, 20, 1 << 32, file_bytes=100, may="build")
        outcome = launcher.run(command)
    assert outcome.verdict == "x\n" and "secret" not in outcome.errors and "root:" not in outcome.errors
    assert outside.read_text() == "secret" and [path.name for path in home.iterdir() if path.name != "root"] == ["work"]


@CONFINES
def test_a_failure_beyond_the_limit_is_the_limits(tmp_path):
    """LDC catches the limit's signal, prints where it is, and goes on."""
    sandbox.hand_over(tmp_path)
    with sandbox.Launcher("landlock+seccomp", tmp_path, isolated=False) as launcher:
        script = "trap 'echo caught >&2; exit 1' XCPU; while :; do :; done"
        outcome = launcher.run(sandbox.Command(["/bin/bash", "-c", script], str(tmp_path), 1, 20, 1 << 32, may="build"))
    assert (outcome.errors, outcome.exit_code, outcome.stopped_by) == ("caught\n", 1, "cpu")


@CONFINES
@pytest.mark.parametrize("fast", [False, True])
def test_no_cheat_passes(tmp_path, fast):
    names = ["leaves_early", "writes_the_verdict", "says_it_was_not_loaded", "prints_the_score", "runs_after_main"]
    cases = CHEATS | (FAILS if fast else {}) | {name: (ONE, HOSTILE[name]) for name in names} | HONEST
    results = judge(tmp_path, cases, fast_judge=fast)
    assert {name for name, result in results.items() if result.success} == {name for name in HONEST if name != "wrong"}
    assert results["wrong"].description == "1 of 2 tests passed"


@CONFINES
def test_what_a_plain_verdict_does_not_stop(tmp_path):
    assert all(result.success for result in judge(tmp_path, CHEATS, plain_verdict=True).values())


@CONFINES
def test_hostile_python_fails_and_leaves_nothing_behind(tmp_path, capfd, leaves_nothing):
    names = [*[*hostile_python.AT_RUN_TIME][::5], "stderr_flood", "kills_parent", "changes_job"]
    honest = {f"honest{i}": (hostile_python.ONE, f"{hostile_python.RIGHT}# {i}\n") for i in range(3)}
    cases = {name: (hostile_python.ONE, hostile_python.AT_RUN_TIME[name]) for name in names} | hostile_python.CHEATS | honest
    results = judge(tmp_path, cases, language_pair="java-python")
    assert {name for name, result in results.items() if result.error in ("No", "Exception", "NotJudged")} == honest.keys()
    assert "Results" not in capfd.readouterr().out and "\x1b" not in "".join(result.description for result in results.values())


@CONFINES
@pytest.mark.parametrize("counts", ["9, 3", "0, 0", "ulong.max, ulong.max"])
def test_counts_that_cannot_be_true_are_that_samples_failure(tmp_path, counts):
    nonsense = (
        "int f_filled(int n) { return 7; } static ~this() { static foreach (m; __traits(allMembers, mixin(__MODULE__)))"
        f' static if (m.length == 23 && m[0 .. 7] == "kecode_") mixin(m) = [{counts}]; }}'
    )
    results = judge(tmp_path, {"nonsense": (ONE, nonsense)} | HONEST, plain_verdict=True)
    assert results["nonsense"].description == "Error: the tests ended without their verdict"
    assert failed_as_they_should(results, ["nonsense"]) and read_results(tmp_path / "out")


@CONFINES
def test_messages_hold_no_path_and_no_control_character(tmp_path):
    names = ["message_with_its_path", "message_with_control_characters", "throws_control_characters"]
    said = [judge(tmp_path / way, {name: (ONE, HOSTILE[name]) for name in names} | HONEST) for way in ("once", "again")]
    assert said[0] == said[1] and said[0]["message_with_its_path"].description.endswith('Error: static assert:  "translation.d"')
    assert "red" in said[0]["message_with_control_characters"].description
    assert all(result.description.isprintable() for result in said[0].values())
