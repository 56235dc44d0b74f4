"""Draws of generated functions as benchmark files, with the results that the functions really give.

usage: python -m demo.datasets --seed 2 --output data/demo/test.csv
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from d_running.gold import d_type
from d_running.harness import render_test_program
from d_running.java_text import FUNCTION_NAME
from d_running.java_to_d import translate_java
from d_running.oracles.d_oracle import Calls, d_results
from d_running.oracles.java_oracle import JavaMethod, has_jdk, java_results
from demo.corpus import training_java
from demo.generator import DemoFunction, draw_functions
from demo.settings import DATA
from util.cli import ArgumentParser, run_main
from util.errors import BenchmarkError
from util.files import read_json, write_csv

VALIDATION_SEED, TEST_SEED = 1, 2
COUNT = 320

logger = logging.getLogger(__name__)


def held_out_java() -> frozenset[str]:
    """The Java that the embedded model never sees in training: the validation and the default test functions."""
    return frozenset(function.java for seed in (VALIDATION_SEED, TEST_SEED) for function in draw_functions(seed, COUNT))


def seen_java() -> frozenset[str]:
    """The Java that the embedded model was trained on or that its settings were chosen on; about 5 s."""
    training = read_json(DATA / "model" / "training.json", "the embedded model's training")
    settings = {name: training[name] for name in ("seed", "steps", "bucket", "pairs_per_step")}
    return training_java(**settings, held_out=held_out_java()) | {function.java for function in draw_functions(VALIDATION_SEED, COUNT)}


def expected_results(functions: Sequence[DemoFunction]) -> list[list[Any]]:
    """What each function returns on its inputs, by its right D; with a JDK Java is asked too and must agree.

    Raises:
        BenchmarkError: if Java does not answer, or the two languages disagree, with the function.
    """
    by_d = d_results([Calls(translate_java(f.java), [d_type(kind) for kind in f.param_types], f.inputs) for f in functions])
    if not has_jdk():
        logger.info("no JDK here: the expected results come from the right D alone")
        return by_d
    by_java = java_results([JavaMethod(f"class F {{ static {f.java} }}", "F", FUNCTION_NAME, f.inputs) for f in functions])
    for function, java, in_d in zip(functions, by_java, by_d, strict=True):
        in_java = [answer.failure or answer.value for answer in java.answers]
        if java.problem or in_java != in_d:
            raise BenchmarkError(f"Java gives {java.problem or in_java} and the right D {in_d} for this generated function:\n{function.java}")
    return by_d


def write_dataset(seed: int, path: Path, count: int = COUNT) -> None:
    """Write a draw as KECode's CSV (``id,function_java,d_with_params``); the Java is laid out as in the original files.

    The embedded model has seen no function of it in training: the validation and the default test draw were held out, and any
    other draw leaves out what was.
    """
    excluded = frozenset() if seed in (VALIDATION_SEED, TEST_SEED) else seen_java()
    functions = draw_functions(seed, count, excluded=excluded)
    rows = []
    for index, (function, results) in enumerate(zip(functions, expected_results(functions), strict=True)):
        types = [d_type(kind) for kind in function.param_types]
        program = render_test_program(d_type(function.return_type), types, [list(row) for row in function.inputs], results)
        java = "static " + function.java.replace(" solution(", " f_gold(", 1)
        rows.append({"id": f"F{index:03}", "function_java": java, "d_with_params": program})
    write_csv(path, list(rows[0]), rows)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True, help=f"{VALIDATION_SEED} is the validation draw, {TEST_SEED} the default test draw")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    write_dataset(arguments.seed, arguments.output, arguments.count)


if __name__ == "__main__":
    run_main(main)
