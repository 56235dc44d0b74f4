"""Texts for the second moment come from the usual kinds of files, and a file without any is refused."""

import json

import pandas
import pytest

from tcpe.texts import load_texts
from util.errors import UserError
from util.texts import Texts

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


def test_rows_are_counted_and_blank_texts_left_out(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [{"id": 1, "text": None}, {"id": 2, "text": "int x;"}, {"id": 3, "text": " "}, {"id": 4, "text": "int y;"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(Texts(str(path)).read()) == ["", "int x;", " ", "int y;"]
    assert list(Texts(str(path)).read(3)) == ["int y;"]
    assert load_texts(str(path), 3) == ["int x;"] and load_texts(str(path), 9) == ["int x;", "int y;"]


@pytest.mark.slow
def test_the_column_of_the_texts_is_found_named_or_said(tmp_path, caplog):
    path = tmp_path / "t.csv"
    pandas.DataFrame({"url": ["u"] * 3, "number": [1, 2, 3], "code": TEXTS}).to_csv(path, index=False)
    assert list(Texts(str(path)).read()) == TEXTS and list(Texts(str(path), "url").read()) == ["u"] * 3
    assert not caplog.records
    with pytest.raises(UserError, match="no column of texts number; its columns of texts are url, code: name one"):
        Texts(str(path), "number")
    pandas.DataFrame({"number": [1], "body": ["int x;"]}).to_csv(path, index=False)
    assert Texts(str(path)).column == "body" and "taken from its column body" in caplog.text


def test_a_folder_of_files_is_a_dataset(tmp_path):
    write(tmp_path / "part.jsonl")
    assert load_texts(str(tmp_path), 10) == TEXTS
