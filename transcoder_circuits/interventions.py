"""Interventions that verify a graph: what scaling some nodes should change, by its edges, and what it does change in the model.

What nodes write is scaled, 0 takes it away; what else writes there stays. A prediction follows all edges, with active features following what
they read, however far. Measurements hold less and less of the model; in all of them features switch off and on:

- ``all``: attention patterns, norms' scales and errors are frozen;
- ``patterns and errors``: norms follow;
- ``patterns``: the model's own MLPs and norms run, with its attention patterns frozen;
- ``nothing``: the model runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

from huggingface.activations import Point, read_activations
from huggingface.architectures import architecture_of, attention_norm_of, layers_of, mlp_norm_of, mlp_of, place_of, submodule
from huggingface.sites import reading_norm, resolve
from huggingface.stream_ends import unembed, unembedding_matrix
from transcoder_circuits.attribution_graph import AttributionGraph
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.influence import normalised, total_influence
from transcoder_circuits.patching import changed
from transcoder_circuits.pushed import Changes, moved_from_below, pushed
from util.errors import UserError

Frozen = Literal["all", "patterns and errors", "patterns", "nothing"]
FROZEN: tuple[Frozen, ...] = get_args(Frozen)
NODES = 100


def written_by(cache: FrozenPass, graph: AttributionGraph, rows: Sequence[int], factor: float) -> Changes:
    """What scaling nodes adds to what parts of the model write.

    Raises:
        UserError: if a node is a logit, which writes nothing.
    """
    embedding: Tensor | None = None
    mlp: dict[int, Tensor] = {}

    def add(layer: int, token: int, vector: Tensor) -> None:
        mlp.setdefault(layer, torch.zeros_like(cache.embedding))[token] += (factor - 1) * vector

    for row in rows:
        kind, layer, token, number = node = graph.nodes[row]
        if kind == "logit":
            raise UserError(f"{node} writes nothing that could be scaled; choose features, errors or embeddings.")
        if kind == "embedding":
            embedding = torch.zeros_like(cache.embedding) if embedding is None else embedding
            embedding[token] += (factor - 1) * cache.embedding[token]
        elif kind == "error":
            add(layer, token, cache.layers[layer].error[token])
        else:
            one, index = cache.layers[layer], torch.tensor([number], device=cache.embedding.device)
            add(layer, token, one.features[token, number] * one.W_dec[:, number])
            for target in range(layer + 1, cache.n_layers) if cache.cross is not None else ():
                assert cache.cross is not None
                add(target, token, one.features[token, number] * cache.cross.decoder_rows(layer, target, index)[0].to(cache.embedding))
    return Changes(embedding, mlp=mlp)


def predicted_changes(graph: AttributionGraph, rows: Sequence[int], factor: float) -> Float[Tensor, " node"]:
    """How much the graph says that scaling nodes changes every feature's pre-activation and every logit, along all ways."""
    if graph.rest.any():
        raise UserError("Not all active features are nodes of this graph, so it predicts no changes; draw it with more --max_features.")
    features = graph.of("feature")
    change = (factor - 1) * graph.edges[:, list(rows)].sum(1)
    per_unit = graph.edges[:, features] / graph.value[features]
    total = step = change
    for _ in range(graph.n_layers):
        step = per_unit @ step[features]
        total = total + step
    return total


@torch.no_grad()
def real_changes(cache: FrozenPass, graph: AttributionGraph, rows: Sequence[int], factor: float, frozen: Frozen) -> Float[Tensor, " node"]:
    """How much scaling nodes does change every feature's pre-activation and every logit, less the mean logit; 0 for other nodes."""
    return _Measured(cache, graph, frozen).changes(rows, factor)


class _Measured:
    """Measures changes against one undisturbed pass."""

    def __init__(self, cache: FrozenPass, graph: AttributionGraph, frozen: Frozen) -> None:
        self._cache, self._graph, self._frozen = cache, graph, frozen
        self._before = None if frozen == "all" else self._values(Changes(torch.zeros_like(cache.embedding)))

    def _values(self, changes: Changes) -> Tensor:
        cache, frozen = self._cache, self._frozen
        streams = _free(cache, changes) if frozen == "nothing" else _with_frozen_patterns(cache, changes, frozen == "patterns")
        return _values(cache, self._graph, streams)

    def changes(self, rows: Sequence[int], factor: float) -> Tensor:
        changes = written_by(self._cache, self._graph, rows, factor)
        return _of_frozen_features(self._cache, self._graph, changes) if self._before is None else self._values(changes) - self._before


class _Streams(NamedTuple):
    """What the norm of each layer's MLP reads, and what the last layer returns."""

    middles: list[Tensor]
    last: Tensor


def _of_frozen_features(cache: FrozenPass, graph: AttributionGraph, changes: Changes) -> Float[Tensor, " node"]:
    found = torch.zeros_like(graph.value)
    last = torch.zeros_like(cache.embedding)
    layers, tokens, numbers = graph.features.unbind(1)
    for layer, (read, stream) in enumerate(pushed(cache, changes, "switching"), changes.first):
        inside = (layers == layer).nonzero()[:, 0]
        if len(inside):
            x = cache.layers[layer].read.push(read)
            found[inside] = (x[tokens[inside]] * cache.layers[layer].W_enc[numbers[inside]]).sum(-1)
        last = stream
    logits = cache.final_norm.push(last)[-1] @ unembedding_matrix(cache.model).float()
    found[graph.of("logit")] = (logits - logits.mean())[graph.logits]
    return found


def _values(cache: FrozenPass, graph: AttributionGraph, streams: _Streams) -> Float[Tensor, " node"]:
    """Every feature's pre-activation, and every logit less the mean one."""
    found = torch.zeros_like(graph.value)
    layers, tokens, numbers = graph.features.unbind(1)
    for layer, one in enumerate(cache.layers):
        inside = (layers == layer).nonzero()[:, 0]
        if not len(inside):
            continue
        x = _read_live(cache, layer, streams.middles[layer])
        found[inside] = (x[tokens[inside]] * one.W_enc[numbers[inside]]).sum(-1)
    logits = unembed(cache.model, streams.last[-1].to(cache.model.dtype)).float()
    cap = architecture_of(cache.model).logit_cap
    if cap is not None:
        limit = getattr(cache.model.config, cap)
        logits = limit * torch.atanh(logits / limit)
    found[graph.of("logit")] = (logits - logits.mean())[graph.logits]
    return found


def _read_live(cache: FrozenPass, layer: int, middle: Tensor) -> Tensor:
    """What a layer's transcoder reads where the stream before its norm is ``middle``."""
    transcoder = cache.layers[layer].transcoder
    assert transcoder is not None
    norm = reading_norm(cache.model, layer, resolve(transcoder.sites, cache.model, layer).reads)
    return norm(middle.to(cache.model.dtype)).float()


def _with_frozen_patterns(cache: FrozenPass, changes: Changes, own_mlps: bool) -> _Streams:
    """The model's own norms, with the patterns of the frozen pass; its MLPs, or transcoders with what they lacked in the frozen pass."""
    model, dtype = cache.model, cache.model.dtype
    moved: dict[int, Tensor] = {}
    stream = cache.embedding if changes.embedding is None else cache.embedding + changes.embedding
    middles = []
    for number, one in enumerate(cache.layers):
        module = layers_of(model)[number]
        post_attention, post_mlp = (place_of(model, module, name) for name in ("post_attention_norm", "post_mlp_norm"))
        x = attention_norm_of(model, number)(stream.to(dtype))
        written = (one.heads.outputs(one.pattern[None].to(dtype), x[None])[0].sum(-2) + one.heads.b_O).float()
        middle = stream + (written if post_attention is None else post_attention(written.to(dtype)).float())
        middles.append(stream if cache.parallel else middle)
        if own_mlps or one.transcoder is None:
            written = mlp_of(model, number)(mlp_norm_of(model, number)(middles[-1].to(dtype))[None])[0]
            added = (written if post_mlp is None else post_mlp(written)).float()
        else:
            x = _read_live(cache, number, middles[-1])
            features = one.transcoder.encode(x)
            moved[number] = features - one.features
            written = one.transcoder.decode(features, x) + one.error + cache.written_from_below(number)
            written = written + moved_from_below(cache.cross, number, moved, written)
            added = one.write.push(written) + (0 if one.write.bias is None else one.write.bias)
        stream = middle + added + (one.write.push(changes.mlp[number]) if number in changes.mlp else 0)
    return _Streams(middles, stream)


def _free(cache: FrozenPass, changes: Changes) -> _Streams:
    """The model, with what layers return changed."""
    points = [Point(layer, "resid_mid") for layer in range(cache.n_layers)]
    last = Point(cache.n_layers - 1, "resid_post")
    ids = torch.tensor([cache.ids], device=cache.model.device)
    with ExitStack() as stack:
        if changes.embedding is not None:
            stack.enter_context(_embedding_changed(cache, changes.embedding))
        for layer, change in changes.mlp.items():
            stack.enter_context(changed(cache.model, layer, cache.layers[layer].write.push(change), attention=False))
        found = read_activations(cache.model, [*points, last], input_ids=ids, use_cache=False)
    return _Streams([found[point][0].float() for point in points], found[last][0].float())


@contextmanager
def _embedding_changed(cache: FrozenPass, change: Tensor) -> Iterator[None]:
    module = submodule(cache.model, cache.model, architecture_of(cache.model).embedding)
    handle = module.register_forward_hook(lambda _module, _args, output: output + change.to(output.dtype))
    try:
        yield
    finally:
        handle.remove()


class Verified(NamedTuple):
    """How well a graph predicts, with some parts of the model frozen.

    Attributes:
        logit: Spearman's rank correlation of predicted and real change of the most probable logit, over the nodes.
        all_targets: of all changes of targets that the graph predicts to change, over the nodes and their targets.
        predicted, real: float32 [node], changes of the most probable logit.
    """

    logit: float
    all_targets: float
    predicted: Float[Tensor, " source"]
    real: Float[Tensor, " source"]


def most_influential_features(graph: AttributionGraph, most: int = NODES) -> list[int]:
    """Rows of the features with most influence on the logits, the strongest first."""
    influence = total_influence(normalised(graph.edges), graph.weights)[graph.of("feature")]
    return influence.topk(min(most, len(influence))).indices.tolist()


@torch.no_grad()
def verify(
    cache: FrozenPass, graph: AttributionGraph, rows: Sequence[int] | None = None, factor: float = 0.0, measured: Sequence[Frozen] = FROZEN
) -> dict[Frozen, Verified]:
    """Scale nodes one after the other, and compare what the graph predicts with what happens.

    Args:
        rows: of the nodes; by default the 100 features of most influence.
        factor: 0 takes them away.

    Raises:
        UserError: if there are fewer than 3 nodes, over which nothing can be correlated.
    """
    rows = most_influential_features(graph) if rows is None else list(rows)
    if len(rows) < 3:
        raise UserError(f"A graph is verified with at least 3 nodes, and {len(rows)} are given.")
    predicted = torch.stack([predicted_changes(graph, [row], factor) for row in rows])
    found: dict[Frozen, Verified] = {}
    for frozen in measured:
        measure = _Measured(cache, graph, frozen)
        real = torch.stack([measure.changes([row], factor) for row in rows])
        first, touched = graph.of("logit").start, predicted != 0
        found[frozen] = Verified(
            float(spearmanr(predicted[:, first].cpu(), real[:, first].cpu()).statistic),
            float(spearmanr(predicted[touched].cpu(), real[touched].cpu()).statistic),
            predicted[:, first],
            real[:, first],
        )
    return found
