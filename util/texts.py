"""Texts of a file or of the hub, read as a stream."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from util.errors import UserError
from util.hub import check_on_hub

logger = logging.getLogger(__name__)

TEXT_COLUMNS = ("text", "content", "code", "prompt")
"""Where the texts are looked for if no column is named, in this order."""

BUILDERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}

TOKEN_COLUMNS = ("input_ids", "tokens")
"""Where token ids are looked for behind those."""

PEEK = 100
"""Rows that are looked at to learn which columns hold texts; in the first one they may be empty."""


class Texts:
    """The texts of a dataset, or their token ids, read anew at each pass in the same order.

    Args:
        name: a .txt (texts separated by empty lines), .jsonl, .csv or .parquet file, several of one kind, a folder of such files, or a
            dataset on the hub, which is streamed.
        column: the column of the texts; None takes the first of ``TEXT_COLUMNS``, or of ``TOKEN_COLUMNS``, that is there, or else the first
            with strings.
        flag: what the user names the dataset with, for messages.
        split: of a dataset on the hub or in a folder.
        configuration: of a dataset on the hub that has several.
        shuffle: rows that are held in memory to draw the next one from (datasets' streaming shuffle, which also mixes the files); 0 keeps
            the order.
        seed: of that order.
        tokenized: whether a column of token ids will do.

    Raises:
        UserError: if the dataset is not there, cannot be read, has no such column or no rows.
    """

    def __init__(
        self,
        name: str | Sequence[str],
        column: str | None = None,
        flag: str = "--dataset",
        split: str = "train",
        configuration: str | None = None,
        shuffle: int = 0,
        seed: int = 0,
        tokenized: bool = False,
    ) -> None:
        names = [name] if isinstance(name, str) else list(name)
        self.name, self._flag, self._shuffle, self._seed = " ".join(names), flag, shuffle, seed
        self._arguments = {"split": split} | _arguments(names, flag)
        if configuration is not None:
            if "data_files" in self._arguments:
                raise UserError(f"{self.name} has no configurations; leave out {flag}_configuration {configuration}.")
            self._arguments["name"] = configuration
        rows = list(itertools.islice(self._rows(0), PEEK))
        if not rows:
            raise UserError(f"{self.name} has no rows; give another {flag}.")
        texts = [key for key in rows[0] if any(isinstance(row[key], str) for row in rows)]
        ids = [key for key in rows[0] if tokenized and any(_is_ids(row[key]) for row in rows)]
        if column not in (None, *texts, *ids):
            raise UserError(
                f"{self.name} has no column of texts {column}; its columns of texts are {', '.join(texts + ids) or 'none'}: name one of them."
            )
        known = [key for key in (*TEXT_COLUMNS, *TOKEN_COLUMNS) if key in texts + ids]
        if column is None and not known and not texts:
            raise UserError(f"{self.name} has no column of texts; its columns are {', '.join(rows[0])}: give another {flag}.")
        self.column = column or (known or texts)[0]
        self.are_ids = self.column in ids
        """Whether ``read`` gives token ids."""
        if column is None and not known:
            logger.warning("The texts of %s are taken from its column %s", self.name, self.column)

    def _rows(self, first: int) -> Iterator[dict[str, Any]]:
        import datasets

        try:
            rows = datasets.load_dataset(**self._arguments, streaming=True)
            if self._shuffle:
                rows = rows.shuffle(self._seed, buffer_size=self._shuffle)
            yield from rows.skip(first)
        except Exception as error:
            # The library raises errors of many kinds, its own, pyarrow's and the network's.
            first_line = str(error).strip().partition("\n")[0] or type(error).__name__
            way = f"another {self._flag}_split" if "split" in first_line else f"another {self._flag}, one that you can reach"
            raise UserError(f"Cannot read the dataset {self.name} ({first_line}); give {way}.") from error

    def read(self, first: int = 0) -> Iterator[Any]:
        """The texts from row ``first`` on, str, or lists of int where they are token ids; empty ones are given as they are, so that rows can
        be counted."""
        return (row[self.column] or "" for row in self._rows(first))


def _arguments(names: Sequence[str], flag: str) -> dict[str, Any]:
    """What the datasets library is to load.

    Raises:
        UserError: as ``Texts``.
    """
    for name in names:
        path = Path(name)
        is_file = path.suffix in BUILDERS or name.startswith((".", "/", "~")) or path.is_file() or len(names) > 1
        if is_file and not path.exists():
            raise UserError(f"There is no file {name}; give texts with {flag}.")
        if path.is_file() and not path.stat().st_size:
            raise UserError(f"{name} is empty; give another {flag}.")
        if path.suffix not in BUILDERS and (path.is_file() or len(names) > 1):
            raise UserError(f"{name} is no file of texts; {flag} takes files ({', '.join(BUILDERS)}), one folder or one name on the hub.")
        if not path.exists():
            check_on_hub(name, "dataset", flag)
    kinds = {BUILDERS[suffix] for name in names if (suffix := Path(name).suffix) in BUILDERS and Path(name).is_file()}
    if len(kinds) > 1:
        raise UserError(f"The files of {flag} are of several kinds ({', '.join(sorted(kinds))}); give files of one kind.")
    if not kinds:
        return {"path": names[0]}
    (kind,) = kinds
    return {"path": kind, "data_files": list(names)} | ({"sample_by": "paragraph"} if kind == "text" else {})


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(token, int) for token in value)
