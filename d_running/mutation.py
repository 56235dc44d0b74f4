"""Small semantic mistakes put into a right D function, one at a time: what a benchmark's inputs must be able to notice.

The operators are the usual ones of mutation testing (off by one, arithmetic, relations, logic, constants, conditions, returns), after
DeMillo, Lipton and Sayward, "Hints on Test Data Selection" (1978). Steps of loops (``++``) are left alone: their mutants run for ever or
out of bounds, and any input notices.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from d_running.d_source import first_function, mask_opaque
from d_running.harness import FUNCTION_NAME

_TOKEN = re.compile(
    r"""(?P<real>\d[\d_]*\.\d[\d_]*(?:[eE][-+]?\d+)?[fL]?)|(?P<integer>\d[\d_]*)(?P<suffix>[uUL]*)(?![\w.])|(?P<word>[^\W\d]\w*)
    |>>>=|<<=|>>=|\^\^|>>>|\.\.|=>|\+\+|--|&&|\|\||<<|>>|[-+*/%&|^=!<>~]=|\S""",
    re.VERBOSE,
)
_OPERATORS = {
    "+": ["-"], "-": ["+"], "*": ["/", "+"], "/": ["*"], "%": ["*"], "&": ["|"], "|": ["&"], "^": ["|"], "<<": [">>"], ">>": ["<<"],
    "+=": ["-="], "-=": ["+="], "*=": ["+="], "/=": ["*="], "%=": ["+="], "&=": ["|="], "|=": ["&="], "^=": ["|="],
    "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"], "==": ["!="], "!=": ["=="], "&&": ["||"], "||": ["&&"],
    "true": ["false"], "false": ["true"], "min": ["max"], "max": ["min"],
}  # fmt: skip
_KINDS = {
    "arithmetic": "+ - * / % += -= *= /= %=", "bits": "& | ^ << >> &= |= ^=", "off by one": "< <= > >=", "relation": "== !=",
    "logic": "&& ||", "constant": "true false", "library": "min max",
}  # fmt: skip
_KIND_OF = {token: kind for kind, tokens in _KINDS.items() for token in tokens.split()}
_NEGATED = {("<", ">="), ("<=", ">"), (">", "<="), (">=", "<")}
_ONLY_BINARY = frozenset("+ - * &".split())
_NO_OPERANDS = frozenset("return case in is if while else new cast throw".split())
_CHANGED_RETURN = {"bool": "!({})", "string": '({}) ~ "?"', "char": "cast(char) (({}) + 1)"}
_NUMBERS = frozenset("byte short int long float double".split())


@dataclass(frozen=True)
class Mutant:
    """A function with one mistake.

    Attributes:
        number: its place among all mutants of the function, from 0.
        kind: of the mistake.
        line: where it is, from 1.
        before, after: that line without and with it.
        source: the whole function, with what stood beside it.
    """

    number: int
    kind: str
    line: int
    before: str
    after: str
    source: str


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of the translated function in ``source``; some may not compile, and some may mean the same.

    What else stands in ``source``, such as helper functions, is left alone. Nothing comes back where there is no function.
    """
    found = first_function(source)
    if found is None or found[0] != FUNCTION_NAME:
        return []
    function = found[1]
    base = source.index(function)
    seen = {source}
    mutants: list[Mutant] = []
    for kind, start, end, text in _changes(function):
        mutated = source[: base + start] + text + source[base + end :]
        if mutated not in seen:
            seen.add(mutated)
            line = source.count("\n", 0, base + start)
            before, after = (code.split("\n")[line].strip() for code in (source, mutated))
            mutants.append(Mutant(len(mutants), kind, line + 1, before, after, mutated))
    return mutants


def chosen_mutants(name: str, mutants: list[Mutant], most: int | None, seed: int = 0) -> list[Mutant]:
    """At most ``most`` of the mutants of the sample ``name``, drawn with a seed of its own; all of them for None."""
    if most is None or len(mutants) <= most:
        return mutants
    return sorted(random.Random(f"{seed} {name}").sample(mutants, most), key=lambda mutant: mutant.number)


def _changes(function: str) -> Iterator[tuple[str, int, int, str]]:
    """The kind of each mistake, and what text takes the place of which characters."""
    code = mask_opaque(function)
    body = code.index("{") + 1
    return_type = code[: code.index(FUNCTION_NAME)].split()[-1]
    tokens = [token for token in _TOKEN.finditer(code, body) if token.group() != "\0"]
    for index, token in enumerate(tokens):
        text = token.group()
        before = tokens[index - 1].group() if index else "{"
        if token["integer"]:
            for value in (int(text.rstrip("uUL").replace("_", "")) + step for step in (1, -1)):
                yield "constant", *token.span(), f"{value}{token['suffix']}" if value >= 0 else f"({value}{token['suffix']})"
        elif token["real"]:
            yield "constant", *token.span(), f"({text} + 1)"
        elif text in ("if", "while") and (end := _closing(tokens, index + 1)):
            start = tokens[index + 1].end()
            yield "condition", start, end, f"!({function[start:end]})"
        elif text == "return" and (change := "({}) + 1" if return_type in _NUMBERS else _CHANGED_RETURN.get(return_type)):
            end = next((later.start() for later in tokens[index:] if later.group() == ";"), 0)
            if returned := function[token.end() : end].strip():
                yield "return", token.end(), end, f" {change.format(returned)}"
        elif text in _OPERATORS and _is_operator(text, before):
            for other in _OPERATORS[text]:
                yield "relation" if (text, other) in _NEGATED else _KIND_OF[text], *token.span(), other


def _is_operator(text: str, before: str) -> bool:
    """Whether ``text`` behind ``before`` has two operands, or is a function and no property such as ``int.max``."""
    if text in ("min", "max"):
        return before != "."
    return text not in _ONLY_BINARY or _ends_operand(before)


def _ends_operand(token: str) -> bool:
    return token in (")", "]") or (re.match(r"[\w]", token) is not None and token not in _NO_OPERANDS)


def _closing(tokens: list[re.Match[str]], index: int) -> int:
    """Where the parenthesis that opens at ``index`` closes; 0 if none opens there."""
    if index >= len(tokens) or tokens[index].group() != "(":
        return 0
    depth = 0
    for token in tokens[index:]:
        depth += (token.group() == "(") - (token.group() == ")")
        if depth == 0:
            return token.start()
    return 0
