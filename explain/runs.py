"""What runs have left in their folders: settings, verdicts, translations, and the edits behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from d_running.cluster import CLUSTER_CSV, Clustering, clustering_folder, read_clustering
from d_running.correction_knowledge import RUN_FILE
from d_running.evaluation import METRICS_FILE
from tcpe import methods as _own_methods  # noqa: F401 - registers them, in their order
from tcpe.config import SEARCH, EditConfig
from tcpe.method import METHODS
from tcpe.request import EditRequest, load_request
from tcpe.saved import UPDATE, find_saved
from util.errors import UserError
from util.files import read_json
from util.flags import flags_of, from_flags


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        folder: where it lies.
        description: its ``run.json``.
        metrics: its ``metrics.json``.
    """

    folder: Path
    description: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def flags(self) -> Mapping[str, Any]:
        """The values of all its flags."""
        return self.description["config"]

    @property
    def edits_nothing(self) -> bool:
        """Whether it made what the others are compared with."""
        return "target_clusters" not in self.metrics

    @cached_property
    def clustering(self) -> Clustering:
        """Its verdicts and clusters."""
        return read_clustering(self.folder)

    @property
    def before(self) -> Path:
        """The folder of the clustering that it is compared with."""
        return clustering_folder(Path(self.flags["preKE_cluster_result"]))

    @property
    def originals(self) -> Path:
        """The benchmark's functions."""
        return Path(self.flags["originals_path"])

    @cached_property
    def config(self) -> EditConfig:
        """How its edits were found and applied."""
        return from_flags(EditConfig, {name: self.flags[name] for name in flags_of(EditConfig) if name in self.flags})

    @property
    def kind(self) -> str:
        """Of its edits, as in the requests' column."""
        return self.config.mlp_or_tc or ("TC" if self.flags["TC_layer_file"] else "MLP")

    @property
    def method(self) -> str:
        """What it did, in a few words."""
        if self.edits_nothing:
            return "no edit"
        words = {"TCPE_pre": "whole update", "TCPE": "the other columns" if self.flags.get("abla_exp") else "active columns"}
        return words.get(self.flags["alg_name"], self.flags["alg_name"])

    @cached_property
    def requests(self) -> list[EditRequest]:
        """The edit requests, in the order of the rows that the run names.

        Raises:
            UserError: if they are not where the run found them.
        """
        if self.edits_nothing:
            return []
        return [load_request(self.config.edit_sequence_path, row, self.flags["layer_num"], self.kind) for row, _, _ in self.config.edits]

    @cached_property
    def updates(self) -> list[Path]:
        """The saved updates that it computed or applied, without suffix, one a request; none for a method that has no such updates.

        Raises:
            UserError: if an update is not where the run kept it.
        """
        if (self.folder / f"{UPDATE}.json").is_file():
            return [self.folder / UPDATE]
        if self.edits_nothing or self.flags["alg_name"] != "TCPE":
            return []
        wanted = {name: self.flags[name] for name in ("MODEL_NAME", "TC_layer_file", "seed")}
        wanted |= {name: getattr(self.config, name) for name in SEARCH}
        folder = self.config.updates(Path(self.flags["container_workspace"]))
        return [find_saved(folder, self.flags["layer_num"], request, wanted) for request in self.requests]


def read_run(folder: str | Path) -> Run:
    """The run in ``folder``.

    Raises:
        UserError: if there is none, or it has not ended.
    """
    folder = Path(folder)
    if not (folder / RUN_FILE).is_file():
        what = f"it has no {RUN_FILE}" if folder.is_dir() else "there is no such folder"
        raise UserError(f"{folder} is not the folder of a run: {what}; give the --output_file_path of one.")
    description = read_json(folder / RUN_FILE, "the run's description")
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise UserError(f"{folder / RUN_FILE} does not describe a run; make the run again.")
    if missing := [name for name in (METRICS_FILE, CLUSTER_CSV) if not (folder / name).is_file()]:
        raise UserError(f"The run in {folder} has not ended: {' and '.join(missing)} is missing; give the run's own command again to continue it.")
    return Run(folder, description, read_json(folder / METRICS_FILE, "the run's metrics"))


def run_folders(folder: Path) -> list[Path]:
    """``folder`` if a run has begun in it, else the folders below it in which one has."""
    return [folder] if (folder / RUN_FILE).is_file() else sorted(path.parent for path in folder.glob(f"**/{RUN_FILE}"))


def runs_under(folder: str | Path) -> list[Run]:
    """The run in ``folder``, or the runs in folders below it: what edits nothing first, several edits together last.

    Raises:
        UserError: if there is none, or one has not ended.
    """
    folder = Path(folder)
    if not (found := run_folders(folder)):
        return [read_run(folder)]
    methods = list(METHODS)

    def order(run: Run) -> tuple[Any, ...]:
        method = run.flags["alg_name"]
        rows = [row for row, _, _ in run.config.edits] if not run.edits_nothing else []
        return (len(rows), rows, methods.index(method) if method in methods else len(methods), method, bool(run.flags.get("abla_exp")), run.folder)

    return sorted(map(read_run, found), key=order)
