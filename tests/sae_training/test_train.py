"""A training from texts to a transcoder: it continues exactly, can be loaded, and refuses what it cannot use."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.tokenization import encode
from huggingface.transcoder import JumpReLU, TopK
from huggingface.transcoder_adapter import splice_transcoder
from sae_training import train as train_module
from sae_training.checkpoint import CHECKPOINT_FILE, load_checkpoint
from sae_training.config import config_from, differences
from sae_training.contexts import ContextStream
from sae_training.evaluation import evaluate
from sae_training.train import Training, texts_of, train
from sae_training.trainer import LayerTrainer
from util.errors import UserError
from util.texts import Texts


def weights(config):
    return {path.parent.name: load_file(path) for path in sorted(config.output.glob("layer_*/sae*.safetensors"))}


@pytest.mark.parametrize("recipe", [{}, {"activation": "relu", "decoder_norm": "unit", "use_ghost_grads": True, "dead_feature_window": 2}])
def test_a_broken_training_continues_to_the_same_weights(settings, monkeypatch, recipe):
    whole, broken = settings("whole", **recipe), settings("broken", **recipe)
    train(whole)
    original = LayerTrainer.train_step

    def breaks(self, *arguments, **options):
        if self.step == 9 and self.layer == 2:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    monkeypatch.setattr(LayerTrainer, "train_step", breaks)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    assert load_checkpoint(broken.output)["step"] == 8
    # What is there can be used, and says how far it was trained.
    assert {json.loads(path.read_text())["metadata"]["steps"] for path in broken.output.glob("layer_*/cfg.json")} == {8}
    assert load_transcoder(broken.output / "layer_2").up_proj.weight.isfinite().all()
    monkeypatch.setattr(LayerTrainer, "train_step", original)
    train(broken)
    assert weights(whole).keys() == {"layer_1", "layer_2"}
    for layer, tensors in weights(whole).items():
        for name, tensor in tensors.items():
            assert torch.equal(tensor, weights(broken)[layer][name]), (layer, name)
    for name in ("metrics.jsonl", "metrics.json"):
        assert (whole.output / name).read_text() == (broken.output / name).read_text()
    lines = [json.loads(line) for line in (whole.output / "metrics.jsonl").read_text().splitlines()]
    evaluated = [line for line in lines if "layer_1/evaluation/fvu" in line]
    assert len(lines) == whole.steps + 3 and [line["step"] for line in evaluated] == [3, 7, 11]
    final = json.loads((whole.output / "metrics.json").read_text())["layer_2"]
    assert evaluated[-1]["layer_2/evaluation/fvu"] == final["fvu"] and evaluated[-1]["layer_2/metrics/CE_loss_score"] == final["loss_recovered"]
    assert evaluated[-1]["layer_2/evaluation/dead_features"] == final["dead_features"]
    assert final["frequency_tokens"] == final["tokens"] + 4 * 4 * 15
    train(broken)  # finished: nothing is trained, the same is written
    assert (whole.output / "metrics.json").read_text() == (broken.output / "metrics.json").read_text()


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"activation": "batchtopk"},
        {"skip_connection": True},
        {"activation": "relu"},
        {"activation": "jumprelu", "sparsity_penalty": "tanh", "jumprelu_threshold": 0.1},
    ],
    ids=["topk", "batchtopk", "skip", "relu", "jumprelu"],
)
def test_what_is_saved_computes_what_was_trained(settings, model_folder, recipe):
    config = settings(**recipe, layer_num=[1], encoder_dtype="float32")
    model, tokenizer = load_model_and_tokenizer(str(model_folder), "cpu")
    training = train_module.Training(config, model, tokenizer, texts_of(config))
    training.run()
    training.finish()
    loaded = load_transcoder(config.output / "layer_1")
    assert isinstance(loaded.activation, {"topk": TopK, "batchtopk": JumpReLU, "relu": torch.nn.ReLU, "jumprelu": JumpReLU}[config.activation])
    trained = training.trainers[1].transcoder
    x, _ = training.buffer.pool[1]
    if recipe.get("activation") == "batchtopk":
        pre = (x / trained.scale_in - trained.b_dec) @ trained.W_enc.T + trained.b_enc
        expected = ((pre * (pre > trained.cut)) @ trained.W_dec + trained.b_dec_out).detach() * trained.scale_out
    else:
        expected = trained(x / trained.scale_in).reconstruction.detach() * trained.scale_out
    assert (loaded(x) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert loaded.sites.reads == "blocks.1.mlp.hook_in" and loaded.sites.writes == "blocks.1.mlp.hook_out"


@pytest.mark.parametrize("activation", ["topk", "jumprelu", "relu"])
@pytest.mark.parametrize("hook_point", ["hook_resid_post", "mlp.hook_out"])
def test_autoencoders_are_saved_as_saelens_saves_them(settings, model_folder, hook_point, activation):
    config = settings(hook_point=hook_point, out_hook_point=hook_point, activation=activation, layer_num=[1], jumprelu_threshold=0.1)
    figures = train(config)[1]
    loaded = load_transcoder(config.output / "layer_1")
    saved = json.loads((config.output / "layer_1/cfg.json").read_text())
    assert saved["architecture"] == {"topk": "topk", "jumprelu": "jumprelu", "relu": "standard"}[activation] and saved["d_in"] == 32
    assert loaded.sites.autoencoder and loaded.sites.reads == f"blocks.1.{hook_point}" == saved["metadata"]["hook_name"]
    assert figures.ce_loss_with_sae != figures.ce_loss_without_sae and figures.l0 > 0
    # It stands for no MLP.
    model, _ = load_model_and_tokenizer(str(model_folder), "cpu")
    with pytest.raises(UserError, match=f"reads blocks.1.{hook_point}, which is none of the inputs"):
        splice_transcoder(model, 1, loaded)


def test_where_an_autoencoder_is_left_out_the_model_is_itself(settings, model_folder):
    """A perfect autoencoder changes nothing; and a context's first token, on which none is trained, stays as it is."""
    config = settings(hook_point="hook_resid_post", out_hook_point="hook_resid_post", layer_num=[1])
    training = Training(config, *load_model_and_tokenizer(str(model_folder), "cpu"), texts_of(config))
    zero = training.trainers[1].export(training.sites[1])
    for parameter in zero.parameters():
        parameter.zero_()
    figures = {}
    for first in (False, True):
        contexts = [context[:2] for context in training.evaluation_contexts]
        found = evaluate(training.model, training.tokenizer, {1: zero}, contexts, torch.device("cpu"), keep_first_token=first)
        figures[first] = found[1][0]
    # The only prediction in a context of two tokens is made at the first.
    assert figures[False].ce_loss_with_sae == pytest.approx(figures[False].ce_loss_without_sae)
    assert figures[True].ce_loss_with_sae != pytest.approx(figures[True].ce_loss_without_sae)


@pytest.mark.parametrize("finetuning_tokens", [0, 3 * 4 * 16])
def test_reading_ahead_changes_no_bit(settings, finetuning_tokens):
    changes = {"n_checkpoints": 6, "finetuning_tokens": finetuning_tokens, "n_batches_in_buffer": 5}
    runs = [settings(str(ahead), read_ahead=ahead, **changes) for ahead in (False, True)]
    for config in runs:
        train(config)
    for layer, tensors in weights(runs[0]).items():
        assert all(torch.equal(tensor, weights(runs[1])[layer][name]) for name, tensor in tensors.items())
    assert (runs[0].output / "metrics.jsonl").read_text() == (runs[1].output / "metrics.jsonl").read_text()


def test_finetuning_brings_the_predictions_nearer(settings):
    base = {"total_training_tokens": 2_000, "expansion_factor": 8, "layer_num": [1], "separate_texts": True, "context_size": 64, "n_checkpoints": 1}
    plain = train(settings("plain", **base))[1]
    config = settings("tuned", **base, finetuning_tokens=40 * 4 * 64, finetuning_lr_share=1.0)
    tuned = train(config)[1]
    assert config.finetuning_steps == 40 and config.all_steps == config.steps + 40
    gap = [abs(found.ce_loss_with_sae - found.ce_loss_without_sae) for found in (plain, tuned)]
    assert gap[1] < gap[0]
    lines = [json.loads(line) for line in (config.output / "metrics.jsonl").read_text().splitlines()]
    divergence = [line["layer_1/losses/kl_divergence"] for line in lines if "layer_1/losses/kl_divergence" in line]
    assert len(divergence) == 40 and sum(divergence[-5:]) < 0.8 * sum(divergence[:5])


def test_a_finetuning_continues_to_the_same_weights(settings, monkeypatch):
    changes = {"finetuning_tokens": 6 * 4 * 16, "n_checkpoints": 9, "layer_num": [1, 2]}
    whole, broken = settings("whole", **changes), settings("broken", **changes)
    train(whole)
    original = LayerTrainer.finetune_step

    def breaks(self, *arguments):
        if self.step == 16:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(LayerTrainer, "finetune_step", breaks)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    monkeypatch.setattr(LayerTrainer, "finetune_step", original)
    train(broken)
    for layer, tensors in weights(whole).items():
        assert all(torch.equal(tensor, weights(broken)[layer][name]) for name, tensor in tensors.items())
    assert (whole.output / "metrics.jsonl").read_text() == (broken.output / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_two_processes_train_what_one_trains(settings):
    """Started by torchrun, on CPUs."""
    changes = {"accumulation_steps": 2, "finetuning_tokens": 2 * 4 * 16, "n_checkpoints": 2}
    one, two = settings("one", **changes), settings("two", **changes)
    train(one)
    flags = [f"--{name}={value}" for name, value in changes.items()]
    same = "MODEL_NAME output_file_path context_size store_batch_size device k n_batches_in_buffer n_evaluation_contexts train_batch_size"
    flags += [f"--{name}={getattr(two, name)}" for name in (*same.split(), "wandb_log_frequency")]
    flags += ["--total_training_tokens=300", "--layer_num", "1", "2", "--dataset", *two.dataset]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "sae_training.train"]
    ended = subprocess.run([*launcher, *flags], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    for layer, tensors in weights(one).items():
        for name, tensor in tensors.items():
            torch.testing.assert_close(weights(two)[layer][name], tensor, rtol=1e-4, atol=1e-5)
    lines = [[json.loads(line) for line in (config.output / "metrics.jsonl").read_text().splitlines()] for config in (one, two)]
    assert len(lines[0]) == len(lines[1]) == one.all_steps + 2
    for alone, shared in zip(*lines):
        assert alone.keys() == shared.keys() and all(shared[key] == pytest.approx(value, rel=1e-3, abs=1e-4) for key, value in alone.items())


def test_finished_transcoders_are_pushed(settings, monkeypatch):
    import huggingface_hub

    calls = []

    class Hub:
        def create_repo(self, name, private, exist_ok):
            calls.append((name, private, exist_ok))

        def upload_folder(self, repo_id, folder_path, allow_patterns):
            if len(calls) == 1:
                raise OSError("no network\nat all")
            matching = [path.relative_to(folder_path).as_posix() for pattern in allow_patterns for path in folder_path.glob(pattern)]
            calls.append((repo_id, sorted(matching)))

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    config = settings(layer_num=[1], push_to_hub="me/transcoders", device_map="auto")
    with pytest.raises(UserError, match="lie in .*--push_to_hub me/transcoders failed .no network at all"):
        train(config)
    assert load_transcoder(config.output / "layer_1")
    train(config)
    files = ["layer_1/cfg.json", "layer_1/log_feature_sparsity.safetensors", "layer_1/sae.safetensors", "metrics.json", "run.json"]
    assert calls[-1] == ("me/transcoders", files) and calls[0] == ("me/transcoders", True, True)


def test_training_learns(settings):
    figures = train(settings(total_training_tokens=4_000, lr=1e-2, expansion_factor=8, layer_num=[1], separate_texts=True, context_size=64))[1]
    assert figures.fvu < 0.6 and figures.l0 <= 4 and figures.tokens > 100
    assert figures.ce_loss_without_sae != figures.ce_loss_with_sae != figures.ce_loss_with_ablation


def test_mistakes_get_one_sentence(settings, texts_file, tmp_path):
    short, numbers = tmp_path / "short.txt", tmp_path / "numbers.jsonl"
    short.write_text("int x;\n\nint y;")
    numbers.write_text('{"n": 1}\n')
    cases = {
        "no layer 9": {"layer_num": [9]},
        "--context_size 4000 is more than this LlamaForCausalLM reads; give at most 2048": {"context_size": 4000},
        "--push_to_hub not a name is no name on the hub": {"push_to_hub": "not a name"},
        "no column of texts source": {"text_column": "source"},
        "has no column of texts; its columns are n": {"dataset": [str(numbers)]},
        "There is no file": {"dataset": ["missing.jsonl"]},
        "only 9 tokens, less than one context of 16": {"dataset": [str(short)], "n_evaluation_contexts": 1},
        "behind the 118 texts": {"n_evaluation_contexts": 118, "separate_texts": True, "context_size": 2000},
        "more than the 32 features": {"k": 33, "expansion_factor": 1},
        "reads blocks.1.ln7, which is none of the inputs of an MLP": {"hook_point": "ln7", "layer_num": [1]},
        "reads blocks.1.hook_k and writes blocks.1.hook_k, which": {"hook_point": "hook_k", "out_hook_point": "hook_k", "layer_num": [1]},
        "reads blocks.1.attn.hook_in, which is none": {"hook_point": "attn.hook_in", "out_hook_point": "hook_resid_post", "layer_num": [1]},
        "writes blocks.1.hook_resid_post, which is none": {"out_hook_point": "hook_resid_post", "layer_num": [1]},
        "no hook point blocks.1.resid_mid_centred|reads blocks.1.resid_mid_centred": {"hook_point": "resid_mid_centred", "layer_num": [1]},
        "Plain hooks read and write around MLPs": {"hook_point": "hook_resid_post", "out_hook_point": "hook_resid_post", "hooks": "plain"},
    }
    for text, changes in cases.items():
        config = settings(text, **changes)
        if "behind" in text:
            lines = texts_file.read_text().splitlines()[:118] + [json.dumps({"text": ""})] * 2
            (tmp_path / "empty_end.jsonl").write_text("\n".join(lines))
            config = settings(text, **changes, dataset=[str(tmp_path / "empty_end.jsonl")])
        with pytest.raises(UserError, match=text):
            train(config)
        assert not config.output.exists()
    for text, changes in {
        "--activation gelu is none of relu": {"activation": "gelu"},
        "--layer_num must be given": {"layer_num": []},
        "more than half of the buffer": {"train_batch_size": 1000},
        "names a layer twice": {"layer_num": [1, 1]},
        "is not in --layer_num": {"hook_point": "blocks.8.mlp.hook_in"},
        "--lr must be finite": {"lr": float("inf")},
    }.items():
        with pytest.raises(UserError, match=text):
            settings(**changes)


def test_kept_checkpoints_and_what_texts_begin_with(settings, model_folder):
    config = settings(layer_num=[1], keep_checkpoints=True)
    train(config)
    assert sorted(path.name for path in config.output.glob("step_*")) == ["step_0000004", "step_0000008", "step_0000012"]
    last, final = (load_transcoder(folder / "layer_1") for folder in (config.output / "step_0000012", config.output))
    assert torch.equal(last.up_proj.weight, final.up_proj.weight)
    assert not torch.equal(load_transcoder(config.output / "step_0000004/layer_1").up_proj.weight, final.up_proj.weight)
    _, tokenizer = load_model_and_tokenizer(str(model_folder), "cpu")
    texts = Texts(config.dataset)
    ids = [encode(tokenizer, text).ids for text, _ in zip(texts.read(0), range(3))]
    for bos in ("<s>", None):
        tokenizer.bos_token, tokenizer.eos_token = bos, "</s>"
        start = tokenizer.eos_token_id if bos is None else tokenizer.bos_token_id
        expected = [token for text in ids for token in (start, *text[text[0] == start :])]
        context = next(ContextStream(texts, tokenizer, len(expected), separate=False))
        assert context == expected and context.count(start) >= 3
        alone = next(ContextStream(texts, tokenizer, 500, separate=True))
        assert alone == ids[0]


def test_nan_in_the_loss_stops_the_training(settings):
    with pytest.raises(UserError, match="loss of layer 1 is nan at step 1"):
        train(settings(lr=1e38, layer_num=[1]))
    with pytest.raises(UserError, match="output, or the MLP's, is not finite; train again with a smaller --lr"):
        train(settings("one step", lr=1e38, layer_num=[1], total_training_tokens=25))


def test_a_finished_training_leaves_no_checkpoint_and_says_so(settings, caplog):
    config = settings(layer_num=[1])
    figures = train(config)
    assert not (config.output / CHECKPOINT_FILE).exists()
    written = (config.output / "layer_1" / "cfg.json").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        assert train(config) == figures
    assert "is finished; --restart trains it again" in caplog.text
    assert (config.output / "layer_1" / "cfg.json").stat().st_mtime_ns == written
    with pytest.raises(UserError, match=r"--expansion_factor 4 \(now 2\)"):
        train(settings(layer_num=[1], expansion_factor=2))


def test_the_command(settings, monkeypatch, capsys):
    config = settings(layer_num=[1])
    arguments = ["--MODEL_NAME", config.MODEL_NAME, "--layer_num", "1", "--dataset", *config.dataset, "--output_file_path", str(config.output)]
    sizes = ["--preset", "transcoder_circuits", "--expansion_factor", "2", "--train_batch_size", "20", "--context_size", "16"]
    sizes += ["--n_batches_in_buffer", "4", "--store_batch_size", "4", "--total_training_tokens", "60", "--n_evaluation_contexts", "3"]
    monkeypatch.setattr(sys, "argv", ["train", *arguments, *sizes])
    train_module.main()
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[:2] == ["layer", "FVU"] and table[1].split()[0] == "1"
    metadata = json.loads((config.output / "layer_1" / "cfg.json").read_text())["metadata"]
    assert metadata["hook_name"] == "blocks.1.ln2.hook_normalized" and metadata["hook_name_out"] == "blocks.1.hook_mlp_out"
    assert metadata["training"]["lr"] == 4e-4 and metadata["training"]["expansion_factor"] == 2
    monkeypatch.setattr(sys, "argv", ["train", *arguments, "--restart", *sizes, "--activation", "gelu"])
    with pytest.raises(UserError, match="gelu"):
        train_module.main()


def test_a_flag_of_another_activation_is_refused():
    common = {"MODEL_NAME": "m", "layer_num": [0], "dataset": ["d"], "output_file_path": "o"}
    with pytest.raises(UserError, match="--k belongs to --activation topk and batchtopk, not relu; leave it out"):
        config_from(common | {"activation": "relu", "k": 16})
    with pytest.raises(UserError, match="--l1_coefficient belongs to --activation relu and jumprelu, not topk"):
        config_from(common | {"l1_coefficient": 0.1})
    for name, value, text in (
        ("tanh_scale", 9.0, "--sparsity_penalty tanh, not l0"),
        ("k_aux", 5, "--revive auxk, not bias"),
        ("ghost_residual", "input", "--use_ghost_grads; leave it out"),
        ("lr_decay_share", 0.1, "--lr_scheduler_name lineardecay, not constantwithwarmup"),
    ):
        others = {"lr_scheduler_name": "constantwithwarmup"} if name == "lr_decay_share" else {}
        with pytest.raises(UserError, match=f"--{name} belongs to {text}"):
            config_from(common | others | {name: value})
    assert config_from(common | {"preset": "transcoder_circuits"}).activation == "relu"
    assert not config_from(common | {"preset": "transcoder_circuits", "activation": "topk"}).use_ghost_grads


def test_a_training_begun_again_leaves_nothing_of_the_last(settings):
    config = settings(keep_checkpoints=True)
    train(config)
    (config.output / "layer_notes").mkdir()
    train(settings(layer_num=[1], activation="relu", restart=True))
    assert sorted(path.name for path in config.output.iterdir() if path.is_dir()) == ["layer_1", "layer_notes"]
    assert sorted(path.name for path in (config.output / "layer_1").glob("sae*")) == ["sae_weights.safetensors"]


def test_a_checkpoint_goes_on_on_another_device(settings):
    assert differences(settings().settings, settings(device="auto", device_map="auto")) == []
    of_an_earlier_version = settings().settings | {"device": "cuda", "device_map": None}
    assert differences(of_an_earlier_version, settings()) == []
    assert differences(settings().settings | {"unknown": 1}, settings()) == ["--unknown 1 (now None)"]


def test_the_loss_recovered_is_left_out_where_the_ablation_costs_nothing(settings, model_folder):
    """A share of a loss that is not there would be any number: 9.19 was seen."""
    config = settings(layer_num=[0, 1, 2, 3], n_evaluation_contexts=3)
    training = Training(config, *load_model_and_tokenizer(str(model_folder), "cpu"), texts_of(config))
    training.export()
    found = [(figures.ce_loss_with_ablation > figures.ce_loss_without_sae, figures.loss_recovered) for figures in training.figures.values()]
    assert {costs for costs, _ in found} == {True, False}  # of an untrained model's MLPs some help and some do not
    assert all((recovered is not None) == costs for costs, recovered in found)
