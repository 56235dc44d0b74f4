"""A model with a cross-layer transcoder in the place of its MLPs: right sites, the live stream, cache, padding and batches, error terms."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from huggingface.activations import Point, read_activations
from huggingface.architectures import mlp_of
from huggingface.cross_layer_transcoder import CrossLayerTranscoder, LayerTensors
from huggingface.generation import greedy_generate
from huggingface.replacement import error_terms, read_sites, replaced, substituted
from huggingface.sites import known_sites
from huggingface.tokenization import encode, pad
from huggingface.transcoder import Sites
from huggingface.transcoder_adapter import spliced
from tests.huggingface.test_cross_layer import random_transcoder
from tests.tiny import CONFIGS, LAYERS, WIDTH, tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import CheckpointError

TEXTS = ["int x = 3;", "return n * 2 + cast(int) s.length;\n}", "a"]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def batch_of(tokenizer, texts=TEXTS, side="left"):
    return pad([encode(tokenizer, text).ids for text in texts], tokenizer.pad_token_id, "cpu", side)


def logits(model, batch):
    with torch.no_grad():
        return model(**batch._asdict()).logits[batch.attention_mask.bool()]


def small(first_token=False, **more):
    transcoder = random_transcoder(n_layers=LAYERS, n_features=50, d_model=WIDTH, first_token=first_token, **more)
    transcoder.scale_out /= 4
    return transcoder


def mlps_as_transcoder(model):
    """The function of a GPT-2 with ReLU: neurons are features that write into their own layer only."""
    layers = []
    for layer in range(LAYERS):
        mlp = mlp_of(model, layer)
        W_dec = torch.zeros(48, LAYERS - layer, WIDTH)
        W_dec[:, 0] = mlp.c_proj.weight.detach()
        layers.append(LayerTensors(mlp.c_fc.weight.detach().T, mlp.c_fc.bias.detach(), W_dec, mlp.c_proj.bias.detach()))
    ones = torch.ones(LAYERS)
    return CrossLayerTranscoder(layers, ones, ones.clone(), "relu", sites=Sites("mlp_in", "mlp_out"), first_token=True)


def test_a_perfect_reconstruction_is_the_model_itself(tokenizer):
    model = tiny_model("GPT2", activation_function="relu")
    batch, transcoder = batch_of(tokenizer), mlps_as_transcoder(model)
    own, text = logits(model, batch), greedy_generate(model, tokenizer, TEXTS, max_new_tokens=12)
    for layer in range(LAYERS):  # what the MLPs write themselves is not used
        mlp_of(model, layer).c_proj.bias.data += 1.0
    with replaced(model, transcoder):
        found = logits(model, batch)
        assert greedy_generate(model, tokenizer, TEXTS, max_new_tokens=12) == text
    torch.testing.assert_close(found, own, rtol=1e-4, atol=1e-4)
    assert (cosine_similarity(found, own) > 0.99999).all()


@pytest.mark.parametrize("first_token", [True, False])
def test_cache_padding_and_batches_change_nothing(tokenizer, first_token):
    model, transcoder = tiny_model(), small(first_token)
    texts = greedy_generate(model, tokenizer, TEXTS, max_new_tokens=8)
    with replaced(model, transcoder):
        together = greedy_generate(model, tokenizer, TEXTS, max_new_tokens=8)
        single = [greedy_generate(model, tokenizer, [text], max_new_tokens=8)[0] for text in TEXTS]
        left = logits(model, batch_of(tokenizer))
        right = logits(model, batch_of(tokenizer, side="right"))
        alone = torch.cat([logits(model, batch_of(tokenizer, [text])) for text in TEXTS])
        ids = encode(tokenizer, TEXTS[0]).ids
        whole = []
        for _ in range(8):
            with torch.no_grad():  # neither a cache nor positions
                whole.append(int(model(input_ids=torch.tensor([ids + whole]), use_cache=False).logits[0, -1].argmax()))
        generated = model.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False, pad_token_id=1)[0, len(ids) :].tolist()
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(left, alone, rtol=1e-4, atol=1e-4)
    assert together == single != texts and whole[: len(generated)] == generated
    assert greedy_generate(model, tokenizer, TEXTS, max_new_tokens=8) == texts  # nothing stays replaced


def test_features_are_those_of_the_live_stream(tokenizer):
    model, transcoder, batch = tiny_model(), small(), batch_of(tokenizer)
    points = [Point(layer, site) for layer in range(LAYERS) for site in ("resid_mid", "mlp_out", "resid_pre")]
    own = read_activations(model, points, **batch._asdict())
    with replaced(model, transcoder) as live:
        found = read_activations(model, [*points, Point(LAYERS - 1, "resid_post")], **batch._asdict())
    begins = (batch.position_ids == 0)[..., None]
    features = [transcoder.encode(found[Point(layer, "resid_mid")], layer).masked_fill(begins, 0) for layer in range(LAYERS)]
    for layer, output in enumerate(transcoder.decode(features)):
        torch.testing.assert_close(live.features[layer], features[layer])
        torch.testing.assert_close(live.reconstructions[layer], output, rtol=1e-4, atol=1e-5)
        written = found[Point(layer, "mlp_out")]
        torch.testing.assert_close(written, torch.where(begins, written, output), rtol=1e-4, atol=1e-5)
        if layer:
            assert not torch.allclose(found[Point(layer, "resid_mid")], own[Point(layer, "resid_mid")])
    # At the first token of each text the MLPs are their own.
    torch.testing.assert_close(found[Point(1, "mlp_out")][1, 0], own[Point(1, "mlp_out")][1, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("first_token", [True, False])
def test_with_error_terms_the_output_is_the_models(tokenizer, first_token):
    model, transcoder, batch = tiny_model(), small(first_token), batch_of(tokenizer)
    errors = error_terms(model, transcoder, batch)
    with replaced(model, transcoder, errors):
        found = logits(model, batch)
    torch.testing.assert_close(found, logits(model, batch), rtol=1e-4, atol=1e-4)
    with replaced(model, transcoder, errors, edit=lambda features, layer: features * (layer != 1)):
        assert not torch.allclose(logits(model, batch), found, atol=1e-2)


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_is_substituted_at_all_its_sites_as_spliced(family, tokenizer):
    """In one layer, against the transcoder spliced into it; and what is read at the sites is what the substitute gets."""
    model, transcoder, batch = tiny_model(family), tiny_transcoder(), batch_of(tokenizer)
    reads, writes = known_sites(model, 2)
    for read in reads:
        for write in writes:
            transcoder.sites = Sites(read, write)
            got = []

            def substitute(x, own, got=got):
                got[:] = [x, own]
                return transcoder(x)

            with substituted(model, {2: (transcoder.sites, substitute)}):
                found = logits(model, batch)
            with spliced(model, 2, transcoder):
                torch.testing.assert_close(found, logits(model, batch), rtol=1e-4, atol=1e-4)
            real = batch.attention_mask.bool()
            for there, passed in zip(read_sites(model, {2: transcoder.sites}, batch)[2], got, strict=True):
                torch.testing.assert_close(there[real], passed[real], rtol=1e-3, atol=1e-4)
            with substituted(model, {2: (transcoder.sites, lambda _x, own: own)}):
                torch.testing.assert_close(logits(model, batch), logits(model, batch), rtol=1e-3, atol=1e-4)


def test_one_of_other_sizes_is_refused(tokenizer):
    with pytest.raises(CheckpointError, match="for 3 layers of width 8"), replaced(tiny_model(), random_transcoder()):
        pass
