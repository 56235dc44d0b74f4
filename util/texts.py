"""Texts of a file or of the hub, read as a stream."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from util.errors import UserError
from util.hub import check_on_hub

logger = logging.getLogger(__name__)

TEXT_COLUMNS = ("text", "content", "code", "prompt")
"""Where the texts are looked for if no column is named, in this order."""

BUILDERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}

PEEK = 100
"""Rows that are looked at to learn which columns hold texts; in the first one they may be empty."""


class Texts:
    """The texts of a dataset, read anew at each pass.

    Args:
        name: a .txt (texts separated by empty lines), .jsonl, .csv or .parquet file, a folder of such files, or a dataset on the hub, whose
            "train" split is streamed.
        column: the column of the texts; None takes the first of ``TEXT_COLUMNS`` that is there, or else the first with strings.
        flag: what the user names the dataset with, for messages.

    Raises:
        UserError: if the dataset is not there, cannot be read, has no such column or no rows.
    """

    def __init__(self, name: str, column: str | None = None, flag: str = "--dataset") -> None:
        self.name, self._flag = name, flag
        path = Path(name)
        is_file = path.suffix in BUILDERS or name.startswith((".", "/", "~")) or path.is_file()
        if is_file and not path.exists():
            raise UserError(f"There is no file {name}; give texts with {flag}.")
        if path.is_file() and path.suffix not in BUILDERS:
            raise UserError(f"{name} is no file of texts; {flag} takes {', '.join(BUILDERS)} or a name on the hub.")
        if not path.exists():
            check_on_hub(name, "dataset", flag)
        self._arguments: dict[str, Any] = {"path": name}
        if path.is_file():
            options = {"sample_by": "paragraph"} if path.suffix == ".txt" else {}
            self._arguments = {"path": BUILDERS[path.suffix], "data_files": str(path), **options}
        rows = list(itertools.islice(self._rows(0), PEEK))
        if not rows:
            raise UserError(f"{name} has no rows; give another {flag}.")
        texts = [key for key in rows[0] if any(isinstance(row[key], str) for row in rows)]
        if column not in (None, *texts):
            raise UserError(f"{name} has no column of texts {column}; its columns of texts are {', '.join(texts) or 'none'}: name one of them.")
        if not texts:
            raise UserError(f"{name} has no column of texts; its columns are {', '.join(rows[0])}: give another {flag}.")
        self.column = column or next((known for known in TEXT_COLUMNS if known in texts), texts[0])
        if column is None and self.column not in TEXT_COLUMNS:
            logger.warning("The texts of %s are taken from its column %s", name, self.column)

    def _rows(self, first: int) -> Iterator[dict[str, Any]]:
        import datasets

        try:
            rows = iter(datasets.load_dataset(**self._arguments, split="train", streaming=True).skip(first))
            yield from rows
        except Exception as error:
            # The library raises errors of many kinds, its own, pyarrow's and the network's.
            first_line = str(error).strip().partition("\n")[0]
            raise UserError(f"Cannot read the dataset {self.name} ({first_line}); give another {self._flag}, one that you can reach.") from error

    def read(self, first: int = 0) -> Iterator[str]:
        """The texts from row ``first`` on; empty ones are given as they are, so that rows can be counted."""
        return (row[self.column] or "" for row in self._rows(first))
