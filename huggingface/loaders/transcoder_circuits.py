"""Transcoders of transcoder_circuits: a ``.pt`` file with a pickled configuration object beside the state dict."""

import zipfile
from pathlib import Path

import torch

from huggingface.loaders.checks import check_archive, check_pickle, check_tensors, regular_file, setting
from huggingface.transcoder import Sites, Transcoder
from util.errors import CheckpointError

# A plain class of the configuration's module and name: the safe unpickler fills its attributes and runs no code of the file.
_CONFIG_STUB = type("LanguageModelSAERunnerConfig", (), {"__module__": "sae_training.config"})

DIMENSIONS = {"W_enc": ("d_in", "d_sae"), "b_enc": ("d_sae",), "W_dec": ("d_sae", "d_out"), "b_dec": ("d_in",), "b_dec_out": ("d_out",)}


def matches(path: Path) -> bool:
    """Whether ``path`` is a ``.pt`` file."""
    return path.is_file() and path.suffix == ".pt"


def load(path: Path, _layer: int | None) -> Transcoder:
    """Read ``{"cfg": LanguageModelSAERunnerConfig, "state_dict": …}``; ``b_dec`` is its input bias, ``b_dec_out`` its output bias.

    Raises:
        CheckpointError: for a file that names other classes or functions (none of them is run), is broken, does not say its sites, or
            does not fit together.
    """
    if is_archive := zipfile.is_zipfile(regular_file(path)):
        check_archive(path)
    try:
        check_pickle(path, also=f"{_CONFIG_STUB.__module__} {_CONFIG_STUB.__name__}")
        with torch.serialization.safe_globals([_CONFIG_STUB]):
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    except (Exception, MemoryError) as error:
        # What is no pickle, or half of one, raises whatever its bytes happen to say.
        raise CheckpointError(f"Cannot read {path} safely: it is broken, or holds more than tensors and settings.") from error
    if not isinstance(saved, dict) or not isinstance(saved.get("state_dict"), dict):
        raise CheckpointError(f"{path} is no transcoder of transcoder_circuits: it has no state_dict.")
    tensors, config = saved["state_dict"], saved.get("cfg")
    check_tensors(path, tensors, DIMENSIONS)
    config = vars(config) if isinstance(config, _CONFIG_STUB) else config
    sites = Sites(*(setting(path, config, key, str) for key in ("hook_point", "out_hook_point")))
    return Transcoder.from_matrices(tensors["W_enc"], tensors["b_enc"], tensors["W_dec"], tensors["b_dec_out"], tensors["b_dec"], sites=sites)
