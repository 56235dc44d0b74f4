"""Saved updates in folders: named by everything that decided them, and found again by what a run knows of that."""

import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tcpe.request import EditRequest, target_column
from util.errors import CheckpointError, EditError
from util.files import read_json
from util.logs import ONCE

logger = logging.getLogger(__name__)

DECIDES_UPDATE = ("prompt", "subject", "target_new", "contexts")
"""The fields of a request that its update depends on."""

UPDATE = "update"
"""The name, without suffix, of the update in the folder of the run that computed it."""

MADE_WITH = "made_with"
"""In an update's description: the flags, texts and weights that decided it, beside its request."""

MOVABLE = ("MODEL_NAME", "TC_layer_file")
"""Of those the names of what may be moved meanwhile; whether an update fits it is seen when it is loaded."""

NAMES = (*MOVABLE, "mom2_dataset")
"""The names of what was read: they help to find an update, and are no part of its name."""


def update_name(layer: int, kind: str, row: int, request: EditRequest, made_with: Mapping[str, Any]) -> str:
    """The file name, without suffix, of the update of a row of the request CSV."""
    decisive = [[getattr(request, name) for name in DECIDES_UPDATE], {name: value for name, value in made_with.items() if name not in NAMES}]
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:10]
    return f"{target_column(layer, kind)}_row_{row}_{digest}"


def updates_in(folder: Path, pattern: str = "*") -> list[Path]:
    """The updates in a folder, without suffix: weights with a description that names their layer and widths."""
    stems = sorted(file.with_suffix("") for file in folder.glob(f"{pattern}.safetensors"))
    described = [stem for stem in stems if Path(f"{stem}.json").is_file()]
    return [stem for stem in described if {"layer", "d_model", "n_features"} <= set(read_json(f"{stem}.json", "the saved update"))]


def find_saved(folder: Path, layer: int, request: EditRequest, wanted: Mapping[str, Any], given: Collection[str] = ()) -> Path:
    """The update of ``request`` and ``layer`` in ``folder``, without suffix.

    One that was made with other values of the flags that the user gave is never taken. Of the flags that were not given the defaults count only
    where several updates are left: those of the same model and transcoder are preferred, then those of the same texts and search.

    Args:
        wanted: the flags of the run, of which ``made_with`` has some.
        given: the names of those that the user gave.

    Raises:
        CheckpointError: if there is none.
        EditError: if there are several and the flags do not tell which is meant, naming in what they differ.
    """
    descriptions = {stem: read_json(f"{stem}.json", "the saved update") for stem in updates_in(folder)}
    fields = asdict(request)
    found = {
        stem: description.get(MADE_WITH, {})
        for stem, description in descriptions.items()
        if description["layer"] == layer and all(description.get("request", {}).get(name) == fields[name] for name in DECIDES_UPDATE)
    }
    if not found:
        others = f"; what it holds is of other layers or requests: {', '.join(stem.name for stem in descriptions)}" if descriptions else ""
        raise CheckpointError(
            f"There is no saved update of the request {request.error} for layer {layer} in {folder}{others}; make it with --alg_name TCPE_pre, "
            "--save_k_v_upd if you name a --save_path, or name the folder that holds it with --save_path."
        )
    decisive = sorted(name for name in given if name in wanted and name not in MOVABLE)
    meant = [stem for stem, made in found.items() if all(made.get(name, wanted[name]) == wanted[name] for name in decisive)]
    if not meant:
        theirs = [{name: one[name] for name in decisive if one.get(name, wanted[name]) != wanted[name]} for one in found.values()]
        raise CheckpointError(
            f"There is no saved update of the request {request.error} for layer {layer} in {folder} with the flags given: those that are there were "
            f"made with {' and '.join(', '.join(f'--{name} {value}' for name, value in one.items()) for one in theirs)}; run --alg_name TCPE_pre "
            "with the flags of this command first, or leave them out."
        )
    found = {stem: found[stem] for stem in meant}
    for names in (MOVABLE, sorted(wanted.keys() - set(MOVABLE))):
        agreeing = [stem for stem, made in found.items() if made and all(made.get(name, wanted[name]) == wanted[name] for name in names)]
        found = {stem: found[stem] for stem in agreeing} or found
    if len(found) > 1:
        made = list(found.values())
        differing = sorted(name for name in {name for one in made for name in one} if any(one.get(name) != made[0].get(name) for one in made))
        shown = ", ".join(f"{name} ({', '.join(str(one.get(name)) for one in made)})" for name in differing) or "nothing that is known"
        raise EditError(
            f"{folder} holds {len(found)} updates of the request {request.error}, which differ in {shown}; give these flags as for TCPE_pre, or "
            "--save_path with the folder of the run that made the one you mean."
        )
    chosen = next(iter(found))
    if left := sorted(name for name in wanted if name not in MOVABLE and found[chosen].get(name, wanted[name]) != wanted[name]):
        left_out = ", ".join(f"--{name} {found[chosen][name]}" for name in left)
        logger.info("The update of the request %s was made with %s, which this command leaves out", request.error, left_out, extra=ONCE)
    logger.info("The update of the request %s is %s", request.error, chosen, extra=ONCE)
    return chosen
