"""What every command does the same: logging, one clear sentence for a user's mistake, exit codes."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from util.errors import UserError

# Read when torch is imported, which commands do later. Without it, torch's idle threads spin, and on a busy machine with few cores
# small models then run ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser whose complaints are errors like all others, without the usage in front."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; --help lists all flags.")


def run_main(main: Callable[[], int | None]) -> NoReturn:
    """Run a command's ``main`` and exit: 0 or its return value, 2 after a ``UserError``, 130 after Ctrl-C, 143 after SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    for chatty in ("httpx", "filelock", "urllib3", "datasets"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = main()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        code = 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command continues\n")
        code = 130
    except _Terminated:
        sys.stderr.write("terminated; the same command continues\n")
        code = 143
    sys.exit(code)


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that what is open is closed and temporary folders are removed."""


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated
