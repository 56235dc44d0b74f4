"""Which neurons errors share: the active sets of edits, and of the functions of each cluster, within clusters and across them.

usage: python -m explain.overlap runs/demo/default     the edits and the clusters of all runs below; writes runs/demo/default/overlap.html
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import permutation_test

from d_running.correction_knowledge import TRANSLATIONS, find_mistakes
from d_running.dataset import load_samples
from d_running.prompt import PromptFormat, translation_prompt
from d_running.unit_test import read_translations
from explain.model import loaded_model
from explain.page import write_page
from explain.report import cluster_meanings
from explain.runs import Run, runs_under
from tcpe.active import active_indices
from tcpe.lim import Lim, parse_lim
from util.cli import ArgumentParser
from util.errors import EditError, UserError
from util.files import check_writable

PAGE = "overlap.html"
PERMUTATIONS = 9999
FUNCTIONS = 60
"""At most so many functions of a cluster, drawn evenly from their order by name."""
SHARED = 0.5
"""Share of a cluster's functions at which a neuron must be active to be named."""

BATCH = 16


def jaccard(active: Bool[np.ndarray, "one n_features"]) -> Float[np.ndarray, "one one"]:
    """The overlap of each two active sets: neurons in both, by neurons in either; 0 where both are empty."""
    sets = active.astype(np.float64)
    shared, sizes = sets @ sets.T, sets.sum(1)
    either = sizes[:, None] + sizes[None] - shared
    return np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)


def within_and_across(overlap: Float[np.ndarray, "one one"], clusters: Int[np.ndarray, " one"]) -> dict[str, Any]:
    """The mean overlap of pairs of one cluster and of pairs of two, and how probable so large a difference is where clusters mean nothing.

    Returns:
        ``within``, ``across``, ``difference``, and ``p_value`` of a one-sided test that deals the clusters out anew; all None where there are
        no pairs of one kind.
    """
    pairs = ~np.eye(len(clusters), dtype=bool)

    def means(labels: Int[np.ndarray, " one"]) -> tuple[float, float]:
        same = (labels[:, None] == labels[None]) & pairs
        return float(overlap[same].mean()), float(overlap[~same & pairs].mean())

    same = clusters[:, None] == clusters[None]
    if not (same & pairs).any() or same.all():
        return dict.fromkeys(("within", "across", "difference", "p_value"))
    within, across = means(clusters)
    tested = permutation_test(
        (clusters,),
        lambda labels: np.subtract(*means(labels.astype(np.int64))),
        permutation_type="pairings",
        n_resamples=PERMUTATIONS,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    return {"within": within, "across": across, "difference": within - across, "p_value": float(tested.pvalue)}


def write_overlap(folder: str | Path, path: str | Path | None = None, lim: Lim | None = None) -> Path:
    """Write the page of what the edits and the failing functions of the runs below ``folder`` have in common, and return where it is.

    Args:
        path: of the page; by default ``overlap.html`` in the folder.
        lim: which neurons are active; by default each run's own.

    Raises:
        UserError: if there are no edits and no clusters, a run has not ended, the runs are of several models or layers, or the page cannot be
            written; an earlier page is then as it was.
    """
    runs = runs_under(folder)
    path = Path(path) if path else Path(folder) / PAGE
    check_writable(path.parent)
    requests = _requests(runs, lim)
    unedited = next((run for run in runs if run.edits_nothing), None)
    functions = _functions(unedited, lim) if unedited is not None else None
    if not requests and functions is None:
        raise UserError(f"The runs in {folder} have neither saved updates nor a run without an edit; give a folder with runs of TCPE_pre and noKE.")
    write_page(path, "Overlap of active neurons – TCPE", "overlap", {"folder": Path(folder).name, "requests": requests, "functions": functions})
    return path


def _requests(runs: Sequence[Run], lim: Lim | None) -> dict[str, Any] | None:
    """The overlap of the edits of ``runs``, each saved update once; None if there are fewer than two."""
    from tcpe.update import RankOneUpdate

    found: dict[str, tuple[Run, Any]] = {}
    for run in runs:
        if len(run.updates) == 1:
            update = RankOneUpdate.load(run.updates[0])
            found.setdefault(update.key.numpy().tobytes().hex(), (run, update))
    if len(found) < 2:
        return None
    updates = [update for _, update in found.values()]
    if len({(update.layer, len(update.key)) for update in updates}) > 1:
        raise UserError("The runs edit different layers or transcoders, whose neurons cannot be compared; give a folder with runs of one.")
    keys = np.stack([update.key.numpy() for update in updates])
    lims = [run.config.edits[0][1] if lim is None else lim for run, _ in found.values()]
    active = np.stack([_active(key, own) for key, own in zip(keys, lims)])
    targets = [";".join(run.metrics["target_clusters"]) for run, _ in found.values()]
    return {
        "names": [run.requests[0].brief_description.removeprefix("Error: ") for run, _ in found.values()],
        "sizes": active.sum(1).tolist(),
        "lims": [str(own) for own in lims],
        "jaccard": _rounded(jaccard(active)),
        "shared": (active.astype(int) @ active.astype(int).T).tolist(),
        "features": [[np.flatnonzero(one & other).tolist() for other in active] for one in active],
        "test": within_and_across(jaccard(active), np.unique(targets, return_inverse=True)[1]),
    }


def _active(key: Float[np.ndarray, " n_features"], lim: Lim) -> Bool[np.ndarray, " n_features"]:
    """Which neurons are active; none where no activation reaches the lim."""
    mask = np.zeros(len(key), bool)
    with suppress(EditError):
        mask[active_indices(key, lim)] = True
    return mask


def _rounded(values: Float[np.ndarray, "one one"]) -> list[list[float]]:
    return values.round(3).tolist()


def _functions(run: Run, lim: Lim | None) -> dict[str, Any] | None:
    """The overlap of the failing functions of a run without an edit; None if too few wrong places are known."""
    samples = load_samples(run.originals, Path(run.flags["d_params_path"]))
    translations = read_translations(run.folder / TRANSLATIONS, samples)
    prompt_format = run.flags.get("prompt_format", "natural")
    mistakes = find_mistakes(run.clustering, samples, translations, prompt_format)
    drawn = {name: [own[place] for place in np.unique(np.linspace(0, len(own) - 1, FUNCTIONS).astype(int))] for name, own in mistakes.items() if own}
    if sum(len(own) > 1 for own in drawn.values()) < 1 or len(drawn) < 2 or run.flags["MODEL_NAME"] == "reference":
        return None
    texts = [(mistake.java, mistake.d, mistake.line, mistake.correction.start) for own in drawn.values() for mistake in own]
    keys = _keys_at(run, texts, prompt_format)
    lim = run.config.lim if lim is None else lim
    active = np.stack([_active(key, lim) for key in keys])
    labels = np.repeat(np.arange(len(drawn)), [len(own) for own in drawn.values()])
    overlap = jaccard(active)
    meanings = cluster_meanings(run.clustering)
    clusters = []
    for number, (name, own) in enumerate(drawn.items()):
        mine, others = labels == number, labels != number
        share, elsewhere = active[mine].mean(0), active[others].mean(0)
        named = [feature for feature in np.argsort(-share, kind="stable").tolist() if share[feature] >= SHARED]
        clusters.append(
            {
                "name": name,
                "message": meanings[name],
                "functions": len(own),
                "of": len(run.clustering.members[name]),
                "active": float(np.median(active[mine].sum(1))),
                "shared": [[feature, float(share[feature]), float(elsewhere[feature])] for feature in named],
            }
        )
    return {
        "lim": str(lim),
        "layer": run.flags["layer_num"],
        "clusters": clusters,
        "names": [mistake.name for own in drawn.values() for mistake in own],
        "labels": labels.tolist(),
        "jaccard": _rounded(overlap),
        "means": [[_mean(overlap, labels == one, labels == other) for other in range(len(drawn))] for one in range(len(drawn))],
        "empty": int((~active.any(1)).sum()),
        "test": within_and_across(overlap, labels),
        "permutations": PERMUTATIONS,
    }


def _mean(overlap: Float[np.ndarray, "one one"], rows: Bool[np.ndarray, " one"], columns: Bool[np.ndarray, " one"]) -> float | None:
    """The mean overlap of pairs of different functions; None if there is no pair."""
    part = overlap[np.ix_(rows, columns)]
    same = np.ix_(np.flatnonzero(rows), np.flatnonzero(columns))
    pairs = part[same[0] != same[1]]
    return round(float(pairs.mean()), 3) if len(pairs) else None


def _keys_at(run: Run, places: Sequence[tuple[str, str, int, int]], prompt_format: PromptFormat) -> Float[np.ndarray, "one n_features"]:
    """What the edited layer's neurons do at the last token before each wrong place.

    Args:
        places: the Java, the D, and the line of the D and the position in it where the model went wrong.
    """
    import torch

    from huggingface.activations import Point, read_activations
    from huggingface.tokenization import encode, pad

    found = []
    with loaded_model(run.flags) as (model, tokenizer, _), torch.inference_mode():
        point = Point(run.flags["layer_num"], "neurons")
        rows = []
        for java, d, line, start in places:
            lines = d.split("\n")
            rows.append(encode(tokenizer, translation_prompt(tokenizer, java, prompt_format) + "\n".join([*lines[:line], lines[line][:start]])).ids)
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        for first in range(0, len(order), BATCH):
            batch = pad([rows[row] for row in order[first : first + BATCH]], tokenizer.pad_token_id, model.device)
            found.append(read_activations(model, [point], **batch._asdict(), use_cache=False)[point][:, -1].float().cpu().numpy())
    keys = np.concatenate(found)
    return keys[np.argsort(order)]


def main() -> None:
    parser = ArgumentParser(prog="python -m explain.overlap", description=__doc__)
    parser.add_argument("folder", metavar="RUNS", help="a folder with runs below it: of TCPE_pre for the edits, of noKE for the clusters")
    parser.add_argument("--output_path", help=f"the page; by default {PAGE} in that folder")
    parser.add_argument("--lim", type=parse_lim, help="which neurons are active; by default each run's --lim")
    arguments = parser.parse_args()
    sys.stdout.write(f"{write_overlap(arguments.folder, arguments.output_path, arguments.lim)}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
