"""Transcoders come back from disk as they were, foreign and broken ones are refused, and none of them runs code."""

import json
import os
import pickle
import shutil
import sys
import types

import pytest
import torch
from safetensors.torch import load_file, save_file

from huggingface.loaders import load_transcoder
from huggingface.transcoder import JumpReLU, Sites, TopK, Transcoder, save_transcoder
from tests.tiny import FEATURES, WIDTH, tiny_transcoder
from util.errors import CheckpointError

X = torch.randn(5, WIDTH)


def circuits_tensors():
    torch.manual_seed(0)
    shapes = {"W_enc": (WIDTH, FEATURES), "b_enc": (FEATURES,), "W_dec": (FEATURES, WIDTH), "b_dec": (WIDTH,), "b_dec_out": (WIDTH,)}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


@pytest.fixture
def config_class(monkeypatch):
    """The class that transcoder_circuits pickles, as it is on the machine that wrote the file."""
    module = types.ModuleType("sae_training.config")
    module.LanguageModelSAERunnerConfig = type("LanguageModelSAERunnerConfig", (), {"__module__": "sae_training.config"})
    monkeypatch.setitem(sys.modules, "sae_training.config", module)
    return module.LanguageModelSAERunnerConfig


def test_own_format_round_trip(tmp_path):
    transcoder = tiny_transcoder()
    save_transcoder(transcoder, tmp_path, model_name="tiny")
    for path in (tmp_path, tmp_path / "cfg.json"):
        assert torch.equal(load_transcoder(path)(X), transcoder(X))
    assert json.loads((tmp_path / "cfg.json").read_text())["metadata"]["model_name"] == "tiny"


def test_jumprelu_round_trip(tmp_path):
    transcoder = tiny_transcoder()
    transcoder.activation = JumpReLU(torch.rand(FEATURES))
    save_transcoder(transcoder, tmp_path)
    assert torch.equal(load_transcoder(tmp_path)(X), transcoder(X))


def test_topk_keeps_the_largest():
    assert TopK(2)(torch.tensor([3.0, -1.0, 5.0, 4.0])).tolist() == [0, 0, 5, 4]


def test_transcoder_circuits_file(tmp_path, config_class):
    config, tensors = config_class(), circuits_tensors()
    config.hook_point, config.out_hook_point, config.dtype = "blocks.8.ln2.hook_normalized", "blocks.8.hook_mlp_out", torch.float32
    config.device, config.prepend_bos, config.lr = torch.device("cuda"), True, 4e-4
    torch.save({"cfg": config, "state_dict": tensors}, tmp_path / "t.pt")
    transcoder = load_transcoder(tmp_path / "t.pt")
    expected = ((X - tensors["b_dec"]) @ tensors["W_enc"] + tensors["b_enc"]).relu() @ tensors["W_dec"] + tensors["b_dec_out"]
    torch.testing.assert_close(transcoder(X), expected, rtol=1e-4, atol=1e-4)
    assert transcoder.sites == Sites("blocks.8.ln2.hook_normalized", "blocks.8.hook_mlp_out")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("where", ["cfg", "state_dict", "bare"])
def test_a_pickle_with_code_in_it_does_not_run(tmp_path, where):
    bomb = Bomb(tmp_path / "exploded")
    if where == "bare":
        (tmp_path / "t.pt").write_bytes(pickle.dumps(bomb, protocol=2))
    else:
        torch.save({"cfg": {}, "state_dict": circuits_tensors()} | {where: bomb}, tmp_path / "t.pt")
    with pytest.raises(CheckpointError, match="safely"):
        load_transcoder(tmp_path / "t.pt")
    assert not (tmp_path / "exploded").exists()


def break_tensor(name, change):
    return lambda tensors: tensors.__setitem__(name, change(tensors[name]))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda tensors: tensors.pop("W_dec"), "lacks the tensors W_dec"),
        (lambda tensors: tensors.update(W_skip=torch.zeros(2)), "W_skip"),
        (break_tensor("W_enc", lambda t: t.T.contiguous()), "shape"),
        (break_tensor("b_enc", lambda t: t[:-1]), "b_enc .* shape"),
        (break_tensor("b_dec", lambda t: t * float("nan")), "NaN"),
        (break_tensor("b_dec", lambda t: t.int()), "real numbers"),
    ],
)
@pytest.mark.parametrize("form", ["pt", "safetensors"])
def test_tensors_that_do_not_fit_are_refused(tmp_path, break_it, message, form):
    if form == "pt":
        tensors = circuits_tensors()
        break_it(tensors)
        torch.save({"cfg": {}, "state_dict": tensors}, tmp_path / "t.pt")
    else:
        save_transcoder(tiny_transcoder(), tmp_path)
        tensors = load_file(tmp_path / "sae_weights.safetensors")
        break_it(tensors)
        save_file(tensors, tmp_path / "sae_weights.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_transcoder(tmp_path / "t.pt" if form == "pt" else tmp_path)


def test_files_that_are_no_transcoder_are_refused(tmp_path):
    (tmp_path / "x.pkl.gz").write_bytes(b"x")
    (tmp_path / "half.pt").write_bytes(b"PK\x03\x04 half")
    torch.save([1], tmp_path / "list.pt")
    for name, message in {"x.pkl.gz": "pkl", "half.pt": "broken", "list.pt": "no state_dict", "none": "no transcoder"}.items():
        with pytest.raises(CheckpointError, match=message):
            load_transcoder(tmp_path / name)
    save_transcoder(tiny_transcoder(), tmp_path / "t")
    config = json.loads((tmp_path / "t/cfg.json").read_text())
    for change in ({"architecture": "standard"}, {"normalize_activations": "layer_norm"}, {"apply_b_dec_to_input": True}):
        (tmp_path / "t/cfg.json").write_text(json.dumps(config | change))
        with pytest.raises(CheckpointError):
            load_transcoder(tmp_path / "t")
    shutil.copy(tmp_path / "half.pt", tmp_path / "t/sae_weights.safetensors")
    (tmp_path / "t/cfg.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="not whole"):
        load_transcoder(tmp_path / "t")


def test_input_bias_is_folded():
    tensors = circuits_tensors()
    names = ("W_enc", "b_enc", "W_dec", "b_dec_out")
    plain = Transcoder.from_matrices(*(tensors[name] for name in names))
    biased = Transcoder.from_matrices(*(tensors[name] for name in names), b_dec=tensors["b_dec"])
    torch.testing.assert_close(biased(X + tensors["b_dec"]), plain(X), rtol=1e-4, atol=1e-4)
