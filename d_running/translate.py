"""Translating samples: with a model, one file per sample, written as soon as its batch is done; or with the reference."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

from d_running.d_source import rename
from d_running.dataset import Sample, load_functions, load_samples
from d_running.harness import FUNCTION_NAME as D_NAME
from d_running.java_text import FUNCTION_NAME as JAVA_NAME
from d_running.java_text import natural_java
from d_running.java_to_d import RULES, check_rules, translate_java
from d_running.language_pairs import JAVA_D, LANGUAGE_PAIR_HELP, LanguagePairName, language_pair
from util.cli import ArgumentParser
from util.errors import BenchmarkError, UserError
from util.files import write_text
from util.progress import Progress

log = logging.getLogger(__name__)


def translate_samples(
    samples: list[Sample],
    generate: Callable[[list[str]], list[str]],
    prompt_of: Callable[[str], str],
    folder: Path,
    batch_size: int,
    pair: LanguagePairName = JAVA_D,
    part: int = 0,
    parts: int = 1,
) -> None:
    """Write the translation of every sample without a problem to ``folder``/ID.d, or the pair's suffix; files that are there already are kept.

    The batches are the same in every call, also where some of their files are there, so that an interrupted call continues to the same bits.

    Args:
        samples: what to translate.
        generate: continues prompts, each as if it were alone.
        prompt_of: the prompt for a Java function of the benchmark (see `prompt.benchmark_prompt`).
        folder: where the files go; what else it holds is left alone.
        batch_size: prompts handed to ``generate`` at a time.
        pair: the name of the language pair.
        part: which of ``parts`` parts of the batches to translate, from 0; the batches do not depend on it.

    Raises:
        UserError: if the batch size is not positive or the folder cannot be written to.
    """
    if batch_size < 1:
        raise UserError(f"The translation batch size must be at least 1, not {batch_size}.")
    languages = language_pair(pair)
    files = {sample.name: languages.file(Path(folder), sample.name) for sample in samples}
    prompts = {sample.name: prompt_of(sample.java) for sample in samples if not sample.problem}
    names = sorted(prompts, key=lambda name: (-len(prompts[name]), name))  # alike lengths together: less padding
    there = {name for name, file in files.items() if file.exists()}
    batches = [names[start : start + batch_size] for start in range(0, len(names), batch_size)][part::parts]
    needed = [batch for batch in batches if not there.issuperset(batch)]
    with Progress(desc="Translating", total=sum(map(len, needed))) as progress:
        for batch in needed:
            for name, answer in zip(batch, generate([prompts[name] for name in batch]), strict=True):
                if name not in there:
                    write_text(files[name], function_of(answer, pair))
            progress.update(len(batch))


def function_of(answer: str, pair: LanguagePairName = JAVA_D) -> str:
    """The function of a model's answer under the name that the test programs call.

    An answer without a whole function is taken as it is: it fails to compile, and is counted as that.
    """
    languages = language_pair(pair)
    found = languages.first_function(answer)
    return languages.rename(found[1] if found else answer, JAVA_NAME, D_NAME).rstrip() + "\n"


def reference_translations(samples: Sequence[Sample], without: Sequence[str] = (), pair: LanguagePairName = JAVA_D) -> dict[str, str]:
    """The reference's translation of every sample without a problem, by name: of rules, or what the set has itself.

    Raises:
        BenchmarkError: for ``without`` if there is no such rule, or none at all; or if the set has no translations.
    """
    return language_pair(pair).reference(samples, without)


def translate_with_rules(samples: list[Sample], without: Iterable[str] = ()) -> dict[str, str]:
    """The reference's translation of every sample without a problem, by name.

    Where a construct has no rule, which the log says, the translation is a comment that says so: it fails to compile, and is counted as that.

    Args:
        without: names of `java_to_d.RULES` that are switched off.

    Raises:
        BenchmarkError: if one of them is no rule.
    """
    check_rules(without)
    translations = {}
    for sample in samples:
        if sample.problem:
            continue
        try:
            translations[sample.name] = rename(translate_java(natural_java(sample.java), without), JAVA_NAME, D_NAME) + "\n"
        except BenchmarkError as error:
            log.warning("%s fails, for it is not translated: %s", sample.name, error)
            translations[sample.name] = f"// {' '.join(str(error).split())}\n"
    return translations


def write_translations(translations: Mapping[str, str], folder: Path, overwrite: bool = False, pair: LanguagePairName = JAVA_D) -> None:
    """Write each translation to ``folder``/ID.d, or the pair's suffix; what else the folder holds is left alone.

    Raises:
        BenchmarkError: if another translation of a sample is there and ``overwrite`` is not set; nothing is written then.
    """
    languages = language_pair(pair)
    files = {languages.file(Path(folder), name): text for name, text in translations.items()}
    others = sorted(file for file, text in files.items() if file.exists() and file.read_bytes() != text.encode())
    if others and not overwrite:
        raise BenchmarkError(
            f"{folder} holds other translations of {len(others)} samples, first {others[0].name}; name another folder, or give --invalidate_cache."
        )
    for file, text in files.items():
        write_text(file, text)


def main() -> None:
    """Command line: ``python -m d_running.translate --originals_path … --output_path …``."""
    parser = ArgumentParser(prog="python -m d_running.translate", description="Translate Java functions with the reference: to D by rules.")
    parser.add_argument("--originals_path", type=Path, required=True, help="folder of ID.java files, or a kecode.csv; its tests are not needed")
    parser.add_argument("--d_params_path", type=Path, help="folder of ID.d test programs: only what can be judged with them is translated")
    parser.add_argument("--language_pair", choices=get_args(LanguagePairName), default=JAVA_D, help=f"{LANGUAGE_PAIR_HELP} (%(default)s)")
    parser.add_argument("--output_path", type=Path, required=True, help="folder for the ID.d files")
    parser.add_argument("--without_rule", nargs="*", default=[], help=f"rules to switch off, of {', '.join(RULES)}")
    parser.add_argument("--invalidate_cache", action="store_true", help="overwrite other translations in the folder")
    arguments = parser.parse_args()
    pair = arguments.language_pair
    if arguments.d_params_path is None and not language_pair(pair).gold_column:
        samples = load_functions(arguments.originals_path)
    else:
        samples = load_samples(arguments.originals_path, arguments.d_params_path, pair)
    translations = reference_translations(samples, arguments.without_rule, pair)
    write_translations(translations, arguments.output_path, arguments.invalidate_cache, pair)
    failed = sum(D_NAME not in text for text in translations.values())
    sys.stdout.write(f"{len(samples)} samples: {len(translations) - failed} translated, {len(samples) - len(translations) + failed} not\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
