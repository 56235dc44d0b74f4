"""Java's grammar, and what the shape of its tree tells."""

from functools import cache
from typing import TYPE_CHECKING

from util.errors import BenchmarkError

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_CHANGING = {"pop", "poll", "pollFirst", "pollLast", "remove", "removeFirst", "removeLast", "next", "add", "put", "append", "reverse", "insert"}
"""Methods that change their object."""


@cache
def java_parser() -> "Parser":
    """tree-sitter's parser of Java."""
    import tree_sitter_java
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_java.language()))


def text_of(node: "Node") -> str:
    """What the source has for this node."""
    assert node.text is not None  # the source was given as bytes
    return node.text.decode()


def field_of(node: "Node", name: str) -> "Node":
    """The child that Java's grammar calls ``name``.

    Raises:
        BenchmarkError: if this construct has none.
    """
    child = node.child_by_field_name(name)
    if child is None:
        raise BenchmarkError(f"No rule translates the Java construct {node.type} without its {name}: {text_of(node)[:80]!r}.")
    return child


def parent_of(node: "Node") -> "Node":
    """The construct that holds this one."""
    assert node.parent is not None  # none of those that are translated is the whole program
    return node.parent


def root(node: "Node") -> str:
    """The variable that an assignment changes, or an element of which it changes."""
    while node.type == "array_access":
        node = field_of(node, "array")
    return text_of(node)


def has_effect(node: "Node") -> bool:
    """Whether evaluating this changes something."""
    if node.type in ("update_expression", "assignment_expression"):
        return True
    if node.type == "method_invocation" and text_of(field_of(node, "name")) in _CHANGING:
        return True
    return any(has_effect(child) for child in node.named_children)


def stored_in(node: "Node") -> "Node | None":
    """The name or place that a value is the new content of."""
    parent = parent_of(node)
    if parent.type in ("variable_declarator", "assignment_expression"):
        return field_of(parent, "name" if parent.type == "variable_declarator" else "left")
    return None


def is_stored(node: "Node") -> bool:
    """Whether a value is stored by a statement of its own, to which another can be added."""
    parent = parent_of(node)
    return parent.type == "variable_declarator" or (parent.type == "assignment_expression" and parent_of(parent).type == "expression_statement")
