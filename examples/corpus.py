"""The Java functions that this repository wrote, and the benchmark that is built of them.

Each stands as an ordinary method in a file of ``data/real/functions``, under a comment that says what its inputs are (`inputs`).
``python -m examples.corpus`` runs them in Java on these inputs and writes the benchmark ``data/real/functions.csv``.
"""

import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d_running.build_kecode import CSV_FILE, build
from d_running.dataset import JAVA_MARKER
from d_running.gold import GOLD_NAME, Unusable, java_signature
from d_running.java_to_d.syntax import field_of, java_parser, text_of
from examples.functions import normalized_digest
from examples.inputs import draw_inputs
from util.cli import ArgumentParser
from util.errors import BenchmarkError

if TYPE_CHECKING:
    from tree_sitter import Node

FUNCTIONS = Path("data/real/functions")
BENCHMARK = Path("data/real/functions.csv")


@dataclass(frozen=True)
class JavaFunction:
    """One function and its inputs.

    Attributes:
        name: of the method, which is the sample's ID.
        java: the method, named as the benchmark names all of them.
        inputs: one list of arguments per call.
    """

    name: str
    java: str
    inputs: list[list[Any]]


def read_functions(folder: Path) -> list[JavaFunction]:
    """The functions of all Java files in ``folder``, sorted by name.

    Raises:
        BenchmarkError: if there are none, a file does not parse, a function has no inputs, two have the same name, or two are equal.
    """
    found: dict[str, JavaFunction] = {}
    digests: dict[str, str] = {}
    for path in sorted(folder.glob("*.java")):
        root = java_parser().parse(path.read_bytes()).root_node
        if root.has_error:
            raise BenchmarkError(f"{path} does not parse as Java; `javac {path}` says where.")
        for function in _functions(root, path):
            other = digests.setdefault(normalized_digest(function.java), function.name)
            if function.name in found:
                raise BenchmarkError(f"Two functions in {folder} are named {function.name}; rename one.")
            if other != function.name:
                raise BenchmarkError(f"The functions {other} and {function.name} in {folder} are the same; remove one.")
            found[function.name] = function
    if not found:
        raise BenchmarkError(f"{folder} holds no Java functions; name a folder like {FUNCTIONS}.")
    return [found[name] for name in sorted(found)]


def _functions(root: "Node", path: Path) -> Iterator[JavaFunction]:
    for body in (field_of(node, "body") for node in root.named_children if node.type == "class_declaration"):
        comment: list[str] = []
        for node in body.named_children:
            if node.type == "line_comment":
                comment.append(text_of(node).removeprefix("//").strip())
            elif node.type == "method_declaration":
                name = text_of(field_of(node, "name"))
                java = _renamed(node, name)
                parameters = [text_of(field_of(child, "name")) for child in field_of(node, "parameters").named_children]
                try:
                    types = dict(zip(parameters, java_signature(_file(name, java)).param_types, strict=True))
                    yield JavaFunction(name, java, draw_inputs("; ".join(comment), types, name))
                except (BenchmarkError, Unusable) as error:
                    raise BenchmarkError(f"{path}, {name}: {error}") from error
                comment = []


def _renamed(method: "Node", name: str) -> str:
    """The method's text, dedented, with its name and the calls of itself changed to the benchmark's name."""
    text = text_of(method).encode()
    places = [leaf for leaf in _leaves(method) if leaf.type == "identifier" and text_of(leaf) == name and not _is_member(leaf)]
    for leaf in reversed(places):
        text = text[: leaf.start_byte - method.start_byte] + GOLD_NAME.encode() + text[leaf.end_byte - method.start_byte :]
    return textwrap.dedent(" " * method.start_point.column + text.decode())


def _leaves(node: "Node") -> Iterator["Node"]:
    if not node.children:
        yield node
    for child in node.children:
        yield from _leaves(child)


def _is_member(leaf: "Node") -> bool:
    """Whether a name is that of a field or method of something else, as in ``text.length()``."""
    before = leaf.prev_sibling
    return before is not None and before.type == "."


def _file(name: str, java: str) -> str:
    """The function as a file of the public set."""
    return f"import java.util.*;\n\npublic class {name} {{\n{java}\n\n{JAVA_MARKER}\n}}\n"


def write_layout(functions: list[JavaFunction], folder: Path) -> None:
    """Write the functions as `d_running.build_kecode` reads them: java/ID.java, and python/ID.py with the inputs alone."""
    for language in ("java", "python"):
        (folder / language).mkdir(parents=True)
    for function in functions:
        (folder / "java" / f"{function.name}.java").write_text(_file(function.name, function.java), encoding="utf-8")
        rows = "".join(f"    {tuple(row)!r},\n" for row in function.inputs)
        (folder / "python" / f"{function.name}.py").write_text(f"param = [\n{rows}]\n", encoding="utf-8")


def main() -> None:
    """Command line: ``python -m examples.corpus``."""
    parser = ArgumentParser(prog="python -m examples.corpus", description=__doc__)
    parser.add_argument("--source", type=Path, default=FUNCTIONS, help="folder of Java files (%(default)s)")
    parser.add_argument("--output_path", type=Path, default=BENCHMARK, help="the benchmark, a kecode.csv (%(default)s)")
    arguments = parser.parse_args()
    functions = read_functions(arguments.source)
    with tempfile.TemporaryDirectory(prefix="functions_") as folder:
        layout, built = Path(folder, "layout"), Path(folder, "built")
        write_layout(functions, layout)
        report = build(layout, built, selection="original")
        for sample in report["samples"]:
            if sample["inputs_kept"] < sample["inputs"]:
                what = sample["reason"] or f"input {sample['inputs_left_out'][0]['arguments']}: {sample['inputs_left_out'][0]['reason']}"
                raise BenchmarkError(f"The function {sample['id']} cannot be kept whole: {what}; mend it or its inputs.")
        arguments.output_path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(built / CSV_FILE, arguments.output_path)
    sys.stdout.write(f"{report['samples_kept']} functions with {report['inputs_kept']} inputs in {arguments.output_path}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
