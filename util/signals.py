"""Signals that end a command: as Ctrl-C does, at once, or where it can be continued best."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGTERM, signal.SIGUSR1)
"""Clusters announce the end of a job's time by one of them."""


class Terminated(KeyboardInterrupt):
    """One of ``ENDING`` came. A KeyboardInterrupt, since libraries let that one through where they catch all exceptions.

    Attributes:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def end_on_signals() -> None:
    """From now on the signals raise ``Terminated`` in the main thread."""
    for number in ENDING:
        signal.signal(number, _terminate)


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    raise Terminated(number)


class Deferred:
    """Signals to end that have come, and wait."""

    def __init__(self) -> None:
        self._number: int | None = None

    def __bool__(self) -> bool:
        return self._number is not None

    def hold(self, number: int, _frame: FrameType | None) -> None:
        """The handler that makes a signal wait."""
        self._number = number

    def act(self) -> None:
        """Raise ``Terminated`` if a signal waits."""
        if self._number is not None:
            _terminate(self._number, None)


@contextmanager
def deferred() -> Iterator[Deferred]:
    """While open, the signals of a command wait until ``act`` is called, or the end; those of a program of another's are left as they are."""
    waiting = Deferred()
    if threading.current_thread() is not threading.main_thread():
        yield waiting
        return
    ours = [number for number in ENDING if signal.getsignal(number) is _terminate]
    for number in ours:
        signal.signal(number, waiting.hold)
    try:
        yield waiting
    finally:
        if not waiting:
            for number in ours:
                signal.signal(number, _terminate)
    waiting.act()
