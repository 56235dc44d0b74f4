"""The attribution graph of an edit's prompt, before the edit and after it, on one page that marks what changed."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transcoder_circuits.graph import graph_of
from transcoder_circuits.graph_page import page_data, write_graph_files
from transcoder_circuits.graph_view import Version, spelled

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedTokenizerFast

    from transcoder_circuits.edit_circuit import EditCircuit

PAGE = "graph.html"


def edit_graphs(circuit: "EditCircuit", arguments: Any) -> list[Version]:
    """The graphs before and after, with the same logits: the likeliest of both, the target's and the one written instead.

    Edited features that are active at the edited token are kept in any case.

    Args:
        arguments: as ``graph.add_graph_flags`` has them.
    """
    from transcoder_circuits.attribution_graph import Node, top_logits
    from transcoder_circuits.influence import prune

    caches = (circuit.before, circuit.after)
    likely = [one for cache in caches for one in top_logits(cache, arguments.max_logits, arguments.mass)[0].tolist()]
    logits = list(dict.fromkeys([*likely, circuit.target, circuit.instead]))
    graphs = [graph_of(cache, arguments, logits) for cache in caches]
    edited = [Node("feature", circuit.layer, circuit.position, column) for column in circuit.columns.tolist()]
    rows = [[graph.node_rows[node] for node in edited if node in graph.node_rows] for graph in graphs]
    return [Version(graph, prune(graph, arguments.node_share, arguments.edge_share, always)) for graph, always in zip(graphs, rows)]


def edit_graph_data(
    circuit: "EditCircuit", tokenizer: "PreTrainedTokenizerFast", circuit_data: dict[str, Any], texts: Iterable[str] | None, arguments: Any
) -> dict[str, Any]:
    """The page's values, as JSON.

    Args:
        circuit_data: what ``edit_circuit.circuit_of_edit`` found, for the words above the graph.
    """
    versions = edit_graphs(circuit, arguments)
    value, title = circuit_data["value"], circuit_data["title"].removeprefix("Error: ")
    lead = (
        f"The edit writes into {len(circuit.columns)} columns of layer {circuit.layer} for what its features do at token {circuit.position}, "
        f"{spelled(circuit_data['tokens'][circuit.position])}. The logit of {spelled(circuit_data['target_text'])} less that of "
        f"{spelled(circuit_data['instead_text'])} goes from {value['logits_before']:+.2f} to {value['logits_after']:+.2f}."
    )
    edited = [(circuit.layer, column) for column in circuit.columns.tolist()]
    shares = arguments.node_share, arguments.edge_share
    data = page_data(versions, circuit.model, tokenizer, circuit.transcoders, texts, title, shares, lead, circuit.position, edited)
    for node in data["nodes"]:
        # A feature that is no node of one graph may be active all the same.
        if node["kind"] == "feature":
            place = node["token"], node["number"]
            node["value"] = [round(float(cache.layers[node["layer"]].features[place]), 5) for cache in (circuit.before, circuit.after)]
    return data


def page_beside(place: Path, asked: str | None) -> Path:
    """Where the page goes: beside the circuit at its own place, or under the name that was asked for that one."""
    return Path(asked).with_suffix(".html") if asked else place.with_name(PAGE)


def write_edit_graph(
    path: Path,
    circuit: "EditCircuit",
    tokenizer: "PreTrainedTokenizerFast",
    circuit_data: dict[str, Any],
    texts: Iterable[str] | None,
    arguments: Any,
) -> list[Path]:
    """Write the page, and the picture of the graph after the edit.

    Raises:
        UserError: if a file cannot be written.
    """
    return write_graph_files(path, edit_graph_data(circuit, tokenizer, circuit_data, texts, arguments), None, arguments.png)
