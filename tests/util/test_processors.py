"""Work is shared among the processors that this process may use, not those that the machine has."""

import os

import pytest

from d_running import unit_test
from util.processors import processors


@pytest.mark.parametrize(("given", "expected"), [("", 3), ("2", 2), ("64", 3), ("0", 1), ("many", 3)])
def test_affinity_and_slurm_limit_them(monkeypatch, given, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 4, 7})
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", given)
    assert processors() == expected


def test_the_judge_takes_no_more(monkeypatch, tmp_path):
    taken = []
    monkeypatch.setattr(unit_test, "processors", lambda: 5)
    monkeypatch.setattr(unit_test, "_judge_all", lambda judging, programs, jobs, batch: taken.append(jobs) or iter(()))
    (tmp_path / "a.d").write_text("int f_filled(int n) { return n; }")
    sample = unit_test.Sample("a", "", "")
    with pytest.raises(KeyError):  # there is no verdict
        unit_test.run_unit_tests(tmp_path, [sample], tmp_path, unit_test.UnitTestConfig(plain_verdict=True, cache_dir=tmp_path))
    assert taken == [5]
