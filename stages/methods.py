"""The methods that --alg_name names: TCPE's own stages, and the rivals in `baselines`."""

from collections.abc import Mapping

from baselines.registry import import_baselines
from tcpe import methods as _own_methods  # noqa: F401 - registers them
from tcpe.method import METHODS, Method


def methods() -> Mapping[str, Method]:
    """All methods by name, those of `baselines` too."""
    import_baselines()
    return METHODS


def meanings() -> dict[str, str]:
    """What each method does, by name."""
    return {name: method.help for name, method in methods().items()}
