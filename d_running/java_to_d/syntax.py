"""Java's grammar, and what the shape of its tree tells."""

from functools import cache
from typing import TYPE_CHECKING

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


def root(node: "Node") -> str:
    """The variable that an assignment changes, or an element of which it changes."""
    while node.type == "array_access":
        node = node.child_by_field_name("array")
    return node.text.decode()


def has_effect(node: "Node") -> bool:
    """Whether evaluating this changes something."""
    if node.type in ("update_expression", "assignment_expression"):
        return True
    if node.type == "method_invocation" and node.child_by_field_name("name").text.decode() in _CHANGING:
        return True
    return any(has_effect(child) for child in node.named_children)


def stored_in(node: "Node") -> "Node | None":
    """The name or place that a value is the new content of."""
    parent = node.parent
    if parent.type in ("variable_declarator", "assignment_expression"):
        return parent.child_by_field_name("name" if parent.type == "variable_declarator" else "left")
    return None


def is_stored(node: "Node") -> bool:
    """Whether a value is stored by a statement of its own, to which another can be added."""
    parent = node.parent
    return parent.type == "variable_declarator" or (parent.type == "assignment_expression" and parent.parent.type == "expression_statement")
