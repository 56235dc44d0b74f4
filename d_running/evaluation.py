"""What an edit did: the metrics of one clustering against the one before."""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from d_running.cluster import NAMES_FROM, SUCCESS, Clustering, read_clustering
from util.cli import ArgumentParser
from util.errors import BenchmarkError
from util.files import write_json

METRICS_FILE = "metrics.json"

SHORT_NAMES = {
    "accuracy_of_target_cluster": "generalization",
    "change_of_target_cluster": "cluster_drift",
    "specificity": "specificity",
    "destructiveness": "destructiveness",
    "reliability": "reliability",
    "overall_accuracy_before": "accuracy_before",
    "overall_accuracy_after": "accuracy_after",
}
"""The names in metrics.json, and those that tables have."""
DIGEST = "_digest"
"""Ends the name of a setting that stands for another one's content: of two such the digests are compared, and the names are shown."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metrics:
    """The effect of an edit, as shares; None where there is nothing to take a share of.

    Attributes:
        accuracy_of_target_cluster: generalization; of the target samples, those that succeed now.
        change_of_target_cluster: cluster drift; the target clusters' size now, by their size before.
        specificity: of all other samples, those that are in the cluster that they were in.
        destructiveness: of the samples that succeeded before, those that do not now.
        overall_accuracy_before, overall_accuracy_after: of all samples, those that succeed.
        overall_accuracy_destroy: accuracy after, by accuracy before.
        reliability: of the single tests of samples that succeeded before, those that still pass; None too where a success has no
            tests, as in a cluster.csv without counts.
        samples, targets, targets_after, successes_before, successes_after: the counts behind them.
    """

    accuracy_of_target_cluster: float | None
    change_of_target_cluster: float | None
    specificity: float | None
    destructiveness: float | None
    overall_accuracy_before: float
    overall_accuracy_after: float
    overall_accuracy_destroy: float | None
    reliability: float | None
    samples: int
    targets: int
    targets_after: int
    successes_before: int
    successes_after: int


def evaluate(before: Clustering, after: Clustering, target_clusters: Sequence[str], allow_version_change: bool = False) -> Metrics:
    """Compare two clusterings of the same samples; ``after`` must be aligned with ``before`` (see `cluster.align`).

    Raises:
        BenchmarkError: if the samples differ, ``before`` lacks a target cluster, or the two were made with something
            different and ``allow_version_change`` is not set.
    """
    check_same_samples((result.name for result in before.results), (result.name for result in after.results))
    if unknown := [which for which, made in (("before", before), ("after", after)) if "compiler" not in made.made_with]:
        log.warning("Which compiler and settings made the clustering %s is not known; that may set them apart.", " and ".join(unknown))
    check_comparable(before.made_with, after.made_with, allow_version_change)
    check_targets(before, target_clusters)
    targets = set(target_clusters)
    moves = list(zip(before.groups, after.groups, strict=True))
    of_targets = [new for old, new in moves if old in targets]
    others = [old == new for old, new in moves if old not in targets]
    succeeded = [new for old, new in moves if old == SUCCESS]
    successes_after = after.groups.count(SUCCESS)
    counted = all(result.total for result in (*before.results, *after.results) if result.success)
    tests = [(old.correct, min(old.correct, new.correct)) for old, new in zip(before.results, after.results, strict=True) if old.success]
    targets_after = sum(new in targets for _, new in moves)
    return Metrics(
        accuracy_of_target_cluster=_share(of_targets.count(SUCCESS), len(of_targets)),
        change_of_target_cluster=_share(targets_after, len(of_targets)),
        specificity=_share(sum(others), len(others)),
        destructiveness=_share(len(succeeded) - succeeded.count(SUCCESS), len(succeeded)),
        overall_accuracy_before=len(succeeded) / len(moves),
        overall_accuracy_after=successes_after / len(moves),
        overall_accuracy_destroy=_share(successes_after, len(succeeded)),
        reliability=_share(sum(still for _, still in tests), sum(passed for passed, _ in tests)) if counted else None,
        samples=len(moves),
        targets=len(of_targets),
        targets_after=targets_after,
        successes_before=len(succeeded),
        successes_after=successes_after,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def check_same_samples(before: Iterable[str], after: Iterable[str]) -> None:
    """Refuse to compare results of different samples.

    Args:
        before, after: the samples' names.

    Raises:
        BenchmarkError: naming the difference.
    """
    names_before, names_after = set(before), set(after)
    if names_before != names_after:
        only_before, only_after = sorted(names_before - names_after), sorted(names_after - names_before)
        raise BenchmarkError(
            f"The clusterings before and after are of different samples: {len(only_before)} only before ({', '.join(only_before[:3])}), "
            f"{len(only_after)} only after ({', '.join(only_after[:3])}); make both from the same benchmark."
        )


def check_comparable(before: Mapping[str, Any], after: Mapping[str, Any], allow_version_change: bool = False) -> None:
    """Refuse to compare clusterings that something else than an edit sets apart.

    Args:
        before, after: what each was made with (see `Clustering.made_with`); what only one of them knows is not compared.
        allow_version_change: compare them all the same.

    Raises:
        BenchmarkError: naming what differs, and both values.
    """
    different = []
    for name in sorted(before.keys() & after.keys() - {NAMES_FROM}):
        decides = name + DIGEST if name + DIGEST in before.keys() & after.keys() else name
        if not name.endswith(DIGEST) and before[decides] != after[decides]:
            shown = [f"{made[name]} ({str(made[decides])[:8]})" if decides != name else made[name] for made in (before, after)]
            different.append(f"{name} {shown[0]} before and {shown[1]} after")
    if different and not allow_version_change:
        raise BenchmarkError(
            f"The clusterings before and after do not differ by an edit alone: {', '.join(different)}; make the one before again with the "
            "same settings, or compare them all the same with --allow_version_change."
        )


def check_targets(before: Clustering, target_clusters: Sequence[str]) -> None:
    """See that ``before`` has the target clusters.

    Raises:
        BenchmarkError: naming those that it lacks, and those that it has.
    """
    if unknown := [name for name in target_clusters if name not in before.members]:
        raise BenchmarkError(
            f"The clustering before has no cluster {', '.join(unknown)}; its clusters are "
            f"{', '.join(f'{name} ({len(own)} samples)' for name, own in before.members.items())}."
        )


def _check_aligned(before: Clustering, after: Clustering) -> None:
    """Refuse an ``after`` that has names of its own; of another tool's clustering that is not known.

    Raises:
        BenchmarkError: if it was not aligned with ``before``.
    """
    if after.made_with and after.made_with.get(NAMES_FROM) != before.digest and after.digest != before.digest:
        raise BenchmarkError(
            "The clusters after have not taken the names of this clustering before, so that equal numbers are different errors; make them "
            "again with python -m d_running.cluster RESULTS --before BEFORE."
        )


def print_metrics(metrics: Metrics) -> None:
    """A line for each figure."""
    for field in fields(metrics):
        value = getattr(metrics, field.name)
        sys.stdout.write(f"{field.name:28}{'-' if value is None else f'{value:.4g}':>8}\n")


def main() -> None:
    """Command line: ``python -m d_running.evaluation BEFORE AFTER --target_clusters 0 3``."""
    parser = ArgumentParser(prog="python -m d_running.evaluation", description=__doc__)
    parser.add_argument("before", type=Path, help="folder, cluster.json or cluster.csv of the clustering before")
    parser.add_argument("after", type=Path, help="the same of the clustering after, with the names of the one before")
    parser.add_argument("--target_clusters", nargs="*", default=[], help="the clusters that the edit was for")
    parser.add_argument("--output_path", type=Path, help=f"folder for {METRICS_FILE}")
    parser.add_argument("--allow_version_change", action="store_true", help="compare them even if compiler, model or settings differ")
    arguments = parser.parse_args()
    before, after = read_clustering(arguments.before), read_clustering(arguments.after)
    metrics = evaluate(before, after, arguments.target_clusters, arguments.allow_version_change)
    _check_aligned(before, after)
    if arguments.output_path:
        write_json(arguments.output_path / METRICS_FILE, {"target_clusters": arguments.target_clusters} | asdict(metrics))
    print_metrics(metrics)


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
