"""What part of an update is applied, several at once, how small it is on disk, and to what it may not be applied."""

import copy
import json
import os
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from huggingface.architectures import decoder_weight, down_projection
from huggingface.transcoder_adapter import splice_transcoder, spliced
from tcpe.lim import parse_lim
from tcpe.update import Edit, MergedUpdate, RankOneUpdate, active_features, applied, merge, shared_features, weight_sample
from tests.tiny import CONFIGS, FEATURES, WIDTH, tiny_model, tiny_transcoder
from util.errors import CheckpointError, EditError, UserError

LAYER = 2


def random_update(model, seed=0, layer=LAYER):
    """An update with the sparse key of a transcoder, without the search for its value."""
    generator = torch.Generator().manual_seed(seed)
    d_model, n_features = decoder_weight(down_projection(model, layer)).shape
    key = torch.randn(n_features, generator=generator).relu()
    direction = torch.nn.functional.normalize(key + 0.01 * torch.randn(n_features, generator=generator), dim=0)
    shift = torch.randn(d_model, generator=generator)
    details = {"request": {"error": str(seed), "brief_description": f"error {seed}", "prompt": "int{} x", "subject": "s", "target_new": "t"}}
    return RankOneUpdate(shift, direction, key, weight_sample(model, layer), layer, details)


@given(st.lists(st.floats(-1, 5, width=32), min_size=1, max_size=30), st.floats(1, 100), st.integers(1, 40))
@settings(deadline=None)
def test_shares_and_numbers_of_features(activations, share, count):
    signed = torch.tensor(activations)
    key = signed.abs()
    if key.max() <= 0:
        with pytest.raises(EditError, match="No feature"):
            active_features(signed, f"top:{count}")
        return
    top = active_features(signed, parse_lim(f"top:{count}"))
    assert len(top) == min(count, int((key > 0).sum())) and top.tolist() == sorted(top.tolist())
    rest = torch.ones(len(key), dtype=torch.bool)
    rest[top] = False
    assert (key[top] > 0).all() and (not rest.any() or key[rest].max() <= key[top].min())
    part = active_features(signed, parse_lim(f"{share}%"))
    assert set(part.tolist()) == set(torch.nonzero((key > 0) & (key >= float(parse_lim(f"{share}%")[:-1]) / 100 * key.max())).flatten().tolist())


def test_forms_of_lim():
    assert [parse_lim(text) for text in ("0.1", "-1", "20%", " top:16 ", "0")] == [0.1, -1, "20%", "top:16", 0]
    for text in ("", "x", "-2", "nan", "0%", "101%", "top:", "top:0", "top:-3", "top:1.5", "%"):
        with pytest.raises(UserError, match="--lim"):
            parse_lim(text)


def test_several_edits_with_their_own_lim_and_decay_do_what_each_does_alone():
    model = tiny_model()
    splice_transcoder(model, LAYER, tiny_transcoder())
    updates = [random_update(model, seed) for seed in range(3)]
    edits = [Edit(updates[0], 0.5, 1.5), Edit(updates[1], "top:7", 2), Edit(updates[2], "50%", ablation=True)]
    weight = decoder_weight(down_projection(model, LAYER))
    before = weight.clone()
    rows, alone = [], []
    for edit in edits:
        mask = torch.zeros(FEATURES, dtype=torch.double)
        mask[edit.columns()] = 1
        rows.append(edit.update.key_direction.double() * mask)
        alone.append(torch.outer(edit.update.value_shift.double() / edit.decay, rows[-1]))
    with applied(model, edits):
        change = weight.double() - before.double()
        together = weight.clone()
    rest = change - alone[2]  # the ablation is added as it is
    for number in (0, 1):
        key = edits[number].update.key.double()
        torch.testing.assert_close(rest @ key, alone[number] @ key, rtol=1e-4, atol=1e-4)
    assert torch.linalg.matrix_rank(rest, rtol=1e-5) == 2
    assert torch.equal(weight, before)
    with applied(model, [merge([merge(edits[:2]), edits[2]])]):
        assert torch.equal(weight, together)
    sets = [set(edit.active().tolist()) for edit in edits]
    assert shared_features(edits) == {"active_union": len(set.union(*sets)), "active_intersection": len(set.intersection(*sets))}


def test_edits_of_several_layers_are_applied_and_taken_back_together():
    model = tiny_model()
    edits = [Edit(random_update(model, layer=layer)) for layer in (1, 3)]
    before = copy.deepcopy(model.state_dict())
    with applied(model, edits):
        changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
        assert changed == [f"model.layers.{layer}.mlp.down_proj.weight" for layer in (1, 3)]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(EditError, match="layers 1 and 3"):
        merge(edits)


def test_a_saved_update_is_small(tmp_path):
    d_model, n_features = 4096, 32768
    losses = [dict.fromkeys(("nll", "kl", "weight_decay", "loss"), 1.2345678901234567)] * 600
    details = {"request": {"prompt": "x" * 2000}, "templates": ["y" * 100] * 10, "losses": losses}
    key = torch.rand(n_features)
    update = RankOneUpdate(torch.rand(d_model), key / key.norm(), key, torch.rand(64 + 4 * 292), 19, details)
    update.save(tmp_path / "update")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2**20
    other = replace(update, key=torch.rand(n_features))
    merge([Edit(update, 0.5), Edit(other, 0.5)]).save(tmp_path / "merged")
    assert (tmp_path / "merged.safetensors").stat().st_size < 2**20


def test_a_merged_update_comes_back_equal(tmp_path):
    model = tiny_model()
    merged = merge([Edit(random_update(model, seed), 0.2) for seed in range(2)])
    merged.save(tmp_path / "merged")
    again = MergedUpdate.load(tmp_path / "merged")
    assert torch.equal(again.left, merged.left) and torch.equal(again.right, merged.right) and again.details == merged.details
    with pytest.raises(CheckpointError, match="not whole"):
        RankOneUpdate.load(tmp_path / "merged")


def test_changed_bits_of_an_update_are_seen(tmp_path):
    update, file, description = random_update(tiny_model()), tmp_path / "update.safetensors", tmp_path / "update.json"
    update.save(tmp_path / "update")
    saved = file.read_bytes()
    file.write_bytes(saved[:-3] + bytes([saved[-3] ^ 0x40]) + saved[-2:])
    with pytest.raises(CheckpointError, match="not as they were saved"):
        RankOneUpdate.load(tmp_path / "update")
    file.write_bytes(saved)
    assert torch.equal(RankOneUpdate.load(tmp_path / "update").key, update.key)
    other = json.loads(description.read_text()) | {"layer": LAYER + 1}
    description.write_text(json.dumps(other))
    with pytest.raises(CheckpointError, match="remove sha256 from update.json"):
        RankOneUpdate.load(tmp_path / "update")
    description.write_text(json.dumps({key: value for key, value in other.items() if key != "sha256"}))
    assert RankOneUpdate.load(tmp_path / "update").layer == LAYER + 1


@pytest.mark.parametrize(
    ("changes", "dtype"),
    [
        *(({"layer": layer}, torch.float32) for layer in (float("inf"), -8, True, "8", 8.7)),
        *(({"merged": [part] * 2}, torch.float32) for part in (1, None, {}, {"ablation": 0}, {"ablation": False, "request": "x"})),
        ({"d_model": 32.5}, torch.float32),
        ({"merged": None}, torch.float32), ({"merged": 1.0}, torch.float32), ({}, torch.float8_e4m3fn),
    ],
)
def test_an_update_of_other_kinds_of_values_is_refused(tmp_path, changes, dtype):
    """Without a digest, as earlier versions wrote them."""
    merge([Edit(random_update(tiny_model(), seed), 0.2) for seed in range(2)]).save(tmp_path / "merged")
    description = json.loads((tmp_path / "merged.json").read_text()) | changes
    del description["sha256"]
    (tmp_path / "merged.json").write_text(json.dumps(description))
    tensors = load_file(tmp_path / "merged.safetensors")
    save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, tmp_path / "merged.safetensors")
    with pytest.raises(CheckpointError):
        MergedUpdate.load(tmp_path / "merged")


def test_an_update_with_keys_of_no_dimension_is_refused(tmp_path):
    merge([Edit(random_update(tiny_model(), seed), 0.2) for seed in range(2)]).save(tmp_path / "merged")
    description = json.loads((tmp_path / "merged.json").read_text())
    (tmp_path / "merged.json").write_text(json.dumps({key: value for key, value in description.items() if key != "sha256"}))
    save_file(load_file(tmp_path / "merged.safetensors") | {"keys": torch.tensor(1.0)}, tmp_path / "merged.safetensors")
    with pytest.raises(CheckpointError, match="do not fit"):
        MergedUpdate.load(tmp_path / "merged")


def test_a_long_or_deep_description_is_refused(tmp_path):
    random_update(tiny_model()).save(tmp_path / "update")
    whole = (tmp_path / "update.json").read_text().rstrip().removesuffix("}")
    for depth in range(900, 1010):  # what can be read and not written again is a matter of where it is called from
        (tmp_path / "update.json").write_text(f'{whole}, "z": {"[" * depth}{"]" * depth}}}')
        with pytest.raises(UserError, match="deep|not as they were saved|not valid JSON"):
            RankOneUpdate.load(tmp_path / "update")
    (tmp_path / "update.json").write_text(f'{whole}, "z": [{"[]," * 2**21}0]}}')
    with pytest.raises(CheckpointError, match="too long"):
        RankOneUpdate.load(tmp_path / "update")


@pytest.mark.parametrize("name", ["update.json", "update.safetensors"])
def test_a_pipe_in_the_place_of_an_update_is_not_waited_for(tmp_path, name):
    random_update(tiny_model()).save(tmp_path / "update")
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match="no saved update"):
        RankOneUpdate.load(tmp_path / "update")


@pytest.mark.parametrize("family", CONFIGS)
def test_the_same_model_in_another_dtype_or_beside_other_transcoders_is_the_same(family):
    model = tiny_model(family)
    edit = Edit(random_update(model))
    for dtype in (torch.bfloat16, torch.float16):
        with applied(copy.deepcopy(model).to(dtype), [edit]):
            pass
    with spliced(model, 1, tiny_transcoder()), applied(model, [edit]):
        pass


def test_another_model_weight_or_layer_is_refused_and_left_alone():
    model = tiny_model()
    splice_transcoder(model, LAYER, tiny_transcoder())
    update = random_update(model)

    def edited(change):
        other = copy.deepcopy(model)
        with torch.no_grad():
            change(other)
        return other

    tuned = edited(lambda other: other.model.layers[0].self_attn.q_proj.weight.mul_(1.02))
    retrained = edited(lambda other: other.model.layers[LAYER].mlp.down_proj.weight.copy_(tiny_transcoder(2).down_proj.weight))
    deeper = tiny_model("Qwen2")
    splice_transcoder(deeper, LAYER, tiny_transcoder())
    for stranger, message in ((tuned, "another model: the weights"), (retrained, "another weight in layer 2"), (deeper, "another")):
        before = copy.deepcopy(stranger.state_dict())
        with pytest.raises(EditError, match=message), applied(stranger, [Edit(update)]):
            pass
        assert all(torch.equal(tensor, before[name]) for name, tensor in stranger.state_dict().items())
    with applied(tuned, [Edit(update)], other_model=True):
        assert not torch.equal(down_projection(tuned, LAYER).weight, down_projection(model, LAYER).weight)
    with pytest.raises(EditError, match="shape"), applied(tiny_model(), [Edit(update)], other_model=True):
        pass
    assert WIDTH == 32
