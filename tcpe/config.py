"""A run's configuration: one dataclass, from which the flags, their help and their checks come."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tcpe.lim import Lim, parse_edit, parse_lim
from util.errors import UserError
from util.flags import check_choices, flag

Stage = Literal["noKE", "TCPE_pre", "TCPE"]
REFERENCE = "reference"
"""The ``MODEL_NAME`` of the rule-based translator, which needs no model."""


@dataclass(frozen=True)
class RunConfig:
    """Everything that one run of ``run_tcpe.py`` depends on; each field is the flag of its name."""

    MODEL_NAME: str = flag("", "model folder in Hugging Face's format, a model's name on the hub, or reference: rules, no model (required)")
    without_rule: list[str] = flag([], "rules of the reference that are switched off, so that it errs as models do")
    layer_num: int = flag(-1, "number of the layer to edit, counted from 0 (required)")
    TC_layer_file: str | None = flag(None, "transcoder that replaces that layer's MLP; without it the MLP itself is edited")
    TC_sites: list[str] = flag([], "where the transcoder reads and writes, as mlp_in mlp_out; by default what its checkpoint says")
    output_file_path: str = flag("", "folder for everything that this run writes (required)")
    alg_name: Stage = flag("", "noKE: no edit; TCPE_pre: compute an edit and apply all of it; TCPE: its active columns (required)")
    mlp_or_tc: str | None = flag(None, "kind of edit, MLP, TC_ef2, ...: names the requests' column; by default TC or MLP")
    i: int | None = flag(None, "row of the edit request in --edit_sequence_path, counted from 0 (required, but for noKE)")
    more_edits: list[str] = flag([], "further rows whose saved updates TCPE applies too, each ROW, ROW:LIM or ROW:LIM:DECAY")
    edit_sequence_path: str = flag("data/edit_requests.csv", "CSV of edit requests and their target clusters")
    fact_token: Literal["subject_last", "subject_first", "subject_first_after_last", "last"] = flag(
        "subject_last", "token at which the edit acts: of the subject, or the prompt's last one"
    )
    mom2_n_samples: int = flag(500_000, "number of texts for the second moment of the activations")
    mom2_dataset: str = flag("codeparrot/codeparrot-clean-valid", "texts: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    epsilon: float = flag(1e-8, "added to the second moment's diagonal, for features that never fire")
    context_template_length_params: list[list[int]] = flag(
        [[10, 1]], "JSON list of [length, n]: n sampled texts of that many tokens are put before the prompt", json.loads
    )
    v_num_grad_steps: int = flag(600, "number of gradient steps for the value")
    v_lr: float = flag(0.05, "learning rate for the value")
    clamp_norm_factor: int = flag(4, "the value's shift is at most this many times as long as the value itself")
    kl_factor: float = flag(0.0625, "weight of the term that keeps what the model says of the subject itself")
    v_weight_decay: float = flag(1e-3, "weight of the shift's relative squared length")
    skip_site_check: bool = flag(False, "use a transcoder even if it fits the layer badly, or another site better")
    save_k_v_upd: bool = flag(False, "save the computed update under --save_path")
    save_path: str | None = flag(None, "folder that updates are saved to and loaded from; by default updates in --container_workspace")
    upd_decay: float = flag(1.1, "TCPE divides the update by this")
    lim: Lim = flag(
        0.1,
        "TCPE keeps the columns of features whose activation is at least this; 20% means a share of the largest activation, top:16 the 16 "
        "most active features, -1 all columns",
        parse_lim,
    )
    abla_exp: bool = flag(False, "ablation: TCPE zeroes exactly those columns and keeps the others")
    container_workspace: str = flag("", "folder for intermediate files that runs share: statistics, compiled verdicts (required)")
    originals_path: str = flag("data/kecode/originals", "benchmark: folder of ID.java, or its kecode.csv")
    d_params_path: str = flag("data/kecode/d_with_params", "benchmark: folder of ID.d, the test programs")
    translate_only: bool = flag(False, "translate, and judge nothing")
    invalidate_cache: bool = flag(False, "throw away what earlier runs left in the output folder and the caches")
    translation_batch_size: int = flag(0, "number of functions that are translated at a time (required)")
    preKE_cluster_result: str = flag("", "the clustering of a noKE run; noKE writes it there (required)")
    max_length: int = flag(8, "number of an error message's first tokens that are compared")
    threshold: float = flag(0.9, "least cosine similarity of messages in one cluster")
    embedding_model: str = flag("builtin", "embedding of messages: builtin, or a sentence-transformers model")
    dtype: Literal["float32", "float16", "bfloat16"] = flag("float32", "type of the model's weights")
    device: str = flag("auto", "where the model runs: auto, cpu, cuda, cuda:1, ...")
    device_map: str | None = flag(None, "Hugging Face's map over several devices, e.g. auto")
    seed: int = flag(0, "seed of all randomness")
    jobs: int | None = flag(None, "programs compiled and run at a time; by default one per processor")
    trust_remote_code: bool = flag(False, "let code that comes with a model run")
    d_compiler: str = flag("ldc2", "the D compiler, an LDC, DMD or GDC, by name or path")
    fast_judge: bool = flag(False, "compile many translations by one command; the verdicts are the same")
    strict_verdict: bool = flag(False, "keep the expected results out of the programs that judge")
    allow_unsafe_execution: bool = flag(False, "run translations even where only resource limits contain them")
    allow_version_change: bool = flag(False, "compare clusterings even if compiler, model or clustering settings differ")
    run_name: str | None = flag(None, "the run's name in WandB; by default the output folder's")

    @property
    def is_reference(self) -> bool:
        """Whether the rules translate, and no model."""
        return self.MODEL_NAME == REFERENCE

    @property
    def kind(self) -> str:
        """``mlp_or_tc``, or its default."""
        return self.mlp_or_tc or ("TC" if self.TC_layer_file else "MLP")

    @property
    def edits(self) -> list[tuple[int, Lim, float]]:
        """Row, lim and decay of each edit of the run: ``i`` first, then ``more_edits``; none for noKE."""
        if self.i is None or self.alg_name == "noKE":
            return []
        edits = [(self.i, parse_lim(self.lim), self.upd_decay)]
        for text in self.more_edits:
            row, lim, decay = parse_edit(text, self.lim, self.upd_decay)
            if not row.isdecimal():
                raise UserError(f"--more_edits {text} is not ROW, ROW:LIM or ROW:LIM:DECAY.")
            edits.append((int(row), lim, decay))
        return edits

    @property
    def output(self) -> Path:
        """The run's own folder."""
        return Path(self.output_file_path)

    @property
    def updates(self) -> Path:
        """The folder of saved updates."""
        return Path(self.save_path or Path(self.container_workspace, "updates"))

    def __post_init__(self) -> None:
        """Check the fields on their own and against each other.

        Raises:
            UserError: naming the flag.
        """
        required = ["MODEL_NAME", "output_file_path", "alg_name", "container_workspace", "preKE_cluster_result"]
        if self.alg_name != "noKE":
            required.append("i")
        if missing := [name for name in required if getattr(self, name) in ("", None)]:
            raise UserError(f"{', '.join('--' + name for name in missing)} must be given; --help says what for.")
        check_choices(self)
        if self.is_reference and self.alg_name != "noKE":
            raise UserError(
                f"--MODEL_NAME {REFERENCE} has no weights to edit, so --alg_name {self.alg_name} does not go with it: an edit of the reference is "
                "another noKE run with fewer rules in --without_rule; compare the two with python -m d_running.judge."
            )
        if self.without_rule and not self.is_reference:
            raise UserError(f"--without_rule belongs to --MODEL_NAME {REFERENCE}.")
        for name, least in _LEAST.items():
            if not (getattr(self, name) >= least or (self.is_reference and name in ("layer_num", "translation_batch_size"))):
                raise UserError(f"--{name} must be given and at least {least}, not {getattr(self, name)}.")
        for name in ("v_lr", "clamp_norm_factor"):
            if not getattr(self, name) > 0:
                raise UserError(f"--{name} must be above 0, not {getattr(self, name)}.")
        parse_edit("", self.lim, self.upd_decay)
        rows = [row for row, _, _ in self.edits]
        if len(set(rows)) < len(rows):
            raise UserError(f"--i and --more_edits name a row twice ({', '.join(map(str, rows))}); each edit can be applied once.")
        before = Path(self.preKE_cluster_result)
        if before.suffix in (".json", ".csv") and before.name not in ("cluster.json", "cluster.csv"):
            raise UserError(f"--preKE_cluster_result {before} must be a folder, or the cluster.json or cluster.csv in it.")
        folder = before.parent if before.suffix in (".json", ".csv") else before
        if self.alg_name != "noKE" and folder.resolve() == self.output.resolve():
            raise UserError(f"--output_file_path and --preKE_cluster_result are both {folder}; what was measured before the edit must not be lost.")
        if self.abla_exp and any(lim == -1 for _, lim, _ in self.edits):
            raise UserError("--abla_exp with --lim -1 leaves no column to edit; give another lim.")
        if self.alg_name != "TCPE" and (self.abla_exp or self.more_edits):
            raise UserError("--abla_exp and --more_edits belong to --alg_name TCPE.")
        pairs = self.context_template_length_params
        if not isinstance(pairs, list) or not all(_is_pair_of_counts(pair) for pair in pairs):
            raise UserError(f"--context_template_length_params {pairs} must be a JSON list of [length, n], such as [[10, 1]].")
        if self.TC_sites and (len(self.TC_sites) != 2 or not self.TC_layer_file):
            raise UserError("--TC_sites takes two names, where the transcoder of --TC_layer_file reads and where it writes, such as mlp_in mlp_out.")
        if self.TC_layer_file and not Path(self.TC_layer_file).exists():
            raise UserError(f"There is no transcoder {self.TC_layer_file}; give its folder or file with --TC_layer_file.")


_LEAST = {
    "layer_num": 0,
    "mom2_n_samples": 1,
    "epsilon": 0,
    "v_num_grad_steps": 1,
    "kl_factor": 0,
    "v_weight_decay": 0,
    "translation_batch_size": 1,
    "max_length": 1,
    "threshold": -1,
}
"""The smallest value of number flags."""


def _is_pair_of_counts(value: Any) -> bool:
    """Whether ``value`` is a list of two positive integers."""
    return isinstance(value, list) and len(value) == 2 and all(type(number) is int and number > 0 for number in value)
