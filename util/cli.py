"""What every command does the same: flags and their help, logging, one clear sentence for a user's mistake, exit codes."""

import argparse
import difflib
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from util.errors import UserError
from util.logs import LogHandler, close_bars
from util.packages import missing_package
from util.signals import Terminated, end_on_signals
from util.version import VERSION

# Read when torch is imported, which commands do later. Without it, torch's idle threads spin, and on a busy machine with few cores
# small models then run ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HELP_WIDTH = 120


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wide lines, the description as it is written, and a flag's value as VALUE where its choices would fill a line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=min(HELP_WIDTH, shutil.get_terminal_size().columns - 2))


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser whose complaints are errors like all others, without the usage in front.

    Flags are written out (no abbreviations), a mistyped one is answered with the one that is meant, and all that are missing are named at
    once. Each command has ``--version``.

    Args:
        examples: whole commands, which end the help.
    """

    def __init__(self, *, examples: str = "", **options: Any) -> None:
        defaults: dict[str, Any] = {"formatter_class": _HelpFormatter, "allow_abbrev": False}
        super().__init__(**defaults | options, epilog=f"examples:\n{examples.rstrip()}" if examples else None)
        self.add_argument("--version", action="version", version=f"TCPE {VERSION}", help="print the version and end")

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; --help lists all flags.")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As `argparse.ArgumentParser.parse_args`.

        Raises:
            UserError: for arguments that are unknown, naming what may be meant.
        """
        given = list(sys.argv[1:] if args is None else args)
        if mistyped := self._mistyped(given[: given.index("--")] if "--" in given else given):
            raise UserError(f"{', '.join(mistyped)}; --help lists all flags.")
        return super().parse_args(given, namespace)

    def _mistyped(self, given: list[str]) -> list[str]:
        """The long flags in ``given`` that neither this command nor its subcommand has, each with what may be meant."""
        subcommands = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        parsers = [self, *(choices[word] for choices in subcommands for word in given[:1] if word in choices)]
        known = sorted({flag for parser in parsers for flag in parser._option_string_actions})
        said = []
        for flag in (text.partition("=")[0] for text in given if text.startswith("--")):
            if flag not in known:
                close = difflib.get_close_matches(flag, known, n=1) or [name for name in known if name.startswith(flag)][:1]
                said.append(f"unrecognized flag {flag}" + (f" (did you mean {close[0]}?)" if close else ""))
        return said


def run_main(main: Callable[[], int | None], continues: bool = False) -> NoReturn:
    """Run a command's ``main`` and exit: 0 or its return value, 2 after a ``UserError``, 130 after Ctrl-C, 143 after SIGTERM, 138
    after SIGUSR1, by which clusters announce the end of a job's time.

    Args:
        continues: whether the same command goes on where it was stopped.

    A signal ends the command as Ctrl-C does, so that whatever holds a temporary folder or a child process lets go of it.
    """
    logging.basicConfig(level=logging.INFO, handlers=[LogHandler()])
    # torch quietens itself, but only at the end of an import that a signal may cut short.
    for chatty in ("torch", "httpx", "httpx2", "filelock", "urllib3", "datasets", "huggingface_hub"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    end_on_signals()
    further = "; the same command continues" if continues else ""
    try:
        code = _without_bars(main)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        code = 2
    except ModuleNotFoundError as error:
        sentence = missing_package(error)
        if sentence is None:
            raise  # a module of our own that is not there is no user's mistake
        sys.stderr.write(sentence)
        code = 2
    except Terminated as ended:
        sys.stderr.write(f"terminated{further}\n")
        code = 128 + ended.number
    except KeyboardInterrupt:
        sys.stderr.write(f"stopped{further}\n")
        code = 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of the output has gone, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    sys.exit(code)


def _without_bars(main: Callable[[], int | None]) -> int | None:
    """``main``, behind which no bar is left on the terminal, however it ends."""
    try:
        return main()
    finally:
        close_bars()
