"""One run: prepare once, edit, translate, judge, publish; the same for a model and for the translator by rules."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from d_running.cluster import CLUSTER_CSV, Clustering, clustering_folder, read_clustering, write_clustering
from d_running.evaluation import METRICS_FILE, check_comparable
from d_running.judge import figures, judge
from stages.config import REFERENCE, RunConfig, changed
from stages.pages import leave_report
from stages.prepare import Prepared, prepare
from stages.review import review, tracker_of
from stages.run_folder import TRANSLATIONS, open_run, write_timing
from util.errors import BenchmarkError, UserError
from util.files import write_json
from util.lock import locked

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

Metrics = dict[str, Any]
Timed = Callable[[str], AbstractContextManager[None]]
"""Enters the seconds that its block takes under a name."""


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

    Of several processes that torchrun started each translates a part, and the first does the rest.

    Returns:
        What ``metrics.json`` holds, the benchmark's figures and the number of changed columns, and under ``seconds`` what this call took:
        the same command gives the same bytes of the first. Nothing in a process that is not the first.

    Raises:
        UserError: for anything that the user can mend; earlier results are left intact.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[step] = round(time.perf_counter() - start, 3)

    config = _shared(config)
    prepared = prepare(config)
    if _is_helper():
        with _translator(config, prepared, timed, model_and_tokenizer) as translator:
            translator.translate(lambda **_: None)
        return {}
    with locked(config.output), _translator(config, prepared, timed, model_and_tokenizer) as translator:
        if prepared.before is not None:
            check_comparable(prepared.before.made_with, config.judging.settings | translator.made_with, config.judge.allow_version_change)
        open_run(config, translator.content)
        with tracker_of(config, prepared.task.requests) as tracker:
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
            if not config.translate_only:
                write_json(config.output / METRICS_FILE, metrics)
                if not config.method.edits:
                    publish(config, clustering)
            write_timing(config, seconds)
            if not config.translate_only:
                leave_report(config.output)
                review(config.output, tracker.mirror, tracker.lines)
    return metrics | {"seconds": seconds}


def _shared(config: RunConfig) -> RunConfig:
    """``config`` for a run that the processes share which were started together, each on a GPU of its own.

    Raises:
        UserError: for the reference, which has nothing to share.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return config
    if config.is_reference:
        raise UserError(f"--MODEL_NAME {REFERENCE} needs no torchrun: the rules are fast; --jobs says how many programs are judged at a time.")
    from util.processes import share_runs

    device = share_runs()
    return changed(config, device=device) if device and config.model.device == "auto" and not config.model.device_map else config


def _is_helper() -> bool:
    """Whether this process shares a run of which another writes the files."""
    return os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK") != "0"


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
