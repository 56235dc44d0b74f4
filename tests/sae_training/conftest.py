"""A tiny model in a folder and texts for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sae_training.config import TrainingConfig
from tests.tiny import tiny_model, tiny_tokenizer


@pytest.fixture(autouse=True)
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny_llama")
    tiny_model("Llama").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def texts_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": f"int f{i}(int n) {{ return n * {i * i} + cast(int) s.length; }}"}) + "\n" for i in range(120)))
    return path


@pytest.fixture
def settings(model_folder: Path, texts_file: Path, tmp_path: Path) -> Callable[..., TrainingConfig]:
    """A small training's, with some changed."""

    def make(name: str = "run", **changes: Any) -> TrainingConfig:
        values = {
            "MODEL_NAME": str(model_folder),
            "layer_num": [1, 2],
            "dataset": [str(texts_file)],
            "output_file_path": str(tmp_path / name),
            "context_size": 16,
            "store_batch_size": 4,
            "n_batches_in_buffer": 4,
            "n_evaluation_contexts": 5,
            "train_batch_size": 25,
            "total_training_tokens": 300,
            "k": 4,
            "wandb_log_frequency": 1,
            "device": "cpu",
        }
        return TrainingConfig(**values | changes)

    return make
