"""Java to D: compiled with LDC, DMD or GDC, and run as a library of a small runner."""

from collections.abc import Mapping, Sequence
from typing import Any

from d_running.compiler import find_compiler
from d_running.config import UnitTestConfig
from d_running.d_source import first_function, rename
from d_running.dataset import Sample
from d_running.execution import Judge
from d_running.gold import d_type
from d_running.harness import MARKER, check_test_program, harness_version, render_test_program
from d_running.language_pairs import JAVA_D, LanguagePair, Target
from d_running.mutation import mutants_of
from d_running.strict import strict_test
from d_running.translate import translate_with_rules


def _render(
    return_type: str,
    param_types: Sequence[str],
    inputs: Sequence[Sequence[Any]],
    results: Sequence[Any],
    exact: bool = False,
    after: Mapping[int, Sequence[Any]] | None = None,
) -> str:
    return render_test_program(d_type(return_type), list(map(d_type, param_types)), inputs, results, exact, after)


def _check_strict(test_program: str) -> None:
    strict_test(test_program, "")


def _reference(samples: Sequence[Sample], without: Sequence[str] = ()) -> dict[str, str]:
    return translate_with_rules(list(samples), without)


def _target(config: UnitTestConfig) -> Target:
    compiler = find_compiler(config.d_compiler)
    limits = (config.compile_limit, config.run_limit)
    return Target(
        compiler.version,
        compiler.front_end,
        [compiler.flags, harness_version()],
        lambda tier, jobs: Judge(compiler, tier, jobs, *limits, config.plain_verdict),
    )


PAIR = LanguagePair(
    name=JAVA_D,
    target_name="the D programming language (dlang)",
    fence="d",
    suffix=".d",
    marker=MARKER,
    tests_column="d_with_params",
    arguments_column="d_with_arguments",
    gold_column="",
    render_test_program=_render,
    check_test_program=check_test_program,
    check_strict=_check_strict,
    first_function=first_function,
    rename=rename,
    mutants_of=mutants_of,
    reference=_reference,
    target=_target,
)
