"""The requests of the real translator: where an error is found, and that the shipped rows can be read as they stand."""

import csv
import json
import sys

import pytest

from examples.functions import needs_collections
from examples.real_requests import CORRECTIONS, KIND, LAYER, REQUESTS, TRANSCODER, places
from huggingface.loaders import load_transcoder
from tcpe.request import load_request

FORMS = {
    "array": ("int[] a", "    int best[] = new int[n];", "    int", "[] best", " = new int[n];"),
    "cast": ("return (int) x;", "    return (int) x;", "    return", " cast(int)", " x;"),
    "length": ("int n = a.length;", "    int lo = 0, hi = a[0].length - 1;", "    int lo = 0, hi =", " cast(int) a[0].length", " - 1;"),
}


@pytest.mark.parametrize("error", CORRECTIONS)
def test_a_context_ends_where_right_and_wrong_part(error):
    java, wrong, before, right, rest = FORMS[error]
    context, subject = places(CORRECTIONS[error], f"{java}\n", f"int[] a;\n{wrong}\n")
    assert context == {"prompt": f"{java}\nint[] a;\n{before}", "target_new": right + rest}
    assert subject in java
    assert places(CORRECTIONS[error], f"{java}\n", before + right + rest) is None


def test_a_target_ends_before_the_error_comes_again():
    context, _ = places(CORRECTIONS["cast"], "(char) c\n", "    x = (char) a : (char) b;\n")
    assert context["target_new"] == " cast(char) a :"


@pytest.mark.parametrize("row", range(len(CORRECTIONS)))
@pytest.mark.parametrize("kind", [KIND, "MLP"])
def test_the_shipped_requests_are_of_development_functions_and_both_kinds(row, kind):
    request = load_request(REQUESTS, row, LAYER, kind)
    assert request.brief_description == list(CORRECTIONS.values())[row].brief_description
    assert len(request.contexts) >= 7 and request.target_clusters == []


def test_no_request_shows_a_test_function():
    from d_running.dataset import load_functions
    from d_running.java_text import natural_java
    from examples.corpus import BENCHMARK
    from examples.functions import part_of

    csv.field_size_limit(sys.maxsize)
    with open(REQUESTS, encoding="utf-8", newline="") as file:
        prompts = [
            text
            for row in csv.DictReader(file)
            for text in (row["prompt"].format(row["subject"]), *(context["prompt"] for context in json.loads(row["contexts"])))
        ]
    shown = [sample for sample in load_functions(BENCHMARK) if any(natural_java(sample.java).strip() in prompt for prompt in prompts)]
    assert len(shown) > 20 and {part_of(sample.name) for sample in shown} == {"training"}


def test_the_shipped_transcoder_is_one_of_the_edited_layer_and_small():
    transcoder = load_transcoder(TRANSCODER, LAYER)
    assert f"TC_ef{transcoder.n_features // transcoder.d_in}" == KIND
    assert sum(path.stat().st_size for path in TRANSCODER.iterdir()) < 30e6


def test_collections_are_told_by_their_names():
    assert needs_collections("int f(int[] a) { Map<Integer, Integer> m = new HashMap<>(); return m.size(); }")
    assert not needs_collections("int f(int[] a) { int bitmap = a.length; return Math.max(bitmap, 1); }")
