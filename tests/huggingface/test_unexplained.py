"""The fraction of variance unexplained, added up over batches, is that of all tokens at once."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from huggingface.unexplained import Unexplained


@given(st.integers(2, 40), st.integers(1, 7), st.integers(0, 1000))
def test_batches_add_up_to_the_whole(tokens, size, seed):
    generator = torch.Generator().manual_seed(seed)
    target, prediction = torch.randn(2, tokens, 5, generator=generator, dtype=torch.double)
    meter = Unexplained()
    for x, y in zip(prediction.split(size), target.split(size)):
        meter.add(x, y)
    residual = (target - prediction).square().sum() / (target - target.mean(0)).square().sum()
    assert meter.fraction == pytest.approx(residual.item()) and meter.tokens == tokens
    torch.testing.assert_close(meter.mean, target.mean(0))


def test_a_constant_target_has_no_fraction():
    meter = Unexplained()
    assert math.isnan(meter.fraction)
    meter.add(torch.zeros(3, 2), torch.ones(3, 2))
    assert math.isnan(meter.fraction)
