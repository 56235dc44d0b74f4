"""The pages that runs leave: a run is whole without its page, so what goes wrong there is said and stops nothing."""

import logging
from pathlib import Path

from explain.report import write_report
from util.errors import UserError

logger = logging.getLogger(__name__)


def leave_report(folder: Path) -> Path | None:
    """Write ``report.html`` for the run in ``folder``, or for the runs below it; None where that fails, which the log explains."""
    try:
        return write_report(folder)
    except UserError as error:
        logger.warning("There is no page of %s: %s When that is mended, python -m explain.report %s writes it.", folder, error, folder)
    except Exception:
        logger.exception("The page of %s could not be written; everything else of it is there.", folder)
    return None
