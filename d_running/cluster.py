"""Clusters of what failed: messages grouped by leader clustering, and named as in an earlier clustering."""

import csv
import hashlib
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from d_running.config import MAX_LENGTH, THRESHOLD
from d_running.embedding import BUILTIN, Embedder, embedding_settings, load_embedder
from d_running.execution import ErrorKind
from d_running.unit_test import RESULTS_INFO_FILE, Result, read_results
from util.cli import ArgumentParser
from util.errors import BenchmarkError, UserError
from util.files import read_json, write_csv, write_json

SUCCESS, CORRECTNESS = "Success", "Correctness"
CLUSTER_JSON, CLUSTER_CSV, STATISTICS_CSV, INFO_JSON = "cluster.json", "cluster.csv", "cluster_statistics.csv", "cluster_info.json"
NAMES_FROM = "names_from"
"""Key of ``Clustering.made_with``: the digest of the clustering whose names this one has taken."""

_FIELDS = ["description", "error", "success", "path", "brief_description", "group", "correct", "total"]
_NEEDED = ["description", "error", "success", "path", "group"]
_ERROR = re.compile(r"Error:.*")
_LOCATION = re.compile(r"@[^\s:]*\(\d+\)")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_TEXTS_AT_A_TIME = 1024
_COSINES_AT_A_TIME = 1 << 24
_DOUBT = 1e-5
"""float32 cosines this close to the threshold are computed again; rounding in a product of matrices depends on their shapes."""


@dataclass(frozen=True)
class Clustering:
    """Results and the cluster of each.

    Attributes:
        results: sorted by name.
        groups: the cluster's name for each result: a number, "Correctness" or "Success".
        made_with: what must be equal in clusterings that are compared (see `evaluation.check_comparable`); only what is known.
    """

    results: list[Result]
    groups: list[str]
    made_with: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def names(self) -> list[str]:
        """The clusters that have a member, numbers first."""
        return sorted(set(self.groups), key=_order)

    @cached_property
    def briefs(self) -> list[str]:
        """The brief description of each result."""
        return [brief_description(result) for result in self.results]

    @cached_property
    def members(self) -> dict[str, list[int]]:
        """The positions in ``results`` of each cluster's members, clusters in the order of ``names``."""
        members: dict[str, list[int]] = {name: [] for name in self.names}
        for index, group in enumerate(self.groups):
            members[group].append(index)
        return members

    @cached_property
    def digest(self) -> str:
        """Stands for the samples and the cluster of each."""
        pairs = [[result.name, group] for result, group in zip(self.results, self.groups, strict=True)]
        return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]

    def messages(self, group: str) -> Counter[str]:
        """The brief descriptions of a cluster's members, with how many members have each; in the members' order."""
        return Counter(self.briefs[index] for index in self.members[group])

    def typical_message(self, group: str) -> str:
        """The most frequent brief description of a cluster's members, of equals the first."""
        return self.messages(group).most_common(1)[0][0]


def _order(group: str) -> tuple[bool, int, str]:
    return (not group.isdecimal(), int(group) if group.isdecimal() else 0, group)


def brief_description(result: Result) -> str:
    """The first error's text from ``Error:`` to the end of its line; for other words their first line, without its place."""
    found = _ERROR.search(result.description)
    return found.group().rstrip() if found else _LOCATION.sub("", result.description.strip().partition("\n")[0])


def cluster_results(
    results: Sequence[Result], embed: Embedder, threshold: float = THRESHOLD, made_with: Mapping[str, Any] | None = None
) -> Clustering:
    """Group failures by their brief descriptions.

    Leader clustering in the order of the samples' names: a message without a cluster opens one and claims every later
    message with a cosine above ``threshold``, also one that was claimed before. Clusters are numbered as they open.

    Raises:
        UserError: if ``threshold`` is no cosine.
    """
    if not -1 <= threshold <= 1:
        raise UserError(f"--threshold {threshold} is no cosine; give a number from -1 to 1, such as {THRESHOLD}.")
    results = sorted(results, key=lambda result: result.name)
    groups = [SUCCESS if result.success else CORRECTNESS for result in results]
    failed = [i for i, result in enumerate(results) if not result.success and result.error != CORRECTNESS]
    if failed:
        briefs = [brief_description(results[i]) for i in failed]
        texts = {text: number for number, text in enumerate(dict.fromkeys(briefs))}
        labels = _leader_clusters(embed(list(texts)), np.array([texts[brief] for brief in briefs]), threshold)
        for index, label in zip(failed, labels.tolist(), strict=True):
            groups[index] = str(label)
    return Clustering(results, groups, dict(made_with or {}))


def _leader_clusters(rows: NDArray[np.float32], which: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """The cluster number of each message.

    Whether a message opens a cluster depends on its text alone, and on the leaders before it. So the leaders are found
    text by text; after that, only texts that come again can have been claimed by a leader in between.

    Args:
        rows: embeddings of the distinct texts in the order of their first message, [texts, dim].
        which: the text of each message, [messages].
    """
    firsts = np.unique(which, return_index=True)[1]
    owners = np.empty(len(rows), np.int64)  # the cluster of each text's first message
    blocks: list[tuple[int, NDArray[np.float32]]] = []  # leaders: the first one's number, their embeddings
    leaders: list[int] = []
    for start in range(0, len(rows), _TEXTS_AT_A_TIME):
        block, owner = rows[start : start + _TEXTS_AT_A_TIME], owners[start : start + _TEXTS_AT_A_TIME]
        owner[:] = -1
        for base, others in blocks:
            backwards = _near(block, others, threshold)[:, ::-1]
            owner[:] = np.where(backwards.any(axis=1), base + len(others) - 1 - backwards.argmax(axis=1), owner)
        near = _near(block, block, threshold)
        base = len(leaders)
        for k in range(len(block)):
            if owner[k] < 0:
                owner[k] = len(leaders)
                leaders.append(start + k)
                owner[k + 1 :][near[k, k + 1 :]] = owner[k]
        if len(leaders) > base:
            blocks.append((base, rows[leaders[base:]]))
    labels = owners[which]
    again = np.setdiff1d(np.arange(len(which)), firsts)
    again = again[np.argsort(which[again], kind="stable")]
    repeated, starts = np.unique(which[again], return_index=True)
    starts = np.append(starts, len(again))
    opened, step = firsts[leaders], len(which) + 1
    for start in range(0, len(repeated), _TEXTS_AT_A_TIME):
        end = min(start + _TEXTS_AT_A_TIME, len(repeated))
        messages = again[starts[start] : starts[end]]
        text_of_message = np.searchsorted(repeated[start:end], which[messages])
        for base, others in blocks:
            text, leader = np.nonzero(_near(rows[repeated[start:end]], others, threshold))
            # Pairs are sorted by text and by the leader's position: the last one not behind the message has claimed it.
            last = np.searchsorted(text * step + opened[base + leader], text_of_message * step + messages, side="right") - 1
            claimed = (last >= 0) & (text[last] == text_of_message) if len(text) else np.zeros(len(messages), bool)
            labels[messages[claimed]] = base + leader[last[claimed]]
    return labels


def _near(rows: NDArray[np.float32], others: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Whether the cosine of each pair is above ``threshold``, bool [n, m]; the same for a pair in any company."""
    cosines = rows @ others.T
    near = cosines > threshold - _DOUBT
    first, second = np.nonzero(near)
    doubtful = np.flatnonzero(cosines[first, second] < threshold + _DOUBT)
    for pairs in np.array_split(doubtful, len(doubtful) // _TEXTS_AT_A_TIME + 1):
        exact = (rows[first[pairs]].astype(np.float64) * others[second[pairs]]).sum(axis=1)
        near[first[pairs], second[pairs]] = exact > threshold
    return near


def align(after: Clustering, before: Clustering, embed: Embedder, threshold: float = THRESHOLD) -> Clustering:
    """``after`` with its numbered clusters named as in ``before``.

    Each takes the name of the old cluster that its messages are nearest to: the mean over all of its messages of the
    largest cosine with one of the old cluster's. Where that is not above ``threshold``, it takes the next free number.
    """
    new = [name for name in after.names if name.isdecimal()]
    nearest = _nearest_clusters(before, [after.messages(name) for name in new], embed, threshold)
    free = itertools.count(max((int(name) for name in before.names if name.isdecimal()), default=-1) + 1)
    names = {name: str(next(free)) if old is None else old for name, old in zip(new, nearest, strict=True)}
    groups = [names.get(group, group) for group in after.groups]
    return replace(after, groups=groups, made_with=after.made_with | {NAMES_FROM: before.digest})


def nearest_cluster(clustering: Clustering, message: str, embed: Embedder, threshold: float = THRESHOLD) -> str | None:
    """The numbered cluster that ``message`` belongs to by the rule of `align`, None if it is near to none."""
    return _nearest_clusters(clustering, [Counter([message])], embed, threshold)[0]


def _nearest_clusters(clustering: Clustering, groups: Sequence[Counter[str]], embed: Embedder, threshold: float) -> list[str | None]:
    """For each group of messages the numbered cluster of ``clustering`` that is nearest, of equals the first; None if none is near."""
    names = [name for name in clustering.names if name.isdecimal()]
    if not names or not groups:
        return [None] * len(groups)
    old_texts = [list(clustering.messages(name)) for name in names]
    old_rows = embed([text for own in old_texts for text in own])
    starts = np.cumsum([0, *map(len, old_texts)])[:-1]
    rows = embed([text for group in groups for text in group])
    weights = np.array([count / group.total() for group in groups for count in group.values()])
    owners = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    nearest, mean = np.zeros(len(groups), int), np.zeros(len(groups))
    begun, carried = -1, np.zeros(len(names))  # the group that the block before ended in, and its part of the mean
    size = max(1, _COSINES_AT_A_TIME // len(old_rows))
    for start in range(0, len(rows), size):
        block = slice(start, start + size)
        largest = np.maximum.reduceat(rows[block] @ old_rows.T, starts, axis=1) * weights[block, None]
        own, edges = np.unique(owners[block], return_index=True)
        means = np.add.reduceat(largest, edges, axis=0)
        if own[0] == begun:
            means[0] += carried
        begun, carried = own[-1], means[-1]
        chosen = means.round(4).argmax(axis=1)
        nearest[own], mean[own] = chosen, means[np.arange(len(own)), chosen].round(6)
    return [names[old] if value > threshold else None for old, value in zip(nearest, mean, strict=True)]


def write_clustering(clustering: Clustering, folder: Path) -> None:
    """Write cluster.json (cluster to samples), cluster.csv (a row a sample), cluster_statistics.csv and cluster_info.json."""
    folder = Path(folder)
    members, briefs = clustering.members, clustering.briefs
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
            "brief_description": clustering.typical_message(name) if name.isdecimal() else "",
        }
        for name, own in members.items()
    ]
    write_csv(folder / STATISTICS_CSV, ["group", "samples", "share", "brief_description"], statistics)
    write_json(folder / INFO_JSON, clustering.made_with)


def clustering_folder(path: Path) -> Path:
    """The folder of a clustering, which may also be named by its cluster.json or cluster.csv."""
    path = Path(path)
    return path.parent if path.suffix in (".json", ".csv") else path


def read_clustering(path: Path) -> Clustering:
    """The clustering in a folder, which may also be named by its cluster.json or cluster.csv.

    A cluster.csv of another tool will do: other columns are ignored, ``correct`` and ``total`` may be missing (both are 0 then).

    Raises:
        BenchmarkError: if the files are missing, or not what `write_clustering` writes.
    """
    path = Path(path)
    folder = clustering_folder(path)
    file = path if path.suffix == ".csv" else folder / CLUSTER_CSV
    csv.field_size_limit(sys.maxsize)
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            reader = csv.DictReader(lines, strict=True)
            rows = [_member(reader.line_num, row) for row in reader]
    except OSError as error:
        raise BenchmarkError(f"Cannot read the clustering {file}: {error.strerror}; make it first with --alg_name noKE.") from error
    except (csv.Error, ValueError) as error:
        raise BenchmarkError(f"{file} is not a whole clustering ({error}); make it again.") from error
    rows.sort(key=lambda row: row[0].name)
    if not rows or len({result.name for result, _ in rows}) != len(rows):
        raise BenchmarkError(f"{file} is empty or names a sample twice; make it again.")
    info = folder / INFO_JSON
    made_with = read_json(info, "how the clustering was made") if info.exists() else {}
    if not isinstance(made_with, dict):
        raise BenchmarkError(f"{info} does not say how the clustering was made; make it again.")
    return Clustering([result for result, _ in rows], [group for _, group in rows], made_with)


def _member(line: int, row: dict[str, str | None]) -> tuple[Result, str]:
    """The result and the cluster that a row of cluster.csv, which ends in ``line``, holds.

    Raises:
        ValueError: naming the line and what is wrong with it.
    """
    if missing := [name for name in _NEEDED if row.get(name) is None]:
        raise ValueError(f"line {line} has no {', '.join(missing)}")
    success, error = _BOOLEANS.get(row["success"].strip().lower()), row["error"]
    if success is None or error not in get_args(ErrorKind) or not row["group"]:
        raise ValueError(f"line {line} has the success {row['success']!r}, the error {error!r} and the group {row['group']!r}")
    if success != (row["group"] == SUCCESS):
        raise ValueError(f"line {line} is in the group {row['group']!r}, and its success is {success}")
    try:
        correct, total = (int(row.get(name) or 0) for name in ("correct", "total"))
    except ValueError as unreadable:
        raise ValueError(f"line {line}: {unreadable}") from unreadable
    return Result(Path(row["path"]).name, success, error, row["description"], correct, total), row["group"]


def compiler_of(results_path: Path) -> dict[str, str]:
    """The compiler that a results_info.json beside results.json (or in that folder) names, as part of ``made_with``."""
    path = Path(results_path)
    info = (path if path.is_dir() else path.parent) / RESULTS_INFO_FILE
    if not info.exists():
        return {}
    values = read_json(info, "the results' compiler")
    try:
        return {"compiler": f"{values['compiler']} (front end {values['front_end']})"}
    except (KeyError, TypeError) as error:
        raise BenchmarkError(f"{info} does not name the compiler and its front end; run the unit tests again.") from error


def print_clusters(clustering: Clustering) -> None:
    """A line for each cluster, the largest first, and their sum."""
    for name, own in sorted(clustering.members.items(), key=lambda item: -len(item[1])):
        message = clustering.typical_message(name) if name.isdecimal() else ""
        sys.stdout.write(f"{name:12}{len(own):6}  {message[:100]}".rstrip() + "\n")
    sys.stdout.write(f"{'all':12}{len(clustering.results):6}\n")


def main() -> None:
    """Command line: ``python -m d_running.cluster RESULTS --output_path FOLDER``."""
    parser = ArgumentParser(prog="python -m d_running.cluster", description=__doc__)
    parser.add_argument("results", type=Path, help="a results.json, or the folder that holds it")
    parser.add_argument("--output_path", type=Path, required=True, help="folder for cluster.json, cluster.csv and cluster_statistics.csv")
    parser.add_argument("--before", type=Path, help="an earlier clustering, whose names the clusters shall take")
    parser.add_argument("--embedding_model", default=BUILTIN, help="sentence-transformers model, or builtin (%(default)s)")
    parser.add_argument("--max_length", type=int, default=MAX_LENGTH, help="how much of a message counts (%(default)s)")
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="cosine above which messages are alike (%(default)s)")
    parser.add_argument("--trust_remote_code", action="store_true", help="let the embedding model run its own code")
    arguments = parser.parse_args()
    before = read_clustering(arguments.before) if arguments.before else None
    results = read_results(arguments.results)
    settings = embedding_settings(arguments.embedding_model, arguments.max_length) | {"threshold": arguments.threshold}
    embed = load_embedder(arguments.embedding_model, arguments.max_length, arguments.trust_remote_code)
    clustering = cluster_results(results, embed, arguments.threshold, compiler_of(arguments.results) | settings)
    if before:
        clustering = align(clustering, before, embed, arguments.threshold)
    write_clustering(clustering, arguments.output_path)
    print_clusters(clustering)


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
