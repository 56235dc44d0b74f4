"""Small semantic mistakes put into a right Python function, one at a time; the kinds are those of `d_running.mutation`."""

import ast
from collections.abc import Iterator

from d_running.harness import FUNCTION_NAME
from d_running.mutation import Mutant

_BINARY: dict[type[ast.AST], tuple[str, list[str]]] = {
    ast.Add: ("arithmetic", ["-"]), ast.Sub: ("arithmetic", ["+"]), ast.Mult: ("arithmetic", ["//", "+"]), ast.Div: ("arithmetic", ["*"]),
    ast.FloorDiv: ("arithmetic", ["*"]), ast.Mod: ("arithmetic", ["*"]), ast.BitAnd: ("bits", ["|"]), ast.BitOr: ("bits", ["&"]),
    ast.BitXor: ("bits", ["|"]), ast.LShift: ("bits", [">>"]), ast.RShift: ("bits", ["<<"]),
}  # fmt: skip
_COMPARISONS: dict[type[ast.AST], list[tuple[str, str]]] = {
    ast.Lt: [("off by one", "<="), ("relation", ">=")], ast.LtE: [("off by one", "<"), ("relation", ">")],
    ast.Gt: [("off by one", ">="), ("relation", "<=")], ast.GtE: [("off by one", ">"), ("relation", "<")],
    ast.Eq: [("relation", "!=")], ast.NotEq: [("relation", "==")],
}  # fmt: skip
_CHANGED_RETURN = '(lambda value: not value if isinstance(value, bool) else value + "?" if isinstance(value, str) else value + 1)({})'

Change = tuple[str, ast.expr, str]
"""The kind of a mistake, what it takes the place of, and its text."""


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of the translated function in ``source``; some may mean the same. Nothing comes back where there is no function."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == FUNCTION_NAME), None)
    if function is None:
        return []
    starts = [0]
    data = source.encode()  # ast counts bytes
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    seen = {source}
    mutants: list[Mutant] = []
    for kind, node, text in _changes(function):
        assert node.end_lineno and node.end_col_offset is not None
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        mutated = (data[:start] + text.encode() + data[end:]).decode()
        if mutated not in seen:
            seen.add(mutated)
            before, after = (code.split("\n")[node.lineno - 1].strip() for code in (source, mutated))
            mutants.append(Mutant(len(mutants), kind, node.lineno, before, after, mutated))
    return mutants


def _changes(function: ast.FunctionDef) -> Iterator[Change]:
    for node in _walked(function):
        match node:
            case ast.Constant(value=bool() as value):
                yield "constant", node, str(not value)
            case ast.Constant(value=int() as value):
                yield "constant", node, f"{value + 1}"
                yield "constant", node, f"({value - 1})" if value < 1 else f"{value - 1}"
            case ast.Constant(value=float()):
                yield "constant", node, f"({ast.unparse(node)} + 1)"
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
                kind, others = _BINARY[type(operator)]
                for other in others:
                    yield kind, node, f"(({ast.unparse(left)}) {other} ({ast.unparse(right)}))"
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                for kind, other in _COMPARISONS.get(type(operator), []):
                    yield kind, node, f"({ast.unparse(left)}) {other} ({ast.unparse(right)})"
            case ast.BoolOp(op=operator, values=values):
                other = " or " if isinstance(operator, ast.And) else " and "
                yield "logic", node, f"({other.join(f'({ast.unparse(value)})' for value in values)})"
            case ast.Call(func=ast.Name(id="min" | "max" as name) as called):
                yield "library", called, "max" if name == "min" else "min"
            case ast.If(test=test) | ast.While(test=test):
                yield "condition", test, f"not ({ast.unparse(test)})"
            case ast.Return(value=ast.expr() as value):
                yield "return", value, _CHANGED_RETURN.format(ast.unparse(value))


def _walked(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but for what is inside formatted strings, of which Python does not say the places."""
    yield node
    for child in [] if isinstance(node, ast.JoinedStr) else ast.iter_child_nodes(node):
        yield from _walked(child)
