"""Where the embedded default lies, and the settings of its edits, all chosen on the validation functions."""

from typing import Any

from util.files import ROOT

DATA = ROOT / "data" / "demo"
LAYER = 5
"""The layer that is edited, of 0 to 5; its MLP has the transcoder."""

KIND = "TC_ef4"
"""Names the column of target clusters: a transcoder four times as wide as the model."""

EDIT: dict[str, Any] = {
    "fact_token": "last",
    "mom2_dataset": str(DATA / "texts.jsonl"),
    "mom2_n_samples": 600,
    "epsilon": 0.1,
    "context_template_length_params": [],
    "v_num_grad_steps": 50,
    "v_lr": 0.1,
    "clamp_norm_factor": 4,
    "upd_decay": 1.0,
    "lim": 0.5,
}
"""Flags of `run_tcpe.py` for every edit of the embedded model."""
