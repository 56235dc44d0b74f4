"""Short names for the content of a model and a tokeniser, to key what was computed from them."""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import architecture_of, layers_of

SAMPLED_ENTRIES = 4096
"""Entries of a tensor that go into the digest as they are; the sum stands for the rest, so that 7 billion weights take seconds."""

PART = 1 << 28
"""Bytes that are summed at a time."""


def model_digest(model: PreTrainedModel) -> str:
    """Changes with the configuration, any module's class, any tensor's name, type or shape, and (but for equal sums) any weight."""
    return _digest(model, lambda _: True)


def digest_below(model: PreTrainedModel, layer: int) -> str:
    """`model_digest` without ``layer`` and the layers behind it."""
    later = tuple(f"{architecture_of(model).layers}.{number}." for number in range(layer, len(layers_of(model))))
    return _digest(model, lambda name: not f"{name}.".startswith(later))


def _digest(model: PreTrainedModel, counts: Callable[[str], bool]) -> str:
    """Of the modules and tensors whose names count."""
    digest = hashlib.sha256(model.config.to_json_string().encode())
    digest.update(repr([(name, type(module).__name__) for name, module in model.named_modules() if counts(name)]).encode())
    for name, tensor in sorted(item for item in model.state_dict().items() if counts(item[0])):
        flat = tensor.detach().flatten()
        sample = flat[:: max(1, flat.numel() // SAMPLED_ENTRIES)].cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} {_sum(flat)}".encode())
        digest.update(sample.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _sum(flat: Tensor) -> int:
    """The sum of a tensor, whatever the number of threads: of its bytes as integers, which have no rounding."""
    whole = flat.contiguous().view(torch.uint8)
    return sum(int(part.sum(dtype=torch.int64)) for part in whole.split(PART))


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Changes with anything that changes how texts are tokenised or prompts are written."""
    return hashlib.sha256(f"{tokenizer.backend_tokenizer.to_str()}{tokenizer.chat_template}".encode()).hexdigest()
