"""What a build of the benchmark finds out about each sample of the set, and the report on it."""

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from d_running.calls import Call, compared_arguments
from d_running.gold import GoldSample, Unusable
from d_running.oracles import Answer
from d_running.oracles.java_oracle import java_version
from d_running.sandbox import probe_tier

Oracle = Literal["java", "python"]
TOLERANCE = 1e-6
NO_JDK = "there is no JDK here"
_SHOWN = 70  # characters of a value in the summary


@dataclass
class Entry:
    """What the build finds out about one sample of the set."""

    name: str
    reason: str = ""  # why it is left out
    gold: GoldSample | None = None
    inputs: dict[int, list[Any]] = field(default_factory=dict)  # by number, those that fit
    left_out: dict[int, str] = field(default_factory=dict)
    expected: dict[int, Any] = field(default_factory=dict)
    after: dict[int, list[Any]] = field(default_factory=dict)  # the arguments after the call
    disagreements: list[dict[str, Any]] = field(default_factory=list)
    agreement: str = "not compared"
    right_fails: bool = False  # a right translation does under the Python oracle
    new: list[Call] = field(default_factory=list)  # with generated inputs
    notes: list[str] = field(default_factory=list)

    @property
    def calls(self) -> list[Call]:
        """Those with the inputs of the set that are kept."""
        return [Call(self.inputs[number], result, self.after.get(number, [])) for number, result in self.expected.items()]


def build_report(entries: list[Entry], oracle: Oracle) -> dict[str, Any]:
    """What report.json says."""
    kept = [entry for entry in entries if not entry.reason]
    agreement = Counter(entry.agreement for entry in entries)
    kinds = [{found["kind"] for found in entry.disagreements} for entry in entries if entry.disagreements]
    numbers = [len(entry.gold.rows) if entry.gold else 0 for entry in entries]
    return {
        "oracle": oracle,
        "samples_with_inputs_of_java": sum(entry.gold.origin == "java" for entry in kept if entry.gold),
        "reals": "exact" if oracle == "python" else f"relative tolerance {TOLERANCE}",
        "java": java_version() or f"not run, {NO_JDK}",
        "python": platform.python_version(),
        "python_sandbox": probe_tier(),
        "samples_given": len(entries),
        "samples_kept": len(kept),
        "samples_left_out": len(entries) - len(kept),
        "inputs_read": sum(numbers),
        "inputs_kept": sum(len(entry.expected) for entry in kept),
        "inputs_new": sum(len(entry.new) for entry in kept),
        "samples_with_arguments": sum(bool(compared_arguments(entry.calls)) for entry in kept),
        "samples_without_result": sum(entry.gold.signature.return_type == "void" for entry in kept if entry.gold),
        "inputs_left_out": sum(len(entry.left_out) for entry in kept),
        "inputs_of_samples_left_out": sum(numbers) - sum(len(entry.gold.rows) for entry in kept if entry.gold),
        "agree": agreement["agree"],
        "disagree": agreement["disagree"],
        "not_compared": agreement["not compared"],
        "disagree_by_wrap_around_alone": kinds.count({"wrap-around"}),
        "disagree_by_lost_fraction_alone": kinds.count({"lost fraction"}),
        "right_translations_failing_under_python": sum(entry.right_fails for entry in entries),
        "samples": [_sample_report(entry) for entry in entries],
    }


def _sample_report(entry: Entry) -> dict[str, Any]:
    left_out = [{"input": number, "arguments": shown(entry, number), "reason": reason} for number, reason in sorted(entry.left_out.items())]
    return {
        "id": entry.name,
        "kept": not entry.reason,
        "reason": entry.reason,
        "inputs": len(entry.gold.rows) if entry.gold else 0,
        "origin": entry.gold.origin if entry.gold else "",
        "inputs_kept": 0 if entry.reason else len(entry.expected),
        "inputs_new": len(entry.new),
        "inputs_left_out": left_out,
        "arguments_compared": compared_arguments(entry.calls),
        "agreement": entry.agreement,
        "disagreements": entry.disagreements,
        "notes": entry.notes,
    }


def shown(entry: Entry, number: int) -> str:
    """The arguments of an input, as Python writes them; "" where they cannot be read."""
    assert entry.gold
    row = entry.gold.rows[number - 1]
    return "" if isinstance(row, Unusable) else ", ".join(map(ascii, row))


def answer_text(answer: Answer) -> str:
    """What a call came to, as text."""
    return answer.failure or ascii(answer.value)


def summary(report: dict[str, Any]) -> str:
    """The report as text: the counts, what was left out and why, and where the languages disagree."""
    lines = [
        f"{report['samples_kept']} of {report['samples_given']} samples kept, {report['samples_left_out']} left out; "
        f"{report['inputs_kept']} of {report['inputs_read']} inputs kept" + (f", {report['inputs_new']} new ones" if report["inputs_new"] else ""),
        f"{report['samples_with_inputs_of_java']} of the samples kept have the inputs of their Java's main, the others those of their Python",
        f"{report['samples_with_arguments']} of them compare arguments after the call too, {report['samples_without_result']} of these nothing else",
        f"expected results: {report['oracle']}; reals: {report['reals']}",
        f"Java: {report['java']}; Python: {report['python']}, sandbox {report['python_sandbox']}",
        f"Java and Python agree on {report['agree']} samples, disagree on {report['disagree']} "
        f"({report['disagree_by_wrap_around_alone']} by wrap-around alone, {report['disagree_by_lost_fraction_alone']} by a lost fraction alone), "
        f"{report['not_compared']} not compared",
        *_reference_lines(report["reference"], report["samples_kept"]),
        f"a translation that does what Java does fails on {report['right_translations_failing_under_python']} samples under the Python oracle",
    ]
    samples = report["samples"]
    lines += _section("Left out", [f"{sample['id']}: {sample['reason']}" for sample in samples if not sample["kept"]])
    lines += _section("Inputs left out of samples that are kept", [
        f"{sample['id']}, input {one['input']} ({_shortened(one['arguments'])}): {one['reason']}"
        for sample in samples if sample["kept"] for one in sample["inputs_left_out"]
    ])  # fmt: skip
    lines += _section("Not solved by the reference", [f"{one['id']}: {one['error']}: {one['message']}" for one in report["reference"]["not_solved"]])
    lines += _section("Other files in the folders", report["other_files"])
    lines += _section("Notes", [f"{sample['id']}: {note}" for sample in samples for note in sample["notes"]])
    lines += _section("Java and Python disagree", [
        f"{sample['id']}, {len(sample['disagreements'])} of {sample['inputs']} inputs; input {one['input']} ({_shortened(one['arguments'])}): "
        f"Java {_shortened(one['java'])}, Python {_shortened(one['python'])} ({one['kind']})"
        for sample in samples for one in sample["disagreements"][:1]
    ])  # fmt: skip
    return "\n".join(lines) + "\n"


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}: {len(lines)}", *(f"  {line}" for line in lines)] if lines else []


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _reference_lines(reference: Mapping[str, Any], kept: int) -> list[str]:
    if reference["solved"] is None:
        return [f"whether the reference solves them was not tried: {reference['not_tried']}"]
    return [f"the reference solves {reference['solved']} of the {kept} samples kept"]
