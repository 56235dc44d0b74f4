"""The inputs that a Java file of the TransCoder set lists in its own ``main``, read without running anything."""

import ast
import operator
import re
from typing import TYPE_CHECKING, Any

from d_running.dataset import JAVA_MARKER
from d_running.gold import Unusable
from d_running.java_to_d.syntax import field_of, java_parser
from util.errors import BenchmarkError

if TYPE_CHECKING:
    from tree_sitter import Node

_PARAMETER = re.compile(r"param(\d+)")
_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_SUFFIX = re.compile(r"[lLfFdD]$")


def java_inputs(java: str, parameters: int) -> list[list[Any] | Unusable]:
    """Each input of a Java file, whose ``main`` adds the arguments of the k-th parameter to a list ``paramK``, one after the other.

    Args:
        java: the whole file.
        parameters: how many the function has.

    Raises:
        Unusable: if there is no ``main`` that adds as many arguments for each parameter.
    """
    tests = java.partition(JAVA_MARKER)[2]
    root = java_parser().parse(f"class Main {{{tests}".encode("utf-8", "surrogatepass")).root_node
    columns: dict[int, list[Any]] = {k: [] for k in range(parameters)}
    for call in _calls(root):
        owner, name = call.child_by_field_name("object"), call.child_by_field_name("name")
        found = _PARAMETER.fullmatch(_text(owner)) if owner and name and _text(name) == "add" else None
        arguments = call.child_by_field_name("arguments")
        if found and arguments and len(arguments.named_children) == 1:
            columns.setdefault(int(found[1]), []).append(_read(arguments.named_children[0]))
    if not parameters or len(columns) != parameters or len({len(column) for column in columns.values()}) != 1 or not columns[0]:
        raise Unusable("the main of its Java does not list as many arguments for each parameter")
    return [_row(list(values)) for values in zip(*(columns[k] for k in range(parameters)), strict=True)]


def _row(values: list[Any]) -> list[Any] | Unusable:
    return next((value for value in values if isinstance(value, Unusable)), values)


def _calls(root: "Node") -> list["Node"]:
    """All method calls below ``root``, in the order of the text."""
    found, stack = [], [root]
    while stack:
        node = stack.pop()
        if node.type == "method_invocation":
            found.append(node)
        stack += reversed(node.named_children)
    return found


def _text(node: "Node") -> str:
    return node.text.decode("utf-8", "replace") if node.text else ""


def _read(node: "Node") -> Any:
    """The value of an argument, or why it cannot be read."""
    try:
        return _value(node)
    except (Unusable, BenchmarkError, ValueError, SyntaxError) as error:
        return Unusable(f"the main of its Java has an argument that is not written as plain values: {_text(node)[:60]} ({error})")


def _value(node: "Node") -> Any:
    text = _text(node)
    match node.type:
        case "decimal_integer_literal":
            return int(_SUFFIX.sub("", text).replace("_", ""))
        case "decimal_floating_point_literal":
            return float(_SUFFIX.sub("", text).replace("_", ""))
        case "true" | "false":
            return node.type == "true"
        case "string_literal" | "character_literal":
            return ast.literal_eval(text)  # the escapes of the set's texts mean the same in Python
        case "unary_expression" if text[0] in "+-":
            value = _value(node.named_children[-1])
            return -value if text[0] == "-" else value
        case "binary_expression" if compute := _OPERATORS.get(_text(field_of(node, "operator"))):
            return compute(*(_number(field_of(node, side)) for side in ("left", "right")))
        case "cast_expression" | "parenthesized_expression":
            return _value(node.named_children[-1])
        case "array_initializer":
            return [_value(child) for child in node.named_children if "comment" not in child.type]
        case "array_creation_expression" if initializer := node.child_by_field_name("value"):
            return _value(initializer)
        case "method_invocation" if re.match(r"(?:Long|Integer|Double|Float)\.(?:parse\w+|valueOf)\(", text):
            (argument,) = field_of(node, "arguments").named_children
            value = _value(argument)
            return (float if text[0] in "DF" else int)(value)
    raise Unusable(node.type)


def _number(node: "Node") -> int | float:
    value = _value(node)
    if type(value) not in (int, float):
        raise Unusable("what is computed with is no number")
    return value
