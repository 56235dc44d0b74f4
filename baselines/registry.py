"""Finds the modules of this package, so that a rival is one file and no line elsewhere."""

import importlib
import pkgutil
import sys


def import_baselines() -> None:
    """Import every module of the package `baselines`; each registers its own method."""
    package = sys.modules[__package__]
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
