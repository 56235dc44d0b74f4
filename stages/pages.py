"""The pages that runs leave: a run is whole without its page, so what goes wrong there is said and stops nothing."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from explain.report import write_report
from util.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)


def leave_report(folder: Path) -> Path | None:
    """Write ``report.html`` for the run in ``folder``, or for the runs below it; None where that fails, which the log explains."""
    return _left(lambda: write_report(folder), folder, "explain.report")


def leave_neurons(folder: Path, model_and_tokenizer: "tuple[PreTrainedModel, PreTrainedTokenizerFast]") -> Path | None:
    """Write ``neurons.html`` for the edit of the run in ``folder``; None where that fails, which the log explains.

    Args:
        model_and_tokenizer: the run's model, without its transcoder.
    """
    from explain.neurons import write_neurons

    return _left(lambda: write_neurons(str(folder), model_and_tokenizer=model_and_tokenizer), folder, "explain.neurons")


def _left(write: Callable[[], Path], folder: Path, module: str) -> Path | None:
    """The page that ``write`` leaves."""
    try:
        return write()
    except UserError as error:
        logger.warning("There is no page of %s: %s When that is mended, python -m %s %s writes it.", folder, error, module, folder)
    except Exception:
        logger.exception("The page of %s could not be written; everything else of it is there.", folder)
    return None
