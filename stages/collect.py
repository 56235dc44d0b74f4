"""The runs of sweeps in one table: what is finished, failed and missing, the figures with their means, and how to make what is missing.

usage: python -m stages.collect runs/sweep         writes collect.csv, means.csv, collect.md and collect.html into runs/sweep
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d_running.cluster import Clustering, read_clustering
from d_running.evaluation import SHORT_NAMES
from d_running.intervals import Interval, Share, intervals, shares
from explain.page import write_page
from explain.runs import Run, read_run, run_folders
from stages.plan import ABLATION, PLAN_FILE, STATISTICS, Plan, Task, read_plan
from stages.slurm import SCRIPTS, submission
from util.cli import ArgumentParser
from util.errors import UserError
from util.files import write_csv, write_text

FIGURES = {name: short for name, short in SHORT_NAMES.items() if short != "accuracy_before"}

TABLE, MEANS, TEXT, PAGE = "collect.csv", "means.csv", "collect.md", "collect.html"


@dataclass(frozen=True)
class Line:
    """A task, or a run of no sweep, and what has become of it.

    Attributes:
        name: the task's, or the run's folder.
        setting: of its sweep; of a run of no sweep the folder above its own, or how many errors it corrects together.
        state: "finished", "failed", "interrupted" or "missing".
        why: of one that is not finished, if it is known.
        run: of one that is finished; None for a pass of statistics.
    """

    name: str
    setting: str
    kind: str
    row: int | None
    state: str
    why: str = ""
    run: Run | None = None

    def cells(self) -> dict[str, Any]:
        """Its line of the table."""
        metrics: Mapping[str, Any] = self.run.metrics if self.run else {}
        flags: Mapping[str, Any] = self.run.flags if self.run else {}
        accuracy = metrics.get("accuracy")  # of a run that edits nothing
        return {
            "task": self.name,
            "setting": self.setting,
            "stage": self.kind,
            "row": self.row,
            "seed": flags.get("seed"),
            "state": self.state,
            **{name: metrics.get(name) for name in ("samples", "targets", "columns")},
            **{short: metrics.get(name, accuracy if short == "accuracy_after" else None) for name, short in FIGURES.items()},
            "why": self.why,
        }


def collect(folder: Path) -> list[Line]:
    """What there is of a sweep, or of the runs below a folder that no sweep made.

    Raises:
        UserError: if there is no run, or what is there is damaged.
    """
    if (folder / PLAN_FILE).is_file():
        plan = read_plan(folder)
        return [_line(plan, task) for task in plan.tasks.values()]
    found = []
    for path in run_folders(folder):
        try:
            run = read_run(path)
        except UserError as error:
            found.append(Line(str(path), path.parent.name, "", None, "interrupted", str(error)))
            continue
        kind = ABLATION if run.flags.get("abla_exp") else run.flags["alg_name"]
        together = 0 if run.edits_nothing else len(run.config.edits)
        setting = f"{together} together" if together > 1 else path.parent.name
        found.append(Line(str(path), setting, kind, run.flags.get("i"), "finished", run=run))
    if not found:
        raise UserError(f"{folder} holds no run; give the output folder of a sweep, or one that holds folders of runs.")
    return found


def _line(plan: Plan, task: Task) -> Line:
    state = plan.state(task)
    run = read_run(plan.folder / task.name) if state == "finished" and task.kind != STATISTICS else None
    why = ""
    if state == "failed":
        why = f"status {plan.exit_status(task)}: {plan.reason(task) or 'no message'} ({plan.folder / task.log})"
    elif state != "finished" and (unmade := [need for need in task.needs if plan.state(plan.tasks[need]) != "finished"]):
        why = f"needs {', '.join(unmade)}"
    return Line(task.name, task.setting, task.kind, task.row, state, why, run)


@dataclass(frozen=True)
class Mean:
    """The figures of one setting's stage over its rows and seeds."""

    setting: str
    kind: str
    figures: dict[str, Interval]


def means(lines: Sequence[Line], seed: int = 0) -> list[Mean]:
    """The mean figures of each setting and stage that edits, over all its finished runs.

    Args:
        seed: of the bootstrap.

    Raises:
        UserError: if a run's clustering before is not there any more.
    """
    befores: dict[Path, Clustering] = {}
    groups: dict[tuple[str, str], list[dict[str, Share]]] = {}
    for line in lines:
        if line.run is None or line.run.edits_nothing:
            continue
        path = line.run.before.resolve()
        if path not in befores:
            befores[path] = read_clustering(path)
        own = shares(befores[path], line.run.clustering, line.run.metrics["target_clusters"])
        groups.setdefault((line.setting, line.kind), []).append({name: share for name, share in own.items() if name in FIGURES})
    return [Mean(setting, kind, intervals(runs, seed)) for (setting, kind), runs in groups.items()]


def rerun(plan: Plan) -> tuple[str, str]:
    """The commands that make what is not finished: on one machine, and on a cluster ("" if the sweep was never submitted there)."""
    local = f"python -m stages.sweep {plan.sweep} --output_path {plan.folder}"
    return local, submission(plan) if (plan.folder / SCRIPTS).is_dir() else ""


def write_tables(folder: Path, lines: Sequence[Line], plans: Sequence[Plan]) -> str:
    """Write the tables and the page into ``folder``.

    Returns:
        The Markdown, which is what people read.
    """
    cells, averages = [line.cells() for line in lines], means(lines)
    write_csv(folder / TABLE, list(cells[0]), cells)
    rows = [_flat(mean) for mean in averages]
    if rows:
        write_csv(folder / MEANS, list(rows[0]), rows)
    text = _markdown(lines, averages, plans)
    write_text(folder / TEXT, text)
    data = {
        "title": f"{sum(line.state == 'finished' for line in lines)} of {len(lines)} tasks are finished",
        "kind": "a sweep" if plans else "runs",
        "figures": list(FIGURES.items()),
        "means": rows,
        "tasks": cells,
    }
    write_page(folder / PAGE, f"{folder.name} – TCPE", "collect", data)
    return text


def _flat(mean: Mean) -> dict[str, Any]:
    """A line of the means' table."""
    row: dict[str, Any] = {"setting": mean.setting, "stage": mean.kind, "runs": max(one.runs for one in mean.figures.values())}
    for name, short in FIGURES.items():
        one = mean.figures.get(name, Interval(None, None, None, 0))
        row |= {short: one.mean, f"{short}_low": one.low, f"{short}_high": one.high}
    return row


def _markdown(lines: Sequence[Line], averages: Sequence[Mean], plans: Sequence[Plan]) -> str:
    counts = {state: sum(line.state == state for line in lines) for state in ("finished", "failed", "interrupted", "missing")}
    parts = [f"{len(lines)} tasks: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count) + ".", ""]
    if averages:
        parts += ["Means over the finished runs in percent, with 95 % bootstrap intervals over samples:", ""]
        parts += [*_table(["setting", "stage", "runs", *FIGURES.values()], [_mean_cells(mean) for mean in averages]), ""]
    if shown := [line.cells() for line in lines if line.state == "finished" and line.run is not None]:
        heads = ["task", "targets", "columns", *FIGURES.values()]
        finished = [[_cell(name, cells[name]) for name in heads] for cells in shown]
        parts += ["Finished:", "", *_table(heads, finished), ""]
    if left := [[line.name, line.state, line.why] for line in lines if line.state != "finished"]:
        parts += ["Not finished:", "", *_table(["task", "state", "why"], left), ""]
    for plan in plans:
        if plan.unfinished():
            local, cluster = rerun(plan)
            parts += ["What is missing is made by", "", f"    {local}", ""]
            if cluster:
                parts += ["or on the cluster by", "", *(f"    {line}" for line in cluster.splitlines()), ""]
    return "\n".join(parts)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *escaped]]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if name in FIGURES.values() else str(value)


def _mean_cells(mean: Mean) -> list[str]:
    cells = [mean.setting, mean.kind, str(max(one.runs for one in mean.figures.values()))]
    for name in FIGURES:
        one = mean.figures.get(name)
        if one is None or one.mean is None or one.low is None or one.high is None:
            cells.append("-")
        else:
            cells.append(f"{100 * one.mean:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})")
    return cells


def main() -> int:
    parser = ArgumentParser(prog="python -m stages.collect", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUNS", help="output folders of sweeps, or folders that hold runs")
    parser.add_argument("--output_path", type=Path, help="folder of the tables; by default the first of RUNS")
    arguments = parser.parse_args()
    lines = [line for folder in arguments.folders for line in collect(folder)]
    plans = [read_plan(folder) for folder in arguments.folders if (folder / PLAN_FILE).is_file()]
    output = arguments.output_path or arguments.folders[0]
    sys.stdout.write(write_tables(output, lines, plans))
    sys.stdout.write(f"written: {', '.join(str(output / name) for name in (TABLE, MEANS, TEXT, PAGE) if (output / name).is_file())}\n")
    return 0 if all(line.state == "finished" for line in lines) else 1


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
