"""Several edits at once: each holds at its own key, alike ones are refused, and edits of any weights come and go to the bit."""

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from huggingface.architectures import decoder_weight, down_projection
from tcpe.compute_v import Value
from tcpe.edits import main as edits_command
from tcpe.update import Edit, MergedUpdate, applied, make_update, merge
from tcpe.weight_edit import WeightChange
from tests.tcpe.test_update import random_update
from tests.tiny import tiny_model
from util.errors import EditError

LAYER = 2
MODEL = tiny_model()
NEURONS = decoder_weight(down_projection(MODEL, LAYER)).shape[1]


def whole_update(seed, model=MODEL, key=None):
    """An update that writes a random value for a random key, or for ``key``."""
    generator = torch.Generator().manual_seed(seed)
    key = torch.randn(NEURONS, generator=generator) if key is None else key
    direction = torch.nn.functional.normalize(key + 0.3 * torch.randn(NEURONS, generator=generator), dim=0)
    value = Value(torch.randn(32, generator=generator), torch.randn(32, generator=generator), [])
    return make_update(model, LAYER, key, direction, value, request={"error": f"number {seed}"}), value.target


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(0, 1000), st.floats(0, 0.9))
def test_whole_updates_hold_at_all_of_their_keys(count, seed, alike):
    common = torch.randn(NEURONS, generator=torch.Generator().manual_seed(seed + 5000))
    keys = [alike * common + (1 - alike) * torch.randn(NEURONS, generator=torch.Generator().manual_seed(seed + n)) for n in range(count)]
    updates, targets = zip(*(whole_update(seed + n, key=key) for n, key in enumerate(keys)))
    projection = down_projection(MODEL, LAYER)
    before = projection.weight.clone()
    with applied(MODEL, [Edit(update) for update in updates]):
        for key, target in zip(keys, targets):
            assert (projection(key) - target).norm() < 1e-3 * target.norm()
    assert torch.equal(projection.weight, before)


def test_what_one_edit_does_alone_it_does_in_company_whatever_its_lim_and_decay():
    updates = [whole_update(seed)[0] for seed in range(3)]
    edits = [Edit(updates[0], 0.4, 1.5), Edit(updates[1], "top:20", 2), Edit(updates[2])]
    projection = down_projection(MODEL, LAYER)
    alone = []
    for edit in edits:
        with applied(MODEL, [edit]):
            alone.append(projection(edit.update.key))
    with applied(MODEL, edits):
        for edit, written in zip(edits, alone):
            torch.testing.assert_close(projection(edit.update.key), written, rtol=1e-3, atol=1e-3)


def test_the_same_key_twice_is_refused_and_changes_nothing(tmp_path, monkeypatch):
    first, _ = whole_update(1)
    again, _ = whole_update(2, key=1.5 * first.key)
    before = copy.deepcopy(MODEL.state_dict())
    for edits in ([Edit(first), Edit(first)], [Edit(first), Edit(again)], [merge([Edit(first), Edit(whole_update(3)[0])]), Edit(again)]):
        with pytest.raises(EditError, match="number 1 .* and number [12] .*cannot tell apart"), applied(MODEL, edits):
            pass
        with pytest.raises(EditError, match="cannot tell apart"):
            merge(edits)
    assert all(torch.equal(tensor, before[name]) for name, tensor in MODEL.state_dict().items())
    for name, update in (("first", first), ("again", again)):
        update.save(tmp_path / name)
    monkeypatch.setattr("sys.argv", ["edits", "merge", str(tmp_path / "first"), str(tmp_path / "again"), "--save_path", str(tmp_path / "out")])
    with pytest.raises(EditError, match="cannot tell apart"):
        edits_command()
    assert not (tmp_path / "out").exists()


def test_a_merged_update_of_an_earlier_version_adds_up_as_it_did_and_takes_nothing_more(tmp_path):
    edits = [Edit(whole_update(seed)[0]) for seed in range(2)]
    merge(edits).save(tmp_path / "old")
    tensors = load_file(tmp_path / "old.safetensors")
    del tensors["keys"]
    save_file(tensors, tmp_path / "old.safetensors")
    description = json.loads((tmp_path / "old.json").read_text())
    del description["sha256"]
    (tmp_path / "old.json").write_text(json.dumps(description))
    old, weight = MergedUpdate.load(tmp_path / "old"), decoder_weight(down_projection(MODEL, LAYER))
    before = weight.clone()
    with applied(MODEL, [old]):
        torch.testing.assert_close(weight, before + tensors["left"] @ tensors["right"])
    with pytest.raises(EditError, match="merge its parts again"):
        merge([old, Edit(whole_update(3)[0])])
    description = json.loads((tmp_path / "old.json").read_text())
    assert len(description["merged"]) == 2


class TwoLayers:
    """An edit as a rival makes it: low-rank changes of attention weights in two layers, and of one MLP."""

    def __init__(self, model):
        generator = torch.Generator().manual_seed(7)
        shapes = [weight.shape for weight in self.weights(model)]
        self.deltas = [torch.randn(rows, 2, generator=generator) @ torch.randn(2, columns, generator=generator) for rows, columns in shapes]
        self.checked = []

    def weights(self, model):
        layers = model.model.layers
        return [layers[0].self_attn.q_proj.weight, layers[3].self_attn.v_proj.weight, layers[LAYER].mlp.down_proj.weight]

    def check(self, model, other_model=False):
        self.checked.append((model, other_model))

    def changes(self, model):
        pairs = zip(self.weights(model), self.deltas)
        return [WeightChange("one", weight.detach(), torch.arange(weight.shape[1]), delta) for weight, delta in pairs]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_edit_of_any_weights_beside_one_of_columns(dtype):
    model = tiny_model().to(dtype)
    other, edit = TwoLayers(model), Edit(random_update(model), 0.5)
    before = copy.deepcopy(model.state_dict())
    names = ["model.layers.0.self_attn.q_proj.weight", "model.layers.3.self_attn.v_proj.weight", "model.layers.2.mlp.down_proj.weight"]
    with applied(model, [edit, other]):
        after = model.state_dict()
        assert sorted(name for name in after if not torch.equal(after[name], before[name])) == sorted(names)
        for name, delta in zip(names[:2], other.deltas):
            assert torch.equal(after[name], (before[name].float() + delta).to(dtype))
        left, right = edit.factors()
        expected = before[names[2]].float() + other.deltas[2] + left @ right
        torch.testing.assert_close(after[names[2]].float(), expected.to(dtype).float(), rtol=1e-5 if dtype == torch.float32 else 1e-2, atol=1e-5)
    assert other.checked == [(model, False)]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_change_is_added_in_float32_and_rounded_once(dtype):
    model = tiny_model().to(dtype)
    weight, edit = decoder_weight(down_projection(model, LAYER)), Edit(random_update(model), decay=3)
    before = weight.clone()
    left, right = edit.factors()
    with applied(model, [edit]):
        assert torch.equal(weight, (before.float() + left @ right).to(dtype))
        assert not torch.equal(weight, before + (left @ right).to(dtype))


def test_an_edit_that_overflows_its_weights_is_refused_and_changes_nothing():
    model = tiny_model().to(torch.float16)
    before = copy.deepcopy(model.state_dict())
    large = Edit(random_update(model, layer=1), decay=1e-6)
    for edits in ([large], [Edit(random_update(model)), large], [TwoLayers(model), large]):
        with pytest.raises(EditError, match="overflows the float16 of layer"), applied(model, edits):
            pass
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with applied(model.to(torch.bfloat16), [Edit(random_update(model), decay=1e-6)]):
        pass
