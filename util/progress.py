"""How far a long step is: a bar on a terminal, and a line every few seconds where there is none."""

import io
import logging
import sys
import threading
from collections.abc import Iterable
from typing import Any, ClassVar

from tqdm import tqdm

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 15.0


class Progress(tqdm):  # type: ignore[type-arg]  # its stubs are generic, itself it is not
    """tqdm's bar with all its arguments; where stderr is no terminal it is a log line every 15 seconds, also if nothing is done meanwhile.

    Of bars within one another only the innermost says lines.
    """

    _speaking: ClassVar[list["Progress"]] = []

    def __init__(self, iterable: Iterable[Any] | None = None, **options: Any) -> None:
        self._closed = threading.Event()
        options.setdefault("leave", None)  # a bar within another one goes when it ends, or the next line would be written over it
        if sys.stderr.isatty():
            super().__init__(iterable, **options)
            return
        super().__init__(iterable, **options, file=io.StringIO())
        self._speaking.append(self)
        threading.Thread(target=self._speak, daemon=True).start()

    def _speak(self) -> None:
        while not self._closed.wait(SECONDS_BETWEEN_LINES):
            if self._speaking and self._speaking[-1] is self:
                logger.info("%s", self.line())

    def line(self) -> str:
        """What is done, of how much, and the time left as far as the pace so far tells it."""
        state = self.format_dict
        done, total, elapsed = state["n"], state["total"], state["elapsed"]
        gained = done - state["initial"]
        of = f" of {total}" if total is not None else ""
        unit = "" if state["unit"] == "it" else f" {state['unit'].strip()}"
        left = f", {self.format_interval(elapsed * (total - done) / gained)} left" if total is not None and gained > 0 else ""
        postfix = f", {state['postfix']}" if state["postfix"] else ""
        return f"{state['prefix'].removesuffix(': ') or 'progress'}: {done}{of}{unit}, {self.format_interval(elapsed)} so far{left}{postfix}"

    def close(self) -> None:
        """End the bar, and the lines."""
        self._closed.set()
        self._speaking[:] = [other for other in self._speaking if other is not self]  # tqdm's == compares places on the screen
        super().close()
