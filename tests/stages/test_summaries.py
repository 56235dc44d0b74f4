"""What a chain runs for its summary, without running it."""

from pathlib import Path

from stages.chain import Chain

METRICS = dict.fromkeys(
    (
        *("samples", "accuracy", "targets", "accuracy_of_target_cluster", "change_of_target_cluster", "specificity", "destructiveness"),
        *("reliability", "overall_accuracy_before", "overall_accuracy_after", "columns"),
    ),
    1,
)


class Recorded(Chain):
    """Notes each stage instead of running it."""

    def stage(self, name, alg_name, **flags):
        self.stages = [*getattr(self, "stages", []), (name, alg_name, flags)]
        return METRICS


def test_each_edit_has_its_own_decay_alone_and_together():
    chain = Recorded(Path("runs/nowhere"), {"lim": "10%"}, None, None)
    summary = chain.summary(["one", "two"], {"ROME": [METRICS, METRICS]}, [0.5, 2.0])
    assert list(summary["families"]["two"]) == ["targets", "ROME", "TCPE_pre", "TCPE", "ablation"]
    assert chain.stages[2] == ("one/TCPE", "TCPE", {"i": 0, "upd_decay": 0.5})
    assert chain.stages[6] == ("two/ablation", "TCPE", {"i": 1, "abla_exp": True, "upd_decay": 2.0})
    assert chain.stages[-1] == ("multi_error", "TCPE", {"i": 0, "more_edits": ["1:10%:2.0"], "upd_decay": 0.5})


def test_without_decays_the_common_flags_hold():
    chain = Recorded(Path("runs/nowhere"), {}, None, None)
    chain.summary(["one", "two"])
    assert chain.stages[-1] == ("multi_error", "TCPE", {"i": 0, "more_edits": ["1"]})
    assert all("upd_decay" not in flags for _, _, flags in chain.stages)
