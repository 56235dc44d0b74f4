"""Dataclasses as command lines: a field is the flag of its name, with its type, default and help."""

import argparse
import dataclasses
import numbers
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from util.errors import UserError, check_argument

if TYPE_CHECKING:
    from _typeshed import DataclassInstance as Dataclass
else:
    Dataclass = object  # its protocol is there for type checkers only

Config = TypeVar("Config", bound=Dataclass)


def flag(
    default: Any,
    help: str,
    parse: Callable[[str], Any] | None = None,
    choices: Callable[[], Mapping[str, str]] | None = None,
    former_opposite: str = "",
) -> Any:
    """A dataclass field with its help text and, where its type alone does not say how to read it, its parser.

    Args:
        choices: the values that are allowed and what each means, where a Literal cannot say it because others may be added.
        former_opposite: a flag of old command lines that asked for what is now the default of a switch; it is still taken.
    """
    how = {"default_factory": lambda: list(default)} if isinstance(default, list) else {"default": default}
    return dataclasses.field(**how, metadata={"help": help, "parse": parse, "choices": choices, "former_opposite": former_opposite})


def part(cls: type[Dataclass], title: str, without: Collection[str] = ()) -> Any:
    """A dataclass field that is a dataclass itself, whose fields are flags too, but for those in ``without``; the help calls them ``title``."""
    return dataclasses.field(default_factory=cls, metadata={"part": cls, "title": title, "without": without})


def flags_of(cls: type[Dataclass]) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """The flags of the dataclass ``cls`` and its parts by name, each with its field and type; of those in several parts the first."""
    hints = get_type_hints(cls)
    flags: dict[str, tuple[dataclasses.Field[Any], Any]] = {}
    for field in dataclasses.fields(cls):
        own = flags_of(field.metadata["part"]) if "part" in field.metadata else {field.name: (field, hints[field.name])}
        if field.metadata:
            flags |= {name: value for name, value in own.items() if name not in flags and name not in field.metadata.get("without", ())}
    return flags


def from_flags(cls: type[Config], given: Mapping[str, Any]) -> Config:
    """An instance of the dataclass ``cls`` from the values of some of its flags; one that several parts have goes to each of them."""
    if unknown := given.keys() - flags_of(cls).keys():
        raise TypeError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if "part" in field.metadata:
            names = flags_of(field.metadata["part"]).keys() - set(field.metadata["without"])
            values[field.name] = from_flags(field.metadata["part"], {name: value for name, value in given.items() if name in names})
        elif field.name in given:
            values[field.name] = given[field.name]
    return cls(**values)


def to_flags(config: Dataclass) -> dict[str, Any]:
    """The values of all flags of a dataclass and its parts, by name."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        own = to_flags(value) if "part" in field.metadata else {field.name: value}
        if field.metadata:
            values |= {name: value for name, value in own.items() if name not in values and name not in field.metadata.get("without", ())}
    return values


def titles(cls: type[Dataclass], own: str) -> dict[str, str]:
    """Under which title the help lists each flag of the dataclass ``cls``: "required", its part's, or ``own`` if it is of no part."""
    named: dict[str, str] = {}
    for field in dataclasses.fields(cls):
        if "part" in field.metadata:
            inner = flags_of(field.metadata["part"]).keys() - set(field.metadata["without"])
            named = dict.fromkeys(inner, field.metadata["title"]) | named
    return {name: "required" if "(required)" in field.metadata["help"] else named.get(name, own) for name, (field, _) in flags_of(cls).items()}


_PLACEHOLDERS = {int: "N", float: "X", Path: "PATH", str: "TEXT"}


def add_flags(parser: argparse.ArgumentParser, cls: type[Dataclass], title: str = "settings") -> None:
    """Give ``parser`` one flag per field of the dataclass ``cls`` and its parts; a flag that is not given sets nothing.

    The help lists required flags first, then those of ``cls`` under ``title``, then those of each part. A bool is a switch, a Literal a
    choice, a list takes any number of values.
    """
    title_of = titles(cls, title)
    order = {name: place for place, name in enumerate(dict.fromkeys(["required", title, *title_of.values()]))}
    groups = {name: parser.add_argument_group(name) for name in order if name in title_of.values()}
    for field, hint in flags_of(cls).values():
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        kind = next((kind for kind in get_args(hint) if kind is not type(None)), hint)
        required = "(required" in field.metadata["help"]
        shown = "" if required or default in ("", None, False) or default == [] else f" (default: {default})"
        choices = field.metadata["choices"]() if field.metadata["choices"] else {}
        meanings = "".join(f"; {name}: {meaning}" for name, meaning in choices.items())
        options: dict[str, Any] = {
            "help": (field.metadata["help"].removesuffix(" (required)") + meanings).replace("%", "%%") + shown,
            "default": argparse.SUPPRESS,
        }
        if hint is bool:
            options["action"] = "store_true"
        elif field.metadata["parse"]:
            options |= {"type": field.metadata["parse"], "metavar": "VALUE"}
        elif choices:
            options["choices"] = list(choices)
        elif get_origin(hint) is Literal:
            options["choices"] = get_args(hint)
        else:
            element = get_args(hint)[0] if get_origin(hint) is list else kind
            options |= {"type": element, "metavar": _PLACEHOLDERS.get(element, "VALUE")}
            if get_origin(hint) is list:
                options["nargs"] = "*"
        group = groups[title_of[field.name]]
        group.add_argument(f"--{field.name}", **options)
        if former := field.metadata["former_opposite"]:
            group.add_argument(f"--{former}", dest=field.name, action="store_false", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


_NUMBERS = {int: (numbers.Integral, "a whole number"), float: (numbers.Real, "a number")}


def check_choices(config: Dataclass) -> None:
    """See that each field of the dataclass ``config`` that has choices has one of them, and each number is one; its parts see to theirs.

    Raises:
        UserError: naming the flag.
    """
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        choices, value = get_args(hints[field.name]) if get_origin(hints[field.name]) is Literal else (), getattr(config, field.name)
        if field.metadata.get("choices"):
            choices = tuple(field.metadata["choices"]())
        if hints[field.name] in _NUMBERS:
            check_argument(f"--{field.name}", value, *_NUMBERS[hints[field.name]])
        if choices and value not in choices:
            raise UserError(f"--{field.name} {value} is none of {', '.join(choices)}.")
