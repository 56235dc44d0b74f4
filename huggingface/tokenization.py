"""One tokenisation for every purpose: the BOS token never doubled, offsets kept, padding by hand."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast


class Encoding(NamedTuple):
    """A tokenised text."""

    ids: list[int]
    """Token ids, with the special tokens that the tokeniser puts in front."""
    spans: list[tuple[int, int]]
    """For each token, the characters [start, end) of the text that it stands for; (0, 0) for added special tokens."""


class Batch(NamedTuple):
    """Rows of token ids padded to one length, as a model's forward takes them."""

    input_ids: Int[Tensor, "row column"]
    attention_mask: Int[Tensor, "row column"]
    position_ids: Int[Tensor, "row column"]


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> Encoding:
    """Tokenise ``text``; a text that already begins with the BOS token gets no second one."""
    begins_with_bos = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    encoded = tokenizer(text, add_special_tokens=not begins_with_bos, return_offsets_mapping=True)
    spans, previous_end = [], 0
    for start, end in encoded["offset_mapping"]:
        # Byte-level tokenisers leave the space of " int" out of the token's offsets: the token begins where the last one ended.
        spans.append((min(start, previous_end), end))
        previous_end = max(previous_end, end)
    return Encoding(encoded["input_ids"], spans)


def decode(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    """The text of ``ids`` without special tokens, spaces as they are."""
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def pad(rows: list[list[int]], pad_id: int, device: torch.device | str, side: str = "left") -> Batch:
    """Pad ``rows`` to the longest of them on one side; positions count real tokens only, from 0."""
    width = max(map(len, rows))
    fills = [[pad_id] * (width - len(row)) for row in rows]
    ids = [fill + row if side == "left" else row + fill for row, fill in zip(rows, fills)]
    mask = [[0] * len(fill) + [1] * len(row) if side == "left" else [1] * len(row) + [0] * len(fill) for row, fill in zip(rows, fills)]
    attention_mask = torch.tensor(mask, dtype=torch.long, device=device)
    return Batch(torch.tensor(ids, dtype=torch.long, device=device), attention_mask, positions(attention_mask))


def positions(attention_mask: Int[Tensor, "row column"]) -> Int[Tensor, "row column"]:
    """The position of each real token in its row; 0 on the padding."""
    return (attention_mask.cumsum(-1) - 1).clamp(min=0)
