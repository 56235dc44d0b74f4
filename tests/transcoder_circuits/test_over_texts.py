"""What is measured over texts: mean input times gradient, L0 against cross entropy, autoencoders in the model, and the blind comparison."""

import json
from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect

from huggingface.activations import Point, read_activations
from huggingface.architectures import is_parallel
from huggingface.tokenization import batches
from huggingface.transcoder import JumpReLU, Sites, Transcoder, save_transcoder
from tests.browser import Open
from tests.tiny import FEATURES, LAYERS, WIDTH, tiny_model, tiny_tokenizer, tiny_transcoder
from tests.transcoder_circuits.frozen_models import TEXT
from transcoder_circuits import blind, faithfulness
from transcoder_circuits.circuit_analysis import get_transcoder_ixg
from transcoder_circuits.components import make_sae_feature_vector
from transcoder_circuits.faithfulness import sparsity_sweep
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.mean_ixg import get_mean_ixg, overlap
from transcoder_circuits.overlap import main as overlap_main
from transcoder_circuits.replacement_ctx import TranscoderReplacementContext
from util.errors import UserError

TEXTS = [TEXT, "int x = 3; return x;", "", "double z = sqrt(2);"]
SITES = ["hook_resid_pre", "hook_attn_out", "hook_resid_mid", "mlp.hook_out", "hook_mlp_out", "hook_resid_post"]
POINTS = ["resid_pre", "attn_added", "resid_mid", "mlp_out", "added", "resid_post"]


def sae_at(layer, site, perfect=False):
    eye, none = torch.eye(WIDTH), torch.zeros
    made = tiny_transcoder(4)
    if perfect:
        made = Transcoder.from_matrices(torch.cat([eye, -eye], 1), none(2 * WIDTH), torch.cat([eye, -eye]), none(WIDTH))
    made.sites = Sites(f"blocks.{layer}.{site}", f"blocks.{layer}.{site}")
    return made


@torch.no_grad()
@pytest.mark.parametrize("family", ["Llama", "GPT2", "Gemma2"])
def test_mean_ixg_is_the_mean_over_frozen_passes(family):
    model = tiny_model(family)
    lower, upper, roots = tiny_transcoder(1), tiny_transcoder(3), [7, 30]
    sums, firing, everywhere, n_tokens = torch.zeros(2, FEATURES), torch.zeros(2), torch.zeros(2, FEATURES), 0
    for text in TEXTS:
        cache = FrozenPass(model, {1: lower, 3: upper}, tiny_tokenizer()(text)["input_ids"])
        n_tokens += len(cache.ids)
        for token in range(len(cache.ids)):
            for number, root in enumerate(roots):
                v, _ = cache.in_stream(make_sae_feature_vector(upper, root, token=token, layer=3))
                ixg = get_transcoder_ixg(lower, cache, v, 1, token)
                everywhere[number] += ixg
                if cache.layers[3].features[token, root]:
                    sums[number], firing[number] = sums[number] + ixg, firing[number] + 1
    ask = (model, tiny_tokenizer(), lower, upper, roots, TEXTS, (1, 3))
    assert get_mean_ixg(*ask) == pytest.approx(sums / firing[:, None], rel=1e-3, abs=1e-5)
    assert get_mean_ixg(*ask, firing_only=False) == pytest.approx(everywhere / n_tokens, rel=1e-3, abs=1e-5)
    with pytest.raises(UserError, match="no text"):
        get_mean_ixg(*ask[:5], [], (1, 3))
    assert overlap(torch.tensor([3.0, 2, 1, 0]), torch.tensor([0.0, 2, 1, 3]), 2) == 0.5


@torch.no_grad()
@pytest.mark.parametrize("family", ["Llama", "Gemma2", "GPTNeoX"])
def test_an_autoencoder_stands_at_its_site(family):
    model = tiny_model(family)
    inputs = {"input_ids": torch.tensor([tiny_tokenizer()(TEXT)["input_ids"]]), "use_cache": False}
    whole = model(**inputs).logits
    for site, name in zip(SITES, POINTS):
        point = Point(2, name)
        before = read_activations(model, [point], **inputs)[point]
        sae = sae_at(2, site)
        with TranscoderReplacementContext(model, {2: sae}):
            after = read_activations(model, [point], **inputs)[point]
            assert not torch.equal(model(**inputs).logits, whole)
        assert after == pytest.approx(torch.cat([before[:, :1], sae(before[:, 1:])], 1), rel=1e-3, abs=1e-4), (site, is_parallel(model))
        with TranscoderReplacementContext(model, {2: sae_at(2, site, perfect=True)}):
            assert model(**inputs).logits == pytest.approx(whole, rel=1e-3, abs=1e-4)
        assert torch.equal(model(**inputs).logits, whole)


def test_the_sweep_counts_features_and_measures_each_alone(tmp_path, monkeypatch, capsys):
    model, tokenizer = tiny_model(), tiny_tokenizer()
    ids = [tokenizer(text)["input_ids"] for text in TEXTS if text]
    sparse = tiny_transcoder(2)
    sparse.activation = JumpReLU(torch.full((FEATURES,), 0.6))
    encoders = [("dense", 1, tiny_transcoder(2)), ("sparse", 1, sparse), ("perfect", 2, sae_at(2, "hook_resid_post", perfect=True))]
    own, found = sparsity_sweep(model, list(batches(ids, 1, "cpu")), encoders)
    naive = [FrozenPass(model, {1: sparse}, row).layers[1].features[1:] for row in ids]
    assert found[1].l0 == pytest.approx(float((torch.cat(naive) != 0).float().sum(1).mean()))
    assert found[0].l0 > found[1].l0 and found[2].l0 == WIDTH and found[2].kind == "autoencoder"
    assert found[2].figures.cross_entropy == pytest.approx(own.cross_entropy, rel=1e-4)
    assert found[0].figures.kl > 0 and own.kl == 0
    assert [one.name for one in found] == ["dense", "sparse", "perfect"]
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    for name, layer, encoder in encoders:
        save_transcoder(encoder, tmp_path / name / f"layer_{layer}")
    (tmp_path / "texts.txt").write_text("\n".join(text for text in TEXTS if text))
    flags = ["--MODEL_NAME", str(tmp_path / "model"), "--dataset", str(tmp_path / "texts.txt"), "--transcoders"]
    monkeypatch.setattr("sys.argv", ["faithfulness", *flags, *(str(tmp_path / name) for name, _, _ in encoders), "--sweep"])
    faithfulness.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and "| 1 | transcoder |" in lines[3] and f"{WIDTH:.2f}" in lines[5]
    for layer in range(LAYERS):
        save_transcoder(tiny_transcoder(layer), tmp_path / "all" / f"layer_{layer}")
    monkeypatch.setattr("sys.argv", ["overlap", *flags, str(tmp_path / "all"), "--features", "3", "5"])
    overlap_main()
    assert "2 features of layer 3, features of layer 2" in (said := capsys.readouterr().out) and "| 50 |" in said


def test_a_blind_comparison_hides_where_features_come_from(tmp_path: Path, open_page: Open) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    encoders = [("one", 1, tiny_transcoder(2)), ("other", 2, sae_at(2, "mlp.hook_out"))]
    texts = [TEXT, "<script>alert(1)</script>"]
    page = blind.write_questions(tmp_path / "blind", model, tokenizer, encoders, texts, n_features=3, seed=11)
    key = json.loads((tmp_path / "blind/key.json").read_text())
    assert sorted(one["encoder"] for one in key["features"]) == ["one"] * 3 + ["other"] * 3
    orders = {json.dumps(key["features"])}
    for seed in (12, 13, None):
        blind.write_questions(tmp_path / "again", model, tokenizer, encoders, texts, n_features=3, seed=seed)
        orders.add(json.dumps(json.loads((tmp_path / "again/key.json").read_text())["features"]))
    assert len(orders) == 4
    text = page.read_text()
    said = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert {name for one in said["features"] for name in one} == {"fired", "most", "strongest", "bands"} and "encoder" not in json.dumps(said)
    shown = open_page(page)
    cards = shown.locator("section.card")
    expect(cards).to_have_count(6)
    for number, answer in enumerate(["yes", "no", "no", "maybe"]):
        cards.nth(number).locator(".answers button", has_text=answer).click()
    cards.nth(0).locator(".answers button", has_text="maybe").click()
    expect(shown.locator(".lead")).to_contain_text("4 of 6 answered")
    with shown.expect_download() as download:
        shown.locator("a[download]").click()
    answers = json.loads(Path(download.value.path()).read_text())
    assert answers == {"comparison": key["comparison"], "answers": {"0": "maybe", "1": "no", "2": "no", "3": "maybe"}}
    counts = blind.tally(key, answers)
    assert sum(counts["one"].values()) == sum(counts["other"].values()) == 3
    assert sum(one["maybe"] for one in counts.values()) == 2 == sum(one["none"] for one in counts.values())
    assert blind.tally_text(counts).splitlines()[2].startswith("| one |")
    for wrong, words in (
        (answers | {"comparison": "x"}, "another comparison"),
        (answers | {"answers": {"0": "?"}}, "no key and"),
        ([], "no key and"),
    ):
        with pytest.raises(UserError, match=words):
            blind.tally(key, wrong)
    with pytest.raises(UserError, match="one is there twice"):
        blind.write_questions(tmp_path / "blind", model, tokenizer, [encoders[0]] * 2, texts)
