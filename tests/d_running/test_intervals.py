"""Figures sample by sample add up to those of `evaluate`, and the bootstrap agrees with a naive one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from d_running.cluster import Clustering
from d_running.evaluation import evaluate
from d_running.intervals import DRAWS, intervals, shares
from d_running.unit_test import Result

GROUPS = st.sampled_from(["0", "1", "Correctness", "Success"])


def clustering(groups: list[str]) -> Clustering:
    results = [Result(f"F{i:02}.d", group == "Success", "No", "", 4 if group == "Success" else 1, 4) for i, group in enumerate(groups)]
    return Clustering(results, groups)


@given(st.lists(st.tuples(GROUPS, GROUPS), min_size=3, max_size=12))
@settings(max_examples=25, deadline=None)
def test_the_mean_of_one_run_is_its_figure(moves: list[tuple[str, str]]) -> None:
    before, after = (clustering(list(groups)) for groups in zip(*moves))
    targets = [name for name in ("0",) if name in before.members]
    measured = evaluate(before, after, targets)
    found = intervals([shares(before, after, targets)])
    for name, interval in found.items():
        exact = getattr(measured, name)
        assert (interval.mean is None and exact is None) or abs(interval.mean - exact) < 1e-12


def test_the_interval_is_that_of_drawn_samples() -> None:
    before = clustering(["0", "0", "0", "Success", "Success", "1"] * 10)
    runs = [shares(before, clustering(groups * 10), ["0"]) for groups in (["Success", "0", "0", "Success", "1", "1"], ["Success"] * 6)]
    found = intervals(runs, seed=3)["accuracy_of_target_cluster"]
    draws, generator = [], np.random.default_rng(7)
    for _ in range(DRAWS):
        picked = generator.integers(60, size=60)
        parts = [run["accuracy_of_target_cluster"] for run in runs]
        draws.append(np.mean([share.parts[picked].sum() / share.wholes[picked].sum() for share in parts]))
    assert abs(found.mean - 2 / 3) < 1e-12 and found.runs == 2
    assert np.allclose([found.low, found.high], np.percentile(draws, [2.5, 97.5]), atol=0.02)
