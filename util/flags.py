"""Dataclasses as command lines: a field is the flag of its name, with its type, default and help."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

from util.errors import UserError


def flag(default: Any, help: str, parse: Callable[[str], Any] | None = None) -> Any:
    """A dataclass field with its help text and, where its type alone does not say how to read it, its parser."""
    how = {"default_factory": lambda: list(default)} if isinstance(default, list) else {"default": default}
    return dataclasses.field(**how, metadata={"help": help, "parse": parse})


def add_flags(parser: argparse.ArgumentParser, cls: type) -> None:
    """Give ``parser`` one flag per field of the dataclass ``cls``; a flag that is not given sets nothing.

    Required flags, whose help says so, come first. A bool is a switch, a Literal a choice, a list takes any number of values.
    """
    hints = get_type_hints(cls)
    for field in sorted(dataclasses.fields(cls), key=lambda field: "(required)" not in field.metadata["help"]):
        hint, default = hints[field.name], field.default if field.default is not dataclasses.MISSING else field.default_factory()
        kind = next((kind for kind in get_args(hint) if kind is not type(None)), hint)
        shown = "" if default in ("", None, False) or default == [] else f" (default: {default})"
        options: dict[str, Any] = {"help": field.metadata["help"].replace("%", "%%") + shown, "default": argparse.SUPPRESS}
        if hint is bool:
            options["action"] = "store_true"
        elif field.metadata["parse"]:
            options["type"] = field.metadata["parse"]
        elif get_origin(hint) is Literal:
            options["choices"] = get_args(hint)
        else:
            options["type"] = kind
            if get_origin(hint) is list:
                options["nargs"] = "*"
        parser.add_argument(f"--{field.name}", **options)


def check_choices(config: Any) -> None:
    """See that each Literal field of the dataclass ``config`` has one of its values.

    Raises:
        UserError: naming the flag.
    """
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        choices, value = get_args(hints[field.name]) if get_origin(hints[field.name]) is Literal else (), getattr(config, field.name)
        if choices and value not in choices:
            raise UserError(f"--{field.name} {value} is none of {', '.join(choices)}.")
