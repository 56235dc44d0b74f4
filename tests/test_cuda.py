"""On a GPU everything gives what the CPU gives, within rounding. Skipped where there is none."""

import json
from pathlib import Path

import pytest
import torch

from huggingface.architectures import down_projection
from huggingface.generation import greedy_generate
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.loaders.cross_layer import load_cross_layer
from huggingface.replacement import replaced
from huggingface.tokenization import batches, encode
from huggingface.transcoder_adapter import splice_transcoder
from sae_training.config import TrainingConfig
from sae_training.cross_layer_evaluation import cross_entropy
from sae_training.train import train
from tcpe.compute_u import compute_key, key_direction
from tcpe.compute_v import ValueSettings, compute_value
from tcpe.contexts import build_contexts
from tcpe.request import EditRequest
from tcpe.second_moment import collect_second_moment
from tcpe.update import Edit, applied, make_update
from tests.tiny import tiny_model, tiny_tokenizer, tiny_transcoder
from tests.transcoder_circuits.frozen_models import TEXT, transcoders_for
from tests.transcoder_circuits.planted import PlantedCrossLayer
from transcoder_circuits.attribution_graph import attribute
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.interventions import most_influential_features, verify
from util.files import ROOT

DEVICE = "cuda"
DEMO = ROOT / "data/demo"
TOKENIZER = tiny_tokenizer()
TEXTS = ["int x = 3;" * 4, "double z = sqrt(2);", "return dp.length;", "for (int i = 0; i < n; i++) { s += i; }" * 2]
REQUEST = EditRequest("3", "a cast", "[INST] int solution(int n) {{ return{} n; }}```d\n", " (int)", " cast(int)")

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def texts(count: int) -> list[str]:
    lines = (DEMO / "texts.jsonl").read_text().splitlines()[:count]
    return [json.loads(line)["text"] for line in lines]


def test_answers_are_the_same() -> None:
    prompts = [text[: len(text) // 2] for text in texts(24)]
    answers = []
    for device in ("cpu", DEVICE):
        model, tokenizer = load_model_and_tokenizer(str(DEMO / "model"), device)
        answers.append(greedy_generate(model, tokenizer, prompts, max_new_tokens=60, stop="```"))
    assert answers[0] == answers[1] and any(answers[0])


@pytest.mark.parametrize("family", ["Llama", "GPT2", "Gemma2", "Llama transcoder"])
def test_an_update_is_the_same_is_written_and_is_taken_back_to_the_bit(family: str) -> None:
    layer, updates = 2, []
    for device in ("cpu", DEVICE):
        model = tiny_model(family.partition(" ")[0])
        if "transcoder" in family:
            splice_transcoder(model, layer, tiny_transcoder())
        model.to(device)
        contexts = build_contexts(TOKENIZER, REQUEST, ["a longer text before it", "b"])
        key = compute_key(model, TOKENIZER, layer, contexts.prompts)
        value = compute_value(model, TOKENIZER, layer, contexts, ValueSettings(learning_rate=0.2, steps=25))
        direction = key_direction(collect_second_moment(model, TOKENIZER, layer, TEXTS), key, 1e-2)
        updates.append(make_update(model, layer, key, direction, value))
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with applied(model, [Edit(updates[-1])]):
            written = down_projection(model, layer)(key.to(model.device)).cpu()
            assert (written - value.target.cpu()).norm() < 1e-5 * value.target.norm()
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    here, there = (torch.outer(update.value_shift.cpu(), update.key_direction.cpu()) for update in updates)
    assert (here - there).norm() < 1e-2 * here.norm()


RECIPES: list[dict] = [
    {},
    {"activation": "batchtopk"},
    {"activation": "jumprelu", "l1_coefficient": 1e-2},
    {"activation": "relu", "decoder_norm": "unit", "use_ghost_grads": True, "dead_feature_window": 2},
    {"revive": "auxk", "dead_feature_window": 2},
    {"matryoshka_widths": [128]},
    {"finetuning_tokens": 4096},
    {"cross_layer": True},
    {"read_ahead": True, "dtype": "bfloat16"},
]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_training_reaches_the_same(recipe: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    found = {}
    for device in ("cpu", DEVICE):
        values = {"MODEL_NAME": str(DEMO / "model"), "layer_num": [] if "cross_layer" in recipe else [2], "dataset": [str(DEMO / "texts.jsonl")]}
        values |= {"hooks": "plain", "expansion_factor": 4, "k": 8, "train_batch_size": 512, "total_training_tokens": 40 * 512}
        folder = tmp_path / device.replace(":", "_")
        found[device] = train(TrainingConfig(**values | recipe, output_file_path=str(folder), device=device))
        for layer in found[device]:
            if "cross_layer" not in recipe:
                load_transcoder(folder / f"layer_{layer}")
    for layer, here in found["cpu"].items():
        there = found[DEVICE][layer]
        assert there.fvu == pytest.approx(here.fvu, rel=0.05) and there.l0 == pytest.approx(here.l0, rel=0.05), (here, there)


@pytest.mark.parametrize("family", ["Llama", "GPT2", "Gemma2", "cross-layer Llama"])
def test_a_graph_has_the_same_nodes_and_edges(family: str) -> None:
    graphs, ids = [], TOKENIZER(TEXT)["input_ids"][:8]
    for device in ("cpu", DEVICE):
        family_name = family.rpartition(" ")[2]
        model = tiny_model(family_name).to(device)
        cache = FrozenPass(model, PlantedCrossLayer() if " " in family else transcoders_for(family_name), ids)
        graphs.append(attribute(cache, batch_size=48))
        assert verify(cache, graphs[-1], most_influential_features(graphs[-1], 3))
    here, there = graphs
    assert torch.equal(here.features.cpu(), there.features.cpu())
    torch.testing.assert_close(there.edges.cpu(), here.edges.cpu(), rtol=1e-4, atol=1e-5)


def test_the_shipped_cross_layer_transcoder_stands_in_as_well() -> None:
    losses = []
    for device in ("cpu", DEVICE):
        model, tokenizer = load_model_and_tokenizer(str(DEMO / "model"), device)
        read = list(batches([encode(tokenizer, text).ids for text in texts(16)], tokenizer.pad_token_id, device, max_rows=8))
        transcoder = load_cross_layer(DEMO / "clt")
        losses.append(cross_entropy(model, read, replaced(model, transcoder)))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
