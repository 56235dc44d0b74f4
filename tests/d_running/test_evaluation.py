import json
from dataclasses import asdict, replace

import pytest

from d_running import evaluation
from d_running.cluster import Clustering, align, write_clustering
from d_running.embedding import load_embedder
from d_running.evaluation import evaluate
from d_running.unit_test import Result
from util.errors import BenchmarkError


def clustering(groups, correct, **made_with):
    """One sample a group, ten tests each."""
    results = [
        Result(f"S{i}.d", group == "Success", "No" if group == "Success" else "Compilation", "", right, 10)
        for i, (group, right) in enumerate(zip(groups, correct, strict=True))
    ]
    return Clustering(results, groups, made_with)


BEFORE = clustering(["0", "0", "0", "1", "Success", "Success", "Correctness", "2"], [0, 0, 0, 0, 10, 10, 4, 0])
AFTER = clustering(["Success", "Success", "0", "0", "Success", "Correctness", "Correctness", "2"], [10, 10, 0, 0, 10, 7, 4, 0])


def test_metrics_by_hand():
    metrics = evaluate(BEFORE, AFTER, ["0"])
    assert metrics.accuracy_of_target_cluster == 2 / 3
    assert metrics.change_of_target_cluster == 2 / 3
    assert metrics.specificity == 3 / 5
    assert metrics.destructiveness == 1 / 2
    assert (metrics.overall_accuracy_before, metrics.overall_accuracy_after, metrics.overall_accuracy_destroy) == (2 / 8, 3 / 8, 3 / 2)
    assert metrics.reliability == 17 / 20
    assert (metrics.samples, metrics.targets, metrics.targets_after, metrics.successes_before, metrics.successes_after) == (8, 3, 2, 2, 3)


def test_shares_of_nothing_are_none_and_json():
    failing = clustering(["0", "1"], [0, 0])
    metrics = evaluate(failing, failing, [])
    assert metrics.accuracy_of_target_cluster is metrics.reliability is metrics.destructiveness is None
    assert json.loads(json.dumps(asdict(metrics)))["specificity"] == 1


def test_reliability_needs_counts():
    uncounted = replace(AFTER, results=[replace(result, correct=0, total=0) for result in AFTER.results])
    assert evaluate(BEFORE, uncounted, ["0"]).reliability is None
    assert evaluate(BEFORE, uncounted, ["0"]).destructiveness == 1 / 2


def test_clusterings_of_other_samples_are_refused():
    with pytest.raises(BenchmarkError, match="1 only before .S7"):
        evaluate(BEFORE, clustering(AFTER.groups[:-1], [0] * 7), ["0"])


def test_unknown_targets_are_refused_with_the_clusters_that_there_are():
    with pytest.raises(BenchmarkError, match=r"no cluster 7, Sucess; its clusters are 0 \(3 samples\), 1 \(1 samples\), 2 .*Success"):
        evaluate(BEFORE, AFTER, ["0", "7", "Sucess"])
    assert evaluate(BEFORE, AFTER, ["Correctness"]).targets == 1


SETTINGS = {"compiler": "LDC 1", "embedding_model": "builtin", "max_length": 8, "threshold": 0.9, "model": "a", "model_digest": "12345678x"}
OTHER = {
    "compiler": ({"compiler": "LDC 2"}, "compiler LDC 1 before and LDC 2 after"),
    "embedding": ({"embedding_model": "mini"}, "embedding_model builtin before and mini after"),
    "two": ({"max_length": 4, "threshold": 0.8}, "max_length 8 before and 4 after, threshold 0.9 before and 0.8 after"),
    "model": ({"model": "b", "model_digest": "abcdefghx"}, r"model a \(12345678\) before and b \(abcdefgh\) after"),
}


@pytest.mark.parametrize("other", OTHER)
def test_clusterings_made_with_something_else_are_refused(other):
    change, message = OTHER[other]
    old, new = clustering(["0"], [0], **SETTINGS), clustering(["0"], [0], **{**SETTINGS, **change})
    with pytest.raises(BenchmarkError, match=message):
        evaluate(old, new, [])
    assert evaluate(old, new, [], allow_version_change=True).samples == 1


def test_what_is_not_known_and_another_name_of_the_same_model_do_not_matter():
    old = clustering(["0"], [0], **SETTINGS)
    for made_with in ({}, {"threshold": 0.9}, SETTINGS | {"model": "moved/a", "names_from": "x"}):
        assert evaluate(old, clustering(["0"], [0], **made_with), []).samples == 1


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["evaluation", *map(str, arguments)])
    evaluation.main()


def test_command_line(tmp_path, monkeypatch, capsys):
    embed = load_embedder("builtin", 8)
    before, after = replace(BEFORE, made_with=SETTINGS), replace(AFTER, made_with=SETTINGS)
    write_clustering(before, tmp_path / "before")
    write_clustering(after, tmp_path / "after")
    with pytest.raises(BenchmarkError, match="have not taken the names of this clustering"):
        run(monkeypatch, tmp_path / "before", tmp_path / "after")
    write_clustering(replace(align(after, before, embed), groups=AFTER.groups), tmp_path / "after")
    run(monkeypatch, tmp_path / "before", tmp_path / "after/cluster.csv", "--target_clusters", "0", "--output_path", tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written == {"target_clusters": ["0"]} | asdict(evaluate(BEFORE, AFTER, ["0"]))
    assert "accuracy_of_target_cluster    0.6667" in capsys.readouterr().out
    (tmp_path / "after/cluster_info.json").unlink()  # another tool's: taken at its word
    run(monkeypatch, tmp_path / "before", tmp_path / "after")
