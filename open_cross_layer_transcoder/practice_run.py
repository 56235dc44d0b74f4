"""Trains a small cross-layer transcoder on a few texts, draws its features, compares the replaced model, and puts all pictures on one page.

usage: python -m open_cross_layer_transcoder.practice_run
       python -m open_cross_layer_transcoder.practice_run --MODEL_NAME gpt2 --texts my_texts.jsonl --output_file_path visualizations
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

from util.cli import ArgumentParser, run_main
from util.files import check_writable, shipped

PROMPT_TOKENS = 40


def main() -> None:
    parser = ArgumentParser(prog="python -m open_cross_layer_transcoder.practice_run", description=__doc__.splitlines()[0])
    parser.add_argument("--MODEL_NAME", default=shipped("data/demo/model"), help="model folder or name on the hub (default: the embedded model)")
    parser.add_argument("--texts", default=shipped("data/demo/texts.jsonl"), help="file of texts (default: those of the embedded model)")
    parser.add_argument("--n_texts", type=int, default=64, metavar="N", help="texts to train on (default: 64)")
    parser.add_argument("--num_features", type=int, default=100, metavar="N", help="features of each layer (default: 100)")
    parser.add_argument("--num_epochs", type=int, default=12, metavar="N", help="passes over the texts (default: 12)")
    parser.add_argument("--output_file_path", type=Path, default=Path("visualizations"), metavar="PATH", help="folder (default: visualizations)")
    given = parser.parse_args()
    check_writable(given.output_file_path)

    from huggingface.tokenization import decode, encode
    from open_cross_layer_transcoder import OpenCrossLayerTranscoder, ReplacementModel
    from open_cross_layer_transcoder.page import write_page
    from open_cross_layer_transcoder.visualization_utils import run_visualization_suite
    from util.texts import Texts

    texts = list(islice(Texts([given.texts], flag="--texts").read(0), given.n_texts))
    transcoder = OpenCrossLayerTranscoder(given.MODEL_NAME, given.num_features)
    metrics = transcoder.train_transcoder(texts, num_epochs=given.num_epochs, learning_rate=3e-3, l1_sparsity_coefficient=2e-3)
    prompts = [decode(transcoder.tokenizer, encode(transcoder.tokenizer, text).ids[:PROMPT_TOKENS]) for text in texts[:8]]
    run_visualization_suite(transcoder, prompts, given.output_file_path)
    replacement = ReplacementModel(given.MODEL_NAME, transcoder)
    found = replacement.compare_with_original(prompts[0], 2 * PROMPT_TOKENS, given.output_file_path / "comparison.png")
    transcoder.save_model(given.output_file_path / "transcoder")
    notes = "\n".join(
        [
            f"{len(texts)} texts, {len(metrics['total_loss'])} steps, {given.num_features} features a layer, {metrics['l0'][-1]:.1f} of them active",
            f"loss {metrics['total_loss'][0]:.4f} at the start, {metrics['total_loss'][-1]:.4f} at the end",
            f"logits of the replacement: cosine {found.cosine.mean():.4f}, mean squared difference {found.mse.mean():.4f}",
            f"the same next token at {found.agreement:.0%} of the tokens",
            f"original:    {found.original_text!r}",
            f"replacement: {found.replacement_text!r}",
        ]
    )
    sys.stdout.write(f"{notes}\n{write_page(given.output_file_path, notes=notes)}\n")


if __name__ == "__main__":
    run_main(main)
