"""One Python translation judged: its tests run in the sandbox by an interpreter of its own, and what it sends compared here."""

import functools
import json
import shutil
import sys
import sysconfig
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from d_running.execution import Verdict, verdict_of_run
from d_running.harness import FUNCTION_NAME
from d_running.python_target.harness import MARKER, RUNNER_SOURCE, Tests, read_tests, render_test_program
from d_running.sandbox import Command, Launcher, Tier, Trouble, hand_over
from d_running.words import faithful_words, printable
from d_running.workplace import Workplaces, check_room
from util.errors import UserError

_GIB = 1 << 30
_WALL_FACTOR = 4
_LONGEST_VALUE = (1 << 20) + (1 << 10)
_FLAGS = ["-s", "-P", "-S", "-B", "-W", "ignore"]
"""No packages but Python's own, nothing written, no warnings; not -I, since it would draw another order for sets of texts on every run."""
_CONTROL = render_test_program("int", ["int"], [[1]], [2]), f"def {FUNCTION_NAME}(n):\n    return n + 1\n"


@functools.cache
def interpreter() -> tuple[str, list[str]]:
    """The interpreter that judges, which is the one that runs this, and the files that it needs."""
    executable = str(Path(sys.executable).resolve())
    paths = sysconfig.get_paths(vars={"base": sys.base_prefix, "platbase": sys.base_prefix, "installed_base": sys.base_prefix})
    names = [sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")]
    library = [str(Path(*names))] if all(names) and sysconfig.get_config_var("Py_ENABLE_SHARED") else []
    return executable, list(dict.fromkeys([executable, paths["stdlib"], paths["platstdlib"], *library]))


class PythonJudge:
    """Judges Python functions in one sandbox tier (see `language_pairs.Judging`)."""

    def __init__(self, tier: Tier, jobs: int, run_limit: int) -> None:
        """``run_limit`` is seconds of processor time."""
        self._tier, self._jobs, self._run_limit = tier, jobs, run_limit
        self._executable, self._files = interpreter()

    def __enter__(self) -> Self:
        """Start up, and judge a right program.

        Raises:
            UserError: if that fails.
        """
        try:
            with ExitStack() as stack:
                self._workplaces = stack.enter_context(Workplaces(self._tier, self._jobs, self._prepare))
                verdict = self.judge(*_CONTROL)
                if verdict.error != "No":
                    raise Trouble(f"a right program does not pass, {verdict.description}")
                self._stack = stack.pop_all()
        except (Trouble, OSError) as error:
            raise UserError(f"Nothing can be judged here: {error}.") from error
        return self

    def _prepare(self, tools: Path) -> list[str]:
        shutil.copy(RUNNER_SOURCE, tools)
        for path in (tools, *tools.iterdir()):  # commands may run as another user
            path.chmod(0o755)
        return self._files

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def stop(self) -> None:
        """End what runs now, from any thread; nothing can be judged afterwards."""
        self._workplaces.stop()

    def judge_together(self, programs: dict[str, tuple[str, str]]) -> dict[str, Verdict]:  # noqa: ARG002
        """Nothing: there is no compilation to share."""
        return {}

    def judge(self, test_program: str, function: str) -> Verdict:
        """Run the tests of ``function``.

        Raises:
            Trouble: if the judge itself fails.
        """
        tests = read_tests(test_program)
        # As many lines in front as in the plain program, so that messages name its lines.
        source = "\n" * test_program.partition(MARKER)[0].count("\n") + function
        job = {"source": source, "name": FUNCTION_NAME, "inputs": tests.inputs, "sends_result": tests.sends_result, "arguments": tests.arguments}
        with self._workplaces.place() as (launcher, folder):
            check_room(folder)
            (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
            hand_over(folder / "job.json")
            return self._run(launcher, folder, tests)

    def _run(self, launcher: Launcher, folder: Path, tests: Tests) -> Verdict:
        tools = str(folder.parent / "tools")
        command = Command(
            [self._executable, *_FLAGS, f"../tools/{RUNNER_SOURCE.name}"],
            str(folder),
            self._run_limit,
            self._run_limit * _WALL_FACTOR,
            memory_bytes=2 * _GIB,
            verdict_bytes=min(1 << 26, tests.total * len(tests.expected) * _LONGEST_VALUE),
            readable=[*self._files, tools, str(folder)],
            environment={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
        )
        outcome = launcher.run(command)
        said = outcome.errors
        for path in (str(folder), launcher.inside(str(folder))):
            said = said.replace(f"{path}/", "").replace(path, ".")
        for path in self._files:
            said = said.replace(path, Path(path).name)
        said = faithful_words(printable(said))
        if outcome.exit_code == 1 and outcome.verdict == "does not compile\n" and not outcome.stopped_by:
            return Verdict("Compilation", said or "Error: it does not compile")
        return verdict_of_run(outcome, (tests.passed(outcome.verdict), tests.total), self._run_limit, self._tier, said)
