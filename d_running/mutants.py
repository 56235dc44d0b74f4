"""Whether the benchmark's inputs notice small mistakes: mutants of right translations are judged, and those that pass are counted.

A mutant that fails any test is killed, one that does not compile does not count. What survives has a mistake that no input of its sample
shows, or means the same as the right function; those that are known to mean the same (see `stronger_inputs`) do not count either.
"""

import dataclasses
import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from d_running.config import UnitTestConfig
from d_running.dataset import Sample, load_samples
from d_running.language_pairs import language_pair
from d_running.mutation import Mutant, chosen_mutants
from d_running.translate import reference_translations
from d_running.unit_test import Result, read_translations, run_unit_tests
from util.cli import ArgumentParser
from util.errors import BenchmarkError
from util.files import read_json, write_json, write_text
from util.flags import add_flags, flag

MUTANTS_FILE = "mutants.json"
MUTANTS_PER_SAMPLE = 12
SHOWN = 10


@dataclass(frozen=True)
class MutantsConfig(UnitTestConfig):
    """How mutants are made and judged; every field is the flag of its name."""

    run_limit: int = flag(3, "seconds of processor time to run the tests of a mutant; many mutants never end")
    mutants_per_sample: int = flag(MUTANTS_PER_SAMPLE, "mutants of each sample, drawn among all; 0 for all")
    seed: int = flag(0, "seed of that draw")


def judge_functions(functions: Mapping[str, str], programs: Mapping[str, str], folder: Path, config: UnitTestConfig) -> dict[str, Result]:
    """Judge functions of any names, each with the test program of its name; the verdicts by name.

    Args:
        folder: takes the functions and the verdicts' files; it holds nothing else.

    Raises:
        BenchmarkError: if one could not be judged for a reason that is not its own.
    """
    if not functions:
        return {}
    sources, languages = folder / "functions", language_pair(config.language_pair)
    for stale in sources.glob(f"*{languages.suffix}"):
        if stale.stem not in functions:
            stale.unlink()
    for name, text in functions.items():
        write_text(languages.file(sources, name), text)
    samples = [Sample(name, "", programs[name]) for name in functions]
    results = run_unit_tests(sources, samples, folder, replace(config, fast_judge=True))
    if failed := [result for result in results if result.error == "Exception"]:
        raise BenchmarkError(f"{len(failed)} of {len(results)} functions could not be judged, first {failed[0].name}: {failed[0].description}")
    return {result.name: result for result in results}


def right_translations(samples: Sequence[Sample], translations: Mapping[str, str], folder: Path, config: UnitTestConfig) -> dict[str, str]:
    """Those of ``translations`` that pass their own tests.

    Raises:
        BenchmarkError: if none does.
    """
    programs = {sample.name: sample.test_program for sample in samples if sample.name in translations}
    verdicts = judge_functions({name: translations[name] for name in programs}, programs, folder, config)
    right = {name: translations[name] for name, result in verdicts.items() if result.success}
    if not right:
        raise BenchmarkError(f"None of the {len(programs)} translations passes its tests, so there is nothing right to put mistakes into.")
    return right


def draw_mutants(right: Mapping[str, str], config: MutantsConfig) -> dict[str, list[Mutant]]:
    """The mutants of each sample that are judged."""
    mutants_of, most = language_pair(config.language_pair).mutants_of, config.mutants_per_sample or None
    return {name: chosen_mutants(name, mutants_of(source), most, config.seed) for name, source in sorted(right.items())}


def mutant_id(name: str, mutant: Mutant) -> str:
    """The name under which a mutant of the sample ``name`` is judged."""
    return f"{name}.m{mutant.number:03}"


def digest_of(source: str) -> str:
    """Stands for a mutant's text in lists of those that mean the same as the right function."""
    return hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def judge_mutants(mutants: Mapping[str, Sequence[Mutant]], programs: Mapping[str, str], folder: Path, config: UnitTestConfig) -> dict[str, Result]:
    """The verdict on each mutant, by `mutant_id`."""
    functions = {mutant_id(name, mutant): mutant.source for name, own in mutants.items() for mutant in own}
    tests = {mutant_id(name, mutant): programs[name] for name, own in mutants.items() for mutant in own}
    return judge_functions(functions, tests, folder, config)


def mutation_report(
    mutants: Mapping[str, Sequence[Mutant]], verdicts: Mapping[str, Result], equivalent: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The mutation score of each sample and of the whole.

    Args:
        equivalent: digests of mutants that mean the same as the right function.

    Returns:
        A JSON object: the counts of the whole, ``score`` (killed by all that count; None where none counts), ``kinds`` (the same by kind of
        mistake), ``verdicts`` (by kind of failure) and ``samples``, each with its counts, its score and its surviving mutants.
    """
    samples, errors = [], Counter[str]()
    kinds: dict[str, Counter[str]] = {}
    for name, own in mutants.items():
        counts, survivors = Counter[str](), []
        for mutant in own:
            result = verdicts[mutant_id(name, mutant)]
            state = _state(result, digest_of(mutant.source) in equivalent)
            errors[result.error] += 1
            counts[state] += 1
            kinds.setdefault(mutant.kind, Counter())[state] += 1
            if state == "survived":
                survivors.append({key: value for key, value in asdict(mutant).items() if key != "source"})
        samples.append({"id": name} | _counts(counts) | {"survivors": survivors})
    whole = Counter({state: sum(sample[state] for sample in samples) for state in _STATES})
    return {
        **_counts(whole),
        "verdicts": dict(sorted(errors.items())),
        "kinds": {kind: _counts(counts) for kind, counts in sorted(kinds.items())},
        "samples_with_survivors": sum(bool(sample["survived"]) for sample in samples),
        "samples": samples,
    }


_STATES = ("killed", "survived", "equivalent", "not_compiled")


def _state(result: Result, is_equivalent: bool) -> str:
    if result.error == "Compilation":
        return "not_compiled"
    if not result.success:
        return "killed"
    return "equivalent" if is_equivalent else "survived"


def _counts(counts: Counter[str]) -> dict[str, Any]:
    counted = counts["killed"] + counts["survived"]
    return {"score": counts["killed"] / counted if counted else None} | {state: counts[state] for state in _STATES}


def read_equivalent(path: Path) -> frozenset[str]:
    """The digests of mutants that a new_inputs.json (see `stronger_inputs`) says mean the same as the right function.

    Raises:
        BenchmarkError: if the file is not such a one.
    """
    values = read_json(path, "the mutants that mean the same")
    try:
        return frozenset(digest for sample in values["samples"] for digest in sample["equivalent_mutants"])
    except (KeyError, TypeError) as error:
        raise BenchmarkError(f"{path} lists no equivalent_mutants; name the new_inputs.json that build_kecode --inputs strong wrote.") from error


def main() -> None:
    """Command line: ``python -m d_running.mutants --originals_path … --output_path …``."""
    parser = ArgumentParser(prog="python -m d_running.mutants", description=__doc__)
    parser.add_argument("--originals_path", type=Path, required=True, help="folder of ID.java files, or a kecode.csv")
    parser.add_argument("--d_params_path", type=Path, help="folder of ID.d test programs; not needed with a kecode.csv")
    parser.add_argument("--translations", type=Path, help="folder of right ID.d translations (by default the reference's)")
    parser.add_argument("--equivalent", type=Path, help="new_inputs.json of a build with --inputs strong: mutants that mean the same do not count")
    parser.add_argument("--output_path", type=Path, required=True, help=f"folder for the mutants and {MUTANTS_FILE}")
    add_flags(parser, MutantsConfig)
    arguments = parser.parse_args()
    names = {field.name for field in dataclasses.fields(MutantsConfig)}
    config = MutantsConfig(**{name: value for name, value in vars(arguments).items() if name in names})
    equivalent = read_equivalent(arguments.equivalent) if arguments.equivalent else frozenset()
    pair = config.language_pair
    samples = load_samples(arguments.originals_path, arguments.d_params_path, pair)
    if arguments.translations:
        translations = read_translations(arguments.translations, samples, language_pair(pair).suffix)
    else:
        translations = reference_translations(samples, pair=pair)
    right = right_translations(samples, translations, arguments.output_path / "right", config)
    mutants = draw_mutants(right, config)
    programs = {sample.name: sample.test_program for sample in samples}
    verdicts = judge_mutants(mutants, programs, arguments.output_path / "mutants", config)
    drawn = {"mutants_per_sample": config.mutants_per_sample, "seed": config.seed, "samples_without_right_translation": len(samples) - len(right)}
    report = drawn | mutation_report(mutants, verdicts, equivalent)
    write_json(arguments.output_path / MUTANTS_FILE, report)
    sys.stdout.write(summary(report))


def summary(report: Mapping[str, Any]) -> str:
    """The whole score, that of each kind, and the samples with most survivors."""
    lines = [f"{'':14}{'score':>8}{'killed':>8}{'survived':>10}{'equivalent':>12}{'not compiled':>14}"]
    for kind, counts in [*report["kinds"].items(), ("all", report)]:
        score = "-" if counts["score"] is None else f"{counts['score']:.4f}"
        lines.append(f"{kind:14}{score:>8}{counts['killed']:>8}{counts['survived']:>10}{counts['equivalent']:>12}{counts['not_compiled']:>14}")
    lines += ["", f"{report['samples_with_survivors']} of {len(report['samples'])} samples have a mutant that passes:"]
    for sample in sorted(report["samples"], key=lambda sample: (-sample["survived"], sample["id"]))[:SHOWN]:
        lines += [f"  {sample['id']}: {sample['survived']}, such as `{one['after']}` for `{one['before']}`" for one in sample["survivors"][:1]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
