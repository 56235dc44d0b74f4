"""Damages transcoder checkpoints in every way that a disk, a network or an enemy might, and counts how they are refused.

``python -m tests.huggingface.damage --files 1600`` prints the counts; ``test_damaged_checkpoints.py`` runs a share of them.
"""

import argparse
import json
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from huggingface.loaders import load_transcoder
from huggingface.transcoder import JumpReLU, save_transcoder
from tests.tiny import FEATURES, tiny_transcoder
from util.errors import UserError

FIXTURES = Path(__file__).parents[1] / "fixtures/transcoders"
OURS = "ours"
CHECKPOINTS = (
    OURS,
    "saelens_transcoder",
    "saelens_jumprelu_skip_transcoder",
    "sparsify/layers.1.mlp",
    "circuit_tracer_topk",
    "circuit_tracer_jumprelu",
    "gemma_scope",
    "gemma_scope_2",
    "transcoder_circuits.pt",
)
SECONDS = 20
"""A checkpoint that takes longer to be refused hangs."""

ODD_VALUES = (None, True, -1, 0, 1.5, float("nan"), float("inf"), 10**400, "", "x" * 10_000, "٣", "\x00", [], [[]], {}, {"a": 1}, ["relu"], "None")


def copy_of(name: str, folder: Path) -> Path:
    """A whole checkpoint in ``folder``: what to give to ``load_transcoder``."""
    if name == OURS:
        transcoder = tiny_transcoder()
        transcoder.activation = JumpReLU(torch.full((FEATURES,), 0.1))
        save_transcoder(transcoder, folder / OURS)
        return folder / OURS
    target = folder / Path(name).name
    (shutil.copytree if (FIXTURES / name).is_dir() else shutil.copy)(FIXTURES / name, target)
    return target / "params.npz" if name == "gemma_scope" else target


def flip_bits(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 1, 3, 50))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


def flip_bits_in_front(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 3, 20))):
        data[rng.randrange(min(len(data), 300))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


def truncate(file: Path, rng: random.Random) -> None:
    os.truncate(file, rng.randrange(file.stat().st_size))


def random_bytes(file: Path, rng: random.Random) -> None:
    file.write_bytes(rng.choice((b"", b"PK\x03\x04", b"\x80\x02", b"\x93NUMPY")) + rng.randbytes(rng.choice((0, 1, 7, 100, 5000))))


def cut_or_insert(file: Path, rng: random.Random) -> None:
    data = file.read_bytes()
    first, last = sorted(rng.randrange(len(data)) for _ in range(2))
    file.write_bytes(rng.choice((data[:first] + data[last:], data[:last] + data[first:], data[:first] + rng.randbytes(9) + data[first:])))


def other_file(file: Path, rng: random.Random) -> None:
    """Another format's file under this name."""
    shutil.copy(rng.choice([path for path in FIXTURES.rglob("*") if path.is_file()]), file)


def folder_instead(file: Path, _rng: random.Random) -> None:
    file.unlink()
    file.mkdir()


def pipe_instead(file: Path, _rng: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def device_instead(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.symlink_to(rng.choice(("/dev/zero", "/dev/urandom", "/dev/full")))


def link_loop(file: Path, _rng: random.Random) -> None:
    file.unlink()
    file.symlink_to(file.with_name("loop"))
    file.with_name("loop").symlink_to(file)


def missing(file: Path, _rng: random.Random) -> None:
    file.unlink()


def deep(file: Path, rng: random.Random) -> None:
    """Brackets in brackets, and references that unfold without end."""
    depth = rng.choice((500, 5_000, 200_000))
    number = "model_kind: 0x" + "f" * 9_000
    bomb = "a: &a [x]\n" + "".join(f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefghijk", "bcdefghijkl"))
    texts = ("[" * depth, '{"a":' * depth, "[" * depth + "]" * depth, "- " * depth, f"{bomb}model_kind: *l\n", number)
    file.write_text(rng.choice(texts))


def long_text(file: Path, _rng: random.Random) -> None:
    file.write_text('{"architecture": "' + "x" * 2**23 + '"}')


def odd_setting(file: Path, rng: random.Random) -> None:
    if file.suffix == ".yaml":
        lines = file.read_text().splitlines()
        key = rng.choice([*(line.partition(":")[0] for line in lines), "activation", "k"])
        texts = tuple(map(json.dumps, ODD_VALUES))
        value = rng.choice((*texts, "2001-99-99", "!!timestamp x", "!!int abc", "!!binary x", "? [a]", "*no", "&a [*a]"))
        file.write_text("\n".join([line for line in lines if not line.startswith(f"{key}:")] + [f"{key}: {value}"]))
    else:
        config = json.loads(file.read_text())
        config[rng.choice([*config, "metadata", "activation_fn", "num_latents", "normalize_activations"])] = rng.choice(ODD_VALUES)
        file.write_text(json.dumps(config))


def odd_tensor(tensor: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Another type, shape or number."""
    dtype = rng.choice((torch.int8, torch.int64, torch.bool, torch.float16, torch.float64, torch.bfloat16, torch.float8_e4m3fn, torch.complex64))
    bad = tensor.clone()
    bad.view(-1)[0] = rng.choice((float("nan"), float("inf"), 3e38))
    large = tensor.double() * 1e300
    return rng.choice((tensor.to(dtype), tensor[:0].clone(), tensor.flatten().clone(), tensor[None].clone(), bad, tensor.sum(), large))


def odd_safetensors(file: Path, rng: random.Random) -> None:
    tensors = load_file(file)
    name = rng.choice([*tensors, "k", "W_skip", "x" * 5000])
    tensors[name] = odd_tensor(tensors.get(name, torch.ones(3)), rng)
    tensors.pop(rng.choice([*tensors]), None) if rng.random() < 0.2 else None
    save_file(tensors, file)


class _Allocates:
    """Asks for a terabyte when it is unpickled."""

    def __reduce__(self) -> tuple:
        return bytearray, (2**40,)


class _MakesFolder:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.path,)


def odd_pickle(file: Path, rng: random.Random) -> None:
    shape = {"W_enc": (16, 40), "b_enc": (40,), "W_dec": (40, 12), "b_dec": (16,), "b_dec_out": (12,)}
    state = {name: torch.randn(size) for name, size in shape.items()}
    config: object = {"hook_point": "blocks.8.ln2.hook_normalized", "out_hook_point": "blocks.8.hook_mlp_out"}
    name = rng.choice([*state])
    nested: object = 0
    for _ in range(900):
        nested = (nested,)
    odd = rng.choice(
        (
            lambda tensor: tensor.to_sparse(),
            lambda tensor: tensor.to("meta"),
            lambda tensor: torch.ones(()).expand([2**20] * tensor.ndim),
            lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
            lambda tensor: tensor.tolist(),
            lambda tensor: odd_tensor(tensor, rng),
            lambda tensor: tensor.to_sparse_csr() if tensor.ndim == 2 else None,
        )
    )
    state[name] = odd(state[name])
    config = rng.choice((config, config, None, [], "x", {"hook_point": torch.ones(3)}, {"hook_point": 3}, nested, {}))
    value = rng.choice(({"cfg": config, "state_dict": state},) * 6 + (_Allocates(), _MakesFolder(str(file.parent / "exploded")), nested, state))
    torch.save(value, file, _use_new_zipfile_serialization=rng.random() < 0.7)
    if rng.random() < 0.1:
        file.write_bytes(pickle.dumps(value, protocol=2))


def zip_bomb(file: Path, rng: random.Random) -> None:
    """Little on the disk, much in memory: compressed zeros, or a header that claims them."""
    header = np.lib.format.magic(1, 0)
    shape = rng.choice(((2**15, 2**15), (2**60, 4), (10**30,), (-1, 4)))
    text = str({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    with zipfile.ZipFile(file, "w", rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as archive:
        for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold"):
            body = header + len(text).to_bytes(2, "little") + text
            archive.writestr(f"{name}.npy", body + bytes(2**24 if archive.compression else 64))
        archive.writestr("archive/data.pkl", rng.choice((b"", b"(" * 10**6, bytes(2**24))))


def deep_header(file: Path, rng: random.Random) -> None:
    text = rng.choice(("(" * 9000, "{'shape': " * 900, '{"a":' * 40_000, "[" * 10**6)).encode()
    if file.suffix == ".safetensors":
        file.write_bytes(rng.choice((len(text), 2**62, 10**7)).to_bytes(8, "little") + text)
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("W_enc.npy", np.lib.format.magic(1, 0) + (len(text) % 65536).to_bytes(2, "little") + text)


Damage = Callable[[Path, random.Random], None]
ANYWHERE: tuple[Damage, ...] = (
    *(flip_bits, flip_bits, flip_bits_in_front, flip_bits_in_front, truncate, random_bytes, cut_or_insert, other_file),
    *(folder_instead, pipe_instead, device_instead, link_loop, missing),
)
OF_CONFIGURATIONS: tuple[Damage, ...] = (deep, deep, long_text, odd_setting, odd_setting, odd_setting, odd_setting)
BY_SUFFIX: dict[str, tuple[Damage, ...]] = {
    ".json": OF_CONFIGURATIONS,
    ".yaml": OF_CONFIGURATIONS,
    ".safetensors": (odd_safetensors, odd_safetensors, odd_safetensors, deep_header),
    ".npz": (zip_bomb, zip_bomb, deep_header),
    ".pt": (odd_pickle, odd_pickle, odd_pickle, odd_pickle, zip_bomb),
}


def damaged(seed: int, folder: Path) -> tuple[Path, str]:
    """A damaged checkpoint in ``folder``, decided by ``seed``: its path, and what was done to it."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    name = CHECKPOINTS[seed % len(CHECKPOINTS)]
    path = copy_of(name, folder)
    file = rng.choice(sorted(path.iterdir())) if path.is_dir() else path
    if file.name == "layer_0.safetensors":
        file = file.with_name("layer_1.safetensors")
    damage = rng.choice(ANYWHERE + BY_SUFFIX[file.suffix])
    damage(file, rng)
    return path, f"{name}/{file.name}: {damage.__name__}"


def outcome(path: Path) -> str:
    """How ``load_transcoder`` takes a checkpoint: "refused", "read", "hang", or the traceback of anything else."""

    def hangs(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        transcoder = load_transcoder(path, 1)
        output = transcoder(torch.randn(3, transcoder.up_proj.in_features))
        assert output.shape == (3, transcoder.down_proj.out_features)
        return "read"
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500, str(error)[:1500]
        return "refused"
    except KeyboardInterrupt:
        return "hang"
    except BaseException:
        return traceback.format_exc()[-1500:]
    finally:
        signal.alarm(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1600)
    parser.add_argument("--address_space_gib", type=float, default=4.0, help="limit of the process's memory, mapped or used")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (int(arguments.address_space_gib * 2**30),) * 2)
    counts, kinds = Counter[str](), Counter[str]()
    outcome(FIXTURES / "saelens_transcoder")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(arguments.files):
        with tempfile.TemporaryDirectory() as folder:
            path, what = damaged(seed, Path(folder))
            found = outcome(path)
            if (path.parent / "exploded").exists():
                found = "code ran"
        if found not in ("refused", "read"):
            sys.stderr.write(f"{seed} {what}: {found}\n")
        elif found == "read" and what.startswith(OURS):
            sys.stderr.write(f"{seed} {what}: ours was damaged and read\n")
        counts[found if len(found) < 20 else "traceback"] += 1
        kinds[what.partition(": ")[2]] += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(dict(counts), dict(kinds), f"peak memory grew by {grown:.0f} MiB")


if __name__ == "__main__":
    main()
