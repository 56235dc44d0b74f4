"""The report in a real browser: a flow is clicked, a diff is seen, hostile texts do nothing, the keyboard is enough."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from explain.report import write_report
from tests.browser import Open
from tests.explain.runs import MESSAGE, OTHER, WRONG, Runs

HOSTILE_D = "int f_filled(int n) {\n    // </script><img src=x onerror=\"document.title='hurt'\">\n    return Math;\n}\n"
HOSTILE_MESSAGE = "translation.d(2): Error: <img src=x onerror=\"document.title='hurt'\"> `{a|b}` <b>bold</b>" + " very long" * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain of a noKE run and two edits; the second moves one function to a hostile failure and breaks another."""
    runs = Runs(tmp_path_factory.mktemp("runs"), 8)
    runs.run("good/TCPE_pre", {})
    runs.run("hostile/TCPE_pre", {runs.names[0]: (HOSTILE_D, HOSTILE_MESSAGE), runs.names[1]: (WRONG, MESSAGE), runs.names[7]: (HOSTILE_D, OTHER)})
    write_report(runs.root)
    write_report(runs.root / "hostile/TCPE_pre")
    write_report(runs.before)
    return runs.root


def flow(page: Page, key: str) -> None:
    """Choose a flow in the list."""
    page.locator(f'.flows button[data-flow="{key}"]').click()


def test_a_flow_in_the_picture_shows_its_functions_and_their_diff(folder: Path, open_page: Open) -> None:
    page = open_page(folder / "report.html", address="#run=good/TCPE_pre&flow=Success>Success")
    expect(page.locator(".names button")).to_have_count(4)
    box = page.locator("#flow").bounding_box()
    assert box is not None
    # The band from the failures, which are above, to the successes: right of its beginning, where it is alone.
    page.mouse.click(box["x"] + 355, box["y"] + 40)
    expect(page.locator("#details h2")).to_have_text("C style cast illegal, use `cast(int)n` → passes")
    expect(page.locator(".names button")).to_have_text(["F000", "F001", "F002", "F003"])
    expect(page.locator(".diff .removed")).to_have_text("    return (int) n;", use_inner_text=False)
    expect(page.locator(".diff .added mark")).to_have_text("cast")
    expect(page.locator(".messages pre")).to_have_text(MESSAGE)
    assert "flow=0%3ESuccess" in page.url, "the address leads back to what is shown"


def test_a_run_is_chosen_in_the_table(folder: Path, open_page: Open) -> None:
    page = open_page(folder / "report.html")
    page.locator(".overview button").first.click()
    expect(page.locator(".lead").last).to_have_text("50.0 % of 8 functions compile and pass; the others fail in 1 cluster.")
    page.locator(".overview button").nth(1).click()
    expect(page.locator(".tiles .value").nth(1)).to_have_text("100.0 %")


def test_hostile_texts_do_nothing(folder: Path, open_page: Open) -> None:
    page = open_page(folder / "hostile/TCPE_pre/report.html")
    title = page.title()
    for key in ("0>1", "0>0", "Success>2", "0>Success"):
        flow(page, key)
        page.locator("#details h2").wait_for()
    flow(page, "0>1")
    expect(page.locator(".diff")).to_contain_text("</script><img src=x")
    expect(page.locator(".messages pre").last).to_contain_text("<b>bold</b>")
    page.locator("#flow").hover(position={"x": 640, "y": 60})
    page.locator("#clusters").hover(position={"x": 380, "y": 20})
    assert page.locator("img").count() == 0 and page.locator(".messages b").count() == 0
    assert page.title() == title


def test_the_keyboard_is_enough(folder: Path, open_page: Open) -> None:
    page = open_page(folder / "report.html", address="#run=good/TCPE_pre")
    page.locator(".flows button").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#details h2")).to_have_text("passes → passes")
    page.locator(".names button").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#function h3")).to_have_text("F005")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "F006"
    page.keyboard.press("Enter")
    expect(page.locator("#function h3")).to_have_text("F006")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
@pytest.mark.parametrize("name", ["report.html", "hostile/TCPE_pre/report.html", "before/report.html"])
def test_it_is_readable_wide_and_narrow_in_light_and_dark(folder: Path, open_page: Open, name: str, width: int, scheme: str) -> None:
    page = open_page(folder / name, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page is not wider than the window"
    text, background = (page.evaluate(f"getComputedStyle(document.documentElement).{side}") for side in ("color", "backgroundColor"))
    assert contrast(text, background) > 7
    muted = page.evaluate("getComputedStyle(document.querySelector('.muted')).color")
    assert contrast(muted, background) > 4.5
    labels = page.locator("#flow svg text, #clusters svg text").evaluate_all(
        "texts => texts.map(text => text.getBoundingClientRect()).filter(box => box.width).map(({x, y, width, height}) => [x, y, width, height])"
    )
    assert labels
    for x, _, label_width, _ in labels:
        assert x >= -1 and x + label_width <= width + 1, "no label is cut off"
    for index, one in enumerate(labels):
        assert not any(overlap(one, other) for other in labels[index + 1 :]), "no labels overlap"


def overlap(one: list[float], other: list[float]) -> bool:
    """Whether two boxes share more than their borders."""
    return all(min(one[i] + one[i + 2], other[i] + other[i + 2]) - max(one[i], other[i]) > 2 for i in (0, 1))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, as WCAG 2 defines it."""
    first, second = sorted((luminance(one), luminance(other)))
    return (second + 0.05) / (first + 0.05)


def luminance(colour: str) -> float:
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_kinds_of_flow_can_be_told_apart_without_seeing_red_or_green(folder: Path, open_page: Open) -> None:
    """By the protanopia and deuteranopia matrices of Machado et al. 2009 at full severity; and each has a sign and a word besides."""
    for scheme in ("light", "dark"):
        page = open_page(folder / "report.html", scheme=scheme)
        shown = page.locator(".legend .swatch").evaluate_all("all => all.slice(0, 4).map(one => getComputedStyle(one).backgroundColor)")
        for matrix in MATRICES:
            seen = [[sum(m * c for m, c in zip(row, channels(one))) for row in matrix] for one in shown]
            for index, one in enumerate(seen):
                for other in seen[index + 1 :]:
                    assert sum((a - b) ** 2 for a, b in zip(one, other)) ** 0.5 > 0.15
        expect(page.locator(".legend").first).to_contain_text("✓ repaired")


MATRICES = [
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
]


def channels(colour: str) -> list[float]:
    """Linear red, green and blue."""
    return [(int(value) / 255) ** 2.2 for value in re.findall(r"\d+", colour)[:3]]
