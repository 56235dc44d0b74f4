"""Training TopK transcoders on a GPU: tokens a second beside dense products in float32, on random activations.

``python -m benchmarks.training_gpu``

Both sides take the same batches, in one process, one after the other. The dense side is what the loss says, written down: all pre-activations, their
k largest, a matrix with zeros for the others, its product with the decoder, and Adam.
"""

import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import linear

from sae_training.config import Recipe
from sae_training.trainer import LayerTrainer
from util.cli import ArgumentParser, run_main
from util.errors import UserError

SHAPES = [(576, 18432), (2048, 65536), (4096, 131072)]
BATCHES = (1024, 8192)
K, WARM_UP_STEPS, STEPS = 32, 5, 20


def activations(tokens: int, width: int) -> tuple[Tensor, Tensor]:
    """What sparse features make: inputs and outputs, each [token, width]."""
    features = (torch.randn(tokens, 4 * width, device="cuda") - 2).relu()
    mix = torch.randn(4 * width, width, device="cuda") / width**0.5
    return features @ mix, features.roll(1, 1) @ mix


def dense_step(width: int, n_features: int) -> Callable[[Tensor, Tensor], None]:
    """A training step of the dense side."""
    encoder, decoder = (torch.nn.Parameter(torch.randn(n_features, width, device="cuda") / width**0.5) for _ in range(2))
    optimizer = torch.optim.Adam([encoder, decoder], lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        before = linear(x, encoder)
        values, places = before.topk(K, dim=-1)
        features = torch.zeros_like(before).scatter_(1, places, values.relu())
        optimizer.zero_grad()
        (features @ decoder - y).square().mean().backward()
        optimizer.step()

    return step


def tokens_a_second(step: Callable[[Tensor, Tensor], object], x: Tensor, y: Tensor) -> float:
    """How fast ``step`` is on the same batch again and again, once it is warm."""
    for number in range(WARM_UP_STEPS + STEPS):
        if number == WARM_UP_STEPS:
            torch.cuda.synchronize()
            started = time.perf_counter()
        step(x, y)
    torch.cuda.synchronize()
    return STEPS * len(x) / (time.perf_counter() - started)


def main() -> None:
    ArgumentParser(prog="python -m benchmarks.training_gpu", description=__doc__).parse_args()
    if not torch.cuda.is_available():
        raise UserError("This measures a GPU, and torch sees none; benchmarks.transcoder_training measures the CPU.")
    torch.manual_seed(0)
    names = "d", "features", "batch", "ours, tokens/s", "dense, tokens/s", "ratio", "GiB, ours"
    lines = [torch.cuda.get_device_name(), f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for width, n_features in SHAPES:
        inputs, outputs = activations(max(BATCHES), width)
        for batch in BATCHES:
            x, y = inputs[:batch], outputs[:batch]
            torch.cuda.reset_peak_memory_stats()
            trainer = LayerTrainer(Recipe(expansion_factor=n_features // width, k=K, total_training_tokens=10**7, train_batch_size=batch), x, y)
            ours = tokens_a_second(partial(trainer.train_step, report=False), x, y)
            peak = torch.cuda.max_memory_allocated() / 2**30
            del trainer
            dense = tokens_a_second(dense_step(width, n_features), x, y)
            lines.append(f"| {width} | {n_features} | {batch} | {ours:,.0f} | {dense:,.0f} | {ours / dense:.2f} | {peak:.1f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    run_main(main)
