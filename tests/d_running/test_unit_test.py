import json
import shutil
import tempfile
from pathlib import Path

import pytest

from d_running import compiler, sandbox
from d_running.dataset import Sample
from d_running.harness import render_test_program
from d_running.unit_test import read_results, run_unit_tests
from util.errors import BenchmarkError, UserError

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
    "endless": (ONE, "int f_filled(int n) { while (true) n++; return n; }", "TimeoutExpired", "Error: the tests did not end within 1 s"),
}

UNSAFE = (
    "import core.sys.posix.unistd, core.sys.posix.sys.socket, core.sys.posix.signal, core.stdc.stdlib, std.file;"
    "extern(C) void kecode_verdict(const(char)*, ulong, ulong) nothrow @nogc;"
)
HOSTILE = {  # what each does before it gives the right answer
    "prints_the_score": 'writefln("#Results:2, 2"); exit(0);',
    "calls_the_verdict": 'kecode_verdict("", 2, 2); exit(0);',
    "writes_the_verdict": 'core.sys.posix.unistd.write(3, "x 2 2\\n".ptr, 6); exit(0);',
    "takes_the_answers": "exit(0);",
    "reads_a_file": 'readText("/etc/passwd");',
    "reads_the_neighbour": 'readText("translation.d");',
    "writes_a_file": 'std.file.write("left_behind", "x");',
    "writes_into_tmp": 'std.file.write("/tmp/d_running_left_behind", "x");',
    "forks": "if (fork() < 0) abort();",
    "fork_bomb": "while (fork() >= 0) {} abort();",
    "executes": 'execl("/bin/true".ptr, "true".ptr, null); abort();',
    "opens_a_socket": "if (socket(AF_INET, SOCK_STREAM, 0) < 0) abort();",
    "signals_its_parent": "if (kill(getppid(), SIGTERM) < 0) abort();",
    "signals_everybody": "if (kill(-1, SIGKILL) < 0) abort();",
    "leaves_its_session": "if (setsid() < 0) abort();",
    "ignores_signals": "signal(SIGTERM, SIG_IGN); signal(SIGXCPU, SIG_IGN); while (true) {}",
    "takes_memory": "foreach (i; 0 .. 40) { auto p = cast(ubyte*) malloc(1 << 29); p[0] = 1; }",
    "prints_endlessly": 'while (true) core.sys.posix.unistd.write(2, "spam\\n".ptr, 5);',
    "prints_verdicts_endlessly": 'while (true) core.sys.posix.unistd.write(3, "spam\\n".ptr, 5);',
    "sleeps": "while (true) sleep(100);",
}
AT_COMPILE_TIME = {
    "endless_ctfe": "int f(int n) { while (true) n++; return n; } enum x = f(1); int f_filled(int n) { return n; }",
    "memory_ctfe": "int f() { int[] a; while (true) a ~= a.length ? a : [1]; return 1; } enum x = f(); int f_filled(int n) { return n; }",
    "endless_template": "int t(int n)() { return t!(n + 1)(); } int f_filled(int n) { return t!0(); }",
    "reads_at_compile_time": 'enum x = import("/etc/passwd"); int f_filled(int n) { return n; }',
    "second_main": "int f_filled(int n) { return n; } void main() {}",
    "ends_the_file": 'int f_filled(int n) { return n; } void main() { writefln("#Results:2, 2"); }\n__EOF__\n',
}


def hostile_function(name: str) -> str:
    if name in AT_COMPILE_TIME:
        return AT_COMPILE_TIME[name]
    return f"{UNSAFE} int f_filled(int n) {{ {HOSTILE[name]} return n; }}"


def judge(folder: Path, cases: dict[str, tuple[str, str]], **options):
    """Results by name; ``cases`` maps names to test program and translation."""
    (folder / "translations").mkdir(exist_ok=True)
    for name, (_, function) in cases.items():
        (folder / "translations" / f"{name}.d").write_bytes(function.encode("utf-8", "surrogateescape"))
    samples = [Sample(name, "", program) for name, (program, _) in cases.items()]
    options = {"run_limit": 1, "compile_limit": 2, "cache_dir": folder / "cache"} | options
    return {result.name: result for result in run_unit_tests(folder / "translations", samples, folder / "out", **options)}


def names_in(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


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
    monkeypatch.setattr("d_running.unit_test.Judge", None)
    assert judge(folder, {name: (program, function) for name, (program, function, _, _) in HONEST.items()}) == results
    assert (folder / "out" / "results.json").read_bytes() == before


@pytest.mark.skipif(sandbox.probe_tier() != "landlock+seccomp", reason="needs Landlock and seccomp")
def test_hostile_programs_fail_and_leave_nothing_behind(tmp_path, capfd):
    names = [*HOSTILE, *AT_COMPILE_TIME]
    cases = {name: (ONE, hostile_function(name)) for name in names}
    cases |= {f"honest{i}": (ONE, f"int f_filled(int n) {{ return n; }} // {i}") for i in range(5)}
    descriptors, temporary = names_in("/proc/self/fd"), names_in(tempfile.gettempdir())
    results = judge(tmp_path, cases)
    assert {name: results[name].error for name in names if results[name].error in ("No", "Exception", "Correctness")} == {}
    assert all(results[f"honest{i}"].success for i in range(5))
    assert names_in("/proc/self/fd") == descriptors
    assert not [name for name in names_in(tempfile.gettempdir()) - temporary if "d_running" in name]
    assert "Results" not in capfd.readouterr().out
    faulting = {name: cases[name] for name in ("takes_memory", "prints_endlessly", "fork_bomb")}
    assert judge(tmp_path, faulting, invalidate_cache=True) == {name: results[name] for name in faulting}


def test_missing_translations_are_counted(tmp_path):
    (tmp_path / "translations").mkdir()
    (tmp_path / "translations" / "a.d").write_text("int f_filled(int n) { return n; }")
    samples = [Sample("b", "", ONE), Sample("a", "", ONE)]
    results = run_unit_tests(tmp_path / "translations", samples, tmp_path, cache_dir=tmp_path)
    assert [(result.path, result.error) for result in results] == [("a.d", "No"), ("b.d", "Exception")]


def test_what_the_user_can_mend_is_said(tmp_path, monkeypatch):
    samples = [Sample("a", "", ONE)]
    with pytest.raises(BenchmarkError, match="does not exist"):
        run_unit_tests(tmp_path / "none", samples, tmp_path, cache_dir=tmp_path)
    with pytest.raises(BenchmarkError, match="None of the 0"):
        run_unit_tests(tmp_path, samples, tmp_path, cache_dir=tmp_path)
    (tmp_path / "results.json").write_text('[{"path": "a.d"}]')
    with pytest.raises(BenchmarkError, match="not a list of results"):
        read_results(tmp_path)
    monkeypatch.setattr(sandbox, "probe_tier", lambda: "rlimits")
    with pytest.raises(UserError, match="--allow_unsafe_execution"):
        sandbox.choose_tier()
    assert sandbox.choose_tier(allow_unsafe_execution=True) == "rlimits"
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler.find_compiler.cache_clear()
    with pytest.raises(UserError, match="No D compiler found: install LDC"):
        compiler.find_compiler()
    compiler.find_compiler.cache_clear()


@pytest.mark.parametrize("tier", ["bubblewrap", "rlimits"])
def test_the_other_tiers_judge_alike(tmp_path, monkeypatch, honest, tier):
    if tier == "bubblewrap" and not shutil.which("bwrap"):
        pytest.skip("needs bubblewrap")
    monkeypatch.setattr("d_running.unit_test.choose_tier", lambda _: tier)
    assert judge(tmp_path, {name: (program, function) for name, (program, function, _, _) in HONEST.items()}) == honest[1]
