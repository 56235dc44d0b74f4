"""The small program that runs one judged Python translation, started by path in the sandbox (see `execution`).

It reads the job (``source``, ``name``, ``inputs``, ``sends_result``, ``arguments``) from job.json, which holds nothing that is expected,
and writes to descriptor 3: each value on a line of its own, and "end" behind the last. What ends the program goes to standard error.
"""

import json
import os
import struct
import sys

_OUTPUT = 3
_FILE = "translation.py"
_LONGEST = 1 << 20
"""Characters of a value's text; no expected value is as long."""


def main() -> int:
    """Run the job; the exit code."""
    with open("job.json", encoding="utf-8") as file:
        job = json.load(file)
    source = job["source"].encode("utf-8", "surrogateescape")
    try:
        code = compile(source, _FILE, "exec")
    except BaseException as error:
        _write("does not compile\n")
        sys.stderr.write(_words(error))
        return 1
    try:
        names: dict[str, object] = {"__name__": "translation", "__file__": _FILE}
        exec(code, names)
        function = names[job["name"]] if job["name"] in names else eval(job["name"], names)
        if not callable(function):
            raise TypeError(f"{job['name']} is no function")
        for row in job["inputs"]:
            value = function(*row)
            if job["sends_result"]:
                _write(_text(value) + "\n")
            for k in job["arguments"]:
                _write(_text(row[k]) + "\n")
        _write("end\n")
    except BaseException as error:
        sys.stderr.write(_words(error))
        return 1
    return 0


def _words(error: BaseException) -> str:
    """Type and text of an exception, behind its last place in the translation, as compilers word it."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) and error.filename == _FILE else None
    trace = error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == _FILE else line
        trace = trace.tb_next
    said = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    place = f"{_FILE}({line}): " if line else ""
    return f"{place}Error: {type(error).__name__}{': ' * bool(said)}{said[:2000]}\n"


def _text(value: object) -> str:
    """A value as text: ``[`` and ``]`` around elements, ``n:`` and an integer, ``d:`` and the bits of a double, ``t:`` and UTF-8."""
    try:
        text = _unlimited(value)
    except (RecursionError, ValueError, OverflowError, UnicodeError):
        return "?"
    return text if len(text) <= _LONGEST else "?"


def _unlimited(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{''.join(map(_unlimited, value))}]"
    if isinstance(value, int):
        return f"n:{int(value)} " if -(1 << 64) < value < 1 << 64 else "? "
    if isinstance(value, float):
        return f"d:{struct.pack('>d', value).hex()} "
    return f"t:{value.encode().hex()} " if isinstance(value, str) else "? "


def _write(text: str) -> None:
    data = text.encode("ascii")
    while data:
        data = data[os.write(_OUTPUT, data) :]


if __name__ == "__main__":
    sys.exit(main())
