"""What pip installs: the rooms in a folder of their own, and the finder that exposes them (see `install.tcpe_rooms`)."""

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = ("data/demo", "data/edit_requests.csv", "slurm")


class BuildHook(BuildHookInterface[BuilderConfig]):
    """Names the files of a wheel. For an editable installation the folder of the rooms is the repository itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See `hatchling.builders.hooks.plugin.interface.BuildHookInterface`."""
        root, finder = Path(self.root), Path(self.root, "install", "tcpe_rooms.py")
        rooms = runpy.run_path(str(finder))
        self._folder = tempfile.TemporaryDirectory()
        start = Path(self._folder.name, "tcpe_rooms.pth")
        where = repr(str(root)) if version == "editable" else ""
        start.write_text(f"import tcpe_rooms; tcpe_rooms.expose({where})\n", encoding="utf-8")
        files = {str(start): start.name, str(finder): finder.name}
        if version == "editable":
            build_data["force_include_editable"] = files
            return
        names = [name if (root / name).is_dir() else f"{name}.py" for name in rooms["EXPOSED"] + rooms["PRIVATE"]]
        build_data["force_include"] = files | {str(root / name): f"{rooms['HOUSE']}/{name}" for name in (*names, *SHIPPED)}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was written for the wheel."""
        self._folder.cleanup()
