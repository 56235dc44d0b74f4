"""Arrays in safetensors files that are known to be whole: written atomically, with a checksum."""

import json
import logging
import zlib
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from util.files import write_atomically

logger = logging.getLogger(__name__)


class DamagedFile(Exception):
    """A file of the cache that is not what was written."""


def save_arrays(path: Path, arrays: dict[str, numpy.ndarray], **values: int | float) -> None:
    """Write arrays and numbers to one safetensors file, atomically, with a checksum."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    # One entry only: safetensors writes several in any order, and the same command shall write the same bytes.
    metadata = {"values": json.dumps(values | {"crc32": _checksum(tensors)})}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))


def load_arrays(path: Path) -> tuple[dict[str, numpy.ndarray], dict[str, Any]]:
    """What ``save_arrays`` wrote; the arrays are read from the disk as they are used.

    Raises:
        DamagedFile: if a byte is missing or wrong.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            values = json.loads(file.metadata()["values"])
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise DamagedFile(str(error)) from error
    if _checksum(tensors) != values.pop("crc32", None):
        raise DamagedFile("its checksum is wrong")
    return {name: tensor.numpy() for name, tensor in tensors.items()}, values


def _checksum(tensors: dict[str, Tensor]) -> int:
    crc = 0
    for _, tensor in sorted(tensors.items()):
        crc = zlib.crc32(tensor.numpy().data, crc)
    return crc


def load_or_none(path: Path, what: str) -> tuple[dict[str, numpy.ndarray], dict[str, Any]] | None:
    """The file's content, or None where there is none or it is damaged, which is said."""
    if not path.is_file():
        return None
    try:
        return load_arrays(path)
    except DamagedFile as error:
        logger.warning("The cached %s %s is damaged (%s); making it again", what, path, error)
        return None
