"""CPU time of a step of the search for a value, against the naive reference of the tests.

A random Llama of 12 layers and width 512, edited in layer 7, on two cores: prompts of 200 tokens with the subject at 75 %, 11 contexts.
Run it with ``python -m benchmarks.compute_v``.
"""

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from huggingface.architectures import down_projection
from tcpe.compute_v import ValueSettings, compute_value
from tcpe.contexts import Context, RequestContexts
from tests.tcpe.naive_rome import naive_shift
from tests.tiny import tiny_tokenizer

LAYER, TOKENS, CONTEXTS, TARGET = 7, 200, 11, 5
VOCABULARY = 32000


def random_model() -> LlamaForCausalLM:
    """12 layers of Llama's proportions, in float32, whose distributions are far from uniform."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=512, intermediate_size=1376, num_hidden_layers=12, num_attention_heads=8, initializer_range=0.02
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def random_contexts() -> RequestContexts:
    """Prompts of random tokens, each the same after the subject, and an essence prompt of the subject and two tokens."""
    suffix = torch.randint(VOCABULARY, (TOKENS // 4,)).tolist()
    heads = torch.randint(VOCABULARY, (CONTEXTS, TOKENS - len(suffix))).tolist()
    prompts = [Context("", head + suffix, len(head) - 1, plain=head is heads[0]) for head in heads]
    return RequestContexts(prompts, Context("", suffix[:6], 3), [torch.randint(VOCABULARY, (TARGET,)).tolist()] * CONTEXTS)


def seconds_per_step(search: Callable[[int], Tensor], steps: int) -> tuple[float, float, Tensor]:
    """CPU seconds of one step, CPU seconds of everything before the first one, and what the search found."""
    times = []
    for number in (1, 1 + steps):
        start = time.process_time()
        shift = search(number)
        times.append(time.process_time() - start)
    step = (times[1] - times[0]) / steps
    return step, times[0] - step, shift


def main() -> None:
    """Print both sides, their ratio, and how far their results are apart."""
    torch.set_num_threads(2)
    steps = 4
    model, contexts = random_model(), random_contexts()

    def fast(number: int) -> Tensor:
        return compute_value(model, tiny_tokenizer(), LAYER, contexts, ValueSettings(learning_rate=0.05, steps=number)).shift

    def naive(number: int) -> Tensor:
        return naive_shift(model, down_projection(model, LAYER), contexts, number, 0.05, 4)[1]

    fast(1)  # what is set up once in a process is no part of either side
    naive_step, naive_start, naive_delta = seconds_per_step(naive, steps)
    fast_step, fast_start, fast_delta = seconds_per_step(fast, steps)
    apart = (fast_delta - naive_delta).norm() / naive_delta.norm()
    sys.stdout.write(
        f"naive      {naive_step:7.3f} CPU seconds a step, {naive_start:6.2f} before the first\n"
        f"compute_v  {fast_step:7.3f} CPU seconds a step, {fast_start:6.2f} before the first\n"
        f"ratio      {naive_step / fast_step:7.1f}; after {1 + steps} steps the two shifts are {apart:.1e} apart\n"
    )


if __name__ == "__main__":
    main()
