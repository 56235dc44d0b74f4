import shutil
from pathlib import Path

import pytest

from d_running.compiler import Compiler, find_compiler
from d_running.execution import Judge
from d_running.sandbox import probe_tier
from tests.d_running.test_unit_test import HONEST, ONE
from util.errors import UserError

# DMD's command line on LDC: what a machine without DMD can test of it.
DMD = """#!/bin/sh
[ "$1" = --version ] && { echo "DMD64 D Compiler v2.100.1"; exit; }
for word; do
    shift
    [ "$word" = -defaultlib=libphobos2.so ] && word=-link-defaultlib-shared
    set -- "$@" "$word"
done
exec ldmd2 "$@"
"""
NAMES = ["right", "texts", "wrong", "cast", "throws", "two", "none"]


@pytest.fixture(params=["gdc", "dmd"])
def other_compiler(request, tmp_path):
    if request.param == "gdc":
        if not shutil.which("gdc"):
            pytest.skip("needs the D compiler gdc")
        return find_compiler("gdc")
    if not shutil.which("ldmd2"):
        pytest.skip("needs ldmd2")
    script = Path("/usr/bin/dmd") if shutil.which("dmd") else tmp_path / "bin" / "dmd"
    if not script.exists():
        script.parent.mkdir()
        script.write_text(DMD)
        script.chmod(0o755)
    return find_compiler(str(script))


def test_other_compilers_judge_alike(other_compiler):
    programs = {name: HONEST[name][:2] for name in NAMES}
    with Judge(other_compiler, probe_tier(), 1, 10, 2) as judge:
        alone = {name: judge.judge(*program) for name, program in programs.items()}
        together = judge.judge_together(programs)
        unlinkable = judge.judge(ONE, HONEST["unlinkable"][1])
    assert {name: verdict.error for name, verdict in alone.items()} == {name: HONEST[name][2] for name in NAMES}
    assert together == {name: alone[name] for name in together} and "right" in together
    assert alone["cast"].description.startswith("translation.d(7): Error: C style cast illegal, use ")
    assert "undefined reference to" in unlinkable.description and "/tmp" not in unlinkable.description


def test_versions_are_read(tmp_path):
    script = tmp_path / "compiler"
    for text, version, front_end in [
        ("LDC - the LLVM D compiler (1.30.0):\n  based on DMD v2.100.1 and LLVM 14.0.6", "LDC 1.30.0", "2.100.1"),
        ("DMD64 D Compiler v2.105.3-beta.1\nCopyright", "DMD 2.105.3-beta.1", "2.105.3-beta.1"),
        ("gdc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright", "GDC 12.2.0", "12.2.0"),
    ]:
        script.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        script.chmod(0o755)
        find_compiler.cache_clear()
        assert find_compiler(str(script)) == Compiler(str(script), version, front_end)
    script.write_text("#!/bin/sh\necho clang\n")
    find_compiler.cache_clear()
    with pytest.raises(UserError, match="does not say a version of LDC, DMD or GDC but 'clang"):
        find_compiler(str(script))


def test_gdc_messages_get_the_common_form():
    said = (
        "translation.d:7:5: error: undefined identifier 'x'\n"
        "translation.d:9: note: candidates are\ncollect2: error: ld returned 1 exit status\n"
        "/usr/bin/ld: /tmp/d_x/ccab12CD.o: in function `f'"
    )
    assert Compiler("gdc", "GDC 12.2.0", "12.2.0").worded_alike(said) == (
        "translation.d(7): Error: undefined identifier 'x'\n"
        "translation.d(9):        candidates are\ncollect2: Error: ld returned 1 exit status\n"
        "/usr/bin/ld: translation.o: in function `f'"
    )
    assert Compiler("ldc2", "LDC 1.30.0", "2.100.1").worded_alike(said) == said
