"""A workspace in WandB that shows a project's runs as they are reviewed: the figures of settings, the searches, the edits, what changed.

usage: python -m stages.wandb_workspace --wandb_entity TEAM [--wandb_project tcpe]        needs a key (wandb login) and a network
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stages.review import CHANGED, CLUSTERS, MAIN, SERIES, SUB
from util.cli import ArgumentParser
from util.errors import UserError
from util.tracking import PROJECT

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as ws

NAME = "TCPE review"

FIGURES = ("accuracy_of_target_cluster", "change_of_target_cluster", "Specificity", "Destructiveness")
COUNTS = ("overall_accuracy_before", "overall_accuracy_after", "reliability", "columns")
EDIT = ("delta_norm", "v0_norm", "v_star_norm", "dW_norm", "dW_relative_norm", "kstar_num", "early_stopping_step")
SHARED = ("index_union_len", "index_intersection_len")
COLUMNS = ("stage", "error", "lim", "seed")
"""Settings that the table of runs shows."""


def workspace(entity: str, project: str) -> "ws.Workspace":
    """The workspace, not saved yet: runs in groups of one setting, newest first."""
    import wandb_workspaces.reports.v2.interface as wr
    import wandb_workspaces.workspaces as ws

    def bars(names: Sequence[str], prefix: str) -> list[Any]:
        return [wr.BarPlot(title=name, metrics=[prefix + name]) for name in names]

    (step, losses) = next(iter(SERIES.items()))
    searches: list[Any] = [wr.LinePlot(title=name, x=step, y=[name]) for name in losses]
    tables: list[Any] = [wr.WeavePanelSummaryTable(table_name=name) for name in (CHANGED, CLUSTERS)]
    sections = [
        ws.Section(name="Figures of the edits", panels=[*bars(FIGURES, MAIN), *bars(COUNTS, SUB)], is_open=True),
        ws.Section(name="Searches for the value", panels=searches, is_open=True),
        ws.Section(name="The edits themselves", panels=bars((*EDIT, *SHARED), SUB), is_open=True),
        ws.Section(name="What changed", panels=tables, is_open=True),
    ]
    shown = [*(f"config:{name}" for name in COLUMNS), *(f"summary:{MAIN}{name}" for name in FIGURES)]
    runs = ws.RunsetSettings(groupby=[ws.Metric("Group"), ws.Metric("JobType")], pinned_columns=["run:displayName", *shown])
    return ws.Workspace(entity=entity, project=project, name=NAME, sections=sections, runset_settings=runs)


def main() -> None:
    parser = ArgumentParser(prog="python -m stages.wandb_workspace", description=__doc__)
    parser.add_argument("--wandb_project", default=os.environ.get("WANDB_PROJECT") or PROJECT, help="the project (default: %(default)s)")
    parser.add_argument("--wandb_entity", default=os.environ.get("WANDB_ENTITY", ""), help="the user or team that it belongs to")
    arguments = parser.parse_args()
    if not arguments.wandb_entity:
        raise UserError("--wandb_entity must be given: the user or team whose project it is, as in WandB's addresses.")
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise UserError("There is no key for WandB; give one with wandb login, and the same command again.")
    made = workspace(arguments.wandb_entity, arguments.wandb_project)
    try:
        made.save()
    except Exception as error:  # of many kinds: the library's own and those of the network client that it happens to use
        raise UserError(
            f"WandB has not taken the workspace of {arguments.wandb_entity}/{arguments.wandb_project} ({' '.join(str(error).split())[:200]}); see "
            "that the project is there (python -m stages.wandb_replay makes it) and that the network works, and give the same command again."
        ) from error
    sys.stdout.write(f"{made.url}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
