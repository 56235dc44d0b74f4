"""The small process that starts one untrusted command at a time, under limits (see `sandbox`, which talks to it).

It is started by path as ``python -I -S launcher.py SETTINGS`` and imports little, so that forking it is cheap, and safe whatever
threads the program around it runs. SETTINGS are JSON: whether to isolate itself, the folder of the work, and what stays visible.
It says that it is ready, then reads one JSON request a line and answers with one JSON line. A request is a `sandbox.Command` as a dict,
with the files that stay readable; ``{"probe": true}`` asks whether this kernel can confine.
"""

import fcntl
import json
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from d_running import confine, isolate
else:  # neighbours, found by path: as parts of the package they would import too much
    sys.path.insert(0, str(Path(__file__).parent))
    import confine
    import isolate

VERDICT_DESCRIPTOR, KEY_DESCRIPTOR = 3, 4
_PR_SET_CHILD_SUBREAPER = 36
_ADDR_NO_RANDOMIZE = 0x0040000
_CHUNK = 65536
_LIMIT_REACHED = 0.95
"""Of the processor time: the kernel sends SIGXCPU by a clock that samples, which on a busy machine is ahead of the exact one (7 ms of 1 s seen)."""


def main() -> None:
    """Serve requests until standard input ends; Ctrl-C, or the end of the program around it, ends the command too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    confine.LIBC.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    settings = json.loads(sys.argv[1])
    try:
        if settings["isolated"]:
            isolate.enter(settings["folder"], settings["inside"], settings["visible"])
    except OSError as error:
        _say({"ready": False, "reason": str(error)})
        return
    confine.LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        _say({"can_confine": _can_confine()} if "probe" in request else _run(request))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _can_confine() -> bool:
    """Whether a confined child is indeed refused files, sockets and processes."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            confine.confine_to_computing("/bin/false", [])
            confine.restrict_calls()
            code = 0 if confine.is_confined() else 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one command to its end or its limits; kill what it leaves behind; say what came of it."""
    error_end, error_start = _pipe()
    verdict_end, verdict_start = _pipe()
    key_end, key_start = _pipe()
    failure_end, failure_start = _pipe()
    os.write(key_start, request["key"].encode())
    os.close(key_start)
    pid = os.fork()
    if pid == 0:
        try:
            _become(request, error_start, verdict_start, key_end)
        except BaseException as error:
            os.write(failure_start, str(error).encode())
        finally:
            os._exit(127)
    for descriptor in (error_start, verdict_start, key_end, failure_start):
        os.close(descriptor)
    output = {error_end: bytearray(), verdict_end: bytearray()}
    most = {error_end: request["output_bytes"], verdict_end: request["verdict_bytes"]}
    stopped_by = _wait(pid, output, time.monotonic() + request["wall_seconds"], most)
    _kill_group(pid)
    _, status, usage = os.wait4(pid, 0)
    _kill_orphans()
    failure = bytearray()  # its pipe is closed on execution: nothing that was executed can write here
    _read(failure_end, failure, _CHUNK)
    for descriptor in (*output, failure_end):
        os.close(descriptor)
    code = os.waitstatus_to_exitcode(status)
    cpu_seconds = usage.ru_utime + usage.ru_stime
    # Whatever the failure: LLVM catches SIGXCPU to print a backtrace, and may break down in that or go on.
    if code == -signal.SIGXCPU or (code != 0 and not stopped_by and cpu_seconds >= _LIMIT_REACHED * request["cpu_seconds"]):
        stopped_by = "cpu"
    errors, verdict = (bytes(data[: most[end]]).decode("utf-8", "replace") for end, data in output.items())
    outcome = {"exit_code": code, "errors": errors, "verdict": verdict, "stopped_by": stopped_by, "cpu_seconds": cpu_seconds}
    return {"not_started": failure.decode("utf-8", "replace")} if failure else outcome


def _pipe() -> tuple[int, int]:
    """A pipe whose descriptors stay clear of the numbers that the child gives out again; its reading end never blocks."""
    ends = []
    for descriptor in os.pipe():
        ends.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(descriptor)
    os.set_blocking(ends[0], False)
    return ends[0], ends[1]


def _become(request: dict[str, Any], errors: int, verdict: int, key: int) -> None:
    """Turn this forked child into the command."""
    os.setsid()
    confine.LIBC.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    confine.LIBC.personality(_ADDR_NO_RANDOMIZE)  # the same fault, the same way, on every run
    nothing = os.open("/dev/null", os.O_RDWR)
    said = verdict if request["may"] == "build" else nothing
    for source, target in ((nothing, 0), (said, 1), (errors, 2), (verdict, VERDICT_DESCRIPTOR), (key, KEY_DESCRIPTOR)):
        os.dup2(source, target)
    if request["filter_descriptor"]:  # bubblewrap installs it, at the last moment
        filters = os.memfd_create("filter", 0)
        os.write(filters, confine.calls_filter(None, None))
        os.lseek(filters, 0, os.SEEK_SET)
        os.dup2(filters, request["filter_descriptor"])
    for name in ("SIGPIPE", "SIGXFSZ"):  # which Python ignores, and exec would pass on
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.chdir(request["folder"])
    for kind, amount, more in (
        (resource.RLIMIT_CPU, request["cpu_seconds"], 1),
        (resource.RLIMIT_AS, request["memory_bytes"], 0),
        (resource.RLIMIT_FSIZE, request["file_bytes"], 0),
        (resource.RLIMIT_STACK, request["stack_bytes"], 0),
        (resource.RLIMIT_NOFILE, 64, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        most = resource.getrlimit(kind)[1]
        if most == resource.RLIM_INFINITY or most >= amount + more:
            resource.setrlimit(kind, (amount, amount + more))
    argv = request["argv"]
    computes = request["may"] == "compute"
    if request["confined"] and computes:
        confine.confine_to_computing(argv[0], request["readable"])
    elif request["confined"]:
        confine.confine_to_building(request["folder"], request["readable"])
    if request["confined"] and (computes or _is_for_all(argv[0])):  # a compiler may lie where only root can read
        isolate.drop_root(request["nobody"])
        confine.LIBC.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # which a change of user resets
    if request["confined"] and computes:
        confine.restrict_calls()
    confine.execute(argv, request["environment"])


def _is_for_all(path: str) -> bool:
    """Whether everybody may execute the file ``path``."""
    return all(place.stat().st_mode & 1 for place in (Path(path), *Path(path).parents))


def _wait(pid: int, output: dict[int, bytearray], deadline: float, most: dict[int, int]) -> str:
    """Collect output until the process ends; "wall" or "output" if it has to be stopped before, else ""."""
    process = os.pidfd_open(pid)
    poll = select.poll()
    for descriptor in (process, *output):
        poll.register(descriptor, select.POLLIN)
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return "wall"
            ready = {descriptor for descriptor, _ in poll.poll(left * 1000)}
            for descriptor in ready - {process}:
                if not _read(descriptor, output[descriptor], most[descriptor]):
                    poll.unregister(descriptor)
            if any(len(data) > most[end] for end, data in output.items()):
                return "output"
            if process in ready:
                return ""
    finally:
        os.close(process)


def _read(descriptor: int, data: bytearray, most: int) -> bool:
    """Take what is there, up to a little more than ``most`` bytes; False at the end of the file."""
    while len(data) <= most:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        data += chunk
    return True


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):  # it may have ended before it had a group of its own
        os.killpg(pid, signal.SIGKILL)


def _kill_orphans() -> None:
    """Kill what the command left behind in other sessions; being their subreaper, this process is their parent now."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return
        for pid in map(int, children):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
