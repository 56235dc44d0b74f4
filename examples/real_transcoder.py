"""Trains the transcoder of the real translator, in the layer that is edited.

usage: python -m examples.real_transcoder [--source DIR/java] --output_path data/real/transcoder

Its texts are prompts with the reference's answers, of this repository's development functions and of the public set's training functions, and
Python's own documentation; of the former a tenth is left for measuring. No test function is among them.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from d_running.dataset import Sample, load_functions
from d_running.java_text import natural_java
from d_running.java_to_d import translate_java
from d_running.prompt import ANSWER_CLOSING, translation_prompt
from examples.corpus import BENCHMARK
from examples.facts import documentation
from examples.functions import part_of, training_samples
from examples.real_requests import ADAPTER, LAYER, TRANSCODER
from examples.smollm2 import check_memory, make_translator
from huggingface.activations import Point, read_activations
from huggingface.load import load_model_and_tokenizer
from huggingface.tokenization import encode, pad
from huggingface.transcoder import Sites, save_transcoder
from sae_training.activations import MLPActivations
from sae_training.config import Recipe
from sae_training.evaluation import evaluate
from sae_training.hooked_model import hook_model
from sae_training.trainer import measure_fit, train_transcoder
from util.cli import ArgumentParser, run_main
from util.errors import BenchmarkError
from util.progress import Progress

logger = logging.getLogger(__name__)

RECIPE = Recipe(
    expansion_factor=8,
    activation="topk",
    k=48,
    total_training_tokens=1_000_000,
    encoder_init="transpose",
    encoder_dtype="float32",
    dead_feature_window=100,
)
ENGLISH_TOKENS = 12_000


def answered(tokenizer: PreTrainedTokenizerFast, samples: Sequence[Sample]) -> Iterator[str]:
    """The prompt of each function with the reference's answer, of those that the reference translates."""
    for sample in samples:
        java = natural_java(sample.java)
        try:
            answer = translate_java(java)
        except BenchmarkError:
            continue
        yield translation_prompt(tokenizer, java) + answer.rstrip() + ANSWER_CLOSING


def shared_tokens(rows: Sequence[list[int]]) -> int:
    """How many tokens all rows begin with."""
    return next(place for place, column in enumerate(zip(*rows)) if len(set(column)) > 1)


@torch.inference_mode()
def mlp_activations(model: PreTrainedModel, layer: int, rows: Sequence[list[int]], skip: int) -> MLPActivations:
    """What the layer's MLP reads and writes at the tokens of ``rows``; the first row's beginning stands for that of all."""
    points = Point(layer, "mlp_in"), Point(layer, "mlp_out")
    parts: list[list[torch.Tensor]] = [[], []]
    for number, row in enumerate(Progress(rows, desc="activations", unit="text")):
        found = read_activations(model, points, **pad([row], 0, model.device)._asdict(), use_cache=False)
        for part, point in zip(parts, points):
            part.append(found[point][0, skip if number else 1 :].float().cpu())
    return MLPActivations(*map(torch.cat, parts))


def main() -> None:
    """Command line, see the module's first lines."""
    parser = ArgumentParser(prog="python -m examples.real_transcoder", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="folder of ID.java files of the public TransCoder test set")
    parser.add_argument("--output_path", type=Path, default=TRANSCODER, help="folder for the transcoder (default: %(default)s)")
    arguments = parser.parse_args()
    check_memory()
    model, tokenizer = load_model_and_tokenizer(str(make_translator(ADAPTER)), device="cpu")
    own = [sample for sample in load_functions(BENCHMARK) if part_of(sample.name) == "training"]
    own.sort(key=lambda sample: hashlib.sha256(sample.name.encode()).digest())
    held_out, kept = own[: len(own) // 10], own[len(own) // 10 :]
    public = training_samples(load_functions(arguments.source), load_functions(BENCHMARK)) if arguments.source else []
    rows, unseen = ([encode(tokenizer, text).ids for text in answered(tokenizer, samples)] for samples in ([*kept, *public], held_out))
    skip = shared_tokens(rows)
    code = mlp_activations(model, LAYER, rows, skip)
    english = mlp_activations(model, LAYER, [encode(tokenizer, text).ids for text in documentation(tokenizer, ENGLISH_TOKENS)], 1)
    logger.info("%d tokens of translations and %d of English", len(code.inputs), len(english.inputs))
    transcoder = train_transcoder(MLPActivations(*map(torch.cat, zip(code, english))), RECIPE)
    fit = asdict(measure_fit(transcoder, mlp_activations(model, LAYER, unseen, skip)))
    sites = {LAYER: Sites(f"blocks.{LAYER}.mlp.hook_in", f"blocks.{LAYER}.mlp.hook_out")}
    watched = hook_model(ADAPTER.name, model, tokenizer, sites, "plain")
    in_model, _ = evaluate(watched, tokenizer, {LAYER: transcoder}, unseen, model.device, batch_size=1)[LAYER]
    fit["loss_recovered"] = in_model.loss_recovered
    logger.info("Of the variance on %d other functions %.4f is unexplained, with %.1f active features", len(unseen), fit["fvu"], fit["l0"])
    half = transcoder.copy_to("cpu", torch.float16)
    save_transcoder(half, arguments.output_path, model_name="the real translator", hook_layer=LAYER, training=asdict(RECIPE), fit=fit)


if __name__ == "__main__":
    run_main(main)
