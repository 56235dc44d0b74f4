"""A causal language model and its tokeniser, ready to be measured, edited and asked."""

import argparse
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from huggingface.architectures import architecture_of
from huggingface.config import LoadingConfig, check_model_name, loading_flags
from util.errors import CheckpointError, UserError
from util.hub import check_on_hub

logger = logging.getLogger(__name__)


def load_model_and_tokenizer(
    name: str,
    device: str = "auto",
    dtype: str = "float32",
    device_map: str | None = None,
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Load a model in evaluation mode and its fast tokeniser with a padding token, padding on the left.

    Args:
        name: a folder in Hugging Face's format, or a model's name on the hub.
        device: "auto" (a GPU if there is one), or a torch device such as "cpu" or "cuda:1"; not used with ``device_map``.
        dtype: "float32", "float16" or "bfloat16".
        device_map: Hugging Face's map over several devices, e.g. "auto"; nothing may be left over for the disk.
        trust_remote_code: whether code that comes with the checkpoint may run.

    Raises:
        UserError: for a model that is not there, too large for the devices or of an unknown architecture, or a tokeniser without
            character offsets.
        CheckpointError: for files that cannot be read as a model.
    """
    if not Path(name).is_dir():
        check_model_name(name)
        check_on_hub(name, "model", "--MODEL_NAME")
    disable_progress_bar()  # of loading weights, which takes seconds
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            name, dtype=getattr(torch, dtype), device_map=device_map, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
            raise CheckpointError(f"The folder {name} holds no model: there is no config.json in it; give a model's own folder.") from error
        first_line = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"Cannot load the model {name}: {first_line} Is it whole, or a hub name that you can reach?") from error
    if any(parameter.is_meta for parameter in model.parameters()):
        raise UserError(
            f"The model {name} does not fit: --device_map {device_map} leaves part of it on the CPU or the disk, where it cannot be edited; use "
            "--dtype bfloat16, or more or larger devices."
        )
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UserError(f"The tokeniser of {name} has no character offsets (it is not a fast one); give a model with a tokenizer.json.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    tokenizer.padding_side = "left"
    architecture_of(model)
    if device_map is None:
        device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        try:
            model.to(device)  # type: ignore[arg-type]  # transformers wraps it, which hides that it is a method
        except (RuntimeError, AssertionError) as error:
            first_line = str(error).partition("\n")[0]
            raise UserError(f"The model cannot be put on --device {device}: {first_line}") from error
    logger.info("Loaded %s: %s, %.1f million parameters", name, type(model).__name__, model.num_parameters() / 1e6)
    return model.eval(), tokenizer


def load_asked(
    arguments: argparse.Namespace, device: str | None = None, device_map: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """``load_model_and_tokenizer`` as the flags of ``add_model_flags`` say.

    Args:
        device: instead of theirs.
    """
    how = LoadingConfig(**loading_flags(arguments))
    return load_model_and_tokenizer(arguments.MODEL_NAME, device or how.device, how.dtype, device_map, how.trust_remote_code)
