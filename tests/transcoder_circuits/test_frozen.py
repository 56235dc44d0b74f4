"""Frozen attribution is complete and exact, in every family."""

import pytest
import torch

from tests.tiny import CONFIGS, LAYERS
from tests.transcoder_circuits.frozen_models import frozen_pass, naive_stream
from transcoder_circuits.components import direction_vector, logit_vector

FAMILIES = list(CONFIGS)


def close(found, wanted, tolerance=1e-5):
    return (found - wanted).norm() <= tolerance * wanted.norm()


@pytest.fixture(scope="module", params=FAMILIES)
def cache(request):
    return frozen_pass(request.param)


@torch.no_grad()
def test_parts_and_constants_make_every_preactivation(cache):
    token = len(cache.ids) - 2
    for number, layer in enumerate(cache.layers):
        features = torch.arange(len(layer.W_enc))
        tokens = torch.full_like(features, token)
        vectors, constants = cache.below_feature(number, features, tokens, torch.ones(len(features)))
        spans = [(-1, 2 * number + (not cache.parallel))] * len(features)
        direct = cache.direct(vectors, tokens.tolist(), spans)
        assert close(direct.total() + constants, layer.preactivations[token])
        through = cache.through(vectors, tokens.tolist(), spans)
        total = through.features.sum(-1) + through.errors.sum((1, 2)) + through.embeddings.sum(-1) + through.bias
        assert close(total + constants, layer.preactivations[token])


@torch.no_grad()
def test_a_transcoder_and_its_error_write_what_the_model_writes(cache):
    final = naive_stream(cache, [layer.features for layer in cache.layers], cache.embedding, live=False)
    for number in range(LAYERS):
        assert close(final[number][1], cache.stream[number + 1])


@torch.no_grad()
def test_zeroing_a_feature_changes_the_root_by_its_contribution(cache):
    number = LAYERS - 1
    root = int(cache.layers[number].preactivations[-1].argmax())
    token = torch.tensor([len(cache.ids) - 1])
    vectors, _ = cache.below_feature(number, torch.tensor([root]), token, torch.ones(1))
    span = (-1, 2 * number + (not cache.parallel))
    contributions = cache.through(vectors, token.tolist(), [span]).features[0]
    values = [layer.features for layer in cache.layers]
    before = (naive_stream(cache, values, cache.embedding, live=False)[number][0][-1] * vectors[0]).sum()
    for chosen in contributions.abs().topk(3).indices:
        layer, at, feature = (int(part[chosen]) for part in cache.active)
        without = [value.clone() for value in values]
        without[layer][at, feature] = 0
        after = (naive_stream(cache, without, cache.embedding, live=False)[number][0][-1] * vectors[0]).sum()
        assert before - after == pytest.approx(contributions[chosen].item(), rel=1e-5, abs=2e-5)


def test_contributions_are_autograds(cache):
    number = LAYERS - 1
    token = torch.tensor([len(cache.ids) - 1])
    vectors, _ = cache.below_feature(number, torch.tensor([3]), token, torch.ones(1))
    through = cache.through(vectors, token.tolist(), [(-1, 2 * number + (not cache.parallel))])
    values = [layer.features.clone().requires_grad_() for layer in cache.layers]
    embedding = cache.embedding.clone().requires_grad_()
    (naive_stream(cache, values, embedding, live=False)[number][0][-1] * vectors[0]).sum().backward()
    assert close(through.embeddings[0], (embedding.grad * embedding).sum(-1).detach())
    layer, at, feature = cache.active
    for one in range(number):
        inside = layer == one
        wanted = (values[one].grad * values[one])[at[inside], feature[inside]].detach()
        assert close(through.features[0, inside], wanted)


@torch.no_grad()
def test_logits_are_complete_as_roots(cache):
    root = logit_vector(cache.model, [5], [7])
    vector, constant = cache.in_stream(root)
    logits = cache.logits[-1]
    cap = getattr(cache.model.config, "final_logit_softcapping", None)
    before_cap = logits if cap is None else cap * torch.atanh(logits / cap)
    found = cache.direct(vector[None], [len(cache.ids) - 1], [cache.span(root)]).total().item() + constant
    assert found == pytest.approx((before_cap[5] - before_cap[7]).item(), rel=1e-4, abs=1e-5)


@torch.no_grad()
def test_directions_of_one_sublayer_see_that_alone(cache):
    vector = torch.randn(cache.embedding.shape[1], generator=torch.Generator().manual_seed(0))
    for layer in (0, LAYERS - 1):
        attention = cache.activation(direction_vector(vector, layer, "attn_added"))
        assert attention == pytest.approx((cache.added_by_attention(layer)[-1] @ vector).item(), rel=1e-4, abs=1e-5)
        both = cache.activation(direction_vector(vector, layer, "resid_post")) - cache.activation(direction_vector(vector, layer, "resid_pre"))
        if cache.layers[layer].transcoder.skip is None:
            mlp = cache.activation(direction_vector(vector, layer, "added"))
            assert attention + mlp == pytest.approx(both, rel=1e-3, abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("live", [False, True])
def test_a_change_pushed_forwards_is_what_a_naive_pass_computes(cache, live):
    change = torch.zeros_like(cache.embedding)
    change[2] = torch.randn(cache.embedding.shape[1], generator=torch.Generator().manual_seed(1))
    values = [torch.zeros_like(layer.features) if live else layer.features for layer in cache.layers]
    before = naive_stream(cache, values, cache.embedding, live=live)
    error = cache.layers[1].error
    error += change
    after = naive_stream(cache, values, cache.embedding, live=live)
    error -= change
    for pushed, was, now in zip(cache.push(1, change, linear_features=live), before[1:], after[1:], strict=True):
        for found, old, new in zip(pushed, was, now):
            assert (found - (new - old)).norm() <= 1e-4 * max((new - old).norm(), 1.0)
