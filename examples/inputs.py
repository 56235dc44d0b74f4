"""The inputs of a Java function, drawn as the comment above it says.

A comment gives one specification for each parameter, ``arr: sorted 5..9 of -20..20; n: arr.length; word: "noon" | 3..6 of "ab"``:

- ``LO..HI`` is a number between the two, or a character (``'a'..'f'``); with decimal points it is a real number of two decimals.
- A bound is a number, a character, a parameter that the comment names before, or its ``.length``, with ``+N`` or ``-N`` behind it.
  A bound alone is that value.
- ``SIZE of ITEM`` is an array, or a string where the parameter is one; ``SIZE x SIZE of ITEM`` is a matrix. An item may also be a JSON
  string or list, of which one element is drawn. ``sorted``, ``descending`` and ``distinct`` go before the size.
- ``A | B | C``: the inputs take turns. Each is one of the above, or a JSON value as it stands.
"""

import json
import random
import re
from collections.abc import Callable
from typing import Any

from util.errors import BenchmarkError

COUNT = 10
"""Inputs of each function."""
_DRAWS = 500  # until that many are found that differ
_BOUND = re.compile(r"""(?P<number>-?\d+(?:\.\d+)?)|'(?P<character>.)'|(?P<name>[A-Za-z]\w*)(?P<length>\.length)?(?P<shift>[+-]\d+)?""")
_ORDERS: dict[str, Callable[[list[Any]], list[Any]]] = {"sorted": sorted, "descending": lambda items: sorted(items, reverse=True)}
_DISTINCT = "distinct"

Row = dict[str, Any]
_Draw = Callable[[random.Random, Row], Any]


def draw_inputs(comment: str, types: dict[str, str], seed: str) -> list[list[Any]]:
    """`COUNT` different inputs, each a list of arguments in the order of the parameters.

    Args:
        comment: the specifications.
        types: Java type of each parameter by name, in order.
        seed: the inputs depend on this and the comment alone.

    Raises:
        BenchmarkError: if the comment does not parse, leaves a parameter out or names one that there is not, or gives too few inputs.
    """
    turns = _Parser(comment).specifications()
    if turns.keys() != types.keys():
        raise BenchmarkError(f"The comment {comment!r} specifies {', '.join(turns) or 'nothing'}; the parameters are {', '.join(types)}.")
    source = random.Random(seed)
    rows: list[list[Any]] = []
    for number in range(_DRAWS):
        named: Row = {}
        for name, draws in turns.items():
            named[name] = draws[number % len(draws)](source, named)
        row = [_joined(kind, named[name]) for name, kind in types.items()]
        if row not in rows:
            rows.append(row)
        if len(rows) == COUNT:
            return rows
    raise BenchmarkError(f"The comment {comment!r} gives {len(rows)} different inputs; {COUNT} are needed, so widen a range.")


def _joined(kind: str, value: Any) -> Any:
    """The drawn value with lists of characters joined where the type is a string."""
    if isinstance(value, list):
        return "".join(value) if kind == "String" else [_joined(kind.removesuffix("[]"), item) for item in value]
    return value


class _Parser:
    """Reads the specifications from a comment."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def specifications(self) -> dict[str, list[_Draw]]:
        """For each parameter, what its inputs take turns in."""
        found: dict[str, list[_Draw]] = {}
        while True:
            name = self._need(r"\w+")
            self._need(":")
            found[name] = [self._draw(top=True)]
            while self._take(r"\|"):
                found[name].append(self._draw(top=True))
            if not self._take(";"):
                break
        self._need("$")
        return found

    def _draw(self, top: bool = False) -> _Draw:
        words = []
        while word := self._take(rf"(?:{'|'.join(_ORDERS)}|{_DISTINCT})\b"):
            words.append(word)
        if not words and self._sees(r'["[]|true\b|false\b'):
            value = self._json()
            return (lambda _source, _row: value) if top else (lambda source, _row: source.choice(value))
        sizes = [self._range()]
        while self._take(r"x\b"):
            sizes.append(self._range())
        if len(sizes) > 1 or words or self._sees(r"of\b"):
            self._need("of")
            return _list(sizes, self._draw(), words)
        return sizes[0]

    def _range(self) -> _Draw:
        low = self._bound()
        if not self._take(r"\.\."):
            return lambda _source, row: low(row)
        high = self._bound()
        return lambda source, row: _between(source, low(row), high(row))

    def _bound(self) -> Callable[[Row], Any]:
        self._skip_space()
        match = _BOUND.match(self._text, self._at)
        if not match:
            raise self._error("a number, a character or a parameter's name")
        self._at = match.end()
        if number := match["number"]:
            value: Any = float(number) if "." in number else int(number)
            return lambda _row: value
        if character := match["character"]:
            return lambda _row: character
        name, shift = match["name"], int(match["shift"] or 0)

        def of_parameter(row: Row) -> Any:
            if name not in row:
                raise BenchmarkError(f"The comment {self._text!r} uses {name} before it is specified; put {name} first.")
            return (len(row[name]) if match["length"] else row[name]) + shift

        return of_parameter

    def _json(self) -> Any:
        try:
            value, self._at = json.JSONDecoder().raw_decode(self._text, self._at)
        except ValueError as error:
            raise self._error("a JSON value") from error
        return value

    def _skip_space(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1

    def _sees(self, pattern: str) -> re.Match[str] | None:
        self._skip_space()
        return re.compile(pattern).match(self._text, self._at)

    def _take(self, pattern: str) -> str:
        match = self._sees(pattern)
        self._at = match.end() if match else self._at
        return match[0] if match else ""

    def _need(self, pattern: str) -> str:
        if not self._sees(pattern):
            raise self._error({r"\w+": "a parameter's name", "$": "'|', ';' or the end"}.get(pattern, repr(pattern)))
        return self._take(pattern)

    def _error(self, wanted: str) -> BenchmarkError:
        return BenchmarkError(f"In the comment {self._text!r}, {wanted} must come at {self._text[self._at :][:20]!r}.")


def _between(source: random.Random, low: Any, high: Any) -> Any:
    if isinstance(low, str):
        return chr(source.randint(ord(low), ord(high)))
    if isinstance(low, float) or isinstance(high, float):
        return round(source.uniform(low, high), 2)
    return source.randint(low, max(low, high))


def _list(sizes: list[_Draw], item: _Draw, words: list[str]) -> _Draw:
    def draw(source: random.Random, row: Row) -> list[Any]:
        return _items(source, [size(source, row) for size in sizes], lambda: item(source, row), words)

    return draw


def _items(source: random.Random, counts: list[int], item: Callable[[], Any], words: list[str]) -> list[Any]:
    if len(counts) > 1:
        return [_items(source, counts[1:], item, words) for _ in range(counts[0])]
    items: list[Any] = []
    for _ in range(_DRAWS + counts[0]):
        if len(items) == counts[0]:
            break
        value = item()
        if _DISTINCT not in words or value not in items:
            items.append(value)
    else:
        raise BenchmarkError(f"There are no {counts[0]} distinct items where a comment asks for them; widen its range.")
    for word in words:
        items = _ORDERS[word](items) if word in _ORDERS else items
    return items
