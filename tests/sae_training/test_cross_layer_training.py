"""Training a cross-layer transcoder: gradients against a naive double loop, the loss, exact continuation, figures, mistakes."""

import json
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from huggingface.load import load_model_and_tokenizer
from huggingface.loaders.cross_layer import load_cross_layer
from huggingface.replacement import replaced
from huggingface.transcoder import Sites
from sae_training import sparse
from sae_training.checkpoint import CHECKPOINT_FILE
from sae_training.config import PRESETS, Recipe
from sae_training.cross_layer import cross_layer_losses
from sae_training.cross_layer_evaluation import collect_pairs, cross_entropy, evaluate_cross_layer
from sae_training.cross_layer_trainer import CrossLayerTrainer, train_cross_layer
from sae_training.hooked_model import pad_contexts
from sae_training.train import train
from util.errors import UserError

L, D, F, K = 3, 8, 24, 4


def activations(seed=0, tokens=600):
    """Three layers with outputs that one layer's sparse features write into all later ones, far from zero mean and of different sizes."""
    weights = torch.Generator().manual_seed(7)
    reads = [torch.randn(D, 12, generator=weights) for _ in range(L)]
    writes = {(s, t): torch.randn(12, D, generator=weights) for t in range(L) for s in range(t + 1)}
    generator = torch.Generator().manual_seed(seed)
    xs = [torch.randn(tokens, D, generator=generator) * (layer + 1) + 2 for layer in range(L)]
    features = [((x - 2) / (layer + 1) @ w - 3).relu() for layer, (x, w) in enumerate(zip(xs, reads))]
    return [(xs[t], 5 * t + sum(features[s] @ writes[s, t] for s in range(t + 1))) for t in range(L)]


def recipe(**changes):
    values = {"train_batch_size": 64, "total_training_tokens": 150 * 64, "k": K, "lr": 2e-2, "lr_warm_up_steps": 5, "l1_warm_up_steps": 0}
    return Recipe(**values | {"encoder_dtype": "float32", "dead_feature_window": 20} | changes)


def kernel_jump(h, threshold, width):
    """JumpReLU whose derivative in the threshold is the rectangle's, written for autograd."""
    active, near = (h > threshold).to(h), ((h - threshold).abs() < width / 2).to(h)
    return h * active - near * (threshold / width) * (threshold - threshold.detach())


def naive_loss(t, recipe, x, targets):
    """A double loop over the layers with dense products, and the loss as it is written down."""
    features, pre = [], []
    for layer in range(L):
        h = x[layer] @ t.W_enc[layer].T + t.b_enc[layer]
        if recipe.activation == "topk":
            cut = h.sort(1).values[:, -K][:, None].clamp(min=1e-30)
            features.append(h * (h >= cut))
        elif recipe.activation == "relu":
            features.append(h.clamp(min=0))
        else:
            features.append(kernel_jump(h, t.log_threshold[layer].exp(), recipe.jumprelu_bandwidth))
        pre.append(h)
    loss = 0
    for target in range(L):
        y = t.b_dec[target].expand_as(targets[target])
        for source in range(target + 1):
            W = t.W_dec[source].view(F, L - source, D)
            for feature in range(F):
                y = y + features[source][:, feature, None] * W[feature, target - source]
        loss = loss + ((y - targets[target]) ** 2).mean()
    if recipe.activation == "topk":
        return loss
    for layer in range(L):
        for feature in range(F):
            norm = sum((t.W_dec[layer].view(F, L - layer, D)[feature, target] ** 2).sum() for target in range(L - layer)).sqrt()
            loss = loss + recipe.l1_coefficient * torch.tanh(recipe.tanh_scale * norm * features[layer][:, feature]).mean()
            threshold = t.log_threshold[layer, feature].exp() if recipe.activation == "jumprelu" else 0.0
            below = (threshold - pre[layer][:, feature]).clamp(min=0).mean() * norm
            loss = loss + recipe.pre_activation_coefficient * below
    return loss


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "bags"])
@pytest.mark.parametrize("activation", ["topk", "relu", "jumprelu"])
def test_gradients_are_those_of_a_double_loop(activation, dense, monkeypatch):
    monkeypatch.setattr(sparse, "DENSE_SHARE", 0 if dense else 1)
    penalised = {"sparsity_penalty": "tanh", "tanh_scale": 1.5, "l1_coefficient": 0.3, "jumprelu_threshold": 0.4, "jumprelu_bandwidth": 0.9}
    settings = recipe(activation=activation, **penalised, pre_activation_coefficient=0 if activation == "topk" else 0.2)
    trainer = CrossLayerTrainer(settings, activations(), n_features=F)
    transcoder = trainer.transcoder.double()
    x = transcoder.scaled_inputs([read[:30].double() for read, _ in activations()])
    targets = [written[:30].double() / scale for (_, written), scale in zip(activations(), transcoder.scale_out)]
    for x_layer, (_, own) in zip(x, activations()):
        assert x_layer.shape == own[:30].shape
    grads = []
    for loss in (cross_layer_losses(transcoder, targets, transcoder(x), 1).overall, naive_loss(transcoder, settings, x, targets)):
        transcoder.zero_grad()
        loss.backward()
        grads.append({"loss": loss.detach()} | {name: p.grad.clone() for name, p in transcoder.named_parameters()})
    assert {f"W_dec.{layer}" for layer in range(L)} < grads[0].keys() and ("log_threshold" in grads[0]) == (activation == "jumprelu")
    for name, found in grads[0].items():
        assert found.abs().max() > 0, name
        torch.testing.assert_close(found, grads[1][name], rtol=1e-5, atol=1e-7, msg=lambda text, name=name: f"{name}: {text}")


def test_scales_are_stored_and_inverted():
    """Inputs and targets have a mean square of 1 in training, and what is exported is in the model's units."""
    pairs = activations()
    trainer = CrossLayerTrainer(recipe(), pairs, n_features=F)
    transcoder, exported = trainer.transcoder, trainer.export()
    scaled = transcoder.scaled_inputs([read for read, _ in pairs])
    for layer, (x, (_, y)) in enumerate(zip(scaled, pairs)):
        assert x.square().mean().item() == pytest.approx(1, rel=1e-5)
        assert ((y - y.mean(0)) / transcoder.scale_out[layer]).square().mean().item() == pytest.approx(1, rel=1e-5)
    output = transcoder(scaled)
    for layer, made in enumerate(exported([read for read, _ in pairs])):
        torch.testing.assert_close(made, output.reconstructions[layer] * transcoder.scale_out[layer], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "topk"},
        {"activation": "batchtopk"},
        {"activation": "relu", "l1_coefficient": 2e-2},
        {**PRESETS["cross_layer"], "l1_coefficient": 1e-2},
        {**PRESETS["cross_layer_2025"], "l1_coefficient": 3e-3},
    ],
    ids=["topk", "batchtopk", "relu", "jumprelu", "jumprelu-2025"],
)
def test_what_is_learned_explains_new_data(settings):
    settings = {name: value for name, value in settings.items() if name != "cross_layer"}
    trained = train_cross_layer(activations(), recipe(**settings), n_features=F)
    fresh = activations(seed=1)
    for (_, y), made in zip(fresh, trained([x for x, _ in fresh])):
        assert (made - y).square().sum() / (y - y.mean(0)).square().sum() < 0.4
    l0 = sum((trained.encode(x, layer) != 0).sum(1).float().mean() for layer, (x, _) in enumerate(fresh)) / L
    assert 0.5 < l0 < 14


@pytest.fixture
def settings(settings):
    return partial(settings, cross_layer=True, expansion_factor=2, layer_num=[])


@pytest.mark.parametrize("kind", [{}, {"activation": "jumprelu", "sparsity_penalty": "tanh", "pre_activation_coefficient": 1e-4}])
def test_a_broken_training_continues_to_the_same_weights(settings, monkeypatch, kind):
    whole, broken = settings("whole", **kind), settings("broken", **kind)
    figures = train(whole)
    original = CrossLayerTrainer.train_step

    def breaks(self, *arguments, **options):
        if self.step == 9:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    monkeypatch.setattr(CrossLayerTrainer, "train_step", breaks)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    assert load_cross_layer(broken.output / "cross_layer").metadata["steps"] == 8  # what is there can be used
    monkeypatch.setattr(CrossLayerTrainer, "train_step", original)
    assert train(broken) == figures
    both = [load_file(config.output / "cross_layer/cross_layer.safetensors") for config in (whole, broken)]
    assert all(torch.equal(tensor, both[1][name]) for name, tensor in both[0].items())
    for file in ("metrics.json", "metrics.jsonl"):
        assert (whole.output / file).read_bytes() == (broken.output / file).read_bytes()
    assert not (whole.output / CHECKPOINT_FILE).exists() and train(whole) == figures  # finished, and says so
    lines = [json.loads(line) for line in (whole.output / "metrics.jsonl").read_text().splitlines()]
    for name in ("losses/mse_loss", "metrics/l0", "layer_0/metrics/fvu", "layer_3/metrics/l0", "layer_3/evaluation/fvu"):
        assert any(name in line for line in lines), name
    with pytest.raises(UserError, match="expansion_factor 2 .now 3"):
        train(settings("whole", **kind, expansion_factor=3))


def test_figures_are_those_of_the_replaced_model(settings, model_folder):
    config = settings(keep_first_token=True)
    figures = train(config)
    transcoder = load_cross_layer(config.output / "cross_layer")
    assert sorted(figures) == [0, 1, 2, 3] and transcoder.first_token and transcoder.sites == Sites("hook_resid_mid", "mlp.hook_out")
    model, tokenizer = load_model_and_tokenizer(str(model_folder), "cpu")
    contexts = [[0, *range(20 + i, 30 + 2 * i)] for i in range(4)]
    batches = [pad_contexts(contexts, tokenizer, "cpu")]
    found = evaluate_cross_layer(model, tokenizer, transcoder, contexts)
    alone = [pad_contexts([context], tokenizer, "cpu") for context in contexts]
    # Padding is out of everything: a batch of rows of different lengths is the single rows.
    assert found[1][0].ce_loss_with_sae == pytest.approx(cross_entropy(model, alone, replaced(model, transcoder)), rel=1e-4)
    assert found[1][0].ce_loss_without_sae == pytest.approx(cross_entropy(model, batches), rel=1e-6)
    together, single = (collect_pairs(model, dict.fromkeys(range(4), transcoder.sites), some, True) for some in (batches, alone))
    for (x, y), (x_one, y_one), (layer, (own, frequency)) in zip(together, single, found.items()):
        torch.testing.assert_close(x, x_one, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(y, y_one, rtol=1e-4, atol=1e-4)
        assert own.tokens == len(x) == sum(map(len, contexts))
        active = transcoder.encode(x, layer) != 0
        assert own.l0 == pytest.approx(active.sum().item() / len(x)) and frequency.tolist() == pytest.approx(active.double().mean(0).tolist())
    made = transcoder([x for x, _ in together])[2]
    y = together[2][1]
    assert found[2][0].fvu == pytest.approx(((made - y).square().sum() / (y - y.mean(0)).square().sum()).item(), rel=1e-4)
    without = collect_pairs(model, dict.fromkeys(range(4), transcoder.sites), batches)
    assert len(without[0][0]) == len(together[0][0]) - len(contexts)  # without first tokens


def test_mistakes_get_one_sentence(settings):
    for text, changes in {
        "--layer_num does not go with --cross_layer": {"layer_num": [1]},
        "--matryoshka_widths does not go with --cross_layer": {"matryoshka_widths": [8]},
        "--hooks bridge does not go": {"hooks": "bridge"},
        "belongs to --cross_layer": {"cross_layer": False, "layer_num": [1], "activation": "relu", "pre_activation_coefficient": 1.0},
        "--pre_activation_coefficient belongs to --activation relu and jumprelu": {"pre_activation_coefficient": 1.0},
    }.items():
        with pytest.raises(UserError, match=text):
            settings(**changes)
    for text, changes in {
        "--k 100 is more than the 64 features of a layer": {"k": 100},
        "reads blocks.0.ln7, which is none of the inputs": {"hook_point": "ln7"},
        "loss of the cross-layer transcoder is nan at step": {"lr": 1e38},
    }.items():
        config = settings(text[:9], **changes)
        with pytest.raises(UserError, match=text):
            train(config)
        assert not (config.output / "cross_layer").exists()
