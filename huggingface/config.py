"""Which model is loaded, how, and which transcoder replaces one of its MLPs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from util.errors import UserError
from util.flags import check_choices, flag


def check_model_name(name: str) -> None:
    """See that ``name`` is a folder that is there, or may be a name on the hub.

    Raises:
        UserError: if it can only be a folder, and there is none.
    """
    if not Path(name).is_dir() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise UserError(f"There is no model folder {name}; give a folder in Hugging Face's format or a model's name on the hub.")


@dataclass(frozen=True)
class ModelConfig:
    """A model and the layer that is looked into; every field is the flag of its name."""

    MODEL_NAME: str = flag("", "model folder in Hugging Face's format, a model's name on the hub, or reference: rules, no model (required)")
    layer_num: int = flag(-1, "number of the layer to edit, counted from 0 (required)")
    TC_layer_file: str | None = flag(None, "transcoder that replaces that layer's MLP; without it the MLP itself is edited")
    TC_sites: list[str] = flag([], "where the transcoder reads and writes, as mlp_in mlp_out; by default what its checkpoint says")
    skip_site_check: bool = flag(False, "use a transcoder even if it fits the layer badly, or another site better")
    dtype: Literal["float32", "float16", "bfloat16"] = flag(
        "float32",
        "type of the model's weights; float32 gives the same answers on every machine and reuses earlier answers as drafts, "
        "bfloat16 takes half the memory, as 7B models need on one GPU",
    )
    device: str = flag("auto", "where the model runs: auto, cpu, cuda, cuda:1, ...")
    device_map: str | None = flag(None, "Hugging Face's map over several devices, e.g. auto")
    trust_remote_code: bool = flag(False, "let code that comes with a model run")

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
