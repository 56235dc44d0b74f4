"""What trainings read: several files, splits, shuffled rows, token ids; the same rows in every pass."""

import json

import pytest

from huggingface.tokenization import encode
from sae_training.contexts import ContextStream
from tests.tiny import tiny_tokenizer
from util.errors import UserError
from util.texts import Texts


def write(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


@pytest.fixture
def parts(tmp_path):
    return [write(tmp_path / f"part_{part}.jsonl", [f"int f{part}{row}() {{ return {row}; }}" for row in range(20)]) for part in "ab"]


def test_several_files_are_read_one_after_the_other(parts, tmp_path):
    both = [text for part in parts for text in Texts(part).read()]
    assert list(Texts(parts).read()) == both and list(Texts(parts).read(23)) == both[23:]
    (tmp_path / "other.txt").write_text("int x;")
    for names, message in (
        ([*parts, str(tmp_path / "other.txt")], "of several kinds"),
        ([parts[0], "missing.jsonl"], "no file missing"),
        ([parts[0], str(tmp_path)], "takes files"),
    ):
        with pytest.raises(UserError, match=message):
            Texts(names)


def test_shuffled_texts_come_in_one_order_that_can_be_entered_anywhere(parts):
    both = list(Texts(parts).read())
    texts = Texts(parts, shuffle=8, seed=3)
    order = list(texts.read())
    assert order != both and sorted(order) == sorted(both)
    assert list(Texts(parts, shuffle=8, seed=3).read(17)) == order[17:] and list(Texts(parts, shuffle=8, seed=4).read()) != order


def test_a_split_is_named(tmp_path):
    write(tmp_path / "train.jsonl", ["int a;"])
    write(tmp_path / "validation.jsonl", ["int b;"])
    assert list(Texts(str(tmp_path)).read()) == ["int a;"] and list(Texts(str(tmp_path), split="validation").read()) == ["int b;"]
    with pytest.raises(UserError, match="Cannot read the dataset.*give another --dataset_split"):
        Texts(str(tmp_path), split="test")


def test_token_ids_give_the_contexts_of_their_texts(parts, tmp_path):
    tokenizer = tiny_tokenizer()
    path = tmp_path / "ids.parquet"
    import pandas

    pandas.DataFrame({"tokens": [encode(tokenizer, text).ids for text in Texts(parts).read()]}).to_parquet(path)
    with pytest.raises(UserError, match="no column of texts"):
        Texts(str(path))
    for separate in (False, True):
        streams = [ContextStream(texts, tokenizer, 12, separate) for texts in (Texts(parts), Texts(str(path), tokenized=True))]
        assert [next(streams[0]) for _ in range(20)] == [next(streams[1]) for _ in range(20)]
    pandas.DataFrame({"tokens": [[1, 10**6]]}).to_parquet(path)
    with pytest.raises(UserError, match="holds the token 1000000, but the model's vocabulary has"):
        next(ContextStream(Texts(str(path), tokenized=True), tokenizer, 2, True))


def test_token_ids_are_not_passed_over_for_what_else_a_row_says(parts, tmp_path):
    """A dataset's own notes, such as where a row comes from, are no texts to train on."""
    tokenizer, path = tiny_tokenizer(), tmp_path / "ids.jsonl"
    rows = [{"source": "https://example.org", "input_ids": encode(tokenizer, text).ids} for text in Texts(parts).read()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = Texts(str(path), tokenized=True)
    assert texts.column == "input_ids" and list(texts.read()) == [row["input_ids"] for row in rows]
    path.write_text("".join(json.dumps(row | {"text": "int a;"}) + "\n" for row in rows))
    assert Texts(str(path), tokenized=True).column == "text"
    path.write_text('{"input_ids": [1, 2]}\n{"input_ids": [1, null, 5]}\n')
    stream = ContextStream(Texts(str(path), tokenized=True), tokenizer, 2, True)
    with pytest.raises(UserError, match="a null among the token ids in its column input_ids"):
        list(zip(stream, range(2), strict=False))


def test_what_belongs_to_no_file_or_is_not_there_is_refused(parts, tmp_path):
    with pytest.raises(UserError, match="has no configurations; leave out --dataset_configuration small"):
        Texts(parts, configuration="small")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="empty.jsonl is empty; give another --dataset"):
        Texts(str(tmp_path / "empty.jsonl"))
