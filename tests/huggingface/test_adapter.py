"""A spliced transcoder computes what it says, at the site that it was trained on, in every model family."""

import pytest
import torch

from huggingface.architectures import ARCHITECTURES, architecture_of, decoder_weight, down_projection, layer_of, mlp_of
from huggingface.digest import model_digest
from huggingface.load import load_model_and_tokenizer
from huggingface.site_check import measure_sites
from huggingface.transcoder import JumpReLU, Sites, Transcoder
from huggingface.transcoder_adapter import adapt, spliced
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
@pytest.mark.parametrize(
    ("reads", "writes"),
    [
        ("mlp_in", "mlp_out"),
        ("blocks.2.ln2.hook_normalized", "blocks.2.hook_mlp_out"),
        ("hook_resid_mid", "hook_mlp_out"),
        ("mlp_in", "added_normalized"),
    ],
)
def test_the_layer_computes_what_the_sites_say(family, reads, writes):
    model, transcoder = tiny_model(family), tiny_transcoder()
    transcoder.sites = Sites(reads, writes)
    layer, places = layer_of(model, 2), architecture_of(model)
    norm = layer.get_submodule(places.mlp_norm)
    post_norm = layer.get_submodule(places.post_mlp_norm) if places.post_mlp_norm else None
    if post_norm is None and writes == "added_normalized":
        with pytest.raises(CheckpointError, match="added_normalized"), spliced(model, 2, transcoder):
            pass
        return
    with Trace(norm) as trace, Trace(mlp_of(model, 2)) as mlp, Trace(layer) as whole, torch.no_grad():
        model(IDS)
    x, eps = trace.input, getattr(norm, "eps", getattr(norm, "variance_epsilon", None))
    centred = x - x.mean(-1, keepdim=True) if isinstance(norm, torch.nn.LayerNorm) else x
    normalized = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    y = transcoder({"mlp_in": trace.output, "hook_resid_mid": x}.get(reads, normalized))
    own = mlp.output
    if post_norm is not None:
        own = post_norm(own)
        if writes == "mlp_out":
            y = post_norm(y)
        elif writes == "added_normalized":
            y = y * (post_norm.weight + places.norm_weight_offset)
    # GPT-NeoX adds attention, MLP and stream at once; what else the layer adds is the same before and after.
    with spliced(model, 2, transcoder), Trace(layer_of(model, 2)) as whole_spliced, torch.no_grad():
        model(IDS)
    torch.testing.assert_close(whole_spliced.output - whole.output, y - own, rtol=1e-3, atol=1e-3)
    assert layer.get_submodule(places.mlp_norm) is norm


def test_a_copy_shares_nothing_with_its_original():
    transcoder = tiny_transcoder()
    transcoder.activation = JumpReLU(torch.rand(FEATURES))
    copied = adapt(transcoder, tiny_model(), 2)
    assert not {t.data_ptr() for t in transcoder.state_dict().values()} & {t.data_ptr() for t in copied.state_dict().values()}
    assert all(torch.equal(a, b) for a, b in zip(transcoder.state_dict().values(), copied.state_dict().values()))
    assert transcoder.activation is not copied.activation and not any(p.requires_grad for p in copied.parameters())


def test_device_and_dtype_follow_the_layer():
    model = tiny_model().to(torch.bfloat16)
    with spliced(model, 2, tiny_transcoder()):
        assert model(IDS).logits.dtype == down_projection(model, 2).weight.dtype == torch.bfloat16


def test_the_fit_is_zero_for_a_perfect_and_one_for_a_constant_stand_in():
    model = tiny_model()
    texts = ["int solution(int n) { return n; }"] * 2
    with spliced(model, 2, tiny_transcoder()):
        assert measure_sites(model, TOKENIZER, 2, tiny_transcoder(), texts)[0].fvu < 1e-10
        mean = Transcoder.from_matrices(torch.zeros(WIDTH, 4), torch.zeros(4), torch.zeros(4, WIDTH), torch.zeros(WIDTH))
        assert measure_sites(model, TOKENIZER, 2, mean, texts)[0].fvu >= 1


def test_what_does_not_fit_is_refused():
    model = tiny_model()
    narrow = Transcoder(WIDTH // 2, FEATURES, WIDTH)
    with pytest.raises(CheckpointError, match="width"):
        adapt(narrow, model, 2)
    elsewhere = tiny_transcoder()
    elsewhere.sites = Sites("blocks.2.hook_resid_pre")
    with pytest.raises(CheckpointError, match="hook_resid_pre"), spliced(model, 2, elsewhere):
        pass
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
