"""The D compiler: found, identified, and called so that one file costs little."""

import functools
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from d_running.harness import VERDICT_SOURCE
from util.errors import UserError

SOURCE_NAME = "translation.d"
"""Every sample is compiled under this name, in a folder of its own: messages name no temporary path, and any ID will do."""
_OBJECT_NAME, _PROGRAM_NAME = "translation.o", "translation"
_FLAGS = ["-O0"]
_VERSIONS = re.compile(r"\((?P<version>[\w.]+)\):\s+based on DMD v(?P<front_end>[\w.]+)")


@dataclass(frozen=True)
class Compiler:
    """An LDC on this machine.

    Attributes:
        path: of its executable.
        version: such as "LDC 1.30.0".
        front_end: the version of the DMD front end, which words the messages.
    """

    path: str
    version: str
    front_end: str

    @property
    def flags(self) -> list[str]:
        """The flags that can change a verdict."""
        return list(_FLAGS)

    def check_command(self) -> list[str]:
        """Compile without output, for the messages alone."""
        return [self.path, *_FLAGS, "-o-", SOURCE_NAME]

    def compile_command(self) -> list[str]:
        """Compile to an object; linking apart keeps a ``pragma(lib, …)`` of the source from reaching the linker."""
        return [self.path, *_FLAGS, "-c", f"-of={_OBJECT_NAME}", SOURCE_NAME]


@functools.cache
def find_compiler() -> Compiler:
    """The LDC in the search path.

    Raises:
        UserError: if there is none, or it does not run.
    """
    path = shutil.which("ldc2")
    if path is None:
        raise UserError("No D compiler found: install LDC (Debian and Ubuntu: apt install ldc; elsewhere: https://dlang.org/install.html).")
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    versions = _VERSIONS.search(text)
    if versions is None:
        raise UserError(f"{path} --version does not say an LDC version but {text[:80]!r}; install LDC again.")
    return Compiler(path, f"LDC {versions['version']}", versions["front_end"])


class Linker:
    """Links objects with the precompiled verdict, by the command that LDC itself would use.

    Asking LDC once for that command saves its start for every sample; mold is used where it is installed.
    """

    def __init__(self, compiler: Compiler, folder: Path) -> None:
        """Compile the verdict into ``folder`` and learn the link command.

        Raises:
            UserError: if LDC cannot compile and link a trivial program.
        """
        verdict = folder / "verdict.o"
        _call([compiler.path, "-O2", "-betterC", "-c", f"-of={verdict}", str(VERDICT_SOURCE)])
        mold = ["-linker=mold"] if shutil.which("mold") else []
        with tempfile.TemporaryDirectory(dir=folder) as trial:
            (Path(trial) / SOURCE_NAME).write_text("void main() {}\n")
            _call(compiler.compile_command(), trial)
            report = _call([compiler.path, "-v", *mold, f"-of={_PROGRAM_NAME}", _OBJECT_NAME, str(verdict)], trial)
        lines = [shlex.split(line) for line in report.splitlines() if _OBJECT_NAME in line and str(verdict) in line]
        self.command = lines[-1] if lines else [compiler.path, *mold, f"-of={_PROGRAM_NAME}", _OBJECT_NAME, str(verdict)]
        self.program = f"./{_PROGRAM_NAME}"


def _call(command: list[str], folder: str | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"The D compiler cannot build a trivial program ({shlex.join(command)}): {done.stderr.strip()[:300]}")
    return done.stdout + done.stderr
