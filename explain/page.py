"""One self-contained page of HTML: data as JSON, the drawing library and the page's own script in it, nothing fetched from elsewhere."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from util.files import write_text

ASSETS = Path(__file__).parent / "assets"
ECHARTS = "echarts/echarts.min.js"
"""Apache ECharts 6.1.0, its own build with all charts, as it is published."""

_SURROGATES = re.compile("[\ud800-\udfff]")


def write_page(path: str | Path, title: str, script: str | Sequence[str], data: Any) -> None:
    """Write a page that opens offline.

    What comes from models, compilers and users reaches the page as JSON only, in which no tag can begin, and its scripts enter it as text.
    No script but the page's own can run, and nothing can be fetched: the page's policy says so to the browser.

    Args:
        title: of the window.
        script: the page's own, a file of ``assets`` without its suffix, or several in their order.
        data: JSON values, which the script draws; the same values give the same bytes.

    Raises:
        UserError: if the file cannot be written; an earlier page is then as it was.
    """
    own = [script] if isinstance(script, str) else script
    scripts = [(ASSETS / name).read_text(encoding="utf-8") for name in (ECHARTS, "page.js", *(f"{one}.js" for one in own))]
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {' '.join(map(_hash_of, scripts))}"
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{html.escape(printable(title))}</title>",
        f"<style>\n{(ASSETS / 'page.css').read_text(encoding='utf-8')}</style>",
        "</head>",
        "<body>",
        '<main id="page"><noscript>This page draws itself and needs JavaScript, which is switched off here.</noscript></main>',
        f'<script type="application/json" id="data">{_as_json(data)}</script>',
        *(f"<script>{text}</script>" for text in scripts),
        "</body>",
        "</html>\n",
    ]
    write_text(path, "\n".join(parts))


def printable(text: str) -> str:
    """``text`` with the replacement character for bytes that were no UTF-8, which are kept as surrogates elsewhere."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def _as_json(data: Any) -> str:
    """``data`` as JSON in which no tag begins or ends."""
    return printable(json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))).replace("<", "\\u003c")


def _hash_of(script: str) -> str:
    """The script as a page's policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
