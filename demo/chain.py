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
from stages.chain import Chain, table
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
    with locked(folder), PeakMemory() as memory, Progress(total=2 + 3 * len(CORRECTIONS), desc="demo", unit="stage", bar_format=_BAR) as progress:
        chain = Chain(folder, common, model_and_tokenizer, progress)
        summary = chain.summary(list(CORRECTIONS))
    summary["peak_memory_mb"] = round(memory.mebibytes, 1)
    write_json(folder / SUMMARY_FILE, summary)
    if seed is None:
        write_json(RUNS / SUMMARY_FILE, summary)
    sys.stdout.write(table(summary))
    if pages := list(filter(None, (chain.report(), chain.neurons(f"{SHOWN_FAMILY}/TCPE")))):
        sys.stdout.write(f"to look at: {' and '.join(map(str, pages))}\n")
    return summary
