"""Draws short Java functions in the style of the benchmark, with the places where a translator errs planted in some.

Only Java is written here; the right D and a family's wrong D come from `d_running.java_to_d` with all of its rules, or
with the family's rule off. A function is put together from a loop over something (array, pairs, matrix, string, digits,
range, table) and an accumulator, so that two draws with different seeds share hardly any function.
"""

import random
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

FAMILIES = {
    "array": "arrays",
    "cast": "casts",
    "constant": "constants",
    "length": "length",
    "math": "math",
}
"""Each planted error family and the rule of `d_running.java_to_d` that makes it when it is off."""

INPUTS = 8
_INDENT = "    "
_NUMBER_NAMES = ("x", "k", "y", "t", "limit")

Lines = list[str]
DrawValue = Callable[[random.Random], list[Any]]
"""Draws the value of one parameter, in a list."""


@dataclass(frozen=True)
class DemoFunction:
    """One drawn function.

    Attributes:
        family: the error family planted in it, a key of `FAMILIES`, or None.
        java: source of ``solution``, natural layout, one statement a line.
        param_types: Java types of the parameters.
        return_type: Java type of the result.
        inputs: `INPUTS` argument lists; values are int, bool, str and nested lists of int.
    """

    family: str | None
    java: str
    param_types: tuple[str, ...]
    return_type: str
    inputs: tuple[tuple[Any, ...], ...]


def draw_function(rng: random.Random, family: str | None) -> DemoFunction:
    """Draw one function in which ``family`` (or nothing) is planted."""
    draft = _Draft(rng, family)
    shape = rng.choice([shape for shape, families in _SHAPES if family is None or family in families])
    shape(draft)
    return draft.finish()


def draw_functions(seed: int, count: int, family_share: float = 0.5, excluded: AbstractSet[str] = frozenset()) -> list[DemoFunction]:
    """Draw ``count`` different functions, every family with the same number of them.

    Args:
        seed: of the draw; the same seed gives the same functions.
        count: number of functions.
        family_share: share of the functions that carry a family.
        excluded: Java that is not to be drawn.
    """
    rng = random.Random(seed)
    families = list(FAMILIES)
    each = round(count * family_share / len(families))
    plan: list[str | None] = [family for family in families for _ in range(each)]
    plan += [None] * (count - len(plan))
    rng.shuffle(plan)
    functions: dict[str, DemoFunction] = {}
    for family in plan:
        function = draw_function(rng, family)
        while function.java in functions or function.java in excluded:
            function = draw_function(rng, family)
        functions[function.java] = function
    return list(functions.values())


def _block(head: str, *bodies: Lines) -> Lines:
    """``head { … }``; a second body becomes the else branch."""
    lines = [f"{head} {{"]
    for index, body in enumerate(bodies):
        lines += ["} else {"] * (index > 0) + [_INDENT + line for line in body]
    return [*lines, "}"]


class _Draft:
    """A function while it is drawn: its names, parameters and body."""

    def __init__(self, rng: random.Random, family: str | None) -> None:
        self.rng = rng
        self.family = family
        self.params: list[tuple[str, str]] = []
        self.draw_values: list[DrawValue | None] = []  # None: the number of elements of the first parameter
        self.body: Lines = []
        self.return_type = "int"
        self.used: set[str] = {"i", "j"}

    def finish(self) -> DemoFunction:
        inputs = []
        for _ in range(INPUTS):
            values: list[Any] = []
            for draw in self.draw_values:
                values += draw(self.rng) if draw else [len(values[0])]
            inputs.append(tuple(values))
        head = f"{self.return_type} solution({', '.join(f'{kind} {name}' for kind, name in self.params)})"
        return DemoFunction(
            self.family, "\n".join(_block(head, self.body)), tuple(kind for kind, _ in self.params), self.return_type, tuple(inputs)
        )

    # Names, numbers and parameters

    def name(self, *choices: str) -> str:
        name = self.rng.choice([choice for choice in choices if choice not in self.used])
        self.used.add(name)
        return name

    def small(self) -> str:
        return str(self.rng.randint(1, 9))

    def modulus(self) -> str:
        return self.rng.choice(["7", "11", "13", "97", "100", "101"])

    def param(self, kind: str, name: str, draw: DrawValue | None) -> str:
        self.params.append((kind, name))
        self.draw_values.append(draw)
        return name

    def array(self, low: int = -20) -> str:
        return self.param("int[]", self.name("arr", "a", "nums", "data"), lambda rng: [_numbers(rng, low)])

    def number(self, low: int = 1, high: int = 20) -> str:
        return self.param("int", self.name(*_NUMBER_NAMES), lambda rng: [rng.randint(low, high)])

    def size(self, owner: str, method: bool = False) -> str:
        """The number of elements: a parameter, or read from the array or string, which is the length family."""
        name = self.name("n", "len", "size", "m")
        if self.family == "length":
            self.body.append(f"int {name} = {owner}.length{'()' if method else ''};")
        else:
            self.param("int", name, None)
        return name

    # Pieces of the body

    def value(self, element: str) -> str:
        """An int expression of ``element``: itself, or a name or access with a small change."""
        if " " in element:
            return element
        c = self.small()
        return self.rng.choice([element] * 4 + [f"{element} * {c}", f"{element} + {c}", f"{element} - {c}", f"{element} * {element}"])

    def condition(self, element: str) -> str:
        rng, c = self.rng, self.small()
        if self.others and rng.random() < 0.4:
            return f"{element} {rng.choice(['>', '<', '==', '!=', '>=', '<='])} {rng.choice(self.others)}"
        if rng.random() < 0.5:
            divisor = rng.randint(2, 7)
            return f"{element} % {divisor} {rng.choice(['==', '!='])} {rng.randint(0, 1)}"
        return f"{element} {rng.choice(['>', '<', '!=', '>=', '<='])} {c}"

    @property
    def others(self) -> Lines:
        """Number parameters that a condition may compare with."""
        return [name for kind, name in self.params if kind == "int" and name in _NUMBER_NAMES]

    def table(self, kind: str, name: str, size: str) -> None:
        """A local array; C-style brackets are the array family."""
        declared = f"{kind} {name}[]" if self.family == "array" else f"{kind}[] {name}"
        self.body.append(f"{declared} = new {kind}[{size}];")

    def accumulator(self, element: str, first: str | None = None, conditions: Lines | None = None) -> tuple[Lines, Lines]:
        """Declare an accumulator; returns the statements inside the loop and those behind it.

        Args:
            element: what the loop looks at.
            first: an expression for a first element, if there always is one.
            conditions: conditions of its own that the shape offers.
        """
        rng, family = self.rng, self.family
        kind = "best" if family in ("constant", "math") else rng.choice(["sum", "sum", "count", "best"])
        declared = "int"
        if family == "cast":
            kind, declared = "sum", "long"
        condition = rng.choice(conditions) if conditions and rng.random() < 0.7 else self.condition(element)
        if kind == "best":
            name = self.name("best", "top", "high", "most")
            value = self.value(element)
            start = "Integer.MIN_VALUE" if family == "constant" else rng.choice([first] if first and rng.random() < 0.5 else ["0", self.small()])
            larger = _block(f"if ({value} > {name})", [f"{name} = {value};"])
            inside = [f"{name} = Math.max({name}, {value});"] if family == "math" else larger
            if rng.random() < 0.3:
                inside = _block(f"if ({condition})", inside)
        elif kind == "count":
            name, start = self.name("count", "total", "res", "found"), "0"
            inside = _block(f"if ({condition})", [rng.choice([f"{name}++;", f"{name} += {self.small()};"])])
        else:
            name = self.name("sum", "total", "res", "ans")
            start = rng.choice(["0", "0", self.small()])
            inside = [f"{name} {rng.choice(['+=', '+=', '-='])} {self.value(element)};"]
            draw = rng.random()
            if draw < 0.4:
                inside = _block(f"if ({condition})", inside)
            elif draw < 0.6:
                inside = _block(f"if ({condition})", inside, [f"{name} {rng.choice(['+=', '-='])} {self.small()};"])
        self.body.append(f"{declared} {name} = {start};")
        return inside, self.answer(name)

    def answer(self, name: str) -> Lines:
        """Return ``name`` or something simple made of it; a narrowing cast is the cast family."""
        rng, c = self.rng, self.small()
        if self.family == "cast":
            narrow = rng.choice([f"(int) {name}", f"(int) ({name} % {self.modulus()})", f"(int) ({name} / {c})", f"(int) ({name} + {c})"])
            if rng.random() < 0.5:
                return [f"return {narrow};"]
            result = self.name("r", "cur", "last")
            return [f"int {result} = {narrow};", rng.choice([f"return {result};", f"return {result} + {c};", f"return {result} * {c};"])]
        plain = [f"return {name};"]
        choices = [plain, plain, plain, [f"return {name} + {c};"], [f"return {name} * {c};"], [f"return {name} % {self.modulus()};"]]
        choices.append([*_block(f"if ({name} > {c})", plain), f"return {rng.choice(['0', '-1', c])};"])
        return rng.choice(choices)


def _numbers(rng: random.Random, low: int = -20) -> list[int]:
    return [rng.randint(low, 40) for _ in range(rng.randint(2, 10))]


def _text(rng: random.Random) -> list[str]:
    return ["".join(rng.choice("aabcdemnxyz") for _ in range(rng.randint(2, 12)))]


def _maybe_number(draft: _Draft) -> None:
    if draft.rng.random() < 0.4:
        draft.number()


# Shapes: each fills a draft's parameters and body


def _over_array(draft: _Draft) -> None:
    rng = draft.rng
    array = draft.array()
    n = draft.size(array)
    _maybe_number(draft)
    start = rng.choice(["0", "0", "0", "1"])
    neighbours = [f"{array}[i] {sign} {array}[i - 1]" for sign in (">", "<", "==")] if start == "1" else None
    inside, after = draft.accumulator(f"{array}[i]", f"{array}[0]", neighbours)
    step = rng.choice(["i++", "i++", "i++", "i += 2"])
    head = f"for (int i = {start}; i < {n}; {step})" if rng.random() < 0.8 else f"for (int i = {n} - 1; i >= {start}; i--)"
    draft.body += _block(head, inside) + after


def _over_pairs(draft: _Draft) -> None:
    rng = draft.rng
    array = draft.array()
    n = draft.size(array)
    _maybe_number(draft)
    first, second = f"{array}[i]", f"{array}[j]"
    against = rng.choice(draft.others or [draft.small()])
    conditions = [f"{first} > {second}", f"{first} == {second}", f"{first} + {second} == {against}", f"{first} + {second} > {against}"]
    element = rng.choice([first, second, f"{first} + {second}", f"{first} - {second}", f"{first} * {second}"])
    inside, after = draft.accumulator(element, f"{array}[0]", conditions)
    inner = _block(f"for (int j = i + 1; j < {n}; j++)", inside)
    draft.body += _block(f"for (int i = 0; i < {n}; i++)", inner) + after


def _over_matrix(draft: _Draft) -> None:
    matrix = draft.param("int[][]", draft.name("mat", "grid", "a"), _square)
    n = draft.size(matrix)
    _maybe_number(draft)
    conditions = ["i == j", "i < j", "i > j", f"i + j == {n} - 1"]
    inside, after = draft.accumulator(f"{matrix}[i][j]", f"{matrix}[0][0]", conditions)
    inner = _block(f"for (int j = 0; j < {n}; j++)", inside)
    draft.body += _block(f"for (int i = 0; i < {n}; i++)", inner) + after


def _square(rng: random.Random) -> list[list[list[int]]]:
    n = rng.randint(2, 4)
    return [[[rng.randint(-9, 20) for _ in range(n)] for _ in range(n)]]


def _over_string(draft: _Draft) -> None:
    rng = draft.rng
    text = draft.param("String", draft.name("s", "str", "text", "word"), _text)
    n = draft.size(text, method=True)
    letter = rng.choice("abcdemxz")
    here = f"{text}.charAt(i)"
    start = rng.choice(["0", "1"])
    conditions = [f"{here} == '{letter}'", f"{here} > '{letter}'", f"{here} != '{letter}'"]
    if start == "1":
        conditions += [f"{here} == {text}.charAt(i - 1)", f"{here} > {text}.charAt(i - 1)"]
    if rng.random() < 0.4 and draft.family not in ("cast",):
        inside, after = draft.accumulator("i", None, conditions)
        draft.body += _block(f"for (int i = {start}; i < {n}; i++)", inside) + after
        return
    code = draft.name("c", "d", "cur")
    inside, after = draft.accumulator(code, None, conditions)
    inside = [f"int {code} = {here} - '{rng.choice(['a', 'a', letter])}';", *inside]
    draft.body += _block(f"for (int i = {start}; i < {n}; i++)", inside) + after


def _over_digits(draft: _Draft) -> None:
    rng = draft.rng
    wide = draft.family == "cast" and rng.random() < 0.5
    n = draft.param("long" if wide else "int", draft.name("n", "x", "num"), lambda rng: [rng.randint(1, 99999)])
    base = rng.choice(["10", "10", "10", "2", "8"])
    digit = draft.name("d", "digit", "r")
    if wide:
        draft.family = None  # the cast is in the digit, so that the accumulator carries none
        inside, after = draft.accumulator(digit)
        draft.family = "cast"
        inside = [f"int {digit} = (int) ({n} % {base});", *inside]
    else:
        inside, after = draft.accumulator(digit)
        inside = [f"int {digit} = {n} % {base};", *inside]
    draft.body += _block(f"while ({n} > 0)", [*inside, f"{n} /= {base};"]) + after


def _over_range(draft: _Draft) -> None:
    rng = draft.rng
    n = draft.param("int", draft.name("n", "m", "num"), lambda rng: [rng.randint(1, 30)])
    _maybe_number(draft)
    conditions = [f"{n} % i == 0", f"{n} % i != 0", f"i * i <= {n}", f"i * i > {n}"]
    inside, after = draft.accumulator("i", None, conditions)
    draft.body += _block(f"for (int i = {rng.choice(['1', '1', '2'])}; i {rng.choice(['<', '<='])} {n}; i++)", inside) + after


def _recurrence(draft: _Draft) -> None:
    rng = draft.rng
    kind = "long" if draft.family == "cast" or (draft.family == "array" and rng.random() < 0.3) else "int"
    n = draft.param("int", draft.name("n", "m", "num"), lambda rng: [rng.randint(2, 15)])
    table = draft.name("dp", "memo", "table", "f")
    draft.table(kind, table, f"{n} + 1")
    draft.body += [f"{table}[0] = {rng.randint(0, 3)};", f"{table}[1] = {draft.small()};"]
    back, more = f"{table}[i - 1]", f"{table}[i - 2]"
    c = draft.small()
    step = rng.choice([f"{back} + {more}", f"{back} + {more} * {c}", f"{back} * 2 - {more}", f"{back} + i", f"{more} + {c}", f"{back} + i * {c}"])
    if draft.family == "math":
        step = f"Math.max({back}, {more} + {rng.choice([c, 'i'])})"
    inside = [f"{table}[i] = {step};"]
    if rng.random() < 0.4:
        inside = _block(f"if (i % {rng.randint(2, 5)} == 0)", inside, [f"{table}[i] = {rng.choice([back, more, f'{back} + {c}'])};"])
    draft.body += _block(f"for (int i = 2; i <= {n}; i++)", inside)
    if kind == "long" and draft.family == "array":
        draft.return_type = "long"
    draft.body += draft.answer(f"{table}[{n}]")


def _prefix_table(draft: _Draft) -> None:
    rng = draft.rng
    array = draft.array()
    n = draft.size(array)
    table = draft.name("dp", "pre", "table", "f")
    draft.table("int", table, n)
    draft.body.append(f"{table}[0] = {array}[0];")
    c = draft.small()
    here, back = f"{array}[i]", f"{table}[i - 1]"
    step = rng.choice([f"{back} + {here}", f"{back} - {here}", f"{back} + {here} * {c}", f"{here} - {array}[i - 1]"])
    if draft.family == "math":
        step = rng.choice([f"Math.max({here}, {back} + {here})", f"Math.max({back}, {here})"])
    draft.body += _block(f"for (int i = 1; i < {n}; i++)", [f"{table}[i] = {step};"])
    if draft.family in (None, "constant", "array") and rng.random() < 0.5:
        inside, after = draft.accumulator(f"{table}[i]", f"{table}[0]")
        draft.body += _block(f"for (int i = 0; i < {n}; i++)", inside) + after
    else:
        draft.body += draft.answer(f"{table}[{n} - 1]")


def _histogram(draft: _Draft) -> None:
    rng = draft.rng
    if rng.random() < 0.5:
        owner = draft.array(low=0)
        n, size, slot = draft.size(owner), rng.choice(["5", "8", "10"]), f"{owner}[i] % "
        slot += size
    else:
        owner = draft.param("String", draft.name("s", "str", "text", "word"), _text)
        n, size, slot = draft.size(owner, method=True), "26", f"{owner}.charAt(i) - 'a'"
    table = draft.name("cnt", "freq", "table", "seen")
    draft.table("int", table, size)
    draft.body += _block(f"for (int i = 0; i < {n}; i++)", [rng.choice([f"{table}[{slot}]++;", f"{table}[{slot}] += {draft.small()};"])])
    inside, after = draft.accumulator(f"{table}[j]", f"{table}[0]")
    draft.body += _block(f"for (int j = 0; j < {size}; j++)", inside) + after


def _two_ends(draft: _Draft) -> None:
    rng = draft.rng
    array = draft.array()
    n = draft.size(array)
    low, high = draft.name("lo", "left", "p"), draft.name("hi", "right", "q")
    draft.body += [f"int {low} = 0;", f"int {high} = {n} - 1;"]
    if rng.random() < 0.5:
        draft.return_type = "boolean"
        sign = rng.choice(["!=", "<", ">"])
        inside = _block(f"if ({array}[{low}] {sign} {array}[{high}])", ["return false;"])
        after = ["return true;"]
    else:
        name = draft.name("count", "res", "ans")
        draft.body.append(f"int {name} = 0;")
        inside = _block(f"if ({array}[{low}] {rng.choice(['==', '<', '>'])} {array}[{high}])", [f"{name} += {draft.small()};"])
        after = draft.answer(name)
    draft.body += _block(f"while ({low} < {high})", [*inside, f"{low}++;", f"{high}--;"]) + after


def _test_all(draft: _Draft) -> None:
    rng = draft.rng
    array = draft.array()
    n = draft.size(array)
    _maybe_number(draft)
    draft.return_type = "boolean"
    neighbour = f"{array}[i] {rng.choice(['<', '>', '=='])} {array}[i - 1]"
    condition = neighbour if rng.random() < 0.5 else draft.condition(f"{array}[i]")
    found = rng.choice(["true", "false"])
    loop = _block(f"for (int i = 1; i < {n}; i++)", _block(f"if ({condition})", [f"return {found};"]))
    draft.body += [*loop, f"return {'false' if found == 'true' else 'true'};"]


def _euclid(draft: _Draft) -> None:
    rng = draft.rng
    first, second = draft.number(1, 99), draft.number(1, 99)
    rest = draft.name("r", "temp", "cur")
    draft.body += _block(f"while ({second} != 0)", [f"int {rest} = {first} % {second};", f"{first} = {second};", f"{second} = {rest};"])
    draft.body += draft.answer(first) if rng.random() < 0.6 else [f"return {first} {rng.choice(['+', '*', '-'])} {draft.small()};"]


def _power(draft: _Draft) -> None:
    rng = draft.rng
    base, exponent = draft.number(1, 20), draft.number(0, 12)
    name = draft.name("res", "ans", "prod")
    draft.body.append(f"{'long' if draft.family == 'cast' else 'int'} {name} = {rng.choice(['1', '1', draft.small()])};")
    update = rng.choice([f"{name} = {name} * {base} % {draft.modulus()};", f"{name} = ({name} + {base}) % {draft.modulus()};"])
    draft.body += _block(f"for (int i = 0; i < {exponent}; i++)", [update]) + draft.answer(name)


_ACCUMULATED = {"constant", "math", "cast"}
_SHAPES: list[tuple[Callable[[_Draft], None], set[str]]] = [
    (_over_array, _ACCUMULATED | {"length"}),
    (_over_pairs, _ACCUMULATED | {"length"}),
    (_over_matrix, _ACCUMULATED),
    (_over_string, _ACCUMULATED | {"length"}),
    (_over_digits, _ACCUMULATED),
    (_over_range, _ACCUMULATED),
    (_recurrence, {"array", "math", "cast"}),
    (_prefix_table, {"array", "math", "length"}),
    (_histogram, {"array", "length", "constant", "math"}),
    (_two_ends, {"length"}),
    (_test_all, {"length"}),
    (_power, {"cast"}),
    (_euclid, set()),
]
