"""The edit requests of the real translator, one an error, from what it gets wrong in development functions.

usage: python -m examples.real_requests --noKE RUN --functions CSV --output_path data/real/edit_requests.csv

RUN is the output folder of a noKE run on the functions. Where the model's D shows the error's wrong form, a context ends just before it,
and its target is the right form with the rest of the line.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from d_running.cluster import read_clustering
from d_running.dataset import Sample, load_samples
from d_running.harness import FUNCTION_NAME as D_NAME
from d_running.java_text import FUNCTION_NAME as JAVA_NAME
from d_running.java_text import natural_java
from d_running.prompt import translation_prompt
from d_running.unit_test import read_translations
from examples.functions import part_of
from examples.smollm2 import RUNS, make_translator
from stages.run_folder import TRANSLATIONS
from tcpe.request import RequestContext, target_column
from util.cli import ArgumentParser, run_main
from util.errors import BenchmarkError
from util.files import write_csv

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ADAPTER, TRANSCODER = Path("data/real/adapter"), Path("data/real/transcoder")
REQUESTS = Path("data/real/edit_requests.csv")
LAYER, KIND = 22, "TC_ef8"
CONTEXTS = 24
"""Places that are averaged into one request's key and value, the request's own prompt among them."""
CONTINUED = 40
"""A target goes on behind the right form with what the model wrote there, to its line's end, to the error's next place or so many
characters: a value that is searched for the right form alone makes the model write it again and again (docs/real_model.md)."""


class Correction(NamedTuple):
    """What is the same in all places of an error."""

    brief_description: str
    """A typical message of the compiler; the cluster that is nearest to it is the target."""
    wrong: str
    """A regular expression of the wrong form, whose group ``wrong`` begins where right and wrong part."""
    right: str
    """The right form, with the groups of ``wrong``."""
    subject: str
    """What the model gets wrong, as it stands in the Java, with the groups of ``wrong``."""


_TYPE = r"(?:int|long|double|char|bool|string)"
CORRECTIONS = {
    # The fourth large cluster, for loops over a sequence, has no request: docs/real_model.md says what was tried.
    "cast": Correction(
        "Error: C style cast illegal, use `cast(int)peak`", rf"(?P<wrong> \((?P<type>{_TYPE})\)) ?[\w(]", r" cast(\g<type>)", r"(\g<type>)"
    ),
    "array": Correction(
        "Error: instead of C-style syntax, use D-style `int[] best`", rf"\b{_TYPE}(?P<wrong> (?P<name>\w+)\[\]) =", r"[] \g<name>", "[]"
    ),
    "length": Correction(
        "Error: cannot implicitly convert expression `arr.length` of type `ulong` to `int`",
        r"\w =(?P<wrong> (?P<name>\w+(?:\[\w+\])?)\.length)(?: - \d+)?[,;]",
        r" cast(int) \g<name>.length",
        ".length",
    ),
}


def places(correction: Correction, prompt: str, d: str) -> tuple[RequestContext, str] | None:
    """The first place of the error in a translation and its subject; None if there is none."""
    match = re.search(correction.wrong, d)
    if match is None:
        return None
    subject = match.expand(correction.subject)
    if subject not in prompt:
        return None
    rest = re.split(correction.wrong, d[match.end("wrong") :].partition("\n")[0][:CONTINUED])[0]
    return {"prompt": prompt + d[: match.start("wrong")], "target_new": match.expand(correction.right) + rest}, subject


def request_rows(tokenizer: "PreTrainedTokenizerBase", samples: list[Sample], translations: dict[str, str]) -> list[dict[str, str]]:
    """The rows of the request CSV.

    Args:
        translations: the model's D of failed samples, by name.

    Raises:
        BenchmarkError: if an error is in none of them.
    """
    rows = []
    for number, (name, correction) in enumerate(CORRECTIONS.items()):
        found = [
            place
            for sample in samples
            if sample.name in translations
            for d in [translations[sample.name].replace(D_NAME, JAVA_NAME)]
            if (place := places(correction, translation_prompt(tokenizer, natural_java(sample.java)), d))
        ][:CONTEXTS]
        if not found:
            raise BenchmarkError(f"No failed translation shows the error {name} ({correction.wrong}); take another noKE run.")
        (first, subject), *more = found
        before, _, after = first["prompt"].partition(subject)
        doubled = [text.replace("{", "{{").replace("}", "}}") for text in (before, after)]
        rows.append(
            {
                "Error": str(number),
                "brief_description": correction.brief_description,
                "prompt": "{}".join(doubled),
                "subject": subject,
                "target_new": first["target_new"],
                target_column(LAYER, KIND): "",
                target_column(LAYER, "MLP"): "",
                "contexts": json.dumps([context for context, _ in more]),
            }
        )
    return rows


def main() -> None:
    """Command line, see the module's first lines."""
    from transformers import AutoTokenizer

    parser = ArgumentParser(prog="python -m examples.real_requests", description=__doc__.splitlines()[0])
    parser.add_argument("--noKE", type=Path, required=True, help="output folder of the noKE run")
    parser.add_argument("--functions", type=Path, required=True, help="its functions")
    parser.add_argument("--output_path", type=Path, default=REQUESTS, help="default: %(default)s")
    arguments = parser.parse_args()
    samples = [sample for sample in load_samples(arguments.functions) if part_of(sample.name) == "training"]
    failed = {result.name for result in read_clustering(arguments.noKE).results if not result.success}
    translations = {name: d for name, d in read_translations(arguments.noKE / TRANSLATIONS, samples).items() if name in failed}
    rows = request_rows(AutoTokenizer.from_pretrained(make_translator(ADAPTER, RUNS / "translator")), samples, translations)
    write_csv(arguments.output_path, list(rows[0]), rows)


if __name__ == "__main__":
    run_main(main)
