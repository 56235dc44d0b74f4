"""Builds KECode from the public TransCoder test set: test programs with the results that the functions really give.

The inputs are those of the Python file, as the types of the Java function take them; where there are none that serve, those of the Java
file's own ``main`` (``--selection original``: such samples are left out). The expected results come from the Java function
itself, since it is the one that is translated (``--oracle java``: reals compare with a relative tolerance of 1e-6), or, as the original
benchmark has it, from the Python function (``--oracle python``: what does not fit the Java type is dropped, reals compare exactly). Both
languages are run either way, and the report says where they disagree. Text beyond ASCII is left out: D counts bytes where Java counts UTF-16 units.

Where Java changes an argument, as all void functions that can be judged do, the tests compare it after the call too. In kecode.csv these
tests are a column of their own, beside those that compare the result alone, as all of the original's do (``--selection original``).
"""

import logging
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from d_running.build_report import NO_JDK, TOLERANCE, Entry, Oracle, answer_text, build_report, shown, summary
from d_running.calls import arguments_after, compared_arguments, render_calls
from d_running.config import UnitTestConfig
from d_running.dataset import NAME, SOURCE_COLUMNS, java_function, sample_of
from d_running.gold import (
    GOLD_NAME,
    PYTHON_MARKER,
    GoldSample,
    Unusable,
    compilation_unit,
    converted,
    file_text,
    gold_pairs,
    java_signature,
    read_gold,
)
from d_running.harness import FUNCTION_NAME, INTEGER_BITS
from d_running.java_inputs import java_inputs
from d_running.language_pairs import JAVA_D, LANGUAGE_PAIR_HELP, LanguagePair, LanguagePairName, language_pair
from d_running.mutants import MutantsConfig
from d_running.oracles import Answer, Answers
from d_running.oracles.java_oracle import JavaMethod, has_jdk, java_results
from d_running.oracles.python_oracle import PythonFunction, python_results
from d_running.sandbox import choose_tier
from d_running.stronger_inputs import NEW_INPUTS_FILE, Subject, new_inputs_report, stronger_inputs
from d_running.translate import reference_translations, write_translations
from d_running.unit_test import run_unit_tests
from util.cli import ArgumentParser
from util.errors import BenchmarkError, UserError
from util.files import write_csv, write_json, write_text

Inputs = Literal["original", "strong"]
Selection = Literal["all", "original"]
CSV_FILE, REPORT_FILE, SUMMARY_FILE = "kecode.csv", "report.json", "summary.txt"
ORIGINALS = "originals"

log = logging.getLogger(__name__)


def build(
    source: Path,
    output: Path,
    oracle: Oracle = "java",
    inputs: Inputs = "original",
    config: MutantsConfig | None = None,
    selection: Selection = "all",
    pair: LanguagePairName = JAVA_D,
) -> dict[str, Any]:
    """Build the benchmark of all usable samples under ``source`` into the folder ``output``; returns the report.

    Args:
        inputs: those of the set alone, or with generated ones (see `stronger_inputs`), which new_inputs.json lists.
        config: how mutants are judged for that, and the reference's translations; without it, the report does not say which it solves.
        selection: "original" leaves out the samples, and changes the inputs, for which the Python file alone does not serve, and compares
            results alone, which leaves out what returns void.
        pair: the name of the language pair.

    Raises:
        BenchmarkError: if the set cannot be found, the JDK is missing (with the Java oracle), no sample can be kept, or ``output`` holds
            other files. Nothing is written then.
    """
    languages = language_pair(pair)
    if oracle == "java" and not has_jdk():
        raise BenchmarkError("javac and java were not found; install a JDK (Debian: default-jdk-headless) or build with --oracle python.")
    if inputs == "strong":
        if oracle == "python":
            raise BenchmarkError("--inputs strong takes Java's results for new inputs; leave out --oracle python.")
        config = replace(config or MutantsConfig(), language_pair=pair)
        languages.target(config)
        choose_tier(config.allow_unsafe_execution)
    _check_output(output, languages)
    pairs, other_files = gold_pairs(source)
    entries = [_read(name, *paths, selection) for name, paths in pairs.items()]
    _leave_out_doubles(entries)
    usable = [entry for entry in entries if not entry.reason]
    log.info("%d samples, %d of them usable; running both languages", len(entries), len(usable))
    in_java = _run_java(usable)
    in_python = _run_python(usable)
    for entry, java, python in zip(usable, in_java, in_python, strict=True):
        _expect(entry, java if oracle == "java" else python, oracle, compares_arguments=oracle == "java" and selection == "all")
        _compare(entry, java, python)
    if all(entry.reason for entry in entries):
        raise BenchmarkError(f"None of the {len(entries)} samples in {source} can be kept; the first is {entries[0].name}: {entries[0].reason}.")
    new_inputs = _strengthen(entries, config) if config and inputs == "strong" else None
    rows = _rows(entries, languages, exact=oracle == "python")
    report = build_report(entries, oracle) | {"other_files": other_files, "language_pair": pair, "reference": _reference(rows, languages, config)}
    _write(entries, rows, report, output, languages)
    if new_inputs:
        write_json(output / NEW_INPUTS_FILE, new_inputs)
    else:
        (output / NEW_INPUTS_FILE).unlink(missing_ok=True)
    return report


def _strengthen(entries: list[Entry], config: MutantsConfig) -> dict[str, Any]:
    """Give the kept entries more inputs; what new_inputs.json says of them."""
    kept = {entry.name: entry for entry in entries if entry.gold and not entry.reason}
    subjects = [
        Subject(name, java_function(entry.gold.java), compilation_unit(entry.gold.java), GOLD_NAME, entry.gold.signature, entry.calls,
                _gold(entry, config.language_pair), config.language_pair)
        for name, entry in kept.items() if entry.gold
    ]  # fmt: skip
    found, scores = stronger_inputs(subjects, config)
    for name, new in found.items():
        kept[name].new = new.calls
    return new_inputs_report(found, scores, config)


def _read(name: str, java_path: Path | None, python_path: Path | None, selection: Selection) -> Entry:
    entry = Entry(name)
    try:
        if not NAME.fullmatch(name):
            raise Unusable("its name is no plain file name; use letters, digits, '_', '-' and '.'")
        entry.gold = _read_gold(name, java_path, python_path, selection)
        entry.notes += entry.gold.notes
        for number, row in enumerate(entry.gold.rows, 1):
            try:
                entry.inputs[number] = _fitted(row, entry.gold.signature.param_types)
            except Unusable as error:
                entry.left_out[number] = str(error)
        if not entry.inputs:
            raise Unusable(f"none of its inputs fits the Java function; the first: {entry.left_out[1]}")
    except Unusable as error:
        entry.reason = str(error)
    return entry


def _read_gold(name: str, java_path: Path | None, python_path: Path | None, selection: Selection) -> GoldSample:
    """The sample with the inputs of its Python file, or where that has none that serve, with those of its Java's ``main``.

    Raises:
        Unusable: if neither has inputs that can be read.
    """
    gold = None
    try:
        gold = read_gold(name, java_path, python_path)
        if not gold.notes and any(_fits(row, gold.signature.param_types) for row in gold.rows):
            return gold
        reason = gold.notes[0].partition(";")[0] if gold.notes else "none of its Python's inputs fits the Java function"
    except Unusable as error:
        reason = str(error)
    if selection == "original" or java_path is None:
        if gold is None:
            raise Unusable(reason)
        return gold
    java = file_text(java_path)
    signature = java_signature(java)
    try:
        rows = java_inputs(java, len(signature.param_types))
        python = file_text(python_path) if python_path else ""
    except Unusable as error:
        if gold is None:
            raise Unusable(f"{reason}; {error}") from error
        return gold
    return GoldSample(name, java, signature, python, rows, [f"the inputs are those of its Java's main: {reason}"], "java")


def _fits(row: list[Any] | Unusable, types: Sequence[str]) -> bool:
    try:
        _fitted(row, types)
    except Unusable:
        return False
    return True


def _fitted(row: list[Any] | Unusable, types: Sequence[str]) -> list[Any]:
    if isinstance(row, Unusable):
        raise row
    if len(row) != len(types):
        raise Unusable(f"{len(row)} arguments for {len(types)} parameters")
    return [converted(kind, value) for kind, value in zip(types, row, strict=True)]


def _leave_out_doubles(entries: list[Entry]) -> None:
    """Of names that differ only by case, the first usable one stays: on many systems their files would be one."""
    seen: dict[str, str] = {}
    for entry in entries:
        if not entry.reason and seen.setdefault(entry.name.casefold(), entry.name) != entry.name:
            entry.reason = f"its name differs from {seen[entry.name.casefold()]} by case only; their files would overwrite each other"


def _run_java(entries: list[Entry]) -> list[Answers]:
    if not has_jdk():
        return [Answers(problem=NO_JDK)] * len(entries)
    return java_results([
        JavaMethod(compilation_unit(entry.gold.java), entry.gold.signature.class_name, GOLD_NAME, list(entry.inputs.values()))
        for entry in entries if entry.gold
    ])  # fmt: skip


def _run_python(entries: list[Entry]) -> list[Answers]:
    with_python = [entry for entry in entries if entry.gold and entry.gold.python]
    found = dict(zip((entry.name for entry in with_python), python_results(list(map(_python_function, with_python))), strict=True))
    return [found.get(entry.name, Answers(problem="there is no Python function")) for entry in entries]


def _python_function(entry: Entry) -> PythonFunction:
    assert entry.gold
    rows = [row for number, row in enumerate(entry.gold.rows, 1) if number in entry.inputs and not isinstance(row, Unusable)]
    return PythonFunction(entry.gold.python, GOLD_NAME, rows)


def _compare(entry: Entry, java: Answers, python: Answers) -> None:
    """Note on which inputs the two languages disagree."""
    assert entry.gold
    if java.problem or python.problem:
        entry.notes += [f"not compared: {problem}" for problem in (java.problem, python.problem) if problem not in ("", NO_JDK, entry.reason)]
        return
    kind = entry.gold.signature.return_type
    for number, in_java, in_python in zip(entry.inputs, java.answers, python.answers, strict=True):
        entry.right_fails |= _right_fails(kind, in_java, in_python)
        if not (in_java.failure and in_python.failure) and not _same(kind, in_java, in_python):
            entry.disagreements.append({
                "input": number, "arguments": shown(entry, number), "java": answer_text(in_java), "python": answer_text(in_python),
                "kind": _kind(kind, in_java, in_python),
            })  # fmt: skip
    entry.agreement = "disagree" if entry.disagreements else "agree"


def _same(kind: str, java: Answer, python: Answer) -> bool:
    if java.failure or python.failure:
        return False
    if kind == "void":
        return python.value is None
    try:
        return _close(java.value, converted(kind, python.value))
    except Unusable:
        return java.value == python.value


def _right_fails(kind: str, java: Answer, python: Answer) -> bool:
    """Whether what Java gives fails a test that expects what Python gives; the Python oracle drops a result that has no such test."""
    try:
        return kind != "void" and not python.failure and (bool(java.failure) or java.value != _exactly(kind, python.value))
    except Unusable:
        return False


def _exactly(kind: str, value: Any) -> Any:
    """A result of Python as the faithful build expects it.

    Raises:
        Unusable: if it does not fit the type, or is not a number, which equals nothing in an exact comparison.
    """
    result = converted(kind, value)
    if _holds_nan(result):
        raise Unusable("the result is not a number, which equals nothing in an exact comparison")
    return result


def _holds_nan(value: Any) -> bool:
    return any(map(_holds_nan, value)) if isinstance(value, list) else value != value


def _close(java: Any, python: Any) -> bool:
    if isinstance(java, list):
        return len(java) == len(python) and all(map(_close, java, python))
    if isinstance(java, float) and math.isfinite(java):
        return abs(java - python) <= TOLERANCE * abs(java)
    return java == python or (java != java and python != python)


def _kind(kind: str, java: Answer, python: Answer) -> str:
    """Why the languages disagree, as far as it shows: the width of integers, division of integers, or something else."""
    if kind in INTEGER_BITS and not java.failure:
        if type(python.value) is int and (python.value - java.value) % (1 << INTEGER_BITS[kind]) == 0:
            return "wrap-around"
        if type(python.value) is float and math.isfinite(python.value) and int(python.value) == java.value:
            return "lost fraction"
    return "other"


def _expect(entry: Entry, answers: Answers, oracle: Oracle, compares_arguments: bool) -> None:
    """Take the oracle's answers as the expected results, or leave the sample or the input out."""
    assert entry.gold
    signature = entry.gold.signature
    entry.reason = answers.problem
    if signature.return_type == "void" and not compares_arguments:
        entry.reason = "it returns void, and arguments are not compared"
        return
    for number, answer in zip(entry.inputs, answers.answers, strict=False):
        try:
            if answer.failure:
                raise Unusable(f"{oracle.capitalize()} {answer.failure}")
            fitted = _exactly if oracle == "python" else converted
            result = None if signature.return_type == "void" else fitted(signature.return_type, answer.value)
            if compares_arguments:
                entry.after[number] = arguments_after(signature, answer)
            entry.expected[number] = result
        except Unusable as error:
            entry.left_out[number] = str(error) if answer.failure else f"the result of {oracle.capitalize()}: {error}"
    if not entry.expected and not entry.reason:
        first = next(iter(entry.inputs))
        entry.reason = f"no input with a usable result; the first: {entry.left_out[first]}"
    if signature.return_type == "void" and not entry.reason and not compared_arguments(entry.calls):
        entry.reason = "it returns void and changes no argument"


def _check_output(output: Path, languages: LanguagePair) -> None:
    """See that only an earlier build's files would be replaced."""
    if output.exists() and not output.is_dir():
        raise BenchmarkError(f"{output} is a file; name a folder as --output_path.")
    if (output / REPORT_FILE).exists():
        return
    for folder, suffix in ((ORIGINALS, ".java"), (languages.tests_column, languages.suffix)):
        if found := sorted((output / folder).glob(f"*{suffix}")):
            raise BenchmarkError(f"{found[0]} is there, but no {REPORT_FILE} of a build; name an empty folder as --output_path.")


def _gold(entry: Entry, pair: LanguagePairName) -> str:
    """The set's own translation of a sample, under the name that tests call; "" where there is none."""
    languages = language_pair(pair)
    if not languages.gold_column or not entry.gold or not entry.gold.python:
        return ""
    return languages.rename(entry.gold.python.partition(PYTHON_MARKER)[0], GOLD_NAME, FUNCTION_NAME).strip() + "\n"


def _rows(entries: list[Entry], languages: LanguagePair, exact: bool) -> list[dict[str, str]]:
    """The rows of kecode.csv, with all columns that there can be."""
    rows = []
    for entry in entries:
        if entry.reason or not entry.gold:
            continue
        signature, calls, compared = entry.gold.signature, entry.calls + entry.new, compared_arguments(entry.calls)
        row = dict(zip(SOURCE_COLUMNS, (entry.name, java_function(entry.gold.java)), strict=True))
        of_results = "" if signature.return_type == "void" else render_calls(signature, calls, languages.name, exact=exact)
        of_arguments = render_calls(signature, calls, languages.name, compared, exact) if compared else ""
        row |= {languages.tests_column: of_results, languages.arguments_column: of_arguments}
        rows.append(row | ({languages.gold_column: _gold(entry, languages.name)} if languages.gold_column else {}))
    return rows


def _reference(rows: list[dict[str, str]], languages: LanguagePair, config: MutantsConfig | None) -> dict[str, Any]:
    """Which samples the reference's translations solve; nothing of that where they cannot be judged."""
    not_tried: dict[str, Any] = {"solved": None, "not_solved": []}
    if config is None:
        return not_tried | {"not_tried": "the builder was not told how to judge"}
    samples = [sample_of(row, languages) for row in rows]
    config = replace(config, language_pair=languages.name, run_limit=UnitTestConfig.run_limit, fast_judge=True)
    with tempfile.TemporaryDirectory(prefix="kecode_reference_") as folder:
        translations = Path(folder, "translations")
        try:
            write_translations(reference_translations(samples, pair=languages.name), translations, pair=languages.name)
            results = run_unit_tests(translations, samples, Path(folder), config)
        except UserError as error:
            return not_tried | {"not_tried": str(error)}
    failed = [result for result in results if not result.success]
    not_solved = [{"id": one.name, "error": one.error, "message": one.description.strip().partition("\n")[0]} for one in failed]
    return {"solved": len(results) - len(failed), "not_solved": not_solved}


def _write(entries: list[Entry], rows: list[dict[str, str]], report: dict[str, Any], output: Path, languages: LanguagePair) -> None:
    write_json(output / REPORT_FILE, report)
    write_text(output / SUMMARY_FILE, summary(report))
    java = {entry.name: entry.gold.java for entry in entries if entry.gold}
    for row in rows:
        name = row["id"]
        write_text(output / ORIGINALS / f"{name}.java", java[name])
        write_text(languages.file(output / languages.tests_column, name), row[languages.arguments_column] or row[languages.tests_column])
        if gold := row.get(languages.gold_column):
            write_text(languages.file(output / ORIGINALS, name), gold)
    names = {row["id"] for row in rows}
    for path in [*(output / ORIGINALS).iterdir(), *(output / languages.tests_column).glob(f"*{languages.suffix}")]:
        if path.stem not in names:  # of an earlier build from other sources
            path.unlink()
    columns = [*SOURCE_COLUMNS, languages.tests_column, languages.arguments_column, *[languages.gold_column] * bool(languages.gold_column)]
    if not report["samples_with_arguments"]:
        columns.remove(languages.arguments_column)
    write_csv(output / CSV_FILE, columns, [{column: row[column] for column in columns} for row in rows])


def main() -> None:
    """Command line: ``python -m d_running.build_kecode --source DIR --output_path OUT``."""
    parser = ArgumentParser(prog="python -m d_running.build_kecode", description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="the unpacked set: a folder with java/ID.java and python/ID.py")
    parser.add_argument(
        "--output_path", type=Path, required=True, help="folder for originals/, d_with_params/, kecode.csv, report.json and summary.txt"
    )
    parser.add_argument("--language_pair", choices=get_args(LanguagePairName), default=JAVA_D, help=f"{LANGUAGE_PAIR_HELP} (%(default)s)")
    parser.add_argument("--oracle", choices=("java", "python"), default="java", help="whose results are expected (%(default)s)")
    parser.add_argument(
        "--selection", choices=get_args(Selection), default="all",
        help="original: only samples whose Python file lists inputs, and results alone are compared; all: where it does not, the inputs of the "
        "Java file's main, and arguments that Java changes are compared after the call too (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--inputs", choices=get_args(Inputs), default="original",
        help=f"strong: generated inputs too, where they kill mutants that the set's own let pass; {NEW_INPUTS_FILE} lists them (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--cache_dir", type=Path, default=MutantsConfig.cache_dir, help="where verdicts on mutants are kept (%(default)s)")
    parser.add_argument("--jobs", type=int, help="mutants judged at a time; by default one per processor")
    arguments = parser.parse_args()
    config = MutantsConfig(cache_dir=arguments.cache_dir, jobs=arguments.jobs, mutants_per_sample=0)  # the more mistakes, the stronger the inputs
    pair = arguments.language_pair
    report = build(arguments.source, arguments.output_path, arguments.oracle, arguments.inputs, config, arguments.selection, pair)
    sys.stdout.write(summary(report))


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
