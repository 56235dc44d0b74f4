"""The sparse encoder and decoder give what dense products give, gradients included."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import linear

from sae_training import sparse
from sae_training.activation_functions import count_active, jump_relu
from sae_training.sparse import decode_active, decode_masked, encode_top_k, top_features


def dense_top_k(pre, k):
    best = pre.topk(k, dim=-1)
    return torch.zeros_like(pre).scatter(-1, best.indices, best.values.relu())


@given(st.integers(1, 9), st.sampled_from([16, 64, 256, 1024]), st.integers(1, 8), st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_the_largest_features_are_found_exactly(tokens, n_features, k, seed):
    h = torch.randn(tokens, n_features, generator=torch.Generator().manual_seed(seed))
    h = (h * 2).round() / 2 if seed % 2 else h  # many equal values
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        pre = h.to(dtype)
        values, indices = top_features(pre, k)
        assert torch.equal(values.sort(-1, descending=True).values, pre.relu().topk(k, dim=-1).values)
        assert torch.equal(pre.gather(1, indices).relu(), values)
        assert all(len(set(row)) == k for row in indices.tolist())


@pytest.mark.parametrize("chunk_bytes", [1, 2**26])
def test_top_k_equals_the_dense_computation(monkeypatch, chunk_bytes):
    monkeypatch.setattr(sparse, "CHUNK_BYTES", chunk_bytes)
    torch.manual_seed(0)
    k, d, n = 4, 12, 128
    x, target = torch.randn(20, d, dtype=torch.double), torch.randn(20, d, dtype=torch.double)
    grads = []
    for fast in (True, False):
        torch.manual_seed(1)
        values = [torch.randn(n, d), torch.randn(n) - 3, torch.randn(n, d)]
        w_enc, b, w_dec = (value.double().requires_grad_() for value in values)
        center = torch.ones(d, dtype=torch.double, requires_grad=True)
        reference = dense_top_k(linear(x - center, w_enc, b), k) @ w_dec
        y = decode_active(encode_top_k(x, center, w_enc, b, k, torch.double), w_dec) if fast else reference
        (y - target).square().sum().backward()
        grads.append([y.detach(), center.grad, w_enc.grad, b.grad, w_dec.grad])
    for a, b in zip(*grads):
        assert torch.allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("shift", [-2.5, 0.5], ids=["few active", "many active"])
def test_masked_decoding_equals_the_dense_product(shift):
    torch.manual_seed(0)
    h, rows = torch.randn(30, 200), torch.randn(200, 6)
    results = []
    for sparse_path in (True, False):
        pre, w = h.clone().requires_grad_(), rows.clone().requires_grad_()
        f = (pre + shift).relu()
        y = decode_masked(f, f > 0, w) if sparse_path else f @ w
        y.square().sum().backward()
        results.append((y.detach(), pre.grad, w.grad))
    for a, b in zip(*results):
        assert torch.allclose(a, b, atol=1e-4)


def test_a_token_without_active_features_decodes_to_zero():
    f = torch.tensor([[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]).repeat(1, 100)
    f[:, 4:] = 0
    assert torch.equal(decode_masked(f, f > 0, torch.ones(300, 2)), torch.tensor([[0.0, 0.0], [2.0, 2.0], [0.0, 0.0]]))


def test_only_active_rows_get_gradients():
    w_enc, w_dec, b = torch.randn(64, 8).requires_grad_(), torch.randn(64, 8).requires_grad_(), torch.zeros(64, requires_grad=True)
    active = encode_top_k(torch.randn(2, 8), torch.zeros(8), w_enc, b, 3)
    decode_active(active, w_dec).sum().backward()
    silent = torch.ones(64, dtype=torch.bool)
    silent[active.indices.flatten()] = False
    assert not w_enc.grad[silent].any() and not w_dec.grad[silent].any() and not b.grad[silent].any()
    assert w_enc.grad[~silent].any() and w_dec.grad[~silent].any()


def test_thresholds_get_the_kernel_estimate():
    """Averaged over many inputs the estimate is the slope of the expected value (Rajamanoharan et al. 2024, section 4)."""
    h = torch.randn(400_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    at, width = 0.7, 0.1
    density = torch.exp(torch.tensor(-(at**2) / 2)) / (2 * torch.pi) ** 0.5
    for function, expected in ((jump_relu, -at * density), (count_active, -density)):
        threshold = torch.tensor([at], dtype=torch.double, requires_grad=True)
        function(h, threshold, width).mean().backward()
        assert abs(threshold.grad.item() / expected.item() - 1) < 0.03
