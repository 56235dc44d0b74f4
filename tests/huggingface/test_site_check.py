"""A transcoder is measured where it reads and writes: the right sites pass, wrong ones and foreign transcoders are refused with the table."""

import inspect
import json.decoder
import json.encoder
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from huggingface.architectures import architecture_of, layer_of, mlp_of
from huggingface.site_check import SiteFit, check_site, measure_sites
from huggingface.sites import READS, WRITES, declared_layer, known_sites, norms_of, reading_norm, resolve, value_written
from huggingface.tokenization import encode
from huggingface.transcoder import Sites, Transcoder
from huggingface.transcoder_adapter import spliced
from tests.tiny import LAYERS, WIDTH, tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import CheckpointError, UserError
from util.hooks import Trace

TOKENIZER = tiny_tokenizer()
SOURCE = inspect.getsource(json.decoder) + inspect.getsource(json.encoder)
TEXTS = [SOURCE[start : start + 400] for start in range(0, 6000, 400)]
FITTED_ON, MEASURED_ON = TEXTS[:-2], TEXTS[-2:]
LAYER = 2
PAIRS = {
    "Llama": [(read, "mlp_out") for read in ("mlp_in", "normalized", "resid_mid")],
    "GPT2": [(read, "mlp_out") for read in ("mlp_in", "normalized", "resid_mid", "resid_mid_centred")],
    "Gemma2": [(read, write) for read in ("mlp_in", "normalized", "resid_mid") for write in ("mlp_out", "added", "added_normalized")],
}
FIXTURES = Path(__file__).parents[1] / "fixtures/sites"


def uneven(family):
    """A tiny model whose norms weight their directions unevenly and whose stream has a mean, as in trained ones."""
    model = tiny_model(family)
    torch.manual_seed(3)
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(torch.randn(len(TOKENIZER), 1))
        for layer in range(LAYERS):
            for norm in norms_of(model, layer):
                if norm is not None:
                    norm.weight.add_(0.5 * torch.randn(WIDTH))
                    if getattr(norm, "bias", None) is not None:
                        norm.bias.add_(0.5 * torch.randn(WIDTH))
    return model


@torch.no_grad()
def values(model, texts):
    """What is at each site of LAYER, by formulas of its own: {site: [token, width]}."""
    norm, post_norm = norms_of(model, LAYER)
    collected = {}
    for text in texts:
        with Trace(norm) as before, Trace(mlp_of(model, LAYER)) as after:
            model(input_ids=torch.tensor([encode(TOKENIZER, text).ids]))
        x, y = before.input[0, 1:].double(), after.output[0, 1:].double()
        weight = norm.weight.double() + architecture_of(model).norm_weight_offset
        parts = {"mlp_in": after.input[0, 1:].double(), "resid_mid": x, "mlp_out": y}
        centred = x - x.mean(-1, keepdim=True)
        if getattr(norm, "bias", None) is not None:
            parts |= {"normalized": (parts["mlp_in"] - norm.bias.double()) / weight, "resid_mid_centred": centred}
        else:
            parts["normalized"] = parts["mlp_in"] / weight
        if post_norm is not None:
            bare = y / (y.square().mean(-1, keepdim=True) + post_norm.eps).sqrt()
            parts |= {"added_normalized": bare, "added": bare * (1 + post_norm.weight.double())}
        for name, part in parts.items():
            collected.setdefault(name, []).append(part)
    return {name: torch.cat(parts) for name, parts in collected.items()}


def fitted(x, y, sites, n_features=400):
    """A transcoder of random ReLU features whose decoder is the least-squares fit of ``y`` on them."""
    torch.manual_seed(4)
    W_enc = torch.randn(x.shape[1], n_features).double() / x.std(0)[:, None]
    b_enc = -(x.mean(0) @ W_enc) + torch.randn(n_features).double() * 4
    features = torch.cat([(x @ W_enc + b_enc).relu(), torch.ones(len(x), 1)], 1)
    gram = features.T @ features
    decoder = torch.linalg.solve(gram + 1e-3 * gram.diagonal().mean() * torch.eye(len(gram)), features.T @ y)
    return Transcoder.from_matrices(W_enc, b_enc, decoder[:-1], decoder[-1], sites=sites)


@pytest.fixture(scope="module", params=PAIRS)
def family(request):
    model = uneven(request.param)
    return request.param, model, values(model, FITTED_ON)


def test_the_right_sites_pass_and_any_others_are_refused(family):
    name, model, at = family
    for index, right in enumerate(PAIRS[name]):
        transcoder = fitted(at[right[0]], at[right[1]], Sites(*right))
        fits = measure_sites(model, TOKENIZER, LAYER, transcoder, MEASURED_ON)
        assert fits[0].sites == Sites(*right) and fits[0].fvu < 0.3
        assert {(fit.sites.reads, fit.sites.writes) for fit in fits if fit.layer == LAYER} == set(PAIRS[name])
        assert {fit.layer for fit in fits} == {LAYER - 1, LAYER, LAYER + 1}
        check_site(transcoder, fits, "t")
        transcoder.sites = Sites(*PAIRS[name][index - 1])
        measured = measure_sites(model, TOKENIZER, LAYER, transcoder, MEASURED_ON)
        assert measured[0].sites == transcoder.sites
        # What is measured at a layer's sites does not depend on which of them is declared.
        assert {fit for fit in measured if fit.layer == LAYER} == {fit for fit in fits if fit.layer == LAYER}
        for wrong in fits[1:]:
            # The MLP sees nothing of the mean, and so a fit on the stream may learn to ignore it.
            like_it = "(_centred)?" if right[0] == "resid_mid" else ""
            if like_it and wrong.sites.reads == "resid_mid_centred":
                continue
            with pytest.raises(CheckpointError, match=f"give --TC_sites {right[0]}{like_it} {right[1]}, or --skip_site_check") as error:
                check_site(transcoder, [wrong._replace(layer=LAYER), *fits], "t")
            assert all(f"{fit.fvu:.3g}" in str(error.value) for fit in fits)


def test_splicing_at_the_right_site_gives_the_models_own_answers_nearly(family):
    """The splice and the measurement read and write at the same places: a good fit at a site changes little when it is spliced there."""
    name, model, at = family
    ids = torch.tensor([encode(TOKENIZER, MEASURED_ON[0]).ids])
    norm, post_norm = norms_of(model, LAYER)
    for right in PAIRS[name]:
        transcoder = fitted(at[right[0]], at[right[1]], Sites(*right))
        with torch.no_grad(), Trace(layer_of(model, LAYER)) as own:
            model(input_ids=ids)
        with torch.no_grad(), spliced(model, LAYER, transcoder), Trace(layer_of(model, LAYER)) as replaced, Trace(mlp_of(model, LAYER)) as inside:
            model(input_ids=ids)
        expected = values(model, MEASURED_ON[:1])
        torch.testing.assert_close(inside.input[0, 1:].double(), expected[right[0]], rtol=1e-3, atol=1e-4)
        added, wanted = (x[0, 1:].double() - expected["resid_mid"] for x in (replaced.output, own.output))
        if name == "GPT2":
            added, wanted = (x - x.mean(-1, keepdim=True) for x in (added, wanted))
        assert (added - wanted).square().sum() < 0.3 * (wanted - wanted.mean(0)).square().sum(), right
        assert norms_of(model, LAYER) == (norm, post_norm)


def test_a_neighbours_transcoder_is_named(family):
    _, model, at = family
    transcoder = fitted(at["mlp_in"], at["mlp_out"], Sites("blocks.2.mlp.hook_in", "blocks.2.mlp.hook_out"))
    for layer in (LAYER - 1, LAYER + 1):
        fits = measure_sites(model, TOKENIZER, layer, transcoder, MEASURED_ON)
        with pytest.raises(CheckpointError, match=f"give --layer_num {LAYER}, or"):
            check_site(transcoder, fits, "t")


def test_a_foreign_transcoder_is_refused(family):
    _, model, _ = family
    transcoder = tiny_transcoder()
    with pytest.raises(CheckpointError, match=r"(?s)^The transcoder t leaves \d+% of .* \(declared\)\n") as error:
        check_site(transcoder, measure_sites(model, TOKENIZER, LAYER, transcoder, MEASURED_ON), "t")
    assert re.search(r"another model, layer or site; give the right --TC_layer_file and --layer_num, or --skip_site_check", str(error.value))


def test_what_the_rule_says():
    transcoder = tiny_transcoder()

    def refused(declared, other, layer=2):
        fits = [SiteFit(2, Sites(), declared), SiteFit(layer, Sites("resid_mid", "mlp_out"), other)]
        try:
            check_site(transcoder, fits, "t")
        except CheckpointError as error:
            return str(error)
        return ""

    assert not refused(0.3, 0.28) and not refused(0.0009, 0.0) and not refused(0.3, float("nan"))
    assert "give --TC_sites resid_mid mlp_out" in refused(0.3, 0.2) and "give --layer_num 3" in refused(0.3, 0.2, 3)
    assert "90% of the variance" in refused(0.9, 0.95) and "nan% of the variance" in refused(float("nan"), float("nan"))
    assert "--TC_sites" in refused(float("inf"), 0.1)
    transcoder.sites = Sites("blocks.7.mlp.hook_in", "mlp_out")
    assert "says that it is of layer 7 (blocks.7.mlp.hook_in), not 2" in refused(0.1, 0.5)


def test_too_few_tokens_are_reported():
    with pytest.raises(UserError, match="too few tokens"):
        measure_sites(tiny_model(), TOKENIZER, LAYER, tiny_transcoder(), ["x"])


def test_the_first_and_last_layers_have_one_neighbour():
    model = tiny_model()
    for layer, others in {0: {1}, LAYERS - 1: {LAYERS - 2}}.items():
        fits = measure_sites(model, TOKENIZER, layer, tiny_transcoder(), MEASURED_ON)
        assert {fit.layer for fit in fits} - {layer} == others


def test_a_site_that_the_model_does_not_have_is_refused():
    llama, gpt2 = tiny_model(), tiny_model("GPT2")
    for reads in ("blocks.2.hook_resid_pre", "mlp.hook_post", "resid_mid_centred"):
        with pytest.raises(CheckpointError, match=f"reads {reads}, which is none of the inputs .* LlamaForCausalLM; known names are mlp_in"):
            resolve(Sites(reads), llama, LAYER)
    for writes in ("blocks.2.mlp.hook_post", "ln2_post.hook_out", "added_normalized"):
        with pytest.raises(CheckpointError, match=f"writes {writes}, which is none of the outputs .* GPT2LMHeadModel"):
            resolve(Sites(writes=writes), gpt2, LAYER)
    assert resolve(Sites("resid_mid_centred"), gpt2, LAYER).reads == "resid_mid_centred"
    assert declared_layer(Sites("x", "blocks.11.hook_mlp_out")) == 11 and declared_layer(Sites()) is None


@pytest.mark.parametrize("family", ["GPT2", "Llama", "Gemma2"])
@torch.no_grad()
def test_every_name_means_what_transformer_lens_has_there(family):
    """Recorded by TransformerLens 3's HookedTransformer and 4's bridge, with and without their processing of the weights."""
    model = AutoModelForCausalLM.from_pretrained(FIXTURES / family).eval()
    recorded = load_file(FIXTURES / "recorded.safetensors")
    layer = 1
    with Trace(norms_of(model, layer)[0]) as before, Trace(mlp_of(model, layer)) as after:
        model(input_ids=recorded["input_ids"])
    reads, writes = known_sites(model, layer)
    at = {site: reading_norm(model, layer, site)(before.input) for site in reads}
    at |= {site: value_written(model, layer, site, after.output) for site in writes}
    checked = 0
    for name, value in recorded.items():
        if not name.startswith(f"{family}."):
            continue
        _, way, hook = name.split(".", 2)
        resolved = resolve(Sites(reads=hook) if hook in READS else Sites(writes=hook), model, layer)
        site = resolved.reads if hook in READS else resolved.writes
        processed = "processed" in way
        if processed and site == "mlp_in":
            site = "normalized"  # the norm's weight and bias are folded into the MLP
        if processed and family == "GPT2" and site == "resid_mid":
            site = "resid_mid_centred"  # so are the means of what is written to the stream
        expected = at[site]
        if processed and family == "GPT2" and site == "mlp_out":
            expected = expected - expected.mean(-1, keepdim=True)
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
        checked += 1
    assert checked == {"GPT2": 24, "Llama": 24, "Gemma2": 32}[family]
    hooks = {name.split(".", 2)[2] for name in recorded if name != "input_ids"}
    assert hooks == {name for name in READS | WRITES if "hook_" in name}
