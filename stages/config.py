"""A run's configuration, composed of those of the rooms that it joins; its flags are theirs and its own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from d_running.config import JudgeConfig
from d_running.prompt import PROMPT_FORMAT, PROMPT_FORMAT_HELP, PromptFormat
from huggingface.config import ModelConfig
from stages.methods import meanings, methods
from tcpe.config import EditConfig
from tcpe.lim import Lim
from tcpe.method import Method
from util.cli import ArgumentParser
from util.errors import UserError
from util.flags import add_flags, check_choices, flag, flags_of, from_flags, part, to_flags

REFERENCE = "reference"
"""The ``MODEL_NAME`` of the rule-based translator, which needs no model."""


@dataclass(frozen=True)
class RunConfig:
    """Everything that one run of ``run_tcpe.py`` depends on; each field that is no part is the flag of its name.

    Attributes:
        own: the flags of the method alone, an instance of its ``flags``; None if it has none.
        given: the names of the flags that the user gave.
    """

    model: ModelConfig = part(ModelConfig, "the model and its transcoder")
    output_file_path: str = flag("", "folder for everything that this run writes (required)")
    alg_name: str = flag("", "what the run does (required)", choices=meanings)
    edit: EditConfig = part(EditConfig, "the edit")
    without_rule: list[str] = flag([], "rules of the reference that are switched off, so that it errs as models do")
    container_workspace: str = flag("", "folder for intermediate files that runs share: statistics, updates, compiled verdicts (required)")
    originals_path: str = flag("data/kecode/originals", "benchmark: folder of ID.java, or its kecode.csv")
    d_params_path: str = flag("data/kecode/d_with_params", "benchmark: folder of ID.d (or ID.py), the test programs")
    prompt_format: PromptFormat = flag(PROMPT_FORMAT, PROMPT_FORMAT_HELP)
    translate_only: bool = flag(False, "translate, and judge nothing")
    invalidate_cache: bool = flag(False, "throw away what earlier runs left in the output folder and the caches")
    translation_batch_size: int = flag(0, "number of functions that are translated at a time (required)")
    preKE_cluster_result: str = flag("", "the clustering of a noKE run; noKE writes it there (required)")
    judge: JudgeConfig = part(JudgeConfig, "judging", without=("cache_dir", "compile_limit", "run_limit"))
    seed: int = flag(0, "seed of all randomness")
    run_name: str | None = flag(None, "the run's name in WandB; by default the output folder's")
    wandb_project: str = flag("", "the run's project in WandB; by default WANDB_PROJECT, or tcpe")
    wandb_entity: str = flag("", "the user or team that it belongs to; by default WANDB_ENTITY, or that of the key")
    own: Any = None
    given: frozenset[str] = frozenset()

    @property
    def is_reference(self) -> bool:
        """Whether the rules translate, and no model."""
        return self.model.MODEL_NAME == REFERENCE

    @property
    def method(self) -> Method:
        """What ``alg_name`` names."""
        return methods()[self.alg_name]

    @property
    def kind(self) -> str:
        """``mlp_or_tc``, or its default."""
        return self.edit.mlp_or_tc or ("TC" if self.model.TC_layer_file else "MLP")

    @property
    def edits(self) -> list[tuple[int, Lim, float]]:
        """Row, lim and decay of each edit of the run; none for a method that edits nothing."""
        return self.edit.edits if self.method.edits else []

    @property
    def output(self) -> Path:
        """The run's own folder."""
        return Path(self.output_file_path)

    @property
    def workspace(self) -> Path:
        """The folder for what runs share."""
        return Path(self.container_workspace)

    @property
    def judging(self) -> JudgeConfig:
        """How to judge, with the verdicts in the workspace."""
        return replace(self.judge, cache_dir=self.workspace)

    def __post_init__(self) -> None:
        """Check the parts against each other.

        Raises:
            UserError: naming the flag.
        """
        given = {"MODEL_NAME": self.model.MODEL_NAME, "i": self.edit.i, **vars(self)}
        required = ["MODEL_NAME", "output_file_path", "alg_name", "container_workspace", "preKE_cluster_result"]
        if self.alg_name in methods() and self.method.edits:
            required.append("i")
        missing = [name for name in required if given[name] in ("", None)]
        if not self.is_reference:
            numbers = {"layer_num": self.model.layer_num, "translation_batch_size": self.translation_batch_size}
            missing += [name for name, value in numbers.items() if value == flags_of(RunConfig)[name][0].default]
        if missing:
            known = {"alg_name": f" ({', '.join(methods())})"}
            raise UserError(f"{', '.join(f'--{name}{known.get(name, str())}' for name in missing)} must be given; --help says what for.")
        check_choices(self)
        if self.is_reference and self.method.edits:
            raise UserError(
                f"--MODEL_NAME {REFERENCE} has no weights to edit, so --alg_name {self.alg_name} does not go with it: an edit of the reference is "
                "another noKE run with fewer rules in --without_rule; compare the two with python -m d_running.judge."
            )
        if self.without_rule and not self.is_reference:
            raise UserError(f"--without_rule belongs to --MODEL_NAME {REFERENCE}.")
        if not self.is_reference:
            for name, value, least in (("layer_num", self.model.layer_num, 0), ("translation_batch_size", self.translation_batch_size, 1)):
                if value < least:
                    raise UserError(f"--{name} must be given and at least {least}, not {value}.")
        for name, limit, lowest in (("max_length", self.judge.max_length, 1), ("threshold", self.judge.threshold, -1)):
            if not limit >= lowest:
                raise UserError(f"--{name} must be at least {lowest}, not {limit}.")
        if (kind := self.edit.mlp_or_tc) is not None and (kind == "MLP") == bool(self.model.TC_layer_file):
            there = f"the transcoder {self.model.TC_layer_file} is edited" if kind == "MLP" else "without --TC_layer_file the MLP itself is edited"
            raise UserError(f"--mlp_or_tc {kind} does not fit: {there}; leave one of the two flags out, or name the right kind.")
        self._check_before()
        for name in ("abla_exp", "more_edits"):
            if getattr(self.edit, name) and name not in self.method.decides:
                users = [other.name for other in methods().values() if name in other.decides]
                raise UserError(f"--{name} belongs to --alg_name {' or '.join(users)}.")

    def _check_before(self) -> None:
        """See that the clustering before the edit is named rightly, and cannot be lost."""
        before = Path(self.preKE_cluster_result)
        if before.suffix in (".json", ".csv") and before.name not in ("cluster.json", "cluster.csv"):
            raise UserError(f"--preKE_cluster_result {before} must be a folder, or the cluster.json or cluster.csv in it.")
        folder = before.parent if before.suffix in (".json", ".csv") else before
        if self.method.edits and folder.resolve() == self.output.resolve():
            raise UserError(f"--output_file_path and --preKE_cluster_result are both {folder}; what was measured before the edit must not be lost.")


def add_run_flags(parser: ArgumentParser) -> None:
    """Give ``parser`` the flags of ``RunConfig``, and those that methods have of their own."""
    add_flags(parser, RunConfig, "the run")
    for method in methods().values():
        if method.flags is not None:
            add_flags(parser, method.flags, f"--alg_name {method.name}")


def run_config(given: Mapping[str, Any]) -> RunConfig:
    """The configuration that flags make, those of the method's own included.

    Raises:
        UserError: for a flag of another method, or values that do not go together.
    """
    of_run = flags_of(RunConfig).keys()
    config = from_flags(RunConfig, {name: value for name, value in given.items() if name in of_run})
    others = {name: value for name, value in given.items() if name not in of_run}
    known = flags_of(config.method.flags).keys() if config.method.flags is not None else set()
    for name in others.keys() - known:
        users = [method.name for method in methods().values() if method.flags is not None and name in flags_of(method.flags)]
        if not users:
            raise TypeError(f"There is no flag {name}")
        raise UserError(f"--{name} belongs to --alg_name {' or '.join(users)}.")
    own = from_flags(config.method.flags, others) if config.method.flags is not None else None
    return replace(config, own=own, given=frozenset(given))


def run_flags(config: RunConfig) -> dict[str, Any]:
    """The values of all flags of a run, by name; what ``run_config`` takes."""
    return to_flags(config) | (to_flags(config.own) if config.own is not None else {})


def changed(config: RunConfig, **flags: Any) -> RunConfig:
    """``config`` with other values of some flags."""
    return replace(run_config(run_flags(config) | flags), given=config.given.union(flags))
