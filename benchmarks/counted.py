"""Checks the formulas of docs/estimates.md: operations and bytes that PyTorch counts in real models, beside what the formulas say.

``python -m benchmarks.counted`` needs no weights: a forward pass is counted on shapes alone, and one step of the search for the value on a
model of random weights with SmolLM2's widths.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from benchmarks.estimates import CONTEXT_TOKENS, MODEL, Model
from huggingface.tokenization import encode
from tcpe.compute_v import ValueSettings, compute_value
from tcpe.contexts import build_contexts
from tcpe.request import EditRequest

SMOLLM2 = Model(layers=30, d=576, d_mlp=1536, vocabulary=49152, key_value=192, tied=True, bytes=4)
LAYER = 22
TOKENIZER = "data/demo/model"
TARGET = " cast(int)"


def config(model: Model) -> LlamaConfig:
    """As transformers has it."""
    head = 64 if model.d == SMOLLM2.d else 128
    return LlamaConfig(
        vocab_size=model.vocabulary,
        hidden_size=model.d,
        intermediate_size=model.d_mlp,
        num_hidden_layers=model.layers,
        num_attention_heads=model.d // head,
        num_key_value_heads=model.key_value // head,
        tie_word_embeddings=model.tied,
        max_position_embeddings=8192,
    )


def counted(run: Callable[[], Any]) -> int:
    """The floating point operations of matrix products in ``run``, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def value_step(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> int:
    """Of one step of the search for the value: what three steps take more than two."""
    first, *more = texts
    request = EditRequest.from_text(first, TARGET, contexts=[{"prompt": text, "target_new": TARGET} for text in more])
    contexts = build_contexts(tokenizer, request, (), "last")
    two, three = (counted(partial(compute_value, model, tokenizer, LAYER, contexts, ValueSettings(0.1, steps))) for steps in (2, 3))
    return three - two


def rows() -> list[tuple[str, float, float]]:
    """What is counted, PyTorch's number and the formula's."""
    found: list[tuple[str, float, float]] = []
    for name, model in (("SmolLM2-135M", SMOLLM2), ("CodeLlama-7b", MODEL)):
        with torch.device("meta"):
            shapes = LlamaForCausalLM(config(model)).eval()
            places = torch.arange(CONTEXT_TOKENS)[None]
            # A mask that is there already: the model would look into one that it makes.
            given = {"input_ids": places, "position_ids": places, "attention_mask": torch.zeros(1, 1, CONTEXT_TOKENS, CONTEXT_TOKENS)}
        found.append((f"{name}: weights", sum(weight.numel() for weight in shapes.parameters()), model.weights))
        with torch.no_grad():
            flops = counted(partial(shapes.model, **given, use_cache=False))
            cache = shapes.model(**given, use_cache=True).past_key_values
        found.append((f"{name}: forward, {CONTEXT_TOKENS} tokens", flops, model.forward_flops(CONTEXT_TOKENS, CONTEXT_TOKENS, model.layers)))
        size = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers) * model.bytes
        found.append((f"{name}: bytes of keys and values", size, model.key_value_bytes(CONTEXT_TOKENS, model.layers)))
    torch.manual_seed(0)
    texts = [f"long area{number} = (int) width * height; return" for number in range(9)]
    real = LlamaForCausalLM(config(SMOLLM2)).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(TOKENIZER)
    length, later = len(encode(tokenizer, texts[0] + TARGET).ids), SMOLLM2.layers - LAYER - 1
    tail = (len(texts) + 1) * (length - len(encode(tokenizer, texts[0]).ids))
    formula = 2 * (SMOLLM2.forward_flops(tail, length, later) + 2 * tail * SMOLLM2.vocabulary * SMOLLM2.d)
    found.append(("SmolLM2-135M: one step of the value", value_step(real, tokenizer, texts), formula))
    return found


def main() -> None:
    """Command line, see the module's first lines."""
    for name, number, formula in rows():
        sys.stdout.write(f"{name:45}{number:>12.4g}{formula:>12.4g}{number / formula:>8.3f}\n")


if __name__ == "__main__":
    main()
