"""The samples of KECode: a Java function and the test program, in the target language, that judges its translation."""

import csv
import logging
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from d_running.language_pairs import JAVA_D, LanguagePair, LanguagePairName, language_pair
from util.errors import BenchmarkError

JAVA_MARKER = "//TOFILL"
_CLASS_HEADER = re.compile(r"\bclass\s+\w+[^{;]*\{")
NAME = re.compile(r"[\w-][\w.-]*")
SOURCE_COLUMNS = ("id", "function_java")
"""Of every kecode.csv; the others are the language pair's."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """One function to translate.

    Attributes:
        name: its ID, which is also the stem of its files.
        java: the Java function alone, as the benchmark writes it.
        test_program: the program with the marker where the translated function goes (see `language_pairs.LanguagePair`).
        gold: a right translation that the set has itself; else "".
        problem: why it cannot be judged, such as a test program without its marker; else "". It is not translated, and fails.
    """

    name: str
    java: str
    test_program: str
    problem: str = ""
    gold: str = ""


def load_samples(originals_path: Path, d_params_path: Path | None = None, pair: LanguagePairName = JAVA_D) -> list[Sample]:
    """Read all samples, sorted by name. One that cannot be judged is among them, with its `Sample.problem`, and is named in the log.

    Args:
        originals_path: a folder of ID.java, or a kecode.csv that holds both sides: ``id,function_java`` and the pair's column of test
            programs, such as ``d_with_params``; where one is in its ``arguments_column``, such as ``d_with_arguments``, that is taken.
        d_params_path: the folder of ID.d (or of the pair's suffix); not needed with a CSV.
        pair: the name of the language pair.

    Raises:
        BenchmarkError: if a folder or file is missing, a name comes twice or is none, or no sample can be judged.
    """
    originals_path, languages = Path(originals_path), language_pair(pair)
    if originals_path.suffix.lower() == ".csv":
        samples = _from_csv(originals_path, languages)
    elif d_params_path is None:
        raise BenchmarkError(f"{originals_path} is not a kecode.csv, so the folder of test programs is needed too: give --d_params_path.")
    else:
        samples = _from_folders(originals_path, Path(d_params_path), languages)
    _check_names(samples, originals_path)
    samples = sorted((_checked(sample, languages) for sample in samples), key=lambda sample: sample.name)
    broken = [sample for sample in samples if sample.problem]
    if len(broken) == len(samples):
        raise BenchmarkError(f"None of the {len(samples)} samples in {originals_path} can be judged; the first: {broken[0].problem}")
    for sample in broken:
        log.warning("A sample cannot be judged and fails: %s", sample.problem)
    return samples


def load_functions(originals_path: Path) -> list[Sample]:
    """The Java functions alone, sorted by name; their test programs are empty, and not needed.

    Raises:
        BenchmarkError: if the folder or CSV is missing or holds no function, or a name comes twice or is none.
    """
    path = Path(originals_path)
    if path.suffix.lower() == ".csv":
        samples = [replace(sample, test_program="") for sample in _from_csv(path)]
    else:
        samples = [_from_files(name, file) for name, file in _files(path, ".java").items()]
        if not samples:
            raise BenchmarkError(f"The folder {path} holds no ID.java; name a folder of Java functions.")
    _check_names(samples, path)
    for sample in samples:
        if sample.problem:
            log.warning("A sample is left out: %s", sample.problem)
    return sorted(samples, key=lambda sample: sample.name)


def _check_names(samples: Sequence[Sample], path: Path) -> None:
    """See that each name, which becomes that of a file, is one.

    Raises:
        BenchmarkError: for the first that is not.
    """
    for sample in samples:
        if not NAME.fullmatch(sample.name):
            raise BenchmarkError(f"The sample name {sample.name!r} in {path} is no file name; use letters, digits, '_', '-' and '.'.")


def _checked(sample: Sample, languages: LanguagePair) -> Sample:
    """The sample with its problem, if it has one."""
    if sample.problem:
        return sample
    try:
        if not sample.java:
            raise BenchmarkError(f"The sample {sample.name} has no Java function; add it or leave the sample out.")
        languages.check_test_program(sample.name, sample.test_program)
    except BenchmarkError as error:
        return replace(sample, problem=str(error))
    return sample


def _from_folders(originals: Path, tests: Path, languages: LanguagePair) -> list[Sample]:
    java, programs = _files(originals, ".java"), _files(tests, languages.suffix)
    if not java.keys() & programs.keys():
        raise BenchmarkError(
            f"No ID.java in {originals} has its ID{languages.suffix} in {tests}; found {len(java)} and {len(programs)} files."
        )
    gold = _files(originals, languages.suffix) if languages.gold_column else {}
    return [
        _from_files(name, java[name], programs[name], gold.get(name)) if name in java.keys() & programs.keys() else _half(name, java, languages)
        for name in java.keys() | programs.keys()
    ]


def _half(name: str, java: dict[str, Path], languages: LanguagePair) -> Sample:
    files = [f"{name}.java", f"{name}{languages.suffix}"]
    have, lack = files if name in java else files[::-1]
    return Sample(name, "", "", f"The sample {name} has {have} and no {lack}; add that file or remove the other.")


def _from_files(name: str, java: Path, program: Path | None = None, gold: Path | None = None) -> Sample:
    try:
        texts = [path.read_text(encoding="utf-8") if path else "" for path in (java, program, gold)]
    except (OSError, UnicodeDecodeError) as error:
        return Sample(name, "", "", f"The files of the sample {name} cannot be read: {error}.")
    return Sample(name, java_function(texts[0]), texts[1], gold=texts[2])


def _files(folder: Path, suffix: str) -> dict[str, Path]:
    if folder.is_file():
        raise BenchmarkError(f"{folder} is a file, and no .csv; give a kecode.csv, or the folder that holds the ID{suffix} files.")
    if not folder.is_dir():
        raise BenchmarkError(f"The benchmark folder {folder} does not exist; give the folder that holds the ID{suffix} files.")
    return {path.stem: path for path in folder.iterdir() if path.suffix == suffix}


def _from_csv(path: Path, languages: LanguagePair | None = None) -> list[Sample]:
    """The samples of a CSV; without a language pair the functions alone."""
    columns = [*SOURCE_COLUMNS, *([languages.tests_column] if languages else [])]
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                has = ", ".join(reader.fieldnames or [])
                hint = ", or another --language_pair" if languages else ""
                raise BenchmarkError(f"{path} has no column {missing[0]} but {has}; it needs {', '.join(columns)}{hint}.")
            rows = list(reader)
    except OSError as error:
        raise BenchmarkError(f"Cannot read the samples {path}: {error.strerror}; give a kecode.csv, or a folder of functions.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchmarkError(f"The samples {path} are no CSV in UTF-8 ({error}); give a kecode.csv, or a folder of functions.") from error
    if not rows:
        raise BenchmarkError(f"{path} has a header and no samples; give a kecode.csv with functions.")
    name, count = Counter(row["id"] for row in rows).most_common(1)[0]
    if count > 1:
        raise BenchmarkError(f"{path} has {count} samples named {name}; every sample needs an id of its own.")
    return [sample_of({name: value or "" for name, value in row.items()}, languages) for row in rows]


def sample_of(row: dict[str, str], languages: LanguagePair | None) -> Sample:
    """The sample in a row of a kecode.csv; without a language pair its function alone."""
    name, java = (row[column] for column in SOURCE_COLUMNS)
    if languages is None:
        return Sample(name, java_function(java), "")
    program = row.get(languages.arguments_column) or row[languages.tests_column]
    return Sample(name, java_function(java), program, gold=row.get(languages.gold_column, ""))


def java_function(source: str) -> str:
    """The function of a benchmark file: what stands between the class header and ``//TOFILL``, else the whole text."""
    body, marker, _ = source.partition(JAVA_MARKER)
    header = _CLASS_HEADER.search(body) if marker else None
    return textwrap.dedent(body[header.end() if header else 0 :].strip("\n")).strip()
