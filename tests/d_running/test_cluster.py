import random
import sys
import types

import numpy as np
import pytest
import torch

from d_running.cluster import align, cluster_results, nearest_cluster, read_clustering, write_clustering
from d_running.embedding import load_embedder
from d_running.unit_test import Result
from util.errors import BenchmarkError, UserError

EMBED = load_embedder("builtin", 8)
CAST, LENGTH = "C style cast illegal, use `cast(int)%s`", "cannot implicitly convert expression `%s.length` of type `ulong` to `int`"
BOUNDS = "core.exception.ArrayIndexError@translation.d(%d): index [%d] is out of bounds for array of length %d"
ARRAY, IDENTIFIER = "instead of C-style syntax, use D-style `%s`", "undefined identifier `%s`"


def failure(name, text):
    return Result(f"{name}.d", False, "Compilation", f"translation.d(7): Error: {text}\ntranslation.d(9): Error: more", 0, 0)


RESULTS = [
    failure("a", CAST % "sum"),
    failure("b", ARRAY % "int[] dp"),
    failure("c", CAST % "(a + b)"),
    failure("d", IDENTIFIER % "Integer"),
    failure("e", IDENTIFIER % "Math"),
    failure("f", ARRAY % "long[][] memo"),
    Result("g.d", True, "No", "", 10, 10),
    Result("h.d", False, "Correctness", "9 of 10 tests passed", 9, 10),
    Result("i.d", False, "RuntimeError", BOUNDS % (6, 1, 1), 0, 0),
    Result("j.d", False, "RuntimeError", BOUNDS % (9, 20, 12), 0, 0),
]
GROUPS = ["0", "1", "0", "2", "3", "1", "Success", "Correctness", "4", "4"]


@pytest.mark.parametrize(
    ("template", "one", "other", "alike"),
    [
        (CAST, "sum", "(a + b)", True),
        (LENGTH, "s", "arr", True),
        (ARRAY, "int[] dp", "long[][] memo", True),
        (IDENTIFIER, "Integer", "Math", False),
        ("cannot implicitly convert expression `x` of type `%s` to `int`", "ulong", "double", False),
    ],
)
def test_builtin_embedding_weighs_the_error_more_than_the_sample(template, one, other, alike):
    rows = EMBED([template % one, template % other])
    assert rows.dtype == np.float32 and np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert (rows[0] @ rows[1] > 0.9) == alike


def test_embedders_embed_no_text_twice(monkeypatch):
    seen = []
    monkeypatch.setattr("d_running.embedding._hashed", lambda text, _: seen.append(text) or np.ones(1, np.float32))
    embed = load_embedder("builtin", 8)
    embed(["a", "b", "a"])
    assert embed(["c", "a"]).shape == (2, 1)
    assert seen == ["a", "b", "c"]


class MissingModel:
    def __init__(self, name, **_):
        raise OSError(f"{name} is not a local folder\nand much more")


class FoundModel:
    """Two tokens a text, the first of which says its length."""

    def __init__(self, *_, **__):
        self.max_seq_length = 512

    def encode(self, texts, **_):
        assert self.max_seq_length == 8
        return [torch.tensor([[3.0 * len(text), 4.0 * len(text)], [0.0, 1.0]]) for text in texts]


def test_models_are_pooled_at_their_first_token_and_missing_ones_named(monkeypatch):
    module = types.ModuleType("sentence_transformers")
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    module.SentenceTransformer = MissingModel
    with pytest.raises(UserError, match="Cannot load the embedding model some/model .some/model is not a local folder.;"):
        load_embedder("some/model", 8)
    module.SentenceTransformer = FoundModel
    assert np.allclose(load_embedder("some/model", 8)(["a", "bb"]), [[0.6, 0.8], [0.6, 0.8]])


def test_clusters_do_not_depend_on_the_order_of_results():
    for seed in range(5):
        shuffled = random.Random(seed).sample(RESULTS, len(RESULTS))
        clustering = cluster_results(shuffled, EMBED)
        assert (clustering.results, clustering.groups) == (RESULTS, GROUPS)


def naive_leader_clusters(messages, threshold):
    """KECode's leader clustering, message by message."""
    rows = EMBED(messages)
    labels, opened = [None] * len(messages), 0
    for i in range(len(messages)):
        if labels[i] is None:
            for j in range(i, len(messages)):
                if j == i or float(rows[i] @ rows[j]) > threshold:
                    labels[j] = str(opened)
            opened += 1
    return labels


def test_leader_clustering_agrees_with_the_naive_reading():
    words = ["undefined", "identifier", "property", "missing", "cast", "illegal", "array", "bounds", "`x`", "`y`"]
    chance = random.Random(0)
    messages = [" ".join(chance.choices(words, k=4)) for _ in range(200)]
    results = [failure(f"{index:03}", message) for index, message in enumerate(messages)]
    assert cluster_results(results, EMBED, 0.7).groups == naive_leader_clusters(["Error: " + message for message in messages], 0.7)


def test_a_clustering_is_read_as_it_was_written(tmp_path):
    clustering = cluster_results(RESULTS, EMBED, compiler="LDC 1")
    write_clustering(clustering, tmp_path)
    for path in (tmp_path, tmp_path / "cluster.json", tmp_path / "cluster.csv"):
        assert read_clustering(path) == clustering
    with pytest.raises(BenchmarkError, match="Cannot read the clustering"):
        read_clustering(tmp_path / "none")
    (tmp_path / "cluster.csv").write_text("path,group\na.d,0\n")
    with pytest.raises(BenchmarkError, match="is not a clustering"):
        read_clustering(tmp_path)


def test_new_clusters_take_the_old_names():
    before = cluster_results(RESULTS, EMBED)
    assert align(before, before, EMBED) == before
    changed = [
        failure("a", LENGTH % "s"),  # new words: the next free number
        failure("b", IDENTIFIER % "Math"),  # now the first of its cluster
        failure("c", CAST % "x"),
        *RESULTS[3:],
    ]
    after = align(cluster_results(changed, EMBED), before, EMBED)
    assert after.groups == ["5", "3", "0", "2", "3", "1", "Success", "Correctness", "4", "4"]


def test_nearest_cluster_of_a_message():
    before = cluster_results(RESULTS, EMBED)
    assert nearest_cluster(before, "Error: " + CAST % "y", EMBED) == "0"
    assert nearest_cluster(before, "Error: something else entirely", EMBED) is None
