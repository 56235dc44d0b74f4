"""What ``--demo`` runs: every stage for every family on the embedded model, with the real D compiler, and one table.

All of it goes through the same stages as a user's own commands, and leaves the same files under ``runs/demo``.
"""

import logging
import sys
import time
from pathlib import Path
from typing import Any

from demo.datasets import VALIDATION_SEED, write_dataset
from demo.edit_requests import CORRECTIONS
from demo.settings import DATA, EDIT, KIND, LAYER
from huggingface.load import load_model_and_tokenizer
from stages.config import run_config
from stages.run import run_stage
from util.errors import UserError
from util.files import write_json
from util.lock import locked
from util.memory import PeakMemory
from util.progress import Progress

logger = logging.getLogger(__name__)

RUNS = Path("runs/demo")
SUMMARY_FILE = "summary.json"
BATCH_SIZE = 160

# Stages differ too much in length for a guess of what is left.
_BAR = "{desc}: {n_fmt}/{total_fmt} stages, {elapsed} so far{postfix}"

Figures = dict[str, Any]
_FIGURES = {
    "generalization": "accuracy_of_target_cluster",
    "cluster_drift": "change_of_target_cluster",
    "specificity": "specificity",
    "destructiveness": "destructiveness",
    "reliability": "reliability",
    "accuracy_before": "overall_accuracy_before",
    "accuracy_after": "overall_accuracy_after",
    "columns": "columns",
}
"""The summary's names of the figures, and those of metrics.json."""


class _Chain:
    """The stages of one demo run, on one draw of test functions."""

    def __init__(self, functions: Path, folder: Path, invalidate_cache: bool, progress: Progress) -> None:
        self._progress = progress
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self.model_and_tokenizer = load_model_and_tokenizer(str(DATA / "model"), device="cpu")
        self.common = {
            "MODEL_NAME": str(DATA / "model"),
            "layer_num": LAYER,
            "TC_layer_file": str(DATA / "transcoder"),
            "mlp_or_tc": KIND,
            "edit_sequence_path": str(DATA / "edit_requests.csv"),
            "originals_path": str(functions),
            "container_workspace": str(RUNS / "workspace"),
            "translation_batch_size": BATCH_SIZE,
            "preKE_cluster_result": str(folder / "noKE"),
            "device": "cpu",
            "invalidate_cache": invalidate_cache,
            **EDIT,
        }

    def stage(self, name: str, alg_name: str, **flags: Any) -> Figures:
        """Run one stage into the folder ``name`` and return its metrics; its seconds are added to those of its last name."""
        self._progress.set_postfix_str(name)
        logger.info("Stage %d of %d: %s", self._progress.n + 1, self._progress.total, name)
        config = run_config({**self.common, "output_file_path": str(self.folder / name), "alg_name": alg_name, **flags})
        start = time.perf_counter()
        metrics = run_stage(config, self.model_and_tokenizer)
        stage = Path(name).name
        self.seconds[stage] = round(self.seconds.get(stage, 0) + time.perf_counter() - start, 3)
        self._progress.update()
        return metrics


def run_demo(seed: int | None = None, invalidate_cache: bool = False) -> Figures:
    """Run the chain, print its table and write ``summary.json`` in the folder of this draw; of the default in ``runs/demo`` too.

    Args:
        seed: of fresh test functions; None takes the ones in the repository.
        invalidate_cache: do not continue what an earlier run left.

    Returns:
        What the summary holds.

    Raises:
        UserError: if there is no D compiler, a folder cannot be written, or the seed is the validation draw's.
    """
    if seed == VALIDATION_SEED:
        raise UserError(f"--demo_seed {seed} draws the functions that the demo's settings were chosen on; give another seed.")
    folder, functions = RUNS / "default", DATA / "test.csv"
    if seed is not None:
        folder = RUNS / f"seed_{seed}"
        functions = folder / "functions.csv"
        if invalidate_cache or not functions.exists():
            write_dataset(seed, functions)
    families: dict[str, Figures] = {}
    stages = 2 + 3 * len(CORRECTIONS)
    with locked(folder), PeakMemory() as memory, Progress(total=stages, desc="demo", unit="stage", bar_format=_BAR) as progress:
        chain = _Chain(functions, folder, invalidate_cache, progress)
        before = chain.stage("noKE", "noKE")
        for row, family in enumerate(CORRECTIONS):
            figures = {
                "TCPE_pre": chain.stage(f"{family}/TCPE_pre", "TCPE_pre", i=row, save_k_v_upd=True),
                "TCPE": chain.stage(f"{family}/TCPE", "TCPE", i=row),
                "ablation": chain.stage(f"{family}/ablation", "TCPE", i=row, abla_exp=True),
            }
            families[family] = {"targets": figures["TCPE"]["targets"], **{name: _figures(metrics) for name, metrics in figures.items()}}
        together = chain.stage("multi_error", "TCPE", i=0, more_edits=[str(row) for row in range(1, len(CORRECTIONS))])
    summary = {
        "samples": before["samples"],
        "accuracy_before": before["accuracy"],
        "families": families,
        "multi_error": _figures(together),
        "seconds": chain.seconds,
        "peak_memory_mb": round(memory.mebibytes, 1),
    }
    write_json(folder / SUMMARY_FILE, summary)
    if seed is None:
        write_json(RUNS / SUMMARY_FILE, summary)
    sys.stdout.write(table(summary))
    return summary


def _figures(metrics: Figures) -> Figures:
    return {name: metrics[source] for name, source in _FIGURES.items()}


def table(summary: Figures) -> str:
    """The summary as text, a line per edit, shares in percent."""
    names = ["generalization", "cluster_drift", "specificity", "destructiveness", "reliability", "accuracy_after"]
    heads = ["general.", "drift", "specific.", "destruct.", "reliable", "accuracy"]
    lines = [
        f"{summary['samples']} functions, accuracy before any edit {summary['accuracy_before']:.1%}; shares in percent",
        f"{'family':10}{'edit':10}{'targets':>8}{'columns':>8}" + "".join(f"{head:>10}" for head in heads),
    ]
    rows = [
        (family if stage == "TCPE_pre" else "", stage, figures["targets"], figures[stage])
        for family, figures in summary["families"].items()
        for stage in ("TCPE_pre", "TCPE", "ablation")
    ]
    all_targets = sum(figures["targets"] for figures in summary["families"].values())
    for family, stage, targets, figures in [*rows, ("together", "TCPE", all_targets, summary["multi_error"])]:
        shares = "".join(f"{'-' if figures[name] is None else f'{100 * figures[name]:.1f}':>10}" for name in names)
        lines.append(f"{family:10}{stage:10}{targets:>8}{figures['columns']:>8}{shares}")
    seconds = ", ".join(f"{stage} {value:.0f} s" for stage, value in summary["seconds"].items())
    return "\n".join(lines) + f"\n{seconds}; at most {summary['peak_memory_mb']:.0f} MB\n"
