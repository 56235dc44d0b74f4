"""The page's code blocks run as they stand; pictures are pictures; a transcoder comes back bit by bit; mistakes get one sentence."""

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from huggingface.cross_layer_transcoder import save_cross_layer
from huggingface.loaders.cross_layer import load_cross_layer
from open_cross_layer_transcoder import OpenCrossLayerTranscoder, ReplacementModel, practice_run
from open_cross_layer_transcoder.page import caption, write_page
from open_cross_layer_transcoder.visualization_utils import run_visualization_suite, visualize_feature_embedding, visualize_feature_heatmap
from tests.huggingface.test_cross_layer import random_transcoder
from tests.tiny import tiny_model, tiny_tokenizer
from util.errors import CheckpointError, UserError
from util.files import ROOT

TEXTS = ["int f(int n) { return n * 2; }", "long x = cast(int) s.length;", "return a + b;"]
MODEL = str(ROOT / "data/demo/model")


def picture(path: Path) -> None:
    """That ``path`` is a PNG with something on it."""
    with Image.open(path) as image:
        assert image.format == "PNG" and min(image.size) > 200 and len(set(image.convert("L").resize((200, 200)).tobytes())) > 5, path


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("GPT2").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def trained(tiny_folder):
    transcoder = OpenCrossLayerTranscoder(tiny_folder, num_features=24, device="cpu")
    transcoder.train_transcoder(TEXTS, batch_size=2, num_epochs=15, learning_rate=2e-2, l1_sparsity_coefficient=1e-3)
    return transcoder


@pytest.mark.slow
def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/clt.md").read_text(), re.DOTALL)
    assert len(blocks) == 6
    names = {"MODEL": MODEL, "TEXTS": TEXTS}
    for block in blocks:
        exec(compile(block, "docs/clt.md", "exec"), names)
    wanted = set(re.findall(r'"(\w+\.png)"', "".join(blocks)))
    assert wanted <= {path.name for path in tmp_path.glob("*.png")} and len(wanted) == 8
    for path in [*tmp_path.glob("*.png"), *tmp_path.glob("visualizations/*.png")]:
        picture(path)
    assert TEXTS[0] in capsys.readouterr().out and len(list(tmp_path.glob("visualizations/*.png"))) == 14
    assert load_cross_layer(tmp_path / "cross_layer_transcoder.pt").n_layers == 6
    assert (tmp_path / "visualizations/index.html").read_text().count("data:image/png;base64") == 14


@pytest.mark.slow
def test_the_practice_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["practice_run", "--output_file_path", str(tmp_path), "--n_texts", "6", "--num_epochs", "2", "--num_features", "20"]
    )
    practice_run.main()
    said = capsys.readouterr().out
    assert "6 texts, 4 steps, 20 features a layer" in said and "replacement: " in said and said.strip().endswith("index.html")
    page = (tmp_path / "index.html").read_text()
    assert page.count("data:image/png;base64") == len(list(tmp_path.glob("*.png"))) == 15 and "same next token" in page


def test_training_learns_and_says_how(tiny_folder):
    transcoder = OpenCrossLayerTranscoder(tiny_folder, num_features=24, device="cpu", activation_type="topk", topk_features=5)
    metrics = transcoder.train_transcoder(TEXTS, batch_size=2, num_epochs=12, learning_rate=2e-2, lr_scheduler_patience=1000)
    assert {len(values) for values in metrics.values()} == {24} and set(metrics["lr"]) == {2e-2}
    assert sum(metrics["reconstruction_loss"][-5:]) < 0.6 * sum(metrics["reconstruction_loss"][:5]) and metrics["l0"][-1] <= 5
    again = OpenCrossLayerTranscoder(tiny_folder, num_features=24, device="cpu", activation_type="topk", topk_features=5)
    assert again.train_transcoder(TEXTS, batch_size=2, num_epochs=12, learning_rate=2e-2, lr_scheduler_patience=1000) == metrics
    slowed = again.train_transcoder(TEXTS, learning_rate=0.5, lr_scheduler_factor=0.1, lr_scheduler_patience=0)
    assert slowed["lr"][0] == 0.5 and slowed["lr"][-1] < 0.06


def test_features_and_forward(trained):
    ids = torch.tensor([[0, 40, 41, 42], [1, 1, 0, 43]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    found = trained.forward(ids, mask)
    alone = trained(ids[1:, 2:])
    assert found.last_hidden_state.shape == (2, 4, 32) and found.features[3].shape == (2, 4, 24) and sorted(found.reconstructions) == [0, 1, 2, 3]
    for layer in range(4):
        torch.testing.assert_close(found.features[layer][1, 2:], alone.features[layer][0], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.reconstructions[layer][1, 2:], alone.reconstructions[layer][0], rtol=1e-3, atol=1e-4)
    features = trained.get_feature_activations(TEXTS[0])
    assert all(not active[0].any() and active[1:].any() for active in features.values())
    top = trained.get_top_features(5)
    assert [value for _, _, value in top] == sorted((value for _, _, value in top), reverse=True) and top[0][2] > 0


def test_what_is_saved_is_loaded_and_other_models_are_refused(trained, tiny_folder, tmp_path):
    trained.save_model(tmp_path / "saved.pt")
    fresh = OpenCrossLayerTranscoder(tiny_folder, num_features=7, device="cpu")
    fresh.load_model(tmp_path / "saved.pt")
    assert fresh.num_features == 24 and fresh.transcoder.state_dict().keys() == trained.transcoder.state_dict().keys()
    for layer, active in fresh.get_feature_activations(TEXTS[1]).items():
        assert torch.equal(active, trained.get_feature_activations(TEXTS[1])[layer])
    tiny_model("GPT2", seed=1).save_pretrained(tmp_path / "other")
    tiny_tokenizer().save_pretrained(tmp_path / "other")
    save_cross_layer(random_transcoder(), tmp_path / "small")
    other = OpenCrossLayerTranscoder(str(tmp_path / "other"), device="cpu")
    for mistake, text in (
        (lambda: other.load_model(tmp_path / "saved.pt"), "trained on another model of the same size"),
        (lambda: ReplacementModel(str(tmp_path / "other"), trained), "trained on another model of the same size"),
        (lambda: other.load_model(tmp_path / "small"), "for 3 layers of width 8, but the model has 4 of width 32"),
        (lambda: other.load_model(tmp_path / "nothing"), "There is no folder"),
    ):
        with pytest.raises(CheckpointError, match=text):
            mistake()
    assert other.num_features == 100  # as it was
    moved = tmp_path / "moved"
    shutil.copytree(tiny_folder, moved)
    ReplacementModel(str(moved), trained)  # the same model elsewhere


def test_the_replacement_model(trained, tiny_folder):
    replacement = ReplacementModel(tiny_folder, trained)
    ids = torch.tensor([[0, 40, 41, 42, 50], [1, 1, 0, 43, 60]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
    with torch.no_grad():
        own = trained.model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0)).logits[mask.bool()]
    replaced = replacement(ids, mask).logits[mask.bool()]
    torch.testing.assert_close(replacement(ids, mask, error_terms=True).logits[mask.bool()], own, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(replaced, own, atol=1e-2)
    text = replacement.generate(TEXTS[0], max_length=40)
    assert text.startswith(TEXTS[0]) and text == replacement.generate(TEXTS[0], max_length=40)
    found = replacement.compare_with_original(TEXTS[0], max_length=40)
    assert found.replacement_text == text and found.mse.mean() > 0 and found.cosine.max() <= 1 + 1e-5
    replacement.remove_hooks()
    torch.testing.assert_close(replacement(ids[:1]).logits, trained.model(ids[:1]).logits)
    for arguments in ({"max_length": 3}, {"max_length": 10**6}):
        with pytest.raises(UserError, match="The text has"):
            replacement.generate(TEXTS[0], **arguments)


def test_mistakes_get_one_sentence_and_leave_nothing(trained, tiny_folder, tmp_path):
    before = {name: tensor.clone() for name, tensor in trained.transcoder.state_dict().items()}
    graph = tmp_path / "graph.png"
    for mistake, text in (
        (lambda: OpenCrossLayerTranscoder(tiny_folder, 5, "cpu", "topk", topk_features=6), "from 1 to the 5 features"),
        (lambda: OpenCrossLayerTranscoder(tiny_folder, device="cpu", activation_type="gelu"), "gelu is none of jumprelu, topk, relu"),
        (lambda: OpenCrossLayerTranscoder(tiny_folder, num_features=0, device="cpu"), "at least 1, not 0"),
        (lambda: OpenCrossLayerTranscoder(str(tmp_path / "missing/model")), "missing/model"),
        (lambda: trained.train_transcoder([]), "at least one text"),
        (lambda: trained.train_transcoder(""), "must be a list"),
        (lambda: trained.train_transcoder([TEXTS[0], ""]), "The text '' has 1 tokens"),
        (lambda: trained.train_transcoder(["int " * 3000]), "reads at most 1024"),
        (lambda: trained.train_transcoder(TEXTS, num_epochs=0), "at least 1"),
        (lambda: trained.train_transcoder(TEXTS, learning_rate=1e38), "loss of the cross-layer transcoder is"),
        (lambda: trained.create_attribution_graph("int " * 3000, save_path=graph), "reads at most 1024"),
        (lambda: trained.create_attribution_graph("", save_path=graph), "has 1 tokens"),
        (lambda: trained.create_attribution_graph(TEXTS[0], mode="cause", save_path=graph), "mode must be"),
        (lambda: visualize_feature_heatmap(trained, TEXTS[0], layer=9, save_path=graph), "no layer 9"),
        (lambda: visualize_feature_embedding(trained, texts=TEXTS[:1], save_path=graph), "at least 2"),
        (lambda: run_visualization_suite(trained, TEXTS[:1], tmp_path / "pictures"), "at least two texts"),
        (lambda: run_visualization_suite(trained, [TEXTS[0], "int " * 3000], tmp_path / "pictures"), "reads at most 1024"),
    ):
        with pytest.raises(UserError, match=text) as caught:
            mistake()
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.transcoder.state_dict().items())


def test_every_picture_of_the_page_says_what_it_shows(trained, tmp_path):
    files = run_visualization_suite(trained, TEXTS[:2], tmp_path)
    trained.create_attribution_graph(TEXTS[0], save_path=tmp_path / "mine.png")
    assert all(caption(name) for name in [*files, "comparison"] if name != "index") and not caption("mine")
    assert "Where in the first text" in write_page(tmp_path).read_text()
