"""One run: prepare once, edit, translate, judge, publish; the same for a model and for the translator by rules."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from d_running.cluster import CLUSTER_CSV, Clustering, clustering_folder, read_clustering, write_clustering
from d_running.evaluation import METRICS_FILE, check_comparable
from d_running.judge import figures, judge
from stages.config import RunConfig, run_flags
from stages.pages import leave_report
from stages.prepare import Prepared, prepare
from stages.run_folder import TRANSLATIONS, open_run, write_timing
from util.errors import BenchmarkError
from util.files import write_json
from util.lock import locked
from util.tracking import RunTracker

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

Metrics = dict[str, Any]
Timed = Callable[[str], AbstractContextManager[None]]
"""Enters the seconds that its block takes under a name."""


_SERIES = {"value_step": ("loss", "nll", "kl", "weight_decay")}
"""What a search logs, and over what."""

_MAIN = {
    "accuracy_of_target_cluster": "accuracy_of_target_cluster",
    "change_of_target_cluster": "change_of_target_cluster",
    "specificity": "Specificity",
    "destructiveness": "Destructiveness",
}
"""The figures of the paper's tables, by their names in ``metrics.json``, with those that they have under MainMetrics in WandB."""


def _review(metrics: Metrics) -> Metrics:
    """The metrics as WandB groups them: those of the paper's tables, and all others."""
    main = {f"MainMetrics/{_MAIN[name]}": value for name, value in metrics.items() if name in _MAIN}
    return main | {f"SubMetrics/{name}": value for name, value in metrics.items() if name not in _MAIN}


class Translator(Protocol):
    """What translates in a run, ready to begin."""

    @property
    def made_with(self) -> dict[str, Any]:
        """What the translations are made by, before any edit (see ``Clustering.made_with``)."""

    @property
    def content(self) -> dict[str, Any]:
        """Stands for everything that they depend on, beside the flags (see ``open_run``)."""

    @property
    def metrics(self) -> Metrics:
        """What is known of it already."""

    def translate(self, log: Callable[..., None], /) -> Metrics:
        """Edit, write what is not translated yet to the run's folder, and return figures of the edit."""


def run_stage(config: RunConfig, model_and_tokenizer: "tuple[PreTrainedModel, PreTrainedTokenizerFast] | None" = None) -> Metrics:
    """Run what ``config`` names and write everything under its output folder; what is there already is continued.

    Args:
        model_and_tokenizer: the model of ``MODEL_NAME``, if it is loaded already, without the transcoder; it is left as it is.

    Returns:
        What ``metrics.json`` holds, the benchmark's figures and the number of changed columns, and under ``seconds`` what this call took:
        the same command gives the same bytes of the first.

    Raises:
        UserError: for anything that the user can mend; earlier results are left intact.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[step] = round(time.perf_counter() - start, 3)

    prepared = prepare(config)
    with locked(config.output), _translator(config, prepared, timed, model_and_tokenizer) as translator:
        if prepared.before is not None:
            check_comparable(prepared.before.made_with, config.judging.settings | translator.made_with, config.judge.allow_version_change)
        open_run(config, translator.content)
        stage = "ablation" if config.edit.abla_exp else config.alg_name
        with RunTracker(config.output, config.run_name or config.output.name, run_flags(config), stage=stage, series=_SERIES) as tracker:
            metrics = translator.metrics | translator.translate(tracker.log)
            if not config.translate_only:
                with timed("judge"):
                    clustering, measured = judge(
                        config.output / TRANSLATIONS,
                        prepared.samples,
                        config.output,
                        config.judging,
                        prepared.before,
                        prepared.targets,
                        translator.made_with,
                        prepared.embed,
                    )
                metrics |= figures(clustering, measured, prepared.before, prepared.targets)
            tracker.log(**metrics, seconds=seconds)
            tracker.summarize(**_review(metrics), **{f"request/{number}": vars(one) for number, one in enumerate(prepared.task.requests)})
        if not config.translate_only:
            write_json(config.output / METRICS_FILE, metrics)
            if not config.method.edits:
                publish(config, clustering)
        write_timing(config, seconds)
        if not config.translate_only:
            leave_report(config.output)
    return metrics | {"seconds": seconds}


def _translator(
    config: RunConfig, prepared: Prepared, timed: Timed, model_and_tokenizer: "tuple[PreTrainedModel, PreTrainedTokenizerFast] | None"
) -> AbstractContextManager[Translator]:
    """The rules, or a model; imported only now, since a model needs torch."""
    if config.is_reference:
        from stages.reference import rule_translator

        return rule_translator(config, prepared, timed)
    from stages.model import model_translator

    return model_translator(config, prepared, timed, model_and_tokenizer)


def publish(config: RunConfig, clustering: Clustering) -> None:
    """Write the clustering of a run without edits where later runs look for it.

    Raises:
        BenchmarkError: if another one is there and may not be thrown away.
    """
    folder = clustering_folder(config.preKE_cluster_result)
    if folder.resolve() == config.output.resolve():
        return
    with locked(folder, wait=True, work="publish"):
        if (folder / CLUSTER_CSV).exists() and not config.invalidate_cache:
            found = read_clustering(folder)
            # One without settings may be what a killed run has left of the same one.
            if found != (clustering if found.made_with else replace(clustering, made_with={})):
                raise BenchmarkError(f"{folder} holds another clustering; name another --preKE_cluster_result, or give --invalidate_cache.")
            if found.made_with:
                return
        write_clustering(clustering, folder)
