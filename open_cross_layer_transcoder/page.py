"""One page of all pictures in a folder."""

from base64 import b64encode
from html import escape
from pathlib import Path

from util.files import write_text

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
figure {{ margin: 2rem 0 }}
img {{ max-width: 100%; border: 1px solid #ddd }}
figcaption {{ font-weight: 600 }}
pre {{ white-space: pre-wrap; background: #f6f6f6; padding: .7rem }}
</style></head><body><h1>{title}</h1>{text}{figures}</body></html>
"""


def write_page(folder: Path, title: str = "Cross-layer transcoder", notes: str = "") -> Path:
    """Write ``index.html`` with every PNG in ``folder``, which it holds itself, and ``notes`` before them.

    Returns:
        Where it is.

    Raises:
        UserError: if it cannot be written.
    """
    figures = [
        f'<figure><figcaption>{escape(path.stem.replace("_", " "))}</figcaption>'
        f'<img alt="{escape(path.stem)}" src="data:image/png;base64,{b64encode(path.read_bytes()).decode()}"></figure>'
        for path in sorted(folder.glob("*.png"))
    ]
    text = f"<pre>{escape(notes)}</pre>" if notes else ""
    write_text(folder / "index.html", _PAGE.format(title=escape(title), text=text, figures="\n".join(figures)))
    return folder / "index.html"
