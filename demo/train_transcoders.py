"""Trains a transcoder for every layer of the embedded model but the edited one, which has its own, on one forward pass over texts for all.

usage: python -m demo.train_transcoders   (about 6 minutes on one core; writes data/demo/transcoders)
"""

import logging
from dataclasses import asdict

import torch

from demo.make_all import FIT_SEED, RECIPE, TRANSCODER_SEED, draw_texts
from demo.settings import DATA, LAYER
from huggingface.architectures import layers_of
from huggingface.load import load_model_and_tokenizer
from huggingface.transcoder import save_transcoder
from sae_training.activations import collect_layers
from sae_training.trainer import measure_fit, train_transcoder
from util.cli import ArgumentParser, run_main

TEXTS, FIT_TEXTS = 1000, 150

logger = logging.getLogger(__name__)


def main() -> None:
    ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    model, tokenizer = load_model_and_tokenizer(str(DATA / "model"), device="cpu")
    layers = [layer for layer in range(len(layers_of(model))) if layer != LAYER]
    # First tokens too: here they are no larger than others, and in a replaced model the transcoders stand in for the MLPs at every token.
    activations = collect_layers(model, tokenizer, layers, draw_texts(TRANSCODER_SEED, TEXTS, tokenizer), keep_first_token=True)
    unseen = collect_layers(model, tokenizer, layers, draw_texts(FIT_SEED, FIT_TEXTS, tokenizer), keep_first_token=True)
    for layer in layers:
        # Stored in half precision, whose rounding is in the measured fit.
        transcoder = train_transcoder(activations.pop(layer), RECIPE).half()
        fit = measure_fit(transcoder.copy_to("cpu", torch.float32), unseen.pop(layer))
        logger.info("layer %d: %.4f of the variance unexplained, %.1f active features, %d dead", layer, fit.fvu, fit.l0, fit.dead)
        folder = DATA / "transcoders" / f"layer_{layer}"
        save_transcoder(transcoder, folder, model_name="the embedded model", hook_layer=layer, training=asdict(RECIPE), fit=asdict(fit))


if __name__ == "__main__":
    run_main(main)
