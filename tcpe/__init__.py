"""The edit: request, key, value, rank-one update; masked to the active features, applied and taken back.

What a researcher needs is in this namespace, and imported only when it is used: ``import tcpe`` alone imports no torch. ::

    model = tcpe.load("data/demo/model", layer_num=5, TC_layer_file="data/demo/transcoder")
    edit = model.edit(tcpe.EditRequest.from_text(prompt, target_new), texts)
    with model.edited(edit):
        model.generate([prompt])
"""

import importlib
from typing import TYPE_CHECKING, Any

from util.errors import UserError
from util.packages import explain_missing_packages

explain_missing_packages()

if TYPE_CHECKING:
    from tcpe.edits import load_edited
    from tcpe.model import Model, load, load_edit
    from tcpe.request import EditRequest
    from tcpe.update import Edit

_HOMES = {
    "Edit": "tcpe.update",
    "EditRequest": "tcpe.request",
    "Model": "tcpe.model",
    "load": "tcpe.model",
    "load_edit": "tcpe.model",
    "load_edited": "tcpe.edits",
}
"""The module of each name that is imported when it is used."""

__all__ = ["Edit", "EditRequest", "Model", "UserError", "load", "load_edit", "load_edited"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tcpe' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
