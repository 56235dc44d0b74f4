"""The D compiler: found, identified, and called so that one file costs little."""

import functools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from d_running.config import DEFAULT_COMPILER
from d_running.harness import RUNNER_SOURCE, VALUES_SOURCE
from util.errors import UserError

SOURCE_NAME = "translation.d"
"""Every sample is compiled under this name, in a folder of its own: messages name no temporary path, and any ID will do."""
LIBRARY_NAME = "translation.so"
_OBJECT_NAME = "translation.o"
TOOLS = "../tools"
"""Where a command finds the files of its `Toolchain`, from the folder that it runs in."""

# Many small page faults are a fifth of a compilation; glibc can ask for large pages.
BUILD_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=67108864:glibc.malloc.mmap_threshold=1073741824"}

_GDC_LOCATION = re.compile(r"^(?P<file>[^\s:]+\.di?):(?P<line>\d+)(?::\d+)?: (?P<kind>error|note): ", re.MULTILINE)
_LDC_REGISTRATION = re.compile(r"/\S*/ldc_rt\.dso\.o(?:bj)?")
_GDC_TOOL = re.compile(r"^(?P<tool>\w+): error: ", re.MULTILINE)
_GDC_OBJECT = re.compile(r"(?<!\S)/\S*/cc\w{6}\.o\b")
_GDC_MARKS = {"error": "Error: ", "note": "       "}


@dataclass(frozen=True)
class _Kind:
    """How one kind of D compiler is called and recognised.

    Attributes:
        versions: what its ``--version`` says.
        flags: of every compilation.
        check: to compile without output, for the messages alone.
        to_object: to compile to an object that a shared library can take.
        all_errors: to stop only at the end.
        progress: to say on standard output which module it is at.
        output: the flag in front of the output's name.
        shared_runtime: to link with the shared runtime and library.
    """

    name: str
    versions: re.Pattern[str]
    flags: tuple[str, ...]
    check: tuple[str, ...]
    to_object: tuple[str, ...]
    all_errors: tuple[str, ...]
    progress: tuple[str, ...]
    output: str
    shared_runtime: tuple[str, ...]


_KINDS = (
    _Kind(
        "LDC",
        re.compile(r"\((?P<version>[\w.-]+)\):\s+based on DMD v(?P<front_end>[\w.-]+)"),
        flags=("-O0",),
        check=("-o-",),
        to_object=("-relocation-model=pic", "-c"),
        all_errors=("-verrors=0",),
        progress=("-v",),
        output="-of=",
        shared_runtime=("-link-defaultlib-shared", "-L--no-as-needed", "-L--export-dynamic", "-v"),
    ),
    _Kind(
        "DMD",
        re.compile(r"DMD\d* D Compiler v(?P<version>(?P<front_end>[\w.-]+))"),
        flags=(),
        check=("-o-",),
        to_object=("-fPIC", "-c"),
        all_errors=("-verrors=0",),
        progress=("-v",),
        output="-of=",
        shared_runtime=("-fPIC", "-defaultlib=libphobos2.so", "-L--no-as-needed", "-L--export-dynamic"),
    ),
    _Kind(
        "GDC",
        re.compile(r"\bgdc\b.* (?P<version>(?P<front_end>\d+\.\d+[\w.]*))"),
        flags=("-O0", "-fno-diagnostics-show-caret", "-fdiagnostics-color=never"),
        check=("-fsyntax-only",),
        to_object=("-fPIC", "-c"),
        all_errors=(),
        progress=(),
        output="-o",
        shared_runtime=("-shared-libphobos", "-Wl,--no-as-needed", "-Wl,--export-dynamic"),
    ),
)


@dataclass(frozen=True)
class Compiler:
    """A D compiler on this machine.

    Attributes:
        path: of its executable.
        version: such as "LDC 1.30.0".
        front_end: the version of the front end, which words the messages.
    """

    path: str
    version: str
    front_end: str

    @property
    def _kind(self) -> _Kind:
        return next(kind for kind in _KINDS if self.version.startswith(kind.name))

    @property
    def flags(self) -> list[str]:
        """The flags that can change a verdict."""
        return list(self._kind.flags)

    @property
    def home(self) -> Path:
        """The folder that the compiler and its libraries lie in: what is above its ``bin``, and above DMD's ``linux``."""
        home = Path(self.path).resolve().parent.parent
        return home.parent if home.name == "linux" else home

    @property
    def files(self) -> list[str]:
        """The folders of its own that it reads, beside the system's."""
        return [] if str(self.home) in ("/", "/usr", "/usr/local") else [str(self.home)]

    def check_command(self) -> list[str]:
        """Compile without output, for the messages alone."""
        return [self.path, *self._kind.flags, *self._kind.check, SOURCE_NAME]

    def compile_command(self, sources: Sequence[str] = (SOURCE_NAME,)) -> list[str]:
        """Compile to one object; linking apart keeps a ``pragma(lib, …)`` of the source from reaching the linker."""
        flags = [*self._kind.flags, *self._kind.to_object, f"-I{TOOLS}"]
        if len(sources) > 1:
            flags += [*self._kind.all_errors, *self._kind.progress]
        return [self.path, *flags, f"{self._kind.output}{_OBJECT_NAME}", *sources]

    def plain_command(self) -> list[str]:
        """Compile and link to an executable as anybody would."""
        return [self.path, *self._kind.flags, f"{self._kind.output}translation", SOURCE_NAME]

    def runner_command(self, program: Path) -> list[str]:
        """Compile and link `runner`, and say with which files where the compiler can."""
        return [self.path, *self._kind.shared_runtime, f"{self._kind.output}{program}", str(RUNNER_SOURCE)]

    def worded_alike(self, messages: str) -> str:
        """Messages with their places in the DMD front end's own form ``file(line): Error: …`` and no temporary names; the words stay."""
        if not self.version.startswith("GDC"):
            return messages
        messages = _GDC_OBJECT.sub(_OBJECT_NAME, messages)
        messages = _GDC_LOCATION.sub(lambda found: f"{found['file']}({found['line']}): {_GDC_MARKS[found['kind']]}", messages)
        return _GDC_TOOL.sub(r"\g<tool>: Error: ", messages)


@functools.cache
def find_compiler(name: str = DEFAULT_COMPILER) -> Compiler:
    """The D compiler ``name`` of the search path, or at that path: an LDC, DMD or GDC.

    Raises:
        UserError: if there is none, or it does not run.
    """
    path = shutil.which(name)
    if path is None:
        install = "install LDC (Debian and Ubuntu: apt install ldc; elsewhere: https://dlang.org/install.html)"
        raise UserError(f"No D compiler found: {install}, or name another one than {name} with --d_compiler.")
    text = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace", check=False).stdout
    for kind in _KINDS:
        if versions := kind.versions.search(text):
            return Compiler(path, f"{kind.name} {versions['version']}", versions["front_end"])
    raise UserError(f"{path} --version does not say a version of LDC, DMD or GDC but {text[:80]!r}; install it again or name another one.")


class Toolchain:
    """What a compiler's programs are linked with and run by.

    A program becomes a shared library that names no other: the linker reads nothing but the program's own object, which takes a
    tenth of the time of a whole link. The precompiled `runner` has the D runtime and library loaded, and loads it.

    Attributes:
        link_command: links the object that `Compiler.compile_command` makes to ``LIBRARY_NAME``.
        runner: the compiled `runner`, in `TOOLS`.
        libraries: the files and folders that it needs to run.
    """

    runner = f"{TOOLS}/runner"

    def __init__(self, compiler: Compiler, folder: Path) -> None:
        """Make what belongs into `TOOLS` in ``folder``.

        Raises:
            UserError: if there is no linker, or the compiler cannot compile and link a program.
        """
        linker = shutil.which("ld")
        if linker is None:
            raise UserError("The linker ld is missing; install binutils (Debian and Ubuntu: apt install binutils).")
        runner = folder / "runner"
        said = _call(compiler.runner_command(runner))
        (folder / "exported.map").write_text("{ global: _Dmain; kecode_*; local: *; };\n")
        shutil.copy(VALUES_SOURCE, folder)
        flags = ["-shared", "--eh-frame-hdr", f"--version-script={TOOLS}/exported.map"]
        if registration := _LDC_REGISTRATION.search(said):  # LDC's own link drops what is never called, and adds this object
            flags += ["--gc-sections", registration.group()]
        self.link_command = [linker, *flags, "-o", LIBRARY_NAME, _OBJECT_NAME]
        loaded = _call([str(runner)], {"LD_TRACE_LOADED_OBJECTS": "1"})
        paths = {os.path.realpath(word) for word in loaded.split() if word.startswith("/")}
        self.libraries = sorted({str(Path(path).parent) for path in paths})
        for path in (folder, *folder.iterdir()):  # commands may run as another user
            path.chmod(0o755)


def _call(command: list[str], environment: dict[str, str] | None = None) -> str:
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise UserError(f"The D compiler cannot build a program of its own ({shlex.join(command)}): {done.stderr.strip()[:300]}")
    return done.stdout + done.stderr
