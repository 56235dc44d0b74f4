"""What checks the types in signatures while tests run."""

from collections.abc import Callable
from typing import TypeVar

from beartype import BeartypeConf, beartype

_Function = TypeVar("_Function", bound=Callable)

# As in PEP 484, an int is a float where one is wanted.
_CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: _Function) -> _Function:
    """``function`` with its arguments and result checked at each call.

    Configurations are left alone: they check their own values, so that the user gets one sentence, and tests see to it.
    """
    return function if function.__qualname__.endswith(("Config.__init__", "Recipe.__init__")) else _CHECK(function)
