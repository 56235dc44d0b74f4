"""Runs Python functions of a dataset on given inputs, each function in a process of its own, in the sandbox of the translations."""

import json
import queue
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d_running.oracles import Answer, Answers
from d_running.sandbox import Command, Launcher, hand_over, probe_tier
from util.processors import processors

CPU_SECONDS = 30  # for all calls of one function
_WALL_SECONDS = 4 * CPU_SECONDS
_MEMORY = 2 << 30
_OUTPUT = 1 << 26
_RUNNER = Path(__file__).with_name("python_runner.py")
_VISIBLE = [sys.base_prefix, str(_RUNNER)]


@dataclass(frozen=True)
class PythonFunction:
    """A Python function and the inputs to call it with.

    Attributes:
        source: the module that defines it.
        name: of the function.
        inputs: one list of arguments per call: int, float, bool, str and nested lists of them.
    """

    source: str
    name: str
    inputs: Sequence[Sequence[Any]]


def python_results(functions: Sequence[PythonFunction]) -> list[Answers]:
    """Call the functions; one `Answers` for each, in order. Tuples come back as lists.

    They run in the strongest tier of `sandbox` that works here, be it limits alone: unlike a translation, a dataset is what its user chose.
    """
    workers = processors()
    launchers: queue.SimpleQueue[tuple[Launcher, Path]] = queue.SimpleQueue()
    with ExitStack() as stack:
        for _ in range(workers):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="python_oracle_")))
            folder.chmod(0o711)
            launchers.put((stack.enter_context(Launcher(probe_tier(), folder, _VISIBLE)), folder))
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        return list(pool.map(lambda function: _run(function, launchers), functions))


def _run(function: PythonFunction, launchers: queue.SimpleQueue[tuple[Launcher, Path]]) -> Answers:
    launcher, own = launchers.get()
    try:
        with tempfile.TemporaryDirectory(dir=own) as folder:
            job = {"source": function.source, "name": function.name, "inputs": function.inputs}
            Path(folder, "job.json").write_text(json.dumps(job), encoding="utf-8")
            hand_over(Path(folder))
            command = Command(
                # Not -I: it would draw another order for sets of strings on every run. The environment holds nothing else anyway.
                [str(Path(sys.executable).resolve()), "-s", "-P", "-S", "-B", str(_RUNNER)],
                folder, CPU_SECONDS, _WALL_SECONDS, _MEMORY, output_bytes=_OUTPUT, readable=[*_VISIBLE, folder],
                environment={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
            )  # fmt: skip
            outcome = launcher.run(command)
    finally:
        launchers.put((launcher, own))
    lines = [line for line in outcome.verdict.splitlines(keepends=True) if line.endswith("\n")]
    if not lines:
        raise RuntimeError(f"{_RUNNER.name} did not start: {outcome.errors[-500:]}")
    missing = f"does not end within {CPU_SECONDS} s" if outcome.stopped_by in ("cpu", "wall") else "ends the program instead of returning"
    try:
        return _answers([json.loads(line) for line in lines[1:]], len(function.inputs), missing)
    except (ValueError, TypeError, KeyError, RecursionError):
        return Answers(problem="its Python writes into its results")


def _answers(lines: list[dict[str, Any]], count: int, missing: str) -> Answers:
    """What the runner's lines say of both passes; calls that it did not come to are ``missing``."""
    for line in lines:
        if "problem" in line:
            return Answers(problem=line["problem"])
    found = [Answer(failure=line["failure"]) if "failure" in line else Answer(line["value"]) for line in lines]
    first, second = found[:count], found[count : 2 * count]
    agreed = [one if repr(one) == repr(again) else Answer(failure="gives another result when it is called again")
              for one, again in zip(first, second + first[len(second) :], strict=True)]  # fmt: skip
    return Answers(agreed + [Answer(failure=missing)] * (count - len(first)))
