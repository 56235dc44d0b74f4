"""How much the sparse second moment saves: CPU time of sums, of the whole pass, and of a second request.

A random Llama (12 layers, width 512), with a transcoder of 16384 features in layer 7 of which about 50 fire at a token. The dense side is
what is usually done: the product of all features with all, in float64 as here and in float32, added up in place. It is measured on fewer
tokens and scaled per token. All times are CPU time of one run; with one thread, because waiting threads count as work.

``OMP_NUM_THREADS=1 python -m benchmarks.second_moment [--texts 480]``
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import down_projection
from huggingface.transcoder import Transcoder
from huggingface.transcoder_adapter import splice_transcoder
from tcpe.second_moment import SecondMoment, SecondMomentSum, cached_second_moment
from tests.tiny import tiny_tokenizer
from util.cli import ArgumentParser
from util.hooks import Trace

FEATURES, LAYER, WIDTH, ACTIVE, TEXT_TOKENS, EPSILON = 16384, 7, 512, 50, 200, 1e-3


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of ``work``, over all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def random_texts(n: int, seed: int) -> list[str]:
    """Texts of two-byte letters, and as many tokens as bytes: the tokeniser has no merges for these."""
    generator = numpy.random.default_rng(seed)
    return ["".join(map(chr, generator.integers(128, 2048, TEXT_TOKENS // 2))) for _ in range(n)]


def ids_of(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """The texts' tokens [text, token]."""
    return torch.tensor([tokenizer(text).input_ids[:TEXT_TOKENS] for text in texts])


@torch.no_grad()
def model_with_transcoder(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A random model whose transcoder has some common features, many rare ones, and about ``ACTIVE`` at a token."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=12,
        intermediate_size=1376,
        num_attention_heads=8,
        initializer_range=0.1,
    )
    model = LlamaForCausalLM(config).eval()
    zeros = torch.zeros(FEATURES), torch.zeros(WIDTH)
    transcoder = Transcoder.from_matrices(torch.randn(WIDTH, FEATURES), zeros[0], torch.randn(FEATURES, WIDTH) / 100, zeros[1])
    with Trace(model.model.layers[LAYER].mlp, stop=True) as trace:
        model(input_ids=ids_of(tokenizer, random_texts(32, seed=0)), use_cache=False)
    # A feature's rank decides how often it fires, as rank^-0.5; its bias is the quantile that gives that share.
    shares = (torch.arange(1, FEATURES + 1) ** -0.5)[torch.randperm(FEATURES)]
    shares = (shares * ACTIVE / shares.sum()).clamp(max=0.5)
    hidden = transcoder.up_proj(trace.input.flatten(0, 1)).sort(0).values
    transcoder.up_proj.bias.copy_(-hidden.gather(0, ((1 - shares) * (len(hidden) - 1)).long()[None])[0])
    splice_transcoder(model, LAYER, transcoder)
    return model


def features_of(model: PreTrainedModel, batch: torch.Tensor) -> torch.Tensor:
    """The transcoder's features over a batch [token, feature], by a forward pass that ends there."""
    with torch.no_grad(), Trace(down_projection(model, LAYER), stop=True) as trace:
        model(input_ids=batch, use_cache=False)
    return trace.input.flatten(0, 1)


def sparse_seconds(activations: torch.Tensor) -> float:
    """CPU time per token of the sums."""
    total, repeats = SecondMomentSum(), 8

    def add() -> None:
        for _ in range(repeats):
            total.add(activations)
        total.settle()

    add()  # so that the matrix's memory is there, as it is for nearly all of a long pass
    return cpu_seconds(add) / repeats / len(activations)


def dense_seconds(activations: torch.Tensor, dtype: torch.dtype) -> float:
    """CPU time per token of adding a dense product to a square matrix."""
    square = torch.zeros(FEATURES, FEATURES, dtype=dtype)

    def add() -> None:
        rows = activations.to(dtype)
        square.addmm_(rows.T, rows)

    add()
    return cpu_seconds(add) / len(activations)


def difference(activations: torch.Tensor) -> float:
    """Between the sparse and the dense second moment, relative to the largest entry."""
    total = SecondMomentSum()
    total.add(activations)
    moment = total.mean()
    rows = activations[:, moment.fired].double()
    every, largest, difference = numpy.arange(len(moment.fired)), 0.0, 0.0
    for part in numpy.array_split(every, 32):
        expected = (rows[:, part].T @ rows / len(rows)).numpy()
        largest = max(largest, numpy.abs(expected).max())
        difference = max(difference, numpy.abs(moment.matrix.entries(part, every) - expected).max())
    return difference / largest


def residual(moment: SecondMoment, solution: torch.Tensor, key: torch.Tensor) -> float:
    """Of (C + epsilon I) x = key, over the features that fired, relative to the key's largest entry."""
    every, x = numpy.arange(len(moment.fired)), solution.numpy()[moment.fired]
    product = numpy.concatenate([moment.matrix.entries(part, every) @ x for part in numpy.array_split(every, 64)]) + EPSILON * x
    return float(numpy.abs(product - key.double().numpy()[moment.fired]).max() / key.max())


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=480, help=f"texts of about {TEXT_TOKENS} tokens (default: 256)")
    n_texts = parser.parse_args().texts
    tokenizer = tiny_tokenizer()
    model, texts = model_with_transcoder(tokenizer), random_texts(n_texts, seed=1)
    key, write = torch.rand(FEATURES), sys.stdout.write
    with tempfile.TemporaryDirectory() as folder:
        request = partial(cached_second_moment, Path(folder), model, tokenizer, LAYER, texts)
        passed = cpu_seconds(request)
        factored = cpu_seconds(lambda: request().solve(key, EPSILON))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        second = cpu_seconds(lambda: request().solve(key, EPSILON))
        moment = request()
        error = residual(moment, moment.solve(key, EPSILON), key)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    batch = ids_of(tokenizer, texts[:10])
    activations = features_of(model, batch)
    forward = cpu_seconds(lambda: features_of(model, batch)) / len(activations)
    sparse, whole = sparse_seconds(activations), passed / moment.n_tokens
    dense = {str(dtype).removeprefix("torch."): dense_seconds(activations, dtype) for dtype in (torch.float32, torch.float64)}
    active = float((activations != 0).sum(1).double().mean())
    write(f"{active:.1f} of {FEATURES} features fire at a token, {len(moment.fired)} in all\n\n")
    write(f"{'CPU microseconds per token':40}{'dense':>10}{'here':>10}{'ratio':>8}\n")
    for name, seconds in dense.items():
        write(f"{'products, dense in ' + name:40}{1e6 * seconds:>10.0f}{1e6 * sparse:>10.1f}{seconds / sparse:>8.0f}\n")
    for name, seconds in dense.items():
        write(f"{'whole pass, dense in ' + name:40}{1e6 * (forward + seconds):>10.0f}{1e6 * whole:>10.0f}{(forward + seconds) / whole:>8.1f}\n")
    write(f"of either pass, the forward pass alone takes about {1e6 * forward:.0f}; the dense one was measured on {len(activations)} tokens\n\n")
    write(f"largest difference from the dense matrix, relative to its largest entry: {difference(activations):.0e}\n")
    write(f"{moment.n_tokens} tokens: pass {passed:.1f} s, factor and solve {factored:.1f} s; {size / 1e9:.2f} GB on disk\n")
    write(f"second request {second:.2f} s, {second / (passed + factored):.1%} of the first; relative residual of the solve {error:.0e}\n")
    write(f"peak memory of the process until its first solution: {peak:.2f} GiB\n")


if __name__ == "__main__":
    main()
