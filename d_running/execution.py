"""One translation judged: compiled with its test program, linked, run confined, and its verdict read."""

import hashlib
import logging
import math
import os
import re
import secrets
import signal
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from d_running.compiler import BUILD_ENVIRONMENT, LIBRARY_NAME, SOURCE_NAME, Compiler, Toolchain
from d_running.harness import MARKER, plain_program, render_test_program, reporting_program, shared_program
from d_running.sandbox import Command, Launcher, Outcome, Tier, Trouble, hand_over
from d_running.strict import StrictTest, strict_test
from d_running.words import faithful_words, printable
from d_running.workplace import Workplaces, check_room, empty_folder
from util.errors import UserError

ErrorKind = Literal["No", "Compilation", "RuntimeError", "TimeoutExpired", "Correctness", "Exception", "NotJudged"]

_GIB = 1 << 30
# Wall time is only for programs that sleep: a busy machine must not turn a slow program into a failed one.
_WALL_FACTOR = 4
# Of processor time, for a batch: more than twice what it takes. An endless compilation costs its neighbours no more than that.
_BATCH_SECONDS, _BATCH_FACTOR = 2, 1.0
_LONGEST_VALUE = (1 << 20) + (1 << 13)
"""Bytes that `kecode_values` sends for one value, at most."""
# Signals that a program can cause itself, where system calls are filtered; and all that a compiler does.
_OWN_SIGNALS = frozenset(
    getattr(signal, f"SIG{name}") for name in ("ILL", "TRAP", "ABRT", "BUS", "FPE", "SEGV", "PIPE", "SYS", "XCPU", "XFSZ", "STKFLT")
)

_NAME = re.compile(r"kecode_[0-9a-f]{16}")
_PROGRESS = re.compile(r"^(?:parse|importall|semantic\d?|code)\s+(kecode_[0-9a-f]{16})\b", re.MULTILINE)
_LOCATION = re.compile(rf"^{re.escape(SOURCE_NAME)}\((\d+)", re.MULTILINE)
_TROUBLED = re.compile(r"No space left|Disk quota|Input/output error|Cannot allocate memory|[Oo]ut of memory|Too many open files")
_CONTROL = render_test_program("int", ["int"], [[1]], [2]), "int f_filled(int n) { return n + 1; }"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one program.

    Attributes:
        error: the kind of failure, "No" for none; "NotJudged" where the judge had trouble, which is no verdict.
        description: the compiler's or the program's own words, the same on every run.
        correct, total: tests passed and tests run; both 0 where nothing could run.
        is_final: whether a quieter machine would say the same; only then may the verdict be kept.
    """

    error: ErrorKind
    description: str
    correct: int = 0
    total: int = 0
    is_final: bool = True


class Judge:
    """Judges programs with one compiler in one sandbox tier; a context manager, usable from ``jobs`` threads at a time."""

    def __init__(self, compiler: Compiler, tier: Tier, jobs: int, compile_limit: int, run_limit: int, plain: bool = False) -> None:
        """``compile_limit`` and ``run_limit`` are seconds of processor time; with ``plain``, programs hold and compare the expected results."""
        self._compiler, self._tier, self._jobs = compiler, tier, jobs
        self._compile_limit, self._run_limit, self._plain = compile_limit, run_limit, plain

    def __enter__(self) -> Self:
        """Start up, and judge a right program.

        Raises:
            UserError: if that fails.
        """
        try:
            with ExitStack() as stack:
                self._workplaces = stack.enter_context(Workplaces(self._tier, self._jobs, self._prepare))
                with self._workplaces.place() as (launcher, folder):
                    self._seconds_each = self._control(launcher, folder.parent)
                self._stack = stack.pop_all()
        except (Trouble, OSError) as error:
            raise UserError(f"Nothing can be judged here: {error}.") from error
        return self

    def _prepare(self, tools: Path) -> list[str]:
        self._toolchain = Toolchain(self._compiler, tools)
        return [*self._compiler.files, *self._toolchain.libraries]

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def stop(self) -> None:
        """End what runs now, from any thread; nothing can be judged afterwards."""
        self._workplaces.stop()

    def judge(self, test_program: str, function: str) -> Verdict:
        """Compile ``function`` with its test program and run it.

        Raises:
            Trouble: if the judge itself fails.
        """
        with self._workplaces.place() as (launcher, folder):
            return self._judge(launcher, folder, test_program, function)

    def _judge(self, launcher: Launcher, folder: Path, test_program: str, function: str) -> Verdict:
        name, program, test = self._instrumented(test_program, function)
        plain = plain_program(test_program, function)
        failure = self._build(launcher, folder, self._compiler.compile_command(), plain_program(program, function))
        if failure and _reaches(failure.description, plain_program(test_program.partition(MARKER)[0] + MARKER, function).count("\n") + 1):
            failure = self._build(launcher, folder, self._compiler.check_command(), plain) or failure
        failure = failure or self._build(launcher, folder, self._toolchain.link_command)
        verdict = failure or self._run(launcher, folder, "_Dmain", name, test)
        if verdict is None:  # the plain link says why, in the linker's words
            verdict = self._build(launcher, folder, self._compiler.plain_command(), plain) or _NO_VERDICT
        return _without_name(verdict, name)

    def _instrumented(self, test_program: str, function: str) -> tuple[str, str, StrictTest | None]:
        """A name for the program's module and variables, the test program as it is compiled, and what it compares here.

        A strict program has no secret, so that its name can be the same on every run.
        """
        if self._plain:
            name = f"kecode_{secrets.token_hex(8)}"
            return name, reporting_program(test_program, name), None
        digest = hashlib.sha256(f"{test_program}\0{function}".encode("utf-8", "surrogateescape"))
        name = f"kecode_{digest.hexdigest()[:16]}"
        test = strict_test(test_program, name)
        return name, test.program, test

    def judge_together(self, programs: dict[str, tuple[str, str]]) -> dict[str, Verdict]:
        """Compile many (test program, function) pairs by one command into one library, and run each in a process of its own.

        Returns:
            The verdicts, with the keys of ``programs``; those that must be compiled alone or did not compile are left out.

        Raises:
            Trouble: if the judge itself fails.
        """
        keys: dict[str, str] = {}
        tests: dict[str, StrictTest | None] = {}
        sources: dict[str, str] = {}
        for key, (test_program, function) in programs.items():
            name, program, test = self._instrumented(test_program, function)
            if source := shared_program(program, function, name):
                keys[name], tests[name], sources[name] = key, test, source
        verdicts = {}
        with self._workplaces.place() as (launcher, folder):
            for name in self._build_together(launcher, folder, sources):
                with suppress(Trouble):  # what has no verdict is judged alone
                    if verdict := self._run(launcher, folder, f"{name}_main", name, tests[name]):
                        verdicts[keys[name]] = _without_name(verdict, name)
        return verdicts

    def _control(self, launcher: Launcher, home: Path) -> float:
        """Judge a right program, in a folder of its own; the processor seconds that its compilation takes.

        Raises:
            Trouble: if it does not pass.
        """
        test_program, function = _CONTROL
        name, program, test = self._instrumented(test_program, function)
        with empty_folder(home / "control") as folder:
            _write(folder / SOURCE_NAME, plain_program(program, function))
            compiled = outcome = launcher.run(self._build_command(self._compiler.compile_command(), folder))
            if _succeeded(outcome):
                outcome = launcher.run(self._build_command(self._toolchain.link_command, folder))
            verdict = self._run(launcher, folder, "_Dmain", name, test) if _succeeded(outcome) else None
            if verdict is None or verdict.error != "No":
                check_room(folder)
                said = printable(verdict.description if verdict else outcome.errors + outcome.verdict).strip()
                raise Trouble(f"a right program does not pass, {said[:300] or _ending(outcome.exit_code)}")
        return compiled.cpu_seconds

    def _build_together(self, launcher: Launcher, folder: Path, sources: dict[str, str]) -> list[str]:
        """Compile and link modules, without those that fail; the names of those that are in the library then.

        Messages are only read for the modules that they name: one module's errors can hide another's.
        """
        for name, source in sources.items():
            _write(folder / f"{name}.d", source)
        while sources:
            limit = min(self._compile_limit, math.ceil(_BATCH_SECONDS + _BATCH_FACTOR * self._seconds_each * len(sources)))
            compile_all = self._compiler.compile_command([f"{name}.d" for name in sources])
            outcome = launcher.run(self._build_command(compile_all, folder, limit))
            if _succeeded(outcome):
                outcome = launcher.run(self._build_command(self._toolchain.link_command, folder))
                if _succeeded(outcome):
                    outcome = launcher.run(self._run_command(folder, []))
                if _succeeded(outcome):
                    return list(sources)
                failing = set(_NAME.findall(outcome.errors + outcome.verdict))
            elif outcome.stopped_by in ("cpu", "wall"):  # in the module that it was at last
                failing = set(_PROGRESS.findall(outcome.verdict)[-1:])
            else:
                failing = set(_NAME.findall(outcome.errors))
            if not failing & sources.keys():
                return []
            sources = {name: source for name, source in sources.items() if name not in failing}
        return []

    def _build(self, launcher: Launcher, folder: Path, argv: list[str], program: str | None = None) -> Verdict | None:
        """Run a compiler or linker, on ``program`` if that is given; the failure that it shows, None if it shows none.

        Raises:
            Trouble: if it is none of the program's.
        """
        if program is not None:
            _write(folder / SOURCE_NAME, program)
        command = self._build_command(argv, folder)
        outcome = launcher.run(command)
        is_doubtful = self._is_doubtful(outcome, folder)
        if is_doubtful:  # it broke down, or something was short: not the program's failure if it can be otherwise
            self._control(launcher, folder.parent)
            outcome = launcher.run(command)
            self._is_doubtful(outcome, folder)
        if outcome.stopped_by in ("cpu", "wall"):
            text = f"Error: the compiler did not end within {self._compile_limit} s"
            return Verdict("TimeoutExpired", text, is_final=outcome.stopped_by == "cpu")
        if _succeeded(outcome):
            return None
        messages = self._compiler.worded_alike(self._words(launcher, folder, outcome.errors)).strip()
        if "Error:" not in messages:  # the compiler broke down, on memory or a bug of its own: no two texts are the same
            messages = f"Error: the compiler ended with {_ending(outcome.exit_code)}"
        return Verdict("Compilation", messages, is_final=not is_doubtful)

    def _is_doubtful(self, outcome: Outcome, folder: Path) -> bool:
        """Whether a build failed in a way that may be the machine's fault.

        Raises:
            Trouble: if it certainly is.
        """
        if _succeeded(outcome) or outcome.stopped_by in ("cpu", "wall"):
            return False
        if outcome.exit_code < 0 and -outcome.exit_code not in _OWN_SIGNALS and not outcome.stopped_by:
            raise Trouble(f"signal {-outcome.exit_code} ended the compiler from outside; perhaps the machine has no memory left")
        try:
            check_room(folder)
        except Trouble:
            for made in folder.iterdir():
                if made.suffix != ".d":
                    made.unlink()
            check_room(folder)  # there is room without what this program made: it has filled the disk itself
            return True
        return not outcome.stopped_by and ("Error:" not in self._compiler.worded_alike(outcome.errors) or bool(_TROUBLED.search(outcome.errors)))

    def _build_command(self, argv: list[str], folder: Path, limit: int | None = None) -> Command:
        limit = limit or self._compile_limit
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": ".", **BUILD_ENVIRONMENT}
        return Command(
            argv,
            str(folder),
            limit,
            limit * _WALL_FACTOR,
            memory_bytes=4 * _GIB,
            output_bytes=1 << 18,
            verdict_bytes=1 << 18,
            file_bytes=1 << 28,
            may="build",
            readable=[str(folder.parent / "tools"), *self._compiler.files],
            environment=environment,
        )

    def _run(self, launcher: Launcher, folder: Path, main: str, name: str, test: StrictTest | None) -> Verdict | None:
        """Run the program whose ``main`` and counts have these symbols in the folder's library; None if it could not be loaded.

        Raises:
            Trouble: if something from outside ended it.
        """
        key = "" if test else secrets.token_hex(16)
        outcome = launcher.run(self._run_command(folder, [main] if test else [main, name], key, test.total * len(test.expected) if test else 1))
        if outcome.exit_code == 1 and outcome.verdict.startswith("not loaded: "):
            return None
        counts = (test.passed(outcome.verdict), test.total) if test else _signed_counts(outcome.verdict, key)
        return verdict_of_run(outcome, counts, self._run_limit, self._tier, faithful_words(self._words(launcher, folder, outcome.errors)))

    def _run_command(self, folder: Path, arguments: list[str], key: str = "", values: int = 1) -> Command:
        how = "confined" if self._tier == "landlock+seccomp" else "open"
        return Command(
            [self._toolchain.runner, how, f"./{LIBRARY_NAME}", *arguments],
            str(folder),
            self._run_limit,
            self._run_limit * _WALL_FACTOR,
            memory_bytes=2 * _GIB,
            verdict_bytes=min(1 << 26, values * _LONGEST_VALUE),
            readable=[str(folder / LIBRARY_NAME), str(folder.parent / "tools"), *self._toolchain.libraries],
            key=key,
        )

    def _words(self, launcher: Launcher, folder: Path, text: str) -> str:
        """What a command said, without control characters and without the folder's name, which differs from run to run."""
        for path in (str(folder), launcher.inside(str(folder))):
            text = text.replace(f"{path}/", "").replace(path, ".")
        return printable(text)


_NO_VERDICT = Verdict("RuntimeError", "Error: the tests ended without their verdict")


def verdict_of_run(outcome: Outcome, counts: tuple[int | None, int] | None, limit: int, tier: Tier, said: str) -> Verdict:
    """What a run of the tests comes to.

    Args:
        counts: tests passed and tests, as far as the program reported what can be true.
        limit: seconds that it had.
        said: its error output, without what differs from run to run.

    Raises:
        Trouble: if something from outside ended it.
    """
    if outcome.stopped_by in ("cpu", "wall"):
        return Verdict("TimeoutExpired", f"Error: the tests did not end within {limit} s", is_final=outcome.stopped_by == "cpu")
    is_from_outside = outcome.exit_code < 0 and -outcome.exit_code not in _OWN_SIGNALS and not outcome.stopped_by
    if is_from_outside and tier == "landlock+seccomp":
        raise Trouble(f"signal {-outcome.exit_code} ended the tests from outside; perhaps the machine has no memory left")
    if outcome.stopped_by or outcome.exit_code != 0 or outcome.errors:
        return Verdict("RuntimeError", said or f"Error: the tests ended with {_ending(outcome.exit_code)}", is_final=not is_from_outside)
    correct, total = counts or (None, 0)
    if correct is None:
        return _NO_VERDICT
    if correct == total:
        return Verdict("No", "", correct, total)
    return Verdict("Correctness", f"{correct} of {total} tests passed", correct, total)


def _signed_counts(said: str, key: str) -> tuple[int, int] | None:
    """The counts behind the key, if they can be true: what else a program writes there is not to be trusted."""
    signed = re.fullmatch(rf"{key} (\d{{1,9}}) (\d{{1,9}})\n", said)
    if signed is None or not 0 < int(signed[2]) >= int(signed[1]):
        return None
    return int(signed[1]), int(signed[2])


def _without_name(verdict: Verdict, name: str) -> Verdict:
    """The verdict with the name in its words replaced by that of a plain program's module."""
    return replace(verdict, description=verdict.description.replace(name, SOURCE_NAME.removesuffix(".d")))


def _write(file: Path, program: str) -> None:
    file.unlink(missing_ok=True)
    with file.open("xb") as written:
        written.write(program.encode("utf-8", "surrogateescape"))
    hand_over(file)


def _succeeded(outcome: Outcome) -> bool:
    return outcome.exit_code == 0 and not outcome.stopped_by


def _reaches(messages: str, line: int) -> bool:
    """Whether a message points at ``line`` or beyond, where the compiled program differs from the plain one."""
    return any(int(found) >= line for found in _LOCATION.findall(messages))


def _ending(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
