"""What pages and pictures draw of a graph: its kept nodes with their places, and its kept edges; of two graphs, before and after, both."""

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedTokenizerFast

    from transcoder_circuits.attribution_graph import AttributionGraph, Node
    from transcoder_circuits.influence import Pruned

SPACING, LINE, PER_LINE = 17, 17, 5
"""Pixels between nodes of a line and between lines, and nodes in a line."""

COLUMN, ROW_GAP, LOGIT_LINE = 13, 30, 22
LEFT, RIGHT, TOP, BOTTOM = 74, 26, 20, 92
TEXT = 14
"""Letters that are shown of a token."""

LABELS, APART = 14, 30
"""Features of most influence that are labelled, where labels on one line are so many pixels apart."""


class Version(NamedTuple):
    """A graph and what is kept of it."""

    graph: "AttributionGraph"
    pruned: "Pruned"


def node_id(node: "Node") -> str:
    """The name that the viewers know a node by; circuit-tracer's for an error, ``0_LAYER_TOKEN``, may be a feature's of layer 0 too."""
    return {
        "feature": f"{node.layer}_{node.number}_{node.token}",
        "error": f"error_{node.layer}_{node.token}",
        "embedding": f"E_{node.number}_{node.token}",
        "logit": f"{node.layer + 1}_{node.number}_{node.token}",
    }[node.kind]


def graph_view(versions: Sequence[Version], tokenizer: "PreTrainedTokenizerFast") -> dict[str, Any]:
    """The graph of a prompt as JSON values, or its graphs before and after an edit, which are of the same tokens.

    Returns:
        ``tokens``, ``n_layers``, ``nodes`` and ``links``, ``width`` and ``height``, the ``rows`` of layers and the ``columns`` of tokens, and
        for each version its ``scores``. What may differ between versions is a list with one entry for each, None where there is no such node.
    """
    from explain.features import pieces, token_name
    from transcoder_circuits.influence import graph_scores, normalised

    first = versions[0].graph
    shown: dict[Node, int] = {}
    for graph, pruned in versions:
        for row in pruned.nodes.nonzero()[:, 0].tolist():
            shown.setdefault(graph.nodes[row], len(shown))
    nodes = sorted(shown, key=lambda node: (_row_of(node, first.n_layers), node.token, node.kind == "error", node.number))
    rows = [[version.graph.node_rows.get(node) for node in nodes] for version in versions]

    def each(values: Any, place: int) -> list[float | None]:
        own = [(values(version), row[place]) for version, row in zip(versions, rows)]
        return [None if number is None else round(float(found[number]), 5) for found, number in own]

    found = [
        {
            "id": node_id(node),
            "kind": node.kind,
            "layer": node.layer,
            "token": node.token,
            "number": node.number,
            "name": str(node),
            "text": token_name(tokenizer, node.number) if node.kind in ("logit", "embedding") else "",
            "value": each(lambda version: version.graph.value, place),
            "influence": each(lambda version: version.pruned.influence, place),
            "bias": each(lambda version: version.graph.bias, place),
            "probability": each(lambda version: version.graph.weights, place),
            "kept": [own[place] is not None and bool(version.pruned.nodes[own[place]]) for version, own in zip(versions, rows)],
        }
        for place, node in enumerate(nodes)
    ]
    places = [{row: place for place, row in enumerate(own) if row is not None} for own in rows]
    strengths = [normalised(graph.edges) * (pruned.influence + graph.weights)[:, None] for graph, pruned in versions]
    kept = {
        (places[number][source], places[number][target])
        for number, version in enumerate(versions)
        for target, source in version.pruned.edges.nonzero().tolist()
    }
    links = []
    for source, target in sorted(kept):
        ends = [(own[target], own[source]) for own in rows]
        there = [None not in end for end in ends]
        weights = [round(float(version.graph.edges[end]), 5) if ok else 0.0 for version, end, ok in zip(versions, ends, there)]
        strong = [round(float(one[end]), 7) if ok else 0.0 for one, end, ok in zip(strengths, ends, there)]
        links.append([source, target, weights, strong])
    scores = [graph_scores(version.graph) for version in versions]
    return {
        "tokens": pieces(tokenizer, first.ids),
        "n_layers": first.n_layers,
        "nodes": found,
        "links": links,
        **place_nodes(found, pieces(tokenizer, first.ids), first.n_layers),
        "versions": [
            {
                "replacement": round(score.replacement, 4),
                "completeness": round(score.completeness, 4),
                "nodes": int(version.pruned.nodes.sum()),
                "of_nodes": len(version.graph.nodes),
                "edges": int(version.pruned.edges.sum()),
                "of_edges": int((version.graph.edges != 0).sum()),
            }
            for version, score in zip(versions, scores)
        ],
    }


def _row_of(node: "Node", n_layers: int) -> int:
    """Rows from the bottom: embeddings, layers, logits."""
    return {"embedding": 0, "logit": n_layers + 1}.get(node.kind, node.layer + 1)


def place_nodes(nodes: Sequence[dict[str, Any]], tokens: Sequence[str], n_layers: int) -> dict[str, Any]:
    """Give each node its place, ``x`` and ``y``, and its radius ``r`` by its influence: tokens are columns, layers rows, logits above.

    Returns:
        ``width`` and ``height``; ``rows``: names and heights of rows; ``columns``: the middle of each token's.
    """
    cells: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for node in nodes:
        row = {"embedding": 0, "logit": n_layers + 1}.get(node["kind"], node["layer"] + 1)
        cells.setdefault((row, node["token"]), []).append(node)
    most = max((influence for node in nodes for influence in node["influence"] if influence), default=1.0)
    for node in nodes:
        share = max((influence or 0.0 for influence in node["influence"]), default=0.0) / most
        node["r"] = round(6.5 if node["kind"] == "logit" else 3.5 + 4.5 * math.sqrt(share), 2)
    lines = [max((_lines(len(cell)) for (own, _), cell in cells.items() if own == row), default=1) for row in range(n_layers + 1)]
    n_logits = len(cells.get((n_layers + 1, len(tokens) - 1), ()))
    x, columns, widths = float(LEFT), [], []
    for token in range(len(tokens)):
        widest = max((min(len(cell), PER_LINE) for (row, own), cell in cells.items() if own == token and row <= n_layers), default=1)
        busy = any((row, token) in cells for row in range(1, n_layers + 2))
        widths.append(widest * SPACING + 8 if busy else COLUMN)
        columns.append(round(x + widths[-1] / 2, 1))
        x += widths[-1]
    y, middles = float(TOP + n_logits * LOGIT_LINE + ROW_GAP), dict[int, float]()
    for row in reversed(range(n_layers + 1)):
        middles[row] = round(y + lines[row] * LINE / 2, 1)
        y += lines[row] * LINE + ROW_GAP
    for (row, token), cell in cells.items():
        if row > n_layers:
            for number, node in enumerate(cell):
                node["x"], node["y"] = columns[token], TOP + (number + 0.5) * LOGIT_LINE
            continue
        ordered = sorted(cell, key=lambda node: (node["kind"] == "error", -max(one or 0.0 for one in node["influence"])))
        for number, node in enumerate(ordered):
            line, place = divmod(number, PER_LINE)
            in_line = min(PER_LINE, len(cell) - line * PER_LINE)
            node["x"] = round(columns[token] + (place - (in_line - 1) / 2) * SPACING, 1)
            node["y"] = round(middles[row] + (line - (_lines(len(cell)) - 1) / 2) * LINE, 1)
    _label(nodes)
    names = ["tokens", *(f"layer {layer}" for layer in range(n_layers))]
    rows = [[names[row], middles[row]] for row in range(n_layers + 1)]
    rows += [["logits", TOP + n_logits * LOGIT_LINE / 2]] if n_logits else []
    return {"width": round(x + RIGHT), "height": round(y - ROW_GAP + BOTTOM), "rows": rows, "columns": columns}


def _label(nodes: Sequence[dict[str, Any]]) -> None:
    """Give the features of most influence a label, as far as there is room."""
    labelled: list[dict[str, Any]] = []
    for node in sorted(nodes, key=lambda node: -node["r"]):
        clear = all(abs(node["y"] - other["y"]) > LINE / 2 or abs(node["x"] - other["x"]) >= APART for other in labelled)
        if node["kind"] == "feature" and len(labelled) < LABELS and clear:
            labelled.append(node)
        node["label"] = f"#{node['number']}" if node in labelled[-1:] else ""


def _lines(n: int) -> int:
    return -(-n // PER_LINE)


def spelled(text: str) -> str:
    """A token's text in one short line."""
    shown = text.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣")
    return shown if len(shown) <= TEXT else f"{shown[: TEXT - 1]}…"


PAPER = {"text": "#18212c", "muted": "#586473", "line": "#dde3e9"}
PAPER |= {"feature": "#3d6fb4", "error": "#b9c2cc", "embedding": "#6c7a89", "logit": "#009e73"}
POSITIVE, NEGATIVE = "#0072b2", "#d55e00"


def graph_svg(view: dict[str, Any], version: int = -1) -> str:
    """A graph as a picture for papers: blue edges add, red ones take away, stronger ones are darker; nodes grow with their influence."""
    nodes, width, height = view["nodes"], view["width"], view["height"]
    font = 'font-family="Helvetica, Arial, sans-serif"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" {font} font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for name, y in view["rows"]:
        parts.append(f'<text x="12" y="{y + 4:.1f}" fill="{PAPER["muted"]}">{html.escape(name)}</text>')
        parts.append(f'<line x1="{LEFT - 6}" x2="{width - 8}" y1="{y:.1f}" y2="{y:.1f}" stroke="{PAPER["line"]}" stroke-width="0.6"/>')
    strongest = max((link[3][version] for link in view["links"]), default=0.0) or 1.0
    for source, target, weights, strengths in sorted(view["links"], key=lambda link: link[3][version]):
        if not weights[version]:
            continue
        share = math.sqrt(strengths[version] / strongest)
        one, other = nodes[source], nodes[target]
        middle = (one["y"] + other["y"]) / 2
        way = f"M{one['x']} {one['y']}C{one['x']} {middle:.1f} {other['x']} {middle:.1f} {other['x']} {other['y']}"
        colour = POSITIVE if weights[version] > 0 else NEGATIVE
        look = f'stroke-width="{0.4 + 2.4 * share:.2f}" stroke-opacity="{0.06 + 0.7 * share:.2f}"'
        parts.append(f'<path d="{way}" fill="none" stroke="{colour}" {look}/>')
    for node in nodes:
        if node["kept"][version]:
            parts.append(_shape(node))
        if node["label"] and node["kept"][version]:
            halo = 'font-size="9" stroke="#ffffff" stroke-width="2.5" paint-order="stroke"'
            where = f'x="{node["x"]}" y="{node["y"] - node["r"] - 3:.1f}" text-anchor="middle"'
            parts.append(f'<text {where} {halo} fill="{PAPER["text"]}">{node["label"]}</text>')
    bottom = view["rows"][0][1] + 16
    for x, token in zip(view["columns"], view["tokens"]):
        turned = f'transform="translate({x + 3:.1f} {bottom:.1f}) rotate(-60)" text-anchor="end"'
        face = 'font-family="Menlo, DejaVu Sans Mono, monospace" font-size="10"'
        parts.append(f'<text {turned} {face} fill="{PAPER["text"]}">{_escaped(token)}</text>')
    for node in nodes:
        if node["kind"] == "logit" and node["kept"][version]:
            label = f"{_escaped(node['text'])}  {100 * (node['probability'][version] or 0):.1f} %"
            parts.append(f'<text x="{node["x"] - 14}" y="{node["y"] + 4}" text-anchor="end" fill="{PAPER["text"]}">{label}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _escaped(token: str) -> str:
    return html.escape(spelled(token))


def _shape(node: dict[str, Any]) -> str:
    x, y, r, kind = node["x"], node["y"], node["r"], node["kind"]
    style = f'fill="{PAPER[kind]}" stroke="#ffffff" stroke-width="1"'
    title = f"<title>{html.escape(node['name'])}</title>"
    if kind == "feature":
        return f'<circle cx="{x}" cy="{y}" r="{r}" {style}>{title}</circle>'
    if kind == "error":
        return f'<path d="M{x} {y - r:.1f}L{x + r:.1f} {y}L{x} {y + r:.1f}L{x - r:.1f} {y}Z" {style}>{title}</path>'
    return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r:.1f}" height="{2 * r:.1f}" rx="1.5" {style}>{title}</rect>'
