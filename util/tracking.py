"""What a run measured, step by step: always in local files, and in WandB where that can be had, now or later.

The files are the truth. ``metrics.jsonl`` has what was logged, a line a step, and ``tracking.json`` what the run is called in WandB, so that
``replay`` can send it there from another machine, or complete what a killed run has sent. A line's number is its step in WandB, which refuses steps
that it has, so nothing is there twice.
"""

import functools
import hashlib
import json
import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from util.errors import UserError
from util.files import read_json, write_json
from util.logs import ONCE

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

METRICS_FILE, TRACKING_FILE = "metrics.jsonl", "tracking.json"
PROJECT = "tcpe"
CONNECT_SECONDS = 20
DATA_DIR = "WANDB_DATA_DIR"
_DATA_DIR_IS_GIVEN = DATA_DIR in os.environ
LONGEST_TAG = 64


@dataclass(frozen=True)
class Tracked:
    """A run as WandB knows it.

    Attributes:
        id: the same for the same run (see ``run_id``).
        name: shown to people.
        config: the run's settings, by which WandB filters and groups.
        stage: WandB's job type.
        group: of runs that belong together.
        project, entity: where it goes; "" leaves that to WANDB_PROJECT and WANDB_ENTITY.
        series: which figures are drawn over which step: its name, and theirs.
        anew: it takes the place of an earlier run, whose lines are no longer true.
        exit_code: how it ended; None if it has not, or was killed.
    """

    id: str
    name: str
    config: dict[str, Any]
    stage: str = ""
    group: str = ""
    project: str = ""
    entity: str = ""
    tags: Sequence[str] = ()
    series: Mapping[str, Sequence[str]] = field(default_factory=dict)
    anew: bool = False
    exit_code: int | None = None

    def write(self, folder: Path) -> None:
        """Leave it in a run's folder."""
        write_json(folder / TRACKING_FILE, json.loads(json.dumps(asdict(self), default=str)))

    @classmethod
    def read(cls, folder: Path) -> "Tracked":
        """What ``write`` left.

        Raises:
            UserError: if that is not there, or damaged.
        """
        value = read_json(folder / TRACKING_FILE, "the description for WandB")
        try:
            return cls(**value)
        except TypeError as error:
            raise UserError(f"{folder / TRACKING_FILE} does not describe a run ({error}); give the run's own command again.") from error


def run_id(folder: Path, config: Mapping[str, Any], stage: str) -> str:
    """The run's name in WandB's addresses: of one folder, stage and settings always the same, so that the same command goes on with its run."""
    decisive = json.dumps([str(folder.resolve()), stage, config], sort_keys=True, default=str)
    return f"{stage or 'run'}-{hashlib.sha256(decisive.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


class Mirror:
    """A run in WandB, or nothing where there is none: nothing that goes wrong with WandB stops a run.

    Attributes:
        works: whether it is there, and has taken all that it was told.
        offline: whether it is a file in the run's folder, to be synced later.
    """

    def __init__(self, folder: Path, tracked: Tracked) -> None:
        self._run = _start_wandb(folder, tracked)
        self._id = tracked.id
        for step, figures in tracked.series.items():
            self._tell(functools.partial(_define, step=step, figures=figures))

    @property
    def works(self) -> bool:
        return self._run is not None

    @property
    def offline(self) -> bool:
        return self._run is not None and bool(self._run.offline)

    def log(self, metrics: Mapping[str, Any], line: int) -> None:
        """One line of the run's metrics, by its number from 0."""
        self._tell(lambda run: run.log(dict(metrics), step=line))

    def summarize(self, figures: Mapping[str, Any]) -> None:
        """What WandB shows of the run in its table of runs."""
        self._tell(lambda run: run.summary.update(dict(figures)))

    def tables(self, found: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]], line: int) -> None:
        """Tables by their names, each its columns and its rows, behind ``line`` lines of metrics."""

        def say(run: "wandb.Run") -> None:
            import wandb

            made = {name: wandb.Table(columns=list(columns), data=[list(row) for row in rows]) for name, (columns, rows) in found.items()}
            run.log(made, step=line)

        self._tell(say)

    def page(self, path: Path) -> None:
        """A file as the run's artifact; it is read where it lies, and not copied."""

        def say(run: "wandb.Run") -> None:
            import wandb

            artifact = wandb.Artifact(f"{path.stem}-{self._id}", type=path.stem)
            artifact.add_file(str(path), policy="immutable")
            run.log_artifact(artifact)

        self._tell(say)

    def finish(self, exit_code: int) -> None:
        """End it; WandB shows whether it was a failure."""
        self._tell(lambda run: run.finish(exit_code=exit_code))

    def _tell(self, say: "Callable[[wandb.Run], object]") -> None:
        if self._run is None:
            return
        try:
            say(self._run)
        except Exception as error:
            logger.warning("WandB takes no more of this run (%s); %s has it all, and can be replayed", error, METRICS_FILE)
            self._run = None


class RunTracker:
    """Logs metrics to ``metrics.jsonl`` in a run's folder, one JSON object a line, and to WandB.

    WandB is online with a key and a network and offline otherwise, which one log line says; ``WANDB_MODE`` decides if it is set,
    and with ``disabled`` WandB is not even imported.

    Args:
        folder: where the files go; made if it is not there. What an earlier run logged there is replaced.
        name: the run's name in WandB.
        config: the run's settings.
        keep_before: a run that continues keeps the lines whose ``step`` is below this.
        stage: the run's job type in WandB.
        series: which figures are drawn over which step: its name, and theirs.
        group: in WandB; by default the folder that the run's folder lies in. WANDB_RUN_GROUP goes before both.
        tags: beside those of WANDB_TAGS.
        project, entity: in WandB; by default what WANDB_PROJECT and WANDB_ENTITY say.
        incidental: the settings that may change when a run is continued, and so are no part of its id.
        anew: throw away what WandB has of an earlier run, as the folder's was thrown away.

    Attributes:
        mirror: the run in WandB.
        lines: how many lines there are.

    Raises:
        UserError: if the files cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        config: dict[str, Any],
        keep_before: int = 0,
        stage: str = "",
        series: Mapping[str, Sequence[str]] = {},
        *,
        group: str = "",
        tags: Sequence[str] = (),
        project: str = "",
        entity: str = "",
        incidental: Collection[str] = (),
        anew: bool = False,
    ) -> None:
        decisive = {key: value for key, value in config.items() if key not in incidental}
        group = os.environ.get("WANDB_RUN_GROUP") or group or folder.resolve().parent.name
        stage, tags = os.environ.get("WANDB_JOB_TYPE") or stage, [tag[:LONGEST_TAG] for tag in (*tags, *_given_tags()) if tag]
        self._tracked = Tracked(
            os.environ.get("WANDB_RUN_ID") or run_id(folder, decisive, stage), name, config, stage, group, project, entity, tags, series, anew
        )
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            kept = _lines_before(folder / METRICS_FILE, keep_before) if keep_before else []
            self._file = open(folder / METRICS_FILE, "w", encoding="utf-8")  # noqa: SIM115 - closed with the run
            self._file.writelines(kept)
        except OSError as error:
            raise UserError(f"Cannot write {folder / METRICS_FILE}: {error.strerror}; give a folder that you may write to.") from error
        self._tracked.write(folder)
        self.lines = len(kept)
        self.mirror = Mirror(folder, self._tracked)

    def log(self, **metrics: Any) -> None:
        """Record one line; nested dictionaries are fine, ``step`` orders a series."""
        try:
            self._file.write(json.dumps(metrics) + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(f"Cannot write {self._file.name}: {error.strerror}; free some space, the same command continues.") from error
        self.mirror.log(metrics, self.lines)
        self.lines += 1

    def __enter__(self) -> "RunTracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        exit_code = 0 if kind is None else 1
        self._file.close()
        self.mirror.finish(exit_code)
        if kind is None:
            replace(self._tracked, exit_code=exit_code).write(self._folder)


def replay(folder: Path, review: Callable[[Path, Mirror, int], object] = lambda *_: None, *, project: str = "", entity: str = "") -> Mirror:
    """Send the run in ``folder`` to WandB from its files, under the id that it has; what is there already stays as it is.

    Args:
        review: adds to it what belongs to a run that has ended, given its folder and the number of its lines.
        project, entity: where it goes, if not where it went.

    Returns:
        The run in WandB, ended: as a failure if the run itself has not ended.

    Raises:
        UserError: if there is no run.
    """
    tracked = Tracked.read(folder)
    tracked = replace(tracked, project=project or tracked.project, entity=entity or tracked.entity)
    lines = _whole_lines(folder / METRICS_FILE)
    mirror = Mirror(folder, tracked)
    for number, line in enumerate(lines):
        mirror.log(json.loads(line), number)
    if tracked.exit_code == 0:
        review(folder, mirror, len(lines))
    mirror.finish(1 if tracked.exit_code is None else tracked.exit_code)
    return mirror


def _whole_lines(path: Path) -> list[str]:
    """The lines of a run's metrics; the last one of a killed run may be half written."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line.endswith("}\n")]


def _lines_before(path: Path, step: int) -> list[str]:
    """The lines of an earlier run up to ``step``."""
    return [line for line in _whole_lines(path) if json.loads(line).get("step", step) < step]


def _define(run: "wandb.Run", step: str, figures: Sequence[str]) -> None:
    """Let WandB draw figures over a step of their own."""
    run.define_metric(step)
    for figure in figures:
        run.define_metric(figure, step_metric=step)


def _given_tags() -> list[str]:
    return [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",")]


def _start_wandb(folder: Path, tracked: Tracked) -> "wandb.Run | None":
    """A WandB run, or None where it is switched off or broken."""
    if os.environ.get("WANDB_MODE") == "disabled":
        return None
    try:
        import wandb

        if not _DATA_DIR_IS_GIVEN:  # tables wait there until they are synced: with the run, and not in the user's home
            os.environ[DATA_DIR] = str(folder.resolve() / "wandb")
        mode: Literal["offline"] | None = None  # WANDB_MODE decides, else it is online
        if "WANDB_MODE" not in os.environ and not wandb.login(prompt=False, verify=False):
            mode = "offline"
            logger.info("WandB is offline: there is no key (wandb login); the metrics are in each run's %s", METRICS_FILE, extra=ONCE)
        start = functools.partial(
            wandb.init,
            project=tracked.project or os.environ.get("WANDB_PROJECT") or PROJECT,
            entity=tracked.entity or os.environ.get("WANDB_ENTITY"),
            id=tracked.id,
            resume=None if tracked.anew else "allow",
            group=tracked.group,
            job_type=tracked.stage or None,
            tags=list(tracked.tags),
            name=tracked.name,
            dir=str(folder),
            config=dict(tracked.config),
            settings=wandb.Settings(console="off", silent=True, init_timeout=CONNECT_SECONDS),
        )
        try:
            return start(mode=mode)
        except wandb.errors.CommError:
            logger.info("WandB is offline: it cannot be reached; the metrics are in each run's %s", METRICS_FILE, extra=ONCE)
            return start(mode="offline")
    except Exception as error:
        logger.info("WandB does not work here (%s); the metrics are in each run's %s", error, METRICS_FILE, extra=ONCE)
        return None
