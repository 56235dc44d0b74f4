"""What ``--demo`` runs: every stage for every family on the embedded model, with the real D compiler, and one table.

All of it goes through the same stages as a user's own commands, and leaves the same files under ``runs/demo``.
"""

import sys
from pathlib import Path
from typing import Any

from demo.datasets import VALIDATION_SEED, write_dataset
from demo.edit_requests import CORRECTIONS
from demo.settings import DATA, EDIT, KIND, LAYER
from huggingface.load import load_model_and_tokenizer
from stages.chain import Chain, figures, table
from util.errors import UserError
from util.files import write_json
from util.lock import locked
from util.memory import PeakMemory
from util.progress import Progress

RUNS = Path("runs/demo")
SUMMARY_FILE = "summary.json"
BATCH_SIZE = 160
SHOWN_FAMILY = "length"
"""Whose neurons get a page; ``python -m explain.neurons`` makes those of the others."""

# Stages differ too much in length for a guess of what is left.
_BAR = "{desc}: {n_fmt}/{total_fmt} stages, {elapsed} so far{postfix}"

Figures = dict[str, Any]


def run_demo(seed: int | None = None, invalidate_cache: bool = False) -> Figures:
    """Run the chain, print its table and write ``summary.json`` in the folder of this draw; of the default in ``runs/demo`` too.

    Args:
        seed: of fresh test functions; None takes the ones in the repository.
        invalidate_cache: do not continue what an earlier run left.

    Returns:
        What the summary holds.

    Raises:
        UserError: if there is no D compiler, a folder cannot be written, or the seed is the validation draw's.
    """
    if seed == VALIDATION_SEED:
        raise UserError(f"--demo_seed {seed} draws the functions that the demo's settings were chosen on; give another seed.")
    folder, functions = RUNS / "default", DATA / "test.csv"
    if seed is not None:
        folder = RUNS / f"seed_{seed}"
        functions = folder / "functions.csv"
        if invalidate_cache or not functions.exists():
            write_dataset(seed, functions)
    common = {
        "MODEL_NAME": str(DATA / "model"),
        "layer_num": LAYER,
        "TC_layer_file": str(DATA / "transcoder"),
        "mlp_or_tc": KIND,
        "edit_sequence_path": str(DATA / "edit_requests.csv"),
        "originals_path": str(functions),
        "container_workspace": str(RUNS / "workspace"),
        "translation_batch_size": BATCH_SIZE,
        "preKE_cluster_result": str(folder / "noKE"),
        "device": "cpu",
        "invalidate_cache": invalidate_cache,
        **EDIT,
    }
    model_and_tokenizer = load_model_and_tokenizer(str(DATA / "model"), device="cpu")
    families: dict[str, Figures] = {}
    stages = 2 + 3 * len(CORRECTIONS)
    with locked(folder), PeakMemory() as memory, Progress(total=stages, desc="demo", unit="stage", bar_format=_BAR) as progress:
        chain = Chain(folder, common, model_and_tokenizer, progress)
        before = chain.stage("noKE", "noKE")
        for row, family in enumerate(CORRECTIONS):
            edits = {
                "TCPE_pre": chain.stage(f"{family}/TCPE_pre", "TCPE_pre", i=row, save_k_v_upd=True),
                "TCPE": chain.stage(f"{family}/TCPE", "TCPE", i=row),
                "ablation": chain.stage(f"{family}/ablation", "TCPE", i=row, abla_exp=True),
            }
            families[family] = {"targets": edits["TCPE"]["targets"], **{name: figures(metrics) for name, metrics in edits.items()}}
        together = chain.stage("multi_error", "TCPE", i=0, more_edits=[str(row) for row in range(1, len(CORRECTIONS))])
    summary = {
        "samples": before["samples"],
        "accuracy_before": before["accuracy"],
        "families": families,
        "multi_error": figures(together),
        "seconds": chain.seconds,
        "peak_memory_mb": round(memory.mebibytes, 1),
    }
    write_json(folder / SUMMARY_FILE, summary)
    if seed is None:
        write_json(RUNS / SUMMARY_FILE, summary)
    sys.stdout.write(table(summary))
    if pages := list(filter(None, (chain.report(), chain.neurons(f"{SHOWN_FAMILY}/TCPE")))):
        sys.stdout.write(f"to look at: {' and '.join(map(str, pages))}\n")
    return summary
