"""The notebook runs from its first cell to its last, and what it shows is what its cells give."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "notebooks/walkthrough.ipynb"
NUMBER = re.compile(r"[-+]?\d+\.\d+(?:e[-+]?\d+)?")


def printed(notebook: nbformat.NotebookNode) -> list[str]:
    """What each cell prints."""
    cells = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(output.text for output in outputs if output.output_type == "stream") for outputs in cells]


@pytest.mark.slow
def test_the_walkthrough_runs_and_shows_what_it_gives() -> None:
    stored = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(stored)
    assert NOTEBOOK.stat().st_size < 500_000 and str(ROOT) not in NOTEBOOK.read_text(encoding="utf-8")
    run = nbformat.read(NOTEBOOK, as_version=4)
    for cell in run.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(run, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    assert len(printed(run)) > 10
    for before, now in zip(printed(stored), printed(run), strict=True):
        # Another machine may round otherwise.
        assert NUMBER.sub("#", now) == NUMBER.sub("#", before)
        assert [float(one) for one in NUMBER.findall(now)] == pytest.approx([float(one) for one in NUMBER.findall(before)], rel=0.02, abs=0.02)
