"""The stage TCPE: saved updates, each cut down to its active columns, or to the others for the ablation."""

import logging

from tcpe.method import Task
from tcpe.saved import find_saved
from tcpe.update import Edit, RankOneUpdate, together

logger = logging.getLogger(__name__)


def load_edits(task: Task) -> list[Edit]:
    """The saved updates of the run's requests, with the columns and decay that its flags ask for.

    Raises:
        CheckpointError: if an update is not there or not whole.
        EditError: if it cannot be told which is meant, it has no active feature, or several act on the same key.
    """
    edits = []
    folder = task.config.updates(task.workspace)
    for (_, lim, decay), request in zip(task.config.edits, task.requests):
        update = RankOneUpdate.load(find_saved(folder, task.layer, request, task.decisive, task.given))
        edit = Edit(update, lim, decay, task.config.abla_exp)
        columns = len(edit.columns())
        if lim == -1:
            logger.warning("--lim -1 keeps all %d columns of the update of the request %s, as TCPE_pre does", columns, request.error)
        edits.append(edit)
    for joined in together(edits):
        joined.factors()
    return edits
