"""Saved updates as things: list, show, compare and merge them, and apply them to a model that is then loaded in two lines.

After ``python -m tcpe.edits apply UPDATE... --MODEL_NAME MODEL --save_path FOLDER``, with or without ``--save_full``::

    from tcpe.edits import load_edited
    model, tokenizer = load_edited("FOLDER")

An UPDATE is a folder that holds one, or its file with or without suffix, and behind a colon its own lim and decay:
``runs/updates/layer_19_TC_ef4_row_0:top:16:1.5``. In Python, ``tcpe.update.applied`` applies updates and takes them back.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from huggingface.config import add_model_flags
from tcpe.active import active_indices
from tcpe.describe import describe, table
from tcpe.edited_model import bridge_edited, load_edited, save_edited
from tcpe.lim import Lim, parse_edit, parse_lim
from tcpe.saved import UPDATE, updates_in
from util.cli import ArgumentParser, run_main
from util.errors import CheckpointError, EditError, UserError
from util.files import read_json

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    import numpy

    from tcpe.update import AnyEdit, MergedUpdate, RankOneUpdate

__all__ = ["bridge_edited", "diff_updates", "find_update", "list_updates", "load_edit", "load_edited", "save_edited", "show_update"]



def find_update(path: str | Path) -> Path:
    """The saved update that ``path`` means, without suffix: of a file, with or without suffix, or the only one in a folder.

    Raises:
        CheckpointError: if there is none, or more than one.
    """
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".safetensors", ".json") else path
    if Path(f"{stem}.safetensors").is_file():
        return stem
    if not path.is_dir():
        raise CheckpointError(f"There is no saved update {path}; compute one with TCPE_pre or Model.edit.")
    found = updates_in(path, "*")
    if len(found) != 1:
        names = f"{len(found)}: {', '.join(stem.name for stem in found)}" if found else "none"
        raise CheckpointError(f"{path} must hold one saved update to be named by its folder, and holds {names}; name the update itself.")
    return found[0]


def load_update(path: Path) -> "RankOneUpdate | MergedUpdate":
    """The saved update ``path``, without suffix, of either kind.

    Raises:
        CheckpointError: if it is not there or not whole.
    """
    from tcpe.update import MergedUpdate, RankOneUpdate

    merged = "merged" in read_json(f"{path}.json", "the saved update")
    return (MergedUpdate if merged else RankOneUpdate).load(path)


def load_edit(text: str, lim: Lim = 0.1, decay: float = 1.0, ablation: bool = False) -> "AnyEdit":
    """The edit that ``UPDATE[:LIM[:DECAY]]`` means; ``lim`` and ``decay`` stand in for what it leaves out.

    A merged update has its lims and decays already.

    Raises:
        UserError: for an update that is not there or not whole, an impossible lim or decay, or a lim or decay for a merged update.
        EditError: if no feature is active at the lim.
    """
    from tcpe.update import Edit, MergedUpdate

    name, own_lim, own_decay = parse_edit(text, lim, decay)
    update = load_update(find_update(name))
    if isinstance(update, MergedUpdate):
        if text != name:
            raise UserError(f"{name} is a merged update, whose lims and decays are fixed; leave out {text.removeprefix(name)}.")
        return update
    edit = Edit(update, own_lim, own_decay, ablation)
    edit.columns()
    return edit


def list_updates(folders: Sequence[str], lim: Lim = 0.1) -> str:
    """A line for each update under ``folders``; one that lies in several places has one line, with the number of its copies.

    Raises:
        CheckpointError: if there is none, or one is not whole.
    """
    found: dict[bytes, list[Path]] = {}
    for stem in dict.fromkeys(stem for folder in folders for stem in updates_in(Path(folder), "**/*")):
        digest = hashlib.sha256()
        for name, array in sorted(_arrays(stem).items()):
            digest.update(name.encode() + array.tobytes())
        found.setdefault(digest.digest(), []).append(stem)
    if not found:
        raise CheckpointError(f"There is no saved update under {', '.join(folders)}; compute one with TCPE_pre or Model.edit.")
    rows = [("update", "copies", "layer", "features", f"active at {lim}", "request")]
    for stem, *others in found.values():
        arrays, description = _arrays(stem), read_json(f"{stem}.json", "the saved update")
        start = (str(stem), str(1 + len(others)), str(description["layer"]), str(description["n_features"]))
        if "merged" in description:
            rows.append((*start, str(int(arrays["right"].any(0).sum())), f"{len(arrays['right'])} merged"))
            continue
        try:
            active = len(active_indices(arrays["key"], lim))
        except EditError:
            active = 0
        request = description.get("request", {})
        rows.append((*start, str(active), f"{request.get('error')}: {request.get('brief_description')}"))
    return table(rows)


def _arrays(stem: Path) -> "dict[str, numpy.ndarray]":
    """The tensors of a saved update, without torch.

    Raises:
        CheckpointError: if the file is not whole.
    """
    try:
        arrays = load_file(f"{stem}.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"The saved update {stem} is not whole ({error}); compute it again with TCPE_pre or Model.edit.") from error
    if "key" not in arrays and "right" not in arrays:
        raise CheckpointError(f"The saved update {stem} has no key; compute it again with TCPE_pre or Model.edit.")
    return arrays


def show_update(text: str, lim: Lim = 0.1) -> str:
    """One update in detail: its request, how it was found, and the features that carry it.

    A feature's share is its part in k* . u, and so in what the update adds to the layer's output at the edit; all shares sum to 100 %.
    """
    from tcpe.update import Edit, MergedUpdate

    edit = load_edit(text, lim)
    if isinstance(edit, MergedUpdate):
        lines = [f"{text}: {len(edit.left[0])} updates in one, layer {edit.layer}, {len(edit.columns())} of {edit.right.shape[1]} columns changed"]
        for part in edit.details["merged"]:
            request = part.get("request") or {}
            lines.append(f"  lim {part['lim']}, decay {part['decay']}: {request.get('error')}: {request.get('brief_description')}")
        return "\n".join(lines) + "\n"
    assert isinstance(edit, Edit)
    return describe(edit)


def diff_updates(first: str, second: str, lim: Lim = 0.1) -> str:
    """Two updates compared: how parallel their vectors are, and which active features they share.

    Raises:
        UserError: for merged updates, or updates of different widths.
    """
    from torch import cosine_similarity

    from tcpe.update import Edit, shared_features

    edits = [edit for edit in (load_edit(first, lim), load_edit(second, lim)) if isinstance(edit, Edit)]
    if len(edits) < 2:
        raise UserError("A merged update has no key to compare; give the updates that it was merged from.")
    one, two = (edit.update for edit in edits)
    if (one.value_shift.shape, one.key.shape) != (two.value_shift.shape, two.key.shape):
        raise UserError(f"{first} and {second} are of weights of different shapes and cannot be compared.")
    shared = shared_features(edits)
    facts: dict[str, Any] = {"layers": f"{one.layer} and {two.layer}"}
    for name, vector in {"cosine of r": "value_shift", "cosine of u": "key_direction", "cosine of k*": "key"}.items():
        facts[name] = f"{cosine_similarity(getattr(one, vector).double(), getattr(two, vector).double(), dim=0):.4f}"
    facts["lims"] = f"{edits[0].lim} and {edits[1].lim}"
    facts["active"] = f"{len(edits[0].active())} and {len(edits[1].active())}"
    facts["in both"], facts["in either"] = shared["active_intersection"], shared["active_union"]
    facts["overlap"] = f"{shared['active_intersection'] / shared['active_union']:.3f} (Jaccard)"
    facts["shared"] = ", ".join(map(str, sorted(set(edits[0].active().tolist()) & set(edits[1].active().tolist())))) or "none"
    return "".join(f"{name:13}{value}\n" for name, value in facts.items())


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, help: str, updates: str | None = "UPDATE") -> ArgumentParser:
        subparser = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        if updates:
            subparser.add_argument("updates", nargs="+", metavar=updates)
        subparser.add_argument("--lim", type=parse_lim, default=0.1, help="which features are active, as for run_tcpe.py (default: 0.1)")
        return subparser

    command("list", "list the saved updates under some folders", "FOLDER")
    command("show", "show updates in detail")
    compared = command("diff", "compare two updates", None)
    compared.add_argument("updates", nargs=2, metavar="UPDATE")
    merged = command("merge", "merge updates of one layer into one")
    applied = command("apply", "apply updates to a model and save it")
    for subparser in (merged, applied):
        subparser.add_argument("--upd_decay", type=float, default=1.0, help="the updates are divided by this (default: 1.0)")
        subparser.add_argument("--abla_exp", action="store_true", help="ablation: the columns that are not active, and not the others")
        subparser.add_argument("--save_path", required=True, help="folder to write to")
    add_model_flags(applied)
    applied.add_argument("--TC_layer_file", help="transcoder that the updates are of; without it they are of the MLP itself")
    applied.add_argument("--TC_sites", nargs=2, default=[], help="where it reads and writes; by default what its checkpoint says")
    applied.add_argument("--save_full", action="store_true", help="write all edited weights, and not the update and what it belongs to")
    applied.add_argument("--other_model", action="store_true", help="apply updates even to a model that they were not computed for")
    arguments = parser.parse_args()
    if arguments.command == "list":
        sys.stdout.write(list_updates(arguments.updates, arguments.lim))
    elif arguments.command == "show":
        sys.stdout.write("\n".join(show_update(update, arguments.lim) for update in arguments.updates))
    elif arguments.command == "diff":
        first, second = arguments.updates
        sys.stdout.write(diff_updates(first, second, arguments.lim))
    else:
        _merge_or_apply(arguments)


def _merge_or_apply(arguments: argparse.Namespace) -> None:
    """The commands ``merge`` and ``apply``."""
    from huggingface.load import load_asked
    from tcpe.update import Edit, merge, shared_features

    edits = [load_edit(update, arguments.lim, arguments.upd_decay, arguments.abla_exp) for update in arguments.updates]
    merged = merge(edits)
    if arguments.command == "merge":
        target = Path(arguments.save_path)
        if updates_in(target, "*"):
            raise UserError(f"{target} holds an update already; give another --save_path.")
        merged.save(target / UPDATE)
    else:
        model, tokenizer = load_asked(arguments)
        save_edited(
            arguments.save_path,
            model,
            tokenizer,
            edits,
            model_name=arguments.MODEL_NAME,
            transcoder_file=arguments.TC_layer_file,
            sites=arguments.TC_sites,
            full=arguments.save_full,
            other_model=arguments.other_model,
        )
    sys.stdout.write(f"{len(merged.columns())} of {merged.right.shape[1]} columns of layer {merged.layer} changed\n")
    keyed = [edit for edit in edits if isinstance(edit, Edit)]
    if len(keyed) == len(edits) > 1:
        shared = shared_features(keyed)
        sys.stdout.write(f"active features: {shared['active_union']} in any update, {shared['active_intersection']} in all\n")
    sys.stdout.write(f"saved to {arguments.save_path}\n")


if __name__ == "__main__":
    run_main(main)
