"""What a run measured, step by step: always in a local file, and in WandB where that can be had."""

import functools
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from util.errors import UserError
from util.logs import ONCE

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
PROJECT = "tcpe"
CONNECT_SECONDS = 20


class RunTracker:
    """Logs metrics to ``metrics.jsonl`` in a run's folder, one JSON object a line, and to WandB.

    WandB is online with a key and a network and offline otherwise, which one log line says; ``WANDB_MODE`` decides if it is set,
    and with ``disabled`` WandB is not even imported. Nothing that goes wrong with WandB stops a run.

    Args:
        folder: where the files go; made if it is not there. What an earlier run logged there is replaced.
        name: the run's name in WandB.
        config: the run's settings.
        keep_before: a run that continues keeps the lines whose ``step`` is below this.
        stage: the run's job type in WandB. Runs whose folders lie in one folder are a group there, unless WANDB_RUN_GROUP says otherwise.
        series: which figures are drawn over which step: its name, and theirs.
    """

    def __init__(
        self, folder: Path, name: str, config: dict[str, Any], keep_before: int = 0, stage: str = "", series: Mapping[str, Sequence[str]] = {}
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            kept = _lines_before(folder / METRICS_FILE, keep_before) if keep_before else []
            self._file = open(folder / METRICS_FILE, "w", encoding="utf-8")  # noqa: SIM115 - closed with the run
        except OSError as error:
            raise UserError(f"Cannot write {folder / METRICS_FILE}: {error.strerror}; give a folder that you may write to.") from error
        self._file.writelines(kept)
        self._run = _start_wandb(folder, name, config, stage)
        if self._run is not None:
            for step, figures in series.items():
                self._run.define_metric(step)
                for figure in figures:
                    self._run.define_metric(figure, step_metric=step)

    def log(self, **metrics: Any) -> None:
        """Record one line; nested dictionaries are fine, ``step`` orders a series."""
        try:
            self._file.write(json.dumps(metrics) + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(f"Cannot write {self._file.name}: {error.strerror}; free some space, the same command continues.") from error
        if self._run is not None:
            self._run.log(metrics)

    def summarize(self, **figures: Any) -> None:
        """What WandB shows of the run in its table; the local file has it from ``log``."""
        if self._run is not None:
            self._run.summary.update(figures)

    def __enter__(self) -> "RunTracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        self._file.close()
        if self._run is not None:
            self._run.finish(exit_code=0 if kind is None else 1)


def _lines_before(path: Path, step: int) -> list[str]:
    """The lines of an earlier run up to ``step``; the last one may be half written."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line.endswith("}\n") and json.loads(line).get("step", step) < step]


def run_id(folder: Path, config: Mapping[str, Any], stage: str) -> str:
    """The run's name in WandB's addresses: of one folder, stage and settings always the same, so that the same command goes on with its run."""
    decisive = json.dumps([str(folder.resolve()), stage, config], sort_keys=True, default=str)
    return f"{stage or 'run'}-{hashlib.sha256(decisive.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def _start_wandb(folder: Path, name: str, config: dict[str, Any], stage: str) -> "wandb.Run | None":
    """A WandB run, or None where it is switched off or broken. WandB itself reads WANDB_ENTITY, WANDB_TAGS and so on."""
    if os.environ.get("WANDB_MODE") == "disabled":
        return None
    try:
        import wandb

        mode: Literal["offline"] | None = None  # WANDB_MODE decides, else it is online
        if "WANDB_MODE" not in os.environ and not wandb.login(prompt=False, verify=False):
            mode = "offline"
            logger.info("WandB is offline: there is no key (wandb login); the metrics are in each run's %s", METRICS_FILE, extra=ONCE)
        settings = wandb.Settings(console="off", silent=True, init_timeout=CONNECT_SECONDS)
        start = functools.partial(
            wandb.init,
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=os.environ.get("WANDB_RUN_ID") or run_id(folder, config, stage),
            resume="allow",
            group=os.environ.get("WANDB_RUN_GROUP") or folder.resolve().parent.name,
            job_type=os.environ.get("WANDB_JOB_TYPE") or stage or None,
            name=name,
            dir=str(folder),
            config=config,
            settings=settings,
        )
        try:
            return start(mode=mode)
        except wandb.errors.CommError:
            logger.info("WandB is offline: it cannot be reached; the metrics are in each run's %s", METRICS_FILE, extra=ONCE)
            return start(mode="offline")
    except Exception as error:
        logger.info("WandB does not work here (%s); the metrics are in each run's %s", error, METRICS_FILE, extra=ONCE)
        return None
