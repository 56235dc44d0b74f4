"""A run as WandB shows it: its place among others, the figures of the paper's tables, what changed, and its page.

Everything comes from what the run left in its folder, so that a replay says what the run itself did.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from d_running.cluster import read_clustering
from explain.report import PAGE, cluster_meanings, translations_of
from explain.runs import read_run
from stages.config import RunConfig, run_flags
from stages.plan import HOW, PLAN_FILE
from tcpe.request import EditRequest
from util.errors import UserError
from util.tracking import Mirror, RunTracker

logger = logging.getLogger(__name__)

MAIN, SUB = "MainMetrics/", "SubMetrics/"

_MAIN = {
    "accuracy_of_target_cluster": "accuracy_of_target_cluster",
    "change_of_target_cluster": "change_of_target_cluster",
    "specificity": "Specificity",
    "destructiveness": "Destructiveness",
}
"""The figures of the paper's tables, by their names in ``metrics.json``, with those that they have under MainMetrics in WandB."""

SERIES = {"value_step": ("loss", "nll", "kl", "weight_decay")}
"""What a search logs, and over what."""

CLUSTERS, CHANGED = "clusters", "changed_translations"

_INCIDENTAL = (*HOW, "invalidate_cache")


def tracker_of(config: RunConfig, requests: Sequence[EditRequest]) -> RunTracker:
    """The tracker of a run, named after its place: in a sweep by setting, row and stage, grouped by the setting."""
    stage = "ablation" if config.edit.abla_exp else config.alg_name
    group, name = _place(config.output)
    errors = ", ".join(request.error for request in requests)
    about = {"stage": stage, "error": errors, "brief_description": ", ".join(request.brief_description for request in requests)}
    tags = [stage, *(f"error {request.error}" for request in requests), f"layer {config.model.layer_num}", config.kind]
    return RunTracker(
        config.output,
        config.run_name or name,
        run_flags(config) | about,
        stage=stage,
        series=SERIES,
        group=group,
        tags=tags[:1] if config.is_reference else tags,
        project=config.wandb_project,
        entity=config.wandb_entity,
        incidental=_INCIDENTAL,
        anew=config.invalidate_cache,
    )


def _place(folder: Path) -> tuple[str, str]:
    """Group and name of a run: of a sweep's task the sweep with its setting, and the task's name; else the folders' names."""
    folder = folder.resolve()
    for above in folder.parents[:3]:
        if (above / PLAN_FILE).is_file():
            inside = folder.relative_to(above).parts
            return "/".join([above.name, *inside[:-2]]), "/".join(inside)
    return folder.parent.name, folder.name


def named(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as WandB groups them: those of the paper's tables, and all others."""
    main = {MAIN + _MAIN[name]: value for name, value in figures.items() if name in _MAIN}
    return main | {SUB + name: value for name, value in figures.items() if name not in _MAIN}


def review(folder: Path, mirror: Mirror, lines: int) -> None:
    """Tell WandB what belongs to a run that has ended: its metrics, the clusters before and after, what changed, and its page.

    Args:
        lines: of the run's ``metrics.jsonl``; the tables come behind them.
    """
    if not mirror.works:
        return
    try:
        run = read_run(folder)
        before = run.clustering if run.edits_nothing else read_clustering(run.before)
        after = run.clustering
    except UserError as error:
        logger.warning("WandB gets no tables of %s: %s", folder, error)
        return
    mirror.summarize(named(run.metrics))
    targets = run.metrics.get("target_clusters", [])
    meanings = cluster_meanings(after) | cluster_meanings(before)
    counts = [[name, meaning, before.groups.count(name), after.groups.count(name), name in targets] for name, meaning in meanings.items()]
    tables: dict[str, Any] = {CLUSTERS: (("cluster", "message", "before", "after", "target"), counts)}
    if not run.edits_nothing:
        texts = zip(translations_of(run.before, before), translations_of(folder, after), strict=True)
        changed = [
            [old.name, *groups, old.description, new.description, *pair]
            for old, new, *groups, pair in zip(before.results, after.results, before.groups, after.groups, texts, strict=True)
            if groups[0] != groups[1] or (pair[0] is not None and pair[0] != pair[1])
        ]
        columns = ("function", "cluster before", "cluster after", "message before", "message after", "translation before", "translation after")
        tables[CHANGED] = (columns, changed)
    mirror.tables(tables, lines)
    if (folder / PAGE).is_file():
        mirror.page(folder / PAGE)
