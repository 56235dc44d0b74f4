"""The README's pictures of pages, taken again from what ``make demo`` and ``transcoder_circuits.edit_circuit`` left.

usage: python -m explain.pictures        writes report.png, neurons.png and graph.png into docs/pictures
"""

import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

from explain.browser import headless_browser
from util.cli import ArgumentParser
from util.errors import UserError
from util.files import check_writable, write_atomically

WIDTH, MARGIN = 1280, 16


class Picture(NamedTuple):
    """A part of a page.

    Attributes:
        name: of the file.
        page: below the folder of the runs; behind ``#`` what it is to show.
        first, last: selectors of the elements that the picture begins and ends with.
        left_by: the command that writes the page.
    """

    name: str
    page: str
    first: str
    last: str
    left_by: str = "make demo"


PICTURES = (
    Picture("report.png", "report.html#run=length/TCPE", "main > h2", "#details"),
    Picture("neurons.png", "length/TCPE/neurons.html", ".kicker", ".card"),
    Picture("graph.png", "length/TCPE/graph.html", ".kicker", "svg.graph", "python -m transcoder_circuits.edit_circuit RUN --transcoders … --graph"),
)


def take_pictures(runs: Path, output: Path) -> list[Path]:
    """Write the pictures of the demo's pages below ``runs``.

    Raises:
        UserError: if a page or a browser is missing, or the pictures cannot be written; earlier ones are then as they were.
    """
    for picture in PICTURES:
        if not (needed := runs / picture.page.partition("#")[0]).is_file():
            raise UserError(f"There is no page {needed}; {picture.left_by} leaves it.")
    check_writable(output)
    written = []
    with headless_browser() as browser:
        for picture in PICTURES:
            file, _, address = picture.page.partition("#")
            page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
            page.goto(f"{(runs / file).resolve().as_uri()}#{address}")
            top, bottom = page.locator(picture.first).first.bounding_box(), page.locator(picture.last).first.bounding_box()
            assert top is not None and bottom is not None
            y = max(0, top["y"] - MARGIN)
            image = page.screenshot(full_page=True, clip={"x": 0, "y": y, "width": WIDTH, "height": bottom["y"] + bottom["height"] + MARGIN - y})
            page.close()
            write_atomically(output / picture.name, partial(_write, image))
            written.append(output / picture.name)
    return written


def _write(image: bytes, path: Path) -> None:
    path.write_bytes(image)


def main() -> None:
    parser = ArgumentParser(prog="python -m explain.pictures", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/demo/default"), help="what make demo left (default: %(default)s)")
    parser.add_argument("--output_path", type=Path, default=Path("docs/pictures"), help="folder of the pictures (default: %(default)s)")
    arguments = parser.parse_args()
    sys.stdout.write("".join(f"{path}\n" for path in take_pictures(arguments.runs, arguments.output_path)))


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
