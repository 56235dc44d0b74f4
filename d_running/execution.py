"""One translation judged: compiled with its test program, linked, run confined, and its verdict read."""

import os
import queue
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from d_running.compiler import SOURCE_NAME, Compiler, Linker
from d_running.harness import plain_program, reporting_program
from d_running.sandbox import Command, Launcher, Outcome, Tier

ErrorKind = Literal["No", "Compilation", "RuntimeError", "TimeoutExpired", "Correctness", "Exception"]

_GIB = 1 << 30
# Wall time is only for programs that sleep: a busy machine must not turn a slow program into a failed one.
_WALL_FACTOR = 4
# No threads, which the sandbox refuses; D takes the option away before main sees it.
_RUNTIME_OPTION = "--DRT-gcopt=parallel:0"

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

    def __init__(self, compiler: Compiler, tier: Tier, jobs: int, compile_limit: int, run_limit: int) -> None:
        """``compile_limit`` and ``run_limit`` are seconds of processor time."""
        self._compiler, self._tier, self._jobs = compiler, tier, jobs
        self._compile_limit, self._run_limit = compile_limit, run_limit

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="d_running_")))
            self._linker = Linker(self._compiler, self._folder)
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
        with self._borrowed() as launcher, tempfile.TemporaryDirectory(dir=self._folder) as name:
            key = secrets.token_hex(16)
            program, report_line = reporting_program(test_program, function, key)
            folder = Path(name)
            failure = self._compile(launcher, folder, program)
            if failure and _reaches(failure.description, report_line):
                failure = self._compile(launcher, folder, plain_program(test_program, function), check_only=True) or failure
            return failure or self._link(launcher, folder) or self._run(launcher, folder, key)

    @contextmanager
    def _borrowed(self) -> Iterator[Launcher]:
        launcher = self._launchers.get()
        try:
            yield launcher
        finally:
            self._launchers.put(launcher)

    def _compile(self, launcher: Launcher, folder: Path, program: str, check_only: bool = False) -> Verdict | None:
        (folder / SOURCE_NAME).write_bytes(program.encode("utf-8", "surrogateescape"))
        argv = self._compiler.check_command() if check_only else self._compiler.compile_command()
        return self._built(launcher.run(self._build_command(argv, folder)), "compiler")

    def _link(self, launcher: Launcher, folder: Path) -> Verdict | None:
        return self._built(launcher.run(self._build_command(self._linker.command, folder)), "linker")

    def _build_command(self, argv: list[str], folder: Path) -> Command:
        limit = self._compile_limit
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(folder)}
        return Command(
            argv, str(folder), limit, limit * _WALL_FACTOR, 4 * _GIB, output_bytes=1 << 18, file_bytes=1 << 28, environment=environment
        )

    def _built(self, outcome: Outcome, tool: str) -> Verdict | None:
        """The failure to compile or link that ``outcome`` shows, None if it shows none."""
        if outcome.stopped_by in ("cpu", "wall"):
            text = f"Error: the {tool} did not end within {self._compile_limit} s"
            return Verdict("TimeoutExpired", text, is_final=outcome.stopped_by == "cpu")
        if outcome.exit_code == 0 and not outcome.stopped_by:
            return None
        if "Error:" not in outcome.errors:  # the compiler broke down, on memory or a bug of its own: no two texts are the same
            return Verdict("Compilation", f"Error: the {tool} ended with {_ending(outcome.exit_code)}")
        return Verdict("Compilation", outcome.errors.strip())

    def _run(self, launcher: Launcher, folder: Path, key: str) -> Verdict:
        limit = self._run_limit
        argv = [self._linker.program, _RUNTIME_OPTION]
        outcome = launcher.run(Command(argv, str(folder), limit, limit * _WALL_FACTOR, 2 * _GIB, confined=True))
        if outcome.stopped_by in ("cpu", "wall"):
            return Verdict("TimeoutExpired", f"Error: the tests did not end within {limit} s", is_final=outcome.stopped_by == "cpu")
        if outcome.stopped_by or outcome.exit_code != 0 or outcome.errors:
            said = _ADDRESS.sub("0x…", _BACKTRACE.sub("", outcome.errors)).strip()
            return Verdict("RuntimeError", said or f"Error: the tests ended with {_ending(outcome.exit_code)}")
        signed = re.fullmatch(rf"{key} (\d+) (\d+)\n", outcome.verdict)
        if signed is None:
            return Verdict("RuntimeError", "Error: the tests ended without their verdict")
        correct, total = int(signed[1]), int(signed[2])
        if correct == total > 0:
            return Verdict("No", "", correct, total)
        return Verdict("Correctness", f"{correct} of {total} tests passed", correct, total)


def _reaches(messages: str, line: int) -> bool:
    """Whether a message points at ``line`` or beyond, where the reporting program differs from the plain one."""
    return any(int(found) >= line for found in _LOCATION.findall(messages))


def _ending(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
