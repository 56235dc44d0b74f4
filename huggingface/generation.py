"""Continuing prompts: greedily up to a stop text, or by seeded sampling."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.tokenization import decode, encode, pad


class _Decoder:
    """A batch of rows and its key/value cache, advanced one token at a time; finished rows are dropped."""

    def __init__(self, model: PreTrainedModel, prompts: list[list[int]], pad_id: int) -> None:
        self._model = model
        self._inputs, self._mask, self._positions = pad(prompts, pad_id, model.device)
        self._cache = None

    def next_logits(self) -> Float[Tensor, "row vocabulary"]:
        """The model's logits for the token after each row."""
        output = self._model(
            input_ids=self._inputs,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = output.past_key_values
        return output.logits[:, -1]

    def append(self, tokens: Int[Tensor, " row"]) -> None:
        """Make ``tokens`` the last token of each row."""
        self._inputs = tokens[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], dim=1)
        self._positions = self._positions[:, -1:] + 1

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Go on with these rows only."""
        self._inputs, self._mask, self._positions = self._inputs[rows], self._mask[rows], self._positions[rows]
        self._cache.batch_select_indices(rows)


@torch.inference_mode()
def greedy_generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[str],
    max_new_tokens: int = 400,
    stop: str = "\n```",
    batch_size: int = 16,
) -> list[str]:
    """The most likely continuation of each prompt, one token after the other.

    Args:
        model: its device decides where this runs.
        prompts: continued as they stand; a BOS token is put in front unless a prompt begins with it.
        max_new_tokens: the longest continuation.
        stop: a continuation ends before this text, which may begin in the prompt; its last character is printable ASCII.
        batch_size: rows at a time. Prompts of like length go together, which changes the speed and not the result.

    Returns:
        The continuations, in the order of the prompts, without the stop text and special tokens.
    """
    encoded = [encode(tokenizer, prompt).ids for prompt in prompts]
    by_length = sorted(range(len(prompts)), key=lambda i: len(encoded[i]))
    ends = _end_tokens(model, tokenizer)
    # Only a token with the stop text's last character can complete it, so other tokens need no decoding.
    closing = {token for text, token in tokenizer.get_vocab().items() if stop[-1] in text}
    continuations = [""] * len(prompts)
    with tqdm(total=len(prompts), desc="generating", disable=None, leave=False) as progress:
        for start in range(0, len(by_length), batch_size):
            rows = by_length[start : start + batch_size]
            decoder = _Decoder(model, [encoded[row] for row in rows], tokenizer.pad_token_id)
            generated: dict[int, list[int]] = {row: [] for row in rows}
            while rows:
                tokens = decoder.next_logits().argmax(-1)
                unfinished = []
                for index, (row, token) in enumerate(zip(rows, tokens.tolist())):
                    finished = token in ends
                    if not finished:
                        generated[row].append(token)
                        finished = len(generated[row]) == max_new_tokens
                    if finished or token in closing:
                        text = decode(tokenizer, generated[row])
                        end = _stop_position(prompts[row], text, stop)
                        finished |= end >= 0
                    if finished:
                        continuations[row] = text[:end] if end >= 0 else text
                        progress.update()
                    else:
                        unfinished.append(index)
                decoder.append(tokens)
                if 0 < len(unfinished) < len(rows):
                    decoder.keep(torch.tensor(unfinished, device=tokens.device))
                rows = [rows[index] for index in unfinished]
    return continuations


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
        best = decoder.next_logits().float().cpu().topk(top_k)
        choices = torch.multinomial((best.values / temperature).softmax(-1), 1, generator=generator)
        columns.append(best.indices.gather(1, choices))
        decoder.append(columns[-1][:, 0].to(model.device))
    ends = _end_tokens(model, tokenizer)
    texts = []
    for ids in torch.cat(columns, dim=1).tolist():
        end = next((index for index, token in enumerate(ids) if token in ends), len(ids))
        texts.append(decode(tokenizer, ids[:end]))
    return texts
