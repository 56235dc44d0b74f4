"""Whole attribution graphs: which features, tokens and errors make every active feature of a prompt, and the logits behind it.

Attention patterns, the norms' scales and which features are active are frozen, so that every edge is exact (``transcoder_circuits/frozen.py``):
what a source writes, read along the direction that its target reads. One backward pass a target, in batches. The method is that of
"Circuit Tracing" (https://transformer-circuits.pub/2025/attribution-graphs/methods.html), for transcoders of single layers and across layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from huggingface.stream_ends import unembedding_matrix
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.influence import normalised, total_influence
from util.errors import UserError

BATCH = 64
"""Directions that are followed at a time; memory grows with it, and with the tokens and the width."""

LOGITS, MASS = 10, 0.95
FEATURES = 7500
"""More active features than these are not all targets: those of most influence are."""

Kind = Literal["feature", "error", "embedding", "logit"]


class Node(NamedTuple):
    """A node of a graph.

    Attributes:
        layer: of a feature or error; 0 for an embedding, the number of layers for a logit.
        token: its position in the prompt.
        number: of the feature, or the token id of an embedding or logit; -1 for an error.
    """

    kind: Kind
    layer: int
    token: int
    number: int

    def __str__(self) -> str:
        """As paths write their nodes: ``mlp8tc[89]@4``, ``error8@4``, ``embed0@9``, ``logit[17]@9``."""
        names = {
            "feature": f"mlp{self.layer}tc[{self.number}]",
            "error": f"error{self.layer}",
            "embedding": "embed0",
            "logit": f"logit[{self.number}]",
        }
        return f"{names[self.kind]}@{self.token}"


@dataclass(frozen=True)
class AttributionGraph:
    """A graph of one prompt. Nodes come in the order features (by layer, token, number), errors (by layer, token), embeddings, logits.

    Attributes:
        ids: the prompt's token ids.
        n_layers: of the model.
        features: int64 [feature, 3], layer, token and number of each feature that is a node.
        logits: int64 [logit], token ids, the most probable first.
        probabilities: float32 [logit].
        edges: float32 [node, node], row target, column source; what the source adds to the target's pre-activation, or to a logit less the
            mean logit, before any cap. Rows of errors and embeddings are zeros.
        bias: float32 [node], what all biases on the way to a target add, its own included.
        rest: float32 [node], what features add that are no nodes; zeros if all active features are.
        value: float32 [node], a feature's activation, a logit less the mean logit, 0 for the others.
    """

    ids: list[int]
    n_layers: int
    features: Int[Tensor, "feature 3"]
    logits: Int[Tensor, " logit"]
    probabilities: Float[Tensor, " logit"]
    edges: Float[Tensor, "node node"]
    bias: Float[Tensor, " node"]
    rest: Float[Tensor, " node"]
    value: Float[Tensor, " node"]

    @cached_property
    def nodes(self) -> list[Node]:
        """All nodes, in the order of the rows."""
        tokens = range(len(self.ids))
        last = len(self.ids) - 1
        return [
            *(Node("feature", *place) for place in self.features.tolist()),
            *(Node("error", layer, token, -1) for layer in range(self.n_layers) for token in tokens),
            *(Node("embedding", 0, token, one) for token, one in enumerate(self.ids)),
            *(Node("logit", self.n_layers, last, one) for one in self.logits.tolist()),
        ]

    def of(self, kind: Kind) -> slice:
        """The rows of the nodes of one kind."""
        sizes: dict[Kind, int] = {
            "feature": len(self.features),
            "error": self.n_layers * len(self.ids),
            "embedding": len(self.ids),
            "logit": len(self.logits),
        }
        start = 0
        for name, size in sizes.items():
            if name == kind:
                return slice(start, start + size)
            start += size
        raise AssertionError(kind)

    def row(self, node: Node) -> int:
        """The row of a node.

        Raises:
            UserError: if the graph has no such node.
        """
        found = self.node_rows.get(node)
        if found is None:
            raise UserError(f"The graph has no node {node}: only active features are nodes; give another layer, token or feature.")
        return found

    @cached_property
    def node_rows(self) -> dict[Node, int]:
        """The row of each node."""
        return {node: row for row, node in enumerate(self.nodes)}

    @cached_property
    def weights(self) -> Float[Tensor, " node"]:
        """What each node counts in the end: a logit its probability, others nothing."""
        weights = self.edges.new_zeros(len(self.edges))
        weights[self.of("logit")] = self.probabilities
        return weights


def top_logits(
    cache: FrozenPass, most: int = LOGITS, mass: float = MASS, also: Sequence[int] = ()
) -> tuple[Int[Tensor, " logit"], Float[Tensor, " logit"]]:
    """The most probable next tokens, as few as hold ``mass`` and at most ``most``, and their probabilities; then those of ``also``."""
    probabilities = cache.logits[-1].softmax(-1)
    best = probabilities.topk(min(most, len(probabilities)))
    enough = int((best.values.cumsum(0) < mass).sum()) + 1
    chosen = best.indices[:enough].tolist()
    if unknown := [one for one in also if not 0 <= one < len(probabilities)]:
        raise UserError(f"The vocabulary has no token {unknown[0]}: its tokens are 0 to {len(probabilities) - 1}.")
    ids = torch.tensor(list(dict.fromkeys([*chosen, *also])), device=probabilities.device)
    return ids, probabilities[ids]


class _Found:
    """Rows of edges as they are found, with columns for all active features."""

    def __init__(self, cache: FrozenPass, batch_size: int) -> None:
        self._cache, self._batch_size = cache, batch_size
        self.rows: dict[int, Tensor] = {}
        self.bias: dict[int, float] = {}

    def add(self, numbers: Sequence[int], vectors: Tensor, constants: Tensor, tokens: Sequence[int], stop: int) -> None:
        """Follow directions of one place of the stream, where ``stop`` is the first part that they cannot see."""
        for start in range(0, len(numbers), self._batch_size):
            part = slice(start, start + self._batch_size)
            through = self._cache.through(vectors[part], list(tokens[part]), [(-1, stop)] * len(numbers[part]))
            rows = torch.cat([through.features, through.errors.flatten(1), through.embeddings], 1)
            for number, row, bias in zip(numbers[part], rows, (through.bias + constants[part]).tolist()):
                self.rows[number], self.bias[number] = row, bias

    def add_features(self, numbers: Int[Tensor, " target"]) -> None:
        """Follow active features, given by their numbers in ``FrozenPass.active``."""
        layers, tokens, features = (part[numbers] for part in self._cache.active)
        for layer in layers.unique().tolist():
            inside = layers == layer
            token = tokens[inside]
            vectors, constants = self._cache.below_feature(layer, features[inside], token, torch.ones_like(token, dtype=torch.float32))
            stop = 2 * layer + (not self._cache.parallel)
            self.add(numbers[inside].tolist(), vectors, constants, token.tolist(), stop)


@torch.no_grad()
def attribute(
    cache: FrozenPass,
    max_logits: int = LOGITS,
    mass: float = MASS,
    max_features: int = FEATURES,
    batch_size: int = BATCH,
    also_logits: Sequence[int] = (),
) -> AttributionGraph:
    """The graph of a frozen pass.

    Args:
        max_logits, mass: logits that are nodes: the most probable, as few as hold ``mass`` of the probability.
        max_features: at most so many features are nodes; of more those of most influence on the logits are.
        batch_size: directions that are followed at a time.
        also_logits: token ids whose logits are nodes in any case.

    Raises:
        UserError: if a number is out of its range.
    """
    if min(max_logits, max_features, batch_size) < 1 or not 0 < mass <= 1:
        raise UserError("A graph needs at least 1 logit, 1 feature and a batch of 1, and a mass above 0 and at most 1.")
    ids, probabilities = top_logits(cache, max_logits, mass, also_logits)
    W_U = unembedding_matrix(cache.model)
    behind = W_U[:, ids].T.float() - W_U.float().mean(1)
    n_tokens, n_active = len(cache.ids), len(cache.active.layer)
    last = torch.full_like(ids, n_tokens - 1)
    found = _Found(cache, batch_size)
    # Logits are numbered behind the features.
    numbers = list(range(n_active, n_active + len(ids)))
    found.add(numbers, cache.final_norm.pull(behind, last), cache.final_norm.constant(behind), last.tolist(), 2 * cache.n_layers)
    targets = torch.arange(n_active, device=ids.device)
    if n_active <= max_features:
        found.add_features(targets)
    else:
        targets = _most_influential(found, numbers, probabilities, n_active, max_features, batch_size)
    return _assembled(cache, found, targets, numbers, ids, probabilities)


def _most_influential(
    found: _Found, logits: Sequence[int], probabilities: Tensor, n_active: int, most: int, batch_size: int
) -> Int[Tensor, " target"]:
    """Follow the features of most influence, as far as it is known after each round; each round is an eighth of all, at least a batch."""
    done = torch.zeros(n_active, dtype=torch.bool, device=probabilities.device)
    step = max(batch_size, most // 8)
    while (left := most - int(done.sum())) > 0:
        followed = done.nonzero()[:, 0].tolist()
        rows = normalised(torch.stack([found.rows[number] for number in [*followed, *logits]]))
        # Only followed features pass influence on.
        known = rows.new_zeros(len(rows), len(rows))
        known[:, : len(followed)] = rows[:, followed]
        weights = torch.cat([rows.new_zeros(len(followed)), probabilities])
        influence = (weights + total_influence(known, weights)) @ rows[:, :n_active]
        influence[done] = -1
        chosen = influence.topk(min(step, left)).indices.sort().values
        found.add_features(chosen)
        done[chosen] = True
    return done.nonzero()[:, 0]


def _assembled(
    cache: FrozenPass, found: _Found, targets: Tensor, logits: Sequence[int], ids: Tensor, probabilities: Tensor
) -> AttributionGraph:
    """The graph of the rows that were found, with columns for the features that are targets."""
    layer, token, feature = cache.active
    n_active, n_features, n_ids = len(layer), len(targets), len(ids)
    rows = torch.stack([found.rows[number] for number in [*targets.tolist(), *logits]])
    others = torch.ones(n_active, dtype=torch.bool, device=rows.device)
    others[targets] = False
    size = n_features + rows.shape[1] - n_active + n_ids
    at = torch.cat([torch.arange(n_features), torch.arange(size - n_ids, size)]).to(rows.device)
    edges = rows.new_zeros(size, size)
    edges[at, : size - n_ids] = torch.cat([rows[:, targets], rows[:, n_active:]], 1)
    bias, rest, value = (rows.new_zeros(size) for _ in range(3))
    bias[at] = torch.tensor([found.bias[number] for number in [*targets.tolist(), *logits]], device=rows.device)
    rest[at] = rows[:, :n_active][:, others].sum(1)
    for number, one in enumerate(cache.layers):
        inside = (layer[targets] == number).nonzero()[:, 0]
        value[inside] = one.features[token[targets[inside]], feature[targets[inside]]]
    value[size - n_ids :] = edges[size - n_ids :].sum(1) + bias[size - n_ids :] + rest[size - n_ids :]
    features = torch.stack([layer[targets], token[targets], feature[targets]], 1)
    return AttributionGraph(cache.ids, cache.n_layers, features, ids, probabilities, edges, bias, rest, value)
