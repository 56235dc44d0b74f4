"""Translating samples with a model: one file per sample, written as soon as its batch is done."""

from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from d_running.d_source import first_function, rename
from d_running.dataset import Sample
from d_running.harness import FUNCTION_NAME as D_NAME
from d_running.java_text import FUNCTION_NAME as JAVA_NAME
from d_running.java_text import natural_java
from util.errors import UserError
from util.files import write_text

SUFFIX = ".d"


def translate_samples(
    samples: list[Sample],
    generate: Callable[[list[str]], list[str]],
    prompt_of: Callable[[str], str],
    folder: Path,
    batch_size: int,
) -> None:
    """Write the translation of every sample to ``folder``/ID.d; files that are there already are kept.

    Args:
        samples: what to translate.
        generate: continues prompts, each as if it were alone.
        prompt_of: the prompt for a Java function (see `prompt.translation_prompt`).
        folder: where the files go; what else it holds is left alone.
        batch_size: prompts handed to ``generate`` at a time.

    Raises:
        UserError: if the batch size is not positive or the folder cannot be written to.
    """
    if batch_size < 1:
        raise UserError(f"The translation batch size must be at least 1, not {batch_size}.")
    folder = Path(folder)
    files = {sample.name: folder / (sample.name + SUFFIX) for sample in samples}
    prompts = {sample.name: prompt_of(natural_java(sample.java)) for sample in samples if not files[sample.name].exists()}
    names = sorted(prompts, key=lambda name: (-len(prompts[name]), name))  # alike lengths together: less padding
    with tqdm(desc="Translating", total=len(names), disable=None) as progress:
        for start in range(0, len(names), batch_size):
            batch = names[start : start + batch_size]
            for name, answer in zip(batch, generate([prompts[name] for name in batch]), strict=True):
                write_text(files[name], d_function(answer))
            progress.update(len(batch))


def d_function(answer: str) -> str:
    """The D function of a model's answer under the name that the test programs call.

    An answer without a whole function is taken as it is: it fails to compile, and is counted as that.
    """
    found = first_function(answer)
    return rename(found[1] if found else answer, JAVA_NAME, D_NAME).rstrip() + "\n"
