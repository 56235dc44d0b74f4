"""Judging translations: each is compiled with its unit tests and run, in parallel, and never twice."""

import hashlib
import json
import logging
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from d_running.config import UnitTestConfig
from d_running.dataset import Sample, load_samples
from d_running.execution import ErrorKind, Verdict
from d_running.language_pairs import JAVA_D, Judging, Target, language_pair
from d_running.sandbox import Tier, Trouble, choose_tier
from util.cli import ArgumentParser
from util.errors import BenchmarkError, UserError
from util.files import read_json, write_json
from util.flags import add_flags
from util.processors import processors
from util.progress import Progress

RESULTS_FILE = "results.json"
RESULTS_INFO_FILE = "results_info.json"
BATCH = 64
"""Programs that the fast mode compiles together; more would hardly be faster, and one endless compilation stops all of them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """The verdict on one translation, as results.json keeps it.

    Attributes:
        path: the translation's file, such as "ID.d".
        success: whether every test passed.
        error: what kind of failure, "No" for none; "NotJudged" where the judge had trouble (see `Verdict`).
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
        return self.path.rpartition(".")[0]


def run_unit_tests(translations: Path, samples: list[Sample], output: Path, config: UnitTestConfig) -> list[Result]:
    """Judge the translation ID.d of every sample and write results.json and results_info.json.

    Args:
        translations: folder of ID.d files (or of the pair's suffix), each a function ``f_filled``. A sample without a file or with a problem
            fails with "Exception"; so does one whose test program is not of KECode's form, without ``plain_verdict``.
        samples: what to judge.
        output: folder for the two files.

    Returns:
        One result per sample, sorted by name.

    Raises:
        BenchmarkError: if the folder does not exist or holds no translation of these samples.
        UserError: if there is no compiler, no containment or no room. Also, when all others are judged, cached and written, if the judge
            had trouble with some (see `Verdict`), which says nothing about them.
    """
    languages = language_pair(config.language_pair)
    target, tier = languages.target(config), choose_tier(config.allow_unsafe_execution)
    functions = read_translations(Path(translations), samples, languages.suffix)
    limits = [config.compile_limit, config.run_limit]
    salt = [target.version, target.front_end, *target.decides, tier, *limits, config.plain_verdict]
    check = None if config.plain_verdict else languages.check_strict
    problems = {sample.name: problem for sample in samples if (problem := _problem(sample, functions, check))}
    programs = {sample.name: (sample.test_program, functions[sample.name]) for sample in samples if sample.name not in problems}
    keys = {name: _digest([*salt, languages.program(*program)]) for name, program in programs.items()}
    verdicts = {} if config.invalidate_cache else {key: known for key in keys.values() if (known := _known(_cache_file(config.cache_dir, key)))}
    to_judge = {key: programs[name] for name, key in keys.items() if key not in verdicts}
    if to_judge:
        jobs = config.jobs or processors()
        for key, verdict in _judge_all(target.judging(tier, jobs), to_judge, jobs, BATCH if config.fast_judge else 0):
            verdicts[key] = verdict
            if verdict.is_final:
                write_json(_cache_file(config.cache_dir, key), asdict(verdict))
    not_judged = {name: Verdict("Exception", f"Error: {problem}") for name, problem in problems.items()}
    verdict_on = {name: verdicts[key] for name, key in keys.items()} | not_judged
    results = [_result(sample.name + languages.suffix, verdict_on[sample.name]) for sample in samples]
    results.sort(key=lambda result: result.name)
    write_json(Path(output) / RESULTS_FILE, [asdict(result) for result in results])
    write_json(Path(output) / RESULTS_INFO_FILE, _info(target, tier, config, results))
    log.info("%d of %d translations pass; %d programs were judged, the others known.", _passed(results), len(results), len(to_judge))
    if left := [result for result in results if result.error == "NotJudged"]:
        first = left[0]
        raise UserError(
            f"{len(left)} of {len(results)} translations could not be judged, first {first.path} ({first.description}); "
            f"the others are kept, and when that is mended this judges only these again: {_retry_command()}"
        )
    return results


def _retry_command() -> str:
    return shlex.join(word for word in sys.orig_argv if word != "--invalidate_cache")


def _problem(sample: Sample, functions: dict[str, str], check_strict: Callable[[str], None] | None) -> str:
    """Why a sample cannot be judged; else ""."""
    if sample.problem or sample.name not in functions:
        return sample.problem or "there is no translation of this sample"
    try:
        if check_strict:
            check_strict(sample.test_program)
    except BenchmarkError as error:
        return f"the test program cannot be judged without --plain_verdict: {error}"
    return ""


def read_translations(folder: Path, samples: list[Sample], suffix: str = ".d") -> dict[str, str]:
    """The text of ID.d, or ID with another suffix, for every sample that has one; bytes that are not UTF-8 survive as surrogates.

    Raises:
        BenchmarkError: if the folder does not exist or none of its files belongs to a sample.
    """
    if not folder.is_dir():
        raise BenchmarkError(f"The folder of translations {folder} does not exist; translate first or name another folder.")
    paths = {path.stem: path for path in folder.iterdir() if path.suffix == suffix and path.is_file()}
    found = {sample.name: paths.pop(sample.name) for sample in samples if sample.name in paths}
    if not found:
        raise BenchmarkError(f"None of the {len(paths)} {suffix} files in {folder} is named after one of the {len(samples)} samples.")
    if paths:
        log.warning("%d files in %s belong to no sample and are left out, first %s%s.", len(paths), folder, min(paths), suffix)
    if missing := [sample.name for sample in samples if sample.name not in found]:
        log.warning("%d of %d samples have no translation in %s and fail, first %s.", len(missing), len(samples), folder, min(missing))
    return {name: path.read_bytes().decode("utf-8", "surrogateescape") for name, path in found.items()}


def _judge_all(judge: Judging, programs: dict[str, tuple[str, str]], jobs: int, batch: int) -> Iterator[tuple[str, Verdict]]:
    """Judge (test program, function) pairs in parallel; each key comes with its verdict as soon as it is there.

    With a ``batch`` size, programs are judged together in batches first, and alone where that gave no verdict. Where the judge had
    trouble, it tries once more when all others are done.
    """
    left = dict(programs)
    progress = Progress(desc="Compiling and running", total=len(programs))
    with judge, ThreadPoolExecutor(jobs) as pool, progress:
        try:
            keys = list(programs)
            batches = [{key: programs[key] for key in keys[start : start + batch]} for start in range(0, len(keys), batch)] if batch else []
            for batched in as_completed([pool.submit(_judge_together, judge, some) for some in batches]):
                for key, verdict in batched.result().items():
                    del left[key]
                    progress.update()
                    yield key, verdict
            futures = {pool.submit(_judge_alone, judge, *program): key for key, program in left.items()}
            for future in as_completed(futures):
                key, verdict = futures[future], future.result()
                if verdict.error != "NotJudged":
                    del left[key]
                    progress.update()
                    yield key, verdict
            for key, program in left.items():
                progress.update()
                yield key, _judge_alone(judge, *program)
        except BaseException:
            judge.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _judge_alone(judge: Judging, test_program: str, function: str) -> Verdict:
    """`Judging.judge`, or what kept it from that: one program must never end the run."""
    try:
        return judge.judge(test_program, function)
    except (Trouble, OSError) as error:
        return Verdict("NotJudged", f"Error: {error}", is_final=False)
    except Exception as error:
        log.exception("A translation could not be judged.")
        return Verdict("NotJudged", f"Error: {type(error).__name__}: {error}", is_final=False)


def _judge_together(judge: Judging, programs: dict[str, tuple[str, str]]) -> dict[str, Verdict]:
    """`Judging.judge_together`, without a verdict on any where that fails: they are then judged alone."""
    try:
        return judge.judge_together(programs)
    except Exception as error:
        log.warning("%d programs are judged one by one, because together it failed: %s", len(programs), error)
        return {}


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _cache_file(cache_dir: Path, key: str) -> Path:
    return Path(cache_dir) / "verdicts" / key[:2] / f"{key}.json"


def _known(file: Path) -> Verdict | None:
    """The verdict in ``file``; None if there is none, or the file is damaged."""
    try:
        verdict = Verdict(**read_json(file, "the cached verdict")) if file.exists() else None
        return verdict if verdict is None or _is_result(_result("", verdict)) else None
    except (UserError, TypeError):
        return None


def _result(path: str, verdict: Verdict) -> Result:
    return Result(path, verdict.error == "No", verdict.error, verdict.description, verdict.correct, verdict.total)


def _passed(results: list[Result]) -> int:
    return sum(result.success for result in results)


def _info(target: Target, tier: Tier, config: UnitTestConfig, results: list[Result]) -> dict[str, Any]:
    """What must be equal for two runs to be compared, and the counts."""
    counts = Counter(result.error for result in results)
    return {
        "language_pair": config.language_pair,
        "compiler": target.version,
        "front_end": target.front_end,
        "sandbox": tier,
        "strict_verdict": not config.plain_verdict,
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
    entries = read_json(path, "the results")
    try:
        results = [Result(**entry) for entry in entries]
    except TypeError as error:
        raise BenchmarkError(f"{path} is not a list of results ({error}); run the unit tests again.") from error
    if not results:
        raise BenchmarkError(f"{path} holds no result; run the unit tests again.")
    if wrong := [entry for entry, result in zip(entries, results, strict=True) if not _is_result(result)]:
        raise BenchmarkError(f"{path} has the entry {json.dumps(wrong[0])[:200]}, which is no result; run the unit tests again.")
    if not_judged := [result.path for result in results if result.error == "NotJudged"]:
        raise BenchmarkError(
            f"{path} lacks {len(not_judged)} translations that could not be judged, first {not_judged[0]}; run the unit tests again."
        )
    if len({result.path for result in results}) != len(results):
        raise BenchmarkError(f"{path} names a sample twice; run the unit tests again.")
    return sorted(results, key=lambda result: result.name)


def _is_result(result: Result) -> bool:
    texts, counts = (result.path, result.description), (result.correct, result.total)
    if not (all(type(text) is str for text in texts) and all(type(count) is int for count in counts) and result.error in get_args(ErrorKind)):
        return False
    return result.success is (result.error == "No") and 0 <= result.correct <= result.total


def main() -> None:
    """Command line: ``python -m d_running.unit_test TRANSLATIONS --originals_path … --d_params_path … --output_path …``."""
    parser = ArgumentParser(prog="python -m d_running.unit_test", description=__doc__)
    parser.add_argument("translations", type=Path, help="folder of ID.d (or ID.py) files, each the function f_filled")
    parser.add_argument("--originals_path", type=Path, required=True, help="folder of ID.java files, or a kecode.csv")
    parser.add_argument("--d_params_path", type=Path, help="folder of ID.d (or ID.py) test programs; not needed with a kecode.csv")
    parser.add_argument("--output_path", type=Path, required=True, help="folder for results.json and results_info.json")
    add_flags(parser, UnitTestConfig)
    given = vars(parser.parse_args())
    translations, output = given.pop("translations"), given.pop("output_path")
    samples = load_samples(given.pop("originals_path"), given.pop("d_params_path"), given.get("language_pair", JAVA_D))
    results = run_unit_tests(translations, samples, output, UnitTestConfig(**given))
    for kind, count in Counter(result.error for result in results).most_common():
        sys.stdout.write(f"{kind:16}{count:6}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
