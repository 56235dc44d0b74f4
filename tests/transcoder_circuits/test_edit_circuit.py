"""The circuit of an edit on a tiny model: its predictions are what real passes do where nothing lies between, and nothing stays changed."""

import pytest
import torch

from huggingface.architectures import layers_of, mlp_of
from huggingface.digest import model_digest
from huggingface.transcoder_adapter import spliced
from tcpe.update import Edit, RankOneUpdate, weight_sample
from tests.tiny import LAYERS, tiny_model, tiny_tokenizer
from tests.transcoder_circuits.frozen_models import TEXT, transcoders_for
from transcoder_circuits.edit_circuit import EditCircuit, circuit_text
from transcoder_circuits.faithfulness import faithfulness_table, measure_faithfulness
from transcoder_circuits.patching import activation_patching
from transcoder_circuits.replacement_ctx import TranscoderReplacementContext, ZeroAblationContext


def circuit_on(model, transcoders):
    layer = LAYERS - 1
    ids = tiny_tokenizer()(TEXT)["input_ids"]
    key = mlp_of(model, layer).encode(model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[-2][0, -1]).detach()
    shift = 0.1 * torch.randn(len(mlp_of(model, layer).down_proj.bias), generator=torch.Generator().manual_seed(0))
    update = RankOneUpdate(shift, key / key.norm(), key, weight_sample(model, layer), layer, {})
    others = {number: one for number, one in transcoders.items() if number != layer}
    return EditCircuit(model, others, Edit(update, 0.5), ids, len(ids) - 1, 5, 7), ids


def test_the_circuit_of_an_edit_predicts_and_measures():
    model, transcoders = tiny_model(), transcoders_for("Llama")
    whole = model_digest(model)
    with spliced(model, LAYERS - 1, transcoders[LAYERS - 1]):
        circuit, ids = circuit_on(model, transcoders)
        found = circuit.data([str(one) for one in ids], nodes=6)
    assert model_digest(model) == whole
    assert circuit.before.activation(circuit.key) == pytest.approx(found["key"]["value"], rel=1e-4)
    tokens = circuit.before.in_stream(circuit.key)[0]
    assert tokens.isfinite().all() and len(found["removed"]) == 6
    value = found["value"]
    # In the last layer nothing but the final norm, which is frozen, stands between the value and the logits.
    scale = circuit.after.final_norm.scale[-1] / circuit.before.final_norm.scale[-1]
    unmoved = value["logits_before"] * (scale - 1)
    assert value["real"] == pytest.approx(float(unmoved + value["predicted"] * scale), rel=1e-3, abs=1e-4)
    assert any(one["edited"] for one in found["logit"])
    for one in found["removed"]:
        assert abs(one["key"]["real"]) > 0 and one["key"]["predicted"] != 0
    assert "Taken away" in circuit_text(found | {"title": "t", "target_text": "a", "instead_text": "b"})


def test_contexts_put_the_very_modules_back():
    model, transcoders = tiny_model("Gemma2"), transcoders_for("Gemma2")
    before = [list(layer.modules()) for layer in layers_of(model)]
    with pytest.raises(RuntimeError), TranscoderReplacementContext(model, transcoders), ZeroAblationContext(model, [1]):
        assert mlp_of(model, 0) is not before[0][0]
        raise RuntimeError
    bad = transcoders | {2: type(transcoders[2])(8, 4, 8)}
    with pytest.raises(Exception, match="maps width 8"), TranscoderReplacementContext(model, bad):
        pass
    assert all(all(one is other for one, other in zip(old, layer.modules(), strict=True)) for old, layer in zip(before, layers_of(model)))


def test_figures_of_what_equals_the_model_and_of_the_clean_prompt():
    from huggingface.tokenization import batches

    model = tiny_model()
    ids = tiny_tokenizer()(TEXT)["input_ids"]
    own = {layer: mlp_of(model, layer) for layer in range(LAYERS)}
    found = measure_faithfulness(model, list(batches([ids], 1, "cpu")), [("nothing", ZeroAblationContext(model, []))])
    assert found[1].cross_entropy == found[0].cross_entropy and found[1].kl == 0
    table = faithfulness_table(model, transcoders_for("Llama"), list(batches([ids], 1, "cpu")))
    assert [row[0] for row in table] == ["0", "1", "2", "3", "all"] and all(row[4] > 0 for row in table)
    assert all(mlp_of(model, layer) is one for layer, one in own.items())
    other = [*ids[:-1], 9]
    back = activation_patching(model, ids, other, lambda logits: float(logits[5] - logits[7]))
    heads = activation_patching(model, ids, other, lambda logits: float(logits[5] - logits[7]), "head_values")
    assert back.shape == (LAYERS,) and heads.shape == (LAYERS, 4) and back.isfinite().all() and heads.isfinite().all()
