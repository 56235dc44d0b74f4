"""The samples of KECode: a Java function and the D test program that judges its translation."""

import csv
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from d_running.harness import check_test_program
from util.errors import BenchmarkError

_JAVA_MARKER = "//TOFILL"
_CLASS_HEADER = re.compile(r"\bclass\s+\w+[^{;]*\{")
_NAME = re.compile(r"[\w-][\w.-]*")
_CSV_COLUMNS = ("id", "function_java", "d_with_params")


@dataclass(frozen=True)
class Sample:
    """One function to translate.

    Attributes:
        name: its ID, which is also the stem of its files.
        java: the Java function alone, as the benchmark writes it.
        test_program: the D program with the marker where the translated function goes (see `harness`).
    """

    name: str
    java: str
    test_program: str


def load_samples(originals_path: Path, d_params_path: Path | None = None) -> list[Sample]:
    """Read all samples, sorted by name.

    Args:
        originals_path: a folder of ID.java, or a kecode.csv (``id,function_java,d_with_params``) that holds both sides.
        d_params_path: the folder of ID.d; not needed with a CSV.

    Raises:
        BenchmarkError: if a folder or file is missing, nothing matches, a name comes twice or a test program is not one.
    """
    originals_path = Path(originals_path)
    if originals_path.suffix.lower() == ".csv":
        samples = _from_csv(originals_path)
    elif d_params_path is None:
        raise BenchmarkError(f"{originals_path} is not a kecode.csv, so the folder of D test programs is needed too: give --d_params_path.")
    else:
        samples = _from_folders(originals_path, Path(d_params_path))
    for sample in samples:
        if not _NAME.fullmatch(sample.name):
            raise BenchmarkError(f"The sample name {sample.name!r} in {originals_path} is no file name; use letters, digits, '_', '-' and '.'.")
        if not sample.java:
            raise BenchmarkError(f"The sample {sample.name} in {originals_path} has no Java function; add it or leave the sample out.")
        check_test_program(sample.name, sample.test_program)
    return sorted(samples, key=lambda sample: sample.name)


def _from_folders(originals: Path, d_params: Path) -> list[Sample]:
    java, d = _files(originals, ".java"), _files(d_params, ".d")
    alone = sorted(java.keys() ^ d.keys())
    if not java.keys() & d.keys():
        raise BenchmarkError(f"No ID.java in {originals} has its ID.d in {d_params}; found {len(java)} and {len(d)} files.")
    if alone:
        raise BenchmarkError(f"{len(alone)} samples have only one of ID.java and ID.d, first {alone[0]}; add the other file or remove it.")
    return [Sample(name, java_function(_text(java[name])), _text(d[name])) for name in java]


def _files(folder: Path, suffix: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise BenchmarkError(f"The benchmark folder {folder} does not exist; give the folder that holds the ID{suffix} files.")
    return {path.stem: path for path in folder.iterdir() if path.suffix == suffix}


def _from_csv(path: Path) -> list[Sample]:
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [column for column in _CSV_COLUMNS if column not in (reader.fieldnames or [])]
            if missing:
                raise BenchmarkError(f"{path} has no column {missing[0]}; it needs {', '.join(_CSV_COLUMNS)}.")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchmarkError(f"Cannot read the samples {path}: {error}.") from error
    samples = {row["id"]: Sample(row["id"], java_function(row["function_java"] or ""), row["d_with_params"] or "") for row in rows}
    if not rows:
        raise BenchmarkError(f"{path} has a header and no samples; give a kecode.csv with functions.")
    if len(samples) != len(rows):
        raise BenchmarkError(f"{path} has {len(rows)} rows with {len(samples)} different ids; every sample needs an id of its own.")
    return list(samples.values())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"Cannot read {path}: {error}.") from error


def java_function(source: str) -> str:
    """The function of a benchmark file: what stands between the class header and ``//TOFILL``, else the whole text."""
    body, marker, _ = source.partition(_JAVA_MARKER)
    header = _CLASS_HEADER.search(body) if marker else None
    return textwrap.dedent(body[header.end() if header else 0 :].strip("\n")).strip()
