"""Autoencoders as roots, trained here too; and what the command refuses, each in a sentence."""

import json
import sys
from pathlib import Path

import pytest
import torch

from huggingface.transcoder import JumpReLU, Sites, TopK, Transcoder, save_transcoder
from tests.tiny import FEATURES, LAYERS, tiny_model, tiny_tokenizer, tiny_transcoder
from tests.transcoder_circuits.frozen_models import TEXT
from tests.transcoder_circuits.test_over_texts import POINTS, SITES, sae_at
from transcoder_circuits import paths
from transcoder_circuits.circuit_analysis import ComponentType, greedy_get_top_paths, make_sae_feature_vector
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.saes import sae_features, sae_root
from util.cli import run_main
from util.errors import UserError


@torch.no_grad()
@pytest.mark.parametrize("family", ["Llama", "GPT2", "Gemma2", "GPTNeoX"])
def test_what_makes_an_autoencoders_feature_adds_up_to_it(family):
    cache = FrozenPass(tiny_model(family), [tiny_transcoder(layer + 1) for layer in range(LAYERS)], tiny_tokenizer()(TEXT)["input_ids"])
    for site, point in zip(SITES, POINTS):
        sae = sae_at(2, site)
        features = sae_features(cache, sae, 2)
        number = int(features[-1].argmax())
        root = sae_root(cache, sae)
        v, constant = cache.in_stream(root)
        direct = cache.direct(v[None], [len(cache.ids) - 1], [cache.span(root)])
        scale = sum(part.abs().sum().item() for part in direct.features.values()) + abs(root.contrib)
        assert root.component.feature_idx == number and root.contrib == pytest.approx(features[-1, number].item())
        assert direct.total().item() + constant + root.bias == pytest.approx(root.contrib, abs=1e-5 * scale), point
        if point != "attn_added":
            found = greedy_get_top_paths(cache.model, cache.transcoders, cache, root, 2, 4, absolute=True)
            layers = {path[1].component.layer for path in found[0] if path[1].component.component_type is ComponentType.MLP}
            assert layers <= ({2} if point in ("mlp_out", "added") else {0, 1} if point in ("resid_pre", "resid_mid") else {0, 1, 2})


def test_an_activation_is_that_of_its_own_function():
    cache = FrozenPass(tiny_model(), {}, tiny_tokenizer()(TEXT)["input_ids"])
    sae = sae_at(2, "hook_resid_mid")
    strengths = sae_features(cache, sae, 2)[-1]
    order = strengths.argsort(descending=True)
    sae.activation = JumpReLU(torch.full((FEATURES,), strengths[order[1]].item() + 1e-4))
    assert sae_root(cache, sae).component.feature_idx == order[0]
    silent = sae_root(cache, sae, int(order[1]))
    assert silent.contrib == 0
    with pytest.raises(UserError, match="is not active in this prompt"):
        greedy_get_top_paths(cache.model, {}, cache, silent)
    sae.activation = TopK(2)
    assert sae_features(cache, sae, 2)[-1].count_nonzero() == 2
    sae.activation = JumpReLU(torch.full((FEATURES,), 1e6))
    for ask, words in (
        (lambda: sae_root(cache, sae), "No feature of the autoencoder of layer 2 is active at token -1"),
        (lambda: sae_root(cache, sae, FEATURES), "has no feature 96"),
        (lambda: sae_root(cache, sae, 3, layer=7), "no layer 7"),
        (lambda: sae_root(cache, sae, 3, token=999), "no token 999"),
        (lambda: make_sae_feature_vector(sae_at(2, "hook_q"), 3), "cannot begin at hook_q of layer 2"),
    ):
        with pytest.raises(UserError, match=words):
            ask()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, transcoders of its layers 0, 1 and 3, an autoencoder, and some that do not fit."""
    folder = tmp_path_factory.mktemp("circuits")
    tiny_model().save_pretrained(folder / "model")
    tiny_tokenizer().save_pretrained(folder / "model")
    for layer in (0, 1, 3):
        save_transcoder(tiny_transcoder(layer), folder / "transcoders" / f"layer_{layer}")
    save_transcoder(sae_at(2, "hook_resid_mid"), folder / "sae")
    elsewhere = tiny_transcoder()
    elsewhere.sites = Sites("blocks.2.attn.hook_q", "blocks.2.hook_mlp_out")
    save_transcoder(elsewhere, folder / "elsewhere")
    elsewhere.sites = Sites("blocks.2.attn.hook_q", "blocks.2.attn.hook_q")
    save_transcoder(elsewhere, folder / "elsewhere_sae")
    save_transcoder(Transcoder(8, 4, 8), folder / "other_model" / "layer_1")
    save_transcoder(tiny_transcoder(), folder / "deep" / "layer_7")
    silent = tiny_transcoder()
    silent.up_proj.bias.data[5] = -(10.0**6)
    save_transcoder(silent, folder / "silent" / "layer_1")
    (folder / "long.txt").write_text("int x; " * 3000)
    return folder


@pytest.mark.parametrize(
    "flags, sentence",
    [
        ("--layer 3 --feature 96", "layer 3 has no feature 96: its features are 0 to 95"),
        ("--layer 2", "no transcoder for layer 2; there are some for 0, 1, 3"),
        ("--transcoders {}/other_model", "maps width 8 to 8, but the model has width 32"),
        ("--transcoders {}/deep", "a transcoder for layer 7, and the model's layers are 0 to 3"),
        ("--transcoders {}/elsewhere", "reads blocks.2.attn.hook_q, which is none of the inputs"),
        ("--transcoders {}/sae", "for layer 2 is an autoencoder"),
        ("--transcoders {}/nothing", "no folder of transcoders"),
        ("--prompt= --prompt_file {}/long.txt", "reads at most 2048"),
        ("--prompt= --prompt_file {}/missing.txt", "Cannot read the prompt"),
        ("--transcoders {}/silent --feature 5", r"mlp1tc\[5\]@-1 is not active in this prompt \(its activation is 0\)"),
        ("--layer 0 --token 0 --num_iters 1", "No path leads to mlp0tc"),
        ("--token 99", "The prompt has no token 99"),
        ("--sae {}/sae --feature 96", "has no feature 96"),
        ("--sae {}/elsewhere_sae", "reads blocks.2.attn.hook_q"),
        ("--num_iters 0", "at least 1 depth"),
        ("--logit x --token 50", "no token 50"),
        ("--logit x --feature 3", "leave out --feature, or --logit"),
        ("--logit=", "--logit is empty"),
        ("--sae {}/transcoders", "for layer 0 is a transcoder; give it with --transcoders"),
        ("--prompt_file {}/long.txt", "two prompts"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_exit_code_2(folder: Path, monkeypatch, capsys, flags: str, sentence: str) -> None:
    given = ["--MODEL_NAME", f"{folder}/model", "--transcoders", f"{folder}/transcoders", "--prompt", "int n", *flags.format(folder).split()]
    monkeypatch.setattr(sys, "argv", ["paths", *given])
    with pytest.raises(UserError, match=sentence) as raised:
        paths.main()
    assert str(raised.value).count("\n") == 0 and str(raised.value).endswith(".")
    with pytest.raises(SystemExit) as ended:
        run_main(paths.main)
    assert ended.value.code == 2 and not capsys.readouterr().out


@pytest.mark.parametrize(("flags", "sentence"), [("--prompt=", "There is no prompt"), ("--feature 96", "has no feature 96")])
def test_flags_are_checked_before_a_model_is_loaded(folder: Path, monkeypatch, flags: str, sentence: str) -> None:
    given = ["--MODEL_NAME", f"{folder}/nowhere/at/all", "--transcoders", f"{folder}/transcoders", "--prompt", "int n", flags.partition(" ")[0]]
    monkeypatch.setattr(sys, "argv", ["paths", *given, *flags.split()[1:]])
    with pytest.raises(UserError, match=sentence):
        paths.main()


def test_the_command_follows_an_autoencoders_feature(folder: Path, monkeypatch, capsys) -> None:
    flags = ["--MODEL_NAME", f"{folder}/model", "--transcoders", f"{folder}/transcoders", "--prompt", TEXT]
    monkeypatch.setattr(sys, "argv", ["paths", *flags, "--sae", f"{folder}/sae", "--num_branches", "3"])
    paths.main()
    said = capsys.readouterr().out
    assert said.startswith("--- Paths of size 2 ---\nPath [1][0]: mlp2tc[") and said.count("\nPath") == 6


def test_a_trained_autoencoder_is_a_root(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    from sae_training.config import TrainingConfig
    from sae_training.train import train
    from transcoder_circuits.sets import load_transcoders

    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": TEXT * 3}) + "\n" for _ in range(40)))
    train(TrainingConfig(
        MODEL_NAME=f"{folder}/model", layer_num=[1], dataset=[str(tmp_path / "texts.jsonl")], output_file_path=str(tmp_path / "sae"),
        hook_point="hook_resid_pre", out_hook_point="hook_resid_pre", k=8, total_training_tokens=300, train_batch_size=60, context_size=16,
        store_batch_size=4, n_batches_in_buffer=4,
    ))  # fmt: skip
    (layer, sae), = load_transcoders([tmp_path / "sae"]).items()
    cache = FrozenPass(tiny_model(), [tiny_transcoder(layer + 1) for layer in range(LAYERS)], tiny_tokenizer()(TEXT)["input_ids"])
    root = sae_root(cache, sae, layer=layer)
    assert layer == 1 and root.sublayer == "resid_pre" and greedy_get_top_paths(cache.model, cache.transcoders, cache, root, 1, 3)[0]
