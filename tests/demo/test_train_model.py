"""Training the embedded model: an interrupted run ends with the weights of an unbroken one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from demo import train_model
from demo.corpus import tokenizer_texts
from demo.tokenizer import train_tokenizer
from demo.train_model import TrainingConfig, train

CONFIG = TrainingConfig(hidden_size=32, num_layers=2, intermediate_size=48, num_heads=2, steps=6, pairs_per_step=2, bucket=2, checkpoint_every=2)


def test_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = train_tokenizer(tokenizer_texts(0, 60))
    unbroken = train(CONFIG, tokenizer, frozenset(), tmp_path / "unbroken")

    def interrupted(config: TrainingConfig, step: int) -> float:
        if step == 5:
            raise KeyboardInterrupt
        return learning_rate(config, step)

    learning_rate = train_model.learning_rate
    monkeypatch.setattr(train_model, "learning_rate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, tokenizer, frozenset(), tmp_path / "broken")
    monkeypatch.undo()
    resumed = train(CONFIG, tokenizer, frozenset(), tmp_path / "broken")
    for name, weight in unbroken.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    other = train(replace(CONFIG, seed=1), tokenizer, frozenset(), tmp_path / "other")
    assert not torch.equal(other.lm_head.weight, unbroken.lm_head.weight)


def test_pieces_line_up_and_nothing_is_lost() -> None:
    tokenizer = train_tokenizer(tokenizer_texts(0, 200))
    for text in tokenizer_texts(1, 20):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
    assert tokenizer.tokenize("int[] dp = x;\n    }") == ["int", "[]", "Ġdp", "Ġ=", "Ġx", ";", "ĊĠĠĠĠ", "}"]
