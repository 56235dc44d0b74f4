"""The texts that the second moment is taken over: a local file, or a dataset of the hub."""

import itertools
from pathlib import Path

from util.errors import UserError

TEXT_COLUMNS = ("text", "content", "code", "prompt")
"""Where a table's texts are looked for, in this order; otherwise its first column of strings is taken."""


def load_texts(name: str, n: int) -> list[str]:
    """The first ``n`` texts of a dataset, or all of them if it has fewer.

    Args:
        name: a .txt file (texts separated by empty lines), a .jsonl, .csv or .parquet file, or a dataset's name on the hub,
            whose "train" split is streamed.

    Raises:
        UserError: if it is not there, cannot be read or holds no text.
    """
    path = Path(name)
    if path.is_file():
        texts = _read_file(path)
    elif path.suffix in (*_READERS, ".txt") or name.startswith((".", "/", "~")):
        raise UserError(f"There is no file {name}; give texts for the second moment with --mom2_dataset.")
    else:
        texts = _read_hub(name, n)
    texts = [text for text in texts[:n] if text.strip()]
    if not texts:
        raise UserError(f"{name} holds no text; give another --mom2_dataset.")
    return texts


_READERS = {".jsonl": "read_json", ".csv": "read_csv", ".parquet": "read_parquet"}


def _read_file(path: Path) -> list[str]:
    """All texts of a local file."""
    try:
        if path.suffix == ".txt":
            return path.read_text(encoding="utf-8").split("\n\n")
        if path.suffix not in _READERS:
            raise UserError(f"{path} is no file of texts; --mom2_dataset takes .txt, {', '.join(_READERS)} or a name on the hub.")
        import pandas

        table = getattr(pandas, _READERS[path.suffix])(path, **({"lines": True} if path.suffix == ".jsonl" else {}))
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read the texts {path} ({error}); give another --mom2_dataset.") from error
    strings = table.select_dtypes(["object", "string"]).dropna(axis="columns", how="all")
    column = next((name for name in TEXT_COLUMNS if name in strings), None)
    if column is None and strings.columns.empty:
        raise UserError(f"{path} has no column of texts; its columns are {', '.join(map(str, table.columns))}.")
    return strings[column if column is not None else strings.columns[0]].dropna().astype(str).tolist()


def _read_hub(name: str, n: int) -> list[str]:
    """The first ``n`` texts of a hub dataset, streamed."""
    import datasets

    try:
        rows = list(itertools.islice(datasets.load_dataset(name, split="train", streaming=True), n))
    except Exception as error:
        raise UserError(f"Cannot load the dataset {name} from the hub ({error}); give a local file with --mom2_dataset.") from error
    columns = [column for column, value in (rows[0] if rows else {}).items() if isinstance(value, str)]
    column = next((column for column in TEXT_COLUMNS if column in columns), columns[0] if columns else None)
    return [row[column] for row in rows if row[column]] if column else []
