"""Circuits through transcoders: which features and heads make an activation, exactly, in every family of the architecture table.

    from transcoder_circuits import FrozenPass, greedy_get_top_paths, make_sae_feature_vector, print_all_paths

    cache = FrozenPass(model, transcoders, ids)
    root = make_sae_feature_vector(transcoders[5], 312, token=-1, layer=5)
    print_all_paths(greedy_get_top_paths(model, transcoders, cache, root))
"""

from typing import TYPE_CHECKING, Any

from util.packages import explain_missing_packages

if TYPE_CHECKING:
    from transcoder_circuits.attribution_graph import attribute as attribute
    from transcoder_circuits.circuit_analysis import greedy_get_top_paths as greedy_get_top_paths
    from transcoder_circuits.circuit_analysis import print_all_paths as print_all_paths
    from transcoder_circuits.components import make_sae_feature_vector as make_sae_feature_vector
    from transcoder_circuits.frozen import FrozenPass as FrozenPass
    from transcoder_circuits.influence import prune as prune
    from transcoder_circuits.sets import load_transcoders as load_transcoders

explain_missing_packages()

_HOMES = {
    "FrozenPass": "frozen",
    "attribute": "attribution_graph",
    "prune": "influence",
    "greedy_get_top_paths": "circuit_analysis",
    "print_all_paths": "circuit_analysis",
    "make_sae_feature_vector": "components",
    "load_transcoders": "sets",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Imports what is asked for, and torch with it, only then."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from importlib import import_module

    return getattr(import_module(f"transcoder_circuits.{_HOMES[name]}"), name)
