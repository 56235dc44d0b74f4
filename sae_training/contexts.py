"""A stream of texts, cut into contexts of tokens."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from transformers import PreTrainedTokenizerFast

from huggingface.tokenization import encode
from sae_training.checkpoint import expect, is_number
from util.errors import UserError
from util.texts import Texts

logger = logging.getLogger(__name__)


class ContextStream:
    """Endless contexts of token ids; remembers where it is, and goes on there in another process.

    Packed texts begin with the tokeniser's BOS token each, and so does a context that begins within a text (transcoder_circuits): also where
    the tokeniser does not put it there itself, and with EOS where it has no BOS. After the last text come the first ones again.

    Args:
        first: the row at which a pass begins; the rows before are left for the evaluation.
    """

    def __init__(self, texts: Texts, tokenizer: PreTrainedTokenizerFast, size: int, separate: bool, first: int = 0) -> None:
        self._texts, self._tokenizer, self._size, self._separate, self._first = texts, tokenizer, size, separate, first
        self._start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        self.row, self._pending = first, deque[int]()
        self._iterator: Iterator[Any] | None = None
        self._gave = False
        self.passes = 0

    def state(self) -> dict[str, Any]:
        """Where the stream is."""
        return {"row": self.row, "pending": list(self._pending), "passes": self.passes}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was.

        Raises:
            ValueError: if it is of other texts or another tokenizer.
        """
        expect(is_number(state["row"]) and is_number(state["passes"]), "the place in the texts")
        expect(all(is_number(token, len(self._tokenizer) - 1) for token in state["pending"]), "a token")
        self.row, self._pending, self.passes = state["row"], deque(state["pending"]), state["passes"]
        self._iterator, self._gave = None, True

    def __iter__(self) -> Iterator[list[int]]:
        return self

    def __next__(self) -> list[int]:
        """The next context.

        Raises:
            UserError: if a whole pass over the texts gives none.
        """
        while True:
            if self._separate:
                context = self._next_ids()[: self._size]
                if len(context) < 2:
                    continue
            elif len(self._pending) < self._size:
                self._pending.extend(self._next_ids())
                continue
            else:
                context = [self._pending.popleft() for _ in range(self._size)]
                self._pending.extendleft(self._start_of(self._pending))
            self._gave = True
            return context

    def _start_of(self, ids: Sequence[int]) -> list[int]:
        """What is missing in front of the ids of a packed text."""
        return [self._start] if self._start is not None and ids and ids[0] != self._start else []

    def _checked(self, ids: list[int | None]) -> list[int]:
        """Token ids of the dataset itself.

        Raises:
            UserError: if the model cannot have been meant.
        """
        known = [token for token in ids if token is not None]
        if len(known) < len(ids):
            raise UserError(f"{self._texts.name} has a null among the token ids in its column {self._texts.column}; leave that row out.")
        if min(known) < 0 or max(known) >= len(self._tokenizer):
            raise UserError(
                f"{self._texts.name} holds the token {min(known) if min(known) < 0 else max(known)}, but the model's vocabulary has "
                f"{len(self._tokenizer)}; it was tokenised for another model: give texts."
            )
        return known

    def _next_ids(self) -> list[int]:
        """The tokens of the next text; none at the end of a pass."""
        self._iterator = self._iterator or self._texts.read(self.row)
        text = next(self._iterator, None)
        if text is not None:
            self.row += 1
            ids = self._checked(text) if self._texts.are_ids and text else encode(self._tokenizer, text).ids if text else []
            return ids if self._separate else self._start_of(ids) + ids
        if not self._gave:
            what = "no text of two tokens" if self._separate else f"only {len(self._pending)} tokens, less than one context of {self._size}"
            raise UserError(
                f"{self._texts.name} has {what}{f', behind the {self._first} texts kept for the evaluation' if self._first else ''}; "
                "give more texts, fewer --n_evaluation_contexts or a smaller --context_size."
            )
        self.passes += 1
        logger.info("pass %d over %s begins", self.passes + 1, self._texts.name)
        self.row, self._iterator, self._gave = self._first, None, False
        return []
