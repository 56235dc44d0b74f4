"""Folders of runs, written without a model or a compiler."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from d_running.cluster import Clustering, write_clustering
from d_running.evaluation import evaluate
from d_running.harness import MARKER, render_test_program
from d_running.judge import figures
from d_running.unit_test import Result
from tcpe.update import RankOneUpdate
from util.files import write_csv

RIGHT = "int f_filled(int n) {\n    return cast(int) n;\n}\n"
WRONG = "int f_filled(int n) {\n    return (int) n;\n}\n"
PROGRAM = render_test_program("int", ["int"], [[1]], [1])
LINE = PROGRAM.partition(MARKER)[0].count("\n") + 2
"""Of the return statement."""

MESSAGE = f"translation.d({LINE}): Error: C style cast illegal, use `cast(int)n`"
OTHER = f"translation.d({LINE}): Error: undefined identifier `Math`"
LOSSES = [{"nll": 1.0 / (step + 1), "kl": 0.01 * step, "weight_decay": 0.1 * step, "loss": 1.0} for step in range(5)]


class Runs:
    """A benchmark of ``count`` functions and runs on it, half of whose translations fail with a cast before any edit.

    Attributes:
        root: the folder of everything.
        names: of the functions.
    """

    def __init__(self, root: Path, count: int = 6) -> None:
        self.root = root
        self.names = [f"F{index:03}" for index in range(count)]
        java = "static int f_gold(int n) {{\n    // {name}\n    return (int) n;\n}}"
        rows = [{"id": name, "function_java": java.format(name=name), "d_with_params": PROGRAM} for name in self.names]
        write_csv(root / "kecode.csv", list(rows[0]), rows)
        request = {"Error": "1", "brief_description": "Error: C style cast illegal", "prompt": "a{}b", "subject": "x", "target_new": " cast(int)"}
        write_csv(root / "requests.csv", [*request, "layer_2_TC"], [request | {"layer_2_TC": "0"}])
        self.wrong = set(self.names[: count // 2])
        self.before = self.run("before", dict.fromkeys(self.wrong, (WRONG, MESSAGE)), alg_name="noKE")

    def run(self, name: str, failing: Mapping[str, tuple[str, str]], alg_name: str = "TCPE_pre", targets: Sequence[str] = ("0",)) -> Path:
        """Write a run.

        Args:
            failing: the translation and the message of each function that fails; of those with the same message the first names the cluster.
        """
        folder = self.root / name
        messages = list(dict.fromkeys([MESSAGE, *(message for _, message in failing.values())]))
        results, groups = [], []
        (folder / "translations").mkdir(parents=True)
        for function in self.names:
            text, message = failing.get(function, (RIGHT, ""))
            (folder / "translations" / f"{function}.d").write_text(text)
            results.append(Result(f"{function}.d", not message, "Compilation" if message else "No", message, 0 if message else 8, 8))
            groups.append(str(messages.index(message)) if message else "Success")
        clustering = Clustering(results, groups)
        write_clustering(clustering, folder)
        before = getattr(self, "clustering", None)
        self.clustering = before or clustering
        measured = evaluate(self.clustering, clustering, targets if before else [])
        self._json(folder / "metrics.json", figures(clustering, measured, before, targets) | {"columns": 3})
        config = {
            "MODEL_NAME": "model", "TC_layer_file": "transcoder", "layer_num": 2, "alg_name": alg_name, "output_file_path": str(folder),
            "edit_sequence_path": str(self.root / "requests.csv"), "i": None if alg_name == "noKE" else 0, "more_edits": [],
            "originals_path": str(self.root / "kecode.csv"), "preKE_cluster_result": str(self.root / "before"), "mlp_or_tc": None,
            "container_workspace": str(self.root / "workspace"), "seed": 0, "lim": 0.5, "upd_decay": 1.0, "abla_exp": False,
        }  # fmt: skip
        self._json(folder / "run.json", {"config": config, "versions": {"python": "3"}, "git_revision": None})
        if alg_name == "TCPE_pre":
            self.save_update(folder / "update")
        return folder

    def save_update(self, path: Path, key: Sequence[float] = (0.0, 2.0, 1.0, 0.2)) -> None:
        """Save a rank-one update for four features and a width of three."""
        details = {"losses": LOSSES, "value_settings": {"kl_factor": 0.5, "weight_decay": 0.25}, "request": {"error": "1"}}
        vector = torch.tensor(key)
        RankOneUpdate(torch.ones(3), vector / vector.norm(), vector, torch.zeros(5), 2, details).save(path)

    @staticmethod
    def _json(path: Path, value: Any) -> None:
        path.write_text(json.dumps(value))
