"""Clusters of what failed: messages grouped by their embeddings, and named as in an earlier clustering."""

import csv
import hashlib
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np

from d_running.config import BUILTIN, GROUPING, GROUPING_HELP, MAX_LENGTH, MAX_LENGTH_HELP, THRESHOLD, Grouping
from d_running.embedding import SPECIAL_TOKENS, Embedder, embedding_settings, load_embedder
from d_running.execution import ErrorKind
from d_running.grouping import order_free_clusters, original_clusters
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
_COUNT = re.compile(r"\d{1,15}(?:\.0*)?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_ERRORS: dict[str, ErrorKind] = {kind: kind for kind in get_args(ErrorKind)}
_REPR = re.compile(r"b?(['\"])(.*)\1", re.DOTALL)
_ESCAPED = re.compile(r"\\([nrt\\'\"])")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_COSINES_AT_A_TIME = 1 << 24


@dataclass(frozen=True)
class Clustering:
    """Results and the cluster of each.

    Attributes:
        results: sorted by name.
        groups: the cluster's name for each result: a number, "Correctness" or "Success".
        made_with: what must be equal in clusterings that are compared (see `evaluation.check_comparable`); only what is known.
        briefs: the brief description of each result (see `brief_description`); a clustering of another tool brings its own.
    """

    results: list[Result]
    groups: list[str]
    made_with: dict[str, Any] = field(default_factory=dict)
    briefs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Fill in the brief descriptions that are not given."""
        if not self.briefs:
            object.__setattr__(self, "briefs", [brief_description(result) for result in self.results])

    @cached_property
    def names(self) -> list[str]:
        """The clusters that have a member, numbers first."""
        return sorted(set(self.groups), key=_order)

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
    results: Sequence[Result],
    embed: Embedder,
    threshold: float = THRESHOLD,
    made_with: Mapping[str, Any] | None = None,
    grouping: Grouping = GROUPING,
) -> Clustering:
    """Group failures by their brief descriptions (see `grouping`; the original's rule takes them in the order of the samples' names).

    Raises:
        UserError: if ``threshold`` is no cosine.
    """
    if not -1 <= threshold <= 1:
        raise UserError(f"--threshold {threshold} is no cosine; give a number from -1 to 1, such as {THRESHOLD}.")
    results = sorted(results, key=lambda result: result.name)
    groups = [SUCCESS if result.success else CORRECTNESS for result in results]
    failed = [i for i, result in enumerate(results) if not result.success and result.error != CORRECTNESS]
    if failed:
        clusters = order_free_clusters if grouping == "order_free" else original_clusters
        for index, number in zip(failed, clusters([brief_description(results[i]) for i in failed], embed, threshold), strict=True):
            groups[index] = str(number)
    return Clustering(results, groups, dict(made_with or {}))


def align(after: Clustering, before: Clustering, embed: Embedder, threshold: float = THRESHOLD) -> Clustering:
    """``after`` with its numbered clusters named as in ``before``, message by message.

    A sample whose message is what it was stays in its old cluster. Any other message goes to the old cluster that has it, or else to
    that of the old message nearest to it, if the cosine is above ``threshold``. So where it goes depends on no other message. What is
    left keeps the clusters of ``after``, which take the next free numbers.
    """
    old = {result.name: (brief, group) for result, brief, group in zip(before.results, before.briefs, before.groups, strict=True)}
    numbered = [index for index, group in enumerate(after.groups) if group.isdecimal()]
    homes = _homes(before, [after.briefs[index] for index in numbered], embed, threshold)
    groups = list(after.groups)
    for index in numbered:
        brief, group = old.get(after.results[index].name, ("", ""))
        stays = group.isdecimal() and brief == after.briefs[index]
        groups[index] = group if stays else homes[after.briefs[index]] or f"new {groups[index]}"
    free = itertools.count(max((int(name) for name in before.names if name.isdecimal()), default=-1) + 1)
    left = sorted({group for group in groups if group.startswith("new ")}, key=lambda group: int(group.split()[1]))
    names = {group: str(next(free)) for group in left}
    return replace(after, groups=[names.get(group, group) for group in groups], made_with=after.made_with | {NAMES_FROM: before.digest})


def nearest_cluster(clustering: Clustering, message: str, embed: Embedder, threshold: float = THRESHOLD) -> str | None:
    """The numbered cluster that ``message`` belongs to by the rule of `align`, None if it is near to none."""
    return _homes(clustering, [message], embed, threshold)[message]


def _homes(clustering: Clustering, messages: Iterable[str], embed: Embedder, threshold: float) -> dict[str, str | None]:
    """The numbered cluster that has each message, of several the one that has it most often; for other messages that of the nearest
    message that one has, of equals the first cluster; None where none is near."""
    homes: dict[str, str | None] = dict.fromkeys(messages)
    counts = {name: clustering.messages(name) for name in clustering.names if name.isdecimal()}
    known: dict[str, str] = {}
    for name, own in counts.items():
        for text, count in own.items():
            if text not in known or count > counts[known[text]][text]:
                known[text] = name
    new = [text for text in homes if text not in known]
    homes |= {text: known[text] for text in homes.keys() & known.keys()}
    if not new or not known:
        return homes
    texts = sorted(known, key=lambda text: (int(known[text]), text))
    rows, others = embed(new).astype(np.float64), embed(texts).astype(np.float64)
    size = max(1, _COSINES_AT_A_TIME // len(texts))
    for start in range(0, len(new), size):
        cosines = (rows[start : start + size] @ others.T).round(9)  # rounding in a product of matrices depends on their shapes
        for text, nearest, cosine in zip(new[start : start + size], cosines.argmax(axis=1), cosines.max(axis=1), strict=True):
            homes[text] = known[texts[nearest]] if cosine > threshold else None
    return homes


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


def clustering_folder(path: str | Path) -> Path:
    """The folder of a clustering, which may also be named by its cluster.json or cluster.csv."""
    path = Path(path)
    return path.parent if path.suffix in (".json", ".csv") else path


def read_clustering(path: Path) -> Clustering:
    """The clustering in a folder, which may also be named by its cluster.json or cluster.csv.

    A cluster.csv of another tool will do, such as the original's published one: other columns are ignored, ``brief_description``,
    ``correct`` and ``total`` may be missing (both counts are 0 then), numbers may be written as ``10.0``, and messages as Python's repr.

    Raises:
        BenchmarkError: if the files are missing, or not what `write_clustering` writes.
    """
    path = Path(path)
    folder = clustering_folder(path)
    file = path if path.suffix == ".csv" else folder / CLUSTER_CSV
    info = folder / INFO_JSON
    csv.field_size_limit(sys.maxsize)
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            reader = csv.DictReader(lines, strict=True)
            rows = [_member(reader.line_num, row, spelled_out=not info.exists()) for row in reader]
    except OSError as error:
        raise BenchmarkError(f"Cannot read the clustering {file}: {error.strerror}; make it first with --alg_name noKE.") from error
    except (csv.Error, ValueError) as error:
        raise BenchmarkError(f"{file} is not a whole clustering ({error}); make it again.") from error
    rows.sort(key=lambda row: row[0].name)
    if not rows or len({result.name for result, _, _ in rows}) != len(rows):
        raise BenchmarkError(f"{file} is empty or names a sample twice; make it again.")
    made_with = read_json(info, "how the clustering was made") if info.exists() else {}
    if not isinstance(made_with, dict):
        raise BenchmarkError(f"{info} does not say how the clustering was made; make it again.")
    results, groups, briefs = (list(column) for column in zip(*rows, strict=True))
    return Clustering(results, groups, _with_former_settings(made_with), briefs)


def _with_former_settings(made_with: dict[str, Any]) -> dict[str, Any]:
    """``made_with``, and what went without saying when it was written, before the rules could be chosen."""
    former = {"grouping": "original"} if "threshold" in made_with else {}
    if made_with.get("embedding_model", BUILTIN) != BUILTIN:
        former |= {SPECIAL_TOKENS: "not counted"}
    return former | made_with


def _member(line: int, row: dict[str, str | None], spelled_out: bool) -> tuple[Result, str, str]:
    """The result, the cluster and the brief description that a row of cluster.csv, which ends in ``line``, holds.

    Args:
        spelled_out: whether the message may be written as Python's repr; in our own files, that would be the message itself.

    Raises:
        ValueError: naming the line and what is wrong with it.
    """
    needed = {name: value for name in _NEEDED if (value := row.get(name)) is not None}
    if missing := [name for name in _NEEDED if name not in needed]:
        raise ValueError(f"line {line} has no {', '.join(missing)}")
    success, error, group = _BOOLEANS.get(needed["success"].strip().lower()), _ERRORS.get(needed["error"]), needed["group"].removesuffix(".0")
    if success is None or error is None or not group:
        raise ValueError(f"line {line} has the success {needed['success']!r}, the error {needed['error']!r} and the group {group!r}")
    if success != (group == SUCCESS):
        raise ValueError(f"line {line} is in the group {group!r}, and its success is {success}")
    correct, total = (_count(line, name, row.get(name)) for name in ("correct", "total"))
    description = _spelled_out(needed["description"]) if spelled_out else needed["description"]
    result = Result(Path(needed["path"]).name, success, error, description, correct, total)
    return result, group, row.get("brief_description") or brief_description(result)


def _count(line: int, name: str, text: str | None) -> int:
    """A count, which other tools write as 10.0 or leave empty where nothing could run.

    Raises:
        ValueError: if it is neither.
    """
    if text is None or text.strip().lower() in ("", "nan"):
        return 0
    if not _COUNT.fullmatch(text.strip()):
        raise ValueError(f"line {line} has the {name} {text[:20]!r}, which is no count")
    return int(text.strip().partition(".")[0])


def _spelled_out(text: str) -> str:
    """A message with its lines and quotes; the original writes down Python's repr of it, with ``\\n`` for the end of a line."""
    if "\n" in text or "\\n" not in text:
        return text
    whole = _REPR.fullmatch(text.strip())
    return _ESCAPED.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), whole[2] if whole else text)


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
    parser.add_argument("--max_length", type=int, default=MAX_LENGTH, help=f"{MAX_LENGTH_HELP} (%(default)s)")
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="cosine above which messages are alike (%(default)s)")
    parser.add_argument("--grouping", choices=get_args(Grouping), default=GROUPING, help=f"{GROUPING_HELP} (%(default)s)")
    parser.add_argument("--trust_remote_code", action="store_true", help="let the embedding model run its own code")
    arguments = parser.parse_args()
    before = read_clustering(arguments.before) if arguments.before else None
    results = read_results(arguments.results)
    settings = embedding_settings(arguments.embedding_model, arguments.max_length)
    settings |= {"threshold": arguments.threshold, "grouping": arguments.grouping}
    embed = load_embedder(arguments.embedding_model, arguments.max_length, arguments.trust_remote_code)
    clustering = cluster_results(results, embed, arguments.threshold, compiler_of(arguments.results) | settings, arguments.grouping)
    if before:
        clustering = align(clustering, before, embed, arguments.threshold)
    write_clustering(clustering, arguments.output_path)
    print_clusters(clustering)


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
