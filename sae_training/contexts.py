"""Texts of a file or of the hub, read as a stream and cut into contexts of tokens."""

import logging
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from huggingface.tokenization import encode
from util.errors import UserError

logger = logging.getLogger(__name__)

TEXT_COLUMNS = ("text", "content", "code", "prompt")
"""Where the texts are looked for if no column is named, in this order."""

BUILDERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


class Texts:
    """The texts of a dataset, read anew at each pass.

    Args:
        name: a .txt (texts separated by empty lines), .jsonl, .csv or .parquet file, or a dataset on the hub, whose "train" split is streamed.
        column: the column of the texts; None takes the first of ``TEXT_COLUMNS`` that is there.

    Raises:
        UserError: if the dataset is not there, cannot be read, has no such column or no rows.
    """

    def __init__(self, name: str, column: str | None = None) -> None:
        self.name = name
        path = Path(name)
        is_local = path.suffix in BUILDERS or name.startswith((".", "/", "~")) or path.exists()
        if is_local and not path.is_file():
            raise UserError(f"There is no file {name}; give texts with --dataset.")
        if is_local and path.suffix not in BUILDERS:
            raise UserError(f"{name} is no file of texts; --dataset takes {', '.join(BUILDERS)} or a name on the hub.")
        self._arguments: dict[str, Any] = {"path": name}
        if is_local:
            options = {"sample_by": "paragraph"} if path.suffix == ".txt" else {}
            self._arguments = {"path": BUILDERS[path.suffix], "data_files": str(path), **options}
        row = next(self._rows(0), None)
        if row is None:
            raise UserError(f"{name} has no rows; give another --dataset.")
        texts = [key for key, value in row.items() if isinstance(value, str)]
        self.column = column or next((known for known in TEXT_COLUMNS if known in texts), "")
        if self.column not in texts:
            wanted = f"column of texts {column}" if column else f"column {', '.join(TEXT_COLUMNS)}"
            raise UserError(f"{name} has no {wanted}; its columns of texts are {', '.join(texts) or 'none'}: name one with --text_column.")

    def _rows(self, first: int) -> Iterator[dict[str, Any]]:
        import datasets

        try:
            rows = iter(datasets.load_dataset(**self._arguments, split="train", streaming=True).skip(first))
            yield from rows
        except Exception as error:
            # The library raises errors of many kinds, its own, pyarrow's and the network's.
            first_line = str(error).strip().partition("\n")[0]
            raise UserError(f"Cannot read the dataset {self.name} ({first_line}); give a file or a dataset that you can reach.") from error

    def read(self, first: int) -> Iterator[str]:
        """The texts from row ``first`` on; empty ones are given as they are, so that rows can be counted."""
        return (row[self.column] or "" for row in self._rows(first))


class ContextStream:
    """Endless contexts of token ids; remembers where it is, and goes on there in another process.

    Packed texts begin with the tokeniser's BOS token each, and so does a context that begins within a text (transcoder_circuits). After the
    last text come the first ones again.

    Args:
        first: the row at which a pass begins; the rows before are left for the evaluation.
    """

    def __init__(self, texts: Texts, tokenizer: PreTrainedTokenizerFast, size: int, separate: bool, first: int = 0) -> None:
        self._texts, self._tokenizer, self._size, self._separate, self._first = texts, tokenizer, size, separate, first
        self.row, self._pending = first, deque[int]()
        self._iterator: Iterator[str] | None = None
        self._gave = False
        self.passes = 0

    def state(self) -> dict[str, Any]:
        """Where the stream is."""
        return {"row": self.row, "pending": list(self._pending), "passes": self.passes}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was."""
        self.row, self._pending, self.passes = state["row"], deque(state["pending"]), state["passes"]
        self._iterator, self._gave = None, True

    def __iter__(self) -> Iterator[list[int]]:
        return self

    def __next__(self) -> list[int]:
        """The next context.

        Raises:
            UserError: if a whole pass over the texts gives none.
        """
        bos = self._tokenizer.bos_token_id
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
                if self._pending and bos is not None and self._pending[0] != bos:
                    self._pending.appendleft(bos)
            self._gave = True
            return context

    def _next_ids(self) -> list[int]:
        """The tokens of the next text; none at the end of a pass."""
        self._iterator = self._iterator or self._texts.read(self.row)
        text = next(self._iterator, None)
        if text is not None:
            self.row += 1
            return encode(self._tokenizer, text).ids if text else []
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
