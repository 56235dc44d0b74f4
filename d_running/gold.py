"""The files of the TransCoder test set: DIR/java/ID.java and DIR/python/ID.py, their functions, and inputs as Java's types take them."""

import ast
import math
import operator
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from d_running.dataset import JAVA_MARKER
from d_running.harness import INTEGER_BITS, REAL_TYPES
from d_running.java_to_d.syntax import field_of, java_parser, text_of
from d_running.java_to_d.types import BOXES
from util.errors import BenchmarkError

if TYPE_CHECKING:
    from tree_sitter import Node

GOLD_NAME = "f_gold"
PYTHON_MARKER = "#TOFILL"

_D_NAMES = {"boolean": "bool", "String": "string"}
_SCALARS = {*INTEGER_BITS, *REAL_TYPES, "char", "boolean", "String"}
_UNUSED_IMPORT = re.compile(r"^\s*import\s+javafx\b[^;\n]*;", re.MULTILINE)  # TransCoder's files name it and the JDK has it no more
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg,
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Pow: operator.pow,
}  # fmt: skip
_MOST_BITS, _LARGEST = 1024, 1_000_000


class Unusable(Exception):
    """Why a sample, or one input of it, cannot be part of the benchmark; a fact about the data that goes into the report."""


@dataclass(frozen=True)
class Signature:
    """What the Java function ``f_gold`` takes and returns.

    Attributes:
        class_name: the class that it stands in.
        return_type: in Java's spelling without boxes: int, boolean, String[], …, void.
        param_types: the same for each parameter.
    """

    class_name: str
    return_type: str
    param_types: tuple[str, ...]


@dataclass(frozen=True)
class GoldSample:
    """One function of the set in both languages.

    Attributes:
        name: its ID.
        java: the Java file.
        signature: of its function.
        python: the Python file; "" if there is none.
        rows: each input: its arguments as they are written, or why it cannot be read.
        notes: what else a reader of the report should know.
        origin: the language of the file that the inputs come from.
    """

    name: str
    java: str
    signature: Signature
    python: str
    rows: list[list[Any] | Unusable]
    notes: list[str] = field(default_factory=list)
    origin: Literal["python", "java"] = "python"


def gold_pairs(source: Path) -> tuple[dict[str, tuple[Path | None, Path | None]], list[str]]:
    """Each sample's Java and Python file, sorted by name, with None where there is only the other one; and the other files there.

    Raises:
        BenchmarkError: if ``source`` is not in the public layout, or empty.
    """
    found: dict[str, list[Path | None]] = {}
    others = []
    for column, (language, suffix) in enumerate((("java", ".java"), ("python", ".py"))):
        folder = source / language
        if not folder.is_dir():
            raise BenchmarkError(f"{source} has no folder {language}; give the folder that holds java/ID.java and python/ID.py.")
        for path in folder.iterdir():
            if path.suffix == suffix:
                found.setdefault(path.stem, [None, None])[column] = path
            else:
                others.append(f"{language}/{path.name}")
    if not found:
        raise BenchmarkError(f"{source / 'java'} and {source / 'python'} hold no ID.java and ID.py; give the folder of the unpacked set.")
    return {name: (found[name][0], found[name][1]) for name in sorted(found)}, sorted(others)


def read_gold(name: str, java_path: Path | None, python_path: Path | None) -> GoldSample:
    """Read one sample, with the inputs of its Python file.

    Raises:
        Unusable: if a file is missing or cannot be read, the signature has no D form, or no inputs are listed.
    """
    if java_path is None or python_path is None:
        raise Unusable(f"there is no {'java' if java_path is None else 'python'}/{name}.{'java' if java_path is None else 'py'}")
    java, python = file_text(java_path), file_text(python_path)
    signature = java_signature(java)
    rows, notes = python_inputs(python)
    return GoldSample(name, java, signature, python, rows, notes)


def file_text(path: Path) -> str:
    """What a file of the set holds.

    Raises:
        Unusable: if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path.parent.name}/{path.name} cannot be read: {error}") from error


def compilation_unit(java: str) -> str:
    """The Java file without its own tests, closed again and without the import that no JDK has any more."""
    return _UNUSED_IMPORT.sub("", java.partition(JAVA_MARKER)[0]) + "\n}\n"


def java_signature(java: str) -> Signature:
    """The signature of ``f_gold`` in a Java file of the set.

    Raises:
        Unusable: if there is no marker, no single static ``f_gold``, or a type that has no D form in KECode.
    """
    if JAVA_MARKER not in java:
        raise Unusable(f"its Java has no marker {JAVA_MARKER}")
    root = java_parser().parse(compilation_unit(java).encode("utf-8", "surrogatepass")).root_node
    classes = [node for node in root.named_children if node.type == "class_declaration"]
    methods = [
        (owner, node) for owner in classes if (body := owner.child_by_field_name("body")) for node in body.named_children
        if node.type == "method_declaration" and _field(node, "name") == GOLD_NAME
    ]  # fmt: skip
    if len(methods) != 1:
        broken = " and does not parse" if root.has_error else ""
        raise Unusable(f"its Java has {len(methods)} methods named {GOLD_NAME} in a class{broken}; one is needed")
    owner, method = methods[0]
    modifiers = [text_of(child).split() for child in method.named_children if child.type == "modifiers"]
    if not any("static" in words for words in modifiers):
        raise Unusable(f"its Java function {GOLD_NAME} is not static")
    return_type = _java_type(_field(method, "type") + _field(method, "dimensions"), "it returns")
    parameters = [node for node in field_of(method, "parameters").named_children if node.type.endswith("_parameter")]
    return Signature(_field(owner, "name"), return_type, tuple(_parameter_type(node) for node in parameters))


def written_types(java: str) -> tuple[str, list[str]]:
    """The types of the result and the parameters of the first method in ``java``, without boxes; "unknown" where there is no method."""
    root = java_parser().parse(f"class C {{\n{java}\n}}".encode("utf-8", "surrogatepass")).root_node
    body = root.named_children[0].child_by_field_name("body") if root.named_children else None
    method = next((node for node in body.named_children if node.type == "method_declaration"), None) if body else None
    if method is None:
        return "unknown", []
    parameters = [node for node in field_of(method, "parameters").named_children if node.type == "formal_parameter"]
    types = [_field(node, "type") + _field(node, "dimensions") for node in (method, *parameters)]
    unboxed = [BOXES.get(base, base) + bracket + rest for base, bracket, rest in (kind.partition("[") for kind in types)]
    return unboxed[0], unboxed[1:]


def _parameter_type(node: "Node") -> str:
    if node.type == "spread_parameter":
        raise Unusable("it has a variable number of parameters, which KECode has no D form for")
    return _java_type(_field(node, "type") + _field(node, "dimensions"), f"its parameter {_field(node, 'name')} is")


def _field(node: "Node", name: str) -> str:
    child = node.child_by_field_name(name)
    return re.sub(r"\s", "", text_of(child)) if child else ""


def _java_type(written: str, whose: str) -> str:
    base, bracket, rest = written.partition("[")
    scalar = BOXES.get(base, base)
    if scalar not in _SCALARS and (scalar, whose) != ("void", "it returns"):
        raise Unusable(f"{whose} a {written}, which KECode has no D form for")
    return scalar + bracket + rest


def d_type(java_type: str) -> str:
    """The D spelling of a Java type of a `Signature`."""
    base, bracket, rest = java_type.partition("[")
    return _D_NAMES.get(base, base) + bracket + rest


# Inputs


def python_inputs(python: str) -> tuple[list[list[Any] | Unusable], list[str]]:
    """The inputs that a Python file of the set lists as ``param``, read without running anything; and notes about them.

    Raises:
        Unusable: if the file does not parse or lists none.
    """
    try:
        tree = ast.parse(python)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise Unusable(f"its Python does not parse{where}: {getattr(error, 'msg', None) or error}") from error
    assignments = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and any(map(_is_param, node.targets))]
    if not assignments or not isinstance(assignments[0].value, ast.List | ast.Tuple):
        raise Unusable("its Python lists no inputs: there is no `param = [...]`")
    rows = [_row(node) for node in assignments[0].value.elts]
    if not rows:
        raise Unusable("its Python lists no inputs: `param` is empty")
    changes = any(isinstance(node, ast.Subscript | ast.Name) and _is_param(_root(node)) and isinstance(node.ctx, ast.Store)
                  for node in ast.walk(tree) if node not in assignments[0].targets)  # fmt: skip
    return rows, ["its Python changes `param` later on; the inputs are taken as they are listed"] if changes else []


def _is_param(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "param"


def _root(node: ast.AST) -> ast.AST:
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


def _row(node: ast.expr) -> list[Any] | Unusable:
    try:
        value = literal(node)
    except Unusable as error:
        return error
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        return Unusable(f"it cannot be read: {error}")
    return list(value) if isinstance(value, list) else Unusable("it is not a tuple of arguments")


def literal(node: ast.expr) -> Any:
    """The value of a literal, or of simple arithmetic on literals; tuples are lists."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [literal(item) for item in items]
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
            return _OPERATORS[type(sign)](literal(operand))
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Pow() as sign, right=right):
            return _computed(sign, literal(left), literal(right))
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str() as text)], keywords=[]):
            return float(text)
    raise Unusable(f"it is not written as plain values: {ast.unparse(node)[:60]}")


def _computed(sign: ast.operator, left: Any, right: Any) -> Any:
    times = [number for number in (left, right) if isinstance(number, int)] if isinstance(sign, ast.Mult) else []
    if isinstance(left, list | str) or isinstance(right, list | str):
        if (_size(left) + _size(right)) * max([1, *times]) > _LARGEST:
            raise Unusable(f"it has more than {_LARGEST} elements")
    elif isinstance(sign, ast.Pow) and isinstance(left, int) and abs(right) * left.bit_length() > _MOST_BITS:
        raise Unusable("it is too large a number")
    return _OPERATORS[type(sign)](left, right)


def _size(value: Any) -> int:
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    return len(value) if isinstance(value, str) else 1


def converted(java_type: str, value: Any) -> Any:
    """The value of the type ``java_type`` that equals the Python ``value``; real numbers are rounded to the nearest.

    Integers and booleans come back as int and bool, float and double as float, char and String as str, arrays as lists.

    Raises:
        Unusable: if there is none. Characters beyond ASCII are refused too: a D string is UTF-8 and a D char one byte, a Java String is
            UTF-16, so lengths and indices differ and a right translation would fail.
    """
    if java_type.endswith("[]"):
        if java_type == "char[]" and isinstance(value, str):
            value = list(value)
        if isinstance(value, list | tuple):
            return [converted(java_type[:-2], item) for item in value]
    elif java_type in INTEGER_BITS:
        limit = 1 << (INTEGER_BITS[java_type] - 1)
        if isinstance(value, int | float) and math.isfinite(value) and value == int(value):
            if -limit <= value < limit:
                return int(value)
            raise Unusable(f"{_short(value)} is too large for {java_type}")
    elif java_type in REAL_TYPES:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _real(java_type, value)
    elif java_type == "boolean":
        if isinstance(value, int | float) and value in (0, 1):
            return bool(value)
    elif isinstance(value, str) and (java_type == "String" or len(value) == 1):
        if value.isascii():
            return value
        beyond = next(character for character in value if not character.isascii())
        raise Unusable(f"the character {beyond!a} is beyond ASCII, where D and Java count characters differently")
    raise Unusable(f"{_short(value)} is no {java_type}")


def _real(java_type: str, value: float) -> float:
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0] if java_type == "float" else float(value)
    except OverflowError as error:
        raise Unusable(f"{_short(value)} is too large for {java_type}") from error


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
