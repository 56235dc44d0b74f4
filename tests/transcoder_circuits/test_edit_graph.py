"""The graph of an edit: both graphs are complete, the edited features' edges change as their columns do, and the page marks it."""

from argparse import ArgumentParser
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from huggingface.digest import model_digest
from huggingface.transcoder_adapter import spliced
from tests.browser import Open
from tests.explain.test_report import data_of
from tests.tiny import LAYERS, tiny_model, tiny_tokenizer
from tests.transcoder_circuits.frozen_models import transcoders_for
from tests.transcoder_circuits.test_edit_circuit import circuit_on
from transcoder_circuits import edit_circuit
from transcoder_circuits.attribution_graph import Node
from transcoder_circuits.edit_graph import edit_graphs, page_beside, write_edit_graph
from transcoder_circuits.graph import add_graph_flags
from util.errors import UserError


def flags(*given):
    parser = ArgumentParser()
    add_graph_flags(parser)
    return parser.parse_args(["--max_logits", "2", "--node_share", "0.4", "--edge_share", "0.6", "--max_features", "300", *given])


@contextmanager
def edited_circuit():
    model = tiny_model()
    with spliced(model, LAYERS - 1, transcoders_for("Llama")[LAYERS - 1]):
        yield circuit_on(model, transcoders_for("Llama"))[0], model


def test_edges_of_edited_columns_change_and_all_else_is_as_it_was():
    with edited_circuit() as (circuit, model):
        whole = model_digest(model)
        before, after = (version.graph for version in edit_graphs(circuit, flags()))
        assert model_digest(model) == whole
    assert set(before.logits.tolist()) == set(after.logits.tolist()) >= {circuit.target, circuit.instead}
    # Below the edited layer nothing changes.
    both = [(before.node_rows[node], after.node_rows[node]) for node in before.nodes if node.kind == "feature" and node in after.node_rows]
    one, other = (list(rows) for rows in zip(*both))
    assert (before.edges[one][:, one] - after.edges[other][:, other]).abs().max() <= 1e-4
    place = circuit.columns[circuit.before.layers[LAYERS - 1].features[-1, circuit.columns].argmax()].item()
    scale = circuit.after.final_norm.scale[-1] / circuit.before.final_norm.scale[-1]
    node, logit = Node("feature", LAYERS - 1, len(circuit.ids) - 1, place), Node("logit", LAYERS, len(circuit.ids) - 1, circuit.target)
    vector, _ = circuit.after.in_stream(circuit.logit)
    against = logit._replace(number=circuit.instead)
    rows = [(graph, *(graph.node_rows[one] for one in (logit, against, node))) for graph in (before, after)]
    found = [graph.edges[first, source] - graph.edges[second, source] for graph, first, second, source in rows]
    activation = circuit.before.layers[LAYERS - 1].features[-1, place]
    column = circuit.edit.update.value_shift * circuit.edit.update.key_direction[place] * activation
    assert (found[1] - found[0] * scale).item() == pytest.approx(float(column @ vector), rel=1e-3, abs=1e-4)


def test_the_page_marks_what_the_edit_changed(tmp_path: Path, open_page: Open):
    with edited_circuit() as (circuit, _):
        said = {"title": "Error: <b>wrong</b>", "tokens": ["x"] * len(circuit.ids), "target_text": " a", "instead_text": " b"}
        said["value"] = {"logits_before": -1.0, "logits_after": 2.0}
        written = write_edit_graph(tmp_path / "graph.html", circuit, tiny_tokenizer(), said, None, flags())
    assert [path.name for path in written] == ["graph.html", "graph.svg"]
    data = data_of(tmp_path / "graph.html")
    assert len(data["versions"]) == 2 and any(node["edited"] for node in data["nodes"])
    features = [node for node in data["nodes"] if node["kind"] == "feature"]
    assert all(node["value"][0] == node["value"][1] != 0 for node in features if node["layer"] < LAYERS - 1)
    page = open_page(tmp_path / "graph.html")
    expect(page.locator("h1")).to_have_text("<b>wrong</b>")
    expect(page.locator(".node.written .ring").first).to_be_visible()
    expect(page.locator(".token.edited")).to_have_count(1)
    change = page.locator(".logit-name").first.text_content()
    page.get_by_role("button", name="before", exact=True).click()
    assert "→" in change and "→" not in page.locator(".logit-name").first.text_content() and "mode=before" in page.url


def test_flags_of_a_graph_need_a_graph(monkeypatch: pytest.MonkeyPatch):
    for given, said in (
        (["--output_path", "ec.html"], "ends in .json"),
        (["--png"], "give --graph too"),
        (["--graph", "--mass", "0"], "--mass must be above 0"),
    ):
        monkeypatch.setattr("sys.argv", ["edit_circuit", "runs/none", *given])
        with pytest.raises(UserError, match=said):
            edit_circuit.main()


def test_pages_of_two_circuits_in_one_folder_have_names_of_their_own():
    assert page_beside(Path("run/circuit.json"), None) == Path("run/graph.html")
    assert page_beside(Path("run/circuit.json"), "out/first.json") == Path("out/first.html")


def test_a_circuit_without_other_transcoders_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr("sys.argv", ["edit_circuit", "runs/none"])
    with pytest.raises(UserError, match="runs/none"):
        edit_circuit.main()
    assert "No --transcoders of other layers are given" in caplog.text
