"""How much memory a job takes, its child processes included."""

import threading
from types import TracebackType

import psutil

INTERVAL_SECONDS = 0.1


class PeakMemory:
    """While open, watches this process and all that it started.

    The kernel's own figure for children (``ru_maxrss``) counts the parent's memory again for every process that it starts.

    Attributes:
        mebibytes: the largest sum of resident memory seen so far.
    """

    def __init__(self) -> None:
        self.mebibytes = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        root = psutil.Process()
        while not self._done.wait(INTERVAL_SECONDS):
            total = 0
            for process in [root, *root.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.mebibytes = max(self.mebibytes, total / 2**20)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
