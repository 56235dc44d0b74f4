"""Graphs as the JSON that circuit-tracer writes, and that its viewer and Neuronpedia's open."""

from typing import TYPE_CHECKING, Any

from transcoder_circuits.graph_view import node_id

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedTokenizerFast

    from transcoder_circuits.attribution_graph import AttributionGraph, Node
    from transcoder_circuits.influence import Pruned

TYPES = {"feature": "cross layer transcoder", "error": "mlp reconstruction error", "embedding": "embedding", "logit": "logit"}
"""The viewers' names of kinds; they call every feature so, of transcoders of single layers too."""


def graph_json(
    graph: "AttributionGraph", pruned: "Pruned", tokenizer: "PreTrainedTokenizerFast", slug: str, scan: str, node_share: float
) -> dict[str, Any]:
    """The kept part of a graph in the viewers' schema, version 1.

    Args:
        slug: the graph's name.
        scan: what the viewers find the features' pages by: the transcoders' name.
        node_share: the share of influence that was kept of the nodes.
    """
    kept = pruned.nodes.nonzero()[:, 0].tolist()
    ids = {row: node_id(graph.nodes[row]) for row in kept}
    first_logit = graph.of("logit").start
    return {
        "metadata": {
            "slug": slug,
            "scan": scan,
            "transcoder_list": [],
            "prompt_tokens": [tokenizer.decode([one]) for one in graph.ids],
            "prompt": tokenizer.decode(graph.ids),
            "node_threshold": node_share,
            "schema_version": 1,
        },
        "qParams": {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""},
        "nodes": [_node(graph, pruned, row, tokenizer, row == first_logit) for row in kept],
        "links": [
            {"source": ids[source], "target": ids[target], "weight": graph.edges[target, source].item()}
            for target, source in pruned.edges.nonzero().tolist()
        ],
    }


def _node(graph: "AttributionGraph", pruned: "Pruned", row: int, tokenizer: "PreTrainedTokenizerFast", first: bool) -> dict[str, Any]:
    node = graph.nodes[row]
    logit = node.kind == "logit"
    probability = graph.weights[row].item() if logit else 0.0
    return {
        "node_id": node_id(node),
        "feature": _feature(node),
        "layer": {"embedding": "E", "logit": str(graph.n_layers + 1)}.get(node.kind, str(node.layer)),
        "ctx_idx": node.token,
        "feature_type": TYPES[node.kind],
        "token_prob": probability,
        "is_target_logit": first,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": {
            "feature": f"{node.layer}_{node.number}-0",
            "error": f"{node.layer}_{node.token}-0",
            "embedding": f"E_{node.number}-{node.token}",
            "logit": f"L_{node.number}-{node.token}",
        }[node.kind],
        "clerp": f'Output "{tokenizer.decode([node.number])}" (p={probability:.3f})' if logit else "",
        "influence": None if logit else pruned.cumulative[row].item(),
        "activation": graph.value[row].item() if node.kind == "feature" else None,
    }


def _feature(node: "Node") -> int:
    """What the viewers call a feature's number: of a feature Cantor's number of its layer and number."""
    if node.kind == "feature":
        return (node.layer + node.number) * (node.layer + node.number + 1) // 2 + node.number
    return {"error": -1, "embedding": node.token, "logit": node.number}[node.kind]
