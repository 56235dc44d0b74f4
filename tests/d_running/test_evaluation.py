import json
from dataclasses import asdict

import pytest

from d_running.cluster import Clustering
from d_running.evaluation import evaluate
from d_running.unit_test import Result
from util.errors import BenchmarkError


def clustering(groups, correct, compiler=""):
    """One sample a group, ten tests each."""
    results = [
        Result(f"S{i}.d", group == "Success", "No" if group == "Success" else "Compilation", "", right, 10)
        for i, (group, right) in enumerate(zip(groups, correct, strict=True))
    ]
    return Clustering(results, groups, compiler)


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


def test_clusterings_of_other_samples_or_compilers_are_refused():
    with pytest.raises(BenchmarkError, match="1 only before .S7"):
        evaluate(BEFORE, clustering(AFTER.groups[:-1], [0] * 7), ["0"])
    old, new = clustering(["0"], [0], "LDC 1"), clustering(["0"], [0], "LDC 2")
    with pytest.raises(BenchmarkError, match="LDC 1, after with LDC 2"):
        evaluate(old, new, [])
    assert evaluate(old, new, [], allow_version_change=True).samples == 1
