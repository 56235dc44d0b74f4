"""Answering the same prompts again and again, with models that differ a little: the last answer is the next one's draft."""

import hashlib
import json
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.generation import greedy_generate
from util.files import write_json


class DraftedGeneration:
    """Greedy generation that remembers in a file what was answered first to each prompt, and takes that as the draft later.

    An edit changes few answers, so most are read in one step. Only for float32: in narrower types, ties between two tokens are common,
    and reading a draft could break them otherwise than writing token by token.

    Args:
        path: the file; made if it is not there, and started afresh if it cannot be read.
        batch_size: prompts at a time.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, path: Path, batch_size: int) -> None:
        self._model, self._tokenizer, self._path, self._batch_size = model, tokenizer, path, batch_size
        try:
            self._answers: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._answers = {}

    def __call__(self, prompts: list[str]) -> list[str]:
        """The continuation of each prompt."""
        if self._model.dtype != torch.float32:
            return greedy_generate(self._model, self._tokenizer, prompts, batch_size=self._batch_size)
        keys = [hashlib.sha256(prompt.encode()).hexdigest()[:32] for prompt in prompts]
        drafts = [self._answers.get(key, "") for key in keys]
        answers = greedy_generate(self._model, self._tokenizer, prompts, batch_size=self._batch_size, drafts=drafts)
        new = {key: answer for key, answer in zip(keys, answers) if key not in self._answers}
        if new:
            self._answers |= new
            write_json(self._path, self._answers)
        return answers
