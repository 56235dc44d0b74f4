"""More inputs for samples whose own inputs let mistakes pass: generated ones, with Java's own results, kept where they kill a mutant.

Inputs are made from the sample's own by small changes, so that they stay what the function expects: mostly as large as those, sorted where
those are sorted, and a number that is an array's length stays that. Those on which Java throws are dropped, and those on which the
reference's translation differs from Java, since a mistake cannot be told from the right function there. Of the rest, for each mutant that
survives the sample's own inputs, one that kills it is kept; and of every sample a few with results that no other has, for mistakes of
kinds that the mutants do not have. A mutant that no generated input kills is taken to mean the same as the right function.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from d_running.calls import Call, compared_arguments, java_call, render_calls
from d_running.dataset import Sample
from d_running.gold import Signature, Unusable, converted
from d_running.harness import INTEGER_BITS, REAL_TYPES
from d_running.language_pairs import JAVA_D, LanguagePairName
from d_running.mutants import MutantsConfig, digest_of, draw_mutants, judge_functions, judge_mutants, mutant_id, mutation_report
from d_running.mutation import Mutant
from d_running.oracles.java_oracle import JavaMethod, java_results
from d_running.translate import reference_translations

NEW_INPUTS_FILE = "new_inputs.json"
CANDIDATES = 100
"""Generated inputs for each sample in the first round, and for each with survivors in the others."""
ROUNDS = 3
OTHERS = 6
"""Generated inputs that are kept of a sample because of their results, at most."""
_WILD = 0.1
"""How often a number may leave the range of the sample's own."""
_ATTEMPTS = 4
"""How often a function is called that did not end on some inputs, each time with one less."""
_JAVA_SECONDS = 2
"""Of processor time, for all generated inputs of one function: where it takes longer, a D program might not end in time either."""

Row = list[Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """A sample that may get more inputs.

    Attributes:
        name: its ID.
        java: its function alone.
        unit: the compilable Java file around it.
        method: the method's name in it.
        signature: of the method.
        calls: what it is tested with so far.
        gold: see `dataset.Sample`.
        pair: the name of the language pair.
    """

    name: str
    java: str
    unit: str
    method: str
    signature: Signature
    calls: list[Call]
    gold: str = ""
    pair: LanguagePairName = JAVA_D

    def program(self, calls: Sequence[Call]) -> str:
        """The test program with these calls, which compares the arguments that the sample's own calls change."""
        return render_calls(self.signature, calls, self.pair, compared_arguments(self.calls))


@dataclass
class NewInputs:
    """What was found for one sample.

    Attributes:
        calls: those to be added.
        kills: how many mutants each was kept for; 0 for those that are kept because of their results.
        equivalent: digests of the mutants that no generated input killed.
        tried: how many generated inputs were usable.
    """

    calls: list[Call] = field(default_factory=list)
    kills: list[int] = field(default_factory=list)
    equivalent: list[str] = field(default_factory=list)
    tried: int = 0

    def add_others(self, own: Sequence[Call], generated: Sequence[Call]) -> None:
        """Add calls with results that neither the sample's own nor those here have."""
        seen = {repr((call.result, call.after)) for call in [*own, *self.calls]}
        for call in generated:
            what = repr((call.result, call.after))
            if what not in seen and self.kills.count(0) < OTHERS:
                seen.add(what)
                self.calls.append(call)
                self.kills.append(0)


def stronger_inputs(subjects: Sequence[Subject], config: MutantsConfig) -> tuple[dict[str, NewInputs], dict[str, Any]]:
    """Search for inputs that kill the mutants which survive the subjects' own.

    Returns:
        What was found for each sample with a right translation, and the mutation scores: ``original`` and ``strong``, as `mutation_report`.

    Raises:
        UserError: if there is no compiler, JDK or containment.
    """
    by_name = {subject.name: subject for subject in subjects}
    programs = {subject.name: subject.program(subject.calls) for subject in subjects}
    with TemporaryDirectory(prefix="stronger_inputs_") as name:
        folder = Path(name)
        samples = [Sample(subject.name, subject.java, programs[subject.name], gold=subject.gold) for subject in subjects]
        translations = reference_translations(samples, pair=config.language_pair)
        passed = judge_functions(translations, programs, folder / "right", config)
        right = {name: translations[name] for name, result in passed.items() if result.success}
        mutants = draw_mutants(right, config)
        before = judge_mutants(mutants, programs, folder / "mutants", config)
        surviving = {name: [one for one in own if before[mutant_id(name, one)].success] for name, own in mutants.items()}
        found = {name: NewInputs() for name in surviving}
        for number in range(ROUNDS):
            left = {name: own for name, own in surviving.items() if own or number == 0}
            pool = _candidates({name: by_name[name] for name in left}, found, config.seed + number)
            pool = _agreeing(pool, by_name, right, folder / "agreeing", config)
            counts = (number + 1, sum(map(len, left.values())), len(left), sum(map(len, pool.values())))
            log.info("Round %d: %d surviving mutants of %d samples, %d generated inputs", *counts)
            killed = _killed({name: (left[name], calls) for name, calls in pool.items() if calls and left[name]}, by_name, folder / "pool", config)
            for name, calls in pool.items():
                found[name].tried += len(calls)
                surviving[name] = [mutant for mutant in left[name] if mutant_id(name, mutant) not in killed]
            to_place = {name: ([one for one in left[name] if mutant_id(name, one) in killed], calls) for name, calls in pool.items()}
            _place(to_place, found, by_name, folder / "place", config)
            for name, calls in pool.items() if number == 0 else ():
                found[name].add_others(by_name[name].calls, calls)
        for name, new in found.items():
            new.equivalent = sorted(digest_of(mutant.source) for mutant in surviving[name])
        equivalent = frozenset(digest for new in found.values() for digest in new.equivalent)
        strong = {name: by_name[name].program(by_name[name].calls + new.calls) for name, new in found.items() if new.calls}
        passing = {name: [one for one in mutants[name] if before[mutant_id(name, one)].success] for name in strong}
        after = before | judge_mutants(passing, strong, folder / "strong", config)
        scores = {"original": mutation_report(mutants, before, equivalent), "strong": mutation_report(mutants, after, equivalent)}
    return found, scores


def new_inputs_report(found: Mapping[str, NewInputs], scores: Mapping[str, Any], config: MutantsConfig) -> dict[str, Any]:
    """What new_inputs.json says: how the inputs were searched for, the scores with and without them, and each sample's."""
    counts = ("score", "killed", "survived", "equivalent", "not_compiled")
    return {
        "mutants_per_sample": config.mutants_per_sample,
        "seed": config.seed,
        "generated_inputs": CANDIDATES * ROUNDS,
        **{f"mutants_{name}": {count: score[count] for count in counts} for name, score in scores.items()},
        "samples": [
            {
                "id": name,
                "usable_generated_inputs": new.tried,
                "new": [
                    {"arguments": ", ".join(map(ascii, call.arguments)), "result": ascii(call.result), "kills": kills}
                    for call, kills in zip(new.calls, new.kills, strict=True)
                ],
                "equivalent_mutants": new.equivalent,
            }
            for name, new in sorted(found.items())
        ],
    }


def _candidates(subjects: Mapping[str, Subject], found: Mapping[str, NewInputs], seed: int) -> dict[str, list[Call]]:
    """Calls of each sample with generated inputs; none that it has already, and none on which Java throws."""
    own = {name: [call.arguments for call in subject.calls] for name, subject in subjects.items()}
    rows = {name: generated_inputs(subject.signature.param_types, own[name], CANDIDATES, f"{seed} {name}") for name, subject in subjects.items()}
    pool: dict[str, list[Call]] = {name: [] for name in subjects}
    left = list(subjects)
    for _ in range(_ATTEMPTS):
        methods = [JavaMethod(subjects[name].unit, subjects[name].signature.class_name, subjects[name].method, rows[name]) for name in left]
        endless = []
        for name, answers in zip(left, java_results(methods, _JAVA_SECONDS), strict=True):
            if answers.endless is not None:  # once more, without this input
                del rows[name][answers.endless]
                endless += [name] if rows[name] else []
            known = {repr(call.arguments) for call in found[name].calls}
            for row, answer in zip(rows[name], answers.answers, strict=False):
                with suppress(Unusable):
                    if repr(row) not in known:
                        pool[name].append(java_call(subjects[name].signature, row, answer))
        left = endless
        if not left:
            break
    return pool


def _agreeing(
    pool: Mapping[str, list[Call]], subjects: Mapping[str, Subject], right: Mapping[str, str], folder: Path, config: MutantsConfig
) -> dict[str, list[Call]]:
    """The pool without the inputs on which the right translation fails; found by halving the inputs that it fails on."""
    agreeing: dict[str, list[Call]] = {name: [] for name in pool}
    groups = [(name, calls) for name, calls in pool.items() if calls]
    while groups:
        tasks = {f"{name}.{number}": (name, calls) for number, (name, calls) in enumerate(groups)}
        functions = {task: right[name] for task, (name, _) in tasks.items()}
        verdicts = judge_functions(functions, {task: subjects[name].program(calls) for task, (name, calls) in tasks.items()}, folder, config)
        groups = []
        for task, (name, calls) in tasks.items():
            if verdicts[task].success:
                agreeing[name] += calls
            elif len(calls) > 1:
                groups += [(name, calls[: len(calls) // 2]), (name, calls[len(calls) // 2 :])]
    return agreeing


def _killed(
    tasks: Mapping[str, tuple[list[Mutant], list[Call]]], subjects: Mapping[str, Subject], folder: Path, config: MutantsConfig
) -> set[str]:
    """Which mutants fail on the inputs beside them, by `mutant_id`."""
    programs = {name: subjects[name].program(calls) for name, (_, calls) in tasks.items()}
    verdicts = judge_mutants({name: own for name, (own, _) in tasks.items()}, programs, folder, config)
    return {name for name, result in verdicts.items() if not result.success}


def _place(
    tasks: Mapping[str, tuple[list[Mutant], list[Call]]],
    found: Mapping[str, NewInputs],
    subjects: Mapping[str, Subject],
    folder: Path,
    config: MutantsConfig,
) -> None:
    """For each mutant find one input that kills it, by halving the inputs; mutants that one half kills all stay together."""
    groups = [(name, own, calls) for name, (own, calls) in tasks.items() if own]
    while groups:
        for name, own, calls in groups:
            if len(calls) == 1:
                found[name].calls += calls
                found[name].kills.append(len(own))
        groups = [group for group in groups if len(group[2]) > 1]
        functions, programs = {}, {}
        for number, (name, own, calls) in enumerate(groups):
            program = subjects[name].program(calls[: len(calls) // 2])
            for mutant in own:
                functions[f"{mutant_id(name, mutant)}.{number}"], programs[f"{mutant_id(name, mutant)}.{number}"] = mutant.source, program
        verdicts = judge_functions(functions, programs, folder, config)
        halves = []
        for number, (name, own, calls) in enumerate(groups):
            killed = [mutant for mutant in own if not verdicts[f"{mutant_id(name, mutant)}.{number}"].success]
            rest = [mutant for mutant in own if mutant not in killed]
            middle = len(calls) // 2
            halves += [(name, *half) for half in ((killed, calls[:middle]), (rest, calls[middle:])) if half[0]]
        groups = halves


# Generated inputs


def generated_inputs(types: Sequence[str], inputs: Sequence[Row], count: int, seed: str) -> list[Row]:
    """Up to ``count`` new inputs, made from ``inputs`` by small changes.

    Args:
        types: Java's, of the parameters.
    """
    chance = random.Random(seed)
    columns = [[row[k] for row in inputs] for k in range(len(types))]
    seen = {repr(row) for row in inputs}
    rows: list[Row] = []
    for _ in range(8 * count):
        row = list(chance.choice(inputs))
        for change in chance.choice(((_shortened,), (_changed,), (_changed,), (_shortened, _changed), (_changed, _changed))):
            row = change(row, types, columns, chance)
        row = [_sorted_as(column, value) for column, value in zip(columns, row, strict=True)]
        if repr(row) not in seen:
            seen.add(repr(row))
            rows.append(row)
        if len(rows) == count:
            break
    return rows


def _shortened(row: Row, types: Sequence[str], columns: Sequence[list[Any]], chance: random.Random) -> Row:  # noqa: ARG001
    """The row with arrays and texts of one length cut to another, and the numbers that are this length with them."""
    sized = [value for kind, value in zip(types, row, strict=True) if kind != "char" and isinstance(value, list | str)]
    if not sized:
        return row
    length = len(chance.choice(sized))
    shorter = min(length, chance.choice((0, 1, 2, 3, 4, max(0, length - 1), length // 2)))

    def cut(kind: str, value: Any) -> Any:
        if kind != "char" and isinstance(value, list | str) and len(value) == length:
            square = isinstance(value, list) and all(isinstance(line, list) and len(line) == length for line in value)
            return [line[:shorter] for line in value[:shorter]] if square else value[:shorter]
        is_length = type(value) is int and length - 1 <= value <= length
        return max(0, value - (length - shorter)) if is_length else value

    return list(map(cut, types, row))


def _changed(row: Row, types: Sequence[str], columns: Sequence[list[Any]], chance: random.Random) -> Row:
    """The row with one of its arguments changed."""
    if not row:
        return row
    k = chance.randrange(len(row))
    return [*row[:k], _variant(types[k], row[k], columns[k], chance), *row[k + 1 :]]


def _variant(kind: str, value: Any, column: Sequence[Any], chance: random.Random) -> Any:
    """A value like ``value``, and no larger than those of the column."""
    if kind.endswith("[]"):
        return _array_variant(kind, value, column, chance)
    if kind == "boolean":
        return not value
    if kind == "String":
        return _text_variant(value, column, chance)
    if kind == "char":
        return chance.choice([*column, chr(min(126, ord(value) + 1)), chr(max(33, ord(value) - 1))])
    return _number_variant(kind, value, column, chance)


def _number_variant(kind: str, value: Any, column: Sequence[Any], chance: random.Random) -> Any:
    low, high = min(column), max(column)
    if chance.random() < _WILD:
        ends = low - high, 4 * high + 20
        wild = chance.choice((-value, 10 * value, value // 10, 2 * high + 1, -high, _between(kind, min(ends), max(ends), chance)))
        with suppress(Unusable):
            return converted(kind, float(wild) if kind in REAL_TYPES else int(wild))
    choices = [value + 1, value - 1, chance.choice(column), 0, 1, 2, 3, chance.randint(0, 12), _between(kind, low, high, chance), -value]
    fitting = [choice for choice in choices if min(low, 0) <= choice <= max(high, 12)]
    chosen = chance.choice(fitting or [value])
    return converted(kind, float(chosen) if kind in REAL_TYPES else int(chosen))


def _between(kind: str, low: Any, high: Any, chance: random.Random) -> Any:
    return chance.randint(low, high) if kind in INTEGER_BITS else round(chance.uniform(low, high), 3)


def _text_variant(value: str, column: Sequence[str], chance: random.Random) -> str:
    at = chance.randrange(len(value)) if value else 0
    letters = value or "".join(column) or "a"
    changes: list[Callable[[], str]] = [
        lambda: value[:at] + value[at + 1 :],
        lambda: value[:at] + value[at : at + 1] * 2 + value[at + 1 :],
        lambda: value[:at] + chance.choice(letters) + value[at + 1 :],
        lambda: value[:at] + value[at:][::-1],
        lambda: value[: len(value) // 2] + value[: (len(value) + 1) // 2][::-1],
        lambda: "".join(chance.sample(value, len(value))),
        lambda: chance.choice(column),
    ]
    return chance.choice(changes)()


def _array_variant(kind: str, value: list[Any], column: Sequence[list[Any]], chance: random.Random) -> list[Any]:
    if not value:
        return value
    element, at, other = kind[:-2], chance.randrange(len(value)), chance.randrange(len(value))
    elements = [item for one in column for item in one]
    if element.endswith("[]"):
        return [*value[:at], _array_variant(element, value[at], elements, chance), *value[at + 1 :]]
    changes: list[Callable[[], list[Any]]] = [
        lambda: [*value[:at], _variant(element, value[at], elements, chance), *value[at + 1 :]],
        lambda: [*value[:at], value[other], *value[at + 1 :]],
        lambda: [*value[:at], value[max(0, at - 1)], *value[at + 1 :]],
        lambda: value[::-1],
        lambda: sorted(value),
        lambda: chance.sample(value, len(value)),
        lambda: [value[at]] * len(value),
        lambda: [chance.choice(value) for _ in value],
        lambda: [_variant(element, item, elements, chance) for item in value],
    ]
    return chance.choice(changes)()


def _sorted_as(column: Sequence[Any], value: Any) -> Any:
    """``value`` sorted, if it is an array and all of the column's are: the function may rely on it."""
    rising = all(isinstance(one, list) and not any(isinstance(item, list) for item in one) and one == sorted(one) for one in column)
    return sorted(value) if rising else value
