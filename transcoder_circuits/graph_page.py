"""The page of an attribution graph, and its pictures."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transcoder_circuits.graph_view import Version, graph_svg, graph_view
from util.errors import UserError
from util.files import check_writable, write_atomically, write_json, write_text

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from huggingface.transcoder import Transcoder
    from transcoder_circuits.cross_layer import CrossLayer

STRONGEST = 6
"""Contexts that are shown of a feature."""


def feature_data(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    transcoders: "dict[int, Transcoder]",
    nodes: Sequence[dict[str, Any]],
    texts: Iterable[str] | None,
    cross: "CrossLayer | None" = None,
) -> tuple[dict[str, Any], dict[str, int]]:
    """What hovering a feature shows: the tokens that it promotes, and the contexts in which it fires most.

    Args:
        model: the unedited one; transcoders are read beside it.
        nodes: of a view; features among them are looked up.
        texts: iterated once for each layer; None for no contexts.
        cross: the cross-layer transcoder that ``transcoders`` are of: what a feature writes into all later layers counts.

    Returns:
        By ``layer_number`` each feature's values as JSON; numbers of texts and tokens.
    """
    import torch

    from explain.features import firing, promoted
    from huggingface.stream_ends import direct_logits
    from transcoder_circuits.feature_dashboards import get_feature_scores, get_logits_for_feature

    found: dict[str, Any] = {}
    counts = {"n_texts": 0, "n_tokens": 0}
    for layer, transcoder in transcoders.items():
        features = sorted({node["number"] for node in nodes if node["kind"] == "feature" and node["layer"] == layer})
        if not features:
            continue
        logits = {feature: get_logits_for_feature(model, transcoder, feature, layer) for feature in features}
        for target in range(layer + 1, cross.n_layers) if cross is not None else ():
            assert cross is not None
            later = direct_logits(model, cross.decoder_rows(layer, target, torch.tensor(features))).cpu()
            logits = {feature: logits[feature] + one for feature, one in zip(features, later)}
        for feature in features:
            found[f"{layer}_{feature}"] = {"promoted": promoted(tokenizer, logits[feature])}
        if texts is None:
            continue
        scores = get_feature_scores(model, tokenizer, transcoder, texts, features, layer)
        counts = {"n_texts": scores.n_texts, "n_tokens": scores.n_tokens}
        for feature in features:
            own = firing(tokenizer, scores, feature)
            found[f"{layer}_{feature}"] |= {name: own[name] for name in ("fired", "frequency", "most")} | {"strongest": own["strongest"][:STRONGEST]}
    return found, counts


def page_data(
    versions: Sequence[Version],
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    transcoders: "dict[int, Transcoder]",
    texts: Iterable[str] | None,
    title: str,
    shares: tuple[float, float],
    lead: str = "",
    position: int | None = None,
    edited: Sequence[tuple[int, int]] = (),
    cross: "CrossLayer | None" = None,
) -> dict[str, Any]:
    """The page's values, as JSON.

    Args:
        versions: one graph, or those before and after an edit.
        shares: what was kept of nodes' and edges' influence.
        position: of the edited token.
        edited: layers and numbers of the features whose columns the edit writes into.
        cross: as ``feature_data``.
    """
    view = graph_view(versions, tokenizer)
    for node in view["nodes"]:
        node["edited"] = node["kind"] == "feature" and (node["layer"], node["number"]) in edited
    features, counts = feature_data(model, tokenizer, transcoders, view["nodes"], texts, cross)
    return {
        "title": title,
        "lead": lead,
        "position": position,
        "node_share": shares[0],
        "edge_share": shares[1],
        "texts": counts,
        "features": features,
        **view,
    }


def check_page(path: Path) -> None:
    """See that a page can be written, before anything is computed.

    Raises:
        UserError: if not, or its name is another kind of file's.
    """
    if path.suffix != ".html":
        raise UserError(f"The page is a file that ends in .html, and {path} does not; give another --output_path.")
    check_writable(path.parent)


def write_graph_files(path: Path, data: dict[str, Any], viewers_json: dict[str, Any] | None, png: bool) -> list[Path]:
    """Write the page, and beside it under the same name the picture as SVG, the viewers' JSON, and the picture as PNG.

    Raises:
        UserError: if a file cannot be written, or there is no browser to make a PNG.
    """
    from explain.page import write_page

    check_page(path)
    written = [path, path.with_suffix(".svg")]
    write_page(path, f"{data['title']} – TCPE", ["features", "graph"], data)
    picture = graph_svg(data)
    write_text(written[1], picture)
    if viewers_json is not None:
        written.append(path.with_suffix(".json"))
        write_json(written[-1], viewers_json)
    if png:
        written.append(path.with_suffix(".png"))
        write_png(written[-1], picture)
    return written


def write_png(path: Path, svg: str, scale: float = 2.0) -> None:
    """Write an SVG of ours as a PNG, ``scale`` pixels for each of its own.

    Raises:
        UserError: if there is no browser to draw it.
    """
    from explain.browser import headless_browser

    with headless_browser() as browser:
        page = browser.new_page(device_scale_factor=scale)
        page.set_content(f'<body style="margin: 0">{svg}</body>')
        image = page.locator("svg").screenshot()
    write_atomically(path, partial(_write, image))


def _write(image: bytes, path: Path) -> None:
    path.write_bytes(image)
