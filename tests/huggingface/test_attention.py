"""The attention's row of the table says what the model computes: every family's layers are computed again from their parts."""

import pytest
import torch

from huggingface.activations import Point, read_activations
from huggingface.architectures import (
    architecture_of,
    attention_norm_of,
    attention_of,
    is_parallel,
    layer_of,
    mlp_norm_of,
    post_attention_norm,
    post_mlp_norm,
)
from huggingface.attention import attention_heads
from huggingface.stream_ends import embed, embedding_matrix, unembed, unembedding_matrix
from huggingface.tokenization import encode, pad
from tests.tiny import CONFIGS, LAYERS, WIDTH, tiny_model, tiny_tokenizer
from util.errors import UserError

TOKENIZER = tiny_tokenizer()
TEXTS = ["int solution(int n) { int[] dp = new int[n]; return dp.length; }", "long x = cast(int) s.length; return n;", "dp"]
ROWS = [encode(TOKENIZER, text).ids for text in TEXTS]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}

VARIANTS = {
    "GPTNeoX": {"sequential": {"use_parallel_residual": False}},
    "Qwen2": {"windows": {"use_sliding_window": True, "sliding_window": 12, "layer_types": ["sliding_attention", "full_attention"] * 2}},
    "Llama": {"biases": {"attention_bias": True}},
    "Phi3": {"partly rotated": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}},
}
"""Forms of a family whose parts the plain tiny model lacks."""

CASES = [(family, "plain") for family in CONFIGS] + [(family, name) for family, variants in VARIANTS.items() for name in variants]


def model_of(family, variant="plain"):
    """A tiny model in which every cap, window, scale and norm changes the result."""
    settings = VARIANTS.get(family, {}).get(variant, {})
    if family in ("Gemma2", "Gemma3"):
        settings = {"query_pre_attn_scalar": 5, "attn_logit_softcapping": 1.5, "final_logit_softcapping": 2.0}
    return tiny_model(family, **settings)


@pytest.fixture(params=CASES, ids=lambda case: " ".join(case), scope="module")
def case(request):
    return request.param[0], model_of(*request.param)


def batch_of(side):
    return pad(ROWS, TOKENIZER.pad_token_id, "cpu", side=side)


@torch.no_grad()
def read(model, layer, *sites, side="right"):
    batch = batch_of(side)
    found = read_activations(model, [Point(layer, site) for site in sites], **batch._asdict(), use_cache=False)
    return [found[layer, site] for site in sites]


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_the_pattern_is_that_of_the_queries_and_keys(case, side):
    _, model = case
    batch = batch_of(side)
    real = batch.attention_mask.bool()
    for layer in range(2):
        attn_in, pattern = read(model, layer, "attn_in", "pattern", side=side)
        own = attention_heads(model, layer).pattern(attn_in, batch.attention_mask, batch.position_ids)
        torch.testing.assert_close(own.transpose(1, 2)[real], pattern.transpose(1, 2)[real], **CLOSE)


@torch.no_grad()
def test_the_heads_write_what_the_attention_puts_out(case):
    _, model = case
    for layer in range(2):
        attn_in, pattern, mixed, attn_out = read(model, layer, "attn_in", "pattern", "head_values", "attn_out")
        heads = attention_heads(model, layer)
        written = heads.outputs(pattern, attn_in)
        assert written.shape == (*attn_in.shape[:2], 4, WIDTH)
        torch.testing.assert_close(written.sum(-2) + heads.b_O, attn_out, **CLOSE)
        # Each head alone, as the output projection has it: all other heads' mixed values are zero.
        o_proj = attention_of(model, layer).get_submodule(architecture_of(model).o_proj)
        for head in range(heads.n_heads):
            alone = torch.zeros_like(mixed).unflatten(-1, (4, -1))
            alone[..., head, :] = mixed.unflatten(-1, (4, -1))[..., head, :]
            torch.testing.assert_close(written[..., head, :], o_proj(alone.flatten(-2)) - heads.b_O, **CLOSE)
        one_by_one = torch.einsum("rhqk,rkhm->rqhm", pattern, heads.moved(attn_in))
        torch.testing.assert_close(one_by_one, written, **CLOSE)


@torch.no_grad()
def test_one_source_is_moved_by_the_heads_matrix(case):
    _, model = case
    heads, x = attention_heads(model, 1), torch.randn(3, WIDTH)
    for head in range(heads.n_heads):
        bias = heads.b_V[heads.key_value_head(head)] @ heads.W_O[head]
        torch.testing.assert_close(x @ heads.W_OV(head) + bias, heads.moved(x)[:, head], **CLOSE)


@torch.no_grad()
def test_the_residual_stream_adds_up(case):
    _, model = case
    batch = batch_of("right")
    sites = ("resid_pre", "attn_in", "attn_out", "attn_added", "resid_mid", "mlp_in", "mlp_out", "added", "resid_post")
    found = read_activations(model, [Point(layer, site) for layer in range(LAYERS) for site in sites], **batch._asdict(), use_cache=False)
    torch.testing.assert_close(embed(model, batch.input_ids, batch.position_ids), found[0, "resid_pre"], **CLOSE)
    for layer in range(LAYERS):
        pre, attn_in, attn_out, attn_added, mid, mlp_in, mlp_out, added, post = (found[layer, site] for site in sites)
        assert torch.equal(attention_norm_of(model, layer)(pre), attn_in) and torch.equal(mlp_norm_of(model, layer)(mid), mlp_in)
        assert torch.equal(post_attention_norm(model, layer)(attn_out), attn_added) and torch.equal(post_mlp_norm(model, layer)(mlp_out), added)
        torch.testing.assert_close(mid, pre if is_parallel(model) else pre + attn_added, **CLOSE)
        torch.testing.assert_close(post, pre + attn_added + added, **CLOSE)
        assert layer == LAYERS - 1 or torch.equal(post, found[layer + 1, "resid_pre"])
    logits = model(**batch._asdict()).logits
    torch.testing.assert_close(unembed(model, found[LAYERS - 1, "resid_post"]), logits, **CLOSE)


@torch.no_grad()
def test_the_matrices_at_the_ends_are_the_models(case):
    _, model = case
    places, ids = architecture_of(model), torch.tensor([ROWS[0]])
    tokens = model.get_submodule(places.embedding)(ids)
    torch.testing.assert_close(embedding_matrix(model)[ids], tokens, **CLOSE)
    x = torch.randn(2, WIDTH)
    torch.testing.assert_close(x @ unembedding_matrix(model), model.get_submodule(places.head)(x), **CLOSE)


def test_what_the_families_have_decides_something():
    """The comparisons above would not see a cap, window, norm or scale that changes nothing."""
    gemma = model_of("Gemma2")
    attn_in = read(gemma, 0, "attn_in")[0]
    heads, batch = attention_heads(gemma, 0), batch_of("right")
    assert heads.window == 12 < len(ROWS[0]) and attention_heads(gemma, 1).window is None
    with torch.no_grad():
        assert heads.scores(attn_in, batch.position_ids).abs().max() > 0.5 * heads.score_cap
        assert gemma(**batch._asdict()).logits.abs().max() > 0.5 * gemma.config.final_logit_softcapping
    assert attention_heads(model_of("Gemma3"), 0).score_cap is None
    assert isinstance(attention_heads(model_of("Qwen3"), 0).query_norm, type(layer_of(model_of("Qwen3"), 0).input_layernorm))
    assert [attention_heads(model_of("Qwen2", "windows"), layer).window for layer in range(LAYERS)] == [12, None] * 2
    assert attention_heads(model_of("Llama", "biases"), 0).b_O.any() and not attention_heads(model_of("Llama"), 0).b_O.any()
    for family, variant, rotated in (("Phi3", "partly rotated", 4), ("GPTNeoX", "plain", 2), ("Llama", "plain", 8)):
        angles = attention_heads(model_of(family, variant), 0).angles(attn_in, batch.position_ids)
        assert angles[0].shape[-1] == rotated
    assert is_parallel(model_of("GPTNeoX")) and not is_parallel(model_of("GPTNeoX", "sequential"))


def test_weights_are_views_of_the_models(case):
    _, model = case
    heads, pointers = attention_heads(model, 1), {p.untyped_storage().data_ptr() for p in attention_of(model, 1).parameters()}
    assert {w.untyped_storage().data_ptr() for w in (heads.W_Q, heads.W_K, heads.W_V, heads.W_O)} <= pointers
    assert (heads.n_heads, heads.d_head) == (4, 8) and heads.n_key_value_heads in (2, 4)


def test_what_cannot_be_read_is_refused():
    model = tiny_model()
    with pytest.raises(UserError, match="0 to 3"):
        attention_heads(model, LAYERS)
    model.model.layers[1].self_attn.to("meta")
    with pytest.raises(UserError, match="quantised or offloaded"):
        attention_heads(model, 1)
    del model.model.layers[2].self_attn.q_proj
    with pytest.raises(UserError, match="has no q_proj; correct the family's row"):
        attention_heads(model, 2)
