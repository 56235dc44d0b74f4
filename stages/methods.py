"""The methods that --alg_name names: TCPE's own stages, and the rivals in `baselines`."""

import importlib
import pkgutil
from collections.abc import Mapping

import baselines
from tcpe import methods as _own_methods  # noqa: F401 - registers them
from tcpe.method import METHODS, Method


def methods() -> Mapping[str, Method]:
    """All methods by name. A module in the package `baselines` is imported here, and registers its own."""
    for module in pkgutil.iter_modules(baselines.__path__, "baselines."):
        importlib.import_module(module.name)
    return METHODS


def meanings() -> dict[str, str]:
    """What each method does, by name."""
    return {name: method.help for name, method in methods().items()}
