import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from d_running import compiler, execution, sandbox
from d_running.dataset import Sample
from d_running.harness import render_test_program
from d_running.unit_test import UnitTestConfig, read_results, run_unit_tests
from d_running.workplace import working_folder
from util.cli import ArgumentParser
from util.errors import BenchmarkError, UserError
from util.flags import add_flags

pytestmark = pytest.mark.skipif(shutil.which("ldc2") is None, reason="needs the D compiler ldc2")

ONE = render_test_program("int", ["int"], [[1], [2]], [1, 2])
REALS = render_test_program("double", ["double"], [[1.0], [float("inf")], [float("nan")]], [1.0000001, float("inf"), float("nan")])
TEXTS = render_test_program("string", ["string", "char"], [['a"é\n', "'"], ["", "\\"]], ["a\"é\n'", "\\"])

HONEST = {
    "right": (ONE, "int f_filled(int n) { return n; }", "No", ""),
    "9_digit-first": (ONE, "int f_filled(int n) { return n; }", "No", ""),
    "reals": (REALS, "double f_filled(double x) { return x; }", "No", ""),
    "texts": (TEXTS, "string f_filled(string s, char c) { return s ~ c; }", "No", ""),
    "prints": (ONE, "int f_filled(int n) { writeln(n); return n; }", "No", ""),
    "names_a_library": (ONE, 'pragma(lib, "/etc/passwd"); int f_filled(int n) { return n; }', "No", ""),
    "wrong": (ONE, "int f_filled(int n) { return 1; }", "Correctness", "1 of 2 tests passed"),
    "cast": (
        ONE,
        "int f_filled(int n) {\n    return (int) n;\n}",
        "Compilation",
        "translation.d(7): Error: C style cast illegal, use `cast(int)n`",
    ),
    "empty": (ONE, "", "Compilation", "undefined identifier `f_filled`"),
    "unclosed": (ONE, "int f_filled(int n) { return n;", "Compilation", "translation.d(19): Error: found `End of File`"),
    "not_utf8": (ONE, "int f_filled(int n) { return n; } // \udcff", "Compilation", "Error:"),
    "throws": (ONE, "int f_filled(int n) { int[] a; return a[n]; }", "RuntimeError", "ArrayIndexError@translation.d(6): index [1]"),
    "warns": (ONE, "int f_filled(int n) { stderr.write(1); return n; }", "RuntimeError", "1"),
    "recursion": (ONE, "int f_filled(int n) { return f_filled(n + 1) + 1; }", "RuntimeError", "ended with signal 11"),
    "unlinkable": (ONE, "int nowhere(int n); int f_filled(int n) { return nowhere(n); }", "Compilation", "undefined reference to `_D11"),
    "unlinkable_but_unused": (ONE, "int no(int n); int unused(int n) { return no(n); } int f_filled(int n) { return n; }", "No", ""),
    "two": (ONE, "int f_filled(int n) { return n; } int other(int n) { return n; }", "No", ""),
    "twice": (ONE, "int f_filled(int n) { return n; } int f_filled(int n) { return n; }", "Compilation", "conflicts with previous declaration"),
    "none": (ONE, "int other(int n) { return n; }", "Compilation", "undefined identifier `f_filled`"),
    "noisy": (ONE, 'int f_filled(int n) { foreach (i; 0 .. 100_000) writeln(i, " 10 bytes"); return n; }', "No", ""),
    "own_exception": (ONE, "class E : Exception { this() { super(`x`); } } int f_filled(int n) { throw new E; }", "RuntimeError", "translation.E"),
    "bad_instance": (ONE, "int f_filled(int n) { return to!int(main); }", "Compilation", "Error:"),
    "bad_instance_1": (ONE, "int f_filled(int n) { return to!int(new Object); }", "Compilation", "Error:"),
    "bad_instance_2": (ONE, "int f_filled(int n) { return to!int(new Object) + 1; }", "Compilation", "Error:"),
    "endless": (ONE, "int f_filled(int n) { while (true) n++; return n; }", "TimeoutExpired", "Error: the tests did not end within 1 s"),
}


def judge(folder: Path, cases: dict[str, tuple[str, str]], **options):
    """Results by name; ``cases`` maps names to test program and translation."""
    (folder / "translations").mkdir(exist_ok=True)
    for name, (_, function) in cases.items():
        (folder / "translations" / f"{name}.d").write_bytes(function.encode("utf-8", "surrogateescape"))
    samples = [Sample(name, "", program) for name, (program, _) in cases.items()]
    options = {"run_limit": 1, "compile_limit": 2, "cache_dir": folder / "cache"} | options
    return {result.name: result for result in run_unit_tests(folder / "translations", samples, folder / "out", UnitTestConfig(**options))}


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest")
    return folder, judge(folder, {name: (program, function) for name, (program, function, _, _) in HONEST.items()})


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_get_their_verdict(honest, name):
    _, _, error, words = HONEST[name]
    result = honest[1][name]
    assert (result.error, result.success) == (error, error == "No")
    assert words in result.description
    assert error != "No" or result.correct == result.total > 0


def test_files_are_sorted_complete_and_name_no_temporary_path(honest):
    folder, results = honest
    assert read_results(folder / "out") == sorted(results.values(), key=lambda result: result.name)
    info = json.loads((folder / "out" / "results_info.json").read_text())
    assert info["compiler"].startswith("LDC") and info["front_end"] and info["sandbox"]
    assert sum(info["errors"].values()) == info["samples"] == len(HONEST)
    assert "/tmp" not in (folder / "out" / "results.json").read_text()


def test_a_known_program_is_not_judged_again(honest, monkeypatch):
    folder, results = honest
    before = (folder / "out" / "results.json").read_bytes()
    monkeypatch.setattr("d_running.language_pairs.java_d.Judge", None)
    assert judge(folder, {name: (program, function) for name, (program, function, _, _) in HONEST.items()}) == results
    assert (folder / "out" / "results.json").read_bytes() == before


def test_missing_translations_are_counted(tmp_path):
    (tmp_path / "translations").mkdir()
    (tmp_path / "translations" / "a.d").write_text("int f_filled(int n) { return n; }")
    samples = [Sample("b", "", ONE), Sample("a", "", ONE)]
    results = run_unit_tests(tmp_path / "translations", samples, tmp_path, UnitTestConfig(cache_dir=tmp_path))
    assert [(result.path, result.error) for result in results] == [("a.d", "No"), ("b.d", "Exception")]


def test_a_killed_run_is_continued(tmp_path):
    (tmp_path / "translations").mkdir()
    (tmp_path / "programs").mkdir()
    (tmp_path / "java").mkdir()
    for i in range(12):
        (tmp_path / "translations" / f"a{i}.d").write_text(f"int f_filled(int n) {{ return n; }} // {i}")
        (tmp_path / "programs" / f"a{i}.d").write_text(ONE)
        (tmp_path / "java" / f"a{i}.java").write_text("int f_gold(int n) { return n; }")
    command = [sys.executable, "-m", "d_running.unit_test", "translations", "--originals_path", "java", "--d_params_path", "programs"]
    command += ["--output_path", "out", "--cache_dir", "cache", "--jobs", "1"]
    environment = os.environ | {"PYTHONPATH": str(Path(compiler.__file__).parent.parent), "TMPDIR": str(tmp_path)}
    killed = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    while len(done := list(tmp_path.glob("cache/verdicts/*/*.json"))) < 3:
        assert killed.poll() is None
        time.sleep(0.02)
    killed.kill()
    assert killed.wait() == -9 and len(done) < 12 and not (tmp_path / "out").exists()
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    judged = int(re.search(r"12 of 12 translations pass; (\d+) programs were judged", again.stderr)[1])
    assert 0 < judged <= 12 - len(done)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"path": "a.d"', "not valid JSON"),
        ('[{"path": "a.d"}]', "not a list of results"),
        ('{"a": 1}', "not a list of results"),
        ("7", "not a list of results"),
        ('[{"path": "a.d", "success": true, "error": "No", "description": "", "correct": "2", "total": 2}]', "which is no result"),
        ('[{"path": "a.d", "success": true, "error": "Nothing", "description": "", "correct": 2, "total": 2}]', "which is no result"),
    ],
)
def test_broken_results_are_refused(tmp_path, text, message):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_results(tmp_path)


def test_a_program_that_allows_only_a_plain_verdict_fails_alone(tmp_path):
    other = ONE.replace("results[i] ==", "0 <=")
    results = judge(tmp_path, {"a": (other, "int f_filled(int n) { return n; }"), "b": (ONE, "int f_filled(int n) { return n; }")})
    assert results["b"].success
    assert (
        results["a"].error == "Exception"
        and "cannot be judged without --plain_verdict: the call's value must be compared" in results["a"].description
    )


def test_what_the_user_can_mend_is_said(tmp_path, monkeypatch):
    samples = [Sample("a", "", ONE)]
    with pytest.raises(BenchmarkError, match="does not exist"):
        run_unit_tests(tmp_path / "none", samples, tmp_path, UnitTestConfig(cache_dir=tmp_path))
    with pytest.raises(BenchmarkError, match="None of the 0"):
        run_unit_tests(tmp_path, samples, tmp_path, UnitTestConfig(cache_dir=tmp_path))
    monkeypatch.setattr(sandbox, "probe_tier", lambda: "rlimits")
    with pytest.raises(UserError, match="--allow_unsafe_execution"):
        sandbox.choose_tier()
    assert sandbox.choose_tier(allow_unsafe_execution=True) == "rlimits"
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler.find_compiler.cache_clear()
    with pytest.raises(UserError, match="No D compiler found: install LDC"):
        compiler.find_compiler()
    compiler.find_compiler.cache_clear()


ALIKE = {
    "bubblewrap": pytest.param("bubblewrap", {}, marks=pytest.mark.skipif(not shutil.which("bwrap"), reason="needs bubblewrap")),
    "rlimits": ("rlimits", {}),
    "fast": (sandbox.probe_tier(), {"fast_judge": True}),
    "plain": (sandbox.probe_tier(), {"plain_verdict": True}),
    "plain and fast": (sandbox.probe_tier(), {"plain_verdict": True, "fast_judge": True}),
}


@pytest.mark.parametrize(("tier", "options"), ALIKE.values(), ids=ALIKE)
def test_other_tiers_and_modes_judge_alike(tmp_path, monkeypatch, honest, tier, options):
    monkeypatch.setattr("d_running.unit_test.choose_tier", lambda _: tier)
    assert judge(tmp_path, {name: (program, function) for name, (program, function, _, _) in HONEST.items()}, **options) == honest[1]


def test_trouble_of_the_judge_is_no_verdict(tmp_path, monkeypatch):
    cases = {name: (ONE, f"int f_filled(int n) {{ return n; }} // {name}") for name in ("a", "b", "c")}
    real = execution.check_room

    def full(folder):
        if "work" in folder.parts:
            raise sandbox.Trouble("the disk is full")
        real(folder)

    run = sandbox.Launcher.run

    def failing(launcher, command):
        source = Path(command.folder, compiler.SOURCE_NAME)
        if command.may == "build" and source.exists() and "// b" in source.read_text():
            return sandbox.Outcome(1, "Error: cannot write the object", "", "", 0.1)
        return run(launcher, command)

    with monkeypatch.context() as troubled:
        troubled.setattr(execution, "check_room", full)
        troubled.setattr(sandbox.Launcher, "run", failing)
        with pytest.raises(
            UserError, match=r"1 of 3 translations could not be judged, first b.d \(Error: the disk is full\).*judges only these again: "
        ):
            judge(tmp_path, cases)
    with pytest.raises(BenchmarkError, match="could not be judged, first b.d; run the unit tests again"):
        read_results(tmp_path / "out")
    assert len(list(tmp_path.glob("cache/verdicts/*/*.json"))) == 2
    assert all(result.success for result in judge(tmp_path, cases).values())
    read_results(tmp_path / "out")


@pytest.mark.parametrize(("number", "error"), [(signal.SIGKILL, None), (signal.SIGTERM, None), (signal.SIGSEGV, "Compilation")])
def test_a_compiler_that_is_ended_from_outside_says_nothing(tmp_path, monkeypatch, number, error):
    run = sandbox.Launcher.run

    def ended(launcher, command):
        in_work = command.may == "build" and Path(command.folder).name == "work"
        return sandbox.Outcome(-number, "", "", "", 0.1) if in_work else run(launcher, command)

    monkeypatch.setattr(sandbox.Launcher, "run", ended)
    if error:
        assert judge(tmp_path, {"a": (ONE, "")})["a"].error == error
    else:
        with pytest.raises(UserError, match=f"signal {number:d} ended the compiler from outside"):
            judge(tmp_path, {"a": (ONE, "")})
    assert not list(tmp_path.glob("cache/verdicts/*/*.json"))


def test_only_folders_of_dead_processes_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with working_folder() as alive:
        dead = tmp_path / "d_running-dead"
        (dead / "0").mkdir(parents=True)
        with working_folder() as other:
            assert alive.exists() and other.exists() and not dead.exists()
    assert list(tmp_path.iterdir()) == []


def test_sigterm_cleans_up(tmp_path):
    (tmp_path / "translations").mkdir()
    (tmp_path / "temporary").mkdir()
    (tmp_path / "translations" / "a.d").write_text("int f_filled(int n) { while (true) n++; return n; }")
    (tmp_path / "java").mkdir()
    (tmp_path / "java" / "a.java").write_text("int f_gold(int n) { return n; }")
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "a.d").write_text(ONE)
    command = [sys.executable, "-m", "d_running.unit_test", "translations", "--originals_path", "java", "--d_params_path", "programs"]
    command += ["--output_path", "out", "--cache_dir", "cache", "--run_limit", "60"]
    environment = os.environ | {"PYTHONPATH": str(Path(compiler.__file__).parent.parent), "TMPDIR": str(tmp_path / "temporary")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("temporary/d_running-*/*/work/translation.so")):
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    assert "terminated; the same command continues" in process.communicate(timeout=30)[1]
    assert process.returncode == 143 and list((tmp_path / "temporary").iterdir()) == []


def test_an_old_command_line_still_works():
    for given, plain in (([], False), (["--strict_verdict"], False), (["--plain_verdict"], True)):
        parser = ArgumentParser()
        add_flags(parser, UnitTestConfig)
        assert UnitTestConfig(**vars(parser.parse_args(given))).plain_verdict is plain


def test_one_module_that_never_ends_costs_its_batch_little(tmp_path, monkeypatch):
    cases = {f"a{i}": (ONE, f"int f_filled(int n) {{ return n; }} // {i}") for i in range(8)}
    cases["endless"] = (ONE, "int f(int n) { while (true) n++; return n; } enum x = f(1); int f_filled(int n) { return n; }")
    alone = []
    judge_alone = execution.Judge.judge
    monkeypatch.setattr(execution.Judge, "judge", lambda self, *program: alone.append(program) or judge_alone(self, *program))
    results = judge(tmp_path, cases, fast_judge=True, jobs=1)
    assert len(alone) == 1 and sum(result.success for result in results.values()) == 8 and results["endless"].error == "TimeoutExpired"
