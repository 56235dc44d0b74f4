"""TransformerLens's bridge of a model with a transcoder: the model's own figures, in compatibility mode too, and no half-wrapped model."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from huggingface.architectures import mlp_of
from huggingface.bridge import bridged
from huggingface.digest import model_digest
from huggingface.sites import known_sites
from huggingface.transcoder import Sites
from tcpe.model import Model
from tcpe.update import Edit
from tests.tcpe.test_update import LAYER, random_update
from tests.tiny import tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import UserError

IDS = torch.arange(40)[None]


@pytest.fixture
def model(request, tmp_path) -> Model:
    """A tiny model and a transcoder at the sites that the test asks for; TransformerLens needs both from a folder."""
    family, *sites = request.param
    tiny_model(family).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    transcoder = tiny_transcoder() if sites else None
    if transcoder is not None:
        transcoder.sites = Sites(*sites)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    return Model(loaded, AutoTokenizer.from_pretrained(tmp_path, padding_side="left"), LAYER, transcoder)


def cases():
    """Every site that the bridge has, in a model with each kind of norm; and an MLP without a transcoder."""
    for family in ("Llama", "GPT2", "Gemma2"):
        reads, writes = known_sites(tiny_model(family), LAYER)
        yield family,
        yield from ((family, read, writes[0]) for read in reads if read != "resid_mid_centred")
        yield from ((family, reads[0], write) for write in writes[1:])


@torch.no_grad()
@pytest.mark.parametrize("model", list(cases()), ids=" ".join, indirect=True)
def test_a_bridge_computes_what_the_edited_model_does(model: Model):
    plain, digest = model.model(input_ids=IDS).logits.log_softmax(-1), model.digest
    with model.edited(Edit(random_update(model.model, 0))):
        expected = model.model(input_ids=IDS).logits.log_softmax(-1)
        bridge = model.bridge()
    assert (expected - plain).abs().max() > 0.01
    assert torch.allclose(bridge(IDS).log_softmax(-1), expected, atol=1e-4)
    bridge.enable_compatibility_mode(disable_warnings=True)
    assert torch.allclose(bridge(IDS).log_softmax(-1), expected, atol=1e-4)
    assert model.digest == digest and model.tokenizer.padding_side == "left"
    assert torch.equal(model.model(input_ids=IDS).logits.log_softmax(-1), plain)


@torch.no_grad()
@pytest.mark.parametrize("model", [("Llama", "mlp_in", "mlp_out"), ("GPT2", "mlp_in", "mlp_out"), ("Gemma2", "mlp_in", "mlp_out")], indirect=True)
def test_hooks_act_on_what_the_transcoder_reads_and_writes(model: Model):
    def change(value, hook=None):
        return -value / 2

    with model.edited(Edit(random_update(model.model, 0))):
        handles = [mlp_of(model.model, LAYER).register_forward_pre_hook(lambda _, given: tuple(map(change, given)))]
        reads_changed = model.model(input_ids=IDS).logits.log_softmax(-1)
        handles += [mlp_of(model.model, LAYER).register_forward_hook(lambda _, given, value: change(value))]
        writes_changed_too = model.model(input_ids=IDS).logits.log_softmax(-1)
        for handle in handles:
            handle.remove()
        plain, bridge = model.model(input_ids=IDS).logits.log_softmax(-1), model.bridge()
    point_in, point_out = (f"blocks.{LAYER}.mlp.hook_{end}" for end in ("in", "out"))
    for dtype in (torch.float32, torch.float64):
        bridge.to(dtype)
        for hooks, expected in (([point_in], reads_changed), ([point_in, point_out], writes_changed_too), ([], plain)):
            found = bridge.run_with_hooks(IDS, fwd_hooks=[(point, change) for point in hooks])
            assert torch.allclose(found.log_softmax(-1).float(), expected, atol=1e-4)
        bridge.reset_hooks(including_permanent=True)
    assert (reads_changed - plain).abs().max() > 0.01 < (reads_changed - writes_changed_too).abs().max()
    written = bridge.run_with_cache(IDS)[1][point_out].float()
    for fold in (lambda: None, lambda: bridge.enable_compatibility_mode(disable_warnings=True)):
        fold()
        bridge.to(torch.bfloat16).to(torch.float32)  # rounds the norm's weights too, by which it is known whether they are folded
        again = bridge.run_with_cache(IDS)[1][point_out].float()
        assert (again - written).norm() < 0.02 * written.norm()


@pytest.mark.parametrize("model", [("Llama", "mlp_in", "mlp_out")], indirect=True)
def test_a_transcoder_in_the_model_is_refused_before_it_is_wrapped(model: Model):
    digest, modules = model_digest(model.model), list(model.model.modules())
    with pytest.raises(UserError, match=r"Model\.bridge.*bridge_edited"):
        bridged(model.model, model.tokenizer)
    assert model_digest(model.model) == digest and all(one is other for one, other in zip(modules, model.model.modules(), strict=True))


@pytest.mark.parametrize("model", [("Llama",)], indirect=True)
def test_a_tokenizer_that_cannot_be_read_again_is_refused_before_the_model_is_wrapped(model: Model):
    digest = model_digest(model.model)
    with pytest.raises(UserError, match="made in memory; write it with save_pretrained"):
        bridged(model.model, tiny_tokenizer())
    assert model_digest(model.model) == digest
