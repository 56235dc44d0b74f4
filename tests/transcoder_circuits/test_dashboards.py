"""What a dashboard says of a feature, against a naive count over whole texts, and its page in a browser."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

from huggingface import feature_contexts
from huggingface.activations import Point, read_activations
from huggingface.stream_ends import embedding_matrix
from huggingface.transcoder import JumpReLU, Sites, save_transcoder
from huggingface.transcoder_adapter import spliced
from tests.browser import Open
from tests.explain.test_report import data_of
from tests.tiny import FEATURES, tiny_model, tiny_tokenizer, tiny_transcoder
from tests.transcoder_circuits.frozen_models import TEXT, transcoders_for
from transcoder_circuits import dashboard
from transcoder_circuits.circuit_analysis import get_attn_head_contribs
from transcoder_circuits.components import logit_vector, make_sae_feature_vector
from transcoder_circuits.feature_dashboards import (
    display_activating_examples_dash,
    get_de_embeddings,
    get_feature_scores,
    get_logits_for_feature,
    get_ov_norms_for_transcoder_feature,
    get_pullback,
    get_uniform_band_examples,
    live_features,
    logits_histogram,
    make_sequence_html,
    sample_percentiles,
    sample_uniform,
    stream_direction,
)
from transcoder_circuits.frozen import FrozenPass
from util.errors import UserError

LAYER = 2
TEXTS = ["int x = 3; return x;", "double z = sqrt(2);", "return dp.length;", "long x = cast(int) s.length;", TEXT]


def naive_scores(model, encoder, layer, point="neurons"):
    """All activations, [token, n_features], each text alone."""
    rows = []
    for text in TEXTS:
        ids = torch.tensor([tiny_tokenizer()(text)["input_ids"]])
        if point == "neurons":
            with spliced(model, layer, encoder):
                rows.append(read_activations(model, [Point(layer, point)], input_ids=ids)[Point(layer, point)][0])
        else:
            rows.append(encoder.encode(read_activations(model, [Point(layer, point)], input_ids=ids)[Point(layer, point)][0]))
    return torch.cat(rows).detach()


def sae_at(site):
    sae = tiny_transcoder(4)
    sae.activation, sae.sites = JumpReLU(torch.full((FEATURES,), 0.2)), Sites(f"blocks.{LAYER}.{site}", f"blocks.{LAYER}.{site}")
    return sae


@pytest.mark.parametrize("site", ["neurons", "hook_resid_pre", "hook_resid_mid", "hook_resid_post", "mlp.hook_out", "hook_mlp_out"])
def test_scores_of_all_features_are_those_of_whole_texts(site):
    model = tiny_model("Gemma2")
    points = {"mlp.hook_out": "mlp_out", "hook_mlp_out": "added"}
    encoder = tiny_transcoder(3) if site == "neurons" else sae_at(site)
    scores = get_feature_scores(model, tiny_tokenizer(), encoder, TEXTS, act_layer=LAYER)
    naive = naive_scores(model, encoder, LAYER, points.get(site, site.removeprefix("hook_"))).numpy()
    assert scores.n_tokens == len(naive) and (scores.fired == (naive != 0).sum(0)).all()
    fires = scores.fired > 0
    assert scores.most[fires] == pytest.approx(naive.max(0)[fires], rel=1e-4)
    assert (live_features(scores) == (np.log10((naive != 0).mean(0).clip(1e-9)) > -4)).all()
    assert (live_features(scores, -0.5) == ((naive != 0).mean(0) > 10**-0.5)).all()


def test_memory_does_not_grow_with_the_texts(monkeypatch):
    kept = []
    monkeypatch.setattr(feature_contexts, "TEXTS_AT_A_TIME", 4)
    for times in (30, 120):
        scores = get_feature_scores(tiny_model(), tiny_tokenizer(), tiny_transcoder(), TEXTS * times, [3, 8], LAYER)
        kept.append(sum(len(entries.columns["value"]) for _, entries in scores._named_entries()))
        assert scores.n_texts == len(TEXTS) * times
    assert kept[0] == kept[1] <= 2 * 10 * (feature_contexts.BINS + 1)


def test_samples_are_even_by_activation_and_by_rank():
    model, encoder = tiny_model(), tiny_transcoder()
    naive = naive_scores(model, encoder, LAYER).numpy()
    feature = int((naive != 0).sum(0).argmax())
    scores = get_feature_scores(model, tiny_tokenizer(), encoder, TEXTS, [feature], LAYER)
    own = np.sort(naive[:, feature][naive[:, feature] > 0])
    value = lambda example: float(example.activations[example.focus])  # noqa: E731
    uniform = [value(one) for one in sample_uniform(scores, feature, 9)]
    wanted = {own[np.abs(own - one).argmin()] for one in np.linspace(own[0], own[-1], 9)}
    assert uniform == pytest.approx(sorted(wanted), rel=1e-4)
    ranks = [value(one) for one in sample_percentiles(scores, feature, 5)]
    step = (own[-1] - own[0]) / 16
    assert ranks == sorted(ranks) and np.abs(np.median(ranks) - np.median(own)) < step
    bands = get_uniform_band_examples(scores, feature)
    assert [low for low, _, _ in bands] == sorted((low for low, _, _ in bands), reverse=True) and len(bands) == 5
    for low, high, examples in bands:
        assert all(low - 1e-5 <= value(one) <= high + 1e-5 for one in examples) and len(examples) <= 10
    assert sum(len(examples) for _, _, examples in bands) <= 50
    assert sample_uniform(scores, feature, 0) == []


def test_texts_are_escaped_and_shaded():
    shown = make_sequence_html(["<b>", "a\n", "z"], [0.0, 2.0, 1.0], focus=1, window=1)
    assert "&lt;b&gt;" in shown and "<b>" not in shown and "a↵" in shown
    assert "rgb(255,255,255)" in shown and "rgb(255,140,0);color:black;text-decoration:underline" in shown
    assert make_sequence_html(list("abcde"), [0.0] * 5, focus=0, window=1).count("<span") == 2
    scores = get_feature_scores(tiny_model(), tiny_tokenizer(), tiny_transcoder(), [*TEXTS, "<script>alert(1)</script>"], act_layer=LAYER)
    feature = int(scores.fired.argmax())
    made = display_activating_examples_dash(tiny_tokenizer(), scores, feature)._repr_html_()
    assert f"feature {feature}: fires on" in made and made.count("<details") == 5 and "<script" not in made


@torch.no_grad()
@pytest.mark.parametrize("family", ["Llama", "GPT2", "Gemma2"])
def test_what_holds_for_all_texts_is_the_exact_one_but_for_the_norms_scales(family):
    """With the scales put back, a pullback is what the frozen pass says, and a head's de-embedding what the head moves."""
    kept = {layer: transcoder for layer, transcoder in transcoders_for(family).items() if transcoder.skip is None}
    cache = FrozenPass(tiny_model(family), kept, tiny_tokenizer()(TEXT)["input_ids"])
    model, upper = cache.model, make_sae_feature_vector(cache.transcoders[3], 7, token=-1, layer=3)
    upper = upper if upper.site in ("mlp_in", "stream") else make_sae_feature_vector(tiny_transcoder(), 7, token=-1, layer=3)
    token = len(cache.ids) - 1
    v, _ = cache.in_stream(upper)
    scale = 1.0 if upper.site == "stream" else cache.layers[3].read.scale[token].item()
    assert stream_direction(model, upper) * scale == pytest.approx(v, rel=1e-4, abs=1e-6)
    lower = tiny_transcoder(1)
    exact = cache.direct(v[None], [token], [cache.span(upper)]).features[0][0]
    written = cache.layers[0].write.scale[token].item() if cache.layers[0].write.weight is not None else 1.0
    own = get_pullback(model, cache.transcoders[0], upper, 0, cache.layers[0].features[token])
    assert own * scale * written == pytest.approx(exact, rel=1e-3, abs=1e-5)
    with pytest.raises(UserError, match="does not write before"):
        get_pullback(model, lower, upper, 3)
    head = get_de_embeddings(model, upper, 0, 1)
    one = cache.layers[0]
    embedding = embedding_matrix(model).float()[cache.ids[token]]
    if family == "Llama":
        contribution = get_attn_head_contribs(model, cache, 0, v)[1, token, token].item()
        by_hand = head[cache.ids[token]] * one.attn_in_norm.scale[token] * one.pattern[1, token, token] * scale
        assert by_hand.item() == pytest.approx(contribution, rel=1e-3)
        assert get_de_embeddings(model, upper)[cache.ids[token]].item() * scale == pytest.approx((embedding @ v).item(), rel=1e-3)
    norms = get_ov_norms_for_transcoder_feature(model, cache.transcoders[3], 7, 3)
    assert norms.shape == (4, 4) and (norms > 0).all()
    with pytest.raises(UserError, match="has no head 9"):
        get_de_embeddings(model, upper, 0, 9)


@torch.no_grad()
def test_logits_of_a_feature_are_those_of_its_row():
    model, encoder = tiny_model(), tiny_transcoder()
    logits = get_logits_for_feature(model, encoder, 5, LAYER)
    root = logit_vector(model, [3], [8])
    assert (logits[3] - logits[8]).item() == pytest.approx(float(stream_direction(model, root) @ encoder.down_proj.weight[:, 5]), rel=1e-4, abs=1e-6)
    edges, counts = logits_histogram(logits)
    assert counts.sum() == len(logits) and edges[0] == pytest.approx(logits.min().item())
    written = make_sae_feature_vector(sae_at("mlp.hook_out"), 3)
    with pytest.raises(UserError, match="not the stream"):
        stream_direction(model, written)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its transcoders, an autoencoder and texts."""
    folder = tmp_path_factory.mktemp("circuits")
    tiny_model().save_pretrained(folder / "model")
    tiny_tokenizer().save_pretrained(folder / "model")
    for layer, transcoder in transcoders_for("Llama").items():
        if transcoder.skip is None:
            save_transcoder(transcoder, folder / "transcoders" / f"layer_{layer}")
    save_transcoder(sae_at("hook_resid_post"), folder / "sae")
    save_transcoder(sae_at("mlp.hook_out"), folder / "mlp_sae")
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in [*TEXTS, "</script><b>x</b>"]))
    return folder


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Path:
    flags = ["--MODEL_NAME", str(folder / "model"), "--transcoders", str(folder / "transcoders"), "--dataset", str(folder / "texts.jsonl")]
    monkeypatch.setattr("sys.argv", ["dashboard", *flags, "--output_path", str(folder / "page.html"), *more])
    dashboard.main()
    return folder / "page.html"


def test_the_page_shows_the_features(folder: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open) -> None:
    page = written(folder, monkeypatch, "--layer", "3", "--n_features", "3")
    data = data_of(page)
    assert data["layer"] == 3 and data["watched"] == FEATURES and len(data["features"]) == 3
    first = page.read_bytes()
    assert written(folder, monkeypatch, "--layer", "3", "--n_features", "3").read_bytes() == first
    one = data["features"][0]
    assert len(one["tokens"]) == len(one["below"]) == len(one["promoted"]["promotes"]) == 7 and len(one["heads"]) == 4
    shown = open_page(page)
    expect(shown.locator("section.card")).to_have_count(3)
    expect(shown.locator("section.card svg")).to_have_count(6)
    bands = shown.locator("section.card").first.locator(".tabs button")
    bands.nth(1).click()
    expect(shown.locator("section.card").first.locator(".contexts .kicker")).to_contain_text("in this band")
    narrow = open_page(page, 390, "dark")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_of_an_autoencoder(folder: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open) -> None:
    data = data_of(written(folder, monkeypatch, "--sae", str(folder / "sae"), "--features", "3", "4"))
    assert data["kind"] == "autoencoder" and data["layer"] == LAYER and {one[0] for one in data["features"][0]["below"]} <= {0, 1}
    page = written(folder, monkeypatch, "--sae", str(folder / "mlp_sae"), "--features", "5")
    assert "tokens" not in data_of(page)["features"][0]
    expect(open_page(page).locator("section.card")).to_contain_text("which one sublayer writes")


def test_what_is_not_there_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="has no feature 96: its features are 0 to 95"):
        written(folder, monkeypatch, "--features", "96", "--MODEL_NAME", "nowhere/at/all")
    with pytest.raises(UserError, match="ends in .html"):
        written(folder, monkeypatch, "--output_path", str(folder / "page.json"))
    with pytest.raises(UserError, match="no transcoder for layer 9; there are some for 0, 1, 3"):
        written(folder, monkeypatch, "--layer", "9")
    with pytest.raises(UserError, match="at least 1, not 0"):
        written(folder, monkeypatch, "--n_texts", "0")
    silent = tiny_transcoder()
    silent.up_proj.bias.data.fill_(-(10**6))
    with pytest.raises(UserError, match="No feature is live"):
        dashboard.write_dashboard(folder / "x.html", tiny_model(), tiny_tokenizer(), silent, 1, TEXTS)
    assert not (folder / "x.html").exists()
