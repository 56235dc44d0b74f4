"""Saved updates are named by what decided them, and found by what a run knows of that."""

import json

import pytest
import torch

from tcpe.request import EditRequest
from tcpe.saved import MADE_WITH, find_saved, update_name
from tcpe.update import RankOneUpdate
from util.errors import CheckpointError, EditError

REQUEST = EditRequest("3", "a cast", "int{} x", "s", "t")
WANTED = {"MODEL_NAME": "m", "TC_layer_file": None, "mom2_dataset": "texts", "seed": 0, "v_lr": 0.05}


def save(folder, request=REQUEST, layer=2, kind="TC", made_with=None):
    """A saved update, named as TCPE_pre names it, or as earlier versions did where nothing is known of its making."""
    key = torch.rand(4)
    details = {"request": {name: getattr(request, name) for name in ("error", "prompt", "subject", "target_new", "contexts")}}
    name = f"layer_{layer}_{kind}_row_0"
    if made_with is not None:
        details[MADE_WITH] = made_with
        name = update_name(layer, kind, 0, request, made_with)
    RankOneUpdate(torch.rand(3), torch.rand(4), key, torch.rand(5), layer, details).save(folder / name)
    return folder / name


@pytest.mark.parametrize("kind", ["TC", "TC_ef4", "MLP"])
def test_an_update_of_an_earlier_version_or_of_another_kind_of_name_is_found(tmp_path, kind):
    assert find_saved(save(tmp_path, kind=kind).parent, 2, REQUEST, WANTED).name == f"layer_2_{kind}_row_0"


def test_everything_that_decides_an_update_is_in_its_name():
    made = {**WANTED, "texts": "a", "weights": "b"}
    names = {update_name(2, "TC", 0, REQUEST, made | change) for change in ({}, {"v_lr": 1}, {"seed": 1}, {"texts": "c"}, {"weights": "c"})}
    names.add(update_name(2, "TC", 0, EditRequest("3", "a cast", "int{} x", "s", "u"), made))
    assert len(names) == 6
    assert update_name(2, "TC", 0, REQUEST, made | {"MODEL_NAME": "moved"}) == update_name(2, "TC", 0, REQUEST, made)
    assert all(name.startswith("layer_2_TC_row_0_") for name in names)


def test_of_several_the_one_of_this_model_and_this_search(tmp_path):
    paths = {}
    for model, rate in (("m", 0.05), ("m", 0.1), ("n", 0.05), ("n", 0.1)):
        paths[model, rate] = save(tmp_path, made_with=WANTED | {"MODEL_NAME": model, "v_lr": rate, "weights": model})
    save(tmp_path)  # of an earlier version
    for (model, rate), path in paths.items():
        assert find_saved(tmp_path, 2, REQUEST, WANTED | {"MODEL_NAME": model, "v_lr": rate}) == path
    with pytest.raises(EditError, match=r"2 updates of the request 3, which differ in v_lr \(0.\d+, 0.\d+\); give these flags"):
        find_saved(tmp_path, 2, REQUEST, WANTED | {"v_lr": 7})


def test_flags_of_the_search_need_not_be_given_again_where_there_is_one(tmp_path):
    path = save(tmp_path, made_with=WANTED)
    assert find_saved(tmp_path, 2, REQUEST, WANTED | {"v_lr": 7, "seed": 3}) == path


@pytest.mark.parametrize("flag", sorted(WANTED.keys() - {"MODEL_NAME", "TC_layer_file"}))
def test_an_update_that_was_made_with_another_value_of_a_flag_that_is_given_is_never_taken(tmp_path, flag):
    save(tmp_path, made_with=WANTED)
    other = WANTED | {flag: 7}
    assert find_saved(tmp_path, 2, REQUEST, other, {"lim"})
    with pytest.raises(CheckpointError, match=rf"with the flags given: those that are there were made with --{flag} {WANTED[flag]}; run"):
        find_saved(tmp_path, 2, REQUEST, other, {"lim", flag})
    path = save(tmp_path, made_with=other)
    assert find_saved(tmp_path, 2, REQUEST, other, {flag}) == path


@pytest.mark.parametrize(("made", "words"), [([WANTED | {"weights": name} for name in "ab"], r"weights \([ab], [ab]\)"), ([None, None], "nothing")])
def test_of_two_that_the_flags_do_not_tell_apart_none_whatever_the_clock_says(tmp_path, made, words):
    for kind, one in zip(("TC", "TC_ef4"), made):
        save(tmp_path, kind=kind, made_with=one)
    with pytest.raises(EditError, match=f"holds 2 updates of the request 3, which differ in {words}.*--save_path"):
        find_saved(tmp_path, 2, REQUEST, WANTED)


def test_none_is_said_with_what_there_is(tmp_path):
    with pytest.raises(CheckpointError, match="no saved update of the request 3 .*--alg_name TCPE_pre"):
        find_saved(tmp_path, 2, REQUEST, WANTED)
    save(tmp_path, layer=1)
    save(tmp_path, EditRequest("3", "a cast", "int{} x", "s", "another"), made_with=WANTED)
    with pytest.raises(CheckpointError, match="of other layers or requests: layer_1_TC_row_0, layer_2_TC_row_0_"):
        find_saved(tmp_path, 2, REQUEST, WANTED)
    assert json.loads((tmp_path / "layer_1_TC_row_0.json").read_text())["layer"] == 1
