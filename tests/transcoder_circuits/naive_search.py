"""The greedy search as transcoder_circuits does it, written anew, one node, layer, head and source after the other; never to be changed.

It is exact for a model whose norms have been folded (weight 1, no bias), without grouped queries, biases or linear paths, which is where that
library's scalar for a norm is exact. Contributions only, positive ones, the whole product along a path, the first token left out.
"""

from __future__ import annotations

import torch

from transcoder_circuits.frozen import FrozenPass


def naive_top_contribs(cache: FrozenPass, vector, level: int, token: int) -> list[tuple]:
    """(contribution, name, vector, level, token) of every child; ``level`` is 2 * layer, or one more behind the attention."""
    model, found = cache.model, []
    for layer, module in enumerate(model.model.layers):
        if 2 * layer + 1 < level:
            transcoder = cache.transcoders[layer]
            x = cache.stream[layer][token] + cache.added_by_attention(layer)[token]
            y = module.post_attention_layernorm(x)
            for feature, activation in enumerate(transcoder.encode(y).tolist()):
                if activation:
                    factor = transcoder.down_proj.weight[:, feature] @ vector
                    child = transcoder.up_proj.weight[feature] * factor
                    scalar = (child @ y) / (child @ x)
                    found.append(((activation * factor).item(), f"mlp{layer}tc[{feature}]@{token}", child * scalar, 2 * layer + 1, token))
        if 2 * layer < level:
            attention, heads = module.self_attn, cache.layers[layer].heads
            for source in range(1, token + 1):
                x = cache.stream[layer][source]
                y = module.input_layernorm(x)
                scale = (y @ x) / (x @ x)
                for head in range(heads.n_heads):
                    rows = slice(head * heads.d_head, (head + 1) * heads.d_head)
                    OV = attention.o_proj.weight[:, rows] @ attention.v_proj.weight[rows]
                    child = cache.layers[layer].pattern[head, token, source] * (OV.T @ vector)
                    found.append(((child @ y).item(), f"attn{layer}[{head}]@{source}", child * scale, 2 * layer, source))
    if token:
        found.append(((cache.embedding[token] @ vector).item(), f"embed0@{token}", vector, -1, token))
    return found


@torch.no_grad()
def naive_greedy_paths(cache: FrozenPass, vector, level: int, token: int, depths: int, branches: int) -> list[list[tuple[tuple[str, ...], float]]]:
    paths = [((), 0.0, vector, level, token)]
    found = []
    for _ in range(depths):
        longer = []
        for names, _, vector, level, token in paths:
            if level >= 0:
                for contrib, name, child, below, at in naive_top_contribs(cache, vector, level, token):
                    if contrib > 0:
                        longer.append(((*names, name), contrib, child, below, at))
        paths = sorted(longer, key=lambda path: -path[1])[:branches]
        found.append([(path[0], path[1]) for path in paths])
    return found
