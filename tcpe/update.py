"""The rank-one update of a decoder weight: made from key and value, kept on disk, masked, merged, applied and taken back."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from huggingface.architectures import architecture_of, decoder_weight, down_projection, layers_of
from huggingface.loaders.checks import read_safetensors, shown
from tcpe.active import active_indices
from tcpe.compute_v import Value
from tcpe.describe import describe
from tcpe.joint import solve_together
from tcpe.lim import Lim, parse_lim
from tcpe.weight_edit import Replaced, WeightChange, WeightEdit, restore, write
from util.errors import CheckpointError, EditError, named_as_arguments
from util.files import DIGEST, check_description, read_json, write_atomically, write_description

TENSORS = ("value_shift", "key_direction", "key", "weight_sample")
"""The vectors of an update, by the names of its file and its attributes."""

MERGED_TENSORS = ("left", "right", "keys", "weight_sample")
"""The same of a merged update; earlier versions kept no keys."""

DESCRIPTION_BYTES = 2**22
"""A longer description is refused before it is read: an edit's takes some thousand bytes, and parsing a hundred times its size."""

WEIGHT_SAMPLE_ENTRIES, OTHER_ENTRIES = 64, 4
"""How many entries of the edited weight, and of each of the model's other weights, an update keeps to know them again."""

WEIGHT_SAMPLE_TOLERANCE = 0.02
"""For the edited weight, relative to the sample's largest entry: an edit of it shall be seen, its being in another dtype not."""

OTHER_TOLERANCE = 2**-7
"""For the other weights, relative to each entry: twice what rounding to bfloat16 changes."""


@dataclass(frozen=True)
class RankOneUpdate:
    """One computed edit of one decoder weight, stored as its two factors.

    Attributes:
        value_shift: float32 [d_model], ROME's right vector r; the weight changes by ``outer(value_shift, key_direction)``.
        key_direction: float32 [n_features], unit length, ROME's left vector u: the key after the second-moment solve.
        key: float32 [n_features], activations k* at the token of the edit.
        weight_sample: float32 [64 + 4 per other weight], entries of the weight that the update was computed for, then of the model's other
            weights outside of its MLPs.
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
        _save(self, path, TENSORS, len(self.value_shift), len(self.key))

    @classmethod
    def load(cls, path: str | Path) -> "RankOneUpdate":
        """Read what ``save`` wrote to ``path``.

        Raises:
            CheckpointError: if it is not there or not whole.
        """
        vectors, d_model, n_features, layer, details = _load(path, TENSORS)
        value_shift, key_direction, key, weight_sample = vectors
        if [tuple(vector.shape) for vector in vectors[:3]] != [(d_model,), (n_features,), (n_features,)]:
            raise CheckpointError(f"The vectors of {path} do not fit their description; compute it again with TCPE_pre or Model.edit.")
        return cls(value_shift, key_direction, key, weight_sample, layer, details)


@dataclass(frozen=True)
class MergedUpdate:
    """Several edits of one weight in one: each cut down to its columns and divided by its decay already.

    Attributes:
        left: float32 [d_model, n_edits], of each edit alone.
        right: float32 [n_edits, n_features]; zero in the columns that an edit leaves alone.
        keys: float32 [n_edits, n_features], k* of each edit; empty in an update that an earlier version merged, whose edits simply add up.
        weight_sample, layer: as in ``RankOneUpdate``.
        details: what was merged; JSON values.
    """

    left: Float[Tensor, "d_model n_edits"]
    right: Float[Tensor, "n_edits n_features"]
    keys: Float[Tensor, "n_keys n_features"]
    weight_sample: Float[Tensor, " entries"]
    layer: int
    details: dict[str, Any]

    @property
    def update(self) -> "MergedUpdate":
        """Itself, as an ``Edit`` has its update."""
        return self

    def factors(self) -> tuple[Float[Tensor, "d_model n_edits"], Float[Tensor, "n_edits n_features"]]:
        """Left and right factor of the change, solved so that each edit does to its own key what it does alone.

        Ablations, which leave out what acts on their keys, are added as they are.

        Raises:
            EditError: if keys are too much alike (see ``joint.solve_together``).
        """
        parts, left = self.details["merged"], self.left.clone()
        solved = [number for number, part in enumerate(parts) if not part["ablation"]]
        if len(self.keys) and len(solved) > 1:
            names = [f"{(part.get('request') or {}).get('error')} ({number + 1} of {len(parts)})" for number, part in enumerate(parts)]
            left[:, solved] = solve_together(left[:, solved], self.right[solved], self.keys[solved], [names[number] for number in solved])
        return left, self.right

    def check(self, model: PreTrainedModel, other_model: bool = False) -> None:
        """See that the update was made for ``model`` (see ``check_fits``)."""
        check_fits(self, model, self.layer, other_model)

    def changes(self, model: PreTrainedModel) -> list[WeightChange]:
        """The change of the layer's down projection."""
        return [_change(model, self.layer, *self.factors(), self.columns())]

    def columns(self) -> Int[Tensor, " n_columns"]:
        """The columns of the weight that change, ascending."""
        return torch.nonzero(self.right.any(0)).flatten()

    def save(self, path: str | Path) -> None:
        """Write ``{path}.safetensors`` and ``{path}.json``."""
        _save(self, path, MERGED_TENSORS, len(self.left), self.right.shape[1])

    @classmethod
    def load(cls, path: str | Path) -> "MergedUpdate":
        """Read what ``save`` wrote to ``path``.

        Raises:
            CheckpointError: if it is not there or not whole.
        """
        tensors, d_model, n_features, layer, details = _load(path, MERGED_TENSORS, keys=torch.empty(0, 0))
        left, right, keys, weight_sample = tensors
        fit = left.ndim == keys.ndim == 2 and (d_model, left.shape[1], n_features) == (len(left), *right.shape)
        merged = details.get("merged")
        described = isinstance(merged, list) and right.shape[:1] == (len(merged),) and all(map(_is_part, merged))
        if not fit or not described or (len(keys) and keys.shape != right.shape):
            raise CheckpointError(f"The factors of {path} do not fit their description; merge them again with tcpe.edits.")
        return cls(left, right, keys if len(keys) else right[:0], weight_sample, layer, details)


def _is_part(part: Any) -> bool:
    """Whether this describes one of the edits of a merged update."""
    return isinstance(part, dict) and isinstance(part.get("ablation"), bool) and isinstance(part.get("request") or {}, dict)


def _save(update: RankOneUpdate | MergedUpdate, path: str | Path, names: Sequence[str], d_model: int, n_features: int) -> None:
    """Write an update's tensors and its description."""
    tensors = {name: getattr(update, name).contiguous() for name in names}
    description = {"layer": update.layer, "d_model": d_model, "n_features": n_features, **update.details}
    _with_suffix(path, ".json").unlink(missing_ok=True)  # so that a kill in between leaves no update rather than a mixture
    file = _with_suffix(path, ".safetensors")
    write_atomically(file, lambda temporary: save_file(tensors, temporary))
    write_description(_with_suffix(path, ".json"), description, file)


def _load(path: str | Path, names: Sequence[str], **missing: Tensor) -> tuple[list[Tensor], int, int, int, dict[str, Any]]:
    """Tensors, d_model, n_features, layer and details of what ``_save`` wrote; ``missing`` stands in for tensors that may be missing."""
    file = _with_suffix(path, ".safetensors")
    if not (file.is_file() and _with_suffix(path, ".json").is_file()):
        raise CheckpointError(f"There is no saved update {file} with its .json; compute it with TCPE_pre or Model.edit.")
    if (size := _with_suffix(path, ".json").stat().st_size) > DESCRIPTION_BYTES:
        raise CheckpointError(f"{_with_suffix(path, '.json')} is {size} bytes long, too long for a saved update ({DESCRIPTION_BYTES} at most).")
    details = read_json(_with_suffix(path, ".json"), "the saved update")
    try:
        found = missing | read_safetensors(file, "the update is not whole, compute it again with TCPE_pre or Model.edit")
        check_description(_with_suffix(path, ".json"), details, file, "updates", "compute it again with TCPE_pre or Model.edit")
        details.pop(DIGEST, None)
        layer, d_model, n_features = numbers = [details.pop(name) for name in ("layer", "d_model", "n_features")]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError(f"layer, d_model and n_features are {shown(numbers)}")
        tensors = [found[name] for name in names]
    except (OSError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise CheckpointError(f"The saved update {file} is not whole ({error}); compute it again with TCPE_pre or Model.edit.") from error
    if not all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in tensors):
        raise CheckpointError(f"The saved update {file} holds what is not finite or not float32; compute it again with TCPE_pre or Model.edit.")
    return tensors, d_model, n_features, layer, details


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

    The same averaged key stands on both sides, in W k* and in k* . u, which is R-ROME's remedy against collapse after many edits
    (Gupta et al. 2024, https://arxiv.org/abs/2403.07175).

    Raises:
        EditError: if the key has no part along its direction.
    """
    projection = down_projection(model, layer)
    weight = decoder_weight(projection)
    along = torch.dot(key.double(), direction.double())
    if along.abs() < torch.finfo(torch.float32).tiny:
        raise EditError("The key and its direction are orthogonal; give a larger --epsilon.")
    now = weight.cpu().double() @ key.double()
    if isinstance(bias := projection.bias, Tensor):
        now += bias.detach().cpu().double()
    shift = ((value.target.double() - now) / along).float()
    return RankOneUpdate(shift, direction, key, weight_sample(model, layer), layer, details)


def weight_sample(model: PreTrainedModel, layer: int) -> Float[Tensor, " entries"]:
    """Evenly spaced entries by which the weight of an edit, and the model around it, are known again.

    The other layers' MLPs and the norms beside them take no part: transcoders may stand there now and not later.
    """
    edited, places = decoder_weight(down_projection(model, layer)), architecture_of(model)
    parts = [places.mlp, places.mlp_norm, *([places.post_mlp_norm] if places.post_mlp_norm else [])]
    skipped = tuple(f"{places.layers}.{number}.{part}." for number in range(len(layers_of(model))) for part in parts)
    others = [weight.detach() for name, weight in sorted(model.named_parameters()) if not name.startswith(skipped)]
    return torch.cat([_entries(edited, WEIGHT_SAMPLE_ENTRIES), *(_entries(weight, OTHER_ENTRIES) for weight in others)])


def _entries(weight: Tensor, n: int) -> Float[Tensor, " n"]:
    """``n`` evenly spaced entries of a matrix or a vector, float32 on the CPU."""
    index = torch.linspace(0, weight.numel() - 1, n, dtype=torch.float64, device=weight.device).long()
    return weight[torch.unravel_index(index, weight.shape)].float().cpu()


def active_features(key: Float[Tensor, " n_features"], lim: Lim) -> Int[Tensor, " n_active"]:
    """Indices of the features that carry the edit, ascending (see ``active.active_indices``).

    Raises:
        EditError: if none is left, naming the largest activation, so that the caller can lower ``lim``.
    """
    return torch.from_numpy(active_indices(key.numpy(), lim))


@dataclass(frozen=True)
class Edit:
    """An update and how much of it is applied.

    Attributes:
        update: the whole update.
        lim: which features' columns are active, as in ``active_features``.
        decay: the update is divided by it.
        ablation: apply the columns that are not active instead.
        chosen: apply these columns, whichever are active.
    """

    update: RankOneUpdate
    lim: Lim = -1
    decay: float = 1
    ablation: bool = False
    chosen: tuple[int, ...] | None = None

    def at(self, lim: Lim, decay: float = 1, ablation: bool = False) -> "Edit":
        """The same update, applied in other columns or divided by another number.

        Raises:
            UserError: for an impossible lim.
        """
        with named_as_arguments():
            return replace(self, lim=parse_lim(lim), decay=decay, ablation=ablation, chosen=None)

    def strongest(self, n: int = 10) -> list[tuple[int, float, float]]:
        """The ``n`` features that are most active at the edit: number, activation in k*, and share.

        A feature's share is its part in k* . u, and so in what the update adds to the layer's output at the edit; all shares sum to 1.
        """
        key = self.update.key
        shares = key * self.update.key_direction
        shares = shares / shares.sum()
        features = key.argsort(descending=True, stable=True)[:n].tolist()
        return [(feature, key[feature].item(), shares[feature].item()) for feature in features]

    def only(self, features: Sequence[int]) -> "Edit":
        """The same edit in the columns of these features and no others; its key has these alone, too."""
        kept = torch.zeros_like(self.update.key)
        kept[list(features)] = 1
        update = replace(self.update, key=self.update.key * kept, key_direction=self.update.key_direction * kept)
        return replace(self, update=update, chosen=tuple(sorted(features)))

    @property
    def losses(self) -> list[dict[str, float]]:
        """The terms of the loss at each step of the search for the value."""
        return self.update.details.get("losses", [])

    def save(self, path: str | Path) -> None:
        """Write the whole update to ``{path}.safetensors`` and ``{path}.json``; lim and decay are chosen anew when it is loaded."""
        self.update.save(path)

    def __str__(self) -> str:
        return describe(self)

    def active(self) -> Int[Tensor, " n_active"]:
        """The active features, ascending."""
        return active_features(self.update.key, self.lim)

    def columns(self) -> Int[Tensor, " n_columns"]:
        """The columns of the weight that the edit changes, ascending."""
        if self.chosen is not None:
            return torch.tensor(self.chosen, dtype=torch.long)
        active = self.active()
        if not self.ablation:
            return active
        kept = torch.ones(len(self.update.key), dtype=torch.bool)
        kept[active] = False
        return torch.nonzero(kept).flatten()

    def check(self, model: PreTrainedModel, other_model: bool = False) -> None:
        """See that the update was made for ``model`` (see ``check_fits``)."""
        check_fits(self.update, model, self.layer, other_model)

    def changes(self, model: PreTrainedModel) -> list[WeightChange]:
        """The change of the layer's down projection."""
        return [_change(model, self.layer, *self.factors(), self.columns())]

    def factors(self) -> tuple[Float[Tensor, "d_model one"], Float[Tensor, "one n_features"]]:
        """Left and right factor of the change, zero in the columns that it leaves alone."""
        right, columns = torch.zeros_like(self.update.key_direction), self.columns()
        right[columns] = self.update.key_direction[columns]
        return self.update.value_shift[:, None] / self.decay, right[None]

    @property
    def layer(self) -> int:
        """The layer of the edited weight."""
        return self.update.layer


AnyEdit = Edit | MergedUpdate


def _change(
    model: PreTrainedModel,
    layer: int,
    left: Float[Tensor, "d_model n_edits"],
    right: Float[Tensor, "n_edits n_features"],
    columns: Int[Tensor, " n_columns"],
) -> WeightChange:
    """``left @ right`` in some columns of a layer's down projection."""
    weight = decoder_weight(down_projection(model, layer))
    delta = left.to(weight.device) @ right[:, columns].to(weight.device)
    return WeightChange(f"layer {layer}'s down projection", weight, columns, delta)


def check_fits(update: RankOneUpdate | MergedUpdate, model: PreTrainedModel, layer: int, other_model: bool = False) -> None:
    """Refuse an update that was made for another layer, width, weight or model.

    Args:
        other_model: let other weights of the same shape pass.

    Raises:
        EditError: saying which.
    """
    if update.layer != layer:
        raise EditError(f"The update was made for layer {update.layer}, not {layer}; give the --layer_num that belongs to it.")
    weight = decoder_weight(down_projection(model, layer))
    made_for = [len(update.value_shift), len(update.key)] if isinstance(update, RankOneUpdate) else [len(update.left), update.right.shape[1]]
    if list(weight.shape) != made_for:
        raise EditError(f"The update was made for a weight of shape {made_for}, not {list(weight.shape)}; {_made_with(update)}")
    if other_model:
        return
    found, wanted = weight_sample(model, layer), update.weight_sample
    edited, others = slice(WEIGHT_SAMPLE_ENTRIES), slice(WEIGHT_SAMPLE_ENTRIES, None)
    if found.shape != wanted.shape:
        raise EditError(f"The update was made for another model: this one has another number of weights; {_made_with(update)}")
    if (found[edited] - wanted[edited]).abs().max() > WEIGHT_SAMPLE_TOLERANCE * wanted[edited].abs().max():
        raise EditError(f"The update was made for another weight in layer {layer}, or this one is edited already; {_made_with(update)}")
    if not torch.isclose(found[others], wanted[others], rtol=OTHER_TOLERANCE, atol=1e-6).all():
        raise EditError("The update was made for another model: the weights around its layer differ; give the model that it was made for.")


def _made_with(update: RankOneUpdate | MergedUpdate) -> str:
    """What to give to get the weight that an update was made for, as far as the update says it."""
    made_with = update.details.get("made_with", {})
    if "TC_layer_file" not in made_with:
        return "give the model that it was made for, with the same --TC_layer_file or without one."
    transcoder = made_with["TC_layer_file"]
    with_it = f"with --TC_layer_file {transcoder}" if transcoder else "without --TC_layer_file"
    return f"give what it was made for: --MODEL_NAME {made_with.get('MODEL_NAME')} {with_it}."


def merge(edits: Sequence[AnyEdit]) -> MergedUpdate:
    """Edits of one layer in one update, which changes the weight by the same bits as they do when they are applied together.

    Raises:
        EditError: if they are of different layers, widths or models, or act on keys that are too much alike.
    """
    first = edits[0].update
    for edit in edits[1:]:
        update = edit.update
        if update.layer != first.layer:
            raise EditError(f"The updates are of layers {first.layer} and {update.layer}; only those of one layer can be merged.")
        samples = update.weight_sample, first.weight_sample
        if samples[0].shape != samples[1].shape or not torch.isclose(*samples, rtol=OTHER_TOLERANCE, atol=1e-6).all():
            raise EditError("The updates were made for different models or transcoders, and cannot be merged.")
    merged = _in_one(edits)
    merged.factors()
    return merged


def _in_one(edits: Sequence[AnyEdit]) -> MergedUpdate:
    """Edits of one weight side by side."""
    lefts, rights, keys = [], [], []
    parts: list[dict[str, Any]] = []
    for edit in edits:
        if isinstance(edit, MergedUpdate):
            if len(edits) > 1 and not len(edit.keys):
                raise EditError("An update that an earlier version merged has kept no keys, so nothing can be added to it; merge its parts again.")
            lefts.append(edit.left)
            rights.append(edit.right)
            keys.append(edit.keys)
            parts += edit.details["merged"]
        else:
            left, right = edit.factors()
            lefts.append(left)
            rights.append(right)
            keys.append(edit.update.key[None])
            request = edit.update.details.get("request")
            parts.append({"lim": edit.lim, "decay": edit.decay, "ablation": edit.ablation, "request": request})
    first = edits[0].update
    return MergedUpdate(torch.cat(lefts, 1), torch.cat(rights), torch.cat(keys), first.weight_sample, first.layer, {"merged": parts})


def together(edits: Iterable[AnyEdit]) -> list[AnyEdit]:
    """``edits``, those of one layer in one: edits of one weight are solved together (see ``joint``)."""
    of_layer: dict[int, list[AnyEdit]] = {}
    for edit in edits:
        of_layer.setdefault(edit.layer, []).append(edit)
    return [group[0] if len(group) == 1 else _in_one(group) for group in of_layer.values()]


def apply(model: PreTrainedModel, edits: Sequence[WeightEdit], other_model: bool = False) -> list[Replaced]:
    """Write ``edits`` into the model's weights; several of one weight are solved together.

    The new columns are computed in float32 and rounded once to the weight's dtype.

    Returns:
        What was there, for ``restore``.

    Raises:
        EditError: if an edit does not fit the model, its weights' dtype or the other edits; nothing is changed then.
    """
    for edit in edits:
        edit.check(model, other_model)
    keyed = together(edit for edit in edits if isinstance(edit, AnyEdit))
    others = (edit for edit in edits if not isinstance(edit, AnyEdit))
    return write([change for edit in (*keyed, *others) for change in edit.changes(model)])


@contextmanager
def applied(model: PreTrainedModel, edits: Sequence[WeightEdit], other_model: bool = False) -> Iterator[list[Replaced]]:
    """While open, the model carries all ``edits``; afterwards its weights are what they were, to the bit.

    Raises:
        EditError: as ``apply`` does, before anything is changed.
    """
    replaced = apply(model, edits, other_model)
    try:
        yield replaced
    finally:
        restore(replaced)


def shared_features(edits: Sequence[Edit]) -> dict[str, int]:
    """How many features are active in at least one and in all of ``edits``."""
    sets = [set(edit.active().tolist()) for edit in edits]
    return {"active_union": len(set.union(*sets)), "active_intersection": len(set.intersection(*sets))}
