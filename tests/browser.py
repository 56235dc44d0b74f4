"""A real browser, where there is one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from explain.browser import headless_browser
from util.errors import UserError

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium, the system's own."""
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(headless_browser())
        except UserError as error:
            pytest.skip(str(error))
        yield browser


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a page in a window of a given width; at the end, no script may have complained, and nothing may have been fetched."""
    complaints: list[str] = []
    contexts = []

    def open(path: Path, width: int = 1280, scheme: str = "light", address: str = "") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda request: complaints.append(f"fetched {request.url}") if not request.url.startswith("file:") else None)

        def listen(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                complaints.append(message.text)

        page.on("console", listen)
        page.goto(f"{path.as_uri()}{address}")
        return page

    yield open
    for context in contexts:
        context.close()
    assert not complaints
