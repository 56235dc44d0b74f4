"""The rank-one update of a decoder weight: made from key and value, kept on disk, masked, applied and taken back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from huggingface.architectures import decoder_weight, down_projection
from tcpe.compute_v import Value
from util.errors import CheckpointError, EditError
from util.files import read_json, write_atomically, write_json

TENSORS = ("value_shift", "key_direction", "key", "weight_sample")
"""The vectors of an update, by the names of its file and its attributes."""

WEIGHT_SAMPLE_ENTRIES = 64
"""How many entries of the edited weight an update keeps, to know it again."""

WEIGHT_SAMPLE_TOLERANCE = 0.02
"""Relative to the largest entry of the sample; wide enough for the same weight in another dtype."""


@dataclass(frozen=True)
class RankOneUpdate:
    """One computed edit of one decoder weight, stored as its two factors.

    Attributes:
        value_shift: float32 [d_model], ROME's right vector r; the weight changes by ``outer(value_shift, key_direction)``.
        key_direction: float32 [n_features], unit length, ROME's left vector u: the key after the second-moment solve.
        key: float32 [n_features], activations k* at the token of the edit.
        weight_sample: float32 [at most 64], evenly spaced entries of the weight that the update was computed for.
        layer: the layer of that weight.
        details: how it was made; JSON values.
    """

    value_shift: Float[Tensor, " d_model"]
    key_direction: Float[Tensor, " n_features"]
    key: Float[Tensor, " n_features"]
    weight_sample: Float[Tensor, " entries"]
    layer: int
    details: dict[str, Any]

    def vectors(self) -> list[Float[Tensor, " n"]]:
        """The tensors that ``save`` keeps, in the order of ``TENSORS``."""
        return [getattr(self, name) for name in TENSORS]

    def save(self, path: str | Path) -> None:
        """Write ``{path}.safetensors`` (the vectors) and ``{path}.json`` (layer, widths, how it was made)."""
        tensors = {name: vector.contiguous() for name, vector in zip(TENSORS, self.vectors())}
        description = {"layer": self.layer, "d_model": len(self.value_shift), "n_features": len(self.key), **self.details}
        _with_suffix(path, ".json").unlink(missing_ok=True)  # so that a kill in between leaves no update rather than a mixture
        write_atomically(_with_suffix(path, ".safetensors"), lambda temporary: save_file(tensors, temporary))
        write_json(_with_suffix(path, ".json"), description)

    @classmethod
    def load(cls, path: str | Path) -> "RankOneUpdate":
        """Read what ``save`` wrote to ``path``.

        Raises:
            CheckpointError: if it is not there or not whole.
        """
        file = _with_suffix(path, ".safetensors")
        if not file.is_file():
            raise CheckpointError(f"There is no saved update {file}; make it with --alg_name TCPE_pre --save_k_v_upd.")
        details = read_json(_with_suffix(path, ".json"), "the saved update")
        try:
            tensors = load_file(file)
            layer = int(details.pop("layer"))
            sizes = [(details.pop("d_model"),), (details.pop("n_features"),)]
            vectors = [tensors[name] for name in TENSORS]
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"The saved update {file} is not whole ({error}); make it again with --alg_name TCPE_pre.") from error
        fits = [tuple(vector.shape) for vector in vectors[:3]] == [sizes[0], sizes[1], sizes[1]]
        if not fits or not all(vector.isfinite().all() for vector in vectors):
            raise CheckpointError(f"The vectors of {file} do not fit their description; make them again with --alg_name TCPE_pre.")
        return cls(*vectors, layer, details)


def _with_suffix(path: str | Path, suffix: str) -> Path:
    """``path`` with ``suffix`` behind it, dots in its name kept."""
    return Path(f"{path}{suffix}")


def make_update(
    model: PreTrainedModel,
    layer: int,
    key: Float[Tensor, " n_features"],
    direction: Float[Tensor, " n_features"],
    value: Value,
    **details: Any,
) -> RankOneUpdate:
    """The update after which the down projection maps ``key`` to ``value.target``: r = (v* - (W k* + b)) / (k* . u).

    The same averaged key stands on both sides, which is R-ROME's remedy against collapse after many edits.

    Raises:
        EditError: if the key has no part along its direction.
    """
    projection = down_projection(model, layer)
    weight = decoder_weight(projection)
    along = torch.dot(key.double(), direction.double())
    if along.abs() < torch.finfo(torch.float32).tiny:
        raise EditError("The key and its direction are orthogonal; give a larger --epsilon.")
    now = weight.cpu().double() @ key.double()
    if projection.bias is not None:
        now += projection.bias.detach().cpu().double()
    shift = ((value.target.double() - now) / along).float()
    return RankOneUpdate(shift, direction, key, _weight_sample(weight), layer, details)


def _weight_sample(weight: Float[Tensor, "d_out d_in"]) -> Float[Tensor, " entries"]:
    """Evenly spaced entries by which a weight is known again."""
    index = torch.linspace(0, weight.numel() - 1, WEIGHT_SAMPLE_ENTRIES, device=weight.device).long()
    return weight[index // weight.shape[1], index % weight.shape[1]].float().cpu()


def active_features(key: Float[Tensor, " n_features"], lim: float) -> Int[Tensor, " n_active"]:
    """Indices of the features that carry the edit: ``key > 0`` and ``key >= lim``; all of them for ``lim = -1``.

    Raises:
        EditError: if none is left, naming the largest activation, so that the caller can lower ``lim``.

    Source: TCPE, equation (1).
    """
    if lim == -1:
        return torch.arange(len(key))
    active = torch.nonzero((key > 0) & (key >= lim)).flatten()
    if not len(active):
        raise EditError(f"No feature reaches --lim {lim:g}: the largest activation is {key.max():.4g}; give a smaller --lim.")
    return active


@dataclass(frozen=True)
class Edit:
    """An update and how much of it is applied.

    Attributes:
        update: the whole update.
        lim: the columns of features with at least this activation are active; -1 means every column.
        decay: the update is divided by it.
        ablation: apply the columns that are not active instead.
    """

    update: RankOneUpdate
    lim: float = -1
    decay: float = 1
    ablation: bool = False

    def active(self) -> Int[Tensor, " n_active"]:
        """The active features, ascending."""
        return active_features(self.update.key, self.lim)

    def columns(self) -> Int[Tensor, " n_columns"]:
        """The columns of the weight that the edit changes, ascending."""
        active = self.active()
        if not self.ablation:
            return active
        kept = torch.ones(len(self.update.key), dtype=torch.bool)
        kept[active] = False
        return torch.nonzero(kept).flatten()


def check_fits(update: RankOneUpdate, model: PreTrainedModel, layer: int) -> None:
    """Refuse an update that was made for another layer, width or weight.

    Raises:
        EditError: saying which.
    """
    if update.layer != layer:
        raise EditError(f"The update was made for layer {update.layer}, not {layer}; give the --layer_num that belongs to it.")
    weight = decoder_weight(down_projection(model, layer))
    made_for = [len(update.value_shift), len(update.key)]
    if list(weight.shape) != made_for:
        raise EditError(f"The update was made for a weight of shape {made_for}, not {list(weight.shape)}: another model or transcoder.")
    difference = (_weight_sample(weight) - update.weight_sample).abs().max()
    if difference > WEIGHT_SAMPLE_TOLERANCE * update.weight_sample.abs().max():
        raise EditError(f"The update was made for another weight in layer {layer}: another model or transcoder, or one edited already.")


@contextmanager
def applied(model: PreTrainedModel, edits: Sequence[Edit]) -> Iterator[None]:
    """While open, the model carries all ``edits``; afterwards its weights are what they were, to the bit.

    The new columns are computed in float32 and rounded once to the weight's dtype.

    Raises:
        EditError: if an edit does not fit the model, before anything is changed.
    """
    changes: dict[int, Tensor] = {}
    for edit in edits:
        update, columns = edit.update, edit.columns()
        check_fits(update, model, update.layer)
        change = changes.setdefault(update.layer, torch.zeros(len(update.value_shift), len(update.key)))
        change[:, columns] += torch.outer(update.value_shift, update.key_direction[columns]) / edit.decay
    weights = {layer: decoder_weight(down_projection(model, layer)) for layer in changes}
    originals = {layer: weight.clone() for layer, weight in weights.items()}
    try:
        for layer, weight in weights.items():
            weight.copy_(weight.float() + changes[layer].to(weight.device))
        yield
    finally:
        for layer, weight in weights.items():
            weight.copy_(originals[layer])


def shared_features(edits: Sequence[Edit]) -> dict[str, int]:
    """How many features are active in at least one and in all of ``edits``."""
    sets = [set(edit.active().tolist()) for edit in edits]
    return {"active_union": len(set.union(*sets)), "active_intersection": len(set.intersection(*sets))}
