"""Graphs of paths: what comes into a node adds up to it, parts at all tokens add up, and the picture holds every node."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.transcoder_circuits.frozen_models import TEXT, frozen_pass
from tests.transcoder_circuits.test_search import greedy, root_of
from transcoder_circuits.circuit_analysis import start_path
from transcoder_circuits.components import ComponentType
from transcoder_circuits.path_graphs import ERRORS, add_error_nodes_to_graph, get_contribs_in_graph, paths_to_graph, plot_graph, sum_over_tokens

ALL = {"num_branches": 10**6, "do_raw_attribution": True, "absolute": True, "ignore_bos": False}


@pytest.fixture(scope="module", params=["Llama", "Gemma2", "GPT2"])
def cache(request):
    return frozen_pass(request.param, TEXT[:16])


def errors_of(graph, name):
    children = {child[-1].component_type: weight for (child, parent), weight in graph.edges.items() if parent == name}
    return {kind: weight for kind, weight in children.items() if kind in ERRORS}


def test_nothing_is_pruned_where_all_is_kept(cache):
    root = root_of(cache)
    (paths,) = greedy(cache, root, num_iters=1, **ALL)
    graph = add_error_nodes_to_graph(cache.model, cache, cache.transcoders, *paths_to_graph([paths]))
    start = start_path(cache, root)[0]
    found = errors_of(graph, start.component_path)
    assert abs(found[ComponentType.PRUNE_ERROR]) <= 1e-4 * abs(start.contrib) + 1e-4 and found[ComponentType.TC_ERROR] != 0
    assert found[ComponentType.BIAS_ERROR] != 0
    assert sum(weight for (_, parent), weight in graph.edges.items() if parent == start.component_path) == pytest.approx(start.contrib, rel=1e-5)


@pytest.mark.parametrize("kind", [ComponentType.MLP, ComponentType.ATTN])
def test_an_inner_nodes_bias_is_scaled_as_its_path_is(cache, kind):
    (paths,) = greedy(cache, root_of(cache), num_iters=1, **ALL)
    inner = next(path for path in paths if path[-1].component.component_type is kind and path[-1].layer > 0)
    (below,) = greedy(cache, inner, num_iters=1, **ALL)
    graph = add_error_nodes_to_graph(cache.model, cache, cache.transcoders, *paths_to_graph([below]))
    found = errors_of(graph, inner[-1].component_path)
    assert abs(found[ComponentType.PRUNE_ERROR]) <= 2e-4 * max(1.0, abs(inner[-1].contrib))
    without = add_error_nodes_to_graph(cache.model, cache, cache.transcoders, *paths_to_graph([below]), do_bias=False)
    pruned = errors_of(without, inner[-1].component_path)
    assert ComponentType.BIAS_ERROR not in pruned
    assert pruned[ComponentType.PRUNE_ERROR] == pytest.approx(found[ComponentType.PRUNE_ERROR] + found[ComponentType.BIAS_ERROR], abs=1e-4)


def test_tokens_and_paths_add_up(cache, tmp_path: Path):
    paths = greedy(cache, root_of(cache), num_iters=2, num_branches=30, do_raw_attribution=True, absolute=True, ignore_bos=False)
    edges, nodes = paths_to_graph(paths)
    assert len(edges) == len(nodes) - 1
    first = {child: weight for (child, _), weight in edges.items() if len(child) == 2}
    summed = sum_over_tokens(edges, nodes)
    assert all(component.token is None for name in summed.nodes for component in name)
    assert len(summed.nodes) == len({tuple(replace(component, token=None) for component in name) for name in nodes})
    assert sum(weight for (child, _), weight in summed.edges.items() if len(child) == 2) == pytest.approx(sum(first.values()), rel=1e-5)
    last = len(cache.ids) - 1
    late = sum_over_tokens(edges, nodes, last, last)
    kept = sum(weight for child, weight in first.items() if child[-1].token == last)
    assert sum(weight for (child, _), weight in late.edges.items() if len(child) == 2) == pytest.approx(kept, rel=1e-5)
    contributions = get_contribs_in_graph(edges, nodes)
    assert sum(contributions.values()) == pytest.approx(sum(edges.values()), rel=1e-4)
    assert list(map(abs, contributions.values())) == sorted(map(abs, contributions.values()), reverse=True)
    for graph in (paths_to_graph(paths), summed):
        picture = plot_graph(*graph, tmp_path / "graph.svg")
        svg = ElementTree.fromstring(picture)
        shapes = "{http://www.w3.org/2000/svg}"
        assert len(list(svg.iter(f"{shapes}rect"))) == len(graph.nodes) + 1 and len(list(svg.iter(f"{shapes}path"))) == len(graph.edges)
        assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == picture
