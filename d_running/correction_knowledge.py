"""From the main clusters of errors to drafts of edit requests, which a person completes.

For every failed translation the compiler's line number leads to the D line, the D line to the Java line that it came from, and the
message to the place in the line where the model went wrong. What the wrong places of a cluster have in common becomes the subject.
"""

import csv
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

from d_running.cluster import Clustering, clustering_folder, read_clustering
from d_running.dataset import Sample, load_samples
from d_running.embedding import with_backticks
from d_running.harness import FUNCTION_NAME as D_NAME
from d_running.java_text import FUNCTION_NAME as JAVA_NAME
from d_running.language_pairs import JAVA_D, LANGUAGE_PAIR_HELP, LanguagePairName, language_pair
from d_running.prompt import PROMPT_FORMAT, PROMPT_FORMAT_HELP, PromptFormat, answer_opening, question, shown_java, translation_prompt
from d_running.unit_test import Result, read_translations
from util.cli import ArgumentParser
from util.errors import BenchmarkError, UserError
from util.files import read_json, write_csv, write_text

PAGE, DRAFT = "correction_knowledge.md", "edit_requests_draft.csv"
REFERENCE = "reference"
"""The model name of runs with the rule-based translator, which has no prompt."""
TRANSLATIONS, RUN_FILE = "translations", "run.json"

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'|\d+(?:\.\d+)?|\w+|\S')
_QUOTED = re.compile(r"`([^`]+)`")
_USE = re.compile(r"\b[Uu]se (?:[\w-]+ )?`([^`]+)`")
_DID_YOU_MEAN = re.compile(r"did you mean (?:[\w ]+ )?`(\w+)`")
_CONVERT = re.compile(r"cannot implicitly convert expression `([^`]+)` of type `\w+` to `(\w+)`")
_SAME_IN_D = {"boolean": "bool", "String": "string"}
_LONGEST = 12
"""Tokens of a wrong place that are compared with those of others."""
_FAR = 0.3
"""What it costs two lines to stand at opposite ends of their functions, in shares of common tokens."""

log = logging.getLogger(__name__)


class Token(NamedTuple):
    """A word, number, string or sign of a line, and where it stands."""

    text: str
    start: int
    end: int


def tokens_of(line: str) -> list[Token]:
    """The tokens of a line of Java or D."""
    return [Token(found.group(), *found.span()) for found in _TOKEN.finditer(line)]


class Correction(NamedTuple):
    """Where a line goes wrong, and what the message would have there."""

    start: int
    """Position in the line where the model should have written something else."""
    end: int
    """Where the wrong text ends."""
    proposal: str
    """What the compiler's message proposes from ``start`` on; empty if it proposes nothing."""


@dataclass(frozen=True)
class Mistake:
    """A failed translation, and the line that the first message points at.

    Attributes:
        name: of the sample.
        message: its brief description.
        java: the Java function as the model saw it.
        d: the D function as the model wrote it.
        line: number of the D line, from 0.
    """

    name: str
    message: str
    java: str
    d: str
    line: int

    @property
    def d_line(self) -> str:
        """The D line."""
        return self.d.split("\n")[self.line].rstrip("\r")

    @cached_property
    def correction(self) -> Correction:
        """The wrong place in the D line."""
        return find_correction(self.message, self.d_line)

    @cached_property
    def wrong(self) -> list[Token]:
        """The D tokens of the wrong place."""
        return [token for token in tokens_of(self.d_line) if self.correction.start <= token.start < self.correction.end]

    @cached_property
    def java_line(self) -> int:
        """Number of the Java line, from 0, that the D line came from."""
        return matching_line(self.d.split("\n"), self.line, self.java.split("\n"))


@dataclass(frozen=True)
class Draft:
    """An edit request to be completed.

    Attributes:
        mistake: the sample that it is written for.
        prompt: a format string, up to where the model went wrong, with one ``{}`` for the subject.
        subject: the text that seems to lead to the mistake.
        proposal: what the compiler's message would have instead, "" if that is for a person to say.
    """

    mistake: Mistake
    prompt: str
    subject: str
    proposal: str


def find_mistake(
    result: Result,
    message: str,
    sample: Sample,
    translation: str,
    prompt_format: PromptFormat = PROMPT_FORMAT,
    pair: LanguagePairName = JAVA_D,
) -> Mistake | None:
    """The line that the compiler or the running program complained of.

    None if it lies outside the translation, none is named, or the translation is not UTF-8, which requests must be.
    """
    if not translation.isascii() and translation != translation.encode("utf-8", "ignore").decode("utf-8"):
        return None
    languages = language_pair(pair)
    d = languages.rename(translation, D_NAME, JAVA_NAME)
    found = re.search(rf"\b(?:translation|{re.escape(sample.name)}){re.escape(languages.suffix)}\((\d+)", result.description)
    line = int(found[1]) - 1 - sample.test_program.partition(languages.marker)[0].count("\n") if found else -1
    if not 0 <= line < len(d.rstrip().split("\n")) or not d.split("\n")[line].strip():
        return None
    return Mistake(sample.name, message, shown_java(sample.java, prompt_format), d, line)


def find_correction(message: str, line: str) -> Correction:
    """Where ``line`` goes wrong by the words of ``message``, at the latest where it begins.

    A text that the message tells to use, or asks whether it was meant, is the proposal; so is a cast where the message names
    the types. What both texts begin with is not wrong.
    """
    message = with_backticks(message)
    tokens = tokens_of(line)
    quoted = _QUOTED.findall(message)
    proposal = ""
    place: tuple[int, int] | None = None
    if convert := _CONVERT.search(message):
        place, proposal = _find_run(tokens, tokens_of(convert[1])), f"cast({convert[2]}) {convert[1]}"
    elif meant := _DID_YOU_MEAN.search(message):
        place, proposal = _find_run(tokens, tokens_of(quoted[0])), meant[1]
    elif use := _USE.search(message):
        others = [text for text in quoted if text != use[1]]
        place, proposal = _find_run(tokens, tokens_of(others[0])) if others else _same_tokens(tokens, tokens_of(use[1])), use[1]
    if place is None:
        proposal = ""
        # Signs say where the parser stumbled, not what is wrong.
        names = [name for text in quoted if re.search(r"\w", text) for name in (text, text.rpartition(".")[2])]
        runs = (_find_run(tokens, tokens_of(name)) for name in names)
        place = next((run for run in runs if run), None)
    if place is None:
        return Correction(0, len(line.rstrip()), "")
    first, last = place
    right = tokens_of(proposal)
    same = 0
    while same < min(last - first, len(right) - 1) and tokens[first + same].text == right[same].text:
        same += 1
    if same:
        start = tokens[first + same - 1].end
        return Correction(start, tokens[last - 1].end, proposal[right[same - 1].end :])
    if not proposal:
        first, last = _whole_name(tokens, first, last)
    # A space goes with the proposal, as tokenisers have it.
    start = tokens[first - 1].end if first else 0
    return Correction(start, tokens[last - 1].end, line[start : tokens[first].start] + proposal if proposal else "")


def _find_run(tokens: Sequence[Token], run: Sequence[Token]) -> tuple[int, int] | None:
    """The first place where ``tokens`` have the texts of ``run``, as first index and the one behind the last."""
    texts = [token.text for token in run]
    for first in range(len(tokens) - len(texts) + 1):
        if [token.text for token in tokens[first : first + len(texts)]] == texts:
            return first, first + len(texts)
    return None


def _same_tokens(tokens: Sequence[Token], right: Sequence[Token]) -> tuple[int, int] | None:
    """The longest run of ``tokens`` made of tokens of ``right`` in any order, such as ``int a[]`` of ``int[] a``; None below two."""
    best = (0, 1)
    for first in range(len(tokens)):
        left = Counter(token.text for token in right)
        last = first
        while last < len(tokens) and left[tokens[last].text] > 0:
            left[tokens[last].text] -= 1
            last += 1
        best = max(best, (first, last), key=lambda run: run[1] - run[0])
    return best if best[1] - best[0] > 1 else None


def _whole_name(tokens: Sequence[Token], first: int, last: int) -> tuple[int, int]:
    """A run widened over the dots at its ends: ``Integer`` to ``Integer.MAX_VALUE``, ``charAt`` to ``.charAt``."""
    if first and tokens[first - 1].text == ".":
        first -= 1
    while last + 1 < len(tokens) and tokens[last].text == "." and tokens[last + 1].text.isidentifier():
        last += 2
    return first, last


def matching_line(lines: Sequence[str], number: int, others: Sequence[str]) -> int:
    """Which of ``others`` line ``number`` of ``lines`` came from: the one with most tokens in common, of equals the nearest."""

    def likeness(other: int) -> float:
        one, two = (Counter(_SAME_IN_D.get(token.text, token.text) for token in tokens_of(text)) for text in (lines[number], others[other]))
        common = 2 * (one & two).total() / max((one + two).total(), 1)
        return common - _FAR * abs(number / len(lines) - other / len(others))

    return max(range(len(others)), key=likeness)


def draft_request(mistakes: Sequence[Mistake], prompt_of: Callable[[str], str]) -> Draft | None:
    """An edit request for a cluster, None if no mistake has a line.

    The subject is the longest run of tokens that at least half of the wrong places have; of the samples whose Java line has it
    too, the request takes the one with the shortest prompt. If none has it, the subject is what stands before the wrong place.
    """
    if not mistakes:
        return None
    by_length = sorted(mistakes, key=lambda mistake: (len(mistake.java) + len(mistake.d), mistake.name))
    for run in _common_runs(mistakes):
        for mistake in by_length:
            java_line = mistake.java.split("\n")[mistake.java_line]
            if _find_run(mistake.wrong, run) and _find_run(tokens_of(java_line), run):
                return _draft(mistake, prompt_of, run)
    return _draft(by_length[0], prompt_of, [])


def _common_runs(mistakes: Sequence[Mistake]) -> list[list[Token]]:
    """The runs of tokens in at least half of the wrong places, the longest first, of equals the most frequent."""
    counts: Counter[tuple[str, ...]] = Counter()
    for mistake in mistakes:
        texts = [token.text for token in mistake.wrong][:_LONGEST]
        counts.update({tuple(texts[i:j]) for i in range(len(texts)) for j in range(i + 1, len(texts) + 1)})
    common = [run for run, count in counts.items() if 2 * count >= len(mistakes) and _is_phrase(run)]
    common.sort(key=lambda run: (-len(run), -counts[run], run))
    return [[Token(text, 0, 0) for text in run] for run in common]


def _is_phrase(run: Sequence[str]) -> bool:
    """Whether a run holds a word or brackets, and is no torn-off part of something longer."""
    depth = 0
    for text in run:
        depth += (text in "([{<") - (text in ")]}>")
        if depth < 0:
            return False
    return depth == 0 and (run[-1] in ")]}>" or run[-1][0].isalnum() or run[-1][0] in "_\"'")


def _draft(mistake: Mistake, prompt_of: Callable[[str], str], run: Sequence[Token]) -> Draft:
    before = "\n".join([*mistake.d.split("\n")[: mistake.line], mistake.d_line[: mistake.correction.start]])
    whole = prompt_of(mistake.java) + before
    lines = mistake.java.split("\n")
    tokens = tokens_of(lines[mistake.java_line])
    place = _find_run(tokens, run) if run else None
    if place:
        first, last = _whole_name(tokens, *place)
        if tokens[first].text == "." and first and tokens[first - 1].text.isidentifier():
            first -= 1
        java_start = whole.index(mistake.java) + sum(len(line) + 1 for line in lines[: mistake.java_line])
        start, end = java_start + tokens[first].start, java_start + tokens[last - 1].end
    else:
        last_word = list(_TOKEN.finditer(whole))[-1]
        start, end = last_word.span()
    prompt = f"{_escaped(whole[:start])}{{}}{_escaped(whole[end:])}"
    return Draft(mistake, prompt, whole[start:end], mistake.correction.proposal)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def find_mistakes(
    before: Clustering,
    samples: Sequence[Sample],
    translations: dict[str, str],
    prompt_format: PromptFormat = PROMPT_FORMAT,
    pair: LanguagePairName = JAVA_D,
) -> dict[str, list[Mistake]]:
    """For each numbered cluster, the mistakes whose line is known, in the order of the samples' names.

    Raises:
        BenchmarkError: if a failed sample of the clustering is not among ``samples``.
    """
    by_name = {sample.name: sample for sample in samples}
    mistakes: dict[str, list[Mistake]] = {}
    for cluster, members in before.members.items():
        if not cluster.isdecimal():
            continue
        mistakes[cluster] = []
        for index in members:
            result = before.results[index]
            if result.name not in by_name:
                raise BenchmarkError(f"The clustering has a sample {result.name} that the benchmark lacks; give the same --originals_path.")
            if result.name in translations:
                mistake = find_mistake(result, before.briefs[index], by_name[result.name], translations[result.name], prompt_format, pair)
                mistakes[cluster] += [mistake] if mistake else []
    return mistakes


def write_drafts(path: Path, drafts: dict[str, Draft], column: str) -> None:
    """Write the drafts as a CSV that edits can be computed from, once a person has completed and judged every ``target_new``.

    Args:
        drafts: by cluster.
        column: of the target cluster, ``layer_{L}_{mlp_or_tc}``.

    Raises:
        BenchmarkError: if there are other drafts, which a person may have worked on.
    """
    fields = ["Error", "brief_description", "prompt", "subject", "target_new", column, "note"]
    notes = {True: "target_new is the compiler's proposal; judge it", False: "target_new is missing; write what the model should say"}
    rows = [
        dict(zip(fields, (name, draft.mistake.message, draft.prompt, draft.subject, draft.proposal, name, notes[bool(draft.proposal)]), strict=True))
        for name, draft in drafts.items()
    ]
    if path.exists():
        csv.field_size_limit(sys.maxsize)
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            if list(csv.DictReader(file)) != rows:
                raise BenchmarkError(f"{path} holds other drafts, perhaps completed ones; move it, or name another --output_path.")
    write_csv(path, fields, rows)


def page(before: Clustering, mistakes: dict[str, list[Mistake]], drafts: dict[str, Draft], clusters: Sequence[str], examples: int) -> str:
    """The clusters, examples of the ``clusters`` chosen, and their drafts, as Markdown."""
    total = len(before.results)
    out = ["# Main clusters and drafts of edit requests", "", "| cluster | samples | share | typical message |", "|---|---|---|---|"]
    for name, own in sorted(before.members.items(), key=lambda item: -len(item[1])):
        message = _code(before.typical_message(name)) if name.isdecimal() else ""
        out.append(f"| {name} | {len(own)} | {len(own) / total:.1%} | {_cell(message)} |")
    out += [f"| all | {total} | 100.0% | |", ""]
    rows = list(drafts)
    for name in clusters:
        size, known = len(before.members[name]), mistakes[name]
        out += [f"## Cluster {name}: {size} {'sample' if size == 1 else 'samples'}", "", _code(before.typical_message(name)), ""]
        if name not in drafts:
            out += ["No message names a line of a translation, so there is no place at which a request could act.", ""]
            continue
        out += [f"The D line is known for {len(known)} of {size}. Examples:", "", "| sample | Java | D |", "|---|---|---|"]
        for mistake in _different(known)[:examples]:
            java, d = mistake.java.split("\n")[mistake.java_line].strip(), mistake.d_line.strip()
            out.append(f"| {mistake.name} | {_cell(_code(java))} | {_cell(_code(d))} |")
        draft = drafts[name]
        proposal = f"{_code(draft.proposal)}, a proposal from the compiler's message" if draft.proposal else "for a person to write"
        out += [
            "",
            f"Row {rows.index(name)} of {DRAFT} is a draft for {draft.mistake.name}, of which the compiler says {_code(draft.mistake.message)}:",
            "",
            f"- the prompt ends with {_code(draft.prompt.format(draft.subject).strip().rpartition(chr(10))[2].strip())}",
            f"- subject: {_code(draft.subject)}",
            f"- target_new: {proposal}",
            "",
        ]
    return "\n".join(out)


def _different(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """The first mistake of every D line."""
    return list({mistake.d_line.strip(): mistake for mistake in reversed(mistakes)}.values())[::-1]


def _code(text: str) -> str:
    """``text`` as inline code, whatever it holds."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if "`" in text or text != text.strip() else ""
    return f"{fence}{space}{text}{space}{fence}".replace("\n", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _prompt_of(model_name: str | None, prompt_format: PromptFormat, pair: LanguagePairName) -> Callable[[str], str]:
    """The benchmark's prompt for a Java function: as the model's chat template has it, or without a template."""
    if model_name in (None, REFERENCE):
        log.warning("No model with a chat template is named (--MODEL_NAME), so the prompts have none.")
        return lambda java: f"{question(java, prompt_format, pair)}\n{answer_opening(pair)}"
    from transformers import AutoTokenizer

    try:
        return partial(translation_prompt, AutoTokenizer.from_pretrained(model_name), prompt_format=prompt_format, pair=pair)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"Cannot load the tokeniser of {model_name} ({reason}); give the model with --MODEL_NAME.") from error


def main() -> None:
    """Command line: ``python -m d_running.correction_knowledge BEFORE``."""
    parser = ArgumentParser(prog="python -m d_running.correction_knowledge", description=__doc__)
    parser.add_argument("before", type=Path, help="folder of a noKE run, or of another clustering with its translations")
    parser.add_argument("--translations", type=Path, help=f"folder of ID.d files (by default {TRANSLATIONS} in the folder)")
    parser.add_argument("--originals_path", type=Path, help="folder of ID.java files, or a kecode.csv (by default the run's)")
    parser.add_argument("--d_params_path", type=Path, help="folder of ID.d test programs; not needed with a kecode.csv (the run's)")
    parser.add_argument("--language_pair", choices=get_args(LanguagePairName), help=f"{LANGUAGE_PAIR_HELP} (the run's)")
    parser.add_argument("--MODEL_NAME", help="model whose chat template the prompts have (the run's)")
    parser.add_argument("--prompt_format", choices=get_args(PromptFormat), help=f"{PROMPT_FORMAT_HELP} (the run's)")
    parser.add_argument("--layer_num", type=int, help="layer that is to be edited (the run's)")
    parser.add_argument("--mlp_or_tc", help="kind of edit, which names the requests' column with the layer (the run's)")
    parser.add_argument("--output_path", type=Path, help=f"folder for {PAGE} and {DRAFT} (the clustering's)")
    parser.add_argument("--clusters", type=int, default=10, help="how many of the largest clusters get a draft (%(default)s)")
    parser.add_argument("--examples", type=int, default=5, help="examples of each on the page (%(default)s)")
    arguments = parser.parse_args()
    for name in ("clusters", "examples"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, not {getattr(arguments, name)}.")
    if arguments.layer_num is not None and arguments.layer_num < 0:
        raise UserError(f"--layer_num must be at least 0, not {arguments.layer_num}.")
    before, folder = read_clustering(arguments.before), clustering_folder(arguments.before)
    run = _run_settings(folder)
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    settings = run | given
    if missing := [name for name in ("originals_path", "layer_num", "mlp_or_tc") if settings.get(name) is None]:
        raise BenchmarkError(f"{folder} has no {RUN_FILE} that says {', '.join(missing)}; give {', '.join('--' + name for name in missing)}.")
    pair = settings.get("language_pair", JAVA_D)
    samples = load_samples(Path(settings["originals_path"]), Path(settings["d_params_path"]) if settings.get("d_params_path") else None, pair)
    translations = read_translations(settings.get("translations", folder / TRANSLATIONS), samples, language_pair(pair).suffix)
    prompt_format = settings.get("prompt_format", PROMPT_FORMAT)
    mistakes = find_mistakes(before, samples, translations, prompt_format, pair)
    clusters = sorted(mistakes, key=lambda name: (-len(before.members[name]), int(name)))[: arguments.clusters]
    prompt_of = _prompt_of(settings.get("MODEL_NAME"), prompt_format, pair)
    drafts = {name: draft for name in clusters if (draft := draft_request(mistakes[name], prompt_of))}
    output = settings.get("output_path", folder)
    write_drafts(output / DRAFT, drafts, f"layer_{settings['layer_num']}_{settings['mlp_or_tc']}")
    write_text(output / PAGE, page(before, mistakes, drafts, clusters, arguments.examples))
    proposed = sum(bool(draft.proposal) for draft in drafts.values())
    sys.stdout.write(f"{len(mistakes)} clusters, drafts for {len(drafts)} of the {len(clusters)} largest, {proposed} with a proposed target_new\n")
    sys.stdout.write(f"{output / PAGE}\n{output / DRAFT}\n")


def _run_settings(folder: Path) -> dict[str, Any]:
    """What the run that made the clustering says of itself; nothing if no run made it."""
    if not (folder / RUN_FILE).exists():
        return {}
    config = read_json(folder / RUN_FILE, "the run's description").get("config", {})
    kind = config.get("mlp_or_tc") or ("TC" if config.get("TC_layer_file") else "MLP")
    settings = {name: config[name] for name in ("originals_path", "d_params_path", "MODEL_NAME", "prompt_format", "language_pair") if name in config}
    return settings | ({"layer_num": config["layer_num"], "mlp_or_tc": kind} if config.get("layer_num", -1) >= 0 else {})


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
