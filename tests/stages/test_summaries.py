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


def test_all_edits_of_the_errors_are_applied_together_at_the_end():
    chain = Recorded(Path("runs/nowhere"), {}, None, None)
    summary = chain.summary(["one", "two"], {"ROME": [METRICS, METRICS]})
    assert list(summary["families"]["two"]) == ["targets", "ROME", "TCPE_pre", "TCPE", "ablation"]
    assert chain.stages[6] == ("two/ablation", "TCPE", {"i": 1, "abla_exp": True})
    assert chain.stages[-1] == ("multi_error", "TCPE", {"i": 0, "more_edits": ["1"]})
