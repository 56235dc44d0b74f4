"""A damaged checkpoint is refused in one sentence, without a hang, without much memory, and without running what is in it."""

import collections
import json
import os
import random
import resource
import zipfile

import numpy as np
import pytest
import torch

from huggingface.loaders import load_transcoder
from huggingface.loaders.checks import check_pickle, read_config, read_safetensors
from huggingface.transcoder import CONFIG_FILE
from tests.huggingface.damage import BY_SUFFIX, CHECKPOINTS, OURS, copy_of, damaged, flip_bits, outcome
from util.errors import CheckpointError
from util.files import DIGEST

SEEDS_OF_ONE_TEST = 15


@pytest.mark.parametrize("first", range(0, 10 * SEEDS_OF_ONE_TEST, SEEDS_OF_ONE_TEST))
def test_damage_of_any_kind_is_refused_or_harmless(tmp_path, first):
    for seed in range(first, first + SEEDS_OF_ONE_TEST):
        folder = tmp_path / str(seed)
        folder.mkdir()
        path, what = damaged(seed, folder)
        found = outcome(path)
        assert found in ("refused", "read"), f"{what}: {found}"
        assert not (path.parent / "exploded").exists(), what


@pytest.mark.parametrize("suffix", BY_SUFFIX)
def test_every_damage_of_a_kind_of_file_is_refused_or_harmless(tmp_path, suffix):
    for number, damage in enumerate(dict.fromkeys(BY_SUFFIX[suffix])):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in CHECKPOINTS:
            path = copy_of(name, folder)
            for file in [path] if path.is_file() else [found for found in path.iterdir() if found.suffix == suffix]:
                if file.suffix == suffix:
                    damage(file, random.Random(number))
                    assert outcome(path) in ("refused", "read"), f"{file}: {damage.__name__}"


@pytest.mark.parametrize("seed", range(25))
def test_flipped_bits_in_what_we_saved_are_seen(tmp_path, seed):
    """Also where the bits are those of a weight or of a setting, which any value fits; but for those of spaces and of the digest's name."""
    path = copy_of(OURS, tmp_path)
    saved = load_transcoder(path)
    file = sorted(path.iterdir())[seed % 2]
    before = file.read_bytes()
    flip_bits(file, random.Random(seed))
    assert file.read_bytes() != before
    try:
        read = load_transcoder(path)
    except CheckpointError:
        return
    assert file.name == CONFIG_FILE and read.sites == saved.sites
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in read.state_dict().items())


def test_a_digest_can_be_given_up(tmp_path):
    path = copy_of(OURS, tmp_path)
    config = json.loads((path / CONFIG_FILE).read_text())
    config["metadata"]["hook_name"] = "blocks.3.mlp.hook_in"
    (path / CONFIG_FILE).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=f"not as they were saved.*remove {DIGEST} from cfg.json"):
        load_transcoder(path)
    del config[DIGEST]
    (path / CONFIG_FILE).write_text(json.dumps(config))
    assert load_transcoder(path).sites.reads == "blocks.3.mlp.hook_in"


def test_a_small_archive_that_claims_much_takes_none(tmp_path):
    path = tmp_path / "params.npz"
    text = str({"descr": "<f4", "fortran_order": False, "shape": (2**12, 2**13)}).ljust(118)
    header = np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("W_enc.npy", "w", force_zip64=True) as file:
        file.write(header)
        for _ in range(2**3):
            file.write(bytes(2**24))
    assert path.stat().st_size < 2**18
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="134217856 bytes unpacked"):
        load_transcoder(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize("config", [None, {}, [], {"hook_point": "ln2.hook_normalized"}, {"hook_point": 3, "out_hook_point": "hook_mlp_out"}])
def test_a_file_that_does_not_say_its_sites_gets_none(tmp_path, config):
    shapes = {"W_enc": (16, 40), "b_enc": (40,), "W_dec": (40, 12), "b_dec": (16,), "b_dec_out": (12,)}
    torch.save({"cfg": config, "state_dict": {name: torch.randn(shape) for name, shape in shapes.items()}}, tmp_path / "t.pt")
    with pytest.raises(CheckpointError, match="hook_point"):
        load_transcoder(tmp_path / "t.pt")


def test_names_that_no_file_can_have_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe.pt")
    for name in ("x" * 5000, "loop", "pipe.pt", "loop/cfg.json", "null\x00"):
        with pytest.raises(CheckpointError, match="transcoder|no format"):
            load_transcoder(tmp_path / name)


NINE_OF_NINE = "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12))
YAML = ['zz: "\\UFFFFFFFF"', f"zz: {':'.join(['1'] * 200)}.5", NINE_OF_NINE, f"zz: [{'[],' * 2**15}0]", "a: &a [x]\nb: *a"]


@pytest.mark.parametrize("text", YAML)
def test_a_small_yaml_takes_no_time_and_no_memory(tmp_path, text):
    """Each ended in a traceback or not at all; the aliases of the last are harmless, but nothing writes any."""
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(CheckpointError, match="not valid YAML|too long for a configuration"):
        read_config(tmp_path / "config.yaml")


class Call:
    """Pickled as a call of a function that PyTorch's safe unpickler allows."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("function", [torch.Size, set, collections.Counter])
def test_a_small_pickle_that_makes_much_is_refused(tmp_path, function, legacy):
    saved = {"cfg": {}, "state_dict": {"W_enc": Call(function, Call(bytearray, 2**10))}}
    torch.save(saved, tmp_path / "t.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match="bytearray|torch Size|collections Counter|__builtin__ set"):
        check_pickle(tmp_path / "t.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors and settings"):
        load_transcoder(tmp_path / "t.pt")


def test_a_list_of_very_many_tensors_is_refused_before_it_is_read(tmp_path):
    entries = ",".join(f'"{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(2**17))
    (tmp_path / "t.safetensors").write_bytes((len(entries) + 2).to_bytes(8, "little") + b"{" + entries.encode() + b"}")
    with pytest.raises(CheckpointError, match="begins with a list of tensors of"):
        read_safetensors(tmp_path / "t.safetensors")


def test_numbers_that_python_does_not_write_are_refused_in_a_sentence(tmp_path):
    path = copy_of("sparsify/layers.1.mlp", tmp_path)
    config = json.loads((path / "cfg.json").read_text()) | {"d_in": 10**4000, "expansion_factor": 10**4000}
    config.pop("num_latents", None)
    (path / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="a very large int"):
        load_transcoder(path)
