"""A request is read from its row, and a bad row is refused with a sentence that names the fault."""

import csv

import pytest

from tcpe.request import EditRequest, load_request
from util.errors import RequestError

HEADER = ["Error", "brief_description", "prompt", "subject", "target_new", "layer_4_TC"]
ROW = ["3", "C style cast", "f() {{ return{} x; }}", " (int)", " cast(int)", "4; 7"]


def write(path, header=HEADER, row=ROW):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, row])
    return path


def test_a_row_becomes_a_request(tmp_path):
    request = load_request(write(tmp_path / "r.csv", [*HEADER, "contexts"], [*ROW, '[{"prompt": "a {", "target_new": "b"}]']), 0, 4, "TC")
    assert request.around_subject() == ("f() { return", " x; }")
    assert (request.subject, request.target_new, request.target_clusters) == (" (int)", " cast(int)", ["4", "7"])
    assert request.contexts == [{"prompt": "a {", "target_new": "b"}]


@pytest.mark.parametrize("prompt", ["no place", "two {} {}", "a {name}", "lonely {", "lonely }", "{0}", "{!r} {}"])
def test_a_prompt_needs_exactly_one_place(prompt):
    with pytest.raises(RequestError, match=r"\{\}|format string"):
        EditRequest("3", "", prompt, "x", "y")


@pytest.mark.parametrize(
    ("header", "row", "index", "layer", "message"),
    [
        (HEADER, ROW, 1, 4, "--i 1 is out of range.* 1 edit requests"),
        (HEADER, ROW, -1, 4, "out of range"),
        (HEADER, ROW, 0, 5, "lacks layer_5_TC"),
        (HEADER[1:], ROW[1:], 0, 4, "lacks Error"),
        ([*HEADER, "contexts"], [*ROW, "[1]"], 0, 4, "JSON list of"),
        ([*HEADER, "contexts"], [*ROW, "{"], 0, 4, "not JSON"),
        (HEADER, [*ROW[:4], "", "4"], 0, 4, "empty target_new"),
    ],
)
def test_bad_files_are_refused(tmp_path, header, row, index, layer, message):
    with pytest.raises(RequestError, match=message):
        load_request(write(tmp_path / "r.csv", header, row), index, layer, "TC")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RequestError, match="--edit_sequence_path"):
        load_request(tmp_path / "none.csv", 0, 4, "TC")
