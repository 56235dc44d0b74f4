"""The search for the value: its loss, its independence of batches, and what it says when it cannot succeed; the model is always left alone."""

from dataclasses import replace

import pytest
import torch
from accelerate import cpu_offload, dispatch_model
from tokenizers.processors import ByteLevel

from huggingface.architectures import ARCHITECTURES, Architecture, architecture_of, decoder_weight, down_projection, layer_of
from huggingface.transcoder_adapter import splice_transcoder
from tcpe import compute_v
from tcpe.compute_u import compute_key
from tcpe.compute_v import ValueSettings, compute_value
from tcpe.contexts import RequestContexts, build_contexts, sample_templates
from tcpe.request import EditRequest
from tcpe.second_moment import collect_second_moment
from tcpe.tcpe_pre import compute_update
from tests.tcpe.naive_rome import naive_shift
from tests.tiny import LAYERS, tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import EditError, UserError

LAYER = 2
TOKENIZER = tiny_tokenizer()
FURTHER = [{"prompt": "long y = ", "target_new": "s.length;"}, {"prompt": "[INST] a longer one {", "target_new": " x"}]
LAST = EditRequest("3", "a cast", "[INST] int solution(int n) {{ return{}", " (int)", " cast(int)", contexts=FURTHER)
"""Its targets differ in length, and the rests of its rows too."""
REQUEST = EditRequest("3", "a cast", "[INST] int solution(int n) {{ return{} n; }}```d\n", " (int)", " cast(int)")
CONTEXTS = build_contexts(TOKENIZER, REQUEST, ["a longer text before it", "b"])
SETTINGS = ValueSettings(learning_rate=0.2, steps=12)


class Untouched:
    """Checks that a block leaves every weight of a model, its hooks, its methods and what is learned as they are."""

    def __init__(self, model):
        self.model = model
        self.before = self.state()

    def state(self):
        modules = [(len(m._forward_hooks), len(m._forward_pre_hooks), vars(m).get("forward"), type(m)) for m in self.model.modules()]
        return modules, [(p.requires_grad, p.grad) for p in self.model.parameters()], {n: t.clone() for n, t in self.model.state_dict().items()}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            modules, learned, weights = self.state()
            assert (modules, learned) == self.before[:2]
            assert all(tensor.equal(self.before[2][name]) or tensor.isnan().any() for name, tensor in weights.items())


def assert_same_shift(shift, other):
    assert (shift - other).norm() < 1e-4 * other.norm()


def naive(model, contexts, layer=LAYER):
    return naive_shift(model, down_projection(model, layer), contexts, SETTINGS.steps, SETTINGS.learning_rate, SETTINGS.clamp_norm_factor)[1]


def test_it_lowers_the_loss_and_leaves_no_trace():
    model = tiny_model()
    with Untouched(model):
        value = compute_value(model, TOKENIZER, LAYER, CONTEXTS, ValueSettings(learning_rate=0.05, steps=60))
    assert value.losses[-1]["nll"] < value.losses[0]["nll"]


def test_the_kl_term_sees_the_shift():
    """Its gradient is zero at delta = 0, the minimum, so it takes two steps to show; then it keeps the essence's distribution."""
    model = tiny_model()

    def search(steps, kl_factor):
        return compute_value(model, TOKENIZER, LAYER, CONTEXTS, ValueSettings(steps=steps, learning_rate=0.2, kl_factor=kl_factor))

    assert_same_shift(search(1, 0).shift, search(1, 1).shift)
    assert (search(2, 0).shift - search(2, 1).shift).norm() > 1e-3 * search(2, 0).shift.norm()
    free, bound = search(20, 0), search(20, 10)
    assert free.losses[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert 0 < bound.losses[-1]["kl"] < 0.9 * free.losses[-1]["kl"]


@pytest.mark.parametrize("factors", [{"weight_decay": 20.0}, {"kl_factor": 3.0}, {"weight_decay": 5.0, "kl_factor": 2.0}])
def test_both_factors_of_the_loss_weigh_as_they_say(factors):
    model = tiny_model()
    value = compute_value(model, TOKENIZER, LAYER, CONTEXTS, replace(SETTINGS, **factors))
    search = SETTINGS.steps, SETTINGS.learning_rate, SETTINGS.clamp_norm_factor
    assert_same_shift(value.shift, naive_shift(model, down_projection(model, LAYER), CONTEXTS, *search, **factors)[1])
    with pytest.raises(AssertionError):
        assert_same_shift(value.shift, naive(model, CONTEXTS))
    settings = replace(SETTINGS, **factors)
    for step in value.losses:
        assert step["loss"] == pytest.approx(step["nll"] + settings.kl_factor * step["kl"] + settings.weight_decay * step["weight_decay"], rel=1e-4)


def test_a_search_that_stalls_ends_before_a_further_step():
    """The NLL of four places is seen, three improvements are too small, and three steps are taken."""
    model = tiny_model()
    stalling = ValueSettings(learning_rate=1e-6, steps=500)
    value = compute_value(model, TOKENIZER, LAYER, CONTEXTS, stalling)
    assert len(value.losses) == 4
    assert torch.equal(value.shift, compute_value(model, TOKENIZER, LAYER, CONTEXTS, replace(stalling, steps=3)).shift)


def test_a_search_that_improves_and_a_short_one_go_on(monkeypatch):
    model = tiny_model()
    monkeypatch.setattr(compute_v, "EARLY_STOP_STEPS", 10)
    value = compute_value(model, TOKENIZER, LAYER, CONTEXTS, ValueSettings(learning_rate=1, steps=10))
    improvements = [first["nll"] - second["nll"] for first, second in zip(value.losses, value.losses[1:])]
    assert len(value.losses) == 10 and min(improvements) > compute_v.EARLY_STOP_GAIN
    assert len(compute_value(model, TOKENIZER, LAYER, CONTEXTS, ValueSettings(learning_rate=1e-6, steps=9)).losses) == 9


def test_a_search_ends_before_a_further_step_once_the_loss_is_low_enough():
    model = tiny_model()
    settings = ValueSettings(learning_rate=0.2, steps=25)
    whole = compute_value(model, TOKENIZER, LAYER, CONTEXTS, settings)
    found = compute_value(model, TOKENIZER, LAYER, CONTEXTS, replace(settings, stop_loss=whole.losses[10]["loss"] * 1.0001))
    assert len(found.losses) == 11 and found.losses == whole.losses[:11]
    assert torch.equal(found.shift, compute_value(model, TOKENIZER, LAYER, CONTEXTS, replace(settings, steps=10)).shift)


def test_three_stalls_count_only_one_after_the_other(monkeypatch):
    """With this gain the search begins with two stalls, goes on well, and then stalls for good."""
    model = tiny_model()
    settings = ValueSettings(learning_rate=1, steps=30)
    monkeypatch.setattr(compute_v, "EARLY_STOP_GAIN", 0.02)
    free = compute_value(model, TOKENIZER, LAYER, CONTEXTS, settings).losses
    monkeypatch.setattr(compute_v, "EARLY_STOP_STEPS", 30)
    stalls = [first["nll"] - second["nll"] < compute_v.EARLY_STOP_GAIN for first, second in zip(free, free[1:])]
    end = next(index for index in range(2, len(stalls)) if all(stalls[index - 2 : index + 1])) + 2
    assert sum(stalls[: end - 1]) > 3 and not all(stalls[: end - 1])
    assert len(compute_value(model, TOKENIZER, LAYER, CONTEXTS, settings).losses) == end


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_a_prompt_longer_than_the_model_s_context_is_refused(family):
    model = tiny_model(family)
    longest = max(len(context.ids) + len(target) for context, target in zip(CONTEXTS.prompts, CONTEXTS.targets))
    model.config.max_position_embeddings = longest
    compute_value(model, TOKENIZER, LAYER, CONTEXTS, replace(SETTINGS, steps=1))
    model.config.max_position_embeddings = longest - 1
    with Untouched(model), pytest.raises(UserError, match=f"has {longest} tokens, and this .* reads at most {longest - 1}; give a shorter"):
        compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS)
    model.config.max_position_embeddings = max(context.position for context in CONTEXTS.prompts)
    with pytest.raises(UserError, match="longest prompt up to its edited token has"):
        compute_key(model, TOKENIZER, LAYER, CONTEXTS.prompts)


def test_the_shift_stays_in_its_ball():
    value = compute_value(tiny_model(), TOKENIZER, LAYER, CONTEXTS, ValueSettings(steps=5, learning_rate=5, clamp_norm_factor=0.5))
    assert value.shift.norm() <= 0.5 * value.start.norm() * (1 + 1e-5)


@pytest.mark.parametrize("layer", [0, LAYERS - 1])
@pytest.mark.parametrize("family", ["Llama", "Mistral", "Gemma2", "GPT2"])
def test_the_first_and_the_last_layer_in_any_order_of_contexts(family, layer):
    model = tiny_model(family)
    contexts = build_contexts(TOKENIZER, LAST, ["b", "a longer text before it"], "last")
    assert len({len(target) for target in contexts.targets}) > 1
    # The naive search starts from the first prompt's value alone.
    first, *others = contexts.prompts
    contexts = RequestContexts([first, *(replace(row, plain=False) for row in others)], contexts.essence, contexts.targets)
    turned = RequestContexts(contexts.prompts[::-1], contexts.essence, contexts.targets[::-1])
    shift = compute_value(model, TOKENIZER, layer, contexts, SETTINGS).shift
    assert_same_shift(compute_value(model, TOKENIZER, layer, turned, SETTINGS).shift, shift)
    assert_same_shift(shift, naive(model, contexts, layer))
    one = compute_key(model, TOKENIZER, layer, contexts.prompts, batch_size=1)
    many = compute_key(model, TOKENIZER, layer, turned.prompts, batch_size=3)
    torch.testing.assert_close(one, many, rtol=1e-4, atol=1e-5)


def test_the_last_layer_cannot_reach_a_target_behind_later_tokens():
    model = tiny_model()
    with Untouched(model), pytest.raises(EditError, match="is the last.*--layer_num or --fact_token last"):
        compute_value(model, TOKENIZER, LAYERS - 1, CONTEXTS, SETTINGS)


@pytest.mark.parametrize("family", ["Llama", "Gemma2", "GPT2"])
@pytest.mark.parametrize("prompt", ["{} n;", "return{} n;"])
def test_an_edit_at_the_very_first_token(family, prompt):
    """Without BOS nothing comes before the subject, in all rows or in the essence's alone."""
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = ByteLevel()
    contexts = build_contexts(tokenizer, EditRequest("3", "", prompt, "int", " long"), fact_token="subject_first")
    assert contexts.essence.position == 0
    model = tiny_model(family)
    assert_same_shift(compute_value(model, tokenizer, LAYER, contexts, SETTINGS).shift, naive(model, contexts))


def test_templates_are_kept_with_the_update():
    model = tiny_model()
    templates = sample_templates(model, TOKENIZER, [(6, 2)], seed=3)
    moment = collect_second_moment(model, TOKENIZER, LAYER, ["int x = 3;", "return dp.length;"])
    update = compute_update(model, TOKENIZER, LAYER, REQUEST, moment, templates=templates, epsilon=1e-2, settings=ValueSettings(steps=2))
    assert update.details["templates"] == templates
    assert len(set(templates)) == 2


def poison(module, entry):
    module.weight.data.view(-1)[entry] = float("nan")


def test_activations_that_are_not_finite():
    model = tiny_model()
    poison(layer_of(model, 0).mlp.up_proj, 3)
    with Untouched(model):
        with pytest.raises(EditError, match="layer 2 .*not finite.*--dtype"):
            compute_key(model, TOKENIZER, LAYER, CONTEXTS.prompts)
        with pytest.raises(EditError, match="not finite.*--dtype"):
            compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS)
    model = tiny_model()
    poison(model.lm_head, 3)
    with Untouched(model), pytest.raises(EditError, match="not finite.*--dtype"):
        compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS)


def test_no_active_feature_and_a_layer_that_writes_nothing():
    model, transcoder = tiny_model(), tiny_transcoder()
    transcoder.up_proj.bias.data.fill_(-1e6)
    transcoder.down_proj.bias.data.zero_()
    splice_transcoder(model, LAYER, transcoder)
    with Untouched(model):
        with pytest.raises(EditError, match="No feature of layer 2 is active.*--fact_token"):
            compute_key(model, TOKENIZER, LAYER, CONTEXTS.prompts)
        with pytest.raises(EditError, match="writes nothing.*--fact_token"):
            compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS)


@pytest.mark.parametrize("steps", [1, 25])
def test_a_search_that_diverges(steps):
    model = tiny_model()
    with Untouched(model), pytest.raises(EditError, match="diverged at step 1; lower --v_lr"):
        compute_value(model, TOKENIZER, LAYER, CONTEXTS, ValueSettings(learning_rate=float("inf"), steps=steps))


@pytest.mark.parametrize("calls", [0, 2, 5])
def test_memory_that_runs_out(calls):
    """In the prefix, in the measurement of the layer, and in the middle of the search."""
    model = tiny_model()
    layer, seen = layer_of(model, LAYERS - 1), []

    def hook(*_):
        seen.append(1)
        if len(seen) > calls:
            torch.empty(2**60)

    handle = layer.register_forward_hook(hook)
    with Untouched(model), pytest.raises(EditError, match="Out of memory.*--dtype bfloat16.*--context_template_length_params"):
        compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS)
    handle.remove()


@pytest.mark.parametrize(
    ("family", "row"),
    [
        ("Gemma2", Architecture(mlp_norm="pre_feedforward_layernorm")),  # the norm behind the MLP is forgotten
        ("Llama", Architecture(post_mlp_norm="post_attention_layernorm")),
        ("Llama", Architecture(down_proj="up_proj")),
        ("Llama", Architecture(mlp="self_attn", down_proj="o_proj")),
        ("Llama", Architecture(down_proj="fc2")),
        ("Llama", Architecture(layers="model.blocks")),
    ],
)
def test_a_model_that_is_not_as_the_table_says(monkeypatch, family, row):
    model = tiny_model(family, square=True)
    monkeypatch.setitem(ARCHITECTURES, type(model).__name__, row)
    with Untouched(model), pytest.raises(UserError, match=r"huggingface/architectures\.py"):
        compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS)


def test_a_quantised_weight_is_refused():
    projection = torch.nn.Linear(4, 4)
    projection.weight = torch.nn.Parameter(projection.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(EditError, match="quantised"):
        decoder_weight(projection)


@pytest.mark.parametrize("family", ["Llama", "Gemma2", "GPT2"])
def test_a_model_in_parts_gives_the_same_value(family, tmp_path):
    """Accelerate's hooks move a model's parts to the devices of its map, here from the disk; they outlive the search."""
    model = tiny_model(family)
    key, shift = compute_key(model, TOKENIZER, LAYER, CONTEXTS.prompts), compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS).shift
    layers = architecture_of(model).layers
    places = {name: "cpu" for name, _ in model.named_children()} | {
        f"{layers.partition('.')[0]}.{name}": "cpu" for name, _ in model.get_submodule(layers.partition(".")[0]).named_children()
    }
    del places[layers.partition(".")[0]], places[layers]
    places |= {f"{layers}.{number}": "disk" if number in (0, LAYERS - 1) else "cpu" for number in range(LAYERS)}
    dispatch_model(model, places, main_device="cpu", offload_dir=tmp_path, force_hooks=True)
    assert any(parameter.is_meta for parameter in model.parameters())
    forwards = [module.forward for module in model.modules()]
    torch.testing.assert_close(compute_key(model, TOKENIZER, LAYER, CONTEXTS.prompts), key)
    assert_same_shift(compute_value(model, TOKENIZER, LAYER, CONTEXTS, SETTINGS).shift, shift)
    assert [module.forward for module in model.modules()] == forwards


def test_an_offloaded_weight_is_not_edited():
    model = cpu_offload(tiny_model(), "cpu")
    with pytest.raises(EditError, match="offloaded.*--device_map"):
        decoder_weight(down_projection(model, LAYER))
