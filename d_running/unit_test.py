"""Judging translations: each is compiled with its unit tests and run, in parallel, and never twice."""

import argparse
import hashlib
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from d_running.compiler import Compiler, find_compiler
from d_running.dataset import Sample, load_samples
from d_running.execution import ErrorKind, Judge, Verdict
from d_running.harness import harness_version, plain_program
from d_running.sandbox import Tier, choose_tier
from util.errors import BenchmarkError
from util.files import read_json, write_json

RESULTS_FILE = "results.json"
RESULTS_INFO_FILE = "results_info.json"
TRANSLATION_SUFFIX = ".d"
COMPILE_LIMIT, RUN_LIMIT = 30, 15
CACHE_DIR = Path("runs/cache")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """The verdict on one translation, as results.json keeps it.

    Attributes:
        path: "ID.d".
        success: whether every test passed.
        error: what kind of failure, "No" for none.
        description: the compiler's or the program's own words.
        correct, total: tests passed and tests run; both 0 where nothing could run.
    """

    path: str
    success: bool
    error: ErrorKind
    description: str
    correct: int
    total: int

    @property
    def name(self) -> str:
        """The sample's ID."""
        return self.path.removesuffix(TRANSLATION_SUFFIX)


def run_unit_tests(
    translations: Path,
    samples: list[Sample],
    output: Path,
    *,
    cache_dir: Path,
    jobs: int | None = None,
    compile_limit: int = COMPILE_LIMIT,
    run_limit: int = RUN_LIMIT,
    allow_unsafe_execution: bool = False,
    invalidate_cache: bool = False,
) -> list[Result]:
    """Judge the translation ID.d of every sample and write results.json and results_info.json.

    Args:
        translations: folder of ID.d files, each a D function ``f_filled``. A sample without a file fails with "Exception".
        samples: what to judge.
        output: folder for the two files.
        cache_dir: where verdicts are kept, by what was compiled and with what; all runs may share it.
        jobs: how many are judged at a time, by default one per processor.
        compile_limit, run_limit: seconds of processor time.
        allow_unsafe_execution: run translations even where nothing but resource limits contains them.
        invalidate_cache: judge everything anew.

    Returns:
        One result per sample, sorted by name.

    Raises:
        BenchmarkError: if the folder does not exist or holds no translation of these samples.
        UserError: if there is no compiler or no containment.
    """
    compiler, tier = find_compiler(), choose_tier(allow_unsafe_execution)
    functions = read_translations(Path(translations), samples)
    salt = [compiler.version, compiler.front_end, compiler.flags, tier, compile_limit, run_limit, harness_version()]
    programs = {sample.name: (sample.test_program, functions[sample.name]) for sample in samples if sample.name in functions}
    keys = {name: _digest([*salt, plain_program(*program)]) for name, program in programs.items()}
    verdicts = {} if invalidate_cache else {key: known for key in keys.values() if (known := _known(_cache_file(cache_dir, key)))}
    to_judge = {key: programs[name] for name, key in keys.items() if key not in verdicts}
    if to_judge:
        jobs = jobs or os.cpu_count() or 1
        for key, verdict in _judge_all(Judge(compiler, tier, jobs, compile_limit, run_limit), to_judge, jobs):
            verdicts[key] = verdict
            if verdict.is_final:
                write_json(_cache_file(cache_dir, key), asdict(verdict))
    missing = Verdict("Exception", "Error: there is no translation of this sample")
    results = [_result(sample.name, verdicts[keys[sample.name]] if sample.name in keys else missing) for sample in samples]
    results.sort(key=lambda result: result.name)
    write_json(Path(output) / RESULTS_FILE, [asdict(result) for result in results])
    write_json(Path(output) / RESULTS_INFO_FILE, _info(compiler, tier, results))
    log.info("%d of %d translations pass; %d programs were judged, the others known.", _passed(results), len(results), len(to_judge))
    return results


def read_translations(folder: Path, samples: list[Sample]) -> dict[str, str]:
    """The text of ID.d for every sample that has one; bytes that are not UTF-8 survive as surrogates.

    Raises:
        BenchmarkError: if the folder does not exist or none of its files belongs to a sample.
    """
    if not folder.is_dir():
        raise BenchmarkError(f"The folder of translations {folder} does not exist; translate first or name another folder.")
    paths = {path.stem: path for path in folder.iterdir() if path.suffix == TRANSLATION_SUFFIX}
    found = {sample.name: paths.pop(sample.name) for sample in samples if sample.name in paths}
    if not found:
        raise BenchmarkError(f"None of the {len(paths)} .d files in {folder} is named after one of the {len(samples)} samples.")
    if paths:
        log.warning("%d files in %s belong to no sample and are left out, first %s.d.", len(paths), folder, min(paths))
    return {name: path.read_bytes().decode("utf-8", "surrogateescape") for name, path in found.items()}


def _judge_all(judge: Judge, programs: dict[str, tuple[str, str]], jobs: int) -> Iterator[tuple[str, Verdict]]:
    """Judge (test program, function) pairs in parallel; each key comes with its verdict as soon as it is there."""
    with judge, ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(judge.judge, *program): key for key, program in programs.items()}
        try:
            for future in tqdm(as_completed(futures), "Compiling and running", len(futures), disable=None):
                try:
                    yield futures[future], future.result()
                except (OSError, RuntimeError) as error:
                    yield futures[future], Verdict("Exception", f"Error: {error}", is_final=False)
        finally:
            pool.shutdown(cancel_futures=True)


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _cache_file(cache_dir: Path, key: str) -> Path:
    return Path(cache_dir) / "verdicts" / key[:2] / f"{key}.json"


def _known(file: Path) -> Verdict | None:
    return Verdict(**read_json(file, "the cached verdict")) if file.exists() else None


def _result(name: str, verdict: Verdict) -> Result:
    path = name + TRANSLATION_SUFFIX
    return Result(path, verdict.error == "No", verdict.error, verdict.description, verdict.correct, verdict.total)


def _passed(results: list[Result]) -> int:
    return sum(result.success for result in results)


def _info(compiler: Compiler, tier: Tier, results: list[Result]) -> dict[str, Any]:
    """What must be equal for two runs to be compared, and the counts."""
    counts = Counter(result.error for result in results)
    return {
        "compiler": compiler.version,
        "front_end": compiler.front_end,
        "sandbox": tier,
        "samples": len(results),
        "passed": _passed(results),
        "errors": {kind: counts[kind] for kind in get_args(ErrorKind)},
    }


def read_results(path: Path) -> list[Result]:
    """The results of a results.json, or of a folder that holds one, sorted by name.

    Raises:
        BenchmarkError: if an entry is not a result or a sample comes twice.
    """
    path = Path(path)
    path = path / RESULTS_FILE if path.is_dir() else path
    try:
        results = [Result(**entry) for entry in read_json(path, "the results")]
    except TypeError as error:
        raise BenchmarkError(f"{path} is not a list of results ({error}); run the unit tests again.") from error
    if len({result.path for result in results}) != len(results):
        raise BenchmarkError(f"{path} names a sample twice; run the unit tests again.")
    return sorted(results, key=lambda result: result.name)


def main() -> None:
    """Command line: ``python -m d_running.unit_test TRANSLATIONS --originals_path … --d_params_path … --output_path …``."""
    parser = argparse.ArgumentParser(prog="python -m d_running.unit_test", description=__doc__)
    parser.add_argument("translations", type=Path, help="folder of ID.d files, each the D function f_filled")
    parser.add_argument("--originals_path", type=Path, required=True, help="folder of ID.java files, or a kecode.csv")
    parser.add_argument("--d_params_path", type=Path, help="folder of ID.d test programs; not needed with a kecode.csv")
    parser.add_argument("--output_path", type=Path, required=True, help="folder for results.json and results_info.json")
    parser.add_argument("--cache_dir", type=Path, default=CACHE_DIR, help="where verdicts are kept between runs (%(default)s)")
    parser.add_argument("--jobs", type=int, help="how many to judge at a time (one per processor)")
    parser.add_argument("--compile_limit", type=int, default=COMPILE_LIMIT, help="seconds of processor time (%(default)s)")
    parser.add_argument("--run_limit", type=int, default=RUN_LIMIT, help="seconds of processor time (%(default)s)")
    parser.add_argument("--allow_unsafe_execution", action="store_true", help="run even where nothing can contain the programs")
    parser.add_argument("--invalidate_cache", action="store_true", help="judge everything anew")
    arguments = parser.parse_args()
    results = run_unit_tests(
        arguments.translations,
        load_samples(arguments.originals_path, arguments.d_params_path),
        arguments.output_path,
        cache_dir=arguments.cache_dir,
        jobs=arguments.jobs,
        compile_limit=arguments.compile_limit,
        run_limit=arguments.run_limit,
        allow_unsafe_execution=arguments.allow_unsafe_execution,
        invalidate_cache=arguments.invalidate_cache,
    )
    for kind, count in Counter(result.error for result in results).most_common():
        sys.stdout.write(f"{kind:16}{count:6}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
