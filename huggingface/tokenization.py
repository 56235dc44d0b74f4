"""One tokenisation for every purpose: the BOS token never doubled, offsets kept, padding by hand."""

from collections.abc import Iterable, Iterator
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
    """Tokenise ``text``; one that already begins with the BOS token gets no second one, and none gets an end token behind it."""
    begins_with_bos = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    encoded = tokenizer(text, add_special_tokens=not begins_with_bos, return_offsets_mapping=True, return_special_tokens_mask=True)
    ids, spans, previous_end = encoded["input_ids"], [], 0
    # The mask marks what the tokeniser added itself. Every text here is to be continued, so an end token would be a mistake.
    if ids and encoded["special_tokens_mask"][-1] and ids[-1] == tokenizer.eos_token_id != tokenizer.bos_token_id:
        ids = ids[:-1]
    for token, (start, end) in zip(ids, encoded["offset_mapping"]):
        # Byte-level tokenisers leave the space of " int" out of the token's offsets: the token begins where the last one ended.
        start = min(start, previous_end)
        if start == end:  # and of a token of spaces at the text's very start they leave nothing
            spaces = tokenizer.convert_ids_to_tokens([token])[0]
            end += len(spaces) if not spaces.strip("Ġ") else 0
        spans.append((start, end))
        previous_end = max(previous_end, end)
    return Encoding(ids, spans)


_ANCHORS = ("\n", ".", ")", "1", "a")
"""Texts to tokenise something behind that does not begin a text; one of them is not drawn into its first token."""


def continuation(tokenizer: PreTrainedTokenizerFast, text: str, more: str) -> list[int] | None:
    """The tokens by which a model that has read the tokens of ``text`` goes on with ``more``.

    Mostly those behind ``text`` when both are tokenised together. Where the end of ``text`` and the beginning of ``more`` would be
    one token, ``text`` keeps its own tokens and ``more`` is tokenised as behind something that it does not merge with: alone, it
    would get the space that SentencePiece puts in front of a text.

    Returns:
        None if there are no such tokens, as when a tokeniser changes or drops characters of ``more``.
    """
    read, joint = encode(tokenizer, text).ids, encode(tokenizer, text + more).ids
    if joint[: len(read)] == read:
        return joint[len(read) :]
    for anchor in _ANCHORS:
        alone, joint = encode(tokenizer, anchor).ids, encode(tokenizer, anchor + more).ids
        ids = joint[len(alone) :]
        if joint[: len(alone)] == alone and decode(tokenizer, read + ids) == decode(tokenizer, read) + more:
            return ids
    return None


def decode(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    """The text of ``ids`` without special tokens, spaces as they are."""
    return tokenizer.batch_decode([ids], skip_special_tokens=True, clean_up_tokenization_spaces=False)[0]


def pad(rows: list[list[int]], pad_id: int, device: torch.device | str, side: str = "left") -> Batch:
    """Pad ``rows`` to the longest of them on one side; positions count real tokens only, from 0."""
    width = max(map(len, rows))
    fills = [[pad_id] * (width - len(row)) for row in rows]
    ids = [fill + row if side == "left" else row + fill for row, fill in zip(rows, fills)]
    mask = [[0] * len(fill) + [1] * len(row) if side == "left" else [1] * len(row) + [0] * len(fill) for row, fill in zip(rows, fills)]
    attention_mask = torch.tensor(mask, dtype=torch.long, device=device)
    return Batch(torch.tensor(ids, dtype=torch.long, device=device), attention_mask, positions(attention_mask))


def batches(
    rows: Iterable[list[int]], pad_id: int, device: torch.device | str, max_rows: int | None = None, max_tokens: int | None = None
) -> Iterator[Batch]:
    """``rows`` in order of length, so that little is padding, in batches padded on the right.

    Args:
        max_rows: in a batch; None for any number.
        max_tokens: in a batch, its padding included; a longer row makes a batch of its own.
    """
    waiting: list[list[int]] = []
    for row in sorted(rows, key=len):
        full = len(waiting) == max_rows or (max_tokens is not None and len(row) * (len(waiting) + 1) > max_tokens)
        if waiting and full:
            yield pad(waiting, pad_id, device, side="right")
            waiting = []
        waiting.append(row)
    if waiting:
        yield pad(waiting, pad_id, device, side="right")


def positions(attention_mask: Int[Tensor, "row column"]) -> Int[Tensor, "row column"]:
    """The position of each real token in its row; 0 on the padding."""
    return (attention_mask.cumsum(-1) - 1).clamp(min=0)
