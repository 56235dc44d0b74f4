"""The page of a run, or of several runs on the same functions: what each edit repaired and broke, function by function.

usage: python -m explain.report runs/tcpe_0        writes runs/tcpe_0/report.html
       python -m explain.report runs/demo/default  one page of all runs below it
"""

import difflib
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from d_running.cluster import CORRECTNESS, SUCCESS, Clustering, read_clustering
from d_running.correction_knowledge import TRANSLATIONS
from d_running.dataset import load_functions
from d_running.java_text import natural_java
from explain.page import write_page
from explain.runs import Run, runs_under
from util.cli import ArgumentParser
from util.errors import UserError
from util.files import read_json

PAGE = "report.html"

LONGEST_MESSAGE = 4000
"""Characters of a compiler's message that the page shows."""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")

logger = logging.getLogger(__name__)


def write_report(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the page of the run in ``folder``, or of all runs in the folders below it.

    The same runs give the same bytes: the page holds no times.

    Args:
        path: of the page; by default ``report.html`` in the folder.

    Returns:
        Where it is.

    Raises:
        UserError: if there is no run, one has not ended, what it was made from is not there any more, or the runs are of different functions;
            an earlier page is then as it was.
    """
    folder = Path(folder)
    runs = runs_under(folder)
    data = report_data(runs, [str(run.folder.relative_to(folder)) if run.folder != folder else folder.name for run in runs])
    path = Path(path) if path else folder / PAGE
    write_page(path, f"{data['title']} – TCPE", "report", data)
    return path


def report_data(runs: Sequence[Run], names: Sequence[str]) -> dict[str, Any]:
    """What the page of ``runs`` draws, as JSON values.

    Args:
        names: of the runs, for the page.

    Raises:
        UserError: as ``write_report``.
    """
    before = _before(runs)
    functions = [result.name for result in before.results]
    java = {sample.name: natural_java(sample.java) for sample in load_functions(runs[0].originals)}
    if missing := [name for name in functions if name not in java]:
        raise UserError(f"The benchmark {runs[0].originals} lacks the function {missing[0]} of the run in {runs[0].folder}; it has changed since.")
    written = translations_of(runs[0].folder if runs[0].edits_nothing else runs[0].before, before)
    title = f"{len(runs)} runs on {len(functions)} functions" if len(runs) > 1 else _title(runs[0])
    return {
        "title": title,
        "functions": [{"name": name, "java": java[name], "d": d} for name, d in zip(functions, written)],
        "before": _judged(before, [request.brief_description for run in runs for request in run.requests]),
        "runs": [_run(run, name, before, written) for run, name in zip(runs, names)],
    }


def _before(runs: Sequence[Run]) -> Clustering:
    """The clustering that all of ``runs`` are compared with.

    Raises:
        UserError: if there are several.
    """
    clusterings = {run.before.resolve(): run.clustering if run.edits_nothing else read_clustering(run.before) for run in runs}
    first = next(iter(clusterings.values()))
    for folder, clustering in clusterings.items():
        if clustering.digest != first.digest:
            raise UserError(
                f"The runs are compared with different clusterings, {next(iter(clusterings))} and {folder}, and do not go on one page; name a "
                "folder whose runs have one --preKE_cluster_result."
            )
    for run in runs:
        if [result.name for result in run.clustering.results] != [result.name for result in first.results]:
            raise UserError(f"The run in {run.folder} is of other functions than the clustering that it is compared with; make it again.")
    return first


def translations_of(folder: Path, clustering: Clustering) -> list[str | None]:
    """What the model wrote for each function; None where the folder has no translation, as that of a published clustering."""
    files = [folder / TRANSLATIONS / result.path for result in clustering.results]
    return [file.read_bytes().decode("utf-8", "surrogateescape") if file.is_file() else None for file in files]


def _judged(clustering: Clustering, asked: Sequence[str] = ()) -> dict[str, Any]:
    """A clustering: the cluster and the message of each function, and what each cluster is."""
    return {
        "clusters": cluster_meanings(clustering, asked),
        "groups": clustering.groups,
        "messages": [_shortened(result.description) for result in clustering.results],
    }


def cluster_meanings(clustering: Clustering, asked: Sequence[str] = ()) -> dict[str, str]:
    """Each cluster's typical message, without the word that begins them all; of those without messages what they are.

    Args:
        asked: messages that edits are for; a cluster that holds one is called by it, as its edit is.
    """
    words = {SUCCESS: "compiles and passes", CORRECTNESS: "compiles, wrong result"}

    def message(name: str) -> str:
        own = clustering.messages(name)
        return next((one for one in asked if one in own), clustering.typical_message(name)).removeprefix("Error: ") or "no message"

    return {name: words.get(name) or message(name) for name in clustering.names}


def _shortened(message: str) -> str:
    left_out = len(message) - LONGEST_MESSAGE
    return message if left_out <= 0 else f"{message[:LONGEST_MESSAGE]}\n… {left_out} more characters"


def _run(run: Run, name: str, before: Clustering, written: Sequence[str | None]) -> dict[str, Any]:
    """One run: its figures, edits and settings, and what is not as before."""
    after = run.clustering
    groups, messages = _judged(after)["groups"], _judged(after)["messages"]
    old = [_shortened(result.description) for result in before.results]
    now = translations_of(run.folder, after)
    description = run.description
    return {
        "name": name,
        "title": _title(run),
        "method": run.method,
        "edits_nothing": run.edits_nothing,
        "figures": run.metrics,
        "clusters": cluster_meanings(after),
        "groups": groups,
        "messages": {i: text for i, text in enumerate(messages) if text != old[i]},
        "written": {i: text for i, text in enumerate(now) if written[i] is None and text is not None},
        "diffs": {i: diff(was, text) for i, (was, text) in enumerate(zip(written, now)) if was is not None and text is not None and was != text},
        "edits": _edits(run),
        "settings": {key: _setting(value) for key, value in run.flags.items()},
        "versions": description.get("versions", {}) | {"git revision": description.get("git_revision")},
    }


def _title(run: Run) -> str:
    """What a run is about, in a line."""
    if run.edits_nothing:
        return "Before any edit"
    descriptions = [request.brief_description.removeprefix("Error: ") or f"request {request.error}" for request in run.requests]
    return descriptions[0] if len(descriptions) == 1 else f"{len(descriptions)} errors together"


def _setting(value: Any) -> str:
    return "" if value is None else str(value)


def _edits(run: Run) -> list[dict[str, Any]]:
    """Each request of a run with the loss of its value, step by step, in the parts that add up to it."""
    found = []
    for number, request in enumerate(run.requests):
        details = read_json(f"{run.updates[number]}.json", "the saved update") if run.updates else {}
        settings, losses = details.get("value_settings", {}), details.get("losses", [])
        factors = {"kl": settings.get("kl_factor", 1), "weight_decay": settings.get("weight_decay", 1)}
        found.append(
            {
                "error": request.error,
                "description": request.brief_description,
                "target": request.target_new,
                "of": details.get("n_features"),
                "losses": {part: [step[part] * factors.get(part, 1) for step in losses] for part in losses[0]} if losses else {},
            }
        )
    return found


def diff(before: str, after: str) -> list[list[str]]:
    """The lines of both texts: a sign (" ", "-" or "+"), then the line in pieces, every second of which is new or gone."""
    old, new = before.splitlines(), after.splitlines()
    rows: list[list[str]] = []
    for kind, start, end, other_start, other_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            rows += [[" ", line] for line in old[start:end]]
            continue
        pairs = list(zip(old[start:end], new[other_start:other_end]))
        pieces = [_pieces(*pair) for pair in pairs]
        rows += [["-", *one] for one, _ in pieces] + [["-", line] for line in old[start + len(pairs) : end]]
        rows += [["+", *other] for _, other in pieces] + [["+", line] for line in new[other_start + len(pairs) : other_end]]
    return rows


def _pieces(old: str, new: str) -> tuple[list[str], list[str]]:
    """Both lines in pieces: what they share, then what only this one has, and so on."""
    words, others = _WORD.findall(old), _WORD.findall(new)
    one, other = [""], [""]
    for kind, start, end, other_start, other_end in difflib.SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        for pieces, text in ((one, "".join(words[start:end])), (other, "".join(others[other_start:other_end]))):
            if (kind == "equal") == bool(len(pieces) % 2):
                pieces[-1] += text
            elif text:
                pieces.append(text)
    return one, other


def main() -> None:
    parser = ArgumentParser(prog="python -m explain.report", description=__doc__)
    parser.add_argument("folder", metavar="RUN", help="the folder of a run, or one that holds several on the same functions")
    parser.add_argument("--output_path", help=f"the page; by default {PAGE} in that folder")
    arguments = parser.parse_args()
    sys.stdout.write(f"{write_report(arguments.folder, arguments.output_path)}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
