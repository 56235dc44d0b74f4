"""Continuing prompts: greedily up to a stop text, or by seeded sampling."""

import sys

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.context import check_fits_context, context_length
from huggingface.growing_cache import growing_cache
from huggingface.tokenization import continuation, decode, encode, pad

MAX_NEW_TOKENS = 400
STOP = "\n```"
"""What ends a translation."""


class _Decoder:
    """A batch of rows and its key/value cache, advanced one token at a time; finished rows are dropped."""

    def __init__(self, model: PreTrainedModel, prompts: list[list[int]], pad_id: int) -> None:
        self._model = model
        self._inputs, self._mask, self._positions = pad(prompts, pad_id, model.device)
        self._cache = growing_cache()

    @property
    def device(self) -> torch.device:
        return self._model.device

    def next_logits(self, last: int = 1) -> Float[Tensor, "row last vocabulary"]:
        """The model's logits for the token after each row's end, or after each of its ``last`` tokens."""
        return self._model(
            input_ids=self._inputs,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=last,
        ).logits

    def append(self, tokens: Int[Tensor, " row"]) -> None:
        """Make ``tokens`` the last token of each row."""
        self._inputs = tokens[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], dim=1)
        self._positions = self._positions[:, -1:] + 1

    def take_back(self, counts: Int[Tensor, " row"]) -> None:
        """Forget the last ``counts`` tokens of each row: they stay in the cache, where nothing sees them."""
        columns = torch.arange(self._mask.shape[1], 0, -1, device=counts.device)
        self._mask[columns <= counts[:, None]] = 0
        self._positions = self._positions[:, -1:] - counts[:, None]

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Go on with these rows only."""
        self._inputs, self._mask, self._positions = self._inputs[rows], self._mask[rows], self._positions[rows]
        self._cache.batch_select_indices(rows)


@torch.inference_mode()
def greedy_generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[str],
    max_new_tokens: int = MAX_NEW_TOKENS,
    stop: str = STOP,
    batch_size: int = 16,
    drafts: list[str] | None = None,
) -> list[str]:
    """The most likely continuation of each prompt, one token after the other.

    Args:
        model: its device decides where this runs.
        prompts: continued as they stand; a BOS token is put in front unless a prompt begins with it.
        max_new_tokens: the longest continuation.
        stop: a continuation ends before this text, which may begin in the prompt; its last character is printable ASCII.
        batch_size: rows at a time. Prompts of like length go together, which changes the speed and not the result.
        drafts: a guess at each continuation. The model reads it in one step and goes on where it disagrees, so that a good guess
            saves time and a bad one changes nothing.

    A continuation also ends where the model's context does.

    Raises:
        UserError: if a prompt is longer than the model's context.

    Returns:
        The continuations, in the order of the prompts, without the stop text and special tokens.
    """
    encoded = [encode(tokenizer, prompt).ids for prompt in prompts]
    for prompt, ids in zip(prompts, encoded):
        check_fits_context(model, len(ids) + 1, f"The prompt {prompt[:40]!r}..., with the first token of its answer,")
    room = context_length(model) or sys.maxsize
    # An attention window counts columns, also those of a draft that was taken back.
    if drafts is None or getattr(model.config, "sliding_window", None):
        drafts = [""] * len(prompts)
    guessed = [
        (continuation(tokenizer, prompt, draft) or [])[: room - len(ids)] for prompt, draft, ids in zip(prompts, drafts, encoded)
    ]
    by_length = sorted(range(len(prompts)), key=lambda row: len(encoded[row]))
    ends = _end_tokens(model, tokenizer)
    # Only a token with the stop text's last character can complete it, so other tokens need no decoding.
    closing = {token for text, token in tokenizer.get_vocab().items() if stop[-1] in text}
    continuations: dict[int, str] = {}

    def extend(row: int, ids: list[int], token: int) -> None:
        """Add a token to a row's ``ids``, and enter its continuation if that is its end."""
        if token not in ends:
            ids.append(token)
        full = token in ends or len(ids) == max_new_tokens or len(encoded[row]) + len(ids) >= room
        if full or token in closing:
            text = decode(tokenizer, ids)
            end = _stop_position(prompts[row], text, stop)
            if full or end >= 0:
                continuations[row] = text[:end] if end >= 0 else text

    for start in range(0, len(by_length), batch_size):
        rows = by_length[start : start + batch_size]
        generated: dict[int, list[int]] = {row: [] for row in rows}
        decoder = _Decoder(model, [encoded[row] + guessed[row] for row in rows], tokenizer.pad_token_id)
        new = _read_drafts(decoder, [guessed[row] for row in rows])
        while rows:
            for row, tokens in zip(rows, new):
                for token in tokens:
                    if row not in continuations:
                        extend(row, generated[row], token)
            decoder.append(torch.tensor([tokens[-1] for tokens in new], device=model.device))
            unfinished = [index for index, row in enumerate(rows) if row not in continuations]
            if len(unfinished) < len(rows):
                decoder.keep(torch.tensor(unfinished, dtype=torch.long, device=model.device))
                rows = [rows[index] for index in unfinished]
            if rows:
                new = decoder.next_logits().argmax(-1).tolist()
    return [continuations[row] for row in range(len(prompts))]


def _read_drafts(decoder: _Decoder, drafts: list[list[int]]) -> list[list[int]]:
    """Each row's first new tokens: its draft as far as the model agrees, and the token that the model puts next."""
    longest = max(map(len, drafts))
    choices = decoder.next_logits(longest + 1).argmax(-1).tolist()
    new = []
    for draft, choice in zip(drafts, choices):
        choice = choice[longest - len(draft) :]
        agreed = next((index for index, (guess, own) in enumerate(zip(draft, choice)) if guess != own), len(draft))
        new.append(choice[: agreed + 1])
    rejected = [len(draft) + 1 - len(tokens) for draft, tokens in zip(drafts, new)]
    decoder.take_back(torch.tensor(rejected, device=decoder.device))
    return new


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """The tokens after which an answer is over."""
    configured = model.generation_config.eos_token_id
    return {tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])} - {None}


def _stop_position(prompt: str, text: str, stop: str) -> int:
    """Where in ``text`` the stop text begins, 0 if it began in the prompt; -1 if it is not there."""
    tail = prompt[-(len(stop) - 1) :] if len(stop) > 1 else ""
    found = (tail + text).find(stop)
    return found if found < 0 else max(found - len(tail), 0)


@torch.inference_mode()
def sample_texts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, n: int, length: int, seed: int, top_k: int = 5, temperature: float = 0.7
) -> list[str]:
    """``n`` texts of at most ``length`` tokens that the model writes from the BOS token, the same ones for the same seed.

    A tokeniser without a BOS token begins with its end-of-text token, as such models' training texts do.
    """
    generator = torch.Generator().manual_seed(seed)
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    decoder = _Decoder(model, [[first]] * n, tokenizer.pad_token_id)
    columns = []
    for _ in range(length):
        best = decoder.next_logits()[:, -1].float().cpu().topk(top_k)
        choices = torch.multinomial((best.values / temperature).softmax(-1), 1, generator=generator)
        columns.append(best.indices.gather(1, choices))
        decoder.append(columns[-1][:, 0].to(model.device))
    ends = _end_tokens(model, tokenizer)
    texts = []
    for ids in torch.cat(columns, dim=1).tolist():
        end = next((index for index, token in enumerate(ids) if token in ends), len(ids))
        texts.append(decode(tokenizer, ids[:end]))
    return texts
