"""What every loader asks of a checkpoint's files, settings and tensors. A damaged or hostile file is refused in one sentence, in bounded
time and memory, whatever it holds."""

import json
import pickletools
import re
import reprlib
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from huggingface.transcoder import Sites
from util.errors import CheckpointError
from util.files import check_description

CONFIG_BYTES = {"JSON": 2**20, "YAML": 2**16}
"""A longer configuration file is refused before it is read: parsing takes a hundred times its size, and YAML a minute a megabyte."""

HEADER_BYTES = 2**22
"""The same for the list of tensors at the beginning of a safetensors file."""

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

INFLATION = 8
"""Arrays of an archive may be so many times as large as the file. Weights hardly compress; a bomb does a thousandfold."""

_NEEDED = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(?:tensor(?:_v2)?|parameter)|torch \w+Storage|torch (?:device|b?float\d+|u?int\d+|bool)"
)
"""What the pickle of a state dict names. PyTorch's safe unpickler knows more, by which a few bytes fill all memory."""

_REPR = reprlib.Repr()
_REPR.maxlevel = 2


def shown(value: object) -> str:
    """A value of a checkpoint for a sentence: short, however large or deep it is."""
    try:
        return _REPR.repr(value)[:200]
    except ValueError:
        # Python writes no numbers of thousands of digits.
        return f"a very large {type(value).__name__}"


def regular_file(path: Path) -> Path:
    """``path``, if a file of data is there: reading a pipe would wait for ever, and a device never end.

    Raises:
        CheckpointError: if it is missing or something else.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CheckpointError(f"Cannot read {path} ({error.strerror}); the transcoder is not whole, fetch it again.") from error
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{path} is no file of data but a {'folder' if stat.S_ISDIR(mode) else 'pipe or device'}; give the transcoder's own.")
    return path


def read_config(path: Path) -> Any:
    """The value of a configuration file, YAML or JSON by its suffix.

    Raises:
        CheckpointError: if it is missing, too long or broken.
    """
    kind = "YAML" if path.suffix == ".yaml" else "JSON"
    if (size := regular_file(path).stat().st_size) > (limit := CONFIG_BYTES[kind]):
        raise CheckpointError(f"{path} is {size} bytes long, too long for a configuration ({limit} at most); fetch it again.")
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.load(text, _Yaml) if kind == "YAML" else json.loads(text)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        # The YAML library raises what its conversions of dates and numbers raise.
        raise CheckpointError(f"{path} is not valid {kind} ({type(error).__name__}); fetch it again.") from error


class _Yaml(yaml.SafeLoader):
    """YAML without aliases: nine of nine of nine … fill any memory from a few bytes, and no configuration needs one."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases")
        return super().compose_node(parent, index)


def read_safetensors(path: Path, remedy: str = "the transcoder is not whole, fetch it again") -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped from it; changing one does not change the file.

    Args:
        remedy: what to say behind the reason where it cannot be read.

    Raises:
        CheckpointError: if the file is missing or broken.
    """
    try:
        with open(regular_file(path), "rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if HEADER_BYTES < header < path.stat().st_size:
            raise CheckpointError(f"{path} begins with a list of tensors of {header} bytes ({HEADER_BYTES} at most are read); {remedy}.")
        return load_file(path)
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        # Beside its own error the library raises what building a tensor of an exotic type raises.
        raise CheckpointError(f"Cannot read {path} ({_short(error)}); {remedy}.") from error


def check_archive(path: Path) -> None:
    """Refuse a zip archive (``.pt``, ``.npz``) with changed bits, or that inflates to many times its size.

    Raises:
        CheckpointError: naming the file.
    """
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            size = sum(part.file_size for part in archive.infolist())
            if size > INFLATION * path.stat().st_size:
                raise CheckpointError(f"{path} would take {size} bytes unpacked, {INFLATION} times its size at most is read; it is no transcoder.")
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise CheckpointError(f"Cannot read {path} safely: it is broken ({_short(error)}); fetch it again.") from error
    if damaged:
        raise CheckpointError(f"Cannot read {path} safely: {damaged} in it has changed since it was written; fetch it again.")


def check_pickle(path: Path, also: str = "") -> None:
    """Refuse a file of ``torch.save`` whose pickles name more than the tensors of a state dict need.

    Args:
        also: what else they may name, as "module name".

    Raises:
        ValueError: if one does, or is none; or as ``zipfile`` does.
    """
    for file in _pickles(path):
        for opcode, name, _ in pickletools.genops(file):
            if opcode.name in ("GLOBAL", "STACK_GLOBAL", "INST") and name != also and not _NEEDED.fullmatch(str(name)):
                raise ValueError(f"it names {shown(name)}, which no tensor needs")


def _pickles(path: Path) -> Iterator[BinaryIO | bytes]:
    """The pickles of a file of ``torch.save``: one in an archive, five in a file of former times."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    else:
        with open(path, "rb") as file:
            yield from [file] * 5


def _short(error: BaseException) -> str:
    """The first line of an error's text, cut."""
    return shown(str(error).strip().partition("\n")[0])[1:-1] or type(error).__name__


def setting(path: Path, config: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    """``config[key]`` of the configuration file ``path``.

    Raises:
        CheckpointError: if it is missing or not of type ``kind``.
    """
    if not isinstance(config, Mapping) or key not in config:
        raise CheckpointError(f"{path} lacks the setting {key}: it is not whole, or of another format.")
    value = config[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise CheckpointError(f"{path} has {key} {shown(value)}, where a value of type {names} is expected.")
    return value


def check_tensors(
    path: Path, tensors: Mapping[str, Tensor], dimensions: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int] | None = None
) -> None:
    """Refuse tensors that are missing, unknown, of a wrong shape, larger than what is stored of them, or not finite.

    Args:
        path: the file they come from.
        dimensions: the names of each tensor's dimensions, e.g. ``{"W_enc": ("d_in", "d_sae")}``; equal names mean equal sizes.
        sizes: dimensions whose size the configuration says.

    Raises:
        CheckpointError: naming the file and the tensor.
    """
    if missing := dimensions.keys() - tensors.keys():
        raise CheckpointError(f"The transcoder {path} lacks the tensors {', '.join(sorted(missing))}: not whole, or of another format.")
    if extra := tensors.keys() - dimensions.keys():
        raise CheckpointError(f"The transcoder {path} has unknown tensors ({', '.join(sorted(map(str, extra)))[:200]}); it is of another format.")
    known = dict(sizes or {})
    for name, names in dimensions.items():
        tensor = tensors[name]
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta or tensor.dtype not in DTYPES:
            raise CheckpointError(f"{name} of the transcoder {path} is no plain tensor of real numbers.")
        fits = tensor.ndim == len(names) and all(known.setdefault(key, size) == size for key, size in zip(names, tensor.shape))
        if not fits:
            expected = ", ".join(f"{key}={shown(known[key])}" if key in known else key for key in names)
            raise CheckpointError(f"{name} of the transcoder {path} has shape {list(tensor.shape)}, not [{expected}].")
        # A view that repeats one number can claim any size.
        if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{name} of the transcoder {path} is larger than what is stored of it; fetch it again.")
        # The extremes are NaN if any number is, and finding them takes no second copy of the tensor.
        if not tensor.numel() or not torch.stack(torch.aminmax(tensor)).float().isfinite().all():
            raise CheckpointError(f"{name} of the transcoder {path} is empty, or holds NaN or infinite numbers; train or fetch it again.")


def checked_k(path: Path, k: int, n_features: int) -> int:
    """The ``k`` of a TopK.

    Raises:
        CheckpointError: unless it is from 1 to the number of features.
    """
    if not 1 <= k <= n_features:
        raise CheckpointError(f"{path} says that k is {shown(k)}, but the transcoder has {n_features} features; k must be from 1 to that.")
    return k


def named_sites(path: Path, config: Any, keys: tuple[str, str], default: Sites) -> Sites:
    """The sites under ``keys`` of ``config``; of ``default`` where it names none.

    Raises:
        CheckpointError: if one is no text, or ``config`` holds no settings.
    """
    if not isinstance(config, Mapping):
        raise CheckpointError(f"{path} has {shown(config)} in the place of the settings that say where it reads and writes.")
    names = (name if config.get(key) is None else setting(path, config, key, str) for key, name in zip(keys, (default.reads, default.writes)))
    return Sites(*names)


def check_digest(path: Path, config: Mapping[str, Any], weights: Path) -> None:
    """Refuse a transcoder of ours whose configuration or weights are not those that were saved together.

    Args:
        path: the configuration's file.
        config: its content; one of another library has no digest.

    Raises:
        CheckpointError: naming both files.
    """
    check_description(path, config, regular_file(weights), "transcoders", "fetch or save them again")
