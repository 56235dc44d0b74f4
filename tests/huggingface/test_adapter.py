"""A spliced transcoder computes what it says, at the site that it was trained on, in every model family."""

import pytest
import torch

from huggingface.architectures import ARCHITECTURES, architecture_of, decoder_weight, down_projection, layer_of, mlp_of
from huggingface.digest import model_digest
from huggingface.load import load_model_and_tokenizer
from huggingface.transcoder import Sites, Transcoder
from huggingface.transcoder_adapter import adapt, spliced, unexplained_variance
from tests.tiny import CONFIGS, FEATURES, LAYERS, WIDTH, tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import CheckpointError, UserError
from util.hooks import Trace

TOKENIZER = tiny_tokenizer()
IDS = torch.tensor([TOKENIZER("int solution(int n) { return n; }")["input_ids"]])


def test_every_known_family_is_tested():
    assert {type(tiny_model(family)).__name__ for family in CONFIGS} == set(ARCHITECTURES)


@pytest.mark.parametrize("family", CONFIGS)
def test_the_table_is_right(family):
    model = tiny_model(family)
    places = architecture_of(model)
    model.get_submodule(places.final_norm), model.get_submodule(places.head)
    assert decoder_weight(down_projection(model, 1)).shape == (WIDTH, 48)
    with Trace(layer_of(model, 1).get_submodule(places.mlp_norm)) as norm, Trace(mlp_of(model, 1)) as mlp, torch.no_grad():
        with Trace(down_projection(model, 1)) as down:
            model(IDS)
    assert torch.equal(norm.output, mlp.input)
    assert torch.equal(down.output, mlp.output)
    decoded = down.input[0] @ decoder_weight(down_projection(model, 1)).T
    bias = down_projection(model, 1).bias
    torch.testing.assert_close(decoded if bias is None else decoded + bias, down.output[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", CONFIGS)
def test_splicing_replaces_one_mlp_and_is_taken_back(family):
    model, transcoder = tiny_model(family), tiny_transcoder()
    digest, mlp = model_digest(model), mlp_of(model, 2)
    with torch.no_grad():
        before = model(IDS).logits
        with spliced(model, 2, transcoder), Trace(mlp_of(model, 2)) as trace:
            spliced_logits = model(IDS).logits
            assert model_digest(model) != digest
        assert torch.equal(trace.output, transcoder(trace.input))
        assert not torch.equal(spliced_logits, before)
        assert torch.equal(model(IDS).logits, before)
    assert mlp_of(model, 2) is mlp and model_digest(model) == digest


@pytest.mark.parametrize("family", CONFIGS)
def test_a_site_before_the_norms_weight_is_mapped(family):
    model = tiny_model(family)
    transcoder = tiny_transcoder()
    transcoder.sites = Sites("blocks.2.ln2.hook_normalized", "blocks.2.hook_mlp_out")
    norm = layer_of(model, 2).get_submodule(architecture_of(model).mlp_norm)
    with Trace(norm) as trace, torch.no_grad():
        model(IDS)
    x = trace.input
    if "LayerNorm" in type(norm).__name__:
        normalized = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    else:
        normalized = x / (x.square().mean(-1, keepdim=True) + getattr(norm, "eps", getattr(norm, "variance_epsilon", None))).sqrt()
    torch.testing.assert_close(adapt(transcoder, model, 2)(trace.output), transcoder(normalized), rtol=1e-3, atol=1e-4)


def test_device_and_dtype_follow_the_layer():
    model = tiny_model().to(torch.bfloat16)
    with spliced(model, 2, tiny_transcoder()):
        assert model(IDS).logits.dtype == down_projection(model, 2).weight.dtype == torch.bfloat16


def test_unexplained_variance_is_zero_for_a_perfect_and_one_for_a_constant_stand_in():
    model = tiny_model()
    texts = ["int solution(int n) { return n; }"] * 2
    with spliced(model, 2, tiny_transcoder()):
        assert unexplained_variance(model, TOKENIZER, 2, tiny_transcoder(), texts) < 1e-10
        mean = Transcoder.from_matrices(torch.zeros(WIDTH, 4), torch.zeros(4), torch.zeros(4, WIDTH), torch.zeros(WIDTH))
        assert unexplained_variance(model, TOKENIZER, 2, mean, texts) >= 1


def test_what_does_not_fit_is_refused():
    model = tiny_model()
    narrow = Transcoder(WIDTH // 2, FEATURES, WIDTH)
    with pytest.raises(CheckpointError, match="width"):
        adapt(narrow, model, 2)
    elsewhere = tiny_transcoder()
    elsewhere.sites = Sites("blocks.2.hook_resid_mid")
    with pytest.raises(CheckpointError, match="hook_resid_mid"):
        adapt(elsewhere, model, 2)
    with pytest.raises(UserError, match=f"0 to {LAYERS - 1}"):
        layer_of(model, LAYERS)
    with pytest.raises(UserError, match="no known architecture"):
        architecture_of(torch.nn.Linear(1, 1))


def test_saved_model_loads_ready_to_generate(tmp_path):
    tiny_model().train().save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    model, tokenizer = load_model_and_tokenizer(str(tmp_path), dtype="bfloat16", device="cpu")
    assert not model.training and model.dtype == torch.bfloat16
    assert tokenizer.padding_side == "left" and tokenizer.pad_token_id is not None
    (tmp_path / "model.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="Cannot load"):
        load_model_and_tokenizer(str(tmp_path))
    with pytest.raises(UserError, match="no model folder"):
        load_model_and_tokenizer(str(tmp_path / "none"))
