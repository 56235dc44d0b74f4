"""``pip install`` and ``pip install -e``: commands and Python doors work from any folder, and nobody's path gets names like ``util``."""

import ast
import os
import re
import runpy
import site
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from install.lock import OF_TORCH

ROOT = Path(__file__).parent.parent
FINDER = runpy.run_path(str(ROOT / "install" / "tcpe_rooms.py"))


@pytest.fixture(scope="module", params=["editable", "copied"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of an environment that has TCPE, and the packages that these tests run with."""
    folder = tmp_path_factory.mktemp(request.param) / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    (there,) = folder.glob("lib/python*/site-packages")
    (there / "shared.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--root-user-action=ignore"]
    what = ["--editable", ROOT] if request.param == "editable" else [ROOT]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "-q", *options, *what], check=True)
    return python


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A project of somebody else's, with names that TCPE has too."""
    (tmp_path / "util.py").write_text("mine = True\n")
    (tmp_path / "d_running").mkdir()
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "__init__.py").write_text("mine = True\n")
    return tmp_path


def run(folder: Path, *command: str | Path) -> str:
    """What a command says that must succeed in ``folder``."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nobodys_path_gets_names_that_any_project_may_have(python: Path, tmp_path: Path) -> None:
    names = [*FINDER["PRIVATE"], "data", "install", "tests", "examples", "benchmarks"]
    code = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    assert run(tmp_path, python, "-c", code) == "[]\n"


def test_the_python_door_opens_beside_a_util_of_ones_own(python: Path, elsewhere: Path) -> None:
    code = """
import util, stages
import tcpe
from pathlib import Path
import huggingface, run_tcpe
from sae_training.train import train
from tcpe.config import EditConfig
assert util.mine and stages.mine and issubclass(tcpe.UserError, Exception) and callable(tcpe.EditRequest)
print(Path(EditConfig().edit_sequence_path).read_text()[:5])"""
    assert run(elsewhere, python, "-c", code) == "Error\n"


def test_modules_are_commands_in_any_folder(python: Path, elsewhere: Path) -> None:
    for module in ("d_running.unit_test", "tcpe.edits", "sae_training.train"):
        assert run(elsewhere, python, "-m", module, "--help").startswith("usage: ")


def test_the_command_runs_a_stage_in_any_folder(python: Path, elsewhere: Path) -> None:
    lines = (ROOT / "data/demo/test.csv").read_text().splitlines(keepends=True)
    (elsewhere / "functions.csv").write_text("".join(lines[:1]) + first_row(lines[1:]))
    flags = ["--originals_path", "functions.csv", "--output_file_path", "out", "--preKE_cluster_result", "out", "--container_workspace", "w"]
    said = run(elsewhere, python.with_name("tcpe"), "--MODEL_NAME", "reference", "--alg_name", "noKE", *flags)
    assert re.search(r"^accuracy +1\.0000", said, re.MULTILINE) and (elsewhere / "out" / "metrics.json").exists()


def first_row(lines: list[str]) -> str:
    """The lines of a CSV's first row, which may hold several."""
    row = ""
    for line in lines:
        row += line
        if row.count('"') % 2 == 0:
            return row
    raise AssertionError("no whole row")


def test_every_room_that_is_needed_is_installed() -> None:
    """Rooms that import each other are exposed or private, and private ones are imported in the way that the finder knows."""
    rooms = set(FINDER["EXPOSED"] + FINDER["PRIVATE"])
    for path in [ROOT / "run_tcpe.py", *(path for room in rooms for path in ROOT.glob(f"{room}/**/*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            whole = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            parts = [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in whole + parts:
                room = name.partition(".")[0]
                assert room in rooms or not (ROOT / room).is_dir(), f"{path} imports {room}, which is not installed"
                assert room not in FINDER["PRIVATE"] or (name in parts and "." in name), f"{path}: write from {name}.MODULE import NAME"


def needed() -> set[str]:
    """The installed packages that those of pyproject.toml need, themselves included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["dev"]]
    found: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        key = canonicalize_name(one.name), frozenset(one.extras)
        if key in found or OF_TORCH.match(one.name):
            continue
        found.add(key)
        assert not one.specifier or one.specifier.contains(version(one.name), prereleases=True), f"{one} and {version(one.name)}"
        for text in requires(one.name) or []:
            other = Requirement(text)
            if other.marker is None or any(other.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
                waiting.append(other)
    return {name for name, _ in found}


def test_the_lock_file_has_every_package_in_its_range() -> None:
    pins = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#"))
    locked = {canonicalize_name(name): pinned for name, pinned in pins.items()}
    assert needed() <= locked.keys()
    for name, pinned in locked.items():
        try:
            assert version(name).partition("+")[0] == pinned
        except PackageNotFoundError:
            continue  # of another platform
