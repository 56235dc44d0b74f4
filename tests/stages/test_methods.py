"""A method is one module in `baselines`: it registers itself, and has its name, its flags and its edits on the command line."""

import importlib
import json
import sys

import pytest
import torch

import baselines
from stages.config import add_run_flags, run_config, run_flags
from stages.methods import methods
from stages.run import run_stage
from tcpe.method import METHODS, Method, register
from tests.stages.test_run import as_no_ke, config, judge, model_and_tokenizer  # noqa: F401 - fixtures
from util.cli import ArgumentParser
from util.errors import UserError

TOY = '''
from dataclasses import dataclass

import torch

from huggingface.architectures import decoder_weight, down_projection
from tcpe.method import Job, Method, register
from tcpe.weight_edit import WeightChange
from util.flags import flag


@dataclass(frozen=True)
class ToyFlags:
    toy_strength: float = flag(2.0, "what the first column is multiplied by")


class Doubled:
    def __init__(self, strength, layer):
        self.strength, self.layer = strength, layer

    def check(self, model, other_model=False):
        pass

    def changes(self, model):
        weight = decoder_weight(down_projection(model, self.layer))
        return [WeightChange("toy", weight, torch.tensor([0]), (self.strength - 1) * weight[:, :1].float())]


@register
class Toy(Method):
    name = "toy"
    help = "multiply a column"
    decides = ("toy_strength",)
    flags = ToyFlags

    def compute(self, job: Job):
        job.log(value_step=0, strength=job.task.own.toy_strength)
        return [Doubled(job.task.own.toy_strength, job.task.layer)]
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A rival that is one module, and nothing else."""
    (tmp_path / "rivals").mkdir()
    (tmp_path / "rivals/toy.py").write_text(TOY)
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(tmp_path / "rivals")])
    importlib.invalidate_caches()
    yield
    METHODS.pop("toy", None)
    sys.modules.pop("baselines.toy", None)


def test_one_module_is_a_method_with_its_name_its_flags_and_its_edits(toy, config, model_and_tokenizer, tmp_path):  # noqa: F811
    parser = ArgumentParser()
    add_run_flags(parser)
    assert "toy: multiply a column" in " ".join(parser.format_help().split()) and "--toy_strength" in parser.format_help()
    given = {**vars(parser.parse_args(["--alg_name", "toy", "--toy_strength", "3"])), "v_lr": 0.1}
    plain = {name: value for name, value in run_flags(config).items() if name not in ("alg_name", "v_lr")}
    rival = run_config(plain | given | {"output_file_path": str(tmp_path / "toy")})
    run_stage(as_no_ke(config), model_and_tokenizer)
    before = {name: tensor.clone() for name, tensor in model_and_tokenizer[0].state_dict().items()}
    metrics = run_stage(rival, model_and_tokenizer)
    assert metrics["columns"] == 1 and metrics["targets"] == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in model_and_tokenizer[0].state_dict().items())
    record = json.loads((rival.output / "run.json").read_text())
    assert record["config"]["toy_strength"] == 3 and "toy_strength" in record["made_from"]
    assert '"strength": 3.0' in (rival.output / "metrics.jsonl").read_text()
    with pytest.raises(UserError, match="another toy_strength"):
        run_stage(run_config(plain | given | {"toy_strength": 4.0, "output_file_path": str(tmp_path / "toy")}), model_and_tokenizer)
    with pytest.raises(UserError, match="--toy_strength belongs to --alg_name toy"):
        run_config(plain | {"alg_name": "TCPE", "toy_strength": 3.0})


def test_two_methods_of_one_name_are_a_bug():
    class Other(Method):
        name = "TCPE"
        help = "another"

    with pytest.raises(ValueError, match="two methods called TCPE"):
        register(Other)
    assert list(methods()) == ["noKE", "TCPE_pre", "TCPE"]
