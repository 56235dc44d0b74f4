"""How sure the figures of edits are: means over runs with intervals from a bootstrap over samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from d_running.cluster import SUCCESS, Clustering

DRAWS, LEVEL = 2000, 0.95


@dataclass(frozen=True)
class Share:
    """A share of something, sample by sample: its value is the sum of ``parts`` by that of ``wholes``."""

    parts: Float[np.ndarray, " samples"]
    wholes: Float[np.ndarray, " samples"]


@dataclass(frozen=True)
class Interval:
    """A mean over runs, and the percentiles between which the middle 95 % of its resampled values lie; None where nothing can be divided."""

    mean: float | None
    low: float | None
    high: float | None
    runs: int


def shares(before: Clustering, after: Clustering, target_clusters: Sequence[str]) -> dict[str, Share]:
    """The shares of `d_running.evaluation.Metrics`, under its names, sample by sample in the order of the clusterings.

    ``after`` must be aligned with ``before``, as for `evaluate`.
    """
    old, new = np.array(before.groups, dtype=object), np.array(after.groups, dtype=object)
    targets, still = np.isin(old, list(target_clusters)), np.isin(new, list(target_clusters))
    passed, passes = old == SUCCESS, new == SUCCESS
    passed_tests = np.array([result.correct if result.success else 0 for result in before.results])
    tests = np.array([min(was.correct, now.correct) if was.success else 0 for was, now in zip(before.results, after.results, strict=True)])
    found = {
        "accuracy_of_target_cluster": (targets & passes, targets),
        "change_of_target_cluster": (still, targets),
        "specificity": (~targets & (old == new), ~targets),
        "destructiveness": (passed & ~passes, passed),
        "reliability": (tests, passed_tests),
        "overall_accuracy_before": (passed, np.ones(len(old))),
        "overall_accuracy_after": (passes, np.ones(len(old))),
    }
    if not all(result.total for result in (*before.results, *after.results) if result.success):
        del found["reliability"]
    return {name: Share(np.asarray(part, float), np.asarray(whole, float)) for name, (part, whole) in found.items()}


def intervals(runs: Sequence[Mapping[str, Share]], seed: int = 0) -> dict[str, Interval]:
    """The mean of each share over ``runs``, all on the same samples, with its bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    Each draw takes as many samples as there are, with replacement, the same ones for all runs; so what runs share by having the same
    functions is not counted as evidence several times. A run for which a draw has nothing to take a share of is left out of that draw's mean.
    """
    names = list(dict.fromkeys(name for run in runs for name in run))
    count = len(next(iter(runs[0].values())).parts)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), DRAWS).astype(float)
    tail = 100 * (1 - LEVEL) / 2
    found = {}
    for name in names:
        those = [run[name] for run in runs if name in run]
        parts, wholes = np.stack([share.parts for share in those]), np.stack([share.wholes for share in those])
        mean = _mean_of_ratios(parts.sum(1), wholes.sum(1))
        draws = _mean_of_ratios(weights @ parts.T, weights @ wholes.T)
        draws = draws[np.isfinite(draws)]
        low, high = np.percentile(draws, [tail, 100 - tail]) if len(draws) else (np.nan, np.nan)
        found[name] = Interval(_number(mean), _number(low), _number(high), len(those))
    return found


def _number(value: Any) -> float | None:
    """``value`` if it is finite."""
    return float(value) if np.isfinite(value) else None


def _mean_of_ratios(parts: Float[np.ndarray, "*draws runs"], wholes: Float[np.ndarray, "*draws runs"]) -> Float[np.ndarray, "*draws"]:
    """The mean over runs of the shares that there are; NaN where there is none."""
    there = wholes > 0
    ratios = np.where(there, parts / np.where(there, wholes, 1), 0)
    counts = there.sum(-1)
    return np.where(counts > 0, ratios.sum(-1) / np.maximum(counts, 1), np.nan)
