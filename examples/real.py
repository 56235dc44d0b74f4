"""Edits the real translator's own errors: every stage for every error on functions that no request and no training saw, and one table.

usage: python -m examples.real [--kecode FOLDER]

What an interrupted run has done is kept; the same command continues.
"""

import csv
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from d_running.build_kecode import CSV_FILE
from d_running.dataset import load_functions
from d_running.java_text import natural_java
from d_running.java_to_d import translate_java
from d_running.prompt import ANSWER_CLOSING, translation_prompt
from examples.corpus import BENCHMARK
from examples.functions import Part, needs_collections, part_of
from examples.real_requests import ADAPTER, CORRECTIONS, KIND, LAYER, REQUESTS, TRANSCODER
from examples.smollm2 import RUNS, check_memory, make_translator
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from stages.chain import Chain, table
from tcpe.second_moment import CACHE, Site, cached_second_moments
from tcpe.texts import load_texts
from util.cli import ArgumentParser
from util.errors import BenchmarkError
from util.files import write_csv, write_json, write_text
from util.lock import locked
from util.memory import PeakMemory
from util.progress import Progress

TEST_FUNCTIONS = 120
"""At most so many, for the time that the chain takes."""
BATCH_SIZE = 64
TEXTS = 80
EDIT: dict[str, Any] = {
    "fact_token": "last",
    "mom2_n_samples": TEXTS,
    "epsilon": 0.1,
    "context_template_length_params": [],
    "v_num_grad_steps": 40,
    "v_lr": 0.1,
    "lim": "10%",
}
"""Flags of `run_tcpe.py` for every edit, chosen on development functions (docs/real_model.md)."""
ROME: dict[str, Any] = {"TC_layer_file": None, "mlp_or_tc": "MLP", "epsilon": 1e-4}
"""Others for plain ROME in the layer's own MLP, whose neurons are all active and smaller than features."""


def write_test_functions(benchmark: Path, parts: tuple[Part, ...], path: Path, collections: bool = True) -> None:
    """Write the functions of ``parts`` to ``path``, at most `TEST_FUNCTIONS` of them, those whose names' digests come first.

    Args:
        collections: keep those that need them (see `examples.functions.needs_collections`).

    Raises:
        BenchmarkError: if ``benchmark`` is not there, is no kecode.csv, or has none of them.
    """
    csv.field_size_limit(sys.maxsize)
    try:
        with open(benchmark, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise BenchmarkError(
            f"{benchmark} cannot be read ({error.strerror}); build the folder with python -m d_running.build_kecode, or leave KECODE out."
        ) from error
    if not rows or "id" not in rows[0]:
        raise BenchmarkError(f"{benchmark} is empty or has no column id; build it again with python -m d_running.build_kecode.")
    rows = [row for row in rows if part_of(row["id"]) in parts and (collections or not needs_collections(row["function_java"]))]
    if not rows:
        raise BenchmarkError(f"{benchmark} has no function of the part {' or '.join(parts)}; it is not the whole benchmark.")
    kept = {row["id"] for row in sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).digest())[:TEST_FUNCTIONS]}
    write_csv(path, list(rows[0]), [row for row in rows if row["id"] in kept])


def write_texts(tokenizer: Any, path: Path) -> None:
    """Write prompts and reference answers of development functions, for the second moment of activations."""
    lines: list[str] = []
    for sample in load_functions(BENCHMARK):
        if part_of(sample.name) == "training" and len(lines) < TEXTS:
            java = natural_java(sample.java)
            try:
                answer = translate_java(java)
            except BenchmarkError:
                continue
            lines.append(json.dumps({"text": translation_prompt(tokenizer, java) + answer.rstrip() + ANSWER_CLOSING}))
    write_text(path, "\n".join(lines) + "\n")


def run(kecode: Path | None) -> dict[str, Any]:
    """Run the chain, print its table and write ``summary.json``, which is returned.

    Args:
        kecode: a folder that `d_running.build_kecode` made, whose test part is taken instead of this repository's functions.

    Raises:
        UserError: for anything that the user can mend.
    """
    folder = RUNS / ("own" if kecode is None else "kecode")
    with locked(RUNS), PeakMemory() as memory:
        functions = folder / "functions.csv"
        if kecode is None:
            write_test_functions(BENCHMARK, ("validation", "test"), functions, collections=False)
        else:
            write_test_functions(kecode / CSV_FILE, ("test",), functions)
        check_memory()
        name = str(make_translator(ADAPTER))
        model, tokenizer = load_model_and_tokenizer(name, device="cpu")
        write_texts(tokenizer, RUNS / "texts.jsonl")
        common = {
            "MODEL_NAME": name,
            "layer_num": LAYER,
            "TC_layer_file": str(TRANSCODER),
            "mlp_or_tc": KIND,
            "edit_sequence_path": str(REQUESTS),
            "originals_path": str(functions),
            "container_workspace": str(RUNS / "workspace"),
            "translation_batch_size": BATCH_SIZE,
            "device": "cpu",
            "mom2_dataset": str(RUNS / "texts.jsonl"),
            **EDIT,
        }
        texts, sites = load_texts(common["mom2_dataset"], TEXTS), [Site(LAYER), Site(LAYER, load_transcoder(TRANSCODER, LAYER))]
        cached_second_moments(RUNS / "workspace" / CACHE, model, tokenizer, sites, texts)  # both in one pass; the stages find them there
        with Progress(total=3 + 4 * len(CORRECTIONS), desc="real", unit="stage") as progress:
            # Before an edit of the MLP other functions fail than before one of the transcoder: two chains, each with a page of its own.
            mlp, transcoder = (
                Chain(folder / name, {**common, **flags, "preKE_cluster_result": str(folder / name / "noKE")}, (model, tokenizer), progress)
                for name, flags in (("MLP", ROME), ("TC", {}))
            )
            plain = mlp.stage("noKE", "noKE")
            rome = [mlp.stage(f"{error}/ROME", "TCPE_pre", i=row) for row, error in enumerate(CORRECTIONS)]
            summary = transcoder.summary(list(CORRECTIONS), {"ROME": rome})
        pages = [mlp.report(), transcoder.report()]
        seconds = mlp.seconds | transcoder.seconds
        seconds["noKE"] += mlp.seconds["noKE"]
        summary |= {
            "accuracy_without_transcoder": plain["accuracy"],
            "seconds": seconds,
            "peak_memory_mb": round(memory.mebibytes, 1),
        }
    write_json(folder / "summary.json", summary)
    sys.stdout.write(table(summary, intervals=True))
    sys.stdout.writelines(f"to look at: {page}\n" for page in pages if page)
    sys.stdout.write(f"an edit's neurons, in minutes: python -m explain.neurons {folder}/TC/{next(iter(CORRECTIONS))}/TCPE\n")
    return summary


def main() -> None:
    """Command line, see the module's first lines."""
    parser = ArgumentParser(prog="python -m examples.real", description=__doc__.splitlines()[0])
    parser.add_argument("--kecode", type=Path, help="folder made by d_running.build_kecode, to test on its functions")
    run(parser.parse_args().kecode)


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
