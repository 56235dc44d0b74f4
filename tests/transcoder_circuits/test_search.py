"""Paths: the naive search's, brute force's, and a planted one."""

import pytest
import torch

from huggingface.transcoder import Transcoder
from tests.tiny import CONFIGS, LAYERS, WIDTH, tiny_model, tiny_tokenizer, tiny_transcoder
from tests.transcoder_circuits.frozen_models import TEXT, frozen_pass
from tests.transcoder_circuits.naive_search import naive_greedy_paths
from transcoder_circuits.circuit_analysis import (
    Component,
    ComponentType,
    FeatureFilter,
    FeatureVector,
    FilterType,
    get_attn_head_contribs,
    get_ln_constant,
    get_paths_via_filter,
    get_raw_top_features_among_paths,
    get_top_contribs,
    get_top_transcoder_features,
    get_transcoder_ixg,
    greedy_get_top_paths,
    make_sae_feature_vector,
    path_text,
    print_all_paths,
)
from transcoder_circuits.components import logit_vector
from transcoder_circuits.frozen import FrozenPass
from util.errors import UserError


def root_of(cache, layer=LAYERS - 1, token=-1):
    active = cache.layers[layer].features[token]
    return make_sae_feature_vector(cache.transcoders[layer], int(active.argmax()), token=token, layer=layer)


def greedy(cache, root, **options):
    return greedy_get_top_paths(cache.model, cache.transcoders, cache, root, **options)


def folded_pass():
    model = tiny_model("Llama", num_key_value_heads=4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.fill_(1)
    ids = tiny_tokenizer()(TEXT)["input_ids"]
    return FrozenPass(model, {layer: tiny_transcoder(layer + 1) for layer in range(LAYERS)}, ids)


def test_paths_are_the_naive_searchs():
    cache = folded_pass()
    root = root_of(cache)
    vector, _ = cache.in_stream(root)
    wanted = naive_greedy_paths(cache, vector, 2 * (LAYERS - 1) + 1, len(cache.ids) - 1, depths=3, branches=6)
    found = greedy_get_top_paths(cache.model, cache.transcoders, cache, root, num_iters=3, num_branches=6, do_raw_attribution=True)
    for paths, depth in zip(found, wanted, strict=True):
        assert [tuple(map(str, path[-1].component_path[1:])) for path in paths] == [names for names, _ in depth]
        assert [path[-1].contrib for path in paths] == pytest.approx([contrib for _, contrib in depth], rel=1e-4)


@pytest.mark.parametrize("family", list(CONFIGS))
def test_children_and_bias_make_every_node_in_every_family(family):
    cache = frozen_pass(family)
    options = {"num_branches": 12, "ignore_bos": False, "do_raw_attribution": True, "absolute": True}
    heads = greedy(cache, root_of(cache), num_iters=1, filter=FeatureFilter(component_type=ComponentType.ATTN), **options)
    seen = set()
    for path in (path for depth in (*heads, *greedy(cache, root_of(cache), num_iters=3, **options)) for path in depth):
        node = path[-1]
        if node.component.component_type is not ComponentType.EMBED:
            direct = cache.direct(node.vector[None], [node.token], [cache.span(node)])
            scale = sum(part.abs().sum().item() for part in direct.features.values()) + abs(node.contrib)
            assert direct.total().item() + node.bias == pytest.approx(node.contrib, abs=1e-5 * scale)
            seen.add(node.component.component_type)
    assert seen == {ComponentType.MLP, ComponentType.ATTN}


def test_with_all_branches_the_search_finds_every_path():
    model = tiny_model("Llama", num_hidden_layers=2)
    cache = FrozenPass(model, [tiny_transcoder(1), tiny_transcoder(2)], tiny_tokenizer()("int n")["input_ids"])
    root = root_of(cache, 1)
    found = greedy_get_top_paths(model, cache.transcoders, cache, root, 4, 10**6, ignore_bos=False, do_raw_attribution=True, absolute=True)
    n, heads = len(cache.ids), cache.layers[0].heads.n_heads
    active = int((cache.layers[0].features[-1] != 0).sum())
    by_last = [sum(1 for path in depth if path[-1].component.component_type is ComponentType.EMBED) for depth in found]
    sources = [int((cache.layers[0].features[s] != 0).sum()) for s in range(n)]
    one_step = 1
    two_steps = heads * n + active + heads * n
    three_steps = active * heads * n + heads * sum(sources) + heads * heads * n * (n + 1) // 2
    four_steps = heads * sum(count * (s + 1) * heads for s, count in enumerate(sources))
    assert by_last == [one_step, two_steps, three_steps, four_steps]
    complete = sum(path[-1].contrib for depth in found for path in depth if path[-1].component.component_type is ComponentType.EMBED)
    vector, _ = cache.in_stream(root)
    linear = sum(_tokens_by_paths(cache, vector, by_feature) for by_feature in (False, True))
    assert complete == pytest.approx(linear, rel=1e-4)


def _tokens_by_paths(cache, vector, by_feature):
    """What tokens contribute past the features of layer 0 or by one of them, from autograd of a naive forward pass."""
    from tests.transcoder_circuits.frozen_models import naive_stream

    embedding = cache.embedding.clone().requires_grad_()
    zero = [torch.zeros_like(layer.features) for layer in cache.layers]
    gradients = []
    for live in (False, True):
        mid = naive_stream(cache, zero, embedding, live=live)[1][0][-1] @ vector
        gradients.append((torch.autograd.grad(mid, embedding)[0] * embedding).sum().item())
    return gradients[1] - gradients[0] if by_feature else gradients[0]


def test_a_planted_circuit_comes_first():
    """Token 9 is copied by head 1 of layer 0, which turns on feature 5 of layer 1."""
    model = tiny_model("Llama", num_hidden_layers=2, num_key_value_heads=4)
    d_head = WIDTH // 4
    with torch.no_grad():
        embedding = torch.zeros_like(model.model.embed_tokens.weight)
        embedding[:, 0] = 1
        embedding[9, 1:3] = 3
        model.model.embed_tokens.weight.copy_(embedding)
        for layer in model.model.layers:
            for part in (layer.self_attn.v_proj, layer.self_attn.o_proj):
                part.weight.zero_()
        model.model.layers[0].self_attn.v_proj.weight[d_head, 1:3] = 1
        model.model.layers[0].self_attn.o_proj.weight[7, d_head] = 1
    silent = Transcoder.from_matrices(torch.zeros(WIDTH, 8), -torch.ones(8), torch.zeros(8, WIDTH), torch.zeros(WIDTH))
    W_enc = torch.zeros(WIDTH, 8)
    W_enc[7, 5] = 1
    reader = Transcoder.from_matrices(W_enc, torch.zeros(8), torch.zeros(8, WIDTH), torch.zeros(WIDTH))
    cache = FrozenPass(model, [silent, reader], [0, 4, 9, 4, 6])
    root = make_sae_feature_vector(reader, 5, layer=1)
    paths = greedy_get_top_paths(model, cache.transcoders, cache, root, 2, 3)
    assert [str(component) for component in paths[1][0][-1].component_path] == ["mlp1tc[5]@4", "attn0[1]@2", "embed0@2"]
    assert paths[1][0][-1].contrib == pytest.approx(paths[0][0][-1].contrib)


def test_paths_are_capped_read_on_filtered_and_printed(capsys):
    cache = frozen_pass()
    root = root_of(cache)
    raw = greedy_get_top_paths(cache.model, cache.transcoders, cache, root, 3, 8, do_raw_attribution=True)
    capped = greedy_get_top_paths(cache.model, cache.transcoders, cache, root, 3, 8)
    for path in (path for depth in capped for path in depth):
        assert path[0].contrib == pytest.approx(cache.activation(root))
        assert all(below.contrib <= min(node.contrib for node in path[:place]) + 1e-6 for place, below in enumerate(path) if place)
    assert any(path[-1].contrib > path[-2].contrib for depth in raw for path in depth)
    assert not any(path[-1].component.token == 0 for path in raw[0])
    inner = next(path for path in raw[0] if path[-1].component.component_type is ComponentType.MLP)
    on = greedy_get_top_paths(cache.model, cache.transcoders, cache, inner, 1, 4, do_raw_attribution=True)
    assert all(path[:2] == inner for path in on[0])
    attention = FeatureFilter(component_type=ComponentType.ATTN)
    only = greedy_get_top_paths(cache.model, cache.transcoders, cache, root, 1, 4, filter=attention)
    assert {path[-1].component.component_type for path in only[0]} == {ComponentType.ATTN}
    low = [FeatureFilter(layer=1, layer_filter_type=FilterType.LE)]
    assert all(path[-1].layer <= 1 for depth in get_paths_via_filter(raw, suffix_path=low) for path in depth)
    assert all(all(node.layer > 1 for node in path) for depth in get_paths_via_filter(raw, not_infix_path=low) for path in depth)
    sums = get_raw_top_features_among_paths(raw, top_k=3)
    assert len(sums) == 3 and abs(sums[0][1]) >= abs(sums[1][1])
    print_all_paths(raw)
    assert path_text(raw[0][0]) in capsys.readouterr().out
    shown = FeatureVector((Component(8, ComponentType.MLP, -1, feature_idx=89),), torch.zeros(1), 8, "resid_mid", contrib=7.6123)
    assert str(shown) == "mlp8tc[89]@-1: 7.6"


@torch.no_grad()
def test_primitives_agree_with_each_other():
    cache = frozen_pass("Gemma2")
    direction = torch.randn(WIDTH, generator=torch.Generator().manual_seed(0))
    heads = get_attn_head_contribs(cache.model, cache, 2, direction)
    bias = cache.layers[2].heads.b_O @ direction
    assert heads[:, -1].sum() + bias == pytest.approx((cache.added_by_attention(2)[-1] @ direction).item(), rel=1e-4)
    layer = cache.layers[2]
    by_hand = layer.features[-1] * (layer.W_dec.T @ layer.write.pull(direction[None], torch.tensor([len(cache.ids) - 1]))[0])
    assert get_transcoder_ixg(cache.transcoders[2], cache, direction, 2, -1) == pytest.approx(by_hand, rel=1e-4, abs=1e-6)
    constant = get_ln_constant(cache.model, cache, direction, 1, -1)
    assert constant * get_ln_constant(cache.model, cache, direction, 1, -1, recip=True) == pytest.approx(1)
    root = logit_vector(cache.model, [3])
    best = get_top_transcoder_features(cache.model, cache.transcoders[2], cache, root, 2, k=3)
    everything = get_top_contribs(cache.model, cache.transcoders, cache, root, k=10**6)
    same = [node for node in everything if node.component.layer == 2 and node.component.component_type is ComponentType.MLP]
    assert [node.component for node in best] == [node.component for node in same[:3]]


def test_what_is_not_there_is_one_clear_sentence():
    cache = frozen_pass()
    silent = int((cache.layers[3].features[-1] == 0).nonzero()[0])
    for ask, words in (
        (lambda: make_sae_feature_vector(cache.transcoders[3], 10**4, layer=3), "has no feature 10000"),
        (lambda: make_sae_feature_vector(cache.transcoders[3], 3), "does not say which layer"),
        (lambda: cache.span(make_sae_feature_vector(cache.transcoders[3], 3, layer=44)), "no layer 44"),
        (lambda: FrozenPass(cache.model, {9: tiny_transcoder()}, [1, 2]), "transcoder for layer 9"),
        (lambda: FrozenPass(cache.model, {}, list(range(9)) * 9999), "reads at most"),
        (lambda: FrozenPass(cache.model, {0: Transcoder(8, 4, 8)}, [1]), "maps width 8"),
        (lambda: greedy(cache, make_sae_feature_vector(cache.transcoders[3], silent, layer=3)), "is not active"),
        (lambda: greedy(cache, root_of(cache), filter=FeatureFilter(layer=77)), "No path leads"),
        (lambda: cache.position(-99), "no token -99"),
        (lambda: logit_vector(cache.model, [10**6]), "no token 1000000"),
    ):
        with pytest.raises(UserError, match=words):
            ask()
