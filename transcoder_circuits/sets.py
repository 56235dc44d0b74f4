"""Several layers' transcoders, by layer: from folders, or from a list in the order of the layers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface.loaders import load_transcoder
from huggingface.sites import declared_layer
from huggingface.transcoder import CONFIG_FILE, Transcoder
from util.errors import CheckpointError, UserError
from util.files import read_json

Transcoders = Mapping[int, Transcoder] | Sequence[Transcoder]
"""By layer; a sequence begins with layer 0."""


def by_layer(transcoders: Transcoders) -> dict[int, Transcoder]:
    """Transcoders by their layer."""
    return dict(sorted(transcoders.items())) if isinstance(transcoders, Mapping) else dict(enumerate(transcoders))


def transcoder_of(transcoders: Mapping[int, Transcoder], layer: int | None) -> tuple[int, Transcoder]:
    """The transcoder of a layer, the last one's if none is named, with its layer.

    Raises:
        UserError: if the layer has none.
    """
    layer = max(transcoders) if layer is None else layer
    if layer not in transcoders:
        raise UserError(f"There is no transcoder for layer {layer}; there are some for {', '.join(map(str, transcoders))}.")
    return layer, transcoders[layer]


def load_transcoders(folders: Sequence[str | Path]) -> dict[int, Transcoder]:
    """The transcoders in some folders: each is one transcoder that says its layer, or holds a folder ``layer_N`` for each.

    Raises:
        CheckpointError: if one is not there or damaged, does not say its layer, or a layer is there twice.
    """
    found: dict[int, Transcoder] = {}
    for folder in map(Path, folders):
        for path, layer in _places(folder):
            if layer in found:
                raise CheckpointError(f"There are two transcoders of layer {layer}, the second in {path}; leave one out.")
            found[layer] = load_transcoder(path, layer)
    if not found:
        raise CheckpointError("No transcoder is given; name folders of transcoders with --transcoders.")
    return dict(sorted(found.items()))


def _places(folder: Path) -> list[tuple[Path, int]]:
    """Where the transcoders in ``folder`` are, with their layers."""
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder of transcoders {folder}; give one with --transcoders.")
    if not (folder / CONFIG_FILE).is_file():
        parts = sorted(part for part in folder.glob("layer_*") if part.name.removeprefix("layer_").isdigit())
        if not parts:
            raise CheckpointError(f"{folder} holds no transcoder: neither {CONFIG_FILE} nor folders layer_0, layer_1, ...; give another.")
        return [(part, int(part.name.removeprefix("layer_"))) for part in parts]
    config = read_json(folder / CONFIG_FILE, "the transcoder's configuration")
    metadata = config.get("metadata") if isinstance(config, dict) else None
    layer = metadata.get("hook_layer") if isinstance(metadata, dict) else None
    layer = declared_layer(load_transcoder(folder).sites) if layer is None else layer
    if not isinstance(layer, int):
        raise CheckpointError(f"The transcoder {folder} does not say its layer; put it into a folder named layer_N.")
    return [(folder, layer)]
