"""A training that was stopped ends with the same bits as one that was not."""

import json
import random

import pytest
import torch
from transformers import LlamaForCausalLM

from examples import train_translator
from examples.train_translator import AdapterTraining, train
from tests.tiny import CONFIGS
from util.errors import CheckpointError

CONFIG = AdapterTraining(steps=4, rank=2, pairs_per_step=2, bucket=2, warmup_steps=2, checkpoint_every=2)


def tiny_model() -> LlamaForCausalLM:
    torch.manual_seed(1)
    return LlamaForCausalLM(CONFIGS["Llama"](64))


def pairs() -> list[tuple[list[int], list[int]]]:
    source = random.Random(2)
    return [([source.randrange(64) for _ in range(5 + row)], [source.randrange(64) for _ in range(4)]) for row in range(5)]


def weights(adapted) -> dict[str, torch.Tensor]:
    return {name: value for name, value in adapted.state_dict().items() if "lora_" in name}


def test_a_stopped_training_continues_to_the_same_bits(tmp_path, monkeypatch):
    whole = weights(train(CONFIG, tiny_model(), pairs(), tmp_path / "whole", {"base": "b"}))
    calls, real_loss = [], train_translator.answer_loss

    def stopped_at_the_fourth(model, batch):
        calls.append(batch)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real_loss(model, batch)

    monkeypatch.setattr(train_translator, "answer_loss", stopped_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, tiny_model(), pairs(), tmp_path / "stopped", {"base": "b"})
    continued = weights(train(CONFIG, tiny_model(), pairs(), tmp_path / "stopped", {"base": "b"}))
    assert len(calls) == 6  # the third step is done again, from the checkpoint after the second
    assert whole.keys() == continued.keys() and any(value.any() for name, value in whole.items() if "lora_B" in name)
    assert all(torch.equal(whole[name], continued[name]) for name in whole)
    described = json.loads((tmp_path / "stopped" / "step_4" / "training.json").read_text())
    assert (described["base"], described["step"]) == ("b", 4)
    config = json.loads((tmp_path / "stopped" / "step_4" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == train_translator.BASE_NAME


def test_another_trainings_checkpoint_is_refused(tmp_path):
    train(CONFIG, tiny_model(), pairs(), tmp_path, {})
    with pytest.raises(CheckpointError, match="other settings or functions"):
        train(CONFIG, tiny_model(), pairs()[:4], tmp_path, {})
