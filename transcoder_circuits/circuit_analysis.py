"""Paths: from a feature, or any direction, backwards through the heads and features that make it, under transcoder_circuits' names.

Where that library takes its ``cache`` of activations, these functions take a `FrozenPass`. All contributions are exact (see
``transcoder_circuits/frozen.py``); a whole depth of the search is expanded in one batch.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from huggingface.transcoder import Transcoder
from transcoder_circuits.components import (
    Component,
    ComponentType,
    ContribType,
    FeatureFilter,
    FeatureVector,
    FilterType,
    Path,
    check_feature,
    get_paths_via_filter,
    get_raw_top_features_among_paths,
    make_sae_feature_vector,
)
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.frozen_parts import Direct, freeze_norm
from transcoder_circuits.sets import Transcoders
from util.errors import UserError

__all__ = [
    "Component",
    "ComponentType",
    "ContribType",
    "FeatureFilter",
    "FeatureVector",
    "FilterType",
    "get_attn_head_contribs",
    "get_ln_constant",
    "get_paths_via_filter",
    "get_raw_top_features_among_paths",
    "get_top_contribs",
    "get_top_transcoder_features",
    "get_transcoder_ixg",
    "greedy_get_top_paths",
    "make_sae_feature_vector",
    "path_text",
    "print_all_paths",
    "start_path",
]

BATCH = 32
"""Directions that are followed at a time."""


@torch.no_grad()
def get_attn_head_contribs(
    model: PreTrainedModel, cache: FrozenPass, layer: int, range_normal: Float[Tensor, " d_model"]
) -> Float[Tensor, "head query source"]:
    """What each head of a layer moves from each source to each query along a direction of the residual stream."""
    assert model is cache.model
    one = cache.layers[layer]
    v = range_normal.float().expand(len(cache.ids), -1)
    mixed = torch.einsum("qm,hdm->qhd", one.attn_out_norm.pull(v, slice(None)), one.W_O)
    return one.pattern * torch.einsum("qhd,khd->hqk", mixed, one.values)


@torch.no_grad()
def get_transcoder_ixg(
    transcoder: Transcoder, cache: FrozenPass, range_normal: Float[Tensor, " d_model"], input_layer: int, input_token_idx: int
) -> Float[Tensor, " n_features"]:
    """Input times gradient: what each feature of a layer's transcoder adds along a direction of the residual stream, at a token.

    Raises:
        UserError: if another transcoder than that is in the cache.
    """
    if cache.transcoders.get(input_layer) is not transcoder:
        raise UserError(f"The transcoder is not that of layer {input_layer} which the prompt was read with; give the same.")
    token = cache.position(input_token_idx)
    direct = cache.direct(range_normal.float()[None], [token], [(2 * input_layer + 1, 2 * input_layer + 2)])
    return direct.features[input_layer][0]


@torch.no_grad()
def get_ln_constant(
    model: PreTrainedModel,
    cache: FrozenPass,
    vector: Float[Tensor, " d_model"],
    layer: int,
    token: int,
    is_ln2: bool = False,
    recip: bool = False,
) -> float:
    """transcoder_circuits' scalar (v·y)/(v·x) of a norm, or its inverse; nothing here uses it, since it is exact for folded, centred weights only.

    Args:
        is_ln2: of the norm before the MLP; else of that before the attention.
    """
    from huggingface.architectures import architecture_of, attention_norm_of, mlp_norm_of

    norm = mlp_norm_of(model, layer) if is_ln2 else attention_norm_of(model, layer)
    x = cache.stream[layer] + cache.added_by_attention(layer) if is_ln2 and not cache.parallel else cache.stream[layer]
    frozen, at = freeze_norm(norm, x, architecture_of(model).norm_weight_offset), cache.position(token)
    y = frozen.push(x)[at] + (0 if frozen.bias is None else frozen.bias)
    before, behind = (vector.float() @ x[at]).item(), (vector.float() @ y).item()
    over, under = (before, behind) if recip else (behind, before)
    return over / under if under else 0.0


class _Child(NamedTuple):
    """A candidate below one of the nodes of a batch."""

    rank: float
    contrib: float
    parent: int
    kind: ComponentType
    layer: int
    which: int
    source: int


class _Node(NamedTuple):
    """A node in the residual stream."""

    vector: Float[Tensor, " d_model"]
    token: int
    span: tuple[int, int]


def _node(cache: FrozenPass, feature: FeatureVector) -> _Node:
    v, _ = cache.in_stream(feature)
    return _Node(v, cache.position(feature.token), cache.span(feature))


def _direct(cache: FrozenPass, nodes: Sequence[_Node]) -> Direct:
    return cache.direct(torch.stack([node.vector for node in nodes]), [node.token for node in nodes], [node.span for node in nodes])


def _best(
    direct: Direct, caps: Sequence[float | None], k: int, ignore_bos: bool, absolute: bool, tokens: Sequence[int], first: int
) -> list[_Child]:
    """The ``k`` strongest children of each node of a batch, over all layers, heads, sources and the embedding together."""
    blocks: list[tuple[ComponentType, int, Tensor]] = [(ComponentType.MLP, layer, part) for layer, part in direct.features.items()]
    for layer, part in direct.heads.items():
        if ignore_bos:
            part = part.clone()
            part[..., 0] = 0
        blocks.append((ComponentType.ATTN, layer, part.flatten(1)))
    embedding = direct.embedding.clone()
    if ignore_bos:
        embedding[[row for row, token in enumerate(tokens) if token == 0]] = 0
    blocks.append((ComponentType.EMBED, 0, embedding[:, None]))
    values = torch.cat([part for _, _, part in blocks], 1)
    # A cap keeps the order but for ties, so that it can be put on before the strongest are chosen.
    limits = torch.tensor([float("inf") if cap is None else abs(cap) for cap in caps], device=values.device)[:, None]
    capped = values.clamp(-limits, limits)
    strongest = (values.abs() if absolute else values).topk(min(k, values.shape[1]), 1)
    starts = torch.tensor([0, *(part.shape[1] for _, _, part in blocks)]).cumsum(0).tolist()
    n_sources = next((part.shape[-1] for part in direct.heads.values()), 1)
    children = []
    for row, columns in enumerate(strongest.indices.tolist()):
        for column, strength in zip(columns, strongest.values[row].tolist()):
            if strength <= 0:
                break
            number = next(number for number in range(len(blocks)) if column < starts[number + 1])
            kind, layer, _ = blocks[number]
            place = column - starts[number]
            which, source = divmod(place, n_sources) if kind is ComponentType.ATTN else (place, -1)
            contrib = capped[row, column].item()
            children.append(_Child(abs(contrib) if absolute else contrib, contrib, first + row, kind, layer, which, source))
    return children


def _extend(
    cache: FrozenPass, parents: Sequence[FeatureVector], nodes: Sequence[_Node], children: Sequence[_Child], raw: bool
) -> list[FeatureVector]:
    """The chosen children, with the directions by which they are read themselves."""
    device, found = cache.embedding.device, dict[int, FeatureVector]()
    kinds = {(child.kind, child.layer) for child in children}
    for kind, layer in kinds:
        numbers = [number for number, child in enumerate(children) if (child.kind, child.layer) == (kind, layer)]
        chosen = [children[number] for number in numbers]
        vectors = torch.stack([nodes[child.parent].vector for child in chosen])
        tokens = torch.tensor([nodes[child.parent].token for child in chosen], device=device)
        which, source = (torch.tensor([getattr(child, name) for child in chosen], device=device) for name in ("which", "source"))
        constants = vectors.new_zeros(len(chosen))
        if kind is ComponentType.MLP:
            one = cache.layers[layer]
            factor = (_through_skips(cache, layer, vectors, tokens, [nodes[child.parent].span for child in chosen]) * one.W_dec.T[which]).sum(-1)
            vectors, constants = cache.below_feature(layer, which, tokens, factor)
        elif kind is ComponentType.ATTN:
            moved = _moved_by_skips(cache, 2 * layer, vectors, tokens, [nodes[child.parent].span for child in chosen])
            vectors, constants = cache.below_head(layer, which, tokens, source, moved)
            tokens = source
        for number, child, vector, constant, token in zip(numbers, chosen, vectors, constants.tolist(), tokens.tolist()):
            component = Component(
                layer,
                kind,
                token,
                attn_head=child.which if kind is ComponentType.ATTN else None,
                feature_idx=child.which if kind is ComponentType.MLP else None,
            )
            parent = parents[child.parent]
            found[number] = FeatureVector(
                (*parent.component_path, component),
                vector,
                layer,
                "resid_mid" if kind is ComponentType.MLP else "resid_pre",
                token,
                child.contrib,
                ContribType.RAW if raw else ContribType.ZERO_ABLATION,
                bias=constant,
            )
    return [found[number] for number in range(len(children))]


def _moved_by_skips(
    cache: FrozenPass, part: int, vectors: Float[Tensor, "batch d_model"], tokens: Tensor, spans: Sequence[tuple[int, int]]
) -> Float[Tensor, "batch d_model"]:
    """Directions as part number ``part`` sees them: changed by the linear paths of the transcoders between it and where they are read."""
    if not any(one.transcoder is not None and one.transcoder.skip is not None for one in cache.layers):
        return vectors
    for number in reversed(range(len(cache.layers))):
        one = cache.layers[number]
        if 2 * number + 1 <= part or one.transcoder is None or one.transcoder.skip is None or (cache.parallel and part == 2 * number):
            continue
        sees = torch.tensor([first <= 2 * number + 1 < stop for first, stop in spans], device=vectors.device)[:, None]
        back = one.read.pull(one.write.pull(vectors, tokens) @ one.transcoder.skip.weight, tokens)
        vectors = vectors + back * sees
    return vectors


def _through_skips(
    cache: FrozenPass, layer: int, vectors: Float[Tensor, "batch d_model"], tokens: Tensor, spans: Sequence[tuple[int, int]]
) -> Float[Tensor, "batch d_model"]:
    """What a layer's transcoder writes along, for directions of the residual stream above it."""
    return cache.layers[layer].write.pull(_moved_by_skips(cache, 2 * layer + 1, vectors, tokens, spans), tokens)


def start_path(cache: FrozenPass, feature_vector: FeatureVector) -> Path:
    """A path of the root alone, its contribution its activation; a token from the end counts from the front.

    Raises:
        UserError: if a feature is not active there, so that nothing makes it.
    """
    component = feature_vector.component
    if component.feature_idx is not None and component.layer in cache.transcoders and feature_vector.site != "stream":
        check_feature(cache.transcoders[component.layer], component.feature_idx, f"The transcoder of layer {component.layer}")
    token = cache.position(feature_vector.token)
    activation = cache.activation(feature_vector) if feature_vector.contrib is None else feature_vector.contrib
    if activation == 0:
        raise UserError(f"{component} is not active in this prompt (its activation is 0), so nothing makes it; give another feature or token.")
    named = replace(component, token=token)
    return [replace(feature_vector, component_path=(*feature_vector.component_path[:-1], named), token=token, contrib=activation)]


@torch.no_grad()
def get_top_transcoder_features(
    model: PreTrainedModel, transcoder: Transcoder, cache: FrozenPass, feature_vector: FeatureVector, layer: int, k: int = 5, absolute: bool = False
) -> list[FeatureVector]:
    """The features of one layer's transcoder that contribute most to a node."""
    assert model is cache.model
    nodes = [_node(cache, feature_vector)]
    direct = _direct(cache, nodes)
    if cache.transcoders.get(layer) is not transcoder or layer not in direct.features:
        raise UserError(f"The transcoder is not one of layer {layer} below {feature_vector.component} which the prompt was read with.")
    values = direct.features[layer][0]
    best = (values.abs() if absolute else values).topk(min(k, len(values))).indices.tolist()
    children = [_Child(0.0, values[one].item(), 0, ComponentType.MLP, layer, one, -1) for one in best if values[one] != 0]
    return _extend(cache, [feature_vector], nodes, children, raw=True)


def get_top_contribs(
    model: PreTrainedModel,
    transcoders: Transcoders,
    cache: FrozenPass,
    feature_vector: FeatureVector,
    k: int = 5,
    ignore_bos: bool = True,
    absolute: bool = False,
) -> list[FeatureVector]:
    """The features, heads and embedding that contribute most to a node, strongest first.

    Args:
        transcoders: those that the cache was made with.
        ignore_bos: leave out what the first token is the source of.
        absolute: count inhibition too, by its size.
    """
    assert model is cache.model and len(transcoders) == len(cache.transcoders)
    paths = _grow(cache, [[feature_vector]], k, ignore_bos, raw=True, absolute=absolute, filter=None)
    return [path[-1] for path in paths]


def greedy_get_top_paths(
    model: PreTrainedModel,
    transcoders: Transcoders,
    cache: FrozenPass,
    feature_vector: FeatureVector | Path,
    num_iters: int = 2,
    num_branches: int = 5,
    ignore_bos: bool = True,
    do_raw_attribution: bool = False,
    filter: FeatureFilter | None = None,
    absolute: bool = False,
) -> list[list[Path]]:
    """The strongest paths of each depth: every path of the last depth is expanded, and the ``num_branches`` strongest of all are kept.

    Args:
        feature_vector: the root, or a path whose last node the search goes on from.
        num_iters: depths.
        do_raw_attribution: count the whole product along a path; else at most what the smallest node above contributes.
        filter: what a node must be to be kept.
        absolute: count inhibition too, by its size.

    Returns:
        For each depth its paths, strongest first; depths that nothing reaches are left out.

    Raises:
        UserError: if the root is not active, or nothing contributes to it.
    """
    assert model is cache.model and len(transcoders) == len(cache.transcoders)
    if num_iters < 1 or num_branches < 1:
        raise UserError(f"A search needs at least 1 depth and 1 branch, not {num_iters} and {num_branches}.")
    start = start_path(cache, feature_vector) if isinstance(feature_vector, FeatureVector) else feature_vector
    paths, found = [start], list[list[Path]]()
    for _ in range(num_iters):
        paths = _grow(cache, paths, num_branches, ignore_bos, do_raw_attribution, absolute, filter)
        if not paths:
            break
        found.append(paths)
    if not found:
        raise UserError(f"No path leads to {start[-1].component}: nothing that is allowed contributes to it; allow the first token or inhibition.")
    return found


@torch.no_grad()
def _grow(
    cache: FrozenPass, paths: Sequence[Path], branches: int, ignore_bos: bool, raw: bool, absolute: bool, filter: FeatureFilter | None
) -> list[Path]:
    """The strongest paths one node longer."""
    growing = [path for path in paths if path[-1].component.component_type is not ComponentType.EMBED]
    if not growing:
        return []
    nodes = [_node(cache, path[-1]) for path in growing]
    caps = [None if raw else min(abs(node.contrib) for node in path if node.contrib is not None) for path in growing]
    children: list[_Child] = []
    # What a filter takes away must not have pushed out what it keeps.
    k = branches if filter is None else 10**9
    for first in range(0, len(growing), BATCH):
        part = nodes[first : first + BATCH]
        tokens = [node.token for node in part]
        children += _best(_direct(cache, part), caps[first : first + BATCH], k, ignore_bos, absolute, tokens, first)
    if filter is not None:
        children = [child for child in children if filter.match(_named(child, nodes))]
    children = sorted(children, key=lambda child: -child.rank)[:branches]
    ends = [path[-1] for path in growing]
    return [[*growing[child.parent], node] for child, node in zip(children, _extend(cache, ends, nodes, children, raw))]


def _named(child: _Child, nodes: Sequence[_Node]) -> FeatureVector:
    """A candidate as a filter sees it."""
    attention, mlp = child.kind is ComponentType.ATTN, child.kind is ComponentType.MLP
    token = child.source if attention else nodes[child.parent].token
    component = Component(child.layer, child.kind, token, child.which if attention else None, child.which if mlp else None)
    return FeatureVector((component,), nodes[child.parent].vector, child.layer, "resid_mid" if mlp else "resid_pre", token, child.contrib)


def path_text(path: Path) -> str:
    """A path in one line: ``mlp8tc[89]@-1: 7.6 <- attn2[2]@8: 0.35 <- embed0@9: 0.1``."""
    return " <- ".join(map(str, path))


def print_all_paths(paths: Sequence[Sequence[Path]]) -> None:
    """Print the paths of each depth."""
    for depth, found in enumerate(paths, 1):
        sys.stdout.write(f"--- Paths of size {depth + 1} ---\n")
        for number, path in enumerate(found):
            sys.stdout.write(f"Path [{depth}][{number}]: {path_text(path)}\n")
