"""Running untrusted programs: the strongest containment that this machine offers, probed once."""

import functools
import json
import logging
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from util.errors import UserError

Tier = Literal["landlock+seccomp", "bubblewrap", "rlimits"]

_LAUNCHER = Path(__file__).with_name("launcher.py")
_LIBRARIES = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"]
_TOOLS = ["/bin", "/usr", "/lib", "/lib64", "/opt", "/etc"]
_TRIAL = "/usr/bin/true"
_FILTER_DESCRIPTOR = 5
_SIGNAL_BASE = 128
_SIGXCPU = 24

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Command:
    """A command and the limits that it runs under.

    Attributes:
        argv: the program and its arguments.
        folder: the working directory.
        cpu_seconds, wall_seconds: after either of them it is stopped.
        memory_bytes: of address space, for each process.
        output_bytes, verdict_bytes: of error output, and of what comes over descriptor 3; with more than that it is stopped.
        file_bytes: the largest file that it may write.
        stack_bytes: of the stack.
        may: "compute" for what only reads the system's libraries and ``readable``, and has no processes and no sockets; "build"
            for a compiler or linker, which reads and executes the system's programs and writes into ``folder`` alone.
        readable: further files and folders.
        key: what it can read from descriptor 4.
        environment: all of its environment variables.
    """

    argv: list[str]
    folder: str
    cpu_seconds: int
    wall_seconds: float
    memory_bytes: int
    output_bytes: int = 1 << 16
    verdict_bytes: int = 1 << 16
    file_bytes: int = 0
    stack_bytes: int = 1 << 26
    may: Literal["compute", "build"] = "compute"
    readable: list[str] = field(default_factory=list)
    key: str = ""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of a command.

    Attributes:
        exit_code: its exit code, or the negative number of the signal that ended it.
        errors: what it wrote to standard error, cut at `Command.output_bytes`.
        verdict: what it wrote to descriptor 3.
        stopped_by: the limit that stopped it: "cpu", "wall" or "output", else "".
    """

    exit_code: int
    errors: str
    verdict: str
    stopped_by: str


class Launcher:
    """A running `launcher` process; a context manager. One thread may use it at a time."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier

    def __enter__(self) -> Self:
        self._start()
        return self

    def _start(self) -> None:
        arguments = [sys.executable, "-I", "-S", str(_LAUNCHER)]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def run(self, command: Command) -> Outcome:
        """Run ``command`` to its end or its limits; nothing of it runs on afterwards.

        Raises:
            RuntimeError: if the launcher itself fails.
        """
        readable = [*(_LIBRARIES if command.may == "compute" else _TOOLS), *command.readable]
        wrapped = self.tier == "bubblewrap"
        request = asdict(command) | {"readable": readable, "confined": self.tier == "landlock+seccomp", "filter_descriptor": 0}
        if wrapped:
            request["argv"] = _bubblewrap(command, readable)
            request["filter_descriptor"] = _FILTER_DESCRIPTOR if command.may == "compute" else 0
        outcome = Outcome(**self._ask(request))
        if outcome.verdict.startswith("not started: "):
            raise RuntimeError(f"{command.argv[0]} was {outcome.verdict}")
        return _unwrapped(outcome) if wrapped else outcome

    def can_confine(self) -> bool:
        """Whether Landlock and seccomp work here, tried on a child process."""
        return bool(self._ask({"probe": True})["can_confine"])

    def _ask(self, request: dict) -> dict:
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError) as error:
            self._process.kill()
            self._process.wait()
            self._start()
            raise RuntimeError("the launcher of test programs has ended; it was started again") from error


def _bubblewrap(command: Command, readable: list[str]) -> list[str]:
    """The command inside bubblewrap: namespaces of its own, few files, its folder only for a compiler, no environment but its own."""
    arguments = [str(shutil.which("bwrap")), "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    for path in readable:
        arguments += ["--ro-bind-try", path, path]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    if command.may == "build":
        arguments += ["--bind", command.folder, command.folder]
    else:
        arguments += ["--ro-bind", command.argv[0], command.argv[0], "--dir", command.folder, "--seccomp", str(_FILTER_DESCRIPTOR)]
    for name, value in command.environment.items():
        arguments += ["--setenv", name, value]
    return [*arguments, "--chdir", command.folder, "--cap-drop", "ALL", "--", *command.argv]


def _unwrapped(outcome: Outcome) -> Outcome:
    """The outcome of the program inside bubblewrap, which reports an end by signal as 128 + its number."""
    number = outcome.exit_code - _SIGNAL_BASE
    if number <= 0:
        return outcome
    return Outcome(-number, outcome.errors, outcome.verdict, "cpu" if number == _SIGXCPU else outcome.stopped_by)


@functools.cache
def probe_tier() -> Tier:
    """The strongest tier that works here: Landlock with seccomp, bubblewrap, or resource limits alone."""
    with Launcher("landlock+seccomp") as launcher:
        if launcher.can_confine():
            return "landlock+seccomp"
    if shutil.which("bwrap"):
        with Launcher("bubblewrap") as launcher:
            if launcher.run(Command([_TRIAL], "/", 1, 10, 1 << 30)).exit_code == 0:
                return "bubblewrap"
    return "rlimits"


def choose_tier(allow_unsafe_execution: bool = False) -> Tier:
    """The tier to run translations in.

    Raises:
        UserError: if only resource limits are left and the user has not allowed them.
    """
    tier = probe_tier()
    log.info("Translated programs run in the sandbox tier %s.", tier)
    if tier == "rlimits" and not allow_unsafe_execution:
        raise UserError(
            "Neither Landlock (Linux 5.13) nor bubblewrap works here, so translated programs could read and change your files; "
            "install bubblewrap, or accept that with --allow_unsafe_execution."
        )
    return tier
