"""What a graph predicts of scaled nodes is what happens where nothing switches, and undisturbed passes are the model's own."""

import pytest
import torch

from tests.transcoder_circuits.frozen_models import TEXT, frozen_pass
from tests.transcoder_circuits.test_attribution_graph import cross_layer_pass
from transcoder_circuits.attribution_graph import attribute
from transcoder_circuits.interventions import (
    FROZEN,
    _free,
    _with_frozen_patterns,
    most_influential_features,
    predicted_changes,
    real_changes,
    verify,
    written_by,
)
from transcoder_circuits.pushed import Changes
from util.errors import UserError


@pytest.fixture(scope="module", params=["Gemma2", "cross-layer GPT2", "cross-layer GPTNeoX"])
def case(request):
    kind, _, family = request.param.rpartition(" ")
    cache = cross_layer_pass(family) if kind else frozen_pass(family, TEXT[:16])
    return cache, attribute(cache)


def test_undisturbed_passes_are_the_models_own(case):
    cache, _ = case
    nothing = Changes(torch.zeros_like(cache.embedding))
    for streams in (_free(cache, nothing), _with_frozen_patterns(cache, nothing, True), _with_frozen_patterns(cache, nothing, False)):
        assert (streams.last - cache.stream[-1]).norm() <= 1e-4 * cache.stream[-1].norm()


def test_a_small_change_of_a_supernode_is_predicted_exactly_with_all_frozen(case):
    cache, graph = case
    rows = [*most_influential_features(graph, 2), graph.of("error").start + 2, graph.of("embedding").start + 1]
    predicted, real = predicted_changes(graph, rows, 1.0001), real_changes(cache, graph, rows, 1.0001, "all")
    # Features that are about to switch on do so all the same.
    assert (predicted - real).norm() <= 0.05 * real.norm()
    direct = real_changes(cache, graph, rows, 1.0, "all")
    assert not direct.any()


def test_what_is_taken_away_in_a_running_model_changes_its_targets(case):
    cache, graph = case
    rows = [most_influential_features(graph, 1)[0], graph.of("embedding").start + 2]
    changes = [real_changes(cache, graph, rows, 0.0, frozen) for frozen in FROZEN]
    assert all(change.isfinite().all() and change[graph.of("logit")].any() for change in changes)
    with pytest.raises(UserError, match="writes nothing"):
        written_by(cache, graph, [graph.of("logit").start], 0.0)


def test_patterns_of_one_token_cannot_move_and_leave_a_running_model_as_it_is_with_them_frozen():
    cache = frozen_pass("Gemma2", "i")
    cache = type(cache)(cache.model, cache.transcoders, cache.ids[:1])
    graph = attribute(cache)
    rows = [*most_influential_features(graph, 1), graph.of("embedding").start]
    frozen, free = (real_changes(cache, graph, rows, 0.5, one) for one in ("patterns", "nothing"))
    assert (frozen - free).norm() <= 1e-4 * free.norm() and free.any()


def test_verification_ranks_and_says_what_it_cannot():
    cache = frozen_pass("Llama", TEXT[:16])
    graph = attribute(cache)
    # So little that hardly a feature switches.
    found = verify(cache, graph, most_influential_features(graph, 12), factor=0.9999, measured=("all", "nothing"))
    assert found["all"].logit > 0.9 and found["all"].all_targets > 0.9 and set(found) == {"all", "nothing"} and len(found["nothing"].real) == 12
    with pytest.raises(UserError, match="at least 3 nodes"):
        verify(cache, graph, [0])
    with pytest.raises(UserError, match="predicts no changes"):
        predicted_changes(attribute(cache, max_features=20), [0], 0.0)
