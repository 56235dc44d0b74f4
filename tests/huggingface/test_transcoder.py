"""Transcoders come back from disk as they were, foreign and broken ones are refused, and none of them runs code."""

import json
import os
import pickle
import shutil
import sys
import types
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from huggingface.loaders import circuit_tracer, load_transcoder
from huggingface.transcoder import JumpReLU, Sites, TopK, Transcoder, save_transcoder
from tests.tiny import FEATURES, WIDTH, tiny_transcoder
from util.errors import CheckpointError

X = torch.randn(5, WIDTH)
FIXTURES = Path(__file__).parents[1] / "fixtures/transcoders"
RECORDED = load_file(FIXTURES / "recorded.safetensors")
CHECKPOINTS = sorted({name.rpartition(".")[0] for name in RECORDED} - {"", "sparsify.2"})
NORMALIZED, RAW = Sites("blocks.3.ln2.hook_normalized", "blocks.3.hook_mlp_out"), Sites("blocks.1.mlp.hook_in", "blocks.1.mlp.hook_out")


def fixture(name):
    """Path and layer of a checkpoint that a library wrote."""
    base, _, layer = name.partition(".")
    file = {"transcoder_circuits": "transcoder_circuits.pt", "gemma_scope": "gemma_scope/params.npz"}.get(base, base)
    return FIXTURES / file, int(layer) if layer else None


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_what_other_libraries_wrote_computes_what_they_computed(name):
    transcoder = load_transcoder(*fixture(name))
    x = RECORDED["input"]
    torch.testing.assert_close(transcoder.activation(transcoder.up_proj(x)), RECORDED[f"{name}.features"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(transcoder(x), RECORDED[f"{name}.output"], rtol=1e-5, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in transcoder.parameters())


def test_every_format_names_its_sites():
    sites = {name: load_transcoder(*fixture(name)).sites for name in CHECKPOINTS}
    assert sites["saelens_transcoder"] == NORMALIZED and sites["sparsify.1"] == RAW
    assert sites["circuit_tracer_topk.1"] == Sites("blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out")
    assert sites["transcoder_circuits"] == Sites("blocks.8.ln2.hook_normalized", "blocks.8.hook_mlp_out")
    assert sites["gemma_scope"] == Sites("ln2.hook_normalized", "hook_mlp_out")
    assert sites["saelens_topk"] == Sites("blocks.3.hook_resid_post", "blocks.3.hook_resid_post") and sites["saelens_topk"].autoencoder
    assert sites["gemma_scope_2"] == Sites("blocks.5.mlp_in", "blocks.5.added")


@pytest.mark.parametrize(
    "name", ["sparsify.1", "saelens_skip_transcoder", "saelens_jumprelu_skip_transcoder", "saelens_transcoder", "saelens_jumprelu"]
)
def test_what_is_read_is_written_as_the_library_wrote_it(name, tmp_path):
    """Ours to theirs: the same tensors under the same names, and every setting of theirs that says what is computed."""
    path, layer = fixture(name)
    save_transcoder(load_transcoder(path, layer), tmp_path)
    theirs = path / f"layers.{layer}.mlp" if layer is not None else path
    file = next(theirs.glob("*.safetensors"))
    ours, wanted = load_file(tmp_path / file.name), load_file(file)
    if "threshold" in wanted:
        wanted["threshold"] = wanted["threshold"].clamp(min=0)
    assert ours.keys() == wanted.keys() and all(torch.equal(ours[key], wanted[key]) for key in wanted)
    config, settings = (json.loads((folder / "cfg.json").read_text()) for folder in (tmp_path, theirs))
    free = {"metadata", "normalize_decoder", "expansion_factor", "reshape_activations"}
    assert {key: config[key] for key in settings.keys() - free} == {key: settings[key] for key in settings.keys() - free}


def test_one_layers_file_and_one_layers_folder_are_opened():
    x = RECORDED["input"]
    for name, file in {"circuit_tracer_jumprelu.1": "circuit_tracer_jumprelu/layer_1.safetensors", "sparsify.1": "sparsify/layers.1.mlp"}.items():
        assert torch.equal(load_transcoder(FIXTURES / file)(x), load_transcoder(*fixture(name))(x))


def test_type_and_device_can_be_chosen():
    transcoder = load_transcoder(FIXTURES / "saelens_jumprelu_transcoder", dtype=torch.bfloat16, device="meta")
    assert {(tensor.dtype, tensor.device.type) for tensor in transcoder.state_dict().values()} == {(torch.bfloat16, "meta")}


def test_changing_what_was_loaded_leaves_the_file(tmp_path):
    for name in ("sparsify", "circuit_tracer_relu_skip", "transcoder_circuits.pt"):
        source, copied = FIXTURES / name, tmp_path / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copied)
        transcoder = load_transcoder(copied, 1)
        for parameter in transcoder.parameters():
            parameter.zero_()
        assert load_transcoder(copied, 1).up_proj.weight.any() and transcoder.sites == load_transcoder(source, 1).sites


@pytest.mark.parametrize("name", ["circuit_tracer_topk", "circuit_tracer_jumprelu", "circuit_tracer_relu_skip"])
def test_circuit_tracers_layout_is_written_as_the_library_wrote_it(name, tmp_path):
    """The same tensors under the same names, and every setting that says what is computed; layers share one configuration."""
    for layer in (0, 1):
        circuit_tracer.save(load_transcoder(FIXTURES / name, layer), tmp_path, layer, "tiny")
        ours, wanted = (load_file(folder / f"layer_{layer}.safetensors") for folder in (tmp_path, FIXTURES / name))
        assert ours.keys() == wanted.keys() and all(torch.equal(ours[key], wanted[key]) for key in wanted)
    config, settings = (yaml.safe_load((folder / "config.yaml").read_text()) for folder in (tmp_path, FIXTURES / name))
    assert config == {key: value for key, value in settings.items() if key not in ("scan", "revision")}
    other = load_transcoder(FIXTURES / name, 1)
    other.sites = Sites("blocks.1.hook_resid_mid", "blocks.1.hook_mlp_out")
    with pytest.raises(CheckpointError, match="give another folder"):
        circuit_tracer.save(other, tmp_path, 2, "tiny")
    other.activation = TopK(5)
    with pytest.raises(CheckpointError, match="below zero"):
        circuit_tracer.save(other, tmp_path / "new", 2, "tiny")


def test_a_name_on_the_hub_is_fetched_and_read(tmp_path, monkeypatch):
    asked = []

    def snapshot_download(repository, revision, allow_patterns):
        asked.append((repository, revision))
        for file in FIXTURES.rglob("*"):
            inside = file.relative_to(FIXTURES).as_posix()
            if file.is_file() and any(fnmatch(inside, pattern) for pattern in allow_patterns):
                (tmp_path / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, tmp_path / inside)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    for name, local in {
        "saelens_transcoder": "saelens_transcoder",
        "circuit_tracer_topk@v2": "circuit_tracer_topk",
        "circuit_tracer_jumprelu/layer_1.safetensors": "circuit_tracer_jumprelu",
        "sparsify": "sparsify",
        "transcoder_circuits.pt": "transcoder_circuits.pt",
        "gemma_scope/params.npz": "gemma_scope/params.npz",
    }.items():
        found, wanted = (load_transcoder(path, 1)(RECORDED["input"]) for path in (f"hub:some/repository/{name}", FIXTURES / local))
        assert torch.equal(found, wanted) and asked[-1] == ("some/repository", "v2" if "@" in name else None)
    assert not (tmp_path / "circuit_tracer_topk/layer_0.safetensors").exists() and not (tmp_path / "sparsify/layers.0.mlp").exists()
    for name, message in {"hub:x": "give hub:OWNER/NAME", "hub:a/b/nothing": "holds no transcoder of layer 1"}.items():
        with pytest.raises(CheckpointError, match=message):
            load_transcoder(name, 1)


def change_json(**changes):
    def change(folder):
        config = json.loads((folder / "cfg.json").read_text()) | changes
        (folder / "cfg.json").write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))

    return change


def change_yaml(old, new):
    return lambda folder: (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace(old, new))


def change_tensor(file, name, change):
    def apply(folder):
        tensors = load_file(folder / file)
        tensors[name] = change(tensors.get(name))
        save_file({key: tensor for key, tensor in tensors.items() if tensor is not None}, folder / file)

    return apply


SAELENS, SPARSIFY, TRACER, TOPK = "saelens_transcoder", "sparsify/layers.1.mlp", "circuit_tracer_jumprelu", "circuit_tracer_topk"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (SAELENS, change_json(d_in=99), r"W_enc of .*sae_weights.safetensors has shape \[16, 40\], not \[d_in=99, d_sae\]|d_in=99, d_sae=40"),
        (SAELENS, change_json(d_sae=...), "cfg.json lacks the setting d_sae"),
        (SAELENS, change_json(d_out="12"), "cfg.json has d_out '12', where a value of type int is expected"),
        (SAELENS, change_json(architecture="gated"), "'gated'; known are transcoder, skip_transcoder"),
        (SAELENS, change_json(architecture=3), "has architecture 3"),
        (SAELENS, change_json(activation_fn="tanh"), "has the activation 'tanh'; known is relu"),
        (SAELENS, change_json(normalize_activations="layer_norm"), "has normalize_activations 'layer_norm', which is not read"),
        (SAELENS, change_json(apply_b_dec_to_input=True), "has apply_b_dec_to_input True"),
        (SAELENS, change_json(metadata={"hook_name": 3}), "has hook_name 3, where a value of type str"),
        ("saelens_topk", change_json(k=41), "says that k is 41, but the transcoder has 40 features"),
        ("saelens_topk", change_json(rescale_acts_by_decoder_norm=True), "has rescale_acts_by_decoder_norm True, which is not read"),
        (SAELENS, change_json(architecture="skip_transcoder"), "sae_weights.safetensors lacks the tensors W_skip"),
        (SAELENS, lambda folder: (folder / "cfg.json").write_text("[]"), "in no format"),
        (SAELENS, lambda folder: (folder / "sae_weights.safetensors").unlink(), "Cannot read .*sae_weights.safetensors"),
        (SPARSIFY, change_json(transcode=False), "is an autoencoder"),
        (SPARSIFY, change_json(activation="groupmax"), "has the activation 'groupmax'; known is topk"),
        (SPARSIFY, change_json(k=41), "says that k is 41, but the transcoder has 40 features"),
        (SPARSIFY, change_json(k=None), "has k None, where a value of type int"),
        (SPARSIFY, change_json(num_latents=41), r"encoder.weight of .*sae.safetensors has shape \[40, 16\], not \[num_latents=41, d_in=16\]"),
        (SPARSIFY, change_json(d_in=...), "lacks the setting d_in"),
        (SPARSIFY, change_tensor("sae.safetensors", "W_skip", lambda _: None), "lacks the tensors W_skip"),
        (SPARSIFY, lambda folder: folder.rename(folder.with_name("layers.1.attn")), "no MLP"),
        (TRACER, change_yaml("transcoder_set", "cross_layer_transcoder"), "'cross_layer_transcoder'; give one of per-layer"),
        (TRACER, change_yaml("feature_input_hook", "input"), "config.yaml lacks the setting feature_input_hook"),
        (TRACER, change_yaml("model_kind: ", "["), "not valid YAML"),
        (TRACER, change_yaml("scan: tiny", "scan: !!python/object/apply:os.getcwd []"), "not valid YAML"),
        (TRACER, lambda folder: (folder / "layer_1.safetensors").unlink(), "has no layer_1.safetensors; of such files it has: layer_0.safetensors"),
        (TRACER, change_tensor("layer_1.safetensors", "k", lambda _: torch.tensor(3)), "both k and activation_function.threshold"),
        (TRACER, change_tensor("layer_1.safetensors", "k", lambda _: torch.tensor([1.5, 2])), r"k of .* is \[1.5, 2.0\], where one whole number"),
        (TRACER, change_tensor("layer_1.safetensors", "b_enc", lambda t: t / 0), "b_enc of .*layer_1.safetensors .* holds NaN or infinite"),
        (
            TRACER,
            change_tensor("layer_1.safetensors", "W_dec", lambda t: t[:, :3].clone()),
            r"W_dec .* has shape \[40, 3\], not \[n_features=40, d_model=16\]",
        ),
        (TRACER, change_yaml("revision: null", "activation: topk"), "config.yaml has the activation topk, which goes with k beside it"),
        (TRACER, change_yaml("revision: null", "activation: relu"), "has the activation relu, which goes with neither k nor a threshold"),
        (TRACER, change_yaml("revision: null", "activation: softmax"), "has the activation 'softmax'; known are relu, jumprelu and topk"),
        (TOPK, change_yaml("k: 7", "k: 41"), "says that k is 41, but the transcoder has 40 features"),
        (TOPK, change_yaml("k: 7", "k: seven"), "has k 'seven', where a value of type int"),
        (TOPK, change_tensor("layer_1.safetensors", "k", lambda _: torch.tensor(9)), "k is 7 in .*config.yaml, but 9 in layer_1.safetensors"),
        ("gemma_scope_2", lambda folder: (folder / "config.json").write_text('{"hf_hook_point_in": "model.layers.5.output"}'), "lacks the setting"),
        (TRACER, change_tensor("layer_1.safetensors", "W_gate", lambda _: torch.zeros(2)), "unknown tensors .W_gate"),
    ],
)
def test_each_format_refuses_what_does_not_fit(tmp_path, name, change, message):
    folder = tmp_path / name
    shutil.copytree(FIXTURES / name, folder)
    change(folder)
    [path] = [folder] if folder.exists() else folder.parent.iterdir()
    with pytest.raises(CheckpointError, match=message) as error:
        load_transcoder(path, 1)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_a_layer_that_a_folder_does_not_have_is_named():
    for path, message in {
        "sparsify": "of the layers 0, 1, 2, not 7",
        "circuit_tracer_topk": "layer_7.safetensors; .* layer_0.safetensors, layer_1",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            load_transcoder(FIXTURES / path, 7)


def test_arrays_with_code_in_them_do_not_run(tmp_path):
    np.savez(tmp_path / "params.npz", W_enc=np.array([Bomb(tmp_path / "exploded")], dtype=object))
    (tmp_path / "half.npz").write_bytes(b"PK half")
    for name in ("params.npz", "half.npz"):
        with pytest.raises(CheckpointError, match="safely"):
            load_transcoder(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


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


def test_topk_round_trip(tmp_path):
    transcoder = tiny_transcoder()
    transcoder.activation = TopK(5)
    save_transcoder(transcoder, tmp_path)
    loaded = load_transcoder(tmp_path)
    torch.testing.assert_close(loaded(X), transcoder(X))
    assert loaded.sites == transcoder.sites
    transcoder.activation = TopK(5, relu=False)
    with pytest.raises(NotImplementedError):
        save_transcoder(transcoder, tmp_path)


def test_topk_keeps_the_largest():
    assert TopK(2)(torch.tensor([3.0, -1.0, 5.0, 4.0])).tolist() == [0, 0, 5, 4]
    assert TopK(2)(torch.tensor([-3.0, -1.0, 5.0, -4.0])).tolist() == [0, 0, 5, 0]
    assert TopK(2, relu=False)(torch.tensor([-3.0, -1.0, 5.0, -4.0])).tolist() == [0, -1, 5, 0]


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


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused(tmp_path):
    """They have no shape, and asking for it raises; nor does a transcoder need what makes them."""
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    torch.save({"cfg": {}, "state_dict": circuits_tensors() | {"b_enc": nested}}, tmp_path / "t.pt")
    with pytest.raises(CheckpointError, match="more than tensors and settings"):
        load_transcoder(tmp_path / "t.pt")


def test_files_that_are_no_transcoder_are_refused(tmp_path):
    (tmp_path / "x.pkl.gz").write_bytes(b"x")
    (tmp_path / "half.pt").write_bytes(b"PK\x03\x04 half")
    torch.save([1], tmp_path / "list.pt")
    for name, message in {"x.pkl.gz": "pkl", "half.pt": "broken", "list.pt": "no state_dict", "none": "no transcoder"}.items():
        with pytest.raises(CheckpointError, match=message):
            load_transcoder(tmp_path / name)
    save_transcoder(tiny_transcoder(), tmp_path / "t")
    shutil.copy(tmp_path / "half.pt", tmp_path / "t/sae_weights.safetensors")
    with pytest.raises(CheckpointError, match="not whole"):
        load_transcoder(tmp_path / "t")


def test_input_bias_is_folded():
    tensors = circuits_tensors()
    names = ("W_enc", "b_enc", "W_dec", "b_dec_out")
    plain = Transcoder.from_matrices(*(tensors[name] for name in names))
    biased = Transcoder.from_matrices(*(tensors[name] for name in names), b_dec=tensors["b_dec"])
    torch.testing.assert_close(biased(X + tensors["b_dec"]), plain(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("skip", [False, True])
def test_a_forward_pass_is_decode_after_encode(skip):
    transcoder, x = Transcoder(6, 11, 4, TopK(3), skip=skip), torch.randn(2, 5, 6)
    features = transcoder.encode(x)
    assert (transcoder.d_in, transcoder.n_features, transcoder.d_out) == (6, 11, 4) and features.shape == (2, 5, 11)
    assert (features != 0).sum(-1).max() <= 3
    assert torch.equal(transcoder.decode(features, x), transcoder(x))
    if skip:
        with pytest.raises(ValueError, match="needs what it read"):
            transcoder.decode(features)
    else:
        assert torch.equal(transcoder.decode(features), transcoder(x))


def test_a_folder_of_layers_and_a_cross_layer_transcoder_say_what_to_give(tmp_path):
    for layer in (10, 5):
        (tmp_path / f"layer_{layer}").mkdir()
    with pytest.raises(CheckpointError, match="single layers; name one of them: .*layer_5, .*layer_10"):
        load_transcoder(tmp_path)
    for folder in ("fixtures/cross_layer/circuit_tracer_relu", "../data/demo/clt"):
        with pytest.raises(CheckpointError, match="is a cross-layer transcoder.*graph takes it with --cross_layer"):
            load_transcoder(Path(__file__).parent.parent / folder)
