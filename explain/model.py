"""The model of an edit or a run, with its transcoder in place for a while."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from huggingface.transcoder import Transcoder


@contextmanager
def loaded_model(
    flags: Mapping[str, Any], model_and_tokenizer: "tuple[PreTrainedModel, PreTrainedTokenizerFast] | None" = None
) -> "Iterator[tuple[PreTrainedModel, PreTrainedTokenizerFast, Transcoder | None]]":
    """The model, its tokenizer and the transcoder that stands in its layer while open; None where its own MLP does.

    Args:
        flags: those of a run by name, as in ``run.json``: MODEL_NAME and layer_num, and others where they are not the defaults.
        model_and_tokenizer: the model without the transcoder, if it is loaded already; it is left as it is.

    Raises:
        UserError: if one of them cannot be loaded.
    """
    from huggingface.load import load_model_and_tokenizer
    from huggingface.loaders import load_transcoder
    from huggingface.transcoder import Sites
    from huggingface.transcoder_adapter import spliced

    layer, file = flags["layer_num"], flags.get("TC_layer_file")
    model, tokenizer = model_and_tokenizer or load_model_and_tokenizer(
        flags["MODEL_NAME"],
        flags.get("device", "auto"),
        flags.get("dtype", "float32"),
        flags.get("device_map"),
        flags.get("trust_remote_code", False),
    )
    transcoder = load_transcoder(file, layer) if file else None
    if transcoder is not None and flags.get("TC_sites"):
        transcoder.sites = Sites(*flags["TC_sites"])
    with spliced(model, layer, transcoder) if transcoder is not None else nullcontext():
        yield model, tokenizer, transcoder
