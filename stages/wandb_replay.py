"""Runs in WandB from the files that they left: whole sweeps of offline runs, those without WandB, and what killed tasks had logged.

usage: python -m stages.wandb_replay runs/sweep        with a key (wandb login) and a network; WANDB_MODE=offline writes files to sync later
"""

import logging
import sys
from pathlib import Path

from stages.review import review
from util.cli import ArgumentParser
from util.errors import UserError
from util.lock import locked
from util.progress import Progress
from util.tracking import TRACKING_FILE, replay

logger = logging.getLogger(__name__)


def tracked_folders(folder: Path) -> list[Path]:
    """The folders of runs at and below ``folder``.

    Raises:
        UserError: if there is none.
    """
    found = sorted(path.parent for path in folder.rglob(TRACKING_FILE))
    if not found:
        raise UserError(f"{folder} holds no run with a {TRACKING_FILE}; give the output folder of a run or a sweep.")
    return found


def main() -> int:
    parser = ArgumentParser(prog="python -m stages.wandb_replay", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUNS", help="folders of runs, or of sweeps")
    parser.add_argument("--wandb_project", default="", help="the project they go to; by default each run's own")
    parser.add_argument("--wandb_entity", default="", help="the user or team they go to; by default each run's own")
    arguments = parser.parse_args()
    folders = list(dict.fromkeys(one for folder in arguments.folders for one in tracked_folders(folder)))
    sent, offline, left = 0, 0, []
    for folder in Progress(folders, desc="replaying", unit="run"):
        try:
            with locked(folder):
                mirror = replay(folder, review, project=arguments.wandb_project, entity=arguments.wandb_entity)
        except UserError as error:  # the others must not wait for it
            logger.error("%s", error)
            left.append(folder)
            continue
        if not mirror.works:
            raise UserError("WandB takes nothing: see what it says above, and that WANDB_MODE is not disabled; the same command goes on.")
        sent, offline = sent + 1, offline + mirror.offline
    where = "; WandB is offline here, give the same command with a key and a network, or wandb sync with each wandb/offline-run-*" if offline else ""
    sys.stdout.write(f"{sent} of {len(folders)} runs are in WandB{where}\n" + "".join(f"left out: {folder}\n" for folder in left))
    return 1 if left else 0


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
