"""Running untrusted programs: the strongest containment that this machine offers, probed once."""

import functools
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from util.errors import UserError
from util.logs import ONCE

Tier = Literal["landlock+seccomp", "bubblewrap", "rlimits"]

_LAUNCHER = Path(__file__).with_name("launcher.py")
_LIBRARIES = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"]
# What compilers and linkers need, and nothing of the user's: a translation can have the compiler read what it may read.
_D_FILES = ["/usr/include/d", "/usr/include/dmd", "/usr/local/include/d", "/etc/ldc2.conf", "/etc/ldc2.conf.d", "/etc/dmd.conf"]
_TOOLS = ["/bin", "/usr/bin", "/usr/local/bin", "/usr/libexec", "/etc/alternatives", *_D_FILES, *_LIBRARIES]
_INSIDE = "/kecode"
_NOBODY = 65534
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
        output_bytes, verdict_bytes: of error output, and of what comes over descriptor 3 (for "build" also over standard output);
            with more than that it is stopped.
        file_bytes: the largest file that it may write.
        stack_bytes: of the stack.
        may: "compute" for what only reads the system's libraries and ``readable``, and has no processes and no sockets; "build"
            for a compiler or linker, which reads and executes the system's programs and writes into ``folder`` alone.
        readable: further files and folders, beneath the launcher's folder or visible to it.
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
        cpu_seconds: that it used.
    """

    exit_code: int
    errors: str
    verdict: str
    stopped_by: str
    cpu_seconds: float


class Trouble(RuntimeError):
    """The machinery itself failed: a full disk, no memory, a signal from outside. It says nothing about a program."""


class Launcher:
    """A running `launcher` process; a context manager. One thread may use it at a time."""

    def __init__(self, tier: Tier, folder: Path, visible: Sequence[str] = (), isolated: bool | None = None) -> None:
        """What commands work in lies in ``folder``, and what else they may read among ``visible``; see `probe_isolation` for ``isolated``."""
        self.tier, self._folder, self._visible = tier, folder, visible
        self._isolated = (tier == "landlock+seccomp" and probe_isolation()) if isolated is None else isolated
        self._stopped = False

    def __enter__(self) -> Self:
        self._start()
        return self

    def _start(self) -> None:
        settings = {"isolated": self._isolated, "folder": str(self._folder), "inside": _INSIDE, "visible": [*_TOOLS, *self._visible]}
        if self._isolated:
            (self._folder / "root").mkdir(exist_ok=True)
        arguments = [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(settings)]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={})
        try:
            ready = self._answer()
        except json.JSONDecodeError:
            ready = {"ready": False, "reason": "the launcher ended at once"}
        if not ready["ready"]:
            self._process.communicate()
            raise Trouble(f"programs could not be isolated: {ready['reason']}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def stop(self) -> None:
        """End the launcher and what it runs, from any thread; it is not started again."""
        self._stopped = True
        self._process.kill()

    def run(self, command: Command) -> Outcome:
        """Run ``command`` to its end or its limits; nothing of it runs on afterwards.

        Raises:
            Trouble: if the launcher fails or cannot start the command.
        """
        readable = [*(_LIBRARIES if command.may == "compute" else _TOOLS), *command.readable]
        wrapped = self.tier == "bubblewrap"
        request = asdict(command) | {"confined": self.tier == "landlock+seccomp", "isolated": self._isolated, "nobody": _NOBODY}
        request |= {"readable": list(map(self.inside, readable)), "folder": self.inside(command.folder), "filter_descriptor": 0}
        if wrapped:
            request["argv"] = _bubblewrap(command, readable)
            request["filter_descriptor"] = _FILTER_DESCRIPTOR if command.may == "compute" else 0
        answer = self._ask(request)
        if "not_started" in answer:
            raise Trouble(f"{command.argv[0]} was not started: {answer['not_started']}")
        outcome = Outcome(**answer)
        return _unwrapped(outcome) if wrapped else outcome

    def inside(self, path: str) -> str:
        """Where commands find ``path``, which may lie in the launcher's folder."""
        folder = str(self._folder)
        return _INSIDE + path.removeprefix(folder) if self._isolated and (path + "/").startswith(folder + "/") else path

    def can_confine(self) -> bool:
        """Whether Landlock and seccomp work here, tried on a child process."""
        return bool(self._ask({"probe": True})["can_confine"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            return self._answer()
        except (BrokenPipeError, json.JSONDecodeError) as error:
            self._process.kill()
            self._process.wait()
            if self._stopped:
                raise Trouble("judging was stopped") from error
            self._start()
            raise Trouble("the launcher of test programs has ended; it was started again") from error

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


def _bubblewrap(command: Command, readable: list[str]) -> list[str]:
    """The command inside bubblewrap: namespaces of its own, few files, its folder only for a compiler, no environment but its own."""
    arguments = [str(shutil.which("bwrap")), "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    for path in readable:
        arguments += ["--ro-bind-try", path, path]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    if command.may == "build":
        arguments += ["--bind", command.folder, command.folder]
    else:
        arguments += ["--dir", command.folder, "--seccomp", str(_FILTER_DESCRIPTOR)]
    for name, value in command.environment.items():
        arguments += ["--setenv", name, value]
    return [*arguments, "--chdir", command.folder, "--cap-drop", "ALL", "--", *command.argv]


def _unwrapped(outcome: Outcome) -> Outcome:
    """The outcome of the program inside bubblewrap, which reports an end by signal as 128 + its number."""
    number = outcome.exit_code - _SIGNAL_BASE
    if number <= 0:
        return outcome
    return replace(outcome, exit_code=-number, stopped_by="cpu" if number == _SIGXCPU else outcome.stopped_by)


def hand_over(path: Path) -> None:
    """Give ``path`` to the user that commands run as: somebody without rights, if this process is root's."""
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)


@functools.cache
def probe_tier() -> Tier:
    """The strongest tier that works here: Landlock with seccomp, bubblewrap, or resource limits alone."""
    nowhere = Path("/")
    with Launcher("landlock+seccomp", nowhere, isolated=False) as launcher:
        if launcher.can_confine():
            return "landlock+seccomp"
    if shutil.which("bwrap"):
        with Launcher("bubblewrap", nowhere) as launcher:
            if launcher.run(Command([_TRIAL], "/", 1, 10, 1 << 30)).exit_code == 0:
                return "bubblewrap"
    return "rlimits"


@functools.cache
def probe_isolation() -> bool:
    """Whether programs can have a root folder, processes and a network of their own here, on top of Landlock and seccomp.

    Without that they can still see which files exist and what the machine's network is; container managers often forbid it.
    """
    with tempfile.TemporaryDirectory(prefix="d_probe_") as folder, suppress(Trouble), Launcher("landlock+seccomp", Path(folder), isolated=True):
        return True
    return False


def choose_tier(allow_unsafe_execution: bool = False) -> Tier:
    """The tier to run translations in.

    Raises:
        UserError: if only resource limits are left and the user has not allowed them.
    """
    tier = probe_tier()
    hidden = tier == "landlock+seccomp" and not probe_isolation()
    seen = ", and see which files exist: namespaces are not allowed" * hidden
    log.info("Translated programs run in the sandbox tier %s%s.", tier, seen, extra=ONCE)
    if tier == "rlimits" and not allow_unsafe_execution:
        raise UserError(
            "Neither Landlock (Linux 5.13) nor bubblewrap works here, so translated programs could read and change your files; "
            "install bubblewrap, or accept that with --allow_unsafe_execution."
        )
    return tier
