"""The configuration of a training: one dataclass, from which the flags, their help and their checks come."""

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from huggingface.config import LoadingConfig
from util.errors import UserError
from util.flags import check_choices, flag

_SELECTING, _PENALIZED = ("topk", "batchtopk"), ("relu", "jumprelu")
"""Activations that select the largest pre-activations, and those that a penalty makes sparse."""


@dataclass(frozen=True)
class Recipe:
    """How one transcoder is trained; each field is the flag of its name. Names that transcoder_circuits has are its names."""

    expansion_factor: int = flag(4, "number of features divided by the width of the MLP's input")
    activation: Literal["relu", "topk", "batchtopk", "jumprelu"] = flag(
        "topk", "what makes the features sparse; batchtopk lets the tokens of a step share their features, and is saved as jumprelu"
    )
    k: int = flag(32, "topk, batchtopk: number of active features a token, batchtopk: on average")
    l1_coefficient: float = flag(4e-2, "relu, jumprelu: weight of the sparsity penalty")
    l1_warm_up_steps: int = flag(1000, "steps over which that weight rises from 0")
    l1_decoder_norm: Literal["weighted", "plain"] = flag("weighted", "whether an activation counts times the norm of its decoder row")
    sparsity_penalty: Literal["l0", "tanh"] = flag("l0", "jumprelu: the number of active features, or the tanh of their activations")
    tanh_scale: float = flag(4.0, "jumprelu: factor of the activation inside the tanh")
    pre_activation_coefficient: float = flag(
        0.0, "with --cross_layer, relu, jumprelu: weight of a loss that raises pre-activations below their thresholds, against dead features"
    )
    jumprelu_threshold: float = flag(0.1, "jumprelu: threshold at the start")
    jumprelu_bandwidth: float = flag(0.5, "jumprelu: width of the kernel that gives the threshold a gradient")
    skip_connection: bool = flag(False, "add a linear path from input to output")
    decoder_norm: Literal["free", "unit"] = flag("free", "unit: decoder rows keep length 1, and no gradient works along them")
    encoder_init: Literal["auto", "samples", "transpose", "kaiming"] = flag(
        "auto",
        "the encoder at the start: samples: each feature takes what one token reads and writes; transpose: the decoder's transpose; kaiming: "
        "random; auto: samples for topk and batchtopk, else transpose",
    )
    decoder_init_norm: float = flag(0.1, "length of the decoder rows at the start")
    b_dec_init_method: Literal["geometric_median", "mean", "zeros"] = flag("geometric_median", "input and output biases at the start")
    normalize_activations: Literal["unit_mean_norm", "none"] = flag(
        "unit_mean_norm", "scale inputs and outputs while training; the scale is folded into the saved weights"
    )
    mse_norm: Literal["none", "token"] = flag("none", "token: divide each token's squared error by the norm of its target, and by the width")
    revive: Literal["bias", "auxk", "none"] = flag(
        "bias", "topk, batchtopk: dead features get larger encoder biases until they fire, or a loss that lets them explain what is left"
    )
    aux_coefficient: float = flag(1 / 32, "auxk: weight of that loss")
    k_aux: int | None = flag(None, "auxk: number of dead features a token in that loss; by default half of the output's width")
    use_ghost_grads: bool = flag(False, "relu, jumprelu: ghost gradients for dead features")
    ghost_residual: Literal["output", "input"] = flag(
        "output", "what ghost gradients fit, less the reconstruction: the MLP's output, or its input, as transcoder_circuits has it"
    )
    dead_feature_window: int = flag(10, "a feature is dead after so many steps without firing")
    dead_feature_threshold: float = flag(1e-8, "the metrics call a feature dead if it fires on a smaller share of the tokens")
    lr: float | None = flag(
        None, "learning rate of Adam; by default 0.001, and for topk and batchtopk one that falls with the widths (sae_training/trainer.py)"
    )
    lr_scheduler_name: Literal["constantwithwarmup", "lineardecay"] = flag("lineardecay", "lineardecay falls to 0 over the last steps")
    lr_warm_up_steps: int | None = flag(None, "steps over which the learning rate rises from 0; by default 100, or a tenth of all where that is less")
    lr_decay_share: float = flag(0.4, "lineardecay: share of the steps over which it falls")
    matryoshka_widths: list[int] = flag(
        [], "numbers of first features that must explain the output alone as well, rising; the loss is the mean over them and all features"
    )
    train_batch_size: int = flag(1024, "tokens of one step")
    accumulation_steps: int = flag(1, "parts in which a step's tokens are computed, to spare memory; batchtopk selects within each part and process")
    total_training_tokens: int = flag(2_000_000, "tokens to train on; a shorter dataset is read again")
    encoder_dtype: Literal["auto", "float32", "bfloat16"] = flag(
        "auto", "topk, batchtopk: type of the encoder's product; auto: bfloat16 on a CPU that has instructions for it, else float32"
    )
    seed: int = flag(42, "seed of all randomness")

    @property
    def selects(self) -> bool:
        """Whether the largest pre-activations are selected, so that no penalty is needed."""
        return self.activation in _SELECTING

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return -(-self.total_training_tokens // self.train_batch_size)

    def __post_init__(self) -> None:
        """Check each field.

        Raises:
            UserError: naming the flag.
        """
        check_choices(self)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if type(value) in (int, float) and not value >= _LEAST.get(field.name, 0):
                raise UserError(f"--{field.name} must be at least {_LEAST.get(field.name, 0)}, not {value}.")
            if value == math.inf:
                raise UserError(f"--{field.name} must be finite, not {value}.")
        for name in ("lr", "jumprelu_threshold", "jumprelu_bandwidth", "decoder_init_norm"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise UserError(f"--{name} must be above 0, not {getattr(self, name)}.")
        if self.lr_decay_share > 1:
            raise UserError(f"--lr_decay_share is a share, at most 1, not {self.lr_decay_share}.")
        if self.use_ghost_grads and self.selects:
            raise UserError(f"--use_ghost_grads belongs to --activation relu and jumprelu; {self.activation} has --revive.")
        if self.matryoshka_widths != sorted(set(self.matryoshka_widths)) or min(self.matryoshka_widths, default=1) < 1:
            raise UserError(f"--matryoshka_widths takes rising numbers of features, not {' '.join(map(str, self.matryoshka_widths))}.")


_LEAST = {
    "expansion_factor": 1,
    "k": 1,
    "k_aux": 1,
    "train_batch_size": 1,
    "accumulation_steps": 1,
    "total_training_tokens": 1,
    "dead_feature_window": 1,
    "context_size": 2,
    "store_batch_size": 1,
    "n_batches_in_buffer": 2,
    "n_evaluation_contexts": 1,
    "wandb_log_frequency": 1,
}
"""The smallest value of number flags where it is not 0."""


@dataclass(frozen=True)
class TrainingConfig(LoadingConfig, Recipe):
    """A recipe, and what it is applied to."""

    MODEL_NAME: str = flag("", "model folder in Hugging Face's format, or a model's name on the hub (required)")
    layer_num: list[int] = flag([], "number of the layer, counted from 0; several train one transcoder each on the same texts (required)")
    cross_layer: bool = flag(False, "train one cross-layer transcoder for all layers instead, whose features write into theirs and all later ones")
    dataset: list[str] = flag([], "texts: .txt, .jsonl, .csv or .parquet files, or a dataset on the hub, which is streamed (required)")
    output_file_path: str = flag("", "folder for everything that this run writes (required)")
    text_column: str | None = flag(
        None, "column of the texts, or of token ids; by default the first known of text, content, code, prompt, input_ids, tokens"
    )
    dataset_split: str = flag("train", "split of a dataset on the hub")
    dataset_configuration: str | None = flag(None, "configuration of a dataset on the hub that has several")
    shuffle_buffer: int = flag(0, "rows in memory among which the next text is drawn; by default texts come in their order")
    separate_texts: bool = flag(False, "a context is one text, cut at --context_size; by default texts are packed one behind the other")
    keep_first_token: bool = flag(False, "train on a context's first token too, whose activations are huge and depend on no text")
    hook_point: str = flag(
        "",
        "what the transcoder reads, in TransformerLens's names, with or without blocks.LAYER.; by default mlp.hook_in, with --cross_layer "
        "hook_resid_mid",
    )
    out_hook_point: str = flag("mlp.hook_out", "what it learns to write")
    hooks: Literal["auto", "bridge", "plain"] = flag(
        "auto", "TransformerLens's bridge, or plain hooks on the MLP; auto: the bridge if it knows the model"
    )
    context_size: int = flag(128, "tokens of one context")
    store_batch_size: int = flag(32, "contexts that the model reads at a time")
    n_batches_in_buffer: int = flag(20, "such batches whose activations are kept and shuffled; half are replaced at a time")
    read_ahead: bool = flag(False, "let the model read the next texts while the transcoder trains on the last; the result is the same")
    finetuning_tokens: int = flag(0, "after the training go on with so many tokens towards the model's own predictions (KL divergence)")
    finetuning_lr_share: float = flag(0.1, "with --finetuning_tokens: the rate at its start as a share of --lr; it falls to 0")
    n_evaluation_contexts: int = flag(64, "contexts at the beginning of the dataset that are kept for the evaluation")
    n_checkpoints: int = flag(3, "number of times that the training is evaluated and can be continued from; after the last no checkpoint stays")
    keep_checkpoints: bool = flag(False, "keep the transcoder of each checkpoint, in a folder of its step")
    wandb_log_frequency: int = flag(10, "steps between two lines of metrics")
    restart: bool = flag(False, "begin again even if there is a checkpoint")
    device_map: str | None = flag(None, "Hugging Face's map of the model over several devices, e.g. auto")
    run_name: str | None = flag(None, "the run's name in WandB; by default the output folder's")
    wandb_project: str = flag("", "the run's project in WandB; by default WANDB_PROJECT, or tcpe")
    wandb_entity: str = flag("", "the user or team that it belongs to; by default WANDB_ENTITY, or that of the key")
    push_to_hub: str | None = flag(None, "repository on the hub, OWNER/NAME, that the finished transcoders are uploaded to; made if need be")

    @property
    def output(self) -> Path:
        """The run's own folder."""
        return Path(self.output_file_path)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the weights: all fields but those about reporting and storing, and about where it is computed."""
        free = (
            "output_file_path",
            "device",
            "device_map",
            "n_checkpoints",
            "keep_checkpoints",
            "read_ahead",
            "wandb_log_frequency",
            "restart",
            "run_name",
            "wandb_project",
            "wandb_entity",
            "push_to_hub",
        )
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in free}

    @property
    def autoencoder(self) -> bool:
        """Whether what is read is what is to be written."""
        return self.site(self.hook_point, 0) == self.site(self.out_hook_point, 0)

    @property
    def finetuning_steps(self) -> int:
        """Number of optimizer steps behind the training."""
        return -(-self.finetuning_tokens // (self.store_batch_size * self.context_size))

    @property
    def all_steps(self) -> int:
        """Number of steps of the whole run."""
        return self.steps + self.finetuning_steps

    def site(self, hook_point: str, layer: int) -> str:
        """``hook_point`` with its layer in front."""
        return hook_point if hook_point.startswith("blocks.") else f"blocks.{layer}.{hook_point}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hook_point:
            object.__setattr__(self, "hook_point", "hook_resid_mid" if self.cross_layer else "mlp.hook_in")
        if self.cross_layer:
            self._check_cross_layer()
        elif self.pre_activation_coefficient:
            raise UserError("--pre_activation_coefficient belongs to --cross_layer.")
        required = ("MODEL_NAME", "dataset", "output_file_path") if self.cross_layer else ("MODEL_NAME", "layer_num", "dataset", "output_file_path")
        missing = [name for name in required if not getattr(self, name)]
        if missing:
            raise UserError(f"{', '.join('--' + name for name in missing)} must be given; --help says what for.")
        if len(set(self.layer_num)) < len(self.layer_num):
            raise UserError(f"--layer_num {' '.join(map(str, self.layer_num))} names a layer twice.")
        for name in ("hook_point", "out_hook_point"):
            block = re.match(r"blocks\.(\d+)\.", getattr(self, name))
            if block and self.layer_num != [int(block[1])]:
                raise UserError(f"--{name} {getattr(self, name)} is not in --layer_num {' '.join(map(str, self.layer_num))}.")
        if self.autoencoder and self.skip_connection:
            raise UserError(f"--skip_connection would copy {self.hook_point} past the features; leave it out, or give another --out_hook_point.")
        half = self.n_batches_in_buffer * self.store_batch_size * (self.context_size - (not self.keep_first_token)) // 2
        if self.train_batch_size > half:
            raise UserError(
                f"--train_batch_size {self.train_batch_size} is more than half of the buffer ({half} tokens); give more --n_batches_in_buffer."
            )

    def _check_cross_layer(self) -> None:
        others = {
            "layer_num": self.layer_num,
            "skip_connection": self.skip_connection,
            "use_ghost_grads": self.use_ghost_grads,
            "matryoshka_widths": self.matryoshka_widths,
            "finetuning_tokens": self.finetuning_tokens,
            "decoder_norm unit": self.decoder_norm == "unit",
            "l1_decoder_norm plain": self.l1_decoder_norm == "plain",
            "mse_norm token": self.mse_norm == "token",
            "revive auxk": self.selects and self.revive == "auxk",
            "hooks bridge": self.hooks == "bridge",
        }
        if given := [f"--{name}" for name, value in others.items() if value]:
            raise UserError(f"{given[0]} does not go with --cross_layer, which trains one transcoder for all layers; leave it out.")
        if self.pre_activation_coefficient and self.selects:
            raise UserError(f"--pre_activation_coefficient belongs to --activation relu and jumprelu; {self.activation} has --revive.")


PRESETS: dict[str, dict[str, Any]] = {
    "cross_layer": {
        "cross_layer": True,
        "activation": "jumprelu",
        "sparsity_penalty": "tanh",
        "tanh_scale": 1.0,
        "jumprelu_threshold": 0.03,
        "jumprelu_bandwidth": 1.0,
    },
    "cross_layer_2025": {
        "cross_layer": True,
        "activation": "jumprelu",
        "sparsity_penalty": "tanh",
        "tanh_scale": 4.0,
        "jumprelu_threshold": 0.1,
        "jumprelu_bandwidth": 2.0,
        "pre_activation_coefficient": 3e-6,
    },
    "transcoder_circuits": {
        "hook_point": "ln2.hook_normalized",
        "out_hook_point": "hook_mlp_out",
        "expansion_factor": 32,
        "activation": "relu",
        "l1_coefficient": 1.4e-4,
        "l1_warm_up_steps": 0,
        "l1_decoder_norm": "plain",
        "decoder_norm": "unit",
        "encoder_init": "kaiming",
        "decoder_init_norm": 1.0,
        "b_dec_init_method": "mean",
        "normalize_activations": "none",
        "mse_norm": "token",
        "use_ghost_grads": True,
        "ghost_residual": "input",
        "dead_feature_window": 5000,
        "dead_feature_threshold": 1e-8,
        "lr": 4e-4,
        "lr_scheduler_name": "constantwithwarmup",
        "lr_warm_up_steps": 5000,
        "train_batch_size": 4096,
        "context_size": 128,
        "keep_first_token": True,
        "total_training_tokens": 60_000_000,
        "n_batches_in_buffer": 128,
        "store_batch_size": 32,
        "n_checkpoints": 3,
        "wandb_log_frequency": 10,
        "seed": 42,
    }
}
"""Recipes of others under their own names; a flag that is given comes before a preset's."""


_BELONGS_TO: dict[str, tuple[str, tuple[Any, ...]]] = {
    "k": ("activation", _SELECTING),
    "revive": ("activation", _SELECTING),
    "encoder_dtype": ("activation", _SELECTING),
    "l1_coefficient": ("activation", _PENALIZED),
    "l1_warm_up_steps": ("activation", _PENALIZED),
    "l1_decoder_norm": ("activation", _PENALIZED),
    "sparsity_penalty": ("activation", ("jumprelu",)),
    "jumprelu_threshold": ("activation", ("jumprelu",)),
    "jumprelu_bandwidth": ("activation", ("jumprelu",)),
    "tanh_scale": ("sparsity_penalty", ("tanh",)),
    "aux_coefficient": ("revive", ("auxk",)),
    "k_aux": ("revive", ("auxk",)),
    "ghost_residual": ("use_ghost_grads", (True,)),
    "lr_decay_share": ("lr_scheduler_name", ("lineardecay",)),
}
"""Flags that mean nothing unless another one has one of these values."""


def config_from(arguments: dict[str, Any]) -> TrainingConfig:
    """The configuration of parsed flags, those of the preset under them.

    Raises:
        UserError: for values that do not fit.
    """
    preset = dict(PRESETS.get(arguments.pop("preset", None) or "", {}))
    if arguments.get("activation") in _SELECTING:  # of the preset's switches the one that would be refused there
        preset.pop("use_ghost_grads", None)
    config = TrainingConfig(**preset | arguments)
    for name, (other, values) in _BELONGS_TO.items():
        if name in arguments and (found := getattr(config, other)) not in values:
            wanted = "" if values == (True,) else f" {' and '.join(values)}, not {found}"
            raise UserError(f"--{name} belongs to --{other}{wanted}; leave it out.")
    return config


def differences(saved: dict[str, Any], config: TrainingConfig) -> list[str]:
    """Where the settings of a saved training are not those of ``config``, one text each; ``saved`` may have fields that decide nothing."""
    now = json.loads(json.dumps(config.settings))
    names = (saved | now).keys() - (dataclasses.asdict(config).keys() - now.keys())
    return [f"--{name} {saved.get(name)} (now {now.get(name)})" for name in sorted(names) if saved.get(name) != now.get(name)]
