"""Whole graphs: every target is complete, an edge is what taking its source away does, influence is the inverse, and pruning keeps what it says."""

import pytest
import torch

from huggingface.cross_layer_transcoder import CrossLayerTranscoder, LayerTensors
from tests.tiny import FEATURES, LAYERS, WIDTH, tiny_model, tiny_tokenizer
from tests.transcoder_circuits.frozen_models import TEXT, frozen_pass, naive_stream
from tests.transcoder_circuits.planted import PlantedCrossLayer
from transcoder_circuits.attribution_graph import Node, attribute
from transcoder_circuits.circuit_analysis import get_top_contribs, make_sae_feature_vector
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.influence import graph_scores, normalised, prune, total_influence
from util.errors import CheckpointError, UserError


def cross_layer_pass(family: str) -> FrozenPass:
    return FrozenPass(tiny_model(family), PlantedCrossLayer(), tiny_tokenizer()(TEXT)["input_ids"][:5])


@pytest.fixture(scope="module", params=["Llama", "GPT2", "Gemma2", "cross-layer Gemma2", "cross-layer GPTNeoX"])
def cache(request):
    kind, _, family = request.param.rpartition(" ")
    return cross_layer_pass(family) if kind else frozen_pass(family, TEXT[:16])


@pytest.fixture(scope="module")
def graph(cache):
    return attribute(cache, batch_size=48)


def test_edges_and_biases_make_every_target(cache, graph):
    total = graph.edges.sum(1) + graph.bias
    features = graph.of("feature")
    layer, token, feature = graph.features.unbind(1)
    wanted = torch.stack([cache.layers[a].preactivations[b, c] for a, b, c in zip(layer, token, feature)])
    assert (total[features] - wanted).norm() <= 1e-5 * wanted.norm()
    logits = cache.logits[-1]
    cap = getattr(cache.model.config, "final_logit_softcapping", None)
    logits = logits if cap is None else cap * torch.atanh(logits / cap)
    # The mean is taken before any cap, which is applied to single logits.
    difference = (logits - logits[graph.logits[0]])[graph.logits]
    found = total[graph.of("logit")]
    assert (found - found[0] - difference).abs().max() <= 1e-4 * logits.abs().max()
    assert not graph.edges[graph.of("error")].any() and not graph.edges[graph.of("embedding")].any() and not graph.rest.any()
    assert graph.probabilities.sum() >= 0.95 or len(graph.logits) == 10


def written(cache, values, embedding):
    """The stream before each MLP's norm with frozen parts, features across layers included."""
    if cache.cross is None:
        return [middle for middle, _ in naive_stream(cache, values, embedding, live=False)]
    layers = cache.layers
    errors = [one.error for one in layers]
    for target in range(len(layers)):
        for source in range(target):
            layers[target].error.add_(values[source] @ cache.cross.decoders[source, target])
    # What naive_stream adds as an error now holds what lower features write, taken back below.
    found = [middle for middle, _ in naive_stream(cache, values, embedding, live=False)]
    for target in range(len(layers)):
        for source in range(target):
            errors[target].sub_(values[source] @ cache.cross.decoders[source, target])
    return found


@torch.no_grad()
def test_taking_a_source_away_changes_its_target_by_the_edge(cache, graph):
    target = int(graph.edges[graph.of("feature")].abs().sum(1).argmax())
    node = graph.nodes[target]
    values, embedding = [one.features.clone() for one in cache.layers], cache.embedding.clone()
    vector, _ = cache.below_feature(node.layer, torch.tensor([node.number]), torch.tensor([node.token]), torch.ones(1))
    before = written(cache, values, embedding)[node.layer][node.token] @ vector[0]
    strongest = graph.edges[target].abs()
    sources = [*strongest[graph.of("feature")].topk(3).indices.tolist(), graph.of("embedding").start + node.token]
    for source in sources:
        kind, layer, token, number = graph.nodes[source]
        part = values[layer][token] if kind == "feature" else embedding[token]
        kept = part.clone()
        part[number if kind == "feature" else slice(None)] = 0
        after = written(cache, values, embedding)[node.layer][node.token] @ vector[0]
        part.copy_(kept)
        assert (before - after).item() == pytest.approx(graph.edges[target, source].item(), rel=1e-4, abs=1e-4)


def test_a_cross_layer_transcoder_and_its_errors_write_what_the_model_writes():
    cache = cross_layer_pass("Llama")
    streams = written(cache, [one.features for one in cache.layers], cache.embedding)
    middle = cache.stream[-2] + cache.added_by_attention(LAYERS - 1)
    assert (streams[-1] - middle).norm() <= 1e-5 * middle.norm()
    assert all((cache._rows[0, layer]).abs().sum() > 0 for layer in range(1, LAYERS))
    with pytest.raises(UserError, match="draw the graph"):
        get_top_contribs(cache.model, cache.transcoders, cache, make_sae_feature_vector(cache.transcoders[2], 0, layer=2))
    with pytest.raises(CheckpointError, match="has 3 layers"):
        FrozenPass(cache.model, PlantedCrossLayer(3), cache.ids)


def test_a_trained_kind_of_cross_layer_transcoder_is_complete_too():
    generator = torch.Generator().manual_seed(3)
    layers = [
        LayerTensors(
            *(torch.randn(*size, generator=generator) / 4 for size in ((FEATURES, WIDTH), (FEATURES,), (FEATURES, LAYERS - layer, WIDTH), (WIDTH,))),
            None,
        )
        for layer in range(LAYERS)
    ]
    scales = torch.tensor([0.5, 2.0, 1.5, 0.7])
    cross = CrossLayerTranscoder(layers, scales, scales.flip(0).contiguous(), "topk", 10)
    cache = FrozenPass(tiny_model(), cross, tiny_tokenizer()(TEXT)["input_ids"][:6])
    graph = attribute(cache)
    assert len(graph.features) <= 10 * LAYERS * 6
    total, features = graph.edges.sum(1) + graph.bias, graph.of("feature")
    assert (total - graph.value)[features].norm() <= 1e-5 * graph.value[features].norm()
    outputs = cross([cache.stream[layer] + cache.added_by_attention(layer) for layer in range(LAYERS)])
    for layer, one in enumerate(cache.layers):
        written = one.features @ one.W_dec.T + one.transcoder.down_proj.bias + cache.written_from_below(layer)
        assert torch.allclose(written, outputs[layer], atol=1e-3, rtol=1e-4)


def test_influence_is_the_inverse_and_pruning_keeps_what_it_says(graph):
    A = normalised(graph.edges.double())
    B = torch.linalg.inv(torch.eye(len(A)) - A) - torch.eye(len(A), dtype=torch.double)
    influence = total_influence(A, graph.weights.double())
    assert torch.allclose(influence, graph.weights.double() @ B, atol=1e-10)
    # Everything that reaches the logits begins at tokens or errors, or at features that biases alone make.
    replacement, completeness = graph_scores(graph)
    assert 0 < replacement < 1 and 0 < completeness < 1
    pruned = prune(graph)
    features = graph.of("feature")
    inside = pruned.edges.nonzero()
    assert pruned.nodes[inside].all() and pruned.edges[features].any(1).equal(pruned.nodes[features])
    assert pruned.nodes[graph.of("embedding").start :].all() and not pruned.nodes.all()
    assert pruned.edges.sum() < (graph.edges != 0).sum()
    everything = prune(graph, 1.0, 1.0)
    assert everything.nodes.sum() >= pruned.nodes.sum() and everything.edges.sum() > pruned.edges.sum()
    nothing = prune(graph, 0.0, 0.0)
    assert nothing.edges.sum() <= 1
    with pytest.raises(UserError, match="between 0 and 1"):
        prune(graph, 1.5)


def test_batches_change_nothing_and_a_limit_keeps_the_most_influential():
    cache = frozen_pass("Llama", TEXT[:16])
    whole, single = attribute(cache, batch_size=500), attribute(cache, batch_size=7)
    assert (whole.edges - single.edges).abs().max() <= 1e-5 * whole.edges.abs().max()
    small = attribute(cache, max_features=40, batch_size=8, also_logits=[3])
    assert len(small.features) == 40 and 3 in small.logits and small.rest.any()
    both = [(row, whole.row(node)) for row, node in enumerate(small.nodes[:-1])]
    one, other = (list(rows) for rows in zip(*both))
    assert small.nodes[-1].number == 3
    assert torch.allclose((small.edges.sum(1) + small.bias + small.rest)[one], (whole.edges.sum(1) + whole.bias)[other], atol=1e-4)
    influence = total_influence(normalised(whole.edges), whole.weights)[whole.of("feature")]
    kept = {tuple(place) for place in small.features.tolist()}
    best = [tuple(whole.features[row].tolist()) for row in influence.topk(20).indices.tolist()]
    assert len(kept & set(best)) >= 15
    with pytest.raises(UserError, match="no node"):
        small.row(Node("feature", 0, 0, 10**6))
    with pytest.raises(UserError, match="no token 100000"):
        attribute(cache, also_logits=[100000])

