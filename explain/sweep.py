"""How many columns carry an edit: the benchmark's figures at every lim, with the active columns and with all others, as one page.

usage: python -m explain.sweep runs/tcpe_0        writes runs/tcpe_0/sweep/sweep.html, with the verdicts of each point beside it
"""

import hashlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d_running.cluster import read_clustering
from d_running.config import JudgeConfig
from d_running.correction_knowledge import TRANSLATIONS
from d_running.dataset import load_samples
from d_running.evaluation import METRICS_FILE
from d_running.judge import figures, judge
from d_running.prompt import benchmark_prompt
from d_running.translate import translate_samples
from explain.model import loaded_model
from explain.neurons import find_subject
from explain.page import write_page
from explain.runs import Run, read_run
from tcpe.lim import Lim, parse_lim
from util.cli import ArgumentParser
from util.errors import EditError, UserError
from util.files import check_writable, read_json, write_json
from util.flags import flags_of, from_flags
from util.lock import locked
from util.progress import Progress

if TYPE_CHECKING:  # which imports torch; help and complaints about flags need not wait for it
    from tcpe.update import Edit

FOLDER, PAGE = "sweep", "sweep.html"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """An edit in some of its columns.

    Attributes:
        lim: which neurons are active.
        active: how many are.
        kind: which columns are applied: the ``active`` ones, all ``others``, or all active ones ``without_strongest``.
        edit: so applied.
    """

    lim: Lim
    active: int
    kind: str
    edit: "Edit"

    @property
    def key(self) -> str:
        """Stands for the edited weights: of equal ones it is equal."""
        left, right = self.edit.factors()
        return hashlib.sha256(left.numpy().tobytes() + right.numpy().tobytes()).hexdigest()[:16]


def default_lims(edit: "Edit") -> list[Lim]:
    """1, 2, 4, ... strongest neurons up to those that fire at the edit, those active at the edit's own lim, and all columns."""
    firing = int((edit.update.key != 0).sum())
    counts = [2**power for power in range(firing.bit_length()) if 2**power <= firing]
    return [*(f"top:{count}" for count in counts), edit.lim, -1]


def points_of(edit: "Edit", lims: Sequence[Lim]) -> list[Point]:
    """The points of a sweep, in the order of their active neurons.

    Raises:
        UserError: if no neuron is active at any of ``lims``.
    """
    points = []
    for lim in lims:
        try:
            whole = edit.at(lim, edit.decay)
            columns = whole.columns().tolist()
        except EditError as error:
            logger.warning("%s", error)
            continue
        points.append(Point(lim, len(columns), "active", whole))
        if len(columns) < len(edit.update.key):
            points.append(Point(lim, len(columns), "others", edit.at(lim, edit.decay, ablation=True)))
    if not points:
        raise UserError("No neuron is active at any of the --lims; give smaller ones.")
    own = edit.columns()
    strongest = int(own[edit.update.key[own].abs().argmax()])
    if len(own) > 1:
        points.append(Point(edit.lim, len(own), "without_strongest", edit.only([one for one in own.tolist() if one != strongest])))
    return sorted(points, key=lambda point: (point.active, point.kind))


def write_sweep(folder: str | Path, path: str | Path | None = None, lims: Sequence[Lim] = ()) -> Path:
    """Translate and judge the benchmark of the run in ``folder`` at every point, and write the page; what was judged is not judged again.

    Args:
        path: folder of the page and of the points; by default ``sweep`` in the run's folder.
        lims: by default ``default_lims``.

    Returns:
        Where the page is.

    Raises:
        UserError: if the run has not ended or is of no single edit, no neuron is active, or something that the run read is not there any more.
    """
    run, subject = read_run(folder), find_subject(str(folder))
    # Of any run the points are its active columns and the others.
    edit, output = subject.edit.at(run.config.edits[0][1], subject.edit.decay), Path(path) if path else Path(folder) / FOLDER
    points = points_of(edit, lims or default_lims(edit))
    check_writable(output)
    with locked(output), loaded_model(run.flags) as (model, tokenizer, _):
        edit.check(model)
        evaluate = _evaluator(run, model, tokenizer)
        keys = {point.key: point.edit for point in points}
        measured = {}
        with Progress(total=len(keys), desc="sweep", unit="point") as bar:
            for key, one in keys.items():
                file = output / key / METRICS_FILE
                measured[key] = read_json(file, "the point's metrics") if file.is_file() else evaluate(one, output / key)
                bar.update()
    own = edit.columns()
    data = {
        "title": run.requests[0].brief_description.removeprefix("Error: "),
        "lim": str(edit.lim),
        "strongest": int(own[edit.update.key[own].abs().argmax()]),
        "n_features": len(edit.update.key),
        "layer": edit.layer,
        "points": [{"lim": str(point.lim), "active": point.active, "kind": point.kind, **measured[point.key]} for point in points],
    }
    write_page(output / PAGE, f"Sweep of {data['title']} – TCPE", "sweep", data)
    return output / PAGE


def _evaluator(run: Run, model: Any, tokenizer: Any) -> "Callable[[Edit, Path], dict[str, Any]]":
    """Judges an edit of ``model`` into a folder, and returns the figures."""
    from huggingface.digest import model_digest
    from huggingface.drafts import DraftedGeneration
    from tcpe.update import applied

    flags, workspace = run.flags, Path(run.flags["container_workspace"])
    samples = load_samples(run.originals, Path(flags["d_params_path"]) if flags["d_params_path"] else None)
    before, targets = read_clustering(run.before), run.metrics["target_clusters"]
    known = {name: flags[name] for name in flags_of(JudgeConfig) if name in flags and name not in ("invalidate_cache", "cache_dir")}
    config = replace(from_flags(JudgeConfig, known), cache_dir=workspace)
    size = flags["translation_batch_size"]
    prompt_of = cache(partial(benchmark_prompt, tokenizer, prompt_format=flags.get("prompt_format", "natural")))
    made_from = model_digest(model)

    def evaluate(edit: "Edit", folder: Path) -> dict[str, Any]:
        with applied(model, [edit]) as replaced:
            generate = DraftedGeneration(model, tokenizer, workspace / "drafts.json", size, made_from=made_from)
            translate_samples(samples, generate, prompt_of, folder / TRANSLATIONS, size)
        clustering, metrics = judge(folder / TRANSLATIONS, samples, folder, config, before, targets)
        values = {"columns": sum(len(one.columns) for one in replaced), **figures(clustering, metrics, before, targets)}
        write_json(folder / METRICS_FILE, values)
        return values

    return evaluate


def main() -> None:
    parser = ArgumentParser(prog="python -m explain.sweep", description=__doc__)
    parser.add_argument("folder", metavar="RUN", help="the folder of a run of TCPE_pre or TCPE, with one edit")
    parser.add_argument("--output_path", help=f"folder of the page and of the points; by default {FOLDER} in that folder")
    parser.add_argument("--lims", nargs="*", type=parse_lim, default=[], help="by default 1, 2, 4, ... strongest neurons, the run's --lim and -1")
    arguments = parser.parse_args()
    sys.stdout.write(f"{write_sweep(arguments.folder, arguments.output_path, arguments.lims)}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
