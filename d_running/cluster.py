"""Clusters of what failed: messages grouped by leader clustering, and named as in an earlier clustering."""

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from d_running.embedding import BUILTIN, Embedder, load_embedder
from d_running.execution import ErrorKind
from d_running.unit_test import RESULTS_INFO_FILE, Result, read_results
from util.errors import BenchmarkError
from util.files import read_json, write_csv, write_json

SUCCESS, CORRECTNESS = "Success", "Correctness"
CLUSTER_JSON, CLUSTER_CSV, STATISTICS_CSV, INFO_JSON = "cluster.json", "cluster.csv", "cluster_statistics.csv", "cluster_info.json"
MAX_LENGTH, THRESHOLD = 8, 0.9

_FIELDS = ["description", "error", "success", "path", "brief_description", "group", "correct", "total"]
_ERROR = re.compile(r"Error:.*")
_LOCATION = re.compile(r"@[^\s:]*\(\d+\)")
_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class Clustering:
    """Results and the cluster of each.

    Attributes:
        results: sorted by name.
        groups: the cluster's name for each result: a number, "Correctness" or "Success".
        compiler: what worded the messages, such as "LDC 1.30.0 (front end 2.100.1)"; empty where it is not known.
    """

    results: list[Result]
    groups: list[str]
    compiler: str = ""

    @property
    def names(self) -> list[str]:
        """The clusters that have a member, numbers first."""
        return sorted(set(self.groups), key=_order)

    def messages(self, group: str) -> list[str]:
        """The brief descriptions of a cluster's members."""
        return [brief_description(result) for result, own in zip(self.results, self.groups, strict=True) if own == group]


def _order(group: str) -> tuple[bool, int, str]:
    return (not group.isdigit(), int(group) if group.isdigit() else 0, group)


def brief_description(result: Result) -> str:
    """The first error's text from ``Error:`` to the end of its line; for other words their first line, without its place."""
    found = _ERROR.search(result.description)
    return found.group().rstrip() if found else _LOCATION.sub("", result.description.strip().partition("\n")[0])


def cluster_results(results: Sequence[Result], embed: Embedder, threshold: float = THRESHOLD, compiler: str = "") -> Clustering:
    """Group failures by their brief descriptions.

    Leader clustering in the order of the samples' names: a message without a cluster opens one and claims every later
    message with a cosine above ``threshold``, also one that was claimed before. Clusters are numbered as they open.
    """
    results = sorted(results, key=lambda result: result.name)
    groups = [SUCCESS if result.success else CORRECTNESS for result in results]
    failed = np.array([i for i, result in enumerate(results) if not result.success and result.error != CORRECTNESS], dtype=int)
    if failed.size:
        texts, which = np.unique([brief_description(results[i]) for i in failed], return_inverse=True)
        for index, label in zip(failed, _leader_clusters(embed(texts.tolist()), which, threshold), strict=True):
            groups[index] = str(label)
    return Clustering(results, groups, compiler)


def _leader_clusters(rows: NDArray[np.float32], which: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """The cluster number of each message; message i has the embedding ``rows[which[i]]``."""
    labels = np.full(len(which), -1)
    opened = 0
    for position in range(len(which)):
        if labels[position] < 0:
            near = (rows @ rows[which[position]] > threshold)[which[position:]]
            labels[position:][near] = opened
            labels[position] = opened
            opened += 1
    return labels


def align(after: Clustering, before: Clustering, embed: Embedder, threshold: float = THRESHOLD) -> Clustering:
    """``after`` with its numbered clusters named as in ``before``.

    Each takes the name of the old cluster that its messages are nearest to: the mean over all of its messages of the
    largest cosine with one of the old cluster's. Where that is not above ``threshold``, it takes the next free number.
    """
    old = _Messages(before, embed)
    free = max((int(name) for name in old.names), default=-1) + 1
    names: dict[str, str] = {}
    for name in after.names:
        if name.isdigit():
            nearest = old.nearest_cluster(embed(after.messages(name)), threshold)
            names[name] = str(free) if nearest is None else nearest
            free += nearest is None
    return replace(after, groups=[names.get(group, group) for group in after.groups])


def nearest_cluster(clustering: Clustering, message: str, embed: Embedder, threshold: float = THRESHOLD) -> str | None:
    """The numbered cluster that ``message`` belongs to by the rule of `align`, None if it is near to none."""
    return _Messages(clustering, embed).nearest_cluster(embed([message]), threshold)


class _Messages:
    """The embedded messages of a clustering's numbered clusters, each text once a cluster, cluster after cluster."""

    def __init__(self, clustering: Clustering, embed: Embedder) -> None:
        self.names = [name for name in clustering.names if name.isdigit()]
        texts = [sorted(set(clustering.messages(name))) for name in self.names]
        self._rows = embed([text for own in texts for text in own])
        self._starts = np.cumsum([0, *(len(own) for own in texts)])[:-1]

    def nearest_cluster(self, rows: NDArray[np.float32], threshold: float) -> str | None:
        """The cluster nearest to the messages with embeddings ``rows`` [n, dim]; of equals the first."""
        if not self.names:
            return None
        total = np.zeros(len(self.names))
        for start in range(0, len(rows), _ROWS_AT_A_TIME):
            cosines = rows[start : start + _ROWS_AT_A_TIME] @ self._rows.T
            total += np.maximum.reduceat(cosines, self._starts, axis=1).sum(axis=0, dtype=np.float64)
        best = int(np.argmax(total.round(4)))
        return self.names[best] if total[best] / len(rows) > threshold else None


def write_clustering(clustering: Clustering, folder: Path) -> None:
    """Write cluster.json (cluster to samples), cluster.csv (a row a sample), cluster_statistics.csv and cluster_info.json."""
    folder = Path(folder)
    members: dict[str, list[int]] = {name: [] for name in clustering.names}
    for index, group in enumerate(clustering.groups):
        members[group].append(index)
    briefs = [brief_description(result) for result in clustering.results]
    write_json(folder / CLUSTER_JSON, {name: [clustering.results[i].name for i in own] for name, own in members.items()})
    rows = [
        asdict(result) | {"brief_description": brief, "group": group}
        for result, brief, group in zip(clustering.results, briefs, clustering.groups, strict=True)
    ]
    write_csv(folder / CLUSTER_CSV, _FIELDS, rows)
    statistics = [
        {
            "group": name,
            "samples": len(own),
            "share": round(len(own) / len(briefs), 4),
            "brief_description": Counter(briefs[i] for i in own).most_common(1)[0][0] if name.isdigit() else "",
        }
        for name, own in members.items()
    ]
    write_csv(folder / STATISTICS_CSV, ["group", "samples", "share", "brief_description"], statistics)
    write_json(folder / INFO_JSON, {"compiler": clustering.compiler})


def read_clustering(path: Path) -> Clustering:
    """The clustering in a folder, which may also be named by its cluster.json or cluster.csv.

    Raises:
        BenchmarkError: if the files are missing, or not what `write_clustering` writes.
    """
    path = Path(path)
    folder = path.parent if path.suffix in (".json", ".csv") else path
    file = path if path.suffix == ".csv" else folder / CLUSTER_CSV
    csv.field_size_limit(sys.maxsize)
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        groups = [row["group"] for row in rows]
        results = [_result(row) for row in rows]
    except OSError as error:
        raise BenchmarkError(f"Cannot read the clustering {file}: {error.strerror}; make it first with --alg_name noKE.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise BenchmarkError(f"{file} is not a clustering ({type(error).__name__}: {error}); it needs {', '.join(_FIELDS)}.") from error
    if not results or len({result.path for result in results}) != len(results):
        raise BenchmarkError(f"{file} is empty or names a sample twice; make it again.")
    info = folder / INFO_JSON
    return Clustering(results, groups, read_json(info, "the clustering's compiler")["compiler"] if info.exists() else "")


def _result(row: dict[str, str]) -> Result:
    success, counts = row["success"] == "True", (int(row["correct"]), int(row["total"]))
    return Result(row["path"], success, cast(ErrorKind, row["error"]), row["description"], *counts)


def compiler_of(results_path: Path) -> str:
    """The compiler that a results_info.json beside results.json (or in that folder) names; empty if there is none."""
    path = Path(results_path)
    info = (path if path.is_dir() else path.parent) / RESULTS_INFO_FILE
    if not info.exists():
        return ""
    values = read_json(info, "the results' compiler")
    return f"{values['compiler']} (front end {values['front_end']})"


def main() -> None:
    """Command line: ``python -m d_running.cluster RESULTS --output_path FOLDER``."""
    parser = argparse.ArgumentParser(prog="python -m d_running.cluster", description=__doc__)
    parser.add_argument("results", type=Path, help="a results.json, or the folder that holds it")
    parser.add_argument("--output_path", type=Path, required=True, help="folder for cluster.json, cluster.csv and cluster_statistics.csv")
    parser.add_argument("--before", type=Path, help="an earlier clustering, whose names the clusters shall take")
    parser.add_argument("--embedding_model", default=BUILTIN, help="sentence-transformers model, or builtin (%(default)s)")
    parser.add_argument("--max_length", type=int, default=MAX_LENGTH, help="how much of a message counts (%(default)s)")
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="cosine above which messages are alike (%(default)s)")
    parser.add_argument("--trust_remote_code", action="store_true", help="let the embedding model run its own code")
    arguments = parser.parse_args()
    embed = load_embedder(arguments.embedding_model, arguments.max_length, arguments.trust_remote_code)
    clustering = cluster_results(read_results(arguments.results), embed, arguments.threshold, compiler_of(arguments.results))
    if arguments.before:
        clustering = align(clustering, read_clustering(arguments.before), embed, arguments.threshold)
    write_clustering(clustering, arguments.output_path)
    for name, count in sorted(Counter(clustering.groups).items(), key=lambda item: -item[1]):
        sys.stdout.write(f"{name:12}{count:6}  {clustering.messages(name)[0][:100]}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
