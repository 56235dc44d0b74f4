"""A graph's files: the viewers' JSON, the picture, and the page in a real browser."""

import json
from contextlib import nullcontext
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, expect

from huggingface.transcoder import save_transcoder
from tests.browser import Open
from tests.explain.test_report import data_of
from tests.tiny import tiny_model, tiny_tokenizer
from tests.transcoder_circuits.frozen_models import TEXT, frozen_pass, transcoders_for
from transcoder_circuits import graph
from transcoder_circuits.attribution_graph import attribute
from transcoder_circuits.graph_file import graph_json
from transcoder_circuits.graph_view import COLUMN, place_nodes
from transcoder_circuits.influence import prune
from util.errors import CheckpointError, UserError

HOSTILE = "i <b>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, transcoders of three of its layers, and texts."""
    folder = tmp_path_factory.mktemp("graphs")
    tiny_model().save_pretrained(folder / "model")
    tiny_tokenizer().save_pretrained(folder / "model")
    for layer, transcoder in transcoders_for("Llama").items():
        if transcoder.skip is None:
            save_transcoder(transcoder, folder / "transcoders" / f"layer_{layer}")
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in [TEXT, "</script><b>x</b>"]))
    return folder


def draw(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str, prompt: str = HOSTILE) -> Path:
    flags = ["--MODEL_NAME", str(folder / "model"), "--transcoders", str(folder / "transcoders"), "--prompt", prompt]
    flags += ["--max_logits", "3", "--node_share", "0.6"]
    monkeypatch.setattr("sys.argv", ["graph", *flags, "--output_path", str(folder / "graph.html"), *more])
    graph.main()
    return folder / "graph.html"


def test_the_viewers_json_says_what_the_graph_is():
    cache = frozen_pass("Llama", TEXT[:16])
    found = attribute(cache)
    pruned = prune(found)
    data = graph_json(found, pruned, tiny_tokenizer(), "one", "tiny", 0.8)
    nodes = {node["node_id"]: node for node in data["nodes"]}
    assert len(nodes) == int(pruned.nodes.sum()) and len(data["links"]) == int(pruned.edges.sum())
    weights = {(link["source"], link["target"]): link["weight"] for link in data["links"]}
    assert sum(weights.values()) == pytest.approx(float(found.edges[pruned.edges].double().sum()), rel=1e-4)
    assert all(source in nodes and target in nodes for source, target in weights)
    layer, token, number = next(tuple(place) for row, place in enumerate(found.features.tolist()) if pruned.nodes[row] and place[0] == 1)
    one = nodes[f"{layer}_{number}_{token}"]
    assert one["feature"] == (layer + number) * (layer + number + 1) // 2 + number and one["feature_type"] == "cross layer transcoder"
    assert one["activation"] == pytest.approx(cache.layers[layer].features[token, number].item()) and one["ctx_idx"] == token
    logits = [node for node in data["nodes"] if node["feature_type"] == "logit"]
    assert [node["is_target_logit"] for node in logits] == [True, *[False] * (len(logits) - 1)] and logits[0]["layer"] == "5"
    assert logits[0]["clerp"].startswith('Output "') and logits[0]["token_prob"] == pytest.approx(found.probabilities[0].item())
    assert data["metadata"]["prompt_tokens"] == [tiny_tokenizer().decode([one]) for one in cache.ids]


def test_nodes_keep_apart_and_quiet_tokens_are_narrow():
    nodes = [
        {"kind": "feature", "layer": 1, "token": 2, "number": number, "influence": [0.1 * number], "name": ""} for number in range(12)
    ] + [{"kind": "embedding", "layer": 0, "token": token, "number": 5, "influence": [0.0], "name": ""} for token in range(4)]
    found = place_nodes(nodes, ["a"] * 4, 2)
    places = {(node["x"], node["y"]) for node in nodes}
    assert len(places) == len(nodes) and found["columns"][1] - found["columns"][0] == COLUMN
    ys = [y for _, y in found["rows"]]
    assert ys == sorted(ys, reverse=True) and max(node["x"] for node in nodes) < found["width"]
    assert next(node["label"] for node in nodes if node["label"]).startswith("#")


def test_the_command_writes_a_page_a_picture_and_json(
    folder: Path, monkeypatch: pytest.MonkeyPatch, browser: Browser, open_page: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    # One process cannot hold two browsers.
    monkeypatch.setattr("explain.browser.headless_browser", lambda: nullcontext(browser))
    page = draw(folder, monkeypatch, "--dataset", str(folder / "texts.jsonl"), "--png", "--verify", "3")
    said = capsys.readouterr().out
    assert "replacement score" in said and "frozen all:" in said and str(folder / "graph.png") in said
    first = page.read_bytes()
    assert draw(folder, monkeypatch, "--dataset", str(folder / "texts.jsonl")).read_bytes() == first
    picture = ElementTree.parse(folder / "graph.svg").getroot()
    data = data_of(page)
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}circle"))) == sum(node["kind"] == "feature" for node in data["nodes"])
    assert (folder / "graph.png").read_bytes().startswith(b"\x89PNG") and json.loads((folder / "graph.json").read_text())["links"]
    shown = open_page(page)
    expect(shown.locator("h1")).to_have_text(HOSTILE)
    expect(shown.locator(".node")).to_have_count(len(data["nodes"]))
    feature = max((node for node in data["nodes"] if node["kind"] == "feature"), key=lambda node: node["influence"][0])
    shown.locator(f'.node[data-id="{feature["id"]}"]').hover()
    expect(shown.locator(".node-card h3")).to_contain_text(feature["name"])
    expect(shown.locator(".node-card .context").first).to_be_visible()
    expect(shown.locator(".node-card .promoted")).to_have_count(2)
    into = [link for link in data["links"] if data["nodes"][link[1]] is feature]
    expect(shown.locator(".node-card .kicker").first).to_have_text(f"from ({len(into)})")
    narrow = open_page(page, 390, "dark")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390


def test_nodes_are_pinned_and_grouped_and_the_address_brings_them_back(folder: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open) -> None:
    page = draw(folder, monkeypatch)
    data = data_of(page)
    logit = next(node for node in data["nodes"] if node["kind"] == "logit")
    into = [link for link in data["links"] if data["nodes"][link[1]] is logit and data["nodes"][link[0]]["kind"] == "feature"]
    one, other = sorted(into, key=lambda link: -abs(link[2][0]))[:2]
    shown = open_page(page)
    for node in (logit, data["nodes"][one[0]], data["nodes"][other[0]]):
        shown.locator(f'.node[data-id="{node["id"]}"]').focus()
        shown.keyboard.press("Enter")
    expect(shown.locator("#pinned .box")).to_have_count(3)
    for link in (one, other):
        shown.locator("#pinned .box", has_text=data["nodes"][link[0]]["name"]).click()
    shown.locator("#pinned input").fill("<i>both</i>")
    shown.locator("#group").click()
    expect(shown.locator("#pinned .box")).to_have_count(2)
    expect(shown.locator("#pinned .box-name").first).to_have_text("<i>both</i>")
    total = one[2][0] + other[2][0]
    said = shown.locator("#pinned .weight").all_text_contents()
    assert any(float(text.replace("−", "-")) == pytest.approx(total, rel=0.06) for text in said)
    again = open_page(page, address=shown.evaluate("location.hash"))
    expect(again.locator("#pinned .box")).to_have_count(2)
    again.locator("#pinned .box", has_text="both").click()
    again.locator("#ungroup").click()
    expect(again.locator("#pinned .box")).to_have_count(3)
    again.locator(f'.node[data-id="{logit["id"]}"]').focus()
    again.keyboard.press("Enter")
    expect(again.locator("#pinned .box")).to_have_count(2)
    broken = open_page(page, address="#pinned=none&supernodes={")
    expect(broken.locator("#pinned .box")).to_have_count(0)


def test_either_kind_of_transcoder_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="give either --transcoders or --cross_layer"):
        draw(folder, monkeypatch, "--cross_layer", str(folder / "clt"))


def test_what_cannot_be_drawn_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, said in (
        (["--node_share", "1.5"], "--node_share must be above 0 and at most 1, not 1.5"),
        (["--max_logits", "0"], "--max_logits must be at least 1"),
        (["--output_path", str(folder / "graph.txt")], "ends in .html"),
    ):
        with pytest.raises(UserError, match=said):
            draw(folder, monkeypatch, *flags)
    with pytest.raises(UserError, match="no prompt"):
        draw(folder, monkeypatch, prompt="")
    with pytest.raises(UserError, match="The prompt"):
        draw(folder, monkeypatch, prompt="i " * 3000)
    with pytest.raises(CheckpointError, match="no folder of transcoders"):
        draw(folder, monkeypatch, "--transcoders", str(folder / "nowhere"))
    assert not (folder / "graph.txt").exists()
