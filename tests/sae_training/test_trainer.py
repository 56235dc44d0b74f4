"""The transcoder trainer: fits a sparse function, is deterministic, and measures what it should."""

import torch

from huggingface.transcoder import Transcoder
from sae_training.activations import MLPActivations
from sae_training.trainer import TrainerConfig, measure_fit, train_transcoder


def sparse_function(seed: int) -> MLPActivations:
    """Outputs of a ReLU layer of 16 wide sparse features, far from zero mean."""
    generator = torch.Generator().manual_seed(7)
    w_in, w_out = torch.randn(8, 16, generator=generator), torch.randn(16, 8, generator=generator)
    x = torch.randn(4000, 8, generator=torch.Generator().manual_seed(seed)) * 3 + 5
    return MLPActivations(x, ((x - 5) @ w_in - 4).relu() @ w_out + 2)


def test_explains_new_data_with_few_features() -> None:
    transcoder = train_transcoder(sparse_function(0), TrainerConfig(expansion_factor=4, steps=600, batch_size=512))
    fit = measure_fit(transcoder, sparse_function(1))
    assert fit.fvu < 0.1 and fit.l0 < 16
    assert torch.allclose(transcoder.down_proj.weight.norm(dim=0), torch.ones(32), atol=1e-5)
    mean_only = Transcoder(8, 32, 8).requires_grad_(False)
    torch.nn.init.zeros_(mean_only.down_proj.weight)
    mean_only.down_proj.bias.copy_(sparse_function(1).outputs.mean(0))
    assert abs(measure_fit(mean_only, sparse_function(1)).fvu - 1) < 1e-4


def test_the_seed_decides_the_weights() -> None:
    config = TrainerConfig(steps=20, batch_size=256)
    first, again, other = (train_transcoder(sparse_function(0), c) for c in (config, config, TrainerConfig(steps=20, batch_size=256, seed=1)))
    assert torch.equal(first.up_proj.weight, again.up_proj.weight)
    assert not torch.equal(first.up_proj.weight, other.up_proj.weight)
