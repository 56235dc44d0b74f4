"""Java's types, as the translator to D needs them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from d_running.java_to_d.syntax import field_of, text_of
from util.errors import BenchmarkError

if TYPE_CHECKING:
    from tree_sitter import Node

BOXES = {
    "Boolean": "boolean", "Byte": "byte", "Character": "char", "Double": "double",
    "Float": "float", "Integer": "int", "Long": "long", "Short": "short",
}  # fmt: skip
REALS = ("float", "double")
INTEGERS = ("byte", "short", "char", "int", "long")
SMALL = ("byte", "short", "char")
"""The integer types that become int in every operation."""

BUILDERS = {"StringBuilder", "StringBuffer"}
STACKS = {"Stack"}
"""Lists whose ``push`` and ``pop`` work at the end."""
LISTS = STACKS | {"List", "ArrayList", "LinkedList", "Vector", "Queue", "Deque", "ArrayDeque", "Collection", "Iterable", "Iterator"}
SETS = {"Set", "HashSet", "LinkedHashSet", "TreeSet", "SortedSet", "NavigableSet"}
MAPS = {"Map", "HashMap", "LinkedHashMap", "TreeMap", "SortedMap", "NavigableMap"}
SORTED = {"TreeSet", "SortedSet", "NavigableSet", "TreeMap", "SortedMap", "NavigableMap"}


@dataclass(frozen=True)
class JavaType:
    """A Java type: its name and type arguments; an array has the name "[]" and its element as the argument."""

    name: str
    arguments: tuple["JavaType", ...] = ()

    def __str__(self) -> str:
        if self.name == "[]":
            return f"{self.arguments[0]}[]"
        return self.name + (f"<{', '.join(map(str, self.arguments))}>" if self.arguments else "")

    @property
    def element(self) -> "JavaType":
        """What an array or collection holds; a map's values."""
        return self.arguments[-1].unboxed if self.arguments else JavaType("Object")

    @property
    def unboxed(self) -> "JavaType":
        """The primitive type of a box, any other type itself."""
        return JavaType(BOXES[self.name]) if self.name in BOXES else self

    @property
    def is_box(self) -> bool:
        """Whether this is a class around a primitive type."""
        return self.name in BOXES

    @property
    def is_real(self) -> bool:
        """Whether this is float or double, boxed or not."""
        return self.unboxed.name in REALS

    @property
    def is_integer(self) -> bool:
        """Whether this is an integer type (char is one), boxed or not."""
        return self.unboxed.name in INTEGERS

    @property
    def is_number(self) -> bool:
        """Whether arithmetic works on it."""
        return self.is_real or self.is_integer

    def with_brackets(self, count: int) -> "JavaType":
        """An array type of ``count`` more dimensions."""
        return self if count == 0 else JavaType("[]", (self.with_brackets(count - 1),))


def named(text: str) -> JavaType:
    """The type of a simple Java spelling: a name and brackets, such as ``String[]``."""
    base, _, _ = text.partition("[")
    return JavaType(base).with_brackets(text.count("["))


VOID, BOOLEAN, CHAR, INT, LONG, FLOAT, DOUBLE, STRING, NULL = map(
    JavaType, ("void", "boolean", "char", "int", "long", "float", "double", "String", "null")
)


def promoted(*types: JavaType) -> JavaType:
    """The type in which Java computes with operands of ``types`` (JLS 5.6)."""
    names = {kind.unboxed.name for kind in types}
    return next((kind for kind in (DOUBLE, FLOAT, LONG) if kind.name in names), INT)


def type_of(node: "Node") -> JavaType:
    """The type that a node of the syntax tree spells.

    Raises:
        BenchmarkError: for a type that has no counterpart here, such as a wildcard.
    """
    match node.type:
        case "integral_type" | "floating_point_type" | "boolean_type" | "void_type" | "type_identifier":
            return JavaType(text_of(node))
        case "array_type":
            dimensions = text_of(field_of(node, "dimensions")).count("[")
            return type_of(field_of(node, "element")).with_brackets(dimensions)
        case "scoped_type_identifier":
            return JavaType(text_of(node.named_children[-1]))
        case "generic_type":
            name, arguments = node.named_children
            return JavaType(type_of(name).name, tuple(type_of(child) for child in arguments.named_children))
    raise unsupported(node)


def unsupported(node: "Node") -> BenchmarkError:
    """The error for Java that no rule covers."""
    return BenchmarkError(f"No rule translates the Java construct {node.type}: {text_of(node)[:80]!r}.")
