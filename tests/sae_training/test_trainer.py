"""The trainer fits a sparse function with every activation, is deterministic, and measures what it should."""

import pytest
import torch

from huggingface.transcoder import JumpReLU, Transcoder
from sae_training.activations import MLPActivations
from sae_training.config import Recipe
from sae_training.losses import transcoder_losses
from sae_training.trainer import LayerTrainer, learning_rate, measure_fit, train_transcoder
from sae_training.transcoder import center
from util.errors import UserError


def sparse_function(seed: int) -> MLPActivations:
    """Outputs of a ReLU layer of 16 wide sparse features, far from zero mean."""
    generator = torch.Generator().manual_seed(7)
    w_in, w_out = torch.randn(8, 16, generator=generator), torch.randn(16, 8, generator=generator)
    x = torch.randn(4000, 8, generator=torch.Generator().manual_seed(seed)) * 3 + 5
    return MLPActivations(x, ((x - 5) @ w_in - 4).relu() @ w_out + 2)


BASE = {"train_batch_size": 256, "total_training_tokens": 600 * 256, "lr": 5e-3, "l1_warm_up_steps": 60, "lr_warm_up_steps": 10, "k": 8}


@pytest.mark.parametrize(
    "recipe",
    [
        {"activation": "relu"},
        {"activation": "topk", "dead_feature_window": 50},
        {"activation": "topk", "dead_feature_window": 50, "revive": "auxk"},
        {"activation": "batchtopk", "dead_feature_window": 50},
        {"activation": "topk", "decoder_norm": "unit", "skip_connection": True},
        {"activation": "jumprelu", "l1_coefficient": 3e-3},
        {"activation": "jumprelu", "sparsity_penalty": "tanh", "l1_coefficient": 3e-3},
    ],
    ids=["relu", "topk", "topk-auxk", "batchtopk", "topk-unit-skip", "jumprelu-l0", "jumprelu-tanh"],
)
def test_explains_new_data_with_few_features(recipe):
    transcoder = train_transcoder(sparse_function(0), Recipe(**BASE | recipe))
    fit = measure_fit(transcoder, sparse_function(1))
    assert fit.fvu < 0.15 and fit.l0 < 16
    if "topk" not in recipe["activation"] or "decoder_norm" in recipe:
        assert torch.allclose(transcoder.down_proj.weight.norm(dim=0), torch.ones(32), atol=1e-5)


def test_the_mean_explains_nothing():
    mean_only = Transcoder(8, 32, 8).requires_grad_(False)
    torch.nn.init.zeros_(mean_only.down_proj.weight)
    mean_only.down_proj.bias.copy_(sparse_function(1).outputs.mean(0))
    assert abs(measure_fit(mean_only, sparse_function(1)).fvu - 1) < 1e-4


def test_the_seed_decides_the_weights():
    small = {"train_batch_size": 256, "total_training_tokens": 20 * 256, "k": 8}
    first, again, other = (train_transcoder(sparse_function(0), Recipe(**small, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first.up_proj.weight, again.up_proj.weight)
    assert not torch.equal(first.up_proj.weight, other.up_proj.weight)


@pytest.mark.parametrize("revive, trained", [("auxk", True), ("none", False)])
def test_dead_features_are_trained_by_the_auxiliary_loss_alone(revive, trained):
    x, y = sparse_function(0)
    trainer = LayerTrainer(Recipe(k=2, dead_feature_window=100, revive=revive), x, y)
    transcoder = trainer.transcoder
    with torch.no_grad():
        transcoder.W_enc[5], transcoder.b_enc[5] = 0, 1e-9  # always a little active, never among the two strongest
    transcoder.steps_since_fired[5] = 100
    before = transcoder.W_dec[5].clone()
    metrics = trainer.train_step(x[:256], y[:256])
    assert transcoder.steps_since_fired[5] == 101 and metrics["sparsity/dead_features"] == 1
    assert torch.equal(before, transcoder.W_dec[5]) != trained
    assert (metrics["losses/ghost_grad_loss"] > 0) == trained


def test_the_bias_of_a_dead_feature_rises_until_it_fires():
    """Its direction stays as it is meanwhile."""
    x, y = sparse_function(0)
    trainer = LayerTrainer(Recipe(k=2, dead_feature_window=5, lr=5e-3, lr_warm_up_steps=0, total_training_tokens=10**6), x, y)
    transcoder = trainer.transcoder
    with torch.no_grad():
        transcoder.b_enc[5] = -1
    encoder, biases = transcoder.W_enc[5].clone(), [-1.0]
    while transcoder.steps_since_fired[5] or len(biases) == 1:
        assert torch.equal(encoder, transcoder.W_enc[5]) and len(biases) < 600
        trainer.train_step(x[:256], y[:256], report=False)
        biases.append(transcoder.b_enc[5].item())
    assert biases[5] == -1 and biases == sorted(biases) and biases[-1] > -0.9
    assert not torch.equal(encoder, transcoder.W_enc[5])


def test_the_sparsity_coefficient_of_jumprelu_is_felt():
    """At the default rate, within a few hundred steps."""
    sparse = {"activation": "jumprelu", "train_batch_size": 256, "total_training_tokens": 300 * 256, "l1_warm_up_steps": 60}
    l0 = [measure_fit(train_transcoder(sparse_function(0), Recipe(**sparse, l1_coefficient=c)), sparse_function(1)).l0 for c in (4e-3, 4e-2, 4e-1)]
    assert l0[0] > 1.2 * l0[1] > 1.44 * l0[2]


def test_batch_top_k_shares_the_features_of_a_step():
    """Against the dense formula: the k * tokens largest of all, and the smallest of them becomes the threshold that is saved."""
    x, y = sparse_function(0)
    trainer = LayerTrainer(Recipe(activation="batchtopk", k=5, expansion_factor=8, encoder_dtype="float32"), x, y)
    transcoder = trainer.transcoder
    sample = x[:50] / transcoder.scale_in
    pre = (sample - transcoder.b_dec) @ transcoder.W_enc.T + transcoder.b_enc
    cut = pre.flatten().topk(250).values.min()
    features = pre.relu() * (pre >= cut)
    assert 5 < features.count_nonzero(dim=1).max() <= 20  # shared, and within what one token can have
    output = transcoder(sample)
    torch.testing.assert_close(output.reconstruction, features @ transcoder.W_dec + transcoder.b_dec_out)
    assert output.l0 == 5 and transcoder.cut.item() == pytest.approx(cut.item())
    exported = trainer.export()
    assert isinstance(exported.activation, JumpReLU)
    assert (exported.activation(exported.up_proj(x[:50])) != 0).sum() in (249, 250)  # strictly above the threshold, but for rounding


@pytest.mark.parametrize("steps", [20, 60, 200])
def test_the_saved_threshold_of_batch_top_k_lets_k_features_through(steps):
    """Also after a short training, whose activations still grow or shrink from step to step."""
    recipe = Recipe(activation="batchtopk", k=5, expansion_factor=8, train_batch_size=256, total_training_tokens=steps * 256)
    assert measure_fit(train_transcoder(sparse_function(0), recipe), sparse_function(1)).l0 == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize("activation", ["topk", "batchtopk", "relu", "jumprelu"])
def test_matryoshka_is_the_mean_loss_of_the_prefixes(activation):
    """Against the dense formula."""
    x, y = sparse_function(0)
    recipe = Recipe(activation=activation, k=5, matryoshka_widths=[8, 20], jumprelu_threshold=0.3, encoder_dtype="float32")
    transcoder = LayerTrainer(recipe, x, y).transcoder
    sample, target = x[:50] / transcoder.scale_in, y[:50] / transcoder.scale_out
    output = transcoder(sample)
    pre = (sample - transcoder.b_dec) @ transcoder.W_enc.T + transcoder.b_enc
    if activation == "topk":
        cut = pre.topk(5, dim=1).values[:, -1:]
    else:
        cut = {"batchtopk": pre.flatten().topk(250).values.min(), "relu": torch.tensor(0.0), "jumprelu": torch.tensor(0.3)}[activation]
    features = pre.relu() * (pre >= cut)
    wanted = [features[:, :width] @ transcoder.W_dec[:width] + transcoder.b_dec_out for width in (8, 20, 32)]
    for found, formula in zip((*output.nested, output.reconstruction), wanted, strict=True):
        torch.testing.assert_close(found, formula)
    mse = transcoder_losses(transcoder, sample, target, output, 0).mse
    torch.testing.assert_close(mse, torch.stack([(part - target).square().sum(1).mean() for part in wanted]).mean())
    with pytest.raises(UserError, match="below the 32 features, not 32"):
        LayerTrainer(Recipe(k=5, matryoshka_widths=[8, 32]), x, y)
    with pytest.raises(UserError, match="rising numbers"):
        Recipe(matryoshka_widths=[8, 4])


def test_the_first_features_of_a_matryoshka_explain_the_most():
    recipe = {"activation": "topk", "dead_feature_window": 50, **BASE, "total_training_tokens": 300 * 256}
    errors = []
    for widths in ([8], []):
        transcoder = train_transcoder(sparse_function(0), Recipe(**recipe, matryoshka_widths=widths))
        x, y = sparse_function(1)
        features = transcoder.encode(x)
        features[:, 8:] = 0
        errors.append((transcoder.decode(features, x) - y).square().sum().item())
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("recipe", [{"k": 5}, {"activation": "relu", "use_ghost_grads": True}, {"k": 5, "revive": "auxk", "decoder_norm": "unit"}])
def test_a_step_in_parts_is_the_step(recipe):
    x, y = sparse_function(0)
    steps = []
    for parts in (1, 3):
        trainer = LayerTrainer(Recipe(**recipe, accumulation_steps=parts, dead_feature_window=1), x, y)
        metrics = [trainer.train_step(x[at : at + 256], y[at : at + 256]) for at in (0, 256, 512)]
        steps.append((metrics, trainer.transcoder.state_dict()))
    for whole, parted in zip(steps[0][0], steps[1][0]):
        assert whole.keys() == parted.keys() and all(parted[key] == pytest.approx(whole[key], rel=1e-4, abs=1e-6) for key in whole)
    for name, tensor in steps[0][1].items():
        torch.testing.assert_close(steps[1][1][name], tensor, rtol=1e-4, atol=1e-5)


def test_features_begin_as_what_tokens_read_and_write():
    x, y = sparse_function(0)
    transcoder = LayerTrainer(Recipe(k=2, expansion_factor=8), x, y).transcoder
    read, written = (torch.nn.functional.normalize(part - center(part, "geometric_median"), dim=1) for part in (x, y))
    nearest = (transcoder.W_enc @ read.T).max(1)
    torch.testing.assert_close(nearest.values, torch.ones(64))
    torch.testing.assert_close(transcoder.W_dec / 0.1, written[nearest.indices])
    few = LayerTrainer(Recipe(k=2, expansion_factor=8), x[:40], y[:40]).transcoder  # more features than tokens
    assert len(few.W_enc.unique(dim=0)) == 40


def test_selecting_in_bfloat16_hardly_changes_what_is_selected():
    x, y = sparse_function(0)
    outputs = []
    for dtype in ("float32", "bfloat16"):
        transcoder = LayerTrainer(Recipe(k=4, expansion_factor=8, encoder_dtype=dtype), x, y).transcoder
        outputs.append(transcoder(x / transcoder.scale_in).reconstruction)
    assert (outputs[0] - outputs[1]).square().sum() < 1e-2 * (outputs[0] - outputs[0].mean(0)).square().sum()


def test_the_learning_rate_follows_the_widths_and_how_often_features_fire():
    def rate(d: int, factor: int, k: int) -> float:
        return LayerTrainer(Recipe(expansion_factor=factor, k=k), torch.randn(9, d), torch.randn(9, d)).lr

    assert rate(4, 4, 16) == pytest.approx(0.9 / 4) and rate(4, 64, 16) == pytest.approx(0.9 / 8) and rate(16, 16, 16) == pytest.approx(0.9 / 16)
    assert rate(16, 16, 1) == pytest.approx(1.3 / 64) and rate(16, 64, 1) == pytest.approx(1.3 / 128), "features that fire rarely get less"
    assert LayerTrainer(Recipe(lr=0.3, k=2), torch.randn(9, 4), torch.randn(9, 4)).lr == 0.3


def test_decoder_rows_keep_their_length():
    x, y = sparse_function(0)
    trainer = LayerTrainer(Recipe(activation="relu", decoder_norm="unit"), x, y)
    for _ in range(3):
        trainer.train_step(x[:256], y[:256])
        along = (trainer.transcoder.W_dec.grad * torch.nn.functional.normalize(trainer.transcoder.W_dec, dim=1)).sum(1)
        assert along.abs().max() < 0.1 * trainer.transcoder.W_dec.grad.norm(dim=1).max()
        trainer.transcoder.normalize_decoder()
        assert torch.allclose(trainer.transcoder.W_dec.norm(dim=1), torch.ones(32))


def test_schedules():
    recipe = Recipe(lr_warm_up_steps=10, lr_decay_share=0.5, train_batch_size=1, total_training_tokens=100)
    assert [learning_rate(recipe, step, 1.0) for step in (0, 9, 49)] == [0.1, 1.0, 1.0]
    assert learning_rate(recipe, 75, 1.0) == 0.5 and 0 < learning_rate(recipe, 99, 1.0) < 0.03
    short, long = (Recipe(lr_decay_share=0, train_batch_size=1, total_training_tokens=steps) for steps in (200, 2000))
    assert [learning_rate(short, step, 1.0) for step in (0, 19, 199)] == [0.05, 1.0, 1.0]
    assert [learning_rate(long, step, 1.0) for step in (0, 99, 199)] == [0.01, 1.0, 1.0]
    constant = Recipe(lr_scheduler_name="constantwithwarmup", lr_warm_up_steps=4, total_training_tokens=100)
    assert learning_rate(constant, 1, 1.0) == 0.5 and learning_rate(constant, 99, 1.0) == 1.0


def test_the_geometric_median_ignores_an_outlier():
    sample = torch.cat([torch.randn(99, 3, generator=torch.Generator().manual_seed(0)), torch.full((1, 3), 1e4)])
    assert center(sample, "mean").norm() > 100
    median = center(sample, "geometric_median")
    pulls = torch.nn.functional.normalize(sample - median, dim=1).sum(0)
    assert median.norm() < 1 and pulls.norm() < 0.05  # the directions to all points cancel out
    assert not center(sample, "zeros").any()
