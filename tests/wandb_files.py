"""What WandB's own file of an offline run holds, in WandB's messages."""

import json
import struct
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

BLOCK = 1 << 15


def _messages(content: bytes) -> list[bytes]:
    """The file is LevelDB's log behind a header of seven bytes."""
    assert content[:4] == b":W&B"
    place, message, found = 7, b"", []
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        if place + 7 + length > len(content):
            break
        message += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            found.append(message)
            message = b""
    return found


def records_of(folder: Path, without: Collection[str] = ()) -> list[Any]:
    """The records of the offline run in ``folder``, when they are whole: WandB's own process writes them, perhaps only now.

    Args:
        without: names of folders of earlier runs.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    deadline = time.monotonic() + 30
    while True:
        files = [path for path in folder.glob("wandb/offline-run-*/*.wandb") if path.parent.name not in without]
        records = [Record.FromString(message) for message in _messages(files[0].read_bytes())] if files else []
        if any(record.HasField("exit") for record in records):
            return records
        assert time.monotonic() < deadline
        time.sleep(0.1)


def record_of(records: list[Any], kind: str) -> Any:
    """The first record of a kind."""
    return next(getattr(record, kind) for record in records if record.HasField(kind))


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def history_of(records: list[Any]) -> dict[int, dict[str, Any]]:
    """What was logged, by its step, without WandB's own figures."""
    found = {}
    for record in records:
        if record.HasField("history"):
            values = _values(record.history.item)
            found[record.history.step.num] = {name: value for name, value in values.items() if not name.startswith("_")}
    return found


def figures_of(records: list[Any]) -> dict[str, Any]:
    """The figures of the run's summary that it was given."""
    found: dict[str, Any] = {}
    for record in records:
        if record.HasField("summary"):
            found |= _values(record.summary.update)
    return {name: value for name, value in found.items() if not name.startswith("_")}
