"""Several stages on one model and one benchmark, and their figures in one table."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy.stats import binomtest

from d_running.evaluation import SHORT_NAMES
from stages.config import run_config
from stages.pages import leave_neurons, leave_report
from stages.run import Metrics, run_stage
from util.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

_COLUMNS = {
    "generalization": "general.",
    "cluster_drift": "drift",
    "specificity": "specific.",
    "destructiveness": "destruct.",
    "reliability": "reliable",
    "accuracy_after": "accuracy",
}


class Chain:
    """The stages of one chain.

    Args:
        folder: each stage's output lies in it, under the stage's name.
        common: flags that all stages share (see `stages.config`).
        model_and_tokenizer: of the common ``MODEL_NAME``, without its transcoder.
        progress: says which stage is at work, and counts those that are done.

    Attributes:
        seconds: what each kind of stage took in all.
    """

    def __init__(
        self,
        folder: Path,
        common: Mapping[str, Any],
        model_and_tokenizer: "tuple[PreTrainedModel, PreTrainedTokenizerFast]",
        progress: Progress,
    ) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self._common = common
        self._model_and_tokenizer = model_and_tokenizer
        self._progress = progress

    def stage(self, name: str, alg_name: str, **flags: Any) -> Metrics:
        """Run one stage into the folder ``name`` and return its metrics; its seconds are added to those of its last name."""
        self._progress.set_postfix_str(name)
        logger.info("Stage %d of %d: %s", self._progress.n + 1, self._progress.total, name)
        config = run_config({**self._common, "output_file_path": str(self.folder / name), "alg_name": alg_name, **flags})
        start = time.perf_counter()
        metrics = run_stage(config, self._model_and_tokenizer)
        stage = Path(name).name
        self.seconds[stage] = round(self.seconds.get(stage, 0) + time.perf_counter() - start, 3)
        self._progress.update()
        return metrics

    def summary(self, errors: Sequence[str], others: Mapping[str, Sequence[Metrics]] | None = None) -> Metrics:
        """Run noKE, for each error the whole update, its active columns and the others, then all errors' active columns together.

        Args:
            errors: names of the edit requests, in the order of their rows.
            others: the metrics of other edits of these errors, by the name that they have in the table, above TCPE's.

        Returns:
            What ``table`` takes, but for ``peak_memory_mb``, which is the caller's to measure.
        """
        before = self.stage("noKE", "noKE")
        families: dict[str, Metrics] = {}
        for row, error in enumerate(errors):
            edits = {name: metrics[row] for name, metrics in (others or {}).items()} | {
                "TCPE_pre": self.stage(f"{error}/TCPE_pre", "TCPE_pre", i=row),
                "TCPE": self.stage(f"{error}/TCPE", "TCPE", i=row),
                "ablation": self.stage(f"{error}/ablation", "TCPE", i=row, abla_exp=True),
            }
            families[error] = {"targets": edits["TCPE"]["targets"], **{name: figures(metrics) for name, metrics in edits.items()}}
        together = self.stage("multi_error", "TCPE", i=0, more_edits=[str(row) for row in range(1, len(errors))])
        return {
            "samples": before["samples"],
            "accuracy_before": before["accuracy"],
            "families": families,
            "multi_error": figures(together),
            "seconds": self.seconds,
        }

    def report(self) -> Path | None:
        """Write the page of all runs in the chain's folder (see ``pages.leave_report``)."""
        return leave_report(self.folder)

    def neurons(self, name: str) -> Path | None:
        """Write the page of the neurons of the stage ``name`` (see ``pages.leave_neurons``)."""
        return leave_neurons(self.folder / name, self._model_and_tokenizer)


def figures(metrics: Metrics) -> Metrics:
    """Those of one stage that a summary keeps."""
    return {short: metrics[name] for name, short in SHORT_NAMES.items()} | {"columns": metrics["columns"]}


def table(summary: Metrics, intervals: bool = False) -> str:
    """The summary as text, a line per edit, shares in percent.

    Args:
        intervals: put Wilson's 95 % interval behind each share of functions.
    """
    width = 17 if intervals else 10
    lines = [
        f"{summary['samples']} functions, accuracy before any edit {summary['accuracy_before']:.1%}; shares in percent",
        f"{'family':10}{'edit':10}{'targets':>8}{'columns':>8}" + "".join(f"{head:>{width}}" for head in _COLUMNS.values()),
    ]
    rows = [
        (family if position == 0 else "", stage, one["targets"], one[stage])
        for family, one in summary["families"].items()
        for position, stage in enumerate(stage for stage in one if stage != "targets")
    ]
    targets = summary["multi_error"].get("targets") or sum(one["targets"] for one in summary["families"].values())
    for family, stage, count, one in [*rows, ("together", "TCPE", targets, summary["multi_error"])]:
        counts = {
            "generalization": count,
            "specificity": summary["samples"] - count,
            "destructiveness": round(summary["samples"] * summary["accuracy_before"]),
            "accuracy_after": summary["samples"],
        }
        shares = "".join(f"{_cell(one[name], counts.get(name) if intervals else None):>{width}}" for name in _COLUMNS)
        lines.append(f"{family:10}{stage:10}{count:>8}{one['columns']:>8}{shares}")
    seconds = ", ".join(f"{stage} {value:.0f} s" for stage, value in summary["seconds"].items())
    return "\n".join(lines) + f"\n{seconds}; at most {summary['peak_memory_mb']:.0f} MB\n"


def _cell(share: float | None, count: int | None) -> str:
    """A share in percent, with its interval if it is one of ``count`` functions."""
    if share is None:
        return "-"
    if not count:
        return f"{100 * share:.1f}"
    low, high = binomtest(round(share * count), count).proportion_ci(0.95, "wilson")
    return f"{100 * share:.1f} {100 * low:.0f}..{100 * high:.0f}"
