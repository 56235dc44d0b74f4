"""The log lines of a command on stderr: above the bars, and what is the same for every stage once."""

import logging
import sys

ONCE = {"once": True}
"""As ``extra`` of a log call: what it says is said once in a process."""


def close_bars() -> None:
    """Take tqdm's bars off the terminal, so that what is written last stands by itself."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        for bar in list(getattr(tqdm, "_instances", ())):
            bar.leave = False
            bar.close()


class LogHandler(logging.Handler):
    """Writes records to stderr without cutting through tqdm's bars; of equal ones with ``ONCE`` the first."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        from tqdm import tqdm  # only now, so that help need not wait for it

        if getattr(record, "once", False):
            if record.getMessage() in self._said:
                return
            self._said.add(record.getMessage())
        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)
