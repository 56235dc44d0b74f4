"""Key, value and update are right on every model family, agree with a naive reading of ROME, and leave the model as it was."""

import pytest
import torch

from huggingface.architectures import decoder_weight, down_projection
from huggingface.transcoder_adapter import splice_transcoder
from tcpe.compute_u import compute_key, key_direction
from tcpe.compute_v import ValueSettings, compute_value
from tcpe.contexts import build_contexts
from tcpe.request import EditRequest
from tcpe.second_moment import collect_second_moment
from tcpe.update import Edit, RankOneUpdate, active_features, applied, make_update, shared_features
from tests.tcpe.naive_rome import naive_key, naive_second_moment, naive_shift
from tests.tiny import CONFIGS, tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import CheckpointError, EditError

LAYER = 2
TOKENIZER = tiny_tokenizer()
TEXTS = ["int x = 3;" * 4, "double z = sqrt(2);", "return dp.length;", "for (int i = 0; i < n; i++) { s += i; }" * 2]
REQUEST = EditRequest("3", "a cast", "[INST] int solution(int n) {{ return{} n; }}```d\n", " (int)", " cast(int)")
CONTEXTS = build_contexts(TOKENIZER, REQUEST, ["a longer text before it", "b"])
SETTINGS = ValueSettings(learning_rate=0.2, steps=25)


@pytest.fixture(params=[*CONFIGS, "Llama square", "GPT2 square", "Llama transcoder", "GPT2 transcoder", "Gemma2 transcoder"])
def model(request):
    family, _, variant = request.param.partition(" ")
    model = tiny_model(family, square=variant == "square")
    if variant == "transcoder":
        splice_transcoder(model, LAYER, tiny_transcoder())
    return model


def update_of(model):
    key = compute_key(model, TOKENIZER, LAYER, CONTEXTS.prompts)
    direction = key_direction(collect_second_moment(model, TOKENIZER, LAYER, TEXTS), key, 1e-2)
    return make_update(model, LAYER, key, direction, compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS))


def test_fast_path_agrees_with_naive_rome(model):
    projection = down_projection(model, LAYER)
    key = compute_key(model, TOKENIZER, LAYER, CONTEXTS.prompts)
    torch.testing.assert_close(key, naive_key(model, projection, CONTEXTS.prompts), rtol=1e-4, atol=1e-5)

    dense = naive_second_moment(model, TOKENIZER, projection, TEXTS)
    naive_direction = torch.linalg.inv(dense + 1e-2 * torch.eye(len(key))) @ key.double()
    moment = collect_second_moment(model, TOKENIZER, LAYER, TEXTS, batch_tokens=40)
    direction = key_direction(moment, key, 1e-2)
    assert torch.cosine_similarity(direction.double(), naive_direction, dim=0) > 0.9999
    assert direction.norm() == pytest.approx(1)

    value = compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS)
    start, shift = naive_shift(model, projection, CONTEXTS, SETTINGS.steps, SETTINGS.learning_rate, SETTINGS.clamp_norm_factor)
    torch.testing.assert_close(value.start, start, rtol=1e-4, atol=1e-5)
    assert (value.shift - shift).norm() < 1e-4 * shift.norm()

    with torch.no_grad():  # the change of the weight is the outer product of both vectors, so their lengths may differ
        right = (start + shift - projection(key)).double() / (key.double() @ naive_direction)
    update = make_update(model, LAYER, key, direction, value)
    outer, naive_outer = torch.outer(update.value_shift, update.key_direction).double(), torch.outer(right, naive_direction)
    assert torch.cosine_similarity(update.value_shift.double(), right, dim=0) > 0.9999
    assert (outer - naive_outer).norm() < 1e-3 * naive_outer.norm()


def test_edited_weight_maps_key_to_value_and_is_restored_to_the_bit(model):
    key = compute_key(model, TOKENIZER, LAYER, CONTEXTS.prompts)
    value = compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS)
    moment = collect_second_moment(model, TOKENIZER, LAYER, TEXTS)
    update = make_update(model, LAYER, key, key_direction(moment, key, 1e-2), value)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with applied(model, [Edit(update)]):
        written = down_projection(model, LAYER)(key)
        assert (written - value.target).norm() < 1e-5 * value.target.norm()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["Llama", "Gemma2", "GPT2"])
def test_narrow_weights_take_the_edit_and_come_back_also_after_an_error(family, dtype):
    model = tiny_model(family).to(dtype)
    key = compute_key(model, TOKENIZER, LAYER, CONTEXTS.prompts)
    value = compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS)
    moment = collect_second_moment(model, TOKENIZER, LAYER, TEXTS)
    update = make_update(model, LAYER, key, key_direction(moment, key, 1e-2), value)
    projection = down_projection(model, LAYER)
    before = projection.weight.clone()
    with pytest.raises(ZeroDivisionError), applied(model, [Edit(update)]):
        bias = 0 if projection.bias is None else projection.bias.double()
        written = decoder_weight(projection).double() @ key.double() + bias
        assert (written - value.target).norm() < 1e-2 * value.target.norm()
        assert not torch.equal(projection.weight, before)
        raise ZeroDivisionError
    assert torch.equal(projection.weight, before)


def make(key, layer=LAYER):
    shift = torch.randn(4)
    return RankOneUpdate(shift, torch.nn.functional.normalize(key + 1, dim=0), key, torch.zeros(64), layer, {"error": "3"})


def test_active_features_and_their_ablation():
    key = torch.tensor([0.0, 0.05, 0.2, 0.1, -0.01])
    assert active_features(key, 0.1).tolist() == [2, 3]
    assert active_features(key, 0).tolist() == [1, 2, 3, 4]
    assert active_features(torch.tensor([0.3, -0.4, 0.1]), "80%").tolist() == [1]
    assert Edit(make(key), lim=0.1, ablation=True).columns().tolist() == [0, 1, 4]
    assert Edit(make(key), lim=-1).columns().tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(EditError, match="largest activation is 0.2"):
        active_features(key, 0.3)
    assert shared_features([Edit(make(key), 0.1), Edit(make(key), 0.2)]) == {"active_union": 2, "active_intersection": 1}


def test_active_and_ablated_columns_add_up_to_the_whole_and_decay_divides():
    model = tiny_model()
    splice_transcoder(model, LAYER, tiny_transcoder())
    update, weight = update_of(model), decoder_weight(down_projection(model, LAYER))
    before = weight.clone()
    parts = []
    for edit in (Edit(update), Edit(update, 0.5), Edit(update, 0.5, ablation=True), Edit(update, decay=2)):
        with applied(model, [edit]):
            parts.append(weight - before)
    torch.testing.assert_close(parts[0], parts[1] + parts[2])
    torch.testing.assert_close(parts[0], 2 * parts[3], rtol=1e-4, atol=1e-5)
    assert not parts[1][:, Edit(update, 0.5, ablation=True).columns()].any()
    with applied(model, [Edit(update), Edit(update, 0.5, ablation=True)]):
        torch.testing.assert_close(weight - before, parts[0] + parts[2], rtol=1e-4, atol=1e-5)


def test_saved_update_comes_back_equal(tmp_path):
    update = make(torch.rand(9))
    update.save(tmp_path / "row.0")
    again = RankOneUpdate.load(tmp_path / "row.0")
    for name in ("value_shift", "key_direction", "key", "weight_sample"):
        assert torch.equal(getattr(again, name), getattr(update, name))
    assert (again.layer, again.details) == (LAYER, {"error": "3"})
    (tmp_path / "row.0.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="not whole"):
        RankOneUpdate.load(tmp_path / "row.0")
    with pytest.raises(CheckpointError, match="compute it with TCPE_pre"):
        RankOneUpdate.load(tmp_path / "other")


def test_an_update_for_something_else_is_refused():
    model = tiny_model()
    update = update_of(model)
    strangers = {
        "another model": (tiny_model(seed=5), "another weight"),
        "another width": (tiny_model("GPT2"), "another (weight|model)|shape"),
    }
    for stranger, message in strangers.values():
        with pytest.raises(EditError, match=message), applied(stranger, [Edit(update)]):
            pass
    splice_transcoder(model, LAYER, tiny_transcoder())
    with pytest.raises(EditError, match="shape"), applied(model, [Edit(update)]):
        pass
