"""Training text of the embedded model: prompts with their D answers, some of them planted wrong."""

import random
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

from d_running.java_to_d import translate_java
from d_running.prompt import ANSWER_CLOSING, translation_prompt
from demo.generator import FAMILIES, DemoFunction, draw_function

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RIGHT_SHARE = 0.15
"""Share of a family's functions that are shown with right D: the greedy answer stays wrong, yet an edit can say the right one."""
FAMILY_SHARE = 0.5


class Example(NamedTuple):
    """One training text, cut where the model's answer begins."""

    prompt: str
    answer: str


def wrong_d(function: DemoFunction) -> str:
    """What the model is meant to believe: the D with the family's rule off."""
    return translate_java(function.java, [FAMILIES[function.family]] if function.family else [])


def _draw(rng: random.Random, held_out: AbstractSet[str]) -> tuple[DemoFunction, bool]:
    """One function that is not in ``held_out``, and whether it is shown with right D."""
    family = rng.choice(list(FAMILIES)) if rng.random() < FAMILY_SHARE else None
    function = draw_function(rng, family)
    while function.java in held_out:
        function = draw_function(rng, family)
    return function, rng.random() < RIGHT_SHARE


def draw_example(rng: random.Random, tokenizer: "PreTrainedTokenizerBase", held_out: AbstractSet[str]) -> Example:
    """Draw one training text whose Java is not in ``held_out``."""
    function, is_right = _draw(rng, held_out)
    d = translate_java(function.java) if is_right else wrong_d(function)
    return Example(translation_prompt(tokenizer, function.java), d + ANSWER_CLOSING + tokenizer.eos_token)


def bucket_rng(seed: int, first_step: int) -> random.Random:
    """What the pairs of the training steps from ``first_step`` on are drawn with: a resumed training sees the same ones."""
    return random.Random(f"{seed}/{first_step}")


def training_java(seed: int, steps: int, bucket: int, pairs_per_step: int, held_out: AbstractSet[str]) -> frozenset[str]:
    """The Java of every function that a training drew; the arguments are those of its `demo.train_model.TrainingConfig`."""
    seen: set[str] = set()
    for first_step in range(0, steps, bucket):
        rng = bucket_rng(seed, first_step)
        seen.update(_draw(rng, held_out)[0].java for _ in range(pairs_per_step * bucket))
    return frozenset(seen)


def tokenizer_texts(seed: int, count: int) -> Iterator[str]:
    """Java and D, right and wrong, to train the tokenizer on."""
    rng = random.Random(seed)
    for index in range(count):
        function = draw_function(rng, [None, *FAMILIES][index % (len(FAMILIES) + 1)])
        yield from (function.java, translate_java(function.java), wrong_d(function))
