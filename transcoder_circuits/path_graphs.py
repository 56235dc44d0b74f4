"""Graphs of paths, under transcoder_circuits' names: the paths of a search as one tree, what they leave out, and a picture.

A node is named by all components from the root down to it, since its contribution is that along its path; ``sum_over_tokens`` and
``get_contribs_in_graph`` add up what is the same part.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from transcoder_circuits.components import Component, ComponentType, ContribType, FeatureVector, Path
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.sets import Transcoders
from util.files import write_text

Name = tuple[Component, ...]
"""The components from the root down to a node."""

ERRORS = (ComponentType.TC_ERROR, ComponentType.PRUNE_ERROR, ComponentType.BIAS_ERROR)


class Graph(NamedTuple):
    """A graph of paths; ``edges, nodes = graph`` is what transcoder_circuits' functions hand on.

    Attributes:
        edges: what each child contributes to the root through its parent, by (child, parent).
        nodes: by name.
    """

    edges: dict[tuple[Name, Name], float]
    nodes: dict[Name, FeatureVector]


def paths_to_graph(all_paths: Sequence[Sequence[Path]]) -> Graph:
    """The nodes and edges of the paths of all depths that ``greedy_get_top_paths`` found."""
    edges, nodes = dict[tuple[Name, Name], float](), dict[Name, FeatureVector]()
    for path in (path for paths in all_paths for path in paths):
        names = [path[-1].component_path[: place + 1] for place in range(len(path))]
        nodes |= dict(zip(names, path))
        edges |= {(child, parent): _contribution(node) for child, parent, node in zip(names[1:], names, path[1:])}
    return Graph(edges, nodes)


def _contribution(node: FeatureVector) -> float:
    assert node.contrib is not None, "a search knows the contribution of each node"
    return node.contrib


def add_error_nodes_to_graph(
    model: PreTrainedModel,
    cache: FrozenPass,
    transcoders: Transcoders,
    edges: Mapping[tuple[Name, Name], float],
    nodes: Mapping[Name, FeatureVector],
    do_bias: bool = True,
) -> Graph:
    """The graph with what its inner nodes have beside their children, so that what comes into each adds up to it.

    TC is what MLPs write beyond their transcoders, BIAS all biases, the node's own included (an inner feature's scaled as its path scales
    it), and PRUNE = node - children - TC - BIAS what the search left out.

    Args:
        transcoders: those that the cache was made with.
        do_bias: False leaves biases in PRUNE.
    """
    assert model is cache.model and len(transcoders) == len(cache.transcoders)
    all_edges, all_nodes = dict(edges), dict(nodes)
    for name in dict.fromkeys(parent for _, parent in edges):
        node = nodes[name]
        v, constant = cache.in_stream(node)
        direct = cache.direct(v[None], [cache.position(node.token)], [cache.span(node)])
        errors = _total(direct.errors)
        bias = constant + node.bias + _total(direct.mlp_biases) + _total(direct.attn_biases)
        children = sum(weight for (_, parent), weight in edges.items() if parent == name)
        found = {ComponentType.TC_ERROR: errors} | ({ComponentType.BIAS_ERROR: bias} if do_bias else {})
        found[ComponentType.PRUNE_ERROR] = _contribution(node) - children - sum(found.values())
        for kind, value in found.items():
            component = Component(node.layer, kind, cache.position(node.token))
            child = (*name, component)
            all_nodes[child] = FeatureVector(child, torch.zeros_like(v), node.layer, node.sublayer, node.token, value, ContribType.RAW)
            all_edges[child, name] = value
    return Graph(all_edges, all_nodes)


def _total(parts: Mapping[int, torch.Tensor]) -> float:
    return float(sum(part.sum() for part in parts.values()))


def sum_over_tokens(
    edges: Mapping[tuple[Name, Name], float],
    nodes: Mapping[Name, FeatureVector],
    first_token_idx: int | None = None,
    last_token_idx: int | None = None,
) -> Graph:
    """The graph with the same parts at different tokens made one, their contributions added.

    Args:
        first_token_idx, last_token_idx: tokens that take part, both included; an edge does if its child's token is one.
    """

    def without(name: Name) -> Name:
        return tuple(replace(component, token=None) for component in name)

    def inside(name: Name) -> bool:
        token = name[-1].token
        return token is None or ((first_token_idx is None or token >= first_token_idx) and (last_token_idx is None or token <= last_token_idx))

    children = {child for child, _ in edges}
    kept = {name: node for name, node in nodes.items() if name not in children or all(inside(name[: place + 1]) for place in range(1, len(name)))}
    summed_nodes, summed_edges = dict[Name, FeatureVector](), dict[tuple[Name, Name], float]()
    for name, node in kept.items():
        short = without(name)
        before = summed_nodes.get(short)
        total = _contribution(node) + (0.0 if before is None else _contribution(before))
        summed_nodes[short] = replace(node, component_path=short, contrib=total)
    for (child, parent), weight in edges.items():
        if child in kept and parent in kept:
            pair = without(child), without(parent)
            summed_edges[pair] = summed_edges.get(pair, 0.0) + weight
    return Graph(summed_edges, summed_nodes)


def get_contribs_in_graph(edges: Mapping[tuple[Name, Name], float], nodes: Mapping[Name, FeatureVector]) -> dict[Component, float]:
    """What each part contributes along all its paths, strongest first; the roots are left out."""
    sums: dict[Component, float] = {}
    for child in nodes:
        if (child, child[:-1]) in edges:
            sums[child[-1]] = sums.get(child[-1], 0.0) + edges[child, child[:-1]]
    return dict(sorted(sums.items(), key=lambda item: -abs(item[1])))


WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 168, 30, 74, 12, 18
NOTHING = 1e-3
"""Errors of a smaller share of the strongest edge are not drawn."""
COLOURS = {
    ComponentType.MLP: "#e4ecf7",
    ComponentType.ATTN: "#fdebd3",
    ComponentType.EMBED: "#e9ecef",
    ComponentType.ROOT: "#d9f0e6",
    **dict.fromkeys(ERRORS, "#ffffff"),
}


def plot_graph(
    edges: Mapping[tuple[Name, Name], float], nodes: Mapping[Name, FeatureVector], path: str | FilePath | None = None, arrow_width: float = 7.0
) -> str:
    """A picture of a graph of paths as SVG: roots on the right, what they are made of on their left, blue adds and red takes away.

    TC, BIAS and PRUNE of no weight are left out.

    Args:
        path: where it is written, if anywhere.
        arrow_width: of the strongest edge, in pixels.

    Raises:
        UserError: if it cannot be written.
    """
    strongest = max(map(abs, edges.values()), default=0.0) or 1.0
    edges = {pair: weight for pair, weight in edges.items() if pair[0][-1].component_type not in ERRORS or abs(weight) > NOTHING * strongest}
    below: dict[Name, list[Name]] = {}
    for child, parent in edges:
        below.setdefault(parent, []).append(child)
    depth = max((len(name) for name in nodes), default=1)
    places: dict[Name, tuple[float, float]] = {}
    bottom = float(MARGIN)

    def place(name: Name) -> float:
        """Put a node beside its children, these below each other; returns its height."""
        nonlocal bottom
        own = sorted(below.get(name, []), key=lambda child: (child[-1].component_type in ERRORS, -abs(edges[child, name])))
        if own:
            heights = [place(child) for child in own]
            y = (heights[0] + heights[-1]) / 2
        else:
            y, bottom = bottom, bottom + HEIGHT + DOWN
        places[name] = (MARGIN + (depth - len(name)) * (WIDTH + ACROSS), y)
        return y

    children = {child for child, _ in edges}
    for root in (name for name in nodes if name not in children and name[-1].component_type not in ERRORS):
        place(root)
    width, height = 2 * MARGIN + depth * WIDTH + (depth - 1) * ACROSS, bottom + MARGIN - DOWN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    for (child, parent), weight in sorted(edges.items(), key=lambda item: abs(item[1])):
        (x1, y1), (x2, y2) = places[child], places[parent]
        x1, y1, y2 = x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2
        middle, share = (x1 + x2) / 2, abs(weight) / strongest
        colour, dashes = "#0072b2" if weight > 0 else "#d55e00", ' stroke-dasharray="4 3"' if child[-1].component_type in ERRORS else ""
        lines.append(
            f'<path d="M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}" fill="none" stroke="{colour}" '
            f'stroke-width="{0.6 + (arrow_width - 0.6) * share:.2f}" stroke-opacity="{0.35 + 0.5 * share:.2f}"{dashes}/>'
        )
    for name, (x, y) in places.items():
        node, kind = nodes[name], name[-1].component_type
        said = {ComponentType.TC_ERROR: "TC", ComponentType.PRUNE_ERROR: "PRUNE", ComponentType.BIAS_ERROR: "BIAS"}.get(kind, str(name[-1]))
        lines.append(f'<rect x="{x}" y="{y:.1f}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{COLOURS[kind]}" stroke="#b9c2cc"/>')
        lines.append(f'<text x="{x + 10}" y="{y + 19:.1f}" fill="#18212c">{html.escape(said)}</text>')
        lines.append(f'<text x="{x + WIDTH - 10}" y="{y + 19:.1f}" text-anchor="end" fill="#586473">{_contribution(node):.2g}</text>')
    picture = "\n".join([*lines, "</svg>\n"])
    if path is not None:
        write_text(path, picture)
    return picture
