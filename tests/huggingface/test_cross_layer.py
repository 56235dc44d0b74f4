"""A cross-layer transcoder computes its formula, comes back from disk bit by bit, and opens what other libraries wrote."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from huggingface.cross_layer_transcoder import WEIGHTS_FILE, CrossLayerTranscoder, LayerTensors, save_cross_layer
from huggingface.loaders import load_transcoder
from huggingface.loaders.cross_layer import check_fits_model, load_cross_layer, save_circuit_tracer, save_coding
from huggingface.transcoder import Sites
from tests.huggingface.damage import flip_bits
from tests.tiny import tiny_model
from util.errors import CheckpointError

FIXTURES = Path(__file__).parents[1] / "fixtures/cross_layer"
RECORDED = load_file(FIXTURES / "recorded.safetensors")
L, F, D = 3, 20, 8


def random_transcoder(activation="jumprelu", n_layers=L, n_features=F, d_model=D, **more):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator) / 2

    layers = [
        LayerTensors(
            draw(n_features, d_model),
            draw(n_features) - 0.3,
            draw(n_features, n_layers - layer, d_model),
            draw(d_model),
            draw(n_features).abs() + 0.1 if activation == "jumprelu" else None,
        )
        for layer in range(n_layers)
    ]
    scales = [draw(n_layers).abs() + 0.5 for _ in range(2)]
    return CrossLayerTranscoder(layers, *scales, activation, 4 if activation == "topk" else None, **more)


@pytest.fixture
def x():
    return list(torch.randn(L, 2, 5, D, generator=torch.Generator().manual_seed(1)))


def formula(transcoder, x):
    """A naive double loop."""
    features, outputs = [], []
    for layer in range(L):
        h = x[layer] / transcoder.scale_in[layer] @ transcoder.W_enc[layer].T + transcoder.b_enc[layer]
        cut = 0.0
        if transcoder.activation == "jumprelu":
            cut = transcoder.threshold[layer]
        elif transcoder.activation == "topk":
            cut = h.sort(-1).values[..., -5:-4].clamp(min=0)
        features.append(torch.where(h > cut, h, torch.zeros(())))
    for target in range(L):
        y = transcoder.b_dec[target].expand(2, 5, D)
        for source in range(target + 1):
            y = y + torch.einsum("btf,fd->btd", features[source], transcoder.W_dec[source][:, target - source])
        outputs.append(y * transcoder.scale_out[target])
    return features, outputs


@pytest.mark.parametrize("activation", ["relu", "jumprelu", "topk"])
def test_the_formula(activation, x):
    transcoder = random_transcoder(activation)
    features, outputs = formula(transcoder, x)
    for layer, (found, wanted) in enumerate(zip(transcoder(x), outputs, strict=True)):
        torch.testing.assert_close(transcoder.encode(x[layer], layer), features[layer])
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    for found, wanted in zip(transcoder.folded()(x), outputs):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    chosen = torch.tensor([3, 17])
    one = torch.zeros(F)
    one[17] = 2.0
    for target in range(1, L):
        torch.testing.assert_close(transcoder.decoder_rows(1, target, chosen)[1] * 2, transcoder.write(one, 1)[target - 1])
    own = transcoder.layer_transcoder(1)
    torch.testing.assert_close(own.up_proj.weight[chosen], transcoder.encoder_rows(1, chosen))
    torch.testing.assert_close(own.encode(x[1]), features[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(own(x[1]), transcoder.write(features[1], 1)[..., 0, :] + transcoder.bias(1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "jumprelu", "topk"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_is_saved_is_loaded_bit_by_bit(activation, dtype, tmp_path):
    saved = random_transcoder(activation, sites=Sites("mlp_in", "mlp_out"), first_token=True).to(dtype)
    save_cross_layer(saved, tmp_path, model_name="tiny")
    loaded = load_cross_layer(tmp_path, dtype=None)
    assert loaded.state_dict().keys() == saved.state_dict().keys()
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    for attribute in ("activation", "k", "sites", "first_token", "n_layers", "n_features", "d_model"):
        assert getattr(loaded, attribute) == getattr(saved, attribute)
    assert loaded.metadata == {"model_name": "tiny"} and load_cross_layer(tmp_path).b_dec[0].dtype == torch.float32


@pytest.mark.parametrize("name", ["relu", "jump_relu"])
def test_what_circuit_tracer_wrote_computes_what_it_computed_and_is_written_again(name, tmp_path):
    transcoder = load_cross_layer(FIXTURES / f"circuit_tracer_{name}")
    x = RECORDED["input"]
    for layer, output in enumerate(transcoder(list(x))):
        torch.testing.assert_close(transcoder.encode(x[layer], layer), RECORDED[f"{name}.features"][layer])
        torch.testing.assert_close(output, RECORDED[f"{name}.output"][layer], rtol=1e-5, atol=1e-5)
    assert transcoder.sites == Sites("hook_resid_mid", "hook_mlp_out") and transcoder.metadata["model_name"] == "tiny"
    save_circuit_tracer(transcoder, tmp_path, "tiny")
    files = sorted(path.name for path in (FIXTURES / f"circuit_tracer_{name}").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    for file in files:
        if file.endswith(".safetensors"):
            ours, theirs = (load_file(folder / file) for folder in (tmp_path, FIXTURES / f"circuit_tracer_{name}"))
            assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)
    ours, theirs = (yaml.safe_load((folder / "config.yaml").read_text()) for folder in (tmp_path, FIXTURES / f"circuit_tracer_{name}"))
    assert ours.items() <= theirs.items()


@pytest.mark.parametrize("activation", ["relu", "jumprelu", "topk"])
def test_scales_are_folded_for_other_formats(activation, x, tmp_path):
    transcoder = random_transcoder(activation)
    save_coding(transcoder, tmp_path / "coding", "tiny")
    loaded = [load_cross_layer(tmp_path / "coding")]
    if activation == "topk":
        with pytest.raises(CheckpointError, match="topk has no place"):
            save_circuit_tracer(transcoder, tmp_path / "tracer", "tiny")
        assert not (tmp_path / "tracer").exists()
    else:
        save_circuit_tracer(transcoder, tmp_path / "tracer", "tiny")
        loaded.append(load_cross_layer(tmp_path / "tracer"))
    for other in loaded:
        for found, wanted in zip(other(x), transcoder(x)):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_damaged_and_foreign_folders_get_one_sentence(tmp_path):
    ours, tracer = tmp_path / "ours", tmp_path / "tracer"
    save_cross_layer(random_transcoder(), ours)
    shutil.copytree(FIXTURES / "circuit_tracer_jump_relu", tracer)

    def refused(folder, text):
        with pytest.raises(CheckpointError, match=text) as caught:
            load_cross_layer(folder)
        assert "\n" not in str(caught.value)

    refused(tmp_path / "nothing", "There is no folder")
    refused(tmp_path, "holds no cross-layer transcoder; give a folder with cfg.json")
    with pytest.raises(CheckpointError):
        load_transcoder(ours)
    for changes, text in (
        ({"n_layers": 2}, "unknown tensors"),
        ({"n_layers": 10**9}, "n_layers 1000000000"),
        ({"n_features": 21}, r"has shape \[20, 8\], not \[n_features=21"),
        ({"activation": "gelu"}, "has the activation 'gelu'; known are relu"),
        ({"activation": "topk"}, "unknown tensors"),
        ({"model_kind": "transcoder_set"}, "does not say that this is a cross_layer_transcoder"),
        ({"first_token": True}, "are not as they were saved"),
    ):
        before = (ours / "cfg.json").read_text()
        (ours / "cfg.json").write_text(json.dumps(json.loads(before) | changes))
        refused(ours, text)
        (ours / "cfg.json").write_text(before)
    tensors = load_file(ours / WEIGHTS_FILE)
    save_file(tensors | {"W_dec.1": tensors["W_dec.0"].clone()}, ours / WEIGHTS_FILE)
    refused(ours, r"W_dec.1 of the transcoder .* has shape \[20, 3, 8\], not \[n_features=20, layers from 1 on=2, d_model=8\]")
    save_file(tensors | {"b_enc.1": tensors["b_enc.1"] * torch.nan}, ours / WEIGHTS_FILE)
    refused(ours, "b_enc.1 .* NaN")
    (ours / WEIGHTS_FILE).write_bytes((ours / WEIGHTS_FILE).read_bytes()[:500])
    refused(ours, "not whole")
    (ours / WEIGHTS_FILE).unlink()
    refused(ours, "No such file")
    (tracer / "W_dec_1.safetensors").unlink()
    refused(tracer, "encoders of 3 layers and decoders of 2; it is not whole")
    shutil.copy(FIXTURES / "circuit_tracer_jump_relu/W_dec_2.safetensors", tracer / "W_dec_1.safetensors")
    refused(tracer, "lacks the tensors W_dec_1")
    refused(tmp_path / ("x" * 5000), "There is no folder")
    (tracer / "config.yaml").write_text("model_kind: cross_layer_transcoder\nfeature_input_hook: [1, 2]")
    shutil.copy(FIXTURES / "circuit_tracer_jump_relu/W_dec_1.safetensors", tracer / "W_dec_1.safetensors")
    refused(tracer, "feature_input_hook .1, 2., where a value of type str is expected")
    (tracer / "config.yaml").write_text("model_kind: transcoder_set")
    refused(tracer, "says that this is a 'transcoder_set'")


def test_flipped_bits_are_seen(tmp_path):
    save_cross_layer(random_transcoder(), tmp_path)
    for seed in range(10):
        before = (tmp_path / WEIGHTS_FILE).read_bytes()
        flip_bits(tmp_path / WEIGHTS_FILE, random.Random(seed))
        with pytest.raises(CheckpointError):
            load_cross_layer(tmp_path)
        (tmp_path / WEIGHTS_FILE).write_bytes(before)


def test_one_for_another_model_is_refused():
    with pytest.raises(CheckpointError, match="for 3 layers of width 8, but the model has 4 of width 32"):
        check_fits_model(random_transcoder(), tiny_model())
