"""One translation judged: compiled with its test program, linked, run confined, and its verdict read."""

import os
import queue
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from d_running.compiler import BUILD_ENVIRONMENT, LIBRARY_NAME, SOURCE_NAME, Compiler, Toolchain
from d_running.harness import MARKER, plain_program, reporting_program, shared_program
from d_running.sandbox import Command, Launcher, Outcome, Tier
from d_running.strict import VALUES_SOURCE, StrictTest, strict_test

ErrorKind = Literal["No", "Compilation", "RuntimeError", "TimeoutExpired", "Correctness", "Exception"]

_GIB = 1 << 30
# Wall time is only for programs that sleep: a busy machine must not turn a slow program into a failed one.
_WALL_FACTOR = 4

_SECRET_NAME = re.compile(r"kecode_[0-9a-f]{16}")
_LOCATION = re.compile(rf"^{re.escape(SOURCE_NAME)}\((\d+)", re.MULTILINE)
_BACKTRACE = re.compile(r"^-{10,}$.*", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}|\b[0-9a-f]{12,16}\b")


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one program.

    Attributes:
        error: the kind of failure, "No" for none.
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

    def __init__(self, compiler: Compiler, tier: Tier, jobs: int, compile_limit: int, run_limit: int, strict: bool = False) -> None:
        """``compile_limit`` and ``run_limit`` are seconds of processor time; with ``strict``, programs do not hold the expected results."""
        self._compiler, self._tier, self._jobs = compiler, tier, jobs
        self._compile_limit, self._run_limit, self._strict = compile_limit, run_limit, strict

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="d_running_")))
            self._toolchain = Toolchain(self._compiler, self._folder)
            self._launchers: queue.SimpleQueue[Launcher] = queue.SimpleQueue()
            for _ in range(self._jobs):
                self._launchers.put(stack.enter_context(Launcher(self._tier)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def judge(self, test_program: str, function: str) -> Verdict:
        """Compile ``function`` with its test program and run it.

        Raises:
            RuntimeError: if the machinery itself fails.
        """
        with self._workplace() as (launcher, folder):
            name = _secret_name()
            strict = strict_test(test_program, name) if self._strict else None
            program, changed_line = reporting_program(strict.program if strict else test_program, function, name)
            plain = plain_program(test_program, function)
            if strict:
                changed_line = plain_program(test_program.partition(MARKER)[0] + MARKER, function).count("\n") + 1
            failure = self._build(launcher, folder, self._compiler.compile_command(), program)
            if failure and _reaches(failure.description, changed_line):
                failure = self._build(launcher, folder, self._compiler.check_command(), plain) or failure
            failure = failure or self._build(launcher, folder, self._toolchain.link_command)
            verdict = failure or self._run(launcher, folder, "_Dmain", name, strict)
            if verdict is None:  # the plain link says why, in the linker's words
                verdict = self._build(launcher, folder, self._compiler.plain_command(), plain) or _NO_VERDICT
            return _without_name(verdict, name)

    def judge_together(self, programs: dict[str, tuple[str, str]]) -> dict[str, Verdict]:
        """Compile many (test program, function) pairs by one command into one library, and run each in a process of its own.

        Returns:
            The verdicts, with the keys of ``programs``; those that must be compiled alone or did not compile are left out.

        Raises:
            RuntimeError: if the machinery itself fails.
        """
        keys = {_secret_name(): key for key in programs}
        strict = {name: strict_test(programs[key][0], name) if self._strict else None for name, key in keys.items()}
        sources: dict[str, str] = {}
        for name, key in keys.items():
            test_program, function = programs[key]
            if source := shared_program(test.program if (test := strict[name]) else test_program, function, name):
                sources[name] = source
        with self._workplace() as (launcher, folder):
            built = self._build_together(launcher, folder, sources)
            verdicts = {name: self._run(launcher, folder, f"{name}_main", name, strict[name]) for name in built}
        return {keys[name]: _without_name(verdict, name) for name, verdict in verdicts.items() if verdict}

    @contextmanager
    def _workplace(self) -> Iterator[tuple[Launcher, Path]]:
        """A launcher and an empty folder, for one thread."""
        launcher = self._launchers.get()
        try:
            with tempfile.TemporaryDirectory(dir=self._folder) as name:
                if self._strict:
                    shutil.copy(VALUES_SOURCE, name)
                yield launcher, Path(name)
        finally:
            self._launchers.put(launcher)

    def _build_together(self, launcher: Launcher, folder: Path, sources: dict[str, str]) -> list[str]:
        """Compile and link modules, without those that fail; the names of those that are in the library then.

        Messages are only read for the modules that they name: one module's errors can hide another's.
        """
        for name, source in sources.items():
            _write(folder / f"{name}.d", source)
        while sources:
            compile_all = self._compiler.compile_command([f"{name}.d" for name in sources])
            outcome = launcher.run(self._build_command(compile_all, folder))
            if _succeeded(outcome):
                outcome = launcher.run(self._build_command(self._toolchain.link_command, folder))
            if _succeeded(outcome):
                outcome = launcher.run(self._run_command(folder, []))
            if _succeeded(outcome):
                return list(sources)
            failing = sources.keys() & set(_SECRET_NAME.findall(outcome.errors + outcome.verdict))
            if not failing or outcome.stopped_by in ("cpu", "wall"):
                return []
            sources = {name: source for name, source in sources.items() if name not in failing}
        return []

    def _build(self, launcher: Launcher, folder: Path, argv: list[str], program: str | None = None) -> Verdict | None:
        """Run a compiler or linker, on ``program`` if that is given; the failure that it shows, None if it shows none."""
        if program is not None:
            _write(folder / SOURCE_NAME, program)
        outcome = launcher.run(self._build_command(argv, folder))
        if outcome.stopped_by in ("cpu", "wall"):
            text = f"Error: the compiler did not end within {self._compile_limit} s"
            return Verdict("TimeoutExpired", text, is_final=outcome.stopped_by == "cpu")
        if _succeeded(outcome):
            return None
        messages = self._compiler.worded_alike(outcome.errors).strip()
        if "Error:" not in messages:  # the compiler broke down, on memory or a bug of its own: no two texts are the same
            return Verdict("Compilation", f"Error: the compiler ended with {_ending(outcome.exit_code)}")
        return Verdict("Compilation", messages)

    def _build_command(self, argv: list[str], folder: Path) -> Command:
        limit = self._compile_limit
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(folder), **BUILD_ENVIRONMENT}
        return Command(
            argv,
            str(folder),
            limit,
            limit * _WALL_FACTOR,
            memory_bytes=4 * _GIB,
            output_bytes=1 << 18,
            file_bytes=1 << 28,
            may="build",
            readable=[str(self._folder), str(self._compiler.home)],
            environment=environment,
        )

    def _run(self, launcher: Launcher, folder: Path, main: str, name: str, test: StrictTest | None) -> Verdict | None:
        """Run the program whose ``main`` and counts have these symbols in the folder's library; None if it could not be loaded."""
        outcome = launcher.run(self._run_command(folder, [main, name], key := secrets.token_hex(16)))
        limit = self._run_limit
        if outcome.stopped_by in ("cpu", "wall"):
            return Verdict("TimeoutExpired", f"Error: the tests did not end within {limit} s", is_final=outcome.stopped_by == "cpu")
        if outcome.exit_code == 1 and outcome.verdict.startswith("not loaded: "):
            return None
        if outcome.stopped_by or outcome.exit_code != 0 or outcome.errors:
            said = faithful_words(outcome.errors)
            return Verdict("RuntimeError", said or f"Error: the tests ended with {_ending(outcome.exit_code)}")
        signed = re.fullmatch(rf"(.*){key} (\d+) (\d+)\n", outcome.verdict, re.DOTALL)
        correct = None if signed is None else test.passed(signed[1]) if test else int(signed[2])
        if signed is None or correct is None:
            return _NO_VERDICT
        total = int(signed[3])
        if correct == total > 0:
            return Verdict("No", "", correct, total)
        return Verdict("Correctness", f"{correct} of {total} tests passed", correct, total)

    def _run_command(self, folder: Path, arguments: list[str], key: str = "") -> Command:
        library = str(folder / LIBRARY_NAME)
        return Command(
            [self._toolchain.runner, library, *arguments],
            str(folder),
            self._run_limit,
            self._run_limit * _WALL_FACTOR,
            memory_bytes=2 * _GIB,
            verdict_bytes=1 << (26 if self._strict else 16),
            readable=[library, *self._toolchain.libraries],
            key=key,
        )


_NO_VERDICT = Verdict("RuntimeError", "Error: the tests ended without their verdict")


def _without_name(verdict: Verdict, name: str) -> Verdict:
    """The verdict with the secret name in its words replaced by that of a plain program's module."""
    return replace(verdict, description=verdict.description.replace(name, SOURCE_NAME.removesuffix(".d")))


def _secret_name() -> str:
    return f"kecode_{secrets.token_hex(8)}"


def _write(file: Path, program: str) -> None:
    file.write_bytes(program.encode("utf-8", "surrogateescape"))


def _succeeded(outcome: Outcome) -> bool:
    return outcome.exit_code == 0 and not outcome.stopped_by


def faithful_words(errors: str) -> str:
    """A program's error output without what differs from run to run: the backtrace and addresses."""
    return _ADDRESS.sub("0x…", _BACKTRACE.sub("", errors)).strip()


def _reaches(messages: str, line: int) -> bool:
    """Whether a message points at ``line`` or beyond, where the compiled program differs from the plain one."""
    return any(int(found) >= line for found in _LOCATION.findall(messages))


def _ending(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
