"""Short names for the content of a model and a tokeniser, to key what was computed from them."""

import hashlib

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

SAMPLED_ENTRIES = 4096
"""Entries of a tensor that go into the digest as they are; the sum stands for the rest, so that 7 billion weights take seconds."""


def model_digest(model: nn.Module) -> str:
    """Changes with any tensor's name, type or shape, and (but for sums that stay equal) with any weight."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().flatten()
        sample = flat[:: max(1, flat.numel() // SAMPLED_ENTRIES)].cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} {flat.sum(dtype=torch.float64).item()}".encode())
        digest.update(sample.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Changes with anything that changes how texts are tokenised."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
