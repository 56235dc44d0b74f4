"""A training's checkpoint: whole or not there, and refused where it is another's, damaged or hostile."""

import os
import re
import resource
import zipfile

import pytest
import torch

from sae_training.checkpoint import CHECKPOINT_FILE, load_checkpoint, save_checkpoint
from sae_training.train import Training, train
from util.errors import UserError


@pytest.fixture
def stopped(settings):
    """The settings of a training that was stopped behind its last step, and left a checkpoint."""

    def stop(_training):
        raise KeyboardInterrupt

    config = settings(layer_num=[1])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Training, "finish", stop)
        train(config)
    return config


def test_checkpoints_of_others_are_refused(settings, stopped):
    config = stopped
    with pytest.raises(UserError, match=r"--expansion_factor 4 \(now 2\)"):
        train(settings(layer_num=[1], expansion_factor=2))
    path = config.output / CHECKPOINT_FILE
    state = load_checkpoint(config.output)
    state["layers"][1]["transcoder"]["W_enc"] = torch.zeros(128, 64)
    save_checkpoint(config.output, state)
    with pytest.raises(UserError, match=r"W_enc in the checkpoint of layer 1 has shape \[128, 64\].*\[128, 32\]"):
        train(config)
    save_checkpoint(config.output, load_checkpoint(config.output) | {"step": 1})
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 0x40
    path.write_bytes(flipped)
    with pytest.raises(UserError, match="is damaged .the checksum of"):
        train(config)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="is damaged"):
        train(config)
    train(settings(layer_num=[1], restart=True))


def moments(state):
    return state["layers"][1]["optimizer"]["state"][0]


CHANGES_OF_A_STATE = {
    "settings none": lambda state: state.update(settings=None),
    "step a text": lambda state: state.update(step="1"),
    "step beyond the end": lambda state: state.update(step=10**9),
    "layers a number": lambda state: state.update(layers=3),
    "layer empty": lambda state: state["layers"].update({1: {}}),
    "layer's step": lambda state: state["layers"][1].update(step=None),
    "transcoder none": lambda state: state["layers"][1].update(transcoder=None),
    "weights without memory": lambda state: state["layers"][1]["transcoder"].update(W_enc=torch.empty(128, 32, device="meta")),
    "weights of another dtype": lambda state: state["layers"][1]["transcoder"].update(W_enc=torch.zeros(128, 32, dtype=torch.float64)),
    "optimizer a list": lambda state: state["layers"][1].update(optimizer=[]),
    "betas none": lambda state: state["layers"][1]["optimizer"]["param_groups"][0].update(betas=None),
    "eps gone": lambda state: state["layers"][1]["optimizer"]["param_groups"][0].pop("eps"),
    "moment too short": lambda state: moments(state).update(exp_avg=torch.ones(2)),
    "moment a number": lambda state: moments(state).update(exp_avg_sq=torch.tensor(-5.0)),
    "moment without memory": lambda state: moments(state).update(exp_avg=torch.ones(1).expand(moments(state)["exp_avg"].shape)),
    "moment not finite": lambda state: moments(state)["exp_avg"].fill_(torch.nan),
    "moment gone": lambda state: moments(state).pop("exp_avg"),
    "pool too short": lambda state: state["buffer"].update(pool={1: tuple(part[:3] for part in state["buffer"]["pool"][1])}),
    "pool of numbers": lambda state: state["buffer"].update(pool={1: tuple(part.long() for part in state["buffer"]["pool"][1])}),
    "pool of another layer": lambda state: state["buffer"].update(pool={0: state["buffer"]["pool"][1]}),
    "pool empty": lambda state: state["buffer"].update(pool={}),
    "order": lambda state: state["buffer"]["order"].fill_(10**6),
    "served": lambda state: state["buffer"].update(served=-1),
    "waiting numbers": lambda state: state["buffer"].update(waiting=[1]),
    "waiting nothing": lambda state: state["buffer"].update(waiting=[{}]),
    "tokens": lambda state: state["contexts"].update(pending=[10**9] * 30),
    "tokens below": lambda state: state["contexts"].update(pending=[-1] * 30),
    "row": lambda state: state["contexts"].update(row=1.5),
}


def test_a_checkpoint_of_wrong_parts_is_refused(stopped):
    """Fused Adam writes beyond the end of a moment that is too short; other parts would end in a traceback, at once or at their use."""
    config = stopped
    path = config.output / CHECKPOINT_FILE
    whole = path.read_bytes()
    for name, change in CHANGES_OF_A_STATE.items():
        path.write_bytes(whole)
        state = load_checkpoint(config.output)
        change(state)
        save_checkpoint(config.output, state)
        with pytest.raises(UserError, match="is damaged"):
            train(config)
            pytest.fail(name)
    path.write_bytes(whole)
    train(config)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path):
    save_checkpoint(tmp_path, {"settings": {}, "step": 1, "layers": {}, "buffer": {}, "contexts": {}})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # every file ends there, as on a full disk
    try:
        with pytest.raises(UserError, match="Cannot write .*checkpoint.pt"):
            save_checkpoint(tmp_path, {"settings": {}, "step": 2, "layers": {0: torch.zeros(10**6)}, "buffer": {}, "contexts": {}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_checkpoint(tmp_path)["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]


@pytest.mark.parametrize(("place", "bit", "text"), [(38, 0x10, "as torch writes it"), (10, 0x08, "as torch writes it"), (16, 0x01, "checksum")])
def test_a_damaged_directory_of_a_checkpoint_is_seen(tmp_path, place, bit, text):
    """One bit makes a tensor's file a folder, which torch leaves unread; another makes it compressed; another is of its checksum."""
    save_checkpoint(tmp_path, {"settings": {}, "step": 1, "layers": {0: torch.arange(8.0)}, "buffer": {}, "contexts": {}})
    path = tmp_path / CHECKPOINT_FILE
    saved = path.read_bytes()
    entries = [found.start() for found in re.finditer(b"PK\x01\x02", saved)]
    assert len(entries) > 3
    for entry in entries:
        damaged = bytearray(saved)
        damaged[entry + place] ^= bit
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"is damaged .*{text}"):
            load_checkpoint(tmp_path)


@pytest.mark.parametrize("pickled", [b"\x80\x02.", b"\x80\x02}]K\x01s.", b"\x80\x02K\x01Q.", b"\x80\x02ctorch\nSize\n]\x85R."])
def test_a_hostile_pickle_in_a_checkpoint_is_refused(tmp_path, pickled):
    with zipfile.ZipFile(tmp_path / CHECKPOINT_FILE, "w") as archive:
        for name, content in (("data.pkl", pickled), ("version", b"3")):
            archive.writestr(zipfile.ZipInfo(f"checkpoint/{name}"), content)
            archive.infolist()[-1].external_attr = 0
    with pytest.raises(UserError, match="is damaged") as refused:
        load_checkpoint(tmp_path)
    assert "as torch writes it" not in str(refused.value)  # the pickle was read


def test_a_pipe_in_the_place_of_a_checkpoint_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / CHECKPOINT_FILE)
    with pytest.raises(UserError, match="is no file of data"):
        load_checkpoint(tmp_path)
