"""The small program that calls one Python function of a dataset, for `python_oracle`, which starts it by path under limits.

It reads the job (``source``, ``name``, ``inputs``) from job.json and writes JSON lines to descriptor 3: one when it has started, then one
for each call, ``{"value": …}`` or ``{"failure": …}``. All calls are made twice, each time by a fresh copy of the code.
"""

import copy
import json
import os
from pathlib import Path
from typing import Any

_OUTPUT = 3
_MOST_CHARACTERS = 1 << 20


def main() -> None:
    """Make all calls of the job."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    _say({"started": True})
    for _ in range(2):
        try:
            names: dict[str, Any] = {"__name__": "gold"}
            exec(compile(job["source"], "gold.py", "exec"), names)
            function = names[job["name"]]
        except BaseException as error:
            _say({"problem": f"its Python cannot be run: {type(error).__name__}: {error}"[:300]})
            return
        for row in copy.deepcopy(job["inputs"]):
            _say(_answer(function, row))


def _answer(function: Any, row: list[Any]) -> dict[str, Any]:
    try:
        value = function(*row)
    except BaseException as error:
        return {"failure": f"raises {type(error).__name__}"}
    try:
        if not _is_plain(value):
            return {"failure": f"returns a {type(value).__name__}"}
        return {"value": value} if len(json.dumps(value)) <= _MOST_CHARACTERS else {"failure": "returns more than 1 MiB"}
    except ValueError:  # Python's limit on the digits of a number
        return {"failure": "returns a number of more than 4300 digits"}
    except RecursionError:
        return {"failure": "returns lists nested too deeply"}


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return type(value) in (bool, int, float, str, type(None))


def _say(line: dict[str, Any]) -> None:
    data = json.dumps(line).encode() + b"\n"
    while data:
        data = data[os.write(_OUTPUT, data) :]


if __name__ == "__main__":
    main()
