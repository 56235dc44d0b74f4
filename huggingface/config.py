"""Which model is loaded, how, and which transcoder replaces one of its MLPs."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from util.errors import UserError
from util.flags import add_flags, check_choices, flag, flags_of


def check_model_name(name: str) -> None:
    """See that ``name`` is a folder that is there, or may be a name on the hub.

    Raises:
        UserError: if it can only be a folder, and there is none.
    """
    if not Path(name).is_dir() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise UserError(f"There is no model folder {name}; give a folder in Hugging Face's format or a model's name on the hub.")


@dataclass(frozen=True)
class LoadingConfig:
    """How a model is loaded; every field is the flag of its name."""

    dtype: Literal["float32", "float16", "bfloat16"] = flag(
        "float32",
        "type of the model's weights; float32 gives the same answers on every machine and reuses earlier answers as drafts, "
        "bfloat16 takes half the memory, as 7B models need on one GPU",
    )
    device: str = flag("auto", "where the model runs: auto, cpu, cuda, cuda:1, ...")
    trust_remote_code: bool = flag(False, "let code that comes with a model run")


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """The flags by which ``huggingface.load.load_asked`` loads a model, for a command that only looks into it."""
    parser.add_argument("--MODEL_NAME", required=True, help="model folder in Hugging Face's format, or a model's name on the hub")
    add_flags(parser, LoadingConfig, "how the model is loaded")


def loading_flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those flags of ``LoadingConfig`` that were given."""
    return {name: value for name, value in vars(arguments).items() if name in flags_of(LoadingConfig)}


@dataclass(frozen=True)
class ModelConfig(LoadingConfig):
    """A model and the layer that is looked into; every field is the flag of its name."""

    MODEL_NAME: str = flag("", "model folder in Hugging Face's format, a model's name on the hub, or reference: rules, no model (required)")
    layer_num: int = flag(-1, "number of the layer to edit, counted from 0 (required)")
    TC_layer_file: str | None = flag(None, "transcoder that replaces that layer's MLP; without it the MLP itself is edited")
    TC_sites: list[str] = flag([], "where the transcoder reads and writes, as mlp_in mlp_out; by default what its checkpoint says")
    skip_site_check: bool = flag(False, "use a transcoder even if it fits the layer badly, or another site better")
    device_map: str | None = flag(None, "Hugging Face's map over several devices, e.g. auto")

    def __post_init__(self) -> None:
        """Check the fields against each other.

        Raises:
            UserError: naming the flag.
        """
        check_choices(self)
        check_model_name(self.MODEL_NAME)
        if self.TC_sites and (len(self.TC_sites) != 2 or not self.TC_layer_file):
            raise UserError("--TC_sites takes two names, where the transcoder of --TC_layer_file reads and where it writes, such as mlp_in mlp_out.")
        if self.TC_layer_file and not self.TC_layer_file.startswith("hub:") and not Path(self.TC_layer_file).exists():
            raise UserError(f"There is no transcoder {self.TC_layer_file}; give its folder or file with --TC_layer_file.")
