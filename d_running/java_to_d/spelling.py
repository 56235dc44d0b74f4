"""How Java's names and types are spelled in D, under the rules in force and what is known of the names."""

import re
from collections.abc import Mapping
from dataclasses import replace

from d_running.java_to_d.d_expression import UNARY, Expression, level_of
from d_running.java_to_d.runtime import IMPORTS
from d_running.java_to_d.types import BOXES, BUILDERS, CHAR, INT, LISTS, MAPS, SETS, SMALL, SORTED, JavaType
from util.errors import BenchmarkError

D_KEYWORDS = frozenset(
    """
    alias align asm auto body bool cast cdouble cent cfloat creal dchar debug delegate delete deprecated dstring export extern foreach
    foreach_reverse function idouble ifloat immutable in inout invariant ireal is lazy macro mixin module nothrow out override pragma
    pure real ref scope shared string struct template typeid typeof ubyte ucent uint ulong union unittest ushort version wchar with
    wstring
    """.split()
)  # Java identifiers that D reserves

Facts = frozenset[tuple[str, str]]
"""What is known of names before a pass: "clash" (D's library has the name too and the function uses that), "wide" (holds characters
beyond 127), "ordered" (a set or map that is walked along), "nullable" (a box that is compared with null) and "alias" (a collection that is
taken out of another one, and changed)."""


class Spelling:
    """Spells names and types; knows the rules in force and the types of the names seen so far.

    Attributes:
        found: facts about names that this pass came upon; if there are new ones, another pass is needed.
        library: the names of D's library, and of helpers, that the translation uses.
        elements: the variables that hold an element of another collection.
        aliases: those of them that are a pointer to it in D, where collections are values.
    """

    def __init__(self, without: frozenset[str], facts: Facts, methods: Mapping[str, JavaType]) -> None:
        self.without = without
        self.facts = facts
        self.methods = methods
        self.found: set[tuple[str, str]] = set()
        self.library: set[str] = set()
        self.types: dict[str, JavaType] = {}
        self.parameters: set[str] = set()
        self.elements: set[str] = set()
        self.aliases: set[str] = set()

    def on(self, rule: str) -> bool:
        """Whether a rule is in force."""
        return rule not in self.without

    def name(self, text: str) -> str:
        """The D spelling of a Java identifier."""
        if (text in D_KEYWORDS and self.on("keywords")) or (("clash", text) in self.facts and self.on("clashes")):
            return text + "_"
        return text.replace("$", "_")

    def fill(self, template: str, *parts: Expression | str) -> str:
        """``template`` with its parts; what it names counts as used."""
        self.library.update(re.findall(r"(?<![\w.'\"%])[a-zA-Z]\w*", template))
        self.library.update(name for name in re.findall(r"\.(\w+)", template) if name in IMPORTS)
        return template.format(*parts)

    def made(self, template: str, kind: JavaType, *parts: Expression | str) -> Expression:
        """`fill` as an expression."""
        return Expression(self.fill(template, *parts), kind, level_of(template))

    def spell(self, kind: JavaType, ordered: bool = False, wide: bool = False) -> str:
        """The D spelling of a Java type; ``ordered`` for a set or map that is walked along, ``wide`` for characters beyond 127."""
        name = kind.name
        if name == "[]":
            return f"{self.spell(kind.arguments[0], wide=wide)}[]"
        if wide and name in ("char", "Character"):
            return "wchar"
        if name in ("boolean", "String", *BOXES):
            return {"boolean": "bool", "String": "string"}.get(kind.unboxed.name, kind.unboxed.name) if self.on("types") else name
        if name in ("byte", "short", "char", "int", "long", "float", "double", "void"):
            return name
        if name in BUILDERS:
            return ("wchar[]" if wide else "char[]") if self.on("builders") else name
        if name in LISTS and len(kind.arguments) == 1:
            return f"{self.spell(kind.element, wide=wide)}[]" if self.on("lists") else str(kind)
        if name in SETS | MAPS and len(kind.arguments) == (1 if name in SETS else 2):
            if not self.on("maps"):
                return str(kind)
            key, value = self.spell(kind.arguments[0]), "bool" if name in SETS else self.spell(kind.element)
            if not ordered:
                return f"{value}[{key}]"
            return self.fill(f"{order(kind)}!({key}, {value})")
        raise BenchmarkError(f"No rule translates the Java type {kind}.")

    def fits(self, value: Expression, kind: JavaType, name: str | None = None) -> Expression:
        """``value`` where the type ``kind`` is needed: for the variable ``name``, or a result or element."""
        target_wide = name is not None and ("wide", name) in self.facts
        if value.wide and not target_wide and holds_characters(kind):
            if name is not None and name not in self.parameters:
                self.found.add(("wide", name))
            elif kind.unboxed == CHAR:
                return replace(value, text=f"cast(char) {value.cast}", level=UNARY, wide=False, bare=None)
        if target_wide and not value.wide and kind == CHAR.with_brackets(1) and value.type == kind:
            return self.made("to!(wchar[])({0})", kind, value)
        if kind.unboxed.name in SMALL and value.type.unboxed == INT and value.limits is None and self.on("casts"):
            return self.made(f"cast({self.spell(kind)}) {{0.cast}}", kind, value)  # Java knows that this constant fits
        return value


def needs_zeros(element: JavaType) -> bool:
    """Whether D fills a new array of ``element`` with something else than Java does: not a number, 0xFF."""
    return element.name in ("char", "float", "double")


def holds_characters(kind: JavaType) -> bool:
    """Whether a value of this type is characters, or holds some."""
    return kind.unboxed == CHAR or kind.name in BUILDERS or (kind.name in LISTS | {"[]"} and holds_characters(kind.element))


def order(kind: JavaType) -> str:
    """The helper that keeps the order of a set or map."""
    return "TreeMap" if kind.name in SORTED else "LinkedHashMap" if kind.name.startswith("Linked") else "HashMap"
