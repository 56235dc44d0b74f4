"""Influence in a graph: how much of a target each source makes along all ways, what can be left out, and how much of it errors make.

With each row of the absolute edges made to sum to 1, A, the influence is B = (I - A)^-1 - I = A + A^2 + ...; edges lead forwards only, so that the
sum ends. Definitions and thresholds are those of "Circuit Tracing" and circuit-tracer. Biases take no part.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from util.errors import UserError

if TYPE_CHECKING:
    from transcoder_circuits.attribution_graph import AttributionGraph

NODES, EDGES = 0.8, 0.98
"""Shares of the influence that nodes and edges keep."""


def normalised(edges: Float[Tensor, "target source"]) -> Float[Tensor, "target source"]:
    """Absolute edges, each row divided by its sum."""
    size = edges.abs()
    return size / size.sum(1, keepdim=True).clamp(min=1e-10)


def total_influence(A: Float[Tensor, "node node"], weights: Float[Tensor, " node"]) -> Float[Tensor, " node"]:
    """``weights @ B``: each node's influence along all ways on what ``weights`` counts."""
    step = weights @ A
    total = step
    for _ in range(len(A)):
        if not step.any():
            break
        step = step @ A
        total = total + step
    return total


class Scores(NamedTuple):
    """How much of a graph features carry.

    Attributes:
        replacement: of the influence that reaches the logits from tokens and errors, the share of the tokens.
        completeness: of what comes into each node, weighted by its influence, the share that does not come from errors.
    """

    replacement: float
    completeness: float


class Pruned(NamedTuple):
    """What is left of a graph.

    Attributes:
        nodes, edges: which ones are kept.
        influence: of each node, before anything was left out.
        cumulative: the share of all influence that nodes of at least this one's influence have together.
    """

    nodes: Bool[Tensor, " node"]
    edges: Bool[Tensor, "node node"]
    influence: Float[Tensor, " node"]
    cumulative: Float[Tensor, " node"]


def graph_scores(graph: "AttributionGraph") -> Scores:
    """A graph's replacement and completeness scores, before pruning."""
    A = normalised(graph.edges)
    influence = total_influence(A, graph.weights)
    tokens, errors = influence[graph.of("embedding")].sum(), influence[graph.of("error")].sum()
    explained = 1 - A[:, graph.of("error")].sum(1)
    all_weights = influence + graph.weights
    return Scores((tokens / (tokens + errors)).item(), ((explained * all_weights).sum() / all_weights.sum()).item())


def _least_kept(scores: Float[Tensor, " score"], share: float) -> float:
    """The score down to which the largest ones have ``share`` of the sum."""
    ordered = scores.sort(descending=True).values
    number = int((ordered.double().cumsum(0) < share * ordered.double().sum()).sum())
    return ordered[min(number, len(ordered) - 1)].item()


def prune(graph: "AttributionGraph", nodes: float = NODES, edges: float = EDGES, always: Sequence[int] = ()) -> Pruned:
    """Keep the nodes, and between them the edges, that have most of the influence; tokens and logits stay.

    A feature without an edge in or out, or an error without one out, is left out then.

    Args:
        always: rows of nodes that are kept in any case.

    Raises:
        UserError: if a share is not between 0 and 1.
    """
    if not (0 <= nodes <= 1 and 0 <= edges <= 1):
        raise UserError(f"What is kept of nodes and edges are shares between 0 and 1, not {nodes:g} and {edges:g}.")
    influence = total_influence(normalised(graph.edges), graph.weights)
    kept = influence >= _least_kept(influence, nodes)
    ends = graph.of("embedding").start
    kept[ends:] = True
    kept[list(always)] = True
    inside = graph.edges * kept * kept[:, None]
    A = normalised(inside)
    edge_influence = A * (total_influence(A, graph.weights) + graph.weights)[:, None]
    strong = edge_influence[edge_influence > 0]
    kept_edges = (edge_influence > 0) & (edge_influence >= (_least_kept(strong, edges) if len(strong) else 0))
    features = graph.of("feature")
    while True:
        connected = kept.clone()
        connected[:ends] &= kept_edges[:, :ends].any(0)
        connected[features] &= kept_edges[features].any(1)
        connected[list(always)] = True
        kept_edges &= connected & connected[:, None]
        if connected.equal(kept):
            break
        kept = connected
    order = influence.sort(descending=True)
    cumulative = torch.empty_like(influence)
    cumulative[order.indices] = order.values.cumsum(0) / order.values.sum()
    return Pruned(kept, kept_edges, influence, cumulative)
