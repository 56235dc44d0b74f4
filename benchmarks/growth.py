"""How each stage's cost grows: CPU seconds on the embedded model with more functions, texts, steps and features, and on wider random models.

CPU time, not time on a clock, so that other work on the machine matters little; with one thread, because waiting threads count as work.

``OMP_NUM_THREADS=1 python -m benchmarks.growth``
"""

import csv
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from d_running.config import UnitTestConfig
from d_running.dataset import load_samples
from d_running.prompt import benchmark_prompt
from d_running.translate import reference_translations, translate_samples, write_translations
from d_running.unit_test import run_unit_tests
from demo.settings import DATA, EDIT, KIND, LAYER
from huggingface.generation import greedy_generate
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.transcoder import TopK, Transcoder
from huggingface.transcoder_adapter import spliced
from tcpe.compute_v import ValueSettings, compute_value
from tcpe.contexts import build_contexts
from tcpe.request import load_request
from tcpe.second_moment import collect_second_moment
from tcpe.symmetric import PackedSymmetric
from tcpe.texts import load_texts
from util.cli import ArgumentParser, run_main

BATCH, WIDE_LAYERS, ACTIVE = 8, 6, 16


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of ``work``, over all threads and the processes that it starts."""

    def now() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    start = now()
    work()
    return now() - start


def row(what: str, sizes: Iterable[int], work: Callable[[int], object]) -> None:
    """Measure ``work`` at each size and print a line."""
    cells = [f"{size}: {cpu_seconds(partial(work, size)):.2f} s" for size in sizes]
    sys.stdout.write(f"{what:44} {', '.join(cells)}\n")
    sys.stdout.flush()


def factor(n: int) -> None:
    """Factorise a second moment of ``n`` features, positive definite."""
    moment = PackedSymmetric(n)
    half = numpy.ones((1, n))
    moment.add_gram(lambda left, right: half[:, left].T @ half[:, right])
    moment.cholesky(1.0)


def random_model(width: int, vocabulary: int) -> LlamaForCausalLM:
    """As deep as the embedded model."""
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=WIDE_LAYERS, intermediate_size=3 * width, num_attention_heads=4
    )
    return LlamaForCausalLM(config).eval()


def main() -> None:
    ArgumentParser(description=__doc__).parse_args()
    csv.field_size_limit(sys.maxsize)
    torch.manual_seed(0)
    model, tokenizer = load_model_and_tokenizer(str(DATA / "model"), "cpu", "float32", None, False)
    samples = load_samples(DATA / "validation.csv", None)
    texts = load_texts(EDIT["mom2_dataset"], 100)
    prompt_of = partial(benchmark_prompt, tokenizer)
    generate = partial(greedy_generate, model, tokenizer, batch_size=BATCH)
    with tempfile.TemporaryDirectory() as name, torch.no_grad(), spliced(model, LAYER, load_transcoder(str(DATA / "transcoder"), LAYER)):
        work = Path(name)

        def translate(n: int) -> None:
            translate_samples(samples[:n], generate, prompt_of, work / f"translated_{n}", BATCH)

        row("translation, without drafts, by functions", (8, 16, 32), translate)
        write_translations(reference_translations(samples[:16]), work / "right")
        row(
            "judging, by functions",
            (4, 8, 16),
            lambda n: run_unit_tests(work / "right", samples[:n], work, UnitTestConfig(jobs=1, cache_dir=work / f"c{n}")),
        )
        row("statistics, by texts", (25, 50, 100), lambda n: collect_second_moment(model, tokenizer, LAYER, texts[:n]))
        contexts = build_contexts(tokenizer, load_request(str(DATA / "edit_requests.csv"), 2, LAYER, KIND), (), "last")

        def search(steps: int) -> None:
            with torch.enable_grad():
                compute_value(model, tokenizer, LAYER, contexts, ValueSettings(0.1, steps))

        row("search for the value, by steps", (5, 10, 20), search)

    def with_features(n: int) -> None:
        with spliced(model, LAYER, Transcoder(model.config.hidden_size, n, model.config.hidden_size, TopK(ACTIVE))):
            collect_second_moment(model, tokenizer, LAYER, texts[:50])

    row(f"statistics of 50 texts, {ACTIVE} of F features", (1024, 2048, 4096), with_features)
    row("Cholesky factor, F features that all fire", (1024, 2048, 4096), factor)
    models = {width: random_model(width, model.config.vocab_size) for width in (128, 256, 512)}
    prompts = [prompt_of(sample.java) for sample in samples[:BATCH]]
    row("statistics of 50 texts, width d, F = 3 d", models, lambda width: collect_second_moment(models[width], tokenizer, LAYER, texts[:50]))
    row("32 tokens of 8 answers, width d", models, lambda width: greedy_generate(models[width], tokenizer, prompts, 32, "\0", BATCH))


if __name__ == "__main__":
    run_main(main)
