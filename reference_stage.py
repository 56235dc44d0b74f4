"""The stage noKE of the reference translator, which needs no model, and what the stages of models share with it."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from d_running.cluster import CLUSTER_CSV, Clustering, clustering_folder, read_clustering, write_clustering
from d_running.compiler import find_compiler
from d_running.dataset import load_samples
from d_running.evaluation import METRICS_FILE
from d_running.judge import JudgeConfig, figures, judge
from d_running.sandbox import choose_tier
from d_running.translate import translate_with_rules, write_translations
from tcpe.config import RunConfig
from tcpe.run_folder import TRANSLATIONS, check_writable, open_run
from util.errors import BenchmarkError
from util.files import write_json
from util.tracking import RunTracker

TIMING = "timing.json"


def run_reference(config: RunConfig) -> dict[str, Any]:
    """Translate with the rules, judge and cluster; write and return what a model's stage noKE does (see `stages.run_stage`).

    Raises:
        UserError: for anything that the user can mend; earlier results are left intact.
    """
    seconds: dict[str, float] = {}
    for folder in (config.output, Path(config.container_workspace)):
        check_writable(folder)
    if not config.translate_only:
        find_compiler(config.d_compiler)
        choose_tier(config.allow_unsafe_execution)
        check_writable(clustering_folder(config.preKE_cluster_result))
    samples = load_samples(Path(config.originals_path), Path(config.d_params_path))
    with timed(seconds, "translate"):
        translations = translate_with_rules(samples, config.without_rule)
    open_run(config, {"without_rule": sorted(config.without_rule), "translations": translations})
    metrics: dict[str, Any] = {}
    with RunTracker(config.output, config.run_name or config.output.name, dataclasses.asdict(config)) as tracker:
        write_translations(translations, config.output / TRANSLATIONS)
        if not config.translate_only:
            with timed(seconds, "judge"):
                translator = {"model": config.MODEL_NAME}
                clustering, measured = judge(config.output / TRANSLATIONS, samples, config.output, judge_config(config), translator=translator)
            metrics = figures(clustering, measured, None, ())
        timing = {step: round(value, 3) for step, value in seconds.items()}
        tracker.log(**metrics, seconds=timing)
    if not config.translate_only:
        write_json(config.output / METRICS_FILE, metrics)
        publish(config, clustering)
    write_json(config.output / TIMING, timing)
    return metrics | {"seconds": timing}


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Enter the seconds that the block takes under ``step``."""
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start


def judge_config(config: RunConfig) -> JudgeConfig:
    """The part of the configuration that says how to judge."""
    shared = {field.name for field in dataclasses.fields(JudgeConfig)} & {field.name for field in dataclasses.fields(config)}
    return JudgeConfig(Path(config.container_workspace), **{name: getattr(config, name) for name in shared})


def publish(config: RunConfig, clustering: Clustering) -> None:
    """Write noKE's clustering where later runs look for it.

    Raises:
        BenchmarkError: if another one is there and may not be thrown away.
    """
    folder = clustering_folder(config.preKE_cluster_result)
    if folder.resolve() == config.output.resolve():
        return
    if (folder / CLUSTER_CSV).exists() and not config.invalidate_cache and read_clustering(folder) != clustering:
        raise BenchmarkError(f"{folder} holds another clustering; name another --preKE_cluster_result, or give --invalidate_cache.")
    write_clustering(clustering, folder)
