"""Reading a model at named points: in one pass that goes no further than it must, without padding, and leaving the model as it was."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from huggingface.activations import Point, eager_attention, read_activations, real_tokens, stream_activations
from huggingface.architectures import layer_of, mlp_of
from huggingface.tokenization import batches, encode, pad
from huggingface.transcoder_adapter import encoder_beside, spliced
from tests.tiny import CONFIGS, FEATURES, LAYERS, WIDTH, tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import EditError, UserError
from util.hooks import Trace

TOKENIZER = tiny_tokenizer()
ROWS = [encode(TOKENIZER, text).ids for text in ("int solution(int n) { return n; }", "dp", "long x = cast(int) s.length;", "return", "int")]
POINTS = [Point(2, "mlp_out"), Point(0, "resid_mid"), Point(1, "neurons"), Point(1, "mlp_in")]


def joined(found):
    found = list(found)
    return {point: torch.cat([part[point] for part in found]) for point in found[0]}


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_a_stream_of_batches_gives_what_single_texts_give(family):
    model = tiny_model(family)
    by_length = sorted(ROWS, key=len)
    together = joined(stream_activations(model, POINTS, batches(ROWS, 1, "cpu", max_rows=2)))
    alone = joined(stream_activations(model, POINTS, (pad([row], 1, "cpu") for row in by_length)))
    left = joined(stream_activations(model, POINTS, (pad(by_length[i : i + 2], 1, "cpu") for i in (0, 2, 4))))
    first = torch.tensor([column == 0 for row in by_length for column in range(len(row))])
    rest = joined(stream_activations(model, POINTS, batches(ROWS, 1, "cpu", max_tokens=40), keep_first_token=False))
    for point in POINTS:
        assert len(together[point]) == sum(map(len, ROWS))
        torch.testing.assert_close(together[point], alone[point], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(left[point], alone[point], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(rest[point], alone[point][~first], rtol=1e-4, atol=1e-4)


def test_the_model_runs_no_further_than_the_last_point():
    model, ran = tiny_model(), []
    for layer in range(LAYERS):
        layer_of(model, layer).register_forward_hook(lambda *_args, layer=layer: ran.append(("layer", layer)))
        mlp_of(model, layer).register_forward_hook(lambda *_args, layer=layer: ran.append(("mlp", layer)))
    batch = pad(ROWS, 1, "cpu")
    assert list(read_activations(model, POINTS, **batch._asdict())) == POINTS
    assert ran == [("mlp", 0), ("layer", 0), ("mlp", 1), ("layer", 1), ("mlp", 2)]
    assert read_activations(model, [], **batch._asdict()) == {} and len(ran) == 5


def test_hooks_are_gone_after_a_pass_and_after_an_error():
    model, count = tiny_model(), lambda: sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    batch, before = pad(ROWS, 1, "cpu"), model.config._attn_implementation
    read_activations(model, [Point(1, "pattern"), *POINTS], **batch._asdict())
    with pytest.raises(UserError, match="0 to 3"):
        read_activations(model, [Point(0, "pattern"), Point(LAYERS, "mlp_in")], **batch._asdict())
    with pytest.raises(RuntimeError), eager_attention(model):
        raise RuntimeError
    with pytest.raises(ValueError, match="hook_z is no site; sites are resid_pre"):
        read_activations(model, [Point(0, "hook_z")], **batch._asdict())
    assert count() == 0 and model.config._attn_implementation == before != "eager"


def test_a_point_that_takes_no_part_is_named():
    model = tiny_model()
    forward = mlp_of(model, 1).forward
    mlp_of(model, 1).forward = lambda x: forward.__self__.down_proj.forward(torch.zeros(*x.shape[:-1], 48))
    with pytest.raises(EditError, match="neurons of layer 1 takes no part in the forward pass of LlamaForCausalLM; correct the family's row"):
        read_activations(model, [Point(1, "neurons")], **pad(ROWS, 1, "cpu")._asdict())


def test_gradients_flow_through_what_is_read():
    model = tiny_model()
    batch = pad(ROWS, 1, "cpu")
    found = read_activations(model, [Point(0, "mlp_in"), Point(1, "resid_post")], **batch._asdict())
    (grad,) = torch.autograd.grad(found[1, "resid_post"].sum(), found[0, "mlp_in"])
    assert grad.abs().sum() > 0


@torch.no_grad()
def test_a_transcoder_is_read_beside_the_mlp_as_in_its_place():
    for family in ("Llama", "GPT2", "Gemma2"):
        model, transcoder, batch = tiny_model(family), tiny_transcoder(), pad(ROWS, 1, "cpu")
        stream = read_activations(model, [Point(2, "resid_mid")], **batch._asdict())[2, "resid_mid"]
        features = encoder_beside(model, 2, transcoder)(stream)
        assert features.shape[-1] == FEATURES
        with spliced(model, 2, transcoder):
            assert torch.equal(read_activations(model, [Point(2, "neurons")], **batch._asdict())[2, "neurons"], features)


@torch.no_grad()
def test_points_are_what_a_trace_of_the_module_has():
    model, batch = tiny_model(), pad(ROWS, 1, "cpu")
    with Trace(mlp_of(model, 1)) as trace:
        model(**batch._asdict())
    found = read_activations(model, [Point(1, "mlp_in"), Point(1, "mlp_out")], **batch._asdict())
    assert torch.equal(found[1, "mlp_in"], trace.input) and torch.equal(found[1, "mlp_out"], trace.output)
    assert found[1, "mlp_in"].shape == (*batch.input_ids.shape, WIDTH)


@given(st.lists(st.integers(1, 9), max_size=12), st.none() | st.integers(1, 4), st.none() | st.integers(1, 20), st.sampled_from(["left", "right"]))
def test_batches_hold_every_row_once_within_their_limits(lengths, max_rows, max_tokens, side):
    rows = [[number + 1] * length for number, length in enumerate(lengths)]
    found = []
    for batch in batches(rows, 0, "cpu", max_rows, max_tokens):
        n_rows, width = batch.input_ids.shape
        assert max_rows is None or n_rows <= max_rows
        assert max_tokens is None or n_rows == 1 or n_rows * width <= max_tokens
        found += [ids[mask.bool()].tolist() for ids, mask in zip(batch.input_ids, batch.attention_mask)]
    assert sorted(found) == rows and [len(row) for row in found] == sorted(lengths)
    if rows:
        batch = pad(rows, 0, "cpu", side)
        assert real_tokens(batch).sum() == sum(lengths) and real_tokens(batch, keep_first_token=False).sum() == sum(lengths) - len(rows)
