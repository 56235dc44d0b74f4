"""Training a TopK transcoder on what a real model's MLP reads and writes: ours at its defaults against EleutherAI's sparsify.

``python -m benchmarks.transcoder_training --MODEL_NAME data/demo/model --layer_num 2 --dataset data/demo/texts.jsonl``
(sparsify: ``pip install eai-sparsify``; without it that side is left out)

Every side trains on the same batches, step by step in turn, so that what else the machine does hits all of them. Speed is tokens per second of
processor time; quality is the fraction of variance unexplained (FVU) on texts that nobody was trained on, at equal tokens, and then at equal
processor time: a rival is trained again, for as many tokens as it gets through in the time that ours took. sparsify runs with its default
optimizer (signed momentum, schedule-free) at its default rate and at others, of which the best counts; ours has no setting but its defaults.
``--dense`` adds our recipe in plain dense autograd.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from huggingface.load import load_model_and_tokenizer
from huggingface.tokenization import encode
from sae_training.activations import MLPActivations, collect_mlp_activations
from sae_training.config import Recipe
from sae_training.evaluation import FitMeter
from sae_training.trainer import LayerTrainer, learning_rate, shuffled_batches
from util.cli import ArgumentParser, run_main
from util.errors import UserError
from util.files import write_atomically
from util.progress import Progress
from util.texts import Texts

TEST_SHARE, TEST_BATCH, WARM_UP_STEPS, SAMPLE = 0.05, 2048, 3, 20_000


class Side(NamedTuple):
    """One competitor: a training step, and what it predicts with which features."""

    step: Callable[[Tensor, Tensor], None]
    predict: Callable[[Tensor], tuple[Tensor, Tensor]]


def ours(recipe: Recipe, sample: MLPActivations) -> Side:
    """The trainer of this project."""
    trainer = LayerTrainer(recipe, *sample)

    def step(x: Tensor, y: Tensor) -> None:
        trainer.train_step(x, y, report=False)

    def predict(x: Tensor) -> tuple[Tensor, Tensor]:
        exported = trainer.export()
        return exported(x), exported.encode(x)

    return Side(step, predict)


def dense(recipe: Recipe, sample: MLPActivations) -> Side:
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


def sparsify(recipe: Recipe, sample: MLPActivations, rate: float) -> Side:
    """sparsify's coder, loss and optimizer as its trainer uses them: biases from the first activations, the loss is the batch's FVU.

    Args:
        rate: of learning, as a share of its default.

    Raises:
        ImportError: if it is not installed.
    """
    from schedulefree import ScheduleFreeWrapper
    from sparsify.config import SparseCoderConfig
    from sparsify.sign_sgd import SignSGD
    from sparsify.sparse_coder import SparseCoder

    torch.manual_seed(recipe.seed)
    coder = SparseCoder(sample.inputs.shape[1], SparseCoderConfig(expansion_factor=recipe.expansion_factor, k=recipe.k, transcode=True))
    with torch.no_grad():
        coder.encoder.bias.copy_(-sample.inputs.mean(0) @ coder.encoder.weight.T)
        coder.b_dec.copy_(sample.outputs.mean(0))
    optimizer = ScheduleFreeWrapper(SignSGD(coder.parameters(), lr=rate * 5e-3 / (coder.num_latents / 2**14) ** 0.5), momentum=0.95)
    optimizer.train()

    def step(x: Tensor, y: Tensor) -> None:
        coder(x, y).fvu.backward()
        optimizer.step()
        optimizer.zero_grad()

    def predict(x: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.eval()
        out = coder(x)
        return out.sae_out, torch.zeros(len(x), coder.num_latents).scatter(1, out.latent_indices, out.latent_acts)

    return Side(step, predict)


class Measured(NamedTuple):
    """A side's tokens per second of processor time, and its fit on unseen tokens."""

    per_cpu_second: float
    fvu: float
    dead: float


def race(sides: dict[str, Side], train: MLPActivations, test: MLPActivations, recipe: Recipe, steps: int) -> dict[str, Measured]:
    """Train all sides for ``steps`` on the same batches, and measure them."""
    cpu = dict.fromkeys(sides, 0.0)
    batches = shuffled_batches(len(train.inputs), recipe.train_batch_size, recipe.seed)
    for number in Progress(range(steps), desc=f"{', '.join(sides)}", leave=False):
        rows = next(batches)
        x, y = train.inputs[rows].float(), train.outputs[rows].float()
        for name, side in sides.items():
            started = time.process_time()
            side.step(x, y)
            if number >= WARM_UP_STEPS:
                cpu[name] += time.process_time() - started
    results, tokens = {}, (steps - WARM_UP_STEPS) * recipe.train_batch_size
    for name, side in sides.items():
        meter = FitMeter(recipe.expansion_factor * train.inputs.shape[1])
        fired = torch.zeros_like(meter.fired)
        with torch.no_grad():
            for x, y in zip(test.inputs.split(TEST_BATCH), test.outputs.split(TEST_BATCH)):
                prediction, features = side.predict(x.float())
                meter.add(prediction, y.float(), features)
            # Features that are rare look dead on few tokens.
            for x in train.inputs[: 4 * SAMPLE].split(TEST_BATCH):
                fired += (side.predict(x.float())[1] != 0).sum(0)
        dead = ((meter.fired + fired) == 0).double().mean().item()
        results[name] = Measured(tokens / cpu[name], meter.fvu, dead)
    return results


def activations_of(name: str, layer: int, dataset: str, tokens: int, path: Path | None) -> tuple[MLPActivations, MLPActivations]:
    """Activations to train on, and of other texts to measure on; float16 to spare memory.

    Args:
        path: where they are kept, if anywhere.

    Raises:
        UserError: if there are too few texts.
    """
    if path is not None and path.exists():
        saved = torch.load(path, weights_only=True)
        return MLPActivations(*saved["train"]), MLPActivations(*saved["test"])
    model, tokenizer = load_model_and_tokenizer(name, "cpu")
    texts: list[str] = []
    found = 0
    for text in Texts(dataset).read():
        texts.append(text)
        found += min(len(encode(tokenizer, text).ids), 1024)
        if found >= tokens:
            break
    n_test = max(1, int(len(texts) * TEST_SHARE))
    if len(texts) < 2:
        raise UserError(f"{dataset} has {len(texts)} texts; to train on some and measure on others give more.")
    parts = {}
    for part, some in (("test", texts[:n_test]), ("train", texts[n_test:])):
        x, y = collect_mlp_activations(model, tokenizer, layer, some)
        parts[part] = MLPActivations(x.half(), y.half())
    if path is not None:
        write_atomically(path, lambda file: torch.save({part: tuple(pair) for part, pair in parts.items()}, file))
    return parts["train"], parts["test"]


def compare(
    recipe: Recipe, train: MLPActivations, test: MLPActivations, steps: int, with_dense: bool, shares: Sequence[float]
) -> list[str]:
    """The table's lines for one recipe; sparsify's rates are ``shares`` of its default."""
    sample = MLPActivations(train.inputs[:SAMPLE].float(), train.outputs[:SAMPLE].float())
    sides = {"ours": ours(recipe, sample)} | ({"dense": dense(recipe, sample)} if with_dense else {})
    rates = {f"sparsify, rate x {rate:.2g}": rate for rate in shares}
    try:
        sides |= {name: sparsify(recipe, sample, rate) for name, rate in rates.items()}
    except ImportError as error:
        sys.stderr.write(f"sparsify is left out: {error}; pip install eai-sparsify brings it.\n")
    results = race(sides, train, test, recipe, steps)
    lines, own = [], results["ours"].per_cpu_second
    for name, found in results.items():
        timed = ""
        if name in rates:
            # As many tokens as it gets through in the time that ours took, from the start.
            enough = max(WARM_UP_STEPS + 1, round(steps * found.per_cpu_second / own))
            again = race({name: sparsify(recipe, sample, rates[name])}, train, test, recipe, enough)[name]
            timed = f"{again.fvu:.4f}"
        lines.append(
            f"{train.inputs.shape[1]:5} {train.inputs.shape[1] * recipe.expansion_factor:6} {recipe.k:3}  {name:22} {found.per_cpu_second:11.0f}  "
            f"{own / found.per_cpu_second:7.2f} x  {found.fvu:.4f}  {timed:>7}  {found.dead:6.1%}"
        )
    return lines


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--MODEL_NAME", default="data/demo/model", help="model folder or name on the hub (default: %(default)s)")
    parser.add_argument("--layer_num", type=int, default=2, help="its layer (default: %(default)s)")
    parser.add_argument("--dataset", default="data/demo/texts.jsonl", help="texts (default: %(default)s)")
    parser.add_argument("--collected_tokens", type=int, default=600_000, help="at most so many tokens of them (default: %(default)s)")
    parser.add_argument("--activations", type=Path, help="file that keeps the activations for the next time")
    parser.add_argument("--total_training_tokens", type=int, default=600_000, help="tokens to train on (default: %(default)s)")
    parser.add_argument("--expansion_factor", type=int, nargs="*", default=[8, 32], help="features by width (default: 8 32)")
    parser.add_argument("--k", type=int, nargs="*", default=[16, 32], help="active features a token (default: 16 32)")
    parser.add_argument("--rates", type=float, nargs="*", default=[1 / 3, 1, 3], help="sparsify's rates, as shares of its default (default: 1/3 1 3)")
    parser.add_argument("--dense", action="store_true", help="also our recipe in plain dense autograd")
    parser.add_argument("--threads", type=int, default=1, help="threads; with more, waiting for a busy machine counts as work (default: 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    source = (arguments.MODEL_NAME, arguments.layer_num, arguments.dataset, arguments.collected_tokens, arguments.activations)
    train, test = activations_of(*source)
    head = "    d      F   k  side                    tokens/CPU s     ours is     FVU  at ours' time    dead\n"
    sys.stdout.write(f"{len(train.inputs)} tokens to draw from, {len(test.inputs)} to measure on, {arguments.threads} threads\n{head}")
    for factor in arguments.expansion_factor:
        for k in arguments.k:
            recipe = Recipe(expansion_factor=factor, k=k, total_training_tokens=arguments.total_training_tokens)
            for line in compare(recipe, train, test, max(recipe.steps, WARM_UP_STEPS + 1), arguments.dense, arguments.rates):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    run_main(main)
