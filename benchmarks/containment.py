"""All hostile programs of the tests, judged in each mode: what passed, was lost, ran on, or did harm outside. It should all be none.

Run it as root and as another user: what a program can reach differs.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from d_running.config import UnitTestConfig
from d_running.dataset import Sample
from d_running.language_pairs import language_pair
from d_running.sandbox import choose_tier, probe_isolation
from d_running.unit_test import Result, run_unit_tests
from tests.d_running import hostile_python
from tests.d_running.hostile import AT_RUN_TIME, CHEATS, FAILS, HOSTILE, MAY_PASS, MAY_PASS_PLAIN, NEEDS_ISOLATION, ONE, RIGHT
from util.cli import ArgumentParser, run_main
from util.errors import UserError

MODES: dict[str, dict[str, Any]] = {
    "strict": {},
    "strict fast": {"fast_judge": True},
    "plain": {"plain_verdict": True},
    "plain fast": {"plain_verdict": True, "fast_judge": True},
    "python": {"language_pair": "java-python"},
}
HONEST = {f"honest{i}": (ONE, f"{RIGHT} // {i}") for i in range(20)}


def programs_of(mode: str, names: list[str]) -> dict[str, tuple[str, str]]:
    """The hostile programs, those among ``names`` if they are D, the cheats, and 20 right programs among them."""
    if mode == "python":
        honest = {name: (hostile_python.ONE, f"{hostile_python.RIGHT}# {name}\n") for name in HONEST}
        return honest | {name: (hostile_python.ONE, text) for name, text in hostile_python.AT_RUN_TIME.items()} | hostile_python.CHEATS
    return HONEST | {name: (ONE, HOSTILE[name]) for name in names} | CHEATS | FAILS


def judge_all(folder: Path, programs: dict[str, tuple[str, str]], options: dict[str, Any], jobs: int | None) -> list[Result]:
    """The results of the programs."""
    pair = language_pair(options.get("language_pair", "java-d"))
    (folder / "translations").mkdir(parents=True)
    for name, (_, translation) in programs.items():
        pair.file(folder / "translations", name).write_text(translation)
    samples = [Sample(name, "", program) for name, (program, _) in programs.items()]
    config = UnitTestConfig(folder / "cache", jobs, compile_limit=3, run_limit=1, **options)
    return run_unit_tests(folder / "translations", samples, folder / "out", config)


def processes() -> set[str]:
    """Who runs a compiler, a linker or a judged program now."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word in (b"../tools/runner", b"../tools/runner.py", b"translation", b"./translation.so", b"translation.d") for word in command):
            found.add(process.name)
    return found


def is_held(folder: Path) -> bool:
    """Whether a living process, another judge, holds the folder's lock (see `workplace.working_folder`)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def main() -> int:
    """Command line: ``python -m benchmarks.containment [--modes …] [--jobs …]``; exit code 1 if anything was not contained."""
    parser = ArgumentParser(prog="python -m benchmarks.containment", description=__doc__)
    parser.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES), help="by default all")
    parser.add_argument("--jobs", type=int, help="programs judged at a time; by default one per processor")
    arguments = parser.parse_args()
    tier, isolated = choose_tier(), probe_isolation()
    names = [name for name in HOSTILE if isolated or name not in NEEDS_ISOLATION]
    of_python = len(hostile_python.AT_RUN_TIME) + len(hostile_python.CHEATS)
    counts = f"{len(names)} hostile programs, {len(CHEATS) + len(FAILS)} cheats, {of_python} in Python"
    sys.stdout.write(f"{counts}; {tier}, {'isolated' if isolated else 'not isolated'}\n")
    failed = False
    for mode in arguments.modes:
        with tempfile.TemporaryDirectory() as scratch:
            before, temporary = processes(), set(Path(tempfile.gettempdir()).iterdir())
            witness = subprocess.Popen(["sleep", "100000"], start_new_session=True)
            try:
                results, said = judge_all(Path(scratch), programs_of(mode, names), MODES[mode], arguments.jobs), ""
            except UserError as error:
                results, said = [], str(error)
            harm = ["the witness was killed"] if witness.poll() is not None else []
            witness.kill()
            witness.wait()
            new = set(Path(tempfile.gettempdir()).iterdir()) - temporary
            harm += [str(path) for path in new if path.name.startswith(("d_running-", "d_running_left")) and not is_held(path)]
            orphans = processes() - before
            time.sleep(5 if orphans else 0)  # another judge's programs have ended then
            orphans &= processes()
        passed = [result.name for result in results if result.success and result.name not in HONEST]
        deceived = [name for name in passed if name not in (MAY_PASS_PLAIN if "plain" in mode else MAY_PASS)]
        lost = [result.name for result in results if result.error in ("Exception", "NotJudged") or (result.name in HONEST and not result.success)]
        vacuous = [result.name for result in results if mode != "python" and result.name in AT_RUN_TIME and result.error == "Compilation"]
        figures = {"false passes": deceived, "harm": harm, "orphans": sorted(orphans), "lost": lost + [said] * bool(said), "not compiled": vacuous}
        counts = ", ".join(f"{kind} {number}" for kind, number in Counter(result.error for result in results).most_common())
        sys.stdout.write(f"{mode:12}" + "; ".join(f"{len(found)} {what}" for what, found in figures.items()) + f" ({counts})\n")
        for what, found in figures.items():
            if found:
                failed = failed or what != "not compiled"
                sys.stdout.write(f"  {what}: {', '.join(found)}\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    run_main(main)
