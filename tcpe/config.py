"""How an edit is found and how much of it is applied: one dataclass, from which the flags, their help and their checks come."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tcpe.lim import Lim, parse_edit, parse_lim
from util.errors import UserError
from util.files import shipped
from util.flags import check_choices, flag

UPDATES = "updates"
"""The folder of saved updates in a workspace."""

SEARCH = (
    "fact_token",
    "mom2_n_samples",
    "epsilon",
    "context_template_length_params",
    "v_num_grad_steps",
    "v_lr",
    "clamp_norm_factor",
    "kl_factor",
    "v_weight_decay",
)
"""The flags that decide an update, beside its request, the model, the texts and the seed."""


@dataclass(frozen=True)
class EditConfig:
    """The edit of a run; every field is the flag of its name."""

    i: int | None = flag(None, "row of the edit request in --edit_sequence_path, counted from 0 (required, but for noKE)")
    more_edits: list[str] = flag([], "further rows whose saved updates TCPE applies too, each ROW, ROW:LIM or ROW:LIM:DECAY")
    edit_sequence_path: str = flag(shipped("data/edit_requests.csv"), "CSV of edit requests and their target clusters")
    mlp_or_tc: str | None = flag(None, "kind of edit, MLP, TC_ef2, ...: names the requests' column; by default TC or MLP")
    fact_token: Literal["subject_last", "subject_first", "subject_first_after_last", "last"] = flag(
        "subject_last", "token at which the edit acts: of the subject, or the prompt's last one"
    )
    mom2_n_samples: int = flag(500_000, "number of texts for the second moment of the activations")
    mom2_dataset: str = flag("codeparrot/codeparrot-clean-valid", "texts: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    epsilon: float = flag(
        1e-8, "added to the second moment's diagonal, which features that never fire leave singular; as in the paper's runs"
    )
    context_template_length_params: list[list[int]] = flag(
        [[10, 1]], "JSON list of [length, n]: n sampled texts of that many tokens are put before the prompt", json.loads
    )
    v_num_grad_steps: int = flag(600, "number of gradient steps for the value")
    v_lr: float = flag(0.05, "learning rate for the value")
    clamp_norm_factor: int = flag(4, "the value's shift is at most this many times as long as the value itself")
    kl_factor: float = flag(0.0625, "weight of the term that keeps what the model says of the subject itself")
    v_weight_decay: float = flag(1e-3, "weight of the shift's relative squared length")
    save_k_v_upd: bool = flag(False, "save the computed update under --save_path too; the workspace keeps it in any case")
    save_path: str | None = flag(None, "folder that updates are saved to and loaded from; by default updates in --container_workspace")
    upd_decay: float = flag(1.0, "TCPE divides the update by this; the default is the original's, the paper's runs have 1.1")
    lim: Lim = flag(
        0.1,
        "TCPE keeps the columns of features whose activation is at least this (of an MLP's neurons the absolute value); 20% means a share of the "
        "largest activation, top:16 the 16 most active features, -1 all columns, which is the whole update; the default is that of the paper's runs",
        parse_lim,
    )
    abla_exp: bool = flag(False, "ablation: TCPE zeroes exactly those columns and keeps the others")

    @property
    def edits(self) -> list[tuple[int, Lim, float]]:
        """Row, lim and decay of each edit: ``i`` first, then ``more_edits``."""
        if self.i is None:
            return []
        edits = [(self.i, parse_lim(self.lim), self.upd_decay)]
        for text in self.more_edits:
            row, lim, decay = parse_edit(text, self.lim, self.upd_decay)
            if not row.isdecimal():
                raise UserError(f"--more_edits {text} is not ROW, ROW:LIM or ROW:LIM:DECAY.")
            edits.append((int(row), lim, decay))
        return edits

    def updates(self, workspace: Path) -> Path:
        """The folder that saved updates are looked for in."""
        return Path(self.save_path or workspace / UPDATES)

    def __post_init__(self) -> None:
        """Check the fields on their own and against each other.

        Raises:
            UserError: naming the flag.
        """
        check_choices(self)
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:
                raise UserError(f"--{name} must be at least {least}, not {getattr(self, name)}.")
        for name in ("v_lr", "clamp_norm_factor"):
            if not getattr(self, name) > 0:
                raise UserError(f"--{name} must be above 0, not {getattr(self, name)}.")
        if self.mlp_or_tc is not None and not re.fullmatch(r"MLP|TC(_\w+)?", self.mlp_or_tc):
            raise UserError(f"--mlp_or_tc {self.mlp_or_tc} must be MLP, TC, or TC_ and the transcoder's kind, such as TC_ef4.")
        parse_edit("", self.lim, self.upd_decay)
        rows = [row for row, _, _ in self.edits]
        if len(set(rows)) < len(rows):
            raise UserError(f"--i and --more_edits name a row twice ({', '.join(map(str, rows))}); each edit can be applied once.")
        if self.abla_exp and any(lim == -1 for _, lim, _ in self.edits):
            raise UserError("--abla_exp with --lim -1 leaves no column to edit; give another lim.")
        pairs = self.context_template_length_params
        if not isinstance(pairs, list) or not all(_is_pair_of_counts(pair) for pair in pairs):
            raise UserError(f"--context_template_length_params {pairs} must be a JSON list of [length, n], such as [[10, 1]].")


_LEAST = {"mom2_n_samples": 1, "epsilon": 0, "v_num_grad_steps": 1, "kl_factor": 0, "v_weight_decay": 0}
"""The smallest value of number flags."""


def _is_pair_of_counts(value: Any) -> bool:
    """Whether ``value`` is a list of two positive integers."""
    return isinstance(value, list) and len(value) == 2 and all(type(number) is int and number > 0 for number in value)
