"""A sweep on a cluster: the tasks of a sweep's file as SLURM job arrays that wait for each other; what is finished is not submitted again.

usage: python -m stages.slurm sweep.yaml --dry_run        python -m stages.slurm sweep.yaml --settings my_cluster.yaml
"""

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from stages.plan import ABLATION, BEFORE, LOGS, MAIN, PLAN_FILE, PRE, STATISTICS, Plan, Task, make_plan
from util.cli import ArgumentParser
from util.errors import UserError
from util.files import read_json, shipped, write_json, write_text
from util.lock import locked

SCRIPTS, JOBS_FILE = "slurm", "jobs.json"
KINDS = (BEFORE, STATISTICS, PRE, MAIN, ABLATION)
STOP_SECONDS = 120
"""So long before its time limit a job is told to save its state."""


@dataclass(frozen=True)
class Settings:
    """How jobs are submitted: what ``slurm/settings.yaml`` holds, which explains each."""

    sbatch: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    setup: str = ""
    max_requeues: int = 20
    at_a_time: int = 0
    max_array: int = 1000

    def options(self, kind: str) -> list[str]:
        """Options of sbatch for jobs of this kind."""
        given = self.sbatch | self.stages.get(kind, {})
        return [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items() if value not in (None, False, "")]


@dataclass
class Array:
    """A job array: tasks of one kind that wait for the same, or each for the task of its own index.

    Attributes:
        name: of its job.
        tasks: by index.
        after: the name of the array whose task of the same index each waits for; "" if they wait for ``needs``.
        needs: names of tasks that all of them wait for.
    """

    name: str
    kind: str
    tasks: dict[int, Task]
    after: str = ""
    needs: tuple[str, ...] = ()


def read_settings(path: str | Path) -> Settings:
    """The settings in a YAML file.

    Raises:
        UserError: for a file that cannot be read, or a setting that is unknown or has the wrong type.
    """
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the settings {path}: {' '.join(str(error).split())}; slurm/settings.yaml is an example.") from error
    types = {"sbatch": dict, "stages": dict, "setup": str, "max_requeues": int, "at_a_time": int, "max_array": int}
    if not isinstance(value, dict) or (unknown := [str(name) for name in value if name not in types]):
        raise UserError(f"The settings {path} must hold some of {', '.join(types)}, not {', '.join(unknown) if isinstance(value, dict) else value}.")
    for name, one in value.items():
        if not isinstance(one, types[name]) or (isinstance(one, int) and one < 0):
            raise UserError(f"{name} in {path} must be {'a mapping' if types[name] is dict else types[name].__name__}, not {one!r}.")
    settings = Settings(**value)
    if settings.max_array < 1 or not all(isinstance(one, dict) for one in settings.stages.values()):
        raise UserError(f"max_array in {path} must be at least 1, and stages a mapping of options for each stage.")
    return settings


def arrays_of(plan: Plan, max_array: int) -> list[Array]:
    """All tasks of a plan as arrays, each behind those that it waits for; the same plan gives the same arrays.

    A task that follows another (TCPE its TCPE_pre) has the other's index, so that SLURM can let it wait for that one alone: one that fails
    then stops no other. Tasks that wait for the same make one array.
    """
    arrays: dict[str, Array] = {}
    place: dict[str, tuple[str, int]] = {}
    open_arrays: dict[tuple[Any, ...], list[str]] = {}

    def new(key: tuple[Any, ...], kind: str, after: str, needs: tuple[str, ...]) -> Array:
        name = kind if kind not in arrays else f"{kind}_{1 + sum(array.kind == kind for array in arrays.values())}"
        arrays[name] = Array(name, kind, {}, after, needs)
        open_arrays.setdefault(key, []).append(name)
        return arrays[name]

    order = [*KINDS, *dict.fromkeys(task.kind for task in plan.tasks.values() if task.kind not in KINDS)]
    for task in sorted(plan.tasks.values(), key=lambda task: order.index(task.kind)):
        key: tuple[Any, ...]
        if task.follows:
            parent, index = place[task.follows]
            key = (task.kind, parent)
            free = (arrays[name] for name in open_arrays.get(key, []) if index not in arrays[name].tasks)
            array = next(free, None) or new(key, task.kind, parent, ())
        else:
            key = (task.kind, *task.needs)
            free = (arrays[name] for name in open_arrays.get(key, []) if len(arrays[name].tasks) < max_array)
            array = next(free, None) or new(key, task.kind, "", tuple(task.needs))
            index = len(array.tasks)
        array.tasks[index] = task
        place[task.name] = (array.name, index)
    return list(arrays.values())


def write_scripts(plan: Plan, settings: Settings) -> list[Array]:
    """Write a batch script and a list of tasks for each array into the plan's folder, and return the arrays."""
    arrays, folder = arrays_of(plan, settings.max_array), plan.folder.resolve()
    (folder / LOGS).mkdir(parents=True, exist_ok=True)
    body = Path(shipped("slurm/task.sh")).read_text(encoding="utf-8")
    for array in arrays:
        tasks = folder / SCRIPTS / f"{array.name}.tasks"
        last = max(array.tasks)
        lines = [_line(array.tasks[index]) if index in array.tasks else "" for index in range(last + 1)]
        write_text(tasks, "\n".join(lines) + "\n")
        options = [
            f"--job-name=tcpe_{array.name}",
            f"--output={folder / LOGS}/slurm_{array.name}_%a.log",
            "--open-mode=append",
            "--requeue",
            f"--signal=B:USR1@{STOP_SECONDS}",
            f"--chdir={Path.cwd()}",
            *settings.options(array.kind),
        ]
        variables = {"TASKS": str(tasks), "FOLDER": str(folder), "MAX_REQUEUES": str(settings.max_requeues)}
        head = ["#!/bin/bash", *(f"#SBATCH {shlex.quote(option)}" for option in options), "", settings.setup.rstrip(), ""]
        values = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
        write_text(folder / SCRIPTS / f"{array.name}.sbatch", "\n".join([*head, *values, "", body]))
    write_json(folder / SCRIPTS / "settings.json", {"max_array": settings.max_array, "at_a_time": settings.at_a_time})
    return arrays


def _line(task: Task) -> str:
    """A task as a line: its name, and its command as bash reads it.

    Raises:
        UserError: for an argument that is more than a line.
    """
    line = f"{task.name} {task.command('python')}"
    if "\n" in line:
        raise UserError(f"A flag of {task.name} has a line break, which a list of tasks, one a line, cannot hold.")
    return line


@dataclass(frozen=True)
class Submission:
    """How one array is submitted.

    Attributes:
        array: with the unfinished tasks only.
        dependencies: kinds of SLURM's dependencies with the arrays, or the arrays and indices, that they wait for.
    """

    array: Array
    dependencies: list[tuple[str, list[tuple[str, int | None]]]]
    at_a_time: int

    def words(self, folder: Path, ids: dict[str, str]) -> list[str]:
        """The command, with the job ids of the arrays before it."""
        waits = [
            ":".join([kind, *(ids[name] if index is None else f"{ids[name]}_{index}" for name, index in those)]) for kind, those in self.dependencies
        ]
        limit = f"%{self.at_a_time}" if self.at_a_time else ""
        return [
            "sbatch",
            "--parsable",
            f"--array={spans(sorted(self.array.tasks))}{limit}",
            *([f"--dependency={','.join(waits)}", "--kill-on-invalid-dep=yes"] if waits else []),
            f"{folder / SCRIPTS / self.array.name}.sbatch",
        ]


def spans(numbers: list[int]) -> str:
    """Ascending numbers as SLURM writes them: ``0-3,7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def submissions(plan: Plan, arrays: list[Array], at_a_time: int = 0) -> list[Submission]:
    """What is to be submitted for the unfinished tasks of a plan, in order; what is finished is not waited for."""
    left = {task.name for task in plan.unfinished()}
    place = {task.name: (array.name, index) for array in arrays for index, task in array.tasks.items()}
    found = []
    for array in arrays:
        todo = {index: task for index, task in array.tasks.items() if task.name in left}
        # Tasks whose own TCPE_pre is finished would wait for an index that is not submitted, so they make a job of their own.
        waiting = {index: task for index, task in todo.items() if task.follows in left} if array.after else {}
        for tasks in (waiting, {index: task for index, task in todo.items() if index not in waiting}):
            if not tasks:
                continue
            dependencies: list[tuple[str, list[tuple[str, int | None]]]] = []
            if tasks is waiting:
                dependencies = [("aftercorr", [(array.after, None)])]
            elif needs := [place[need] for need in array.needs if need in left]:
                dependencies = [("afterok", [*needs])]
            found.append(Submission(replace(array, tasks=tasks), dependencies, at_a_time))
    return found


def submission(plan: Plan) -> str:
    """The unfinished tasks' submission as lines of bash, for a plan whose scripts are written."""
    settings = read_json(plan.folder / SCRIPTS / "settings.json", "the settings of the last submission")
    return as_bash(plan.folder, submissions(plan, arrays_of(plan, settings["max_array"]), settings["at_a_time"]))


def as_bash(folder: Path, found: list[Submission]) -> str:
    """Submissions as lines of bash, in which a variable holds each array's job id."""
    lines = []
    for one in found:
        ids = {name: f"${{{name}}}" for _, those in one.dependencies for name, _ in those}
        words = one.words(folder, ids)
        lines.append(f"{one.array.name}=$({' '.join(word if '${' in word else shlex.quote(word) for word in words)})")
    return "\n".join(lines)


class StillQueued(UserError):
    """Jobs of a refused submission are in the queue."""


def _take_back(folder: Path, arrays: list[Array]) -> None:
    """Remove what `Plan.write` and `write_scripts` have written for a plan of which nothing was submitted."""
    scripts = [folder / SCRIPTS / f"{array.name}.{kind}" for array in arrays for kind in ("sbatch", "tasks")]
    for path in (folder / PLAN_FILE, folder / SCRIPTS / "settings.json", *scripts):
        path.unlink(missing_ok=True)
    for part in (folder / SCRIPTS, folder / LOGS):
        with suppress(OSError):  # it holds something else
            part.rmdir()


def submit(folder: Path, found: list[Submission]) -> dict[str, str]:
    """Submit to SLURM, saying each job's id and what it waits for.

    Returns:
        The ids by the arrays' names; where an array is submitted in two parts, the one that others wait for.

    Raises:
        UserError: if SLURM refuses a job; what was submitted before it is cancelled.
        StillQueued: if that cannot be cancelled.
    """
    ids: dict[str, str] = {}
    every: list[str] = []
    for one in found:
        words = one.words(folder, ids)
        try:
            said = subprocess.run(words, capture_output=True, text=True)
        except OSError as error:
            raise UserError("There is no sbatch here; run this on a login node of a cluster, or python -m stages.sweep on one machine.") from error
        if said.returncode:
            refusal = f"SLURM refused {shlex.join(words)}: {' '.join(said.stderr.split())}"
            if every and subprocess.run(["scancel", *every], capture_output=True).returncode:
                raise StillQueued(f"{refusal}; cancel what was submitted before it: scancel {' '.join(every)}.")
            raise UserError(f"{refusal}; nothing is left of this submission.")
        job = said.stdout.strip().partition(";")[0]
        every.append(job)
        ids[one.array.name] = job
        waits = [word.partition("=")[2] for word in words if word.startswith("--dependency=")]
        count = len(one.array.tasks)
        sys.stdout.write(f"{job:>8}  {one.array.name}: {count} task{'s' * (count > 1)}{', waits for ' + waits[0] if waits else ''}\n")
    write_json(folder / SCRIPTS / JOBS_FILE, every)
    return ids


def check_not_queued(folder: Path) -> None:
    """See that no job of an earlier submission into ``folder`` is in the queue.

    Raises:
        UserError: naming the jobs.
    """
    path = folder / SCRIPTS / JOBS_FILE
    if not path.is_file():
        return
    queued = []
    for job in read_json(path, "the list of submitted jobs"):
        try:
            said = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%A"], capture_output=True, text=True)
        except OSError:
            return
        if said.returncode and not re.search("Invalid job id", said.stderr):  # what SLURM says of a job that it has forgotten
            raise UserError(f"SLURM does not say whether jobs of {folder} are queued: {said.stderr.strip()}; try again when it answers.")
        queued += [job] if said.stdout.strip() else []
    if queued:
        raise UserError(
            f"Jobs {', '.join(queued)} of another chain into {folder} are in the queue; wait for them, cancel them (scancel {' '.join(queued)}), "
            "or name another output_path."
        )


def main() -> None:
    parser = ArgumentParser(prog="python -m stages.slurm", description=__doc__)
    parser.add_argument("sweep", metavar="SWEEP", help="a YAML or CSV file, one setting a line; docs/cluster.md has an example")
    parser.add_argument("--output_path", help="folder of everything; by default the file's output_path")
    parser.add_argument("--settings", default=shipped("slurm/settings.yaml"), help="partition, GPUs, time, modules (default: %(default)s)")
    parser.add_argument("--dry_run", action="store_true", help="show what would be submitted, and write and submit nothing")
    arguments = parser.parse_args()
    settings, plan = read_settings(arguments.settings), make_plan(arguments.sweep, arguments.output_path)
    if unknown := sorted(settings.stages.keys() - {*KINDS, *(task.kind for task in plan.tasks.values())}):
        raise UserError(f"The settings {arguments.settings} have options for {', '.join(unknown)}, which is no stage of this sweep.")
    if arguments.dry_run:
        found = submissions(plan, arrays_of(plan, settings.max_array), settings.at_a_time)
        for one in found:
            for index, task in one.array.tasks.items():
                sys.stdout.write(f"# {one.array.name}[{index}] {_line(task)}\n")
        sys.stdout.write(as_bash(plan.folder, found) + "\n")
        return
    with locked(plan.folder):
        check_not_queued(plan.folder)
        is_new = not (plan.folder / PLAN_FILE).exists()
        plan.write()
        arrays = write_scripts(plan, settings)
        if found := submissions(plan, arrays, settings.at_a_time):
            try:
                submit(plan.folder.resolve(), found)
            except StillQueued:
                raise
            except UserError:
                if is_new:
                    _take_back(plan.folder, arrays)
                raise
        done = len(plan.tasks) - sum(len(one.array.tasks) for one in found)
    sys.stdout.write(f"{done} of {len(plan.tasks)} tasks were finished. The figures: python -m stages.collect {plan.folder}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
