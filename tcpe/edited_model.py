"""An edited model in a folder: written whole or as an update and what it belongs to, loaded in two lines, saved again, bridged."""

import copy
import os
import shutil
import tempfile
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcpe.saved import UPDATE
from util.errors import CheckpointError, UserError
from util.files import read_json, write_json

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from huggingface.transcoder import Transcoder
    from tcpe.update import AnyEdit

EDITED_FILE = "edited.json"
"""In a folder that ``save_edited`` wrote: how to load it."""

BASE = "model_without_transcoder"
"""In a whole folder with a transcoder: the rest of the model. Above it lies nothing that transformers could take for a model."""

_SPLICED = "_spliced_transcoder"
"""The attribute of a loaded model with a transcoder that holds its ``_Spliced``."""


@dataclass
class _Spliced:
    """What saving or bridging a loaded model with a transcoder needs.

    Attributes:
        layer: where the transcoder stands.
        own: the modules that stood there, by their place in the layer.
    """

    layer: int
    own: "dict[str, nn.Module]"
    tokenizer: "PreTrainedTokenizerFast"
    description: dict[str, Any]


def save_edited(
    folder: str | Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    edits: "Sequence[AnyEdit]",
    *,
    model_name: str,
    transcoder_file: str | None = None,
    sites: Sequence[str] = (),
    full: bool = False,
    other_model: bool = False,
) -> None:
    """Write an edited model to ``folder``, whole or not at all; the model is left as it is.

    Args:
        model: without the transcoder, as ``model_name`` loads.
        edits: of one layer.
        transcoder_file: the transcoder that the edits are of; without it they are of the layer's own MLP.
        sites: where that reads and writes, if not where its checkpoint says.
        full: write the edited weights themselves, not the merged update and what it belongs to. An edit of the MLP is then a folder that
            ``AutoModelForCausalLM`` loads edited. With a transcoder, which transformers has no place for, it refuses the folder by a
            sentence that names ``load_edited``; in it lie the edited transcoder and the rest of the model.

    Raises:
        UserError: if the folder holds something, or cannot be written to.
        EditError: if an edit does not fit the model.
    """
    from huggingface.transcoder_adapter import spliced
    from tcpe.update import applied, check_fits, merge

    folder, merged = Path(folder).absolute(), merge(edits)
    layer = merged.layer
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already and not empty; give another folder.")
    transcoder = _load_transcoder(transcoder_file, layer, sites) if transcoder_file else None
    description = {
        "MODEL_NAME": _absolute(model_name),
        "layer_num": layer,
        "TC_layer_file": _absolute(transcoder_file) if transcoder_file else None,
        "TC_sites": list(sites),
        "dtype": str(model.dtype).removeprefix("torch."),
        "other_model": other_model,
    }
    with _whole_folder(folder) as temporary:
        with spliced(model, layer, transcoder) if transcoder is not None else nullcontext():
            check_fits(edits[0].update, model, layer, other_model)  # which knows what it was made with; the others are of the same
            if not full:
                merged.save(temporary / UPDATE)
            else:
                with applied(model, [merged], other_model):
                    if transcoder is None:
                        model.save_pretrained(temporary)
                    else:
                        transcoder = copy.deepcopy(_transcoder_of(model, layer))
        if full and transcoder is not None:
            _write_with_transcoder(temporary, model, tokenizer, transcoder, description)
            return
        if full:
            tokenizer.save_pretrained(temporary)
            description["MODEL_NAME"] = "."
        write_json(temporary / EDITED_FILE, description)


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder``, which takes its place at the end, or is gone after an error.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise UserError(f"Cannot write {folder}: {error.strerror}; give a folder that you may write to.") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.replace(folder)
    except NotImplementedError as error:
        raise UserError(f"The edited transcoder cannot be saved: {error} Leave out --save_full.") from error
    except OSError as error:
        raise UserError(f"Cannot write {folder}: {error.strerror or error}; give another folder, or free some space.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_with_transcoder(
    folder: Path, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", transcoder: "Transcoder", description: dict[str, Any], **sizes: Any
) -> None:
    """Write ``model``, its own modules in place, and an edited transcoder for it; by the configuration above, transformers refuses both."""
    from huggingface.transcoder import save_transcoder

    layer = description["layer_num"]
    description = description | {"MODEL_NAME": BASE, "TC_layer_file": f"transcoder_layer_{layer}", "TC_sites": []}
    save_transcoder(transcoder, folder / description["TC_layer_file"], hook_layer=layer)
    model.save_pretrained(folder / BASE, **sizes)
    tokenizer.save_pretrained(folder / BASE)
    kind = f"{model.config.model_type} with an edited transcoder in the place of the MLP of layer {layer}, for tcpe.edits.load_edited"
    write_json(folder / "config.json", {"model_type": kind})
    write_json(folder / EDITED_FILE, description)


def _absolute(name: str) -> str:
    """A path that holds from everywhere, or the hub's name as it is."""
    return str(Path(name).resolve()) if os.path.exists(name) else name  # noqa: PTH110 - a hub name is no path


def _load_transcoder(path: str, layer: int, sites: Sequence[str]) -> "Transcoder":
    """The transcoder of a layer, reading and writing at ``sites`` if they are given."""
    from huggingface.loaders import load_transcoder
    from huggingface.transcoder import Sites

    transcoder = load_transcoder(path, layer)
    if sites:
        transcoder.sites = Sites(*sites)
    return transcoder


def load_edited(
    folder: str | Path, device: str = "auto", dtype: str | None = None, device_map: str | None = None, trust_remote_code: bool = False
) -> "tuple[PreTrainedModel, PreTrainedTokenizerFast]":
    """The edited model that ``save_edited`` wrote, with its transcoder in place, and its tokenizer.

    With a transcoder, the model's ``save_pretrained`` writes a whole folder for this function, as ``save_edited`` does.

    Args:
        device, device_map, trust_remote_code: as in ``load_model_and_tokenizer``.
        dtype: by default the one that it was saved in, which gives the very same weights.

    Raises:
        UserError: if ``folder`` is none of its folders, or something that it needs is gone or another.
    """
    from huggingface.load import load_model_and_tokenizer
    from huggingface.transcoder_adapter import splice_transcoder
    from tcpe.update import MergedUpdate, apply

    folder = Path(folder)
    if not (folder / EDITED_FILE).is_file():
        raise UserError(f"{folder} holds no edited model ({EDITED_FILE}); give a folder that python -m tcpe.edits apply or save_edited has written.")
    description = read_json(folder / EDITED_FILE, "the edited model")
    try:
        keys = ("MODEL_NAME", "layer_num", "TC_layer_file", "TC_sites", "dtype", "other_model")
        name, layer, transcoder, sites, saved, other_model = (description[key] for key in keys)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / EDITED_FILE} is not whole ({error}); save it again.") from error
    full = name in (".", BASE)
    if full:
        name, transcoder = str(folder / name), transcoder and str(folder / transcoder)
    model, tokenizer = load_model_and_tokenizer(name, device, dtype or saved, device_map, trust_remote_code)
    if transcoder:
        own = splice_transcoder(model, layer, _load_transcoder(transcoder, layer, sites))
        setattr(model, _SPLICED, _Spliced(layer, own, tokenizer, description))
        # A method, so that a copy of the model saves itself and not the original.
        model.save_pretrained = types.MethodType(_save_pretrained, model)  # type: ignore[method-assign]
    if not full:
        apply(model, [MergedUpdate.load(folder / UPDATE)], other_model)
    return model, tokenizer


def _transcoder_of(model: "PreTrainedModel", layer: int) -> "Transcoder":
    """The transcoder that stands in a layer."""
    from huggingface.architectures import mlp_of
    from huggingface.transcoder import Transcoder

    transcoder = mlp_of(model, layer)
    assert isinstance(transcoder, Transcoder)
    return transcoder


def _put(model: "PreTrainedModel", layer: int, modules: "dict[str, nn.Module]") -> "dict[str, nn.Module]":
    """Put modules in their places in a layer; gives those that were there."""
    from huggingface.architectures import layer_of

    module = layer_of(model, layer)
    there = {place: module.get_submodule(place) for place in modules}
    for place, part in modules.items():
        module.set_submodule(place, part)
    return there


def _save_pretrained(model: "PreTrainedModel", save_directory: str | Path, *, max_shard_size: int | str = "50GB", **options: Any) -> None:
    """``save_pretrained`` of a loaded model with a transcoder: a whole folder for ``load_edited``.

    Args:
        max_shard_size: of the files of the model without the transcoder; transformers' ``push_to_hub`` gives it.

    Raises:
        UserError: for other options, which have no meaning for such a folder, or if it cannot be written or holds something.
    """
    # Of the switches only this one asks for something else than a folder.
    given = [name for name, value in options.items() if not (value is None or isinstance(value, bool)) or (name == "push_to_hub" and value)]
    if given:
        raise UserError(f"A model with a transcoder is saved whole, without {', '.join(given)}; leave that out.")
    folder, spliced = Path(save_directory).absolute(), getattr(model, _SPLICED)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already and not empty; give another folder.")
    description = spliced.description | {"dtype": str(model.dtype).removeprefix("torch.")}
    transcoder = _transcoder_of(model, spliced.layer)
    plain = copy.copy(model)
    del plain.save_pretrained
    there = _put(model, spliced.layer, spliced.own)
    try:
        with _whole_folder(folder) as temporary:
            _write_with_transcoder(temporary, plain, spliced.tokenizer, transcoder, description, max_shard_size=max_shard_size)
    finally:
        _put(model, spliced.layer, there)


def bridge_edited(folder: str | Path, device: str = "auto", dtype: str | None = None) -> Any:
    """TransformerLens's ``TransformerBridge`` of the edited model in ``folder``: it computes what ``load_edited``'s model does.

    Raises:
        UserError: as ``load_edited``, or if the bridge does not know the model or has no hook point at the transcoder's sites.
    """
    from huggingface.bridge import bridge_spliced

    model, tokenizer = load_edited(folder, device, dtype)
    spliced = getattr(model, _SPLICED, None)
    return bridge_spliced(model, tokenizer, *((spliced.layer, spliced.own) if spliced else (0, {})))
