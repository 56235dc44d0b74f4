"""Language pairs: what the benchmark needs to know of a source and a target language, as data behind one interface.

Each pair is a module of this package, with its `LanguagePair` under the name ``PAIR``, and a name in `LanguagePairName`. Samples, prompts,
judging, clusters and metrics are the same for all; CONTRIBUTING.md has the recipe for another pair.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    from d_running.config import UnitTestConfig
    from d_running.dataset import Sample
    from d_running.execution import Verdict
    from d_running.mutation import Mutant
    from d_running.sandbox import Tier

LanguagePairName = Literal["java-d", "java-python"]
JAVA_D: LanguagePairName = "java-d"
LANGUAGE_PAIR_HELP = "source and target language"


class Judging(Protocol):
    """Judges translations; a context manager, usable from several threads at a time."""

    def __enter__(self) -> Self:
        """Start up, and judge a right program; a UserError if that fails."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End."""

    def judge(self, test_program: str, function: str) -> "Verdict":
        """The verdict on ``function``; a `sandbox.Trouble` if the judge itself fails."""

    def judge_together(self, programs: dict[str, tuple[str, str]]) -> dict[str, "Verdict"]:
        """The verdicts on those of ``programs`` that are judged faster together than alone, with their keys."""

    def stop(self) -> None:
        """End what runs now, from any thread; nothing can be judged afterwards."""


@dataclass(frozen=True)
class Target:
    """The target language's compiler or interpreter on this machine.

    Attributes:
        version: such as "LDC 1.30.0".
        front_end: the version of what words the messages.
        decides: what else a verdict depends on: flags, and the versions of the files that judge.
        judging: judges in a sandbox tier with so many jobs.
    """

    version: str
    front_end: str
    decides: list[Any]
    judging: "Callable[[Tier, int], Judging]"


@dataclass(frozen=True)
class LanguagePair:
    """One pair.

    A test program is a text of the target language with `marker` where the translated function goes, which is named ``f_filled``. Its
    descriptions of failures have a line ``Error: …``, behind the place ``translation.SUFFIX(LINE): `` where there is one.

    Attributes:
        target_name: what a prompt calls the target language.
        fence: names it behind the backticks of an answer.
        suffix: of its files.
        marker: the line of a test program where the function goes.
        tests_column, arguments_column: of a kecode.csv: its test programs, and those that compare arguments after the call too.
        gold_column: of a kecode.csv: right translations that the set has itself; "" if the reference is one of rules.
        render_test_program: as `harness.render_test_program`, with Java's types.
        check_test_program: raises a BenchmarkError for a sample's (name, test program) that has not the form.
        check_strict: raises a BenchmarkError for a test program that cannot be judged without holding what is expected.
        first_function: the name and source of the first function of an answer, None if there is none.
        rename: a source, with one of its names changed to another.
        mutants_of: a right translation with one mistake, all of them.
        reference: right translations of samples, by name, without the rules that are named.
        target: the compiler or interpreter that a configuration names; a UserError if there is none.
    """

    name: LanguagePairName
    target_name: str
    fence: str
    suffix: str
    marker: str
    tests_column: str
    arguments_column: str
    gold_column: str
    render_test_program: Callable[[str, Sequence[str], Sequence[Sequence[Any]], Sequence[Any], bool, Mapping[int, Sequence[Any]]], str]
    check_test_program: Callable[[str, str], None]
    check_strict: Callable[[str], None]
    first_function: Callable[[str], tuple[str, str] | None]
    rename: Callable[[str, str, str], str]
    mutants_of: "Callable[[str], list[Mutant]]"
    reference: "Callable[[Sequence[Sample], Sequence[str]], dict[str, str]]"
    target: "Callable[[UnitTestConfig], Target]"

    def program(self, test_program: str, function: str) -> str:
        """The test program with ``function`` in the marker's place: what a plain judge would compile or run."""
        head, _, tail = test_program.partition(self.marker)
        return head + function + tail

    def file(self, folder: Path, name: str) -> Path:
        """The file of the sample ``name`` in a folder of translations or test programs."""
        return folder / (name + self.suffix)


def language_pair(name: str) -> LanguagePair:
    """The pair of that name, such as "java-d"."""
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").PAIR
