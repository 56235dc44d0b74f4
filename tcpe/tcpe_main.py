"""The stage TCPE: saved updates, each cut down to its active columns, or to the others for the ablation."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tcpe.config import RunConfig
from tcpe.request import EditRequest, target_column
from tcpe.update import Edit, RankOneUpdate
from util.errors import EditError

DECIDES_UPDATE = ("prompt", "subject", "target_new", "contexts")
"""The fields of a request that its update depends on."""


def update_path(config: RunConfig, row: int) -> Path:
    """Where the update of a row of the request CSV is saved, without suffix."""
    return config.updates / f"{target_column(config.layer_num, config.kind)}_row_{row}"


def load_edits(config: RunConfig, requests: Sequence[EditRequest]) -> list[Edit]:
    """The saved updates of the run's requests, with the columns and decay that ``config`` asks for.

    Raises:
        CheckpointError: if an update is not there or not whole.
        EditError: if it was made from another request, or for another layer, or has no active feature.
    """
    edits = []
    for (row, lim, decay), request in zip(config.edits, requests):
        path = update_path(config, row)
        update = RankOneUpdate.load(path)
        made_from, wanted = update.details.get("request", {}), asdict(request)
        if changed := [name for name in DECIDES_UPDATE if made_from.get(name) != wanted[name]]:
            raise EditError(f"The update {path} was made from a request with another {', '.join(changed)}; make it again with TCPE_pre.")
        if update.layer != config.layer_num:
            raise EditError(f"The update {path} was made for layer {update.layer}, not {config.layer_num}; give the right --save_path.")
        edit = Edit(update, lim, decay, config.abla_exp)
        edit.columns()
        edits.append(edit)
    return edits
