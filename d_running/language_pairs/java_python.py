"""Java to Python: interpreted by the Python that runs this; the set's own Python functions are the reference."""

import platform
from collections.abc import Sequence

from d_running.config import UnitTestConfig
from d_running.dataset import Sample
from d_running.language_pairs import LanguagePair, Target
from d_running.python_target.execution import PythonJudge
from d_running.python_target.harness import MARKER, check_test_program, harness_version, read_tests, render_test_program
from d_running.python_target.mutation import mutants_of
from d_running.python_target.source import first_function, rename
from util.errors import BenchmarkError, UserError


def _check_strict(test_program: str) -> None:
    read_tests(test_program)


def _reference(samples: Sequence[Sample], without: Sequence[str] = ()) -> dict[str, str]:
    if without:
        raise BenchmarkError("The reference of --language_pair java-python has no rules: it is the set's own functions; leave out --without_rule.")
    translations = {sample.name: sample.gold or f"# {sample.name} has no Python function in the set\n" for sample in samples if not sample.problem}
    if not any(sample.gold for sample in samples):
        raise BenchmarkError("No sample has a Python function of the set's own: build the benchmark with --language_pair java-python.")
    return translations


def _target(config: UnitTestConfig) -> Target:
    if config.plain_verdict:
        raise UserError("--plain_verdict is for --language_pair java-d: a Python program is never given what is expected of it.")
    version = platform.python_version()
    return Target(
        f"{platform.python_implementation()} {version}",
        version.rpartition(".")[0],
        [harness_version()],
        lambda tier, jobs: PythonJudge(tier, jobs, config.run_limit),
    )


PAIR = LanguagePair(
    name="java-python",
    target_name="the Python programming language",
    fence="python",
    suffix=".py",
    marker=MARKER,
    tests_column="python_with_params",
    arguments_column="python_with_arguments",
    gold_column="function_python",
    render_test_program=render_test_program,
    check_test_program=check_test_program,
    check_strict=_check_strict,
    first_function=first_function,
    rename=rename,
    mutants_of=mutants_of,
    reference=_reference,
    target=_target,
)
