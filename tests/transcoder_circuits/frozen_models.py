"""Small frozen passes for tests, and a naive forward pass with everything frozen that autograd differentiates."""

from __future__ import annotations

import torch

from huggingface.transcoder import JumpReLU, Sites, TopK, Transcoder
from tests.tiny import FEATURES, LAYERS, WIDTH, tiny_model, tiny_tokenizer, tiny_transcoder
from transcoder_circuits.frozen import FrozenPass

TEXT = "int solution(int n) { return dp.length; }"


def transcoders_for(family: str) -> dict[int, Transcoder]:
    """One of each kind: ReLU, JumpReLU, TopK, with a linear path, and at the family's sites."""
    found = {layer: tiny_transcoder(layer + 1) for layer in range(LAYERS)}
    found[1].activation = JumpReLU(torch.full((FEATURES,), 0.1))
    found[2].activation = TopK(12)
    skip = tiny_transcoder(9)
    up, down = skip.up_proj, skip.down_proj
    W_skip = torch.randn(WIDTH, WIDTH) / 6
    found[2] = Transcoder.from_matrices(up.weight.T, up.bias, down.weight.T, down.bias, W_skip=W_skip, activation=TopK(12))
    found[0].sites = Sites("ln2.hook_normalized", "mlp.hook_out")
    if family in ("GPT2", "GPTNeoX", "Starcoder2"):
        found[1].sites = Sites("resid_mid_centred", "mlp_out")
    if family in ("Gemma2", "Gemma3"):
        found[1].sites, found[3].sites = Sites("mlp_in", "added"), Sites("resid_mid", "ln2_post.hook_normalized")
    return found


def frozen_pass(family: str = "Llama", text: str = TEXT, **settings) -> FrozenPass:
    return FrozenPass(tiny_model(family, **settings), transcoders_for(family), tiny_tokenizer()(text)["input_ids"])


def naive_stream(cache: FrozenPass, features: list[torch.Tensor], embedding: torch.Tensor, live: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """resid_mid (what the MLP's norm reads) and resid_post of each layer, computed forwards from embeddings and features.

    Args:
        features: their values, [token, n_features] by layer, for each layer.
        live: whether active features follow what they read, and ``features`` is added to them.
    """

    def norm(frozen, x):
        if frozen.centred:
            x = x - x.mean(-1, keepdim=True)
        if frozen.weight is not None:
            x = x * frozen.scale[:, None] * frozen.weight
        return x if frozen.bias is None else x + frozen.bias

    stream, found = embedding, []
    for number, layer in enumerate(cache.layers):
        values = torch.einsum("km,hmd->khd", norm(layer.attn_in_norm, stream), layer.W_V) + layer.heads.by_head(layer.heads.b_V)
        mixed = torch.einsum("hqk,khd->qhd", layer.pattern, values)
        middle = stream + norm(layer.attn_out_norm, torch.einsum("qhd,hdm->qm", mixed, layer.W_O) + layer.heads.b_O)
        read_from = stream if cache.parallel else middle
        x = norm(layer.read, read_from)
        z = features[number]
        if live:
            z = z + layer.transcoder.up_proj(x) * (layer.features != 0)
        written = z @ layer.W_dec.T + layer.transcoder.down_proj.bias + layer.error
        if layer.transcoder.skip is not None:
            written = written + layer.transcoder.skip(x)
        stream = middle + norm(layer.write, written)
        found.append((read_from, stream))
    return found
