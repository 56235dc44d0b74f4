"""A model is loaded whole, on one device or by a map of several, or refused with a sentence."""

import pytest
import torch
from accelerate import cpu_offload

from huggingface import load
from huggingface.load import load_model_and_tokenizer
from tests.tiny import tiny_model, tiny_tokenizer
from util.errors import CheckpointError, UserError


@pytest.fixture
def folder(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    return str(tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_device_map_gives_the_same_model(folder, dtype):
    plain, _ = load_model_and_tokenizer(folder, device="cpu", dtype=dtype)
    mapped, tokenizer = load_model_and_tokenizer(folder, dtype=dtype, device_map="auto")
    assert plain.dtype == mapped.dtype == getattr(torch, dtype)
    assert tokenizer.padding_side == "left"
    expected = plain.state_dict()
    assert all(torch.equal(tensor.cpu(), expected[name]) for name, tensor in mapped.state_dict().items())


def test_a_model_with_offloaded_parts_is_refused(folder, monkeypatch):
    monkeypatch.setattr(load.AutoModelForCausalLM, "from_pretrained", lambda *_, **__: cpu_offload(tiny_model(), "cpu"))
    with pytest.raises(UserError, match="does not fit.*--device_map.*--dtype bfloat16"):
        load_model_and_tokenizer(folder, device_map="auto")


def test_a_map_that_means_nothing_is_refused(folder):
    with pytest.raises(CheckpointError, match="device_map"):
        load_model_and_tokenizer(folder, device_map="somewhere")


def test_a_folder_without_a_model_is_told_so(tmp_path):
    (tmp_path / "texts.jsonl").write_text("")
    with pytest.raises(CheckpointError, match="no config.json in it; give a model's own folder"):
        load_model_and_tokenizer(str(tmp_path))
