"""A piece of D on its way into a larger one: its text, its type in Java, and how tightly it binds."""

import re
from dataclasses import dataclass, replace

from d_running.java_to_d.limits import Limits
from d_running.java_to_d.types import SETS, JavaType

ASSIGNMENT, TERNARY, COMPARISON, SHIFT, ADDITION, PRODUCT, UNARY, PRIMARY = 1, 2, 8, 9, 10, 11, 12, 13
LEVELS = {"||": 3, "&&": 4, "|": 5, "^": 6, "&": 7, "+": ADDITION, "-": ADDITION, "~": ADDITION, "*": PRODUCT, "/": PRODUCT, "%": PRODUCT}
LEVELS |= dict.fromkeys(("==", "!=", "<", ">", "<=", ">=", "in", "!in", "is", "!is"), COMPARISON)
LEVELS |= dict.fromkeys(("<<", ">>", ">>>"), SHIFT)
"""How tightly D's binary operators bind."""

_TOP = re.compile(r"[(\[]|[)\]]| (\S+) ")


@dataclass(frozen=True)
class Expression:
    """D text for one Java expression.

    Attributes:
        text: the D.
        type: the expression's type in Java.
        level: how tightly its outermost operator binds.
        condition: what to write where only its truth matters, if that is shorter; as tight as ``text``.
        negation: the opposite, if that can be written without ``!``; as tight as ``text``.
        limits: the smallest and the largest value that an integer can have, where they are known.
        wide: whether characters in it are D's ``wchar``, because they may lie beyond 127.
        name: the Java variable that it names.
        bare: the text without parentheses around it.
        parts: what a string is put together from.
    """

    text: str
    type: JavaType
    level: int = PRIMARY
    condition: str | None = None
    negation: str | None = None
    limits: Limits | None = None
    wide: bool = False
    name: str | None = None
    bare: str | None = None
    parts: tuple["Expression", ...] = ()

    def __str__(self) -> str:
        """The text where brackets or commas stand around it."""
        return self.bare or self.text

    def at(self, level: int) -> str:
        """The text where something that binds as tightly as ``level`` stands beside it."""
        return self.text if self.level >= level else f"({self.text})"

    # Short names for templates, such as "{0.owner}[{1}]"

    @property
    def owner(self) -> str:
        """In front of a dot or bracket."""
        return self.at(PRIMARY)

    @property
    def cast(self) -> str:
        """Behind ``cast(…)`` or a sign."""
        return self.at(UNARY)

    @property
    def operand(self) -> str:
        """Beside any binary operator."""
        return self.at(UNARY)

    @property
    def items(self) -> str:
        """A collection as something to walk along: a set's keys."""
        return f"{self.owner}.keys" if self.type.name in SETS else self.text

    @property
    def string(self) -> str:
        """As a string."""
        if self.type.name == "String":
            return self.text
        if self.type.name == "char" and re.fullmatch(r"'[^\\\"]'", self.text):
            return f'"{self.text[1:-1]}"'
        return f"to!string({self})"

    def parenthesized(self) -> "Expression":
        """In parentheses, as the Java has it."""
        condition = f"({self.condition})" if self.condition else None
        return replace(self, text=f"({self.text})", level=PRIMARY, condition=condition, negation=None, bare=str(self), parts=())


def level_of(template: str) -> int:
    """How tightly the D of a template binds."""
    depth, levels = 0, [UNARY if template.startswith(("cast(", "!", "-")) else PRIMARY]
    for found in _TOP.finditer(template):
        depth += (found.group() in "([") - (found.group() in ")]")
        if found[1] and depth == 0:
            levels.append(ASSIGNMENT if found[1] in ("=", "~=") else LEVELS.get(found[1], TERNARY))
    return min(levels)
