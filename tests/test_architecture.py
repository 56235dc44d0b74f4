"""The rooms import only downwards, as `docs/architecture.md` draws it; modules are short, and public functions are typed and explained."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = tuple(
    "run_tcpe stages explain open_cross_layer_transcoder transcoder_circuits tcpe baselines d_running sae_training huggingface util "
    "demo examples benchmarks install".split()
)
MODULES = sorted([ROOT / "run_tcpe.py", *(path for room in ROOMS for path in ROOT.glob(f"{room}/**/*.py"))])
FILES = [*MODULES, *sorted(ROOT.glob("tests/**/*.py"))]
NAMES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(nodes: Iterator[ast.AST]) -> set[str]:
    """The modules of ours that import statements among ``nodes`` name."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            # `from a import b` means the module a.b where there is one.
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & NAMES.keys() or {str(node.module)}
    return found & NAMES.keys()


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: not the bodies of functions, nor what is there for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from run_at_import(child)


def drawn_arrows() -> set[tuple[str, str]]:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^ *(\w+) --> (.+)$", text, re.MULTILINE)
    return {(room, below) for room, targets in rows for below in targets.split(" & ")}


def test_the_drawing_is_true():
    there = {(name.partition(".")[0], other.partition(".")[0]) for name, path in NAMES.items() for other in imports(ast.walk(tree(path)))}
    assert {(room, other) for room, other in there if room != other} == drawn_arrows()


def test_arrows_run_one_way():
    rooms: dict[str, set[str]] = {}
    for room, below in drawn_arrows():
        rooms.setdefault(room, set()).add(below)
    assert set(TopologicalSorter(rooms).static_order()) <= set(ROOMS)  # raises CycleError on a circle


def test_modules_import_in_no_circle():
    graph = {name: imports(run_at_import(tree(path))) - {name} for name, path in NAMES.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(NAMES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def public_functions(path: Path) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """The public functions of a module and of its public classes, and whether each is a method."""
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node, False
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from ((child, True) for child in node.body if isinstance(child, ast.FunctionDef) and not child.name.startswith("_"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_functions_are_typed_and_explained(path):
    lacking = []
    for function, is_method in public_functions(path):
        given = function.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
        untyped = [argument.arg for argument in arguments if argument.annotation is None and argument.arg not in ("self", "cls")]
        if untyped or function.returns is None:
            lacking.append(f"{function.name}, line {function.lineno}: no types for {', '.join(untyped) or 'its result'}")
        # A method may take over its docstring from the class that declares it; a module's main is explained by the module.
        explained = ast.get_docstring(function) or (function.name == "main" and ast.get_docstring(tree(path)))
        if not is_method and not explained:
            lacking.append(f"{function.name}, line {function.lineno}: no docstring")
    assert not lacking
