"""A sweep on one machine: the tasks of a sweep's file, several at a time; what is finished is not made again.

usage: python -m stages.sweep sweep.yaml --jobs 2       python -m stages.slurm does the same on a cluster
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from graphlib import TopologicalSorter
from threading import Lock

from stages.plan import Plan, Task, make_plan
from util.cli import ArgumentParser
from util.errors import UserError
from util.files import write_text
from util.lock import locked
from util.processors import processors
from util.progress import Progress

logger = logging.getLogger(__name__)

GRACE_SECONDS = 60
"""How long a task that is told to stop may take to save its state."""


class Runner:
    """Runs tasks of a plan as processes of this machine.

    Args:
        jobs: how many run at a time; they share the processors.
    """

    def __init__(self, plan: Plan, jobs: int) -> None:
        self._plan, self._jobs = plan, jobs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = Lock()
        self._stopped = False

    def run(self) -> dict[str, int]:
        """Run what is unfinished.

        Returns:
            The exit status of each task that was begun. What needs a task that failed is not begun.
        """
        plan = self._plan
        todo = {task.name: task for task in plan.unfinished()}
        graph = TopologicalSorter({name: [need for need in task.needs if need in todo] for name, task in todo.items()})
        graph.prepare()
        ended: dict[str, int] = {}
        with ThreadPoolExecutor(self._jobs) as pool, Progress(total=len(todo), desc="sweep", unit="task") as bar:
            running: dict[Future[int], str] = {}
            try:
                while graph.is_active():
                    running |= {pool.submit(self._run_task, todo[name]): name for name in graph.get_ready()}
                    if not running:
                        break  # what is left needs something that failed
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        name = running.pop(future)
                        ended[name] = future.result()
                        bar.update()
                        if ended[name] == 0:
                            graph.done(name)
            except BaseException:
                self._stop()
                pool.shutdown(cancel_futures=True)
                raise
        return ended

    def _run_task(self, task: Task) -> int:
        """Run one task to its end and write its exit status."""
        plan, start = self._plan, time.monotonic()
        log, status = plan.folder / task.log, plan.folder / task.status
        for path in (log, status):
            path.parent.mkdir(parents=True, exist_ok=True)
        status.unlink(missing_ok=True)
        threads = str(max(1, processors() // self._jobs))
        with tempfile.TemporaryDirectory(prefix="tcpe_") as temporary, open(log, "ab") as file:
            file.write(f"$ {task.command(sys.executable)}\n".encode("utf-8", "surrogateescape"))
            file.flush()
            environment = {"OMP_NUM_THREADS": threads, **os.environ, "TMPDIR": temporary}
            with self._lock:
                if self._stopped:
                    return 128 + signal.SIGTERM
                process = subprocess.Popen([sys.executable, *task.arguments], stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)
                self._running.add(process)
            code = process.wait()
            with self._lock:
                self._running.discard(process)
        code = code if code >= 0 else 128 - code
        write_text(status, f"{code}\n")
        took = time.monotonic() - start
        if code == 0:
            logger.info("%s: finished in %.0f s", task.name, took)
        else:
            logger.error("%s: failed with status %d after %.0f s: %s (%s)", task.name, code, took, plan.reason(task) or "no message", log)
        return code

    def _stop(self) -> None:
        """Tell all tasks to save their state and end."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))
                continue
            process.kill()


def describe(plan: Plan) -> str:
    """The tasks of a plan as text: a line for each, what it waits for, its state and its command."""
    lines = []
    for task in plan.tasks.values():
        waits = f" (waits for {', '.join(task.needs)})" if task.needs else ""
        lines.append(f"{task.name}{waits}: {plan.state(task)}\n    {task.command('python')}")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = ArgumentParser(prog="python -m stages.sweep", description=__doc__)
    parser.add_argument("sweep", metavar="SWEEP", help="a YAML or CSV file, one setting a line; docs/cluster.md has an example")
    parser.add_argument("--output_path", help="folder of everything; by default the file's output_path")
    parser.add_argument("--jobs", type=int, default=1, help="tasks at a time (default: 1)")
    parser.add_argument("--dry_run", action="store_true", help="show the tasks and run none")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        raise UserError(f"--jobs must be at least 1, not {arguments.jobs}.")
    plan = make_plan(arguments.sweep, arguments.output_path)
    if arguments.dry_run:
        sys.stdout.write(describe(plan))
        return 0
    with locked(plan.folder):
        plan.write()
        before = len(plan.unfinished())
        ended = Runner(plan, arguments.jobs).run()
    failed = [name for name, code in ended.items() if code]
    waiting = before - len(ended)
    sys.stdout.write(
        f"{len(plan.tasks)} tasks: {len(plan.tasks) - before} were finished, {len(ended) - len(failed)} are now, {len(failed)} failed, "
        f"{waiting} not begun, since they need these\n"
        f"the figures: python -m stages.collect {plan.folder}\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
