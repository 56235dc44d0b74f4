"""Differential tests of the reference translator: Java functions and their translations must give the same."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from d_running.harness import IMPORTS
from d_running.java_to_d import translate_java

SNIPPETS = dict(re.findall(r"^// (.+)\n((?:(?!// ).*\n)+)", Path(__file__).with_name("reference_snippets.java").read_text(), re.MULTILINE))
MARK = "--result--"


def run(folder: Path, *commands: list[str]) -> list[str]:
    """The results that the last command prints, one for each snippet."""
    for command in commands:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr or done.stdout
    return [part.partition("\n")[0] for part in done.stdout.split(MARK)[1:]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """What each snippet gives in Java and in D: one call of each compiler for all."""
    folder = tmp_path_factory.mktemp("snippets")
    classes, modules, calls_in_java, calls_in_d = [], [], [], []
    for index, java in enumerate(SNIPPETS.values()):
        methods = re.sub(r"^(?!static|private)(?=\S.*solution)", "static ", java, flags=re.MULTILINE)
        classes.append(f"class S{index} {{\n{methods}}}\n")
        calls_in_java.append(f'System.out.println("{MARK}" + S{index}.solution());')
        modules.append(f"s{index}.d")
        (folder / modules[-1]).write_text(f"module s{index};\n{IMPORTS}\n{translate_java(java)}\n")
        calls_in_d.append(f'try writeln("{MARK}", s{index}.solution()); catch (Throwable error) writeln("{MARK}", error.msg);')
    main = f"public class Main {{\npublic static void main(String[] arguments) {{\n{chr(10).join(calls_in_java)}\n}}\n}}\n"
    (folder / "Main.java").write_text("import java.util.*;\n" + "".join(classes) + main)
    imports = "".join(f"static import s{index};\n" for index in range(len(SNIPPETS)))
    (folder / "main.d").write_text(f"import std.stdio;\n{imports}void main() {{\n{chr(10).join(calls_in_d)}\n}}\n")
    java = run(folder, ["javac", "-nowarn", "-encoding", "UTF-8", "Main.java"], ["java", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "Main"])
    d = run(folder, ["ldc2", "-O0", "-of=main", "main.d", *modules], ["./main"])
    return {name: pair for name, *pair in zip(SNIPPETS, java, d, strict=True)}


@pytest.mark.skipif(not (shutil.which("javac") and shutil.which("ldc2")), reason="needs javac and ldc2")
@pytest.mark.parametrize("name", SNIPPETS)
def test_java_and_d_give_the_same(name: str, results: dict[str, tuple[str, str]]) -> None:
    java, d = results[name]
    assert d == java
