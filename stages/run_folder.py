"""The folder of a run: what made it, and whether what lies there may be continued."""

import hashlib
import json
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages.config import RunConfig, run_flags
from tcpe.saved import UPDATE
from util.errors import UserError
from util.files import read_json, write_json

RUN_FILE, TRANSLATIONS, TIMING = "run.json", "translations", "timing.json"


def open_run(config: RunConfig, content: dict[str, Any]) -> None:
    """Write ``run.json``, unless the folder holds a run that was made from something else.

    Args:
        content: JSON values that stand for the content of everything that the run reads: model, requests, updates, functions.

    Raises:
        UserError: if it does and ``invalidate_cache`` is not set; nothing is changed then.
    """
    continued: dict[str, Any] = {}
    flags = run_flags(config)
    decisive = {"stage": config.alg_name, "layer": config.model.layer_num, **{name: flags[name] for name in config.method.decides}, **content}
    fingerprints = {name: hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16] for name, value in decisive.items()}
    path, translations = config.output / RUN_FILE, config.output / TRANSLATIONS
    if config.invalidate_cache:
        shutil.rmtree(translations, ignore_errors=True)
        for update in config.output.glob(f"{UPDATE}.*"):
            update.unlink()
        (config.output / TIMING).unlink(missing_ok=True)
    elif path.is_file():
        continued = read_json(path, "the run's description")
        found = continued.get("made_from", {})
        if different := sorted(name for name in found.keys() | fingerprints.keys() if found.get(name) != fingerprints.get(name)):
            raise UserError(
                f"{config.output} holds a run with another {', '.join(different)}; give another --output_file_path, or "
                "--invalidate_cache to throw that run away."
            )
    elif translations.is_dir() and any(translations.iterdir()):
        raise UserError(f"{translations} holds translations of unknown origin; give another --output_file_path, or --invalidate_cache.")
    # A continued run keeps what began it; the code that goes on is added where it is another.
    code = {"versions": _versions(), "git_revision": _git_revision()}
    began = {name: continued.get(name, value) for name, value in code.items()}
    later = continued.get("continued_with", [])
    if code != (later[-1] if later else began):
        later = [*later, code]
    description = {"made_from": fingerprints, "config": flags, **began}
    write_json(path, description | ({"continued_with": later} if later else {}))


def write_timing(config: RunConfig, seconds: dict[str, float]) -> None:
    """Write the seconds of each step to ``timing.json``; a step that an earlier call of the same run has done keeps its seconds."""
    path = config.output / TIMING
    earlier = read_json(path, "the run's timing") if path.is_file() else {}
    write_json(path, seconds | earlier)


def _versions() -> dict[str, str]:
    """Of what decides numbers."""
    packages = ("torch", "transformers", "tokenizers", "numpy")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


def _git_revision() -> str | None:
    """Of this code, or None where that is not known."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
