"""The edit requests of the embedded model, one a family, written from validation functions.

usage: python -m demo.edit_requests --model data/demo/model --output data/demo/edit_requests.csv
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from d_running.java_to_d import translate_java
from d_running.prompt import translation_prompt
from demo.corpus import wrong_d
from demo.datasets import COUNT, VALIDATION_SEED
from demo.generator import FAMILIES, DemoFunction, draw_functions
from demo.settings import KIND, LAYER
from tcpe.request import RequestContext, target_column
from util.cli import ArgumentParser, run_main
from util.files import write_csv

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONTEXTS = 30
"""Prompts of one request that are averaged into its key and value."""


class Correction(NamedTuple):
    """What is the same in all requests of a family."""

    brief_description: str
    """A typical message of the compiler; the cluster that is nearest to it is the target."""
    subject: str
    """What the model gets wrong, as it stands in the Java."""


CORRECTIONS = {
    "array": Correction("Error: instead of C-style syntax, use D-style `int[] table`", "[] = new"),
    "cast": Correction("Error: C style cast illegal, use `cast(int)total`", "(int)"),
    "constant": Correction("Error: undefined identifier `Integer`", "Integer.MIN_VALUE"),
    "length": Correction("Error: cannot implicitly convert expression `arr.length` of type `ulong` to `int`", ".length"),
    "math": Correction("Error: undefined identifier `Math`", "Math.max"),
}
assert CORRECTIONS.keys() == FAMILIES.keys()


def correction_in(tokenizer: "PreTrainedTokenizerBase", function: DemoFunction) -> RequestContext:
    """The prompt of ``function`` with the D up to the token in which right and wrong part, and the rest of that line of the right D."""
    right, wrong = (tokenizer(d, add_special_tokens=False)["input_ids"] for d in (translate_java(function.java), wrong_d(function)))
    parting = next(index for index, (a, b) in enumerate(zip(right, wrong)) if a != b)
    before, behind = tokenizer.batch_decode([right[:parting], right[parting:]])
    return {"prompt": translation_prompt(tokenizer, function.java) + before, "target_new": behind.partition("\n")[0]}


def request_rows(tokenizer: "PreTrainedTokenizerBase") -> list[dict[str, str]]:
    """The rows of the request CSV."""
    functions = draw_functions(VALIDATION_SEED, COUNT)
    rows = []
    for number, (family, correction) in enumerate(CORRECTIONS.items()):
        own = [function for function in functions if function.family == family][:CONTEXTS]
        first, *others = [correction_in(tokenizer, function) for function in own]
        before, _, after = first["prompt"].partition(correction.subject)
        rows.append(
            {
                "Error": str(number),
                "brief_description": correction.brief_description,
                "prompt": "{}".join(part.replace("{", "{{").replace("}", "}}") for part in (before, after)),
                "subject": correction.subject,
                "target_new": first["target_new"],
                target_column(LAYER, KIND): "",  # the cluster's number depends on the draw; its message does not
                "contexts": json.dumps(others),
            }
        )
    return rows


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("data/demo/model"))
    parser.add_argument("--output", type=Path, default=Path("data/demo/edit_requests.csv"))
    arguments = parser.parse_args()
    from transformers import AutoTokenizer

    rows = request_rows(AutoTokenizer.from_pretrained(arguments.model))
    write_csv(arguments.output, list(rows[0]), rows)


if __name__ == "__main__":
    run_main(main)
