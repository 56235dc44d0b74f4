"""Trains the cross-layer transcoder of the embedded model that comes with it.

usage: python -m demo.train_clt   (about 4 minutes on one core; writes data/demo/clt)
"""

import logging
from dataclasses import asdict

import torch

from demo.make_all import FIT_SEED, TRANSCODER_SEED, draw_texts
from demo.settings import DATA
from huggingface.architectures import layers_of
from huggingface.cross_layer_transcoder import save_cross_layer
from huggingface.load import load_model_and_tokenizer
from huggingface.tokenization import batches, encode
from huggingface.transcoder import Sites
from sae_training.config import Recipe
from sae_training.cross_layer_evaluation import collect_pairs, evaluate_cross_layer
from sae_training.cross_layer_trainer import train_cross_layer
from util.cli import ArgumentParser, run_main

FOLDER = DATA / "clt"
TEXTS, FIT_TEXTS = 1000, 100
SEEDS = ((TRANSCODER_SEED, TEXTS), (FIT_SEED, FIT_TEXTS))
SITES = Sites("resid_mid", "mlp_out")
RECIPE = Recipe(activation="topk", k=8, total_training_tokens=3500 * 1024, seed=0)

logger = logging.getLogger(__name__)


def main() -> None:
    ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    model, tokenizer = load_model_and_tokenizer(str(DATA / "model"), device="cpu")
    rows = {seed: [encode(tokenizer, text).ids for text in draw_texts(seed, count, tokenizer)] for seed, count in SEEDS}
    sites = dict.fromkeys(range(len(layers_of(model))), SITES)
    # First tokens too: here they are no larger than others, so that the transcoder can stand in for the MLPs at every token.
    pairs = collect_pairs(model, sites, list(batches(rows[TRANSCODER_SEED], tokenizer.pad_token_id, "cpu", max_rows=32)), first_token=True)
    # Stored in half precision, whose rounding is in the measured fit.
    transcoder = train_cross_layer(pairs, RECIPE, SITES, first_token=True).half()
    figures = evaluate_cross_layer(model, tokenizer, transcoder.float(), rows[FIT_SEED])
    for layer, (found, _) in figures.items():
        logger.info("layer %d: %.4f of the variance unexplained, %.1f active features, %d dead", layer, found.fvu, found.l0, found.dead_features)
    found = figures[0][0]
    losses = found.ce_loss_with_sae, found.ce_loss_without_sae, found.ce_loss_with_ablation
    logger.info("cross entropy %.4f, the model's own %.4f, with constant MLPs %.4f", *losses)
    fit = {f"layer_{layer}": asdict(found) for layer, (found, _) in figures.items()}
    save_cross_layer(transcoder.to(torch.float16), FOLDER, model_name="the embedded model", training=asdict(RECIPE), fit=fit)


if __name__ == "__main__":
    run_main(main)
