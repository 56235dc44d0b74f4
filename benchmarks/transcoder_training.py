"""Training a TopK transcoder: ours against EleutherAI's sparsify and a plain dense implementation, same activations, same tokens.

``python -m benchmarks.transcoder_training`` (sparsify: ``pip install eai-sparsify``; without it that side is left out)

Speed is tokens per second of processor time, so that other work on the machine changes little; quality is the fraction of variance
unexplained on tokens that nobody was trained on. Activations are made up: sums of a few out of many directions, as in a model's residual
stream, and the targets the same sums of other directions. Everything is float32. Ours and the dense side have one recipe and the same
weights at the start; sparsify has its own start, and its default optimizer (signed momentum, schedule-free) or Adam with our schedule and
a third of our rate: at the default it is better with 1e-3 than with 3e-3.
"""

import sys
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear
from tqdm import tqdm

from sae_training.config import Recipe
from sae_training.evaluation import FitMeter
from sae_training.trainer import LayerTrainer, default_learning_rate, learning_rate
from util.cli import ArgumentParser, run_main

WIDTH, EXPANSION, K, BATCH = 512, 32, 32, 1024
CONCEPTS, ACTIVE, NOISE = 4096, 20, 0.02
TEST_TOKENS, WARM_UP_STEPS = 4096, 3

Pair = tuple[Float[Tensor, "token width"], Float[Tensor, "token width"]]


class Side(NamedTuple):
    """One competitor: a training step, and what it predicts with which features."""

    step: Callable[[Tensor, Tensor], None]
    predict: Callable[[Tensor], tuple[Tensor, Tensor]]


def make_activations(n_tokens: int, seed: int) -> Pair:
    """Inputs and outputs with about ``ACTIVE`` of ``CONCEPTS`` directions each, frequent and rare ones, far from mean zero."""
    generator = torch.Generator().manual_seed(0)
    read, write = (torch.nn.functional.normalize(torch.randn(CONCEPTS, WIDTH, generator=generator), dim=1) for _ in range(2))
    shift = torch.randn(2, WIDTH, generator=generator)
    generator.manual_seed(seed)
    frequency = 1 / torch.arange(10, CONCEPTS + 10)
    chosen = torch.multinomial(frequency.expand(n_tokens, -1), ACTIVE, generator=generator)
    strengths = torch.empty(n_tokens, ACTIVE).exponential_(generator=generator) + 0.5
    sums = [torch.nn.functional.embedding_bag(chosen, table, per_sample_weights=strengths, mode="sum") for table in (read, write)]
    x, y = (part + offset + NOISE * torch.randn(part.shape, generator=generator) for part, offset in zip(sums, shift))
    return x, y


def ours(recipe: Recipe, sample: Pair) -> Side:
    """The trainer of this project."""
    trainer = LayerTrainer(recipe, *sample)

    def predict(x: Tensor) -> tuple[Tensor, Tensor]:
        exported = trainer.export()
        return exported(x), exported.encode(x)

    def step(x: Tensor, y: Tensor) -> None:
        trainer.train_step(x, y, report=False)

    return Side(step, predict)


def dense(recipe: Recipe, sample: Pair) -> Side:
    """The same recipe in plain autograd: features in a dense matrix, every product dense. Frozen; nothing here is to become faster."""
    trainer = LayerTrainer(recipe, *sample)
    start = trainer.transcoder
    parameters = [p.detach().clone().requires_grad_() for p in (start.W_enc, start.b_enc, start.W_dec, start.b_dec, start.b_dec_out)]
    w_enc, b_enc, w_dec, b_dec, b_dec_out = parameters
    optimizer = torch.optim.Adam(parameters, lr=trainer.lr, fused=True)
    done = 0

    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        h = linear(x / start.scale_in - b_dec, w_enc, b_enc)
        best = h.topk(recipe.k, dim=-1)
        features = torch.zeros_like(h).scatter(-1, best.indices, best.values.relu())
        return features @ w_dec + b_dec_out, features

    def step(x: Tensor, y: Tensor) -> None:
        nonlocal done
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, done, trainer.lr)
        loss = (forward(x)[0] - y / start.scale_out).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done += 1

    def predict(x: Tensor) -> tuple[Tensor, Tensor]:
        y, features = forward(x)
        return y * start.scale_out, features

    return Side(step, predict)


def sparsify(recipe: Recipe, sample: Pair, own_optimizer: bool) -> Side:
    """sparsify's coder and loss as its trainer uses them: biases from the first activations, the loss is the batch's FVU.

    Raises:
        ImportError: if it is not installed.
    """
    from schedulefree import ScheduleFreeWrapper
    from sparsify.config import SparseCoderConfig
    from sparsify.sign_sgd import SignSGD
    from sparsify.sparse_coder import SparseCoder

    torch.manual_seed(recipe.seed)
    rate = recipe.lr or default_learning_rate(recipe, WIDTH)
    coder = SparseCoder(WIDTH, SparseCoderConfig(expansion_factor=EXPANSION, k=recipe.k, transcode=True))
    with torch.no_grad():
        coder.encoder.bias.copy_(-sample[0].mean(0) @ coder.encoder.weight.T)
        coder.b_dec.copy_(sample[1].mean(0))
    if own_optimizer:
        optimizer = ScheduleFreeWrapper(SignSGD(coder.parameters(), lr=5e-3 / (coder.num_latents / 2**14) ** 0.5), momentum=0.95)
        optimizer.train()
    else:
        optimizer = torch.optim.Adam(coder.parameters(), lr=rate, fused=True)
    done = 0

    def step(x: Tensor, y: Tensor) -> None:
        nonlocal done
        if not own_optimizer:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, done, rate) / 3
        coder(x, y).fvu.backward()
        optimizer.step()
        optimizer.zero_grad()
        done += 1

    def predict(x: Tensor) -> tuple[Tensor, Tensor]:
        if own_optimizer:
            optimizer.eval()
        out = coder(x)
        features = torch.zeros(len(x), coder.num_latents).scatter(1, out.latent_indices, out.latent_acts)
        return out.sae_out, features

    return Side(step, predict)


class Measured(NamedTuple):
    """Tokens per second of processor time and of the clock, and the fit on unseen tokens."""

    per_cpu_second: float
    per_second: float
    fvu: float
    l0: float


def race(sides: dict[str, Side], batches: Iterable[Pair], steps: int, test: Pair) -> dict[str, Measured]:
    """Train all sides on the same batches, turn by turn, so that what else the machine does hits all of them."""
    cpu, wall = dict.fromkeys(sides, 0.0), dict.fromkeys(sides, 0.0)
    for number, (x, y) in enumerate(tqdm(batches, total=steps, disable=None)):
        for name, side in sides.items():
            started, clock = time.process_time(), time.perf_counter()
            side.step(x, y)
            if number >= WARM_UP_STEPS:
                cpu[name] += time.process_time() - started
                wall[name] += time.perf_counter() - clock
    tokens, results = (steps - WARM_UP_STEPS) * BATCH, {}
    for name, side in sides.items():
        meter = FitMeter(WIDTH * EXPANSION)
        with torch.no_grad():
            for x, y in zip(test[0].split(BATCH), test[1].split(BATCH)):
                prediction, features = side.predict(x)
                meter.add(prediction, y, features)
        results[name] = Measured(tokens / cpu[name], tokens / wall[name], meter.fvu, meter.l0)
    return results


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40, help=f"steps of {BATCH} tokens (default: 40)")
    parser.add_argument("--lr", type=float, default=3e-3, help="learning rate of Adam (default: 0.003)")
    parser.add_argument("--threads", type=int, default=1, help="threads; with more, waiting for a busy machine counts as work (default: 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    steps = max(arguments.steps, WARM_UP_STEPS + 1)
    recipe = Recipe(
        expansion_factor=EXPANSION,
        k=K,
        lr=arguments.lr,
        lr_warm_up_steps=5,
        b_dec_init_method="mean",
        train_batch_size=BATCH,
        total_training_tokens=steps * BATCH,
    )
    sample = make_activations(8192, seed=1)
    sides = {"ours": ours(recipe, sample), "dense": dense(recipe, sample)}
    try:
        sides["sparsify"] = sparsify(recipe, sample, own_optimizer=True)
        sides["sparsify, Adam"] = sparsify(recipe, sample, own_optimizer=False)
    except ImportError as error:
        sys.stderr.write(f"sparsify is left out: {error}; pip install eai-sparsify brings it.\n")
    results = race(sides, (make_activations(BATCH, seed=100 + i) for i in range(steps)), steps, make_activations(TEST_TOKENS, seed=2))
    print(f"d = {WIDTH}, F = {WIDTH * EXPANSION}, k = {K}, {steps * BATCH} tokens, {arguments.threads} threads")  # noqa: T201
    print("side             tokens/CPU s  tokens/s    ours is     FVU     L0")  # noqa: T201
    for name, found in results.items():
        ratio = results["ours"].per_cpu_second / found.per_cpu_second
        print(f"{name:16} {found.per_cpu_second:12.0f}  {found.per_second:8.0f}  {ratio:8.2f} x  {found.fvu:.4f}  {found.l0:5.1f}")  # noqa: T201


if __name__ == "__main__":
    run_main(main)
