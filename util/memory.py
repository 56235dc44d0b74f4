"""How much memory a job takes, its child processes included, and what to say when there is too little."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import psutil

from util.errors import EditError

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


@contextmanager
def out_of_memory_explained() -> Iterator[None]:
    """While open, running out of memory while an edit is computed, on a GPU or not, is an ``EditError``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # PyTorch has a type for a full GPU only.
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in ("out of memory", "can't allocate memory")):
            raise
        raise EditError(
            f"Out of memory ({str(error).partition(chr(10))[0]}); use --dtype bfloat16, fewer contexts (--context_template_length_params) or "
            "a --device with more memory."
        ) from error
