"""Texts for the second moment come from the usual kinds of files, and a file without any is refused."""

import json

import pandas
import pytest

from tcpe.texts import load_texts
from util.errors import UserError

TEXTS = ["int x;\nint y;", "double z;", "return 0;"]


def write(path):
    if path.suffix == ".txt":
        path.write_text("\n\n".join(TEXTS))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"name": str(i), "text": text}) + "\n" for i, text in enumerate(TEXTS)))
    else:
        table = pandas.DataFrame({"number": [1, 2, 3], "content": TEXTS})
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)


@pytest.mark.parametrize("name", ["t.txt", "t.jsonl", "t.csv", "t.parquet"])
def test_each_kind_of_file(tmp_path, name):
    write(tmp_path / name)
    assert load_texts(str(tmp_path / name), 10) == TEXTS
    assert load_texts(str(tmp_path / name), 2) == TEXTS[:2]


def test_files_without_texts_are_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "numbers.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.jsonl").write_text("{")
    (tmp_path / "what.bin").write_text("x")
    for name in ("empty.txt", "numbers.csv", "broken.jsonl", "what.bin", "missing.txt"):
        with pytest.raises(UserError):
            load_texts(str(tmp_path / name), 10)
