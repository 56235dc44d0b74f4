"""Makes everything under data/demo again: model, transcoder, functions, texts and edit requests.

usage: python -m demo.make_all   (about an hour on two cores; stop it at will, the same command continues)
"""

import json
import logging
import random
from dataclasses import asdict
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from demo.corpus import draw_example
from demo.datasets import TEST_SEED, VALIDATION_SEED, held_out_java, write_dataset
from demo.edit_requests import request_rows
from demo.settings import DATA, LAYER
from demo.train_model import TrainingConfig, train_and_save
from huggingface.load import load_model_and_tokenizer
from huggingface.transcoder import save_transcoder
from sae_training.activations import collect_mlp_activations
from sae_training.config import Recipe
from sae_training.trainer import measure_fit, train_transcoder
from util.cli import ArgumentParser, run_main
from util.files import write_csv, write_text

TRANSCODER_TEXTS, MOMENT_TEXTS = 2000, 600
TRANSCODER_SEED, MOMENT_SEED, FIT_SEED = 1001, 1002, 1003

RECIPE = Recipe(
    activation="relu",
    encoder_init="kaiming",
    b_dec_init_method="mean",
    l1_coefficient=4e-2,
    l1_warm_up_steps=600,
    lr=2e-3,
    lr_warm_up_steps=60,
    total_training_tokens=6000 * 1024,
    seed=0,
)
"""Of the transcoder: about 16 features a token are active."""

logger = logging.getLogger(__name__)


def draw_texts(seed: int, count: int, tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Prompts with answers, as the model was trained on, but drawn with another seed."""
    rng, held_out = random.Random(seed), held_out_java()
    return ["".join(draw_example(rng, tokenizer, held_out)) for _ in range(count)]


def make_transcoder(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Train the transcoder of layer `LAYER` and write it with its fit on texts that it was not trained on."""
    activations = collect_mlp_activations(model, tokenizer, LAYER, draw_texts(TRANSCODER_SEED, TRANSCODER_TEXTS, tokenizer))
    transcoder = train_transcoder(activations, RECIPE)
    fit = measure_fit(transcoder, collect_mlp_activations(model, tokenizer, LAYER, draw_texts(FIT_SEED, 300, tokenizer)))
    logger.info("the transcoder leaves %.4f of the variance unexplained with %.1f active features, %d dead", fit.fvu, fit.l0, fit.dead)
    save_transcoder(transcoder, DATA / "transcoder", model_name="the embedded model", hook_layer=LAYER, training=asdict(RECIPE), fit=asdict(fit))


def main() -> None:
    ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    train_and_save(TrainingConfig(), DATA / "model", Path("runs/demo_model"))
    model, tokenizer = load_model_and_tokenizer(str(DATA / "model"))
    make_transcoder(model, tokenizer)
    texts = draw_texts(MOMENT_SEED, MOMENT_TEXTS, tokenizer)
    write_text(DATA / "texts.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    rows = request_rows(tokenizer)
    write_csv(DATA / "edit_requests.csv", list(rows[0]), rows)
    write_dataset(VALIDATION_SEED, DATA / "validation.csv")
    write_dataset(TEST_SEED, DATA / "test.csv")


if __name__ == "__main__":
    run_main(main, continues=True)
