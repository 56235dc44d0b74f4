"""The page of an edit's neurons, on a tiny random model: its figures are those of the edit, and what it refuses."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import expect

import tcpe
from explain.causes import Targets
from explain.neurons import write_neurons
from huggingface.transcoder import Sites, Transcoder, save_transcoder
from tcpe.contexts import build_contexts
from tcpe.request import EditRequest
from tcpe.update import Edit, RankOneUpdate, applied
from tests.browser import Open
from tests.explain.runs import Runs
from tests.explain.test_report import data_of
from tests.tiny import FEATURES, WIDTH, tiny_model, tiny_tokenizer
from transcoder_circuits.edit_circuit import circuit_of_edit
from util.errors import CheckpointError, EditError, UserError

LAYER, LIM = 2, 0.4
TEXTS = ["int x = 3; return x;", "double z = sqrt(2);", "return dp.length;", "long x = cast(int) s.length;"]


def transcoder() -> Transcoder:
    """A random transcoder, a quarter of whose features never fire."""
    torch.manual_seed(1)
    bias = torch.randn(FEATURES) / 4
    bias[: FEATURES // 4] = -100
    made = Transcoder.from_matrices(torch.randn(WIDTH, FEATURES) / 4, bias, torch.randn(FEATURES, WIDTH) / 4, torch.randn(WIDTH))
    made.sites = Sites("blocks.2.ln2.hook_normalized", "blocks.2.hook_mlp_out")
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a transcoder, texts, and an edit of each of the two kinds."""
    folder = tmp_path_factory.mktemp("neurons")
    tiny_model().save_pretrained(folder / "model")
    tiny_tokenizer().save_pretrained(folder / "model")
    save_transcoder(transcoder(), folder / "transcoder")
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in [*TEXTS, ""] * 5))
    request = EditRequest.from_text("int f() { return (int)", " cast(int)", error="7", brief_description="Error: <b>casts</b>",
                                    contexts=[{"prompt": "long g() { return (int)", "target_new": " cast(int) x"}])  # fmt: skip
    for name, file in (("tc", str(folder / "transcoder")), ("mlp", None)):
        model = tcpe.load(str(folder / "model"), LAYER, file, skip_site_check=True, device="cpu")
        edit = model.edit(request, TEXTS, epsilon=0.1, v_num_grad_steps=20, v_lr=0.5, context_template_length_params=[])
        edit.save(folder / name)
    return folder


def made(folder: Path, name: str, **options: Any) -> dict:
    files = {"MODEL_NAME": str(folder / "model"), "device": "cpu"} | ({"TC_layer_file": str(folder / "transcoder")} if name == "tc" else {})
    options = {"lim": LIM, "n_neurons": 3, "dataset": str(folder / "texts.jsonl"), "model_flags": files} | options
    return data_of(write_neurons(str(folder / name), **options))


@pytest.mark.parametrize("name", ["tc", "mlp"])
def test_the_page_has_the_figures_of_the_edit(folder: Path, name: str) -> None:
    data = made(folder, name)
    update = RankOneUpdate.load(folder / name)
    edit = Edit(update, LIM)
    key, direction = update.key, update.key_direction
    assert data["columns"] == len(edit.columns()) and data["texts"]["n_texts"] == 20
    active = [one for one in data["neurons"] if one["active"]]
    assert [one["feature"] for one in active] == sorted(edit.columns().tolist(), key=lambda feature: -abs(key[feature] * direction[feature]))[:3]
    others = [one for one in data["neurons"] if not one["active"]]
    assert len(others) == 3 and not {one["feature"] for one in others} & set(edit.columns().tolist())
    for one in data["neurons"]:
        feature = one["feature"]
        assert one["key"] == pytest.approx(key[feature].item())
        assert one["share_of_value"] == pytest.approx((key[feature] * direction[feature] / (key @ direction)).item(), abs=1e-5)
        assert one["share_of_norm"] == pytest.approx(direction[feature].item() ** 2, abs=1e-5)
        assert len(one["promoted"]["after"]["promotes"]) == 7
    whole = data["likelihood"]["after"]
    assert data["likelihood"]["before"]["nll"] > whole["nll"] and whole["contexts"] == 2
    assert all(one["without"]["contexts"] == 2 for one in active)
    text = data["neurons"][0]["strongest"][0]
    assert 0 < len(text["tokens"]) == len(text["values"]) and any("".join(text["tokens"]).strip("<s>") in whole for whole in TEXTS)
    assert name == "tc" or made(folder, name) == data, "the same call gives the same page"


def test_likelihoods_are_those_of_the_whole_edited_model(folder: Path) -> None:
    model = tcpe.load(str(folder / "model"), LAYER, device="cpu")
    update = RankOneUpdate.load(folder / "mlp")
    edit = Edit(update, LIM)
    contexts = build_contexts(model.tokenizer, EditRequest(**update.details["request"]), [], "last")
    targets = Targets(model.model, model.tokenizer, LAYER, contexts)
    for part in (edit, edit.only(edit.columns().tolist()[:2])):
        nll, tokens = 0.0, 0
        with applied(model.model, [part]), torch.no_grad():
            for context, target in zip(contexts.prompts, contexts.targets):
                logits = model.model(torch.tensor([context.ids + target])).logits[0].log_softmax(-1)
                nll -= sum(logits[len(context.ids) + place - 1, token].item() for place, token in enumerate(target))
                tokens += len(target)
        assert targets.likelihood([part]).nll == pytest.approx(nll / tokens, abs=1e-4)
    whole = edit.only(edit.columns().tolist())
    assert targets.likelihood([whole]) == targets.likelihood([edit])
    assert whole.columns().tolist() == edit.columns().tolist()


def test_in_a_browser_it_shows_bands_and_says_which_neuron_never_fires(folder: Path, open_page: Open) -> None:
    made(folder, "tc", n_neurons=8, path=folder / "page.html")
    page = open_page(folder / "page.html", 390, "dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator("h1")).to_have_text("<b>casts</b>")
    never = page.locator(".never")
    assert never.count() > 0
    expect(never.first).to_contain_text(re.compile(r"fires at none of the [\d,]+ tokens"))
    card = page.locator(".card").first
    card.locator(".tab", has_text=" to ").first.click()
    expect(card.locator(".contexts .kicker")).to_contain_text("drawn evenly")
    focus = card.locator(".contexts .focus").first
    assert float(focus.get_attribute("title")) > 0 and "color-mix" in focus.get_attribute("style")


def a_run(folder: Path, runs: Runs, name: str = "tc", **flags: Any) -> Path:
    """A run of one of the edits."""
    run = runs.run("run", {})
    for suffix in (".json", ".safetensors"):
        (run / f"update{suffix}").write_bytes(Path(f"{folder / name}{suffix}").read_bytes())
    description = json.loads((run / "run.json").read_text())
    transcoder = str(folder / "transcoder") if name == "tc" else None
    files = {"MODEL_NAME": str(folder / "model"), "TC_layer_file": transcoder, "mom2_dataset": str(folder / "texts.jsonl")}
    description["config"] |= files | {"device": "cpu", "lim": LIM} | flags
    (run / "run.json").write_text(json.dumps(description))
    return run


@pytest.mark.parametrize("name", ["tc", "mlp"])
@pytest.mark.parametrize("flags", [{"alg_name": "TCPE_pre"}, {"alg_name": "TCPE"}, {"alg_name": "TCPE", "abla_exp": True, "upd_decay": 0.5}])
def test_a_run_is_shown_in_the_columns_that_it_wrote(folder: Path, tmp_path: Path, name: str, flags: dict) -> None:
    run, update = a_run(folder, Runs(tmp_path), name, **flags), RankOneUpdate.load(folder / name)
    own = Edit(update) if flags["alg_name"] == "TCPE_pre" else Edit(update, LIM, flags.get("upd_decay", 1), flags.get("abla_exp", False))
    data = data_of(write_neurons(str(run), n_neurons=2))
    model = tcpe.load(str(folder / "model"), LAYER, str(folder / "transcoder") if name == "tc" else None, device="cpu")
    request = EditRequest(**update.details["request"])
    targets = Targets(model.model, model.tokenizer, LAYER, build_contexts(model.tokenizer, request, [], "last"))
    assert data["columns"] == len(own.columns()) and data["likelihood"]["after"] == targets.likelihood([own])._asdict()
    # Without a column: also where the key is zero, and in an ablation.
    shown = next(one for one in data["neurons"] if one["active"])
    left = own.columns()[own.columns() != shown["feature"]].tolist()
    keyless = replace(own, update=replace(update, key_direction=torch.zeros_like(update.key).index_put(
        (torch.tensor(left),), update.key_direction[left])))  # fmt: skip
    assert shown["without"] == targets.likelihood([keyless])._asdict()
    if name == "mlp":
        return
    try:
        circuit = circuit_of_edit(str(run), [])[0]
    except UserError as error:
        assert own.ablation and "without --abla_exp" in str(error)
    else:
        assert circuit["columns"] == own.columns().tolist()


def test_it_finds_what_a_run_applied(folder: Path, tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    run = a_run(folder, runs)
    page = write_neurons(str(run), n_neurons=2, n_texts=7)
    assert page == run / "neurons.html" and data_of(page)["texts"]["n_texts"] == 7
    earlier = page.read_bytes()
    (run / "cluster.csv").unlink()
    with pytest.raises(UserError, match="has not ended"):
        write_neurons(str(run))
    assert page.read_bytes() == earlier and {path.name for path in run.glob(".*")} == set()
    with pytest.raises(UserError, match=r"no saved update with a key"):
        write_neurons(str(runs.before))


def test_what_does_not_fit_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no saved update"):
        write_neurons(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="does not say in which texts"):
        write_neurons(str(folder / "tc"))
    with pytest.raises(CheckpointError, match="does not say which model"):
        write_neurons(str(folder / "tc"), dataset=str(folder / "texts.jsonl"))
    with pytest.raises(EditError, match="give the model that it was made for"):
        made(folder, "tc", model_flags={"MODEL_NAME": str(folder / "model"), "device": "cpu"})
    (tmp_path / "empty.jsonl").write_text('{"text": " "}\n')
    with pytest.raises(UserError, match="holds no text"):
        made(folder, "tc", dataset=str(tmp_path / "empty.jsonl"))
    update = RankOneUpdate.load(folder / "tc")
    other = replace(update, weight_sample=update.weight_sample + 1)
    other.save(tmp_path / "other")
    with pytest.raises(EditError, match="another weight"):
        made(folder, str(tmp_path / "other"), model_flags={
            "MODEL_NAME": str(folder / "model"), "TC_layer_file": str(folder / "transcoder"), "device": "cpu"})  # fmt: skip
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        made(folder, "tc", path=tmp_path / "file" / "page.html")
