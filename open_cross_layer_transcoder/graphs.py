"""Two graphs of a prompt as pictures: what made the next token, and which features correlate."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.cross_layer_transcoder import CrossLayerTranscoder
from open_cross_layer_transcoder.pictures import colours, correlations, label, token_texts
from transcoder_circuits.attribution_graph import Node, attribute
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.influence import normalised, total_influence

MOST_NODES = 24
"""Nodes of a picture: those of most influence on the logits."""


def attribution_figure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, transcoder: CrossLayerTranscoder, ids: Sequence[int], threshold: float
) -> Figure:
    """The nodes of most influence on the likeliest logits, by token and layer; edges that are at least ``threshold`` of their target's input."""
    graph = attribute(FrozenPass(model, transcoder, ids))
    shares = normalised(graph.edges)
    influence = total_influence(shares, graph.weights) + graph.weights
    kept = influence.topk(min(MOST_NODES, int((influence > 0).sum()))).indices.tolist()
    places = _places([graph.nodes[row] for row in kept], graph.n_layers)
    figure = Figure(figsize=(max(7.0, 0.36 * len(ids) + 2), 1.0 * graph.n_layers + 3), layout="constrained")
    axes = figure.subplots()
    for target, (x, y) in zip(kept, places):
        for source, (x_source, y_source) in zip(kept, places):
            share = shares[target, source].item()
            if share >= threshold and share > 0:
                colour = "#228833" if graph.edges[target, source] > 0 else "#cc3311"
                axes.plot([x_source, x], [y_source, y], color=colour, linewidth=0.5 + 4 * share, alpha=0.6, zorder=1)
    marks = {"feature": "o", "error": "D", "embedding": "s", "logit": "^"}
    for kind, mark in marks.items():
        inside = [number for number, row in enumerate(kept) if graph.nodes[row].kind == kind]
        if inside:
            sizes = [30 + 300 * influence[kept[number]].item() for number in inside]
            across, up = zip(*(places[number] for number in inside))
            axes.scatter(across, up, s=sizes, marker=mark, label=kind, zorder=2, edgecolors="black", linewidths=0.5)
    for row, (x, y) in zip(kept, places):
        node = graph.nodes[row]
        name = str(node.number) if node.kind == "feature" else label(token_texts(tokenizer, [node.number])[0]) if node.kind == "logit" else ""
        axes.annotate(name, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=11)
    axes.set_xticks(range(len(ids)), [label(one) for one in token_texts(tokenizer, ids)], rotation=90, fontsize=11)
    axes.set_yticks(range(-1, graph.n_layers + 1), ["token", *(f"layer {layer}" for layer in range(graph.n_layers)), "logit"], fontsize=11)
    axes.set_title(f"What makes the next token: edges of at least {threshold:g} of what goes into their target (red: against it)")
    axes.legend(loc="upper left", fontsize=11)
    return figure


def _places(nodes: Sequence[Node], n_layers: int) -> list[tuple[float, float]]:
    """Where each node is drawn; those of one token and layer lie beside each other."""
    levels = {"embedding": -1, "logit": n_layers}
    taken: dict[tuple[int, int], int] = {}
    places = []
    for node in nodes:
        place = (node.token, levels.get(node.kind, node.layer))
        taken[place] = taken.get(place, -1) + 1
        turn = taken[place]
        places.append((place[0] + 0.28 * ((turn + 1) // 2) * (-1) ** turn, place[1] + 0.12 * turn))
    return places


def correlation_figure(activations: Mapping[int, Float[Tensor, "token n_features"]], threshold: float) -> Figure:
    """Features of neighbouring layers whose activations over the tokens correlate by more than ``threshold``; no attribution."""
    most = 20
    best = {layer: active.sum(0).topk(min(most, active.shape[1])).indices for layer, active in activations.items()}
    figure = Figure(figsize=(9, 1.0 * len(activations) + 2), layout="constrained")
    axes = figure.subplots()
    for layer, chosen in best.items():
        shown = [place for place, one in enumerate(chosen.tolist()) if activations[layer][:, one].any()]
        axes.scatter(shown, [layer] * len(shown), s=40, color=colours([layer], len(best))[0], edgecolors="black", linewidths=0.5, zorder=2)
        for place in shown:
            axes.annotate(str(int(chosen[place])), (place, layer), xytext=(3, 4), textcoords="offset points", fontsize=9)
        if layer + 1 in best:
            both = torch.cat([activations[layer][:, chosen], activations[layer + 1][:, best[layer + 1]]], 1)
            between = correlations(both)[: len(chosen), len(chosen) :]
            for source, target in (between.abs() > threshold).nonzero().tolist():
                value = between[source, target].item()
                colour = "#228833" if value > 0 else "#cc3311"
                axes.plot([source, target], [layer, layer + 1], color=colour, linewidth=2.5 * abs(value), alpha=0.5, zorder=1)
    axes.set_yticks(range(len(best)), [f"layer {layer}" for layer in best])
    axes.set_xticks([])
    axes.set_title(f"Correlations above {threshold:g} between the most active features of neighbouring layers; no attribution")
    return figure
