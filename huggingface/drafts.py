"""Answering the same prompts again and again, with models that differ a little: the last answer is the next one's draft."""

import hashlib
import json
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.activations import Point, read_activations
from huggingface.context import context_length
from huggingface.digest import digest_below
from huggingface.generation import MAX_NEW_TOKENS, STOP, greedy_generate
from huggingface.partial_forward import logits_after
from huggingface.tokenization import continuation, decode, encode, pad
from util.files import write_atomically, write_json
from util.lock import locked

READ_TOKENS = 2048
"""Tokens of prompts and drafts that are read at a time, padding included; a longer row is read alone."""


class _Row(NamedTuple):
    """A prompt with its draft, and the text that ends an answer behind it."""

    number: int
    """Of the prompt."""
    prompt: list[int]
    draft: list[int]

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.draft


class DraftedGeneration:
    """Greedy generation that remembers in a file what was answered first to each prompt, and takes that as the draft later.

    A model whose MLP was replaced by a transcoder answers many prompts otherwise, so what models that were made from the same one answered
    comes before what any model did.

    An edit changes few answers, so most are read in one step, and of the model only from the edited layer on: what comes below it is the same
    in every run, and kept beside the answers. Only for float32: in narrower types, ties between two tokens are common, and reading a draft
    could break them otherwise than writing token by token.

    Args:
        path: the file; made if it is not there, and started afresh if it cannot be read.
        batch_size: prompts at a time.
        layer: the first that may differ between the runs. If an earlier one does, that is noticed and costs only time.
        made_from: a name of the model before it was edited, the same in all runs that edit it, such as its digest.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, path: Path, batch_size: int, layer: int = 0, made_from: str = ""
    ) -> None:
        self._model, self._tokenizer, self._path, self._batch_size, self._layer = model, tokenizer, path, batch_size, layer
        self._made_from = made_from
        self._below: str | None = None
        self._answers = _kept(path)

    def __call__(self, prompts: list[str]) -> list[str]:
        """The continuation of each prompt."""
        if self._model.dtype != torch.float32:
            return greedy_generate(self._model, self._tokenizer, prompts, batch_size=self._batch_size)
        any_model, own = ([hashlib.sha256(f"{name}{prompt}".encode()).hexdigest()[:32] for prompt in prompts] for name in ("", self._made_from))
        drafts = [self._answers.get(first, self._answers.get(second, "")) for first, second in zip(own, any_model)]
        answers = self._read(prompts, drafts) if self._layer else {}
        open_rows = [row for row in range(len(prompts)) if row not in answers]
        if open_rows:
            asked, guessed = [prompts[row] for row in open_rows], [drafts[row] for row in open_rows]
            written = greedy_generate(self._model, self._tokenizer, asked, batch_size=self._batch_size, drafts=guessed)
            answers |= dict(zip(open_rows, written))
        new = {key: answers[row] for keys in (any_model, own) for row, key in enumerate(keys) if key not in self._answers}
        if new:
            with locked(self._path.parent, wait=True, work=self._path.stem):  # other runs add theirs
                self._answers = self._answers | new | _kept(self._path)
                write_json(self._path, self._answers)
        return [answers[row] for row in range(len(prompts))]

    @torch.inference_mode()
    def _read(self, prompts: list[str], drafts: list[str]) -> dict[int, str]:
        """The drafts, by row, that the model would write to the end; those that it would not are cut in ``drafts`` to where it agrees."""
        rows, room = [], context_length(self._model) or sys.maxsize
        for number, (prompt, draft) in enumerate(zip(prompts, drafts)):
            read = encode(self._tokenizer, prompt).ids
            guessed = continuation(self._tokenizer, prompt, draft + STOP) if draft else None
            if guessed and len(read) + len(guessed) <= room:
                rows.append(_Row(number, read, guessed[:MAX_NEW_TOKENS]))
        answers = {}
        groups = _groups(rows)
        for group, state in zip(groups, self._states(groups)):
            batch = pad([row.ids for row in group], self._tokenizer.pad_token_id, self._model.device)
            width, longest = batch.input_ids.shape[1], max(len(row.draft) for row in group)
            columns = list(range(width - longest - 1, width - 1))
            state = state.to(self._model.device)
            choices = logits_after(self._model, self._layer - 1, state, columns, **batch._asdict(), use_cache=False).argmax(-1).tolist()
            for row, choice in zip(group, choices):
                own = choice[longest - len(row.draft) :]
                agreed = next((place for place, (guess, token) in enumerate(zip(row.draft, own)) if guess != token), None)
                if agreed is None:
                    answers[row.number] = drafts[row.number]
                else:
                    drafts[row.number] = decode(self._tokenizer, row.draft[:agreed])
        return answers

    def _states(self, groups: list[list[_Row]]) -> list[Float[Tensor, "row column d_model"]]:
        """What the layer before ``layer`` returns for each group, read from a file beside the answers or written to it."""
        if not groups:
            return []
        self._below = self._below or digest_below(self._model, self._layer)
        name = hashlib.sha256(json.dumps([self._below, self._layer, groups]).encode()).hexdigest()[:32]
        file = self._path.with_suffix("") / f"{name}.safetensors"
        try:
            kept = load_file(file)
            return [kept[str(number)] for number in range(len(groups))]
        except (OSError, SafetensorError, KeyError):
            pass
        point, states = Point(self._layer - 1, "resid_post"), []
        for group in groups:
            batch = pad([row.ids for row in group], self._tokenizer.pad_token_id, self._model.device)
            states.append(read_activations(self._model, [point], **batch._asdict(), use_cache=False)[point].cpu())
        file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {str(number): state.contiguous() for number, state in enumerate(states)}
        write_atomically(file, lambda temporary: save_file(tensors, temporary))
        return states


def _kept(path: Path) -> dict[str, str]:
    """The answers in a file; none if it is not there, or no such file: they are drafts only."""
    try:
        answers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: text for key, text in answers.items() if isinstance(text, str)} if isinstance(answers, dict) else {}


def _groups(rows: list[_Row]) -> list[list[_Row]]:
    """``rows`` of like length together, at most `READ_TOKENS` in a group."""
    groups: list[list[_Row]] = []
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if groups and len(row.ids) * (len(groups[-1]) + 1) <= READ_TOKENS:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups
