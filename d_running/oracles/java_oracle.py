"""Runs Java methods with the JDK on given inputs: compiled all at once, called by `JavaOracle.java` with the inputs as data.

A method that does not compile, throws, does not end, takes too much memory or ends the program disturbs no other. The methods run with
limits but uncontained, since a JVM needs threads and files: run only sources that you would run yourself. Translations are judged by
`d_running.unit_test`, contained.
"""

import os
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d_running.oracles import Answer, Answers
from util.errors import BenchmarkError

CPU_SECONDS = 30  # for all calls of one method; no D program may take as long
_WALL_SECONDS = 4 * CPU_SECONDS  # only for methods that sleep or wait
_COMPILE_SECONDS = 300
_HEAP = "-Xmx1g"
_MOST_OUTPUT = 1 << 28
_DRIVER = Path(__file__).with_name("JavaOracle.java")
_REMEDY = "install a JDK of version 11 or newer (Debian: default-jdk-headless)"
_DIAGNOSTIC = re.compile(r"^(?P<file>m\d+/.*?|JavaOracle)\.java:(?P<line>\d+): error: (?P<message>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class JavaMethod:
    """A static method and the inputs to call it with.

    Attributes:
        unit: a whole compilation unit without a package; its classes are not looked up by other methods' units.
        class_name, name: the unit's public class and the method to call; there must be only one of that name.
        inputs: one list of arguments per call: int, float, bool, str (also for char) and nested lists of them, which fit the types.
    """

    unit: str
    class_name: str
    name: str
    inputs: Sequence[Sequence[Any]]


def has_jdk() -> bool:
    """Whether ``javac`` and ``java`` are on the PATH."""
    return bool(shutil.which("javac") and shutil.which("java"))


def java_version() -> str:
    """What ``java -version`` calls itself, such as ``openjdk version "17.0.15" 2025-04-15``; "" where there is none."""
    if not has_jdk():
        return ""
    return subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.partition("\n")[0]


def java_results(methods: Sequence[JavaMethod], cpu_seconds: int | None = None) -> list[Answers]:
    """Compile and call the methods; one `Answers` for each, in order, with the arguments after each call.

    Characters and strings come back as str, null as None.

    Args:
        cpu_seconds: for all calls of one method, by default ``CPU_SECONDS``.

    Raises:
        BenchmarkError: if the JDK is missing or does not run.
    """
    if not has_jdk():
        raise BenchmarkError(f"javac and java were not found; {_REMEDY}.")
    with tempfile.TemporaryDirectory(prefix="java_oracle_") as name:
        folder = Path(name)
        files = [f"m{index}/{method.class_name}" for index, method in enumerate(methods)]
        for index, method in enumerate(methods):
            (folder / f"m{index}").mkdir()
            # Each in a package of its own, named on the unit's first line, so that line numbers stay.
            (folder / f"{files[index]}.java").write_bytes(f"package m{index}; {method.unit}".encode("utf-8", "replace"))
        (folder / _DRIVER.name).write_bytes(_DRIVER.read_bytes())
        problems = _compile([_DRIVER.stem, *files], folder)
        if _DRIVER.stem in problems:
            raise BenchmarkError(f"javac does not take {_DRIVER}: {problems[_DRIVER.stem]}; {_REMEDY}.")
        results = {index: Answers(problem=problems[file]) for index, file in enumerate(files) if file in problems}
        left = {index: method for index, method in enumerate(methods) if index not in results}
        results |= _call(left, folder, cpu_seconds or CPU_SECONDS)
    return [results[index] for index in range(len(methods))]


def _compile(files: list[str], folder: Path) -> dict[str, str]:
    """Compile the files together; those that do not compile, with javac's message."""
    problems: dict[str, str] = {}
    while files:
        errors = _javac(files, folder)
        if not errors:
            break
        named: dict[str, str] = {}
        for found in _DIAGNOSTIC.finditer(errors):
            named.setdefault(found["file"], f"its Java does not compile: line {found['line']}: {found['message']}")
        if not named:  # javac itself failed
            if len(files) == 1:
                return problems | {files[0]: f"its Java does not compile: {errors.strip().partition(chr(10))[0][:200]}"}
            middle = len(files) // 2
            return problems | _compile(files[:middle], folder) | _compile(files[middle:], folder)
        problems |= named
        files = [file for file in files if file not in named]
    return problems


def _javac(files: list[str], folder: Path) -> str:
    """Compile the files; what javac says if it fails, else ""."""
    (folder / "files").write_text("\n".join(f"{file}.java" for file in files), encoding="utf-8")
    options = ["-J-Duser.language=en", "-J-Xss256m", "-encoding", "UTF-8", "-proc:none", "-nowarn", "-Xmaxerrs", "1000000", "-d", "."]
    try:
        done = subprocess.run(
            ["javac", *options, "@files"], cwd=folder, env=_environment(), capture_output=True, timeout=_COMPILE_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"javac does not end within {_COMPILE_SECONDS} s"
    return (done.stderr or done.stdout or b"javac fails").decode("utf-8", "replace") if done.returncode else ""


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def _call(methods: dict[int, JavaMethod], folder: Path, cpu_seconds: int) -> dict[int, Answers]:
    """Call the compiled methods, in as few Java programs as their behaviour allows."""
    indices = list(methods)
    jobs = [struct.pack(">i", len(indices))]
    for index, method in methods.items():
        calls = [b"".join(map(_encoded, row)) for row in method.inputs]
        jobs += [_utf(f"m{index}.{method.class_name}"), _utf(method.name), struct.pack(">i", len(calls))]
        jobs += [struct.pack(">i", len(call)) + call for call in calls]
    (folder / "jobs").write_bytes(b"".join(jobs))
    results: list[Answers] = []
    while len(results) < len(indices):
        new = _records(_run_driver(folder, len(results), cpu_seconds), len(results), len(indices), cpu_seconds)
        # A program that ends without a record was ended by the method whose turn it was.
        results += new or [Answers(problem="its Java ends the program, or writes into its results, instead of returning")]
    return dict(zip(indices, results, strict=True))


def _run_driver(folder: Path, first: int, cpu_seconds: int) -> bytes:
    """The output of a driver that calls the methods from index ``first`` on, as far as it comes."""
    command = ["java", _HEAP, "-XX:+UseSerialGC", _DRIVER.stem, "jobs", str(first), str(cpu_seconds), str(_WALL_SECONDS)]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        try:
            output = _read(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if not output:
        raise BenchmarkError(f"java does not run: {(folder / 'stderr').read_text(errors='replace').strip()[:300]}; {_REMEDY}.")
    return output[1:]


def _read(process: subprocess.Popen[bytes]) -> bytes:
    """What the driver writes until it ends or has been silent for longer than its own limits allow."""
    assert process.stdout
    output = bytearray()
    deadline = time.monotonic() + 3 * _WALL_SECONDS
    while len(output) < _MOST_OUTPUT and select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
        chunk = os.read(process.stdout.fileno(), 1 << 16)
        if not chunk:
            break
        output += chunk
        deadline = time.monotonic() + 3 * _WALL_SECONDS
    return bytes(output)


def _records(output: bytes, first: int, end: int, cpu_seconds: int) -> list[Answers]:
    """The whole records of a driver's output, for the methods from ``first`` on."""
    results: list[Answers] = []
    while output.startswith(struct.pack(">i", first + len(results))) and first + len(results) < end:
        record, output = output[8:], output[4:]
        length = int.from_bytes(output[:4], "big")
        if len(record) < length:  # cut off where a method ended the program
            break
        results.append(_Reader(record[:length]).answers(cpu_seconds))
        output = record[length:]
    return results


def _utf(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _encoded(value: Any) -> bytes:
    """A value as `JavaOracle.java` reads it."""
    match value:
        case bool():
            return struct.pack(">c?", b"b", value)
        case int():
            return struct.pack(">cq", b"i", value)
        case float():
            return struct.pack(">cd", b"r", value)
        case str():
            data = value.encode("utf-16-be", "surrogatepass")
            return struct.pack(">ci", b"s", len(data)) + data
        case list():
            return struct.pack(">ci", b"a", len(value)) + b"".join(map(_encoded, value))
    raise TypeError(f"no Java value: {value!r}")


class _Reader:
    """Reads what `JavaOracle.java` writes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def unpack(self, layout: str) -> Any:
        (value,) = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return value

    def answers(self, cpu_seconds: int) -> Answers:
        match self.unpack("c"):
            case b"T":
                endless = self.unpack(">i")
                return Answers(problem=f"its Java does not end within {cpu_seconds} s (input {endless + 1})", endless=endless)
            case b"P":
                return Answers(problem=self.value())
        return Answers([self.answer() for _ in range(self.unpack(">i"))])

    def answer(self) -> Answer:
        return Answer(failure=self.value()) if self.unpack("c") == b"E" else Answer(self.value(), arguments=self.value())

    def value(self) -> Any:
        match self.unpack("c"):
            case b"n":
                return None
            case b"b":
                return self.unpack("?")
            case b"i":
                return self.unpack(">q")
            case b"r":
                return self.unpack(">d")
            case b"s":
                length = self.unpack(">i")
                self._at += length
                return self._data[self._at - length : self._at].decode("utf-16-be", "surrogatepass")
            case b"a":
                return [self.value() for _ in range(self.unpack(">i"))]
        raise IndexError("a value of no known kind")
