"""Finds the rooms of an installed TCPE, which lie together in one folder that is not on the import path.

Rooms with names of their own (``EXPOSED``) are imported by them, behind everything that is on the path. The others have names that any
project may have (``PRIVATE``): they are parts of the package ``tcpe_house``, and the rooms' imports of them are read so. A script with a
``util`` of its own can then ``import tcpe``, and nobody's ``import util`` finds this one.

In the repository, which is run in place, nothing of this is at work.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType

HOUSE = "tcpe_house"
EXPOSED = ("run_tcpe", "tcpe", "explain", "transcoder_circuits", "open_cross_layer_transcoder", "d_running", "sae_training", "huggingface")
PRIVATE = ("util", "stages", "baselines", "demo")


def _with_private_names(code: CodeType) -> CodeType:
    """``code`` whose imports from ``PRIVATE`` rooms name them as parts of ``HOUSE``; only imports have names with a dot in them."""
    names = tuple(f"{HOUSE}.{name}" if name.partition(".")[0] in PRIVATE and "." in name else name for name in code.co_names)
    constants = tuple(_with_private_names(constant) if isinstance(constant, CodeType) else constant for constant in code.co_consts)
    return code.replace(co_names=names, co_consts=constants)


class _Loader(SourceFileLoader):
    """Python's own, but for the names; what it keeps in ``__pycache__`` is Python's own, too."""

    def get_code(self, fullname: str) -> CodeType | None:
        code = super().get_code(fullname)
        return code and _with_private_names(code)


class _Finder:
    """An `importlib.abc.MetaPathFinder` in all but name, since that module would slow down every start of Python.

    Args:
        folder: the rooms'.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(self, fullname: str, path: list[str] | None = None, _target: object = None) -> ModuleSpec | None:
        """The place of a room, or of a module in one that was found here."""
        above, _, _ = fullname.rpartition(".")
        if fullname == HOUSE:
            house = ModuleSpec(HOUSE, None, is_package=True)
            house.submodule_search_locations = [self._folder]
            return house
        if fullname in EXPOSED:
            there = PathFinder.find_spec(fullname)
            if there is not None and there.has_location:  # a folder without __init__.py, as a run's may be, has none
                return there
            path = [self._folder]
        elif above != HOUSE and not isinstance(getattr(sys.modules.get(above), "__loader__", None), _Loader):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def expose(folder: str = f"{__file__.rpartition('tcpe_rooms')[0]}{HOUSE}") -> None:
    """Let the rooms in ``folder`` be imported, by default those beside this file; ``tcpe_rooms.pth`` calls it when Python starts."""
    sys.meta_path.insert(0, _Finder(folder))  # type: ignore[arg-type]  # Sequence would have to be imported; a package has a list
