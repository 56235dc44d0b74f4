"""What an edit did: the metrics of one clustering against the one before."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from d_running.cluster import SUCCESS, Clustering, read_clustering
from util.errors import BenchmarkError
from util.files import write_json

METRICS_FILE = "metrics.json"


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
        reliability: of the single tests of samples that succeeded before, those that still pass.
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
        BenchmarkError: if the samples differ, or the compilers do and that was not allowed.
    """
    check_same_samples((result.name for result in before.results), (result.name for result in after.results))
    _check_same_compiler(before, after, allow_version_change)
    targets = set(target_clusters)
    moves = list(zip(before.groups, after.groups, strict=True))
    of_targets = [new for old, new in moves if old in targets]
    others = [old == new for old, new in moves if old not in targets]
    succeeded = [new for old, new in moves if old == SUCCESS]
    successes_after = after.groups.count(SUCCESS)
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
        reliability=_share(sum(still for _, still in tests), sum(passed for passed, _ in tests)),
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


def _check_same_compiler(before: Clustering, after: Clustering, allow_version_change: bool) -> None:
    if before.compiler and after.compiler and before.compiler != after.compiler and not allow_version_change:
        raise BenchmarkError(
            f"Before was compiled with {before.compiler}, after with {after.compiler}, which may word errors differently; "
            "make the earlier clustering again, or accept it with --allow_version_change."
        )


def main() -> None:
    """Command line: ``python -m d_running.evaluation BEFORE AFTER --target_clusters 0 3``."""
    parser = argparse.ArgumentParser(prog="python -m d_running.evaluation", description=__doc__)
    parser.add_argument("before", type=Path, help="folder, cluster.json or cluster.csv of the clustering before")
    parser.add_argument("after", type=Path, help="the same of the clustering after, with the names of the one before")
    parser.add_argument("--target_clusters", nargs="*", default=[], help="the clusters that the edit was for")
    parser.add_argument("--output_path", type=Path, help=f"folder for {METRICS_FILE}")
    parser.add_argument("--allow_version_change", action="store_true", help="compare the outputs of different compilers")
    arguments = parser.parse_args()
    before, after = read_clustering(arguments.before), read_clustering(arguments.after)
    metrics = evaluate(before, after, arguments.target_clusters, arguments.allow_version_change)
    if arguments.output_path:
        write_json(arguments.output_path / METRICS_FILE, asdict(metrics))
    for field in fields(metrics):
        value = getattr(metrics, field.name)
        sys.stdout.write(f"{field.name:28}{'-' if value is None else f'{value:.4g}':>8}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
