"""The trainer fits a sparse function with every activation, is deterministic, and measures what it should."""

import pytest
import torch

from huggingface.transcoder import Transcoder
from sae_training.activations import MLPActivations
from sae_training.config import Recipe
from sae_training.trainer import LayerTrainer, learning_rate, measure_fit, train_transcoder
from sae_training.transcoder import center


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
        {"activation": "topk", "decoder_norm": "unit", "skip_connection": True},
        {"activation": "jumprelu", "l1_coefficient": 3e-3},
        {"activation": "jumprelu", "sparsity_penalty": "tanh", "l1_coefficient": 3e-3},
    ],
    ids=["relu", "topk", "topk-unit-skip", "jumprelu-l0", "jumprelu-tanh"],
)
def test_explains_new_data_with_few_features(recipe):
    transcoder = train_transcoder(sparse_function(0), Recipe(**BASE | recipe))
    fit = measure_fit(transcoder, sparse_function(1))
    assert fit.fvu < 0.15 and fit.l0 < 16
    if recipe["activation"] != "topk" or "decoder_norm" in recipe:
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


@pytest.mark.parametrize("aux, trained", [(1 / 32, True), (0.0, False)])
def test_dead_features_are_trained_by_the_auxiliary_loss_alone(aux, trained):
    x, y = sparse_function(0)
    trainer = LayerTrainer(Recipe(k=2, dead_feature_window=100, aux_coefficient=aux), x, y)
    transcoder = trainer.transcoder
    with torch.no_grad():
        transcoder.W_enc[5], transcoder.b_enc[5] = 0, 1e-9  # always a little active, never among the two strongest
    transcoder.steps_since_fired[5] = 100
    before = transcoder.W_dec[5].clone()
    metrics = trainer.train_step(x[:256], y[:256])
    assert transcoder.steps_since_fired[5] == 101 and metrics["sparsity/dead_features"] == 1
    assert torch.equal(before, transcoder.W_dec[5]) != trained
    assert (metrics["losses/ghost_grad_loss"] > 0) == trained


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
    recipe = Recipe(lr=1.0, lr_warm_up_steps=10, lr_decay_share=0.5, train_batch_size=1, total_training_tokens=100)
    assert [learning_rate(recipe, step) for step in (0, 9, 49)] == [0.1, 1.0, 1.0]
    assert learning_rate(recipe, 75) == 0.5 and 0 < learning_rate(recipe, 99) < 0.03
    constant = Recipe(lr=1.0, lr_scheduler_name="constantwithwarmup", lr_warm_up_steps=4, total_training_tokens=100)
    assert learning_rate(constant, 1) == 0.5 and learning_rate(constant, 99) == 1.0


def test_the_geometric_median_ignores_an_outlier():
    sample = torch.cat([torch.randn(99, 3, generator=torch.Generator().manual_seed(0)), torch.full((1, 3), 1e4)])
    assert center(sample, "mean").norm() > 100
    median = center(sample, "geometric_median")
    pulls = torch.nn.functional.normalize(sample - median, dim=1).sum(0)
    assert median.norm() < 1 and pulls.norm() < 0.05  # the directions to all points cancel out
    assert not center(sample, "zeros").any()
