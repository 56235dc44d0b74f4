"""The system's own Chromium, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from util.errors import UserError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def headless_browser() -> "Iterator[Browser]":
    """A browser for pages of our own, while open.

    Raises:
        UserError: if there is none, or it does not start.
    """
    from playwright.sync_api import Error, sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise UserError("There is no Chromium here; install your system's package 'chromium'.")
    with sync_playwright() as playwright:
        try:
            # The browser's own sandbox does not start for root; these pages load nothing, and hold no code of others.
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            raise UserError(f"{path} does not start ({error.message.partition(chr(10))[0]}); install another Chromium.") from error
        try:
            yield browser
        finally:
            browser.close()
