"""What judging costs: processor seconds a sample, naive and in each mode of the judge, with verdicts and words compared.

Naive is what anybody would do: one ``ldmd2`` command per file, and the program's own ``writefln`` read from its output.
"""

import re
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from d_running.compiler import SOURCE_NAME
from d_running.config import UnitTestConfig
from d_running.dataset import Sample, load_samples
from d_running.execution import Verdict
from d_running.harness import plain_program
from d_running.java_text import natural_java
from d_running.java_to_d import RULES, translate_java
from d_running.translate import function_of
from d_running.unit_test import Result, read_translations, run_unit_tests
from d_running.words import faithful_words
from util.cli import ArgumentParser
from util.errors import BenchmarkError
from util.files import write_text

_REPORT = re.compile(r"#Results:\s*(\d+), (\d+)")


def processor_seconds(work: Callable[[], dict[str, Verdict]]) -> tuple[float, dict[str, Verdict]]:
    """What ``work`` returns, with the user and system time of this process and of all that it started."""
    before = _used()
    verdicts = work()
    return _used() - before, verdicts


def _used() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def naive_verdict(program: str, run_limit: int) -> Verdict:
    """The verdict of one ``ldmd2`` command and one run, with the limits that the judge has too."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / SOURCE_NAME).write_bytes(program.encode("utf-8", "surrogateescape"))
        built = subprocess.run(["ldmd2", "-of=translation", SOURCE_NAME], cwd=folder, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            return Verdict("Compilation", built.stderr.strip())
        ran = subprocess.run(["./translation"], cwd=folder, capture_output=True, preexec_fn=lambda: _limit(run_limit), check=False)
        errors = ran.stderr.decode("utf-8", "replace")
        if ran.returncode in (-9, -24):
            return Verdict("TimeoutExpired", f"Error: the tests did not end within {run_limit} s")
        if ran.returncode != 0 or errors:
            ending = f"signal {-ran.returncode}" if ran.returncode < 0 else f"exit code {ran.returncode}"
            return Verdict("RuntimeError", faithful_words(errors) or f"Error: the tests ended with {ending}")
        correct, total = map(int, _REPORT.findall(ran.stdout.decode("utf-8", "replace"))[-1])
        same = correct == total > 0
        return Verdict("No" if same else "Correctness", "" if same else f"{correct} of {total} tests passed", correct, total)


def _limit(run_limit: int) -> None:
    for kind, most in ((resource.RLIMIT_CPU, run_limit), (resource.RLIMIT_AS, 2 << 30), (resource.RLIMIT_STACK, 1 << 26)):
        resource.setrlimit(kind, (most, most))


def reference_translations(samples: list[Sample], folder: Path) -> list[Sample]:
    """Write the reference translator's D to ``folder``, every second one with a rule switched off; the samples that it can translate."""
    done = []
    for number, sample in enumerate(samples):
        without = [list(RULES)[number // 2 % len(RULES)]] if number % 2 else []
        try:
            translation = translate_java(natural_java(sample.java), without)
        except BenchmarkError:
            continue
        write_text(folder / f"{sample.name}.d", function_of(translation))
        done.append(sample)
    return done


def main() -> None:
    """Command line: ``python -m benchmarks.harness [--originals_path …] [--translations …] [--samples …]``."""
    parser = ArgumentParser(prog="python -m benchmarks.harness", description=__doc__)
    parser.add_argument("--originals_path", type=Path, default=Path("data/demo/test.csv"), help="samples (%(default)s)")
    parser.add_argument("--d_params_path", type=Path, help="folder of test programs, if the samples are a folder")
    parser.add_argument("--translations", type=Path, help="folder of ID.d; by default the reference translator's, a rule off in every second")
    parser.add_argument("--samples", type=int, help="how many to judge, evenly spread; by default all")
    parser.add_argument("--jobs", type=int, default=1, help="how many to judge at a time (%(default)s)")
    parser.add_argument("--run_limit", type=int, default=2, help="seconds of processor time for a run (%(default)s)")
    parser.add_argument("--without_naive", action="store_true", help="compare the judge's modes only")
    arguments = parser.parse_args()
    samples = load_samples(arguments.originals_path, arguments.d_params_path)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.translations or Path(scratch, "translations")
        if arguments.translations is None:
            samples = reference_translations(samples, folder)
        functions = read_translations(folder, samples)
        samples = [sample for sample in samples if sample.name in functions]
        count = min(arguments.samples or len(samples), len(samples))
        samples = [samples[i * len(samples) // count] for i in range(count)]
        programs = {sample.name: plain_program(sample.test_program, functions[sample.name]) for sample in samples}

        def judged(mode: str, **options: Any) -> dict[str, Verdict]:
            output = Path(scratch, mode)
            config = UnitTestConfig(output, arguments.jobs, run_limit=arguments.run_limit, **options)
            return {result.name: _verdict(result) for result in run_unit_tests(folder, samples, output, config)}

        ways: dict[str, Callable[[], dict[str, Verdict]]] = {
            "naive": lambda: {name: naive_verdict(text, arguments.run_limit) for name, text in tqdm(programs.items(), "Naive")},
            "plain": lambda: judged("plain", plain_verdict=True),
            "default": lambda: judged("default"),
            "plain fast": lambda: judged("plain fast", plain_verdict=True, fast_judge=True),
            "fast": lambda: judged("fast", fast_judge=True),
        }
        if arguments.without_naive:
            del ways["naive"]
        seconds, verdicts = {}, {}
        for way, work in ways.items():
            seconds[way], verdicts[way] = processor_seconds(work)
    first = next(iter(ways))
    counts = Counter(verdict.error for verdict in verdicts[first].values())
    sys.stdout.write(f"{count} samples: {', '.join(f'{kind} {number}' for kind, number in counts.most_common())}\n")
    for way, used in seconds.items():
        different = [name for name, verdict in verdicts[way].items() if verdict != verdicts[first][name]]
        sys.stdout.write(f"{way:10} {used / count:.4f} CPU s a sample, ratio {seconds[first] / used:.2f}, {len(different)} verdicts differ\n")
        for name in different[:5]:
            sys.stdout.write(f"  {name}: {verdicts[first][name]} and {verdicts[way][name]}\n")


def _verdict(result: Result) -> Verdict:
    return Verdict(result.error, result.description, result.correct, result.total)


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
