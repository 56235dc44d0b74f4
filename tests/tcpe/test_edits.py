"""Saved updates can be found, read, compared, merged, and applied for good: what is loaded again has the logits of ``applied``."""

import copy
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from huggingface.architectures import down_projection
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.transcoder import JumpReLU, Sites, save_transcoder
from huggingface.transcoder_adapter import spliced
from tcpe.edits import bridge_edited, diff_updates, find_update, list_updates, load_edit, load_edited, main, save_edited, show_update
from tcpe.model import Model
from tcpe.update import Edit, MergedUpdate, applied
from tests.tcpe.test_update import LAYER, random_update
from tests.tiny import FEATURES, tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import EditError, UserError

IDS = torch.arange(40)[None]


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.fixture
def base(tmp_path):
    """A model and a transcoder on the disk, and two updates of each of them."""
    tiny_model().save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    save_transcoder(replace_sites(tiny_transcoder()), tmp_path / "transcoder")
    model, _ = load_model_and_tokenizer(str(tmp_path / "base"), "cpu")
    for seed in range(2):
        random_update(model, seed).save(tmp_path / "updates" / f"mlp.{seed}")
    with spliced(model, LAYER, load_transcoder(tmp_path / "transcoder")):
        for seed in range(2):
            random_update(model, seed).save(tmp_path / "updates" / "deep" / f"tc.{seed}")
    return tmp_path


def replace_sites(transcoder):
    transcoder.sites = Sites("blocks.2.ln2.hook_normalized", "blocks.2.hook_mlp_out")
    transcoder.activation = JumpReLU(torch.full((FEATURES,), 0.1))
    return transcoder.requires_grad_(False)


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["edits", *map(str, arguments)])
    main()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("full", [[], ["--save_full"]])
@pytest.mark.parametrize("kind", ["mlp", "tc"])
def test_applied_and_loaded_again_in_two_lines(base, monkeypatch, capsys, kind, full, dtype):
    updates = [f"{base}/updates/{'deep/' if kind == 'tc' else ''}{kind}.{part}" for part in ("0:0.3", "1:top:9:1.5")]
    transcoder = ["--TC_layer_file", base / "transcoder"] if kind == "tc" else []
    common = ["--MODEL_NAME", base / "base", *transcoder, "--dtype", dtype, "--device", "cpu"]
    command(monkeypatch, "apply", *updates, *common, "--save_path", base / "out", *full)
    assert "active features" in capsys.readouterr().out

    again, tokenizer = load_edited(base / "out", device="cpu")

    model, _ = load_model_and_tokenizer(str(base / "base"), "cpu", dtype)
    plain = logits(model)
    edits = [load_edit(update) for update in updates]
    if kind == "tc":
        with spliced(model, LAYER, load_transcoder(base / "transcoder")), applied(model, edits):
            expected = logits(model)
    else:
        with applied(model, edits):
            expected = logits(model)
    assert torch.equal(logits(again), expected) and not torch.equal(expected, plain)
    assert tokenizer("int x").input_ids == tiny_tokenizer()("int x").input_ids
    if full and kind == "mlp":
        loaded = AutoModelForCausalLM.from_pretrained(base / "out", dtype=getattr(torch, dtype))
        assert torch.equal(logits(loaded), expected)
    elif full:
        with pytest.raises(ValueError, match="for tcpe.edits.load_edited"):
            AutoModelForCausalLM.from_pretrained(base / "out")
    else:
        assert sum(path.stat().st_size for path in (base / "out").iterdir()) < 2**20


@pytest.mark.parametrize("full", [[], ["--save_full"]])
@pytest.mark.parametrize("kind", ["mlp", "tc"])
def test_an_edited_model_is_saved_again_and_bridged(base, monkeypatch, kind, full):
    transcoder = ["--TC_layer_file", base / "transcoder"] if kind == "tc" else []
    update = base / "updates" / ("deep/tc.0" if kind == "tc" else "mlp.0")
    command(monkeypatch, "apply", update, "--MODEL_NAME", base / "base", *transcoder, "--device", "cpu", "--save_path", base / "out", *full)
    edited, _ = load_edited(base / "out", device="cpu")
    expected = logits(edited)
    copied = copy.deepcopy(edited)
    with torch.no_grad():
        down_projection(copied, LAYER).weight.mul_(1.5)
    for model, folder in ((edited, "again"), (copied, "copied")):
        model.save_pretrained(base / folder)
        if kind == "mlp":
            assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(base / folder)), logits(model))
        else:
            assert torch.equal(logits(load_edited(base / folder, device="cpu")[0]), logits(model))
            with pytest.raises(ValueError, match="for tcpe.edits.load_edited"):
                AutoModelForCausalLM.from_pretrained(base / folder)
            with pytest.raises(UserError, match="not empty"):
                model.save_pretrained(base / folder)
            model.save_pretrained(base / f"{folder}_shards", max_shard_size="30KB")  # push_to_hub gives a size
            assert len(list((base / f"{folder}_shards/model_without_transcoder").glob("*.safetensors"))) > 1
            assert torch.equal(logits(load_edited(base / f"{folder}_shards", device="cpu")[0]), logits(model))
            for options in ({"state_dict": {}}, {"push_to_hub": True}):
                with pytest.raises(UserError, match=f"without {next(iter(options))}"):
                    model.save_pretrained(base / "new", **options)
    assert torch.equal(logits(edited), expected) and not torch.equal(logits(copied), expected)
    bridge = bridge_edited(base / "out", device="cpu")
    with torch.no_grad():
        assert torch.allclose(bridge(IDS), expected, atol=1e-4)
        _, cache = bridge.run_with_cache(IDS)
        assert torch.allclose(bridge(IDS), expected, atol=1e-4)
        bridge.enable_compatibility_mode(disable_warnings=True)
        assert torch.allclose(bridge(IDS).log_softmax(-1), expected.log_softmax(-1), atol=1e-4)
    assert cache[f"blocks.{LAYER}.hook_mlp_out"].shape == (1, IDS.shape[1], edited.config.hidden_size)


def test_list_show_diff_and_merge(base, monkeypatch, capsys):
    table = list_updates([str(base)])
    assert table.count("\n") == 5 and "mlp.0" in table and "1: error 1" in table
    shown = show_update(f"{base}/updates/deep/tc.0:top:5")
    assert "5 of 96 at lim top:5" in shown and "'int{} x'" in shown
    top = load_edit(f"{base}/updates/deep/tc.0").update.key.topk(10)
    assert f"{top.indices[0]:<7}  {top.values[0]:.4f}" in shown
    same = diff_updates(*[f"{base}/updates/deep/tc.0"] * 2)
    assert "cosine of k* 1.0000" in same and "1.000 (Jaccard)" in same
    with pytest.raises(UserError, match="different shapes"):
        diff_updates(f"{base}/updates/mlp.0", f"{base}/updates/deep/tc.0")
    updates = [f"{base}/updates/deep/tc.{part}" for part in ("0:0.3", "1:20%:2")]
    command(monkeypatch, "merge", *updates, "--save_path", base / "merged")
    merged = MergedUpdate.load(find_update(base / "merged"))
    for row, edit in zip(merged.right, [load_edit(update) for update in updates]):
        assert torch.nonzero(row).flatten().tolist() == edit.columns().tolist()
    capsys.readouterr()
    command(monkeypatch, "show", base / "merged")
    assert "2 updates in one" in capsys.readouterr().out
    with pytest.raises(UserError, match="fixed"):
        load_edit(f"{base}/merged:0.3")
    with pytest.raises(UserError, match="holds an update already"):
        command(monkeypatch, "merge", *updates, "--save_path", base / "merged")


def test_mistakes_leave_nothing(base, monkeypatch):
    out, mlp = base / "out", base / "updates" / "mlp.0"
    common = ["--MODEL_NAME", base / "base", "--device", "cpu", "--save_path", out]
    tiny_model(seed=4).save_pretrained(base / "other")
    tiny_tokenizer().save_pretrained(base / "other")
    other = ["--MODEL_NAME", base / "other", *common[2:]]
    for arguments, message in (
        (["apply", base / "updates" / "deep" / "tc.0", *common], "shape"),
        (["apply", f"{mlp}:99", *common], "No feature reaches --lim 99"),
        (["apply", f"{mlp}:top:0", *common], "--lim"),
        (["apply", f"{mlp}:0.1:-1", *common], "--upd_decay"),
        (["apply", base / "updates", *common], "holds 2: mlp.0, mlp.1"),
        (["apply", base / "nothing", *common], "no saved update"),
        (["apply", mlp, base / "updates" / "deep" / "tc.0", *common], "different models or transcoders"),
        (["apply", mlp, *other], "another"),
        (["apply", mlp, *other, "--save_full"], "another"),
        (["list", base / "base"], "no saved update under"),
    ):
        with pytest.raises(UserError, match=message):
            command(monkeypatch, *arguments)
        assert not out.exists() and not list(base.glob(".*"))
    command(monkeypatch, "apply", mlp, *other, "--other_model")
    load_edited(out, device="cpu")
    with pytest.raises(UserError, match="not empty"):
        command(monkeypatch, "apply", mlp, *common)


def test_an_update_and_its_model_stay_together(base):
    model, tokenizer = load_model_and_tokenizer(str(base / "base"), "cpu")
    save_edited(base / "out", model, tokenizer, [Edit(random_update(model))], model_name=str(base / "base"))
    tiny_model(seed=4).save_pretrained(base / "base")
    with pytest.raises(EditError, match="another"):
        load_edited(base / "out", device="cpu")
    with pytest.raises(UserError, match="holds no edited model .*give a folder that python -m tcpe.edits apply or save_edited has written"):
        load_edited(base, device="cpu")


def test_an_update_that_does_not_fit_says_what_it_was_made_for(base):
    model, tokenizer = load_model_and_tokenizer(str(base / "base"), "cpu")
    update = replace(random_update(model), weight_sample=random_update(model).weight_sample * 2)
    made_with = {"MODEL_NAME": "here", "TC_layer_file": "there"}
    for with_it, words in (
        ({}, "the same --TC_layer_file or without one"),
        ({"made_with": made_with}, "--MODEL_NAME here with --TC_layer_file there"),
        ({"made_with": made_with | {"TC_layer_file": None}}, "--MODEL_NAME here without --TC_layer_file"),
    ):
        with pytest.raises(EditError, match=words):
            save_edited(base / "out", model, tokenizer, [Edit(replace(update, details=update.details | with_it))], model_name=str(base / "base"))


def test_a_failed_save_leaves_no_folder_and_the_model_as_it_was(base, monkeypatch):
    model, tokenizer = load_model_and_tokenizer(str(base / "base"), "cpu")
    edit, before = Edit(random_update(model)), logits(model)

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokenizer, "save_pretrained", full_disk)
    with pytest.raises(UserError, match="No space left"):
        save_edited(base / "out", model, tokenizer, [replace(edit, lim=0.1)], model_name="m", full=True)
    assert not (base / "out").exists() and not list(base.glob(".out*")) and torch.equal(logits(model), before)


def test_a_model_without_a_name_is_saved_only_whole(base):
    transient = tiny_model()
    model, edit = Model(transient, tiny_tokenizer(), LAYER), Edit(random_update(transient))
    with pytest.raises(UserError, match="MODEL_NAME"):
        model.save(base / "out", edit)
    assert not (base / "out").exists()
    model.save(base / "out", edit, full=True)
    with applied(transient, [edit]):
        assert torch.equal(logits(load_edited(base / "out", device="cpu")[0]), logits(transient))


def test_help_and_mistakes_on_the_command_line():
    run = subprocess.run([sys.executable, "-m", "tcpe.edits", "--help"], capture_output=True, text=True)
    assert run.returncode == 0 and all(name in run.stdout for name in ("list", "show", "apply", "merge", "diff"))
    run = subprocess.run([sys.executable, "-m", "tcpe.edits", "show", "nowhere"], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "") and run.stderr.startswith("error: There is no saved update nowhere")
