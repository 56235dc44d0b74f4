"""Makes requirements.txt, the lock file: every package that pip installs for the ranges of pyproject.toml, with its version.

usage: python -m install.lock             keeps the versions of the lock file that is there, and adds what it lacks
       python -m install.lock --upgrade   takes the newest that the ranges allow
"""

import json
import re
import subprocess
import sys

from util.cli import ArgumentParser, run_main
from util.errors import UserError
from util.files import ROOT, write_text

LOCK = ROOT / "requirements.txt"
OF_TORCH = re.compile(r"nvidia-|cuda-|triton")
"""Packages that a CUDA build of torch names with their exact versions, and a CPU build does not need."""

HEAD = """\
# The lock file: every package with its version, as tests run with them; pyproject.toml has the ranges. Made by `python -m install.lock`.
# What a CUDA build of torch needs beside it comes with it, in versions that torch names; a CPU build fits as well.
"""


def lock(upgrade: bool) -> str:
    """The content of the lock file.

    Args:
        upgrade: forget the versions that it has now.

    Raises:
        UserError: if pip finds no versions that go together, or cannot reach its index.
    """
    # The lock must not depend on what an isolated build needs today.
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-build-isolation", "--quiet", "--report", "-"]
    done = subprocess.run([*command, *([] if upgrade else ["-c", str(LOCK)]), f"{ROOT}[dev]"], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["ERROR: it ended without a word"]
        raise UserError(f"pip finds no versions for the ranges of pyproject.toml ({said[0].removeprefix('ERROR: ')}); mend a range, or --upgrade.")
    found = [package["metadata"] for package in json.loads(done.stdout)["install"]]
    names = {package["name"]: package["version"].partition("+")[0] for package in found if package["name"] != "tcpe"}
    return HEAD + "".join(f"{name}=={names[name]}\n" for name in sorted(names, key=str.lower) if not OF_TORCH.match(name))


def main() -> None:
    parser = ArgumentParser(prog="python -m install.lock", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that the ranges allow")
    write_text(LOCK, lock(parser.parse_args().upgrade))


if __name__ == "__main__":
    run_main(main)
