"""The search for paths against transcoder_circuits' algorithm, written anew: the same model with folded norms, prompt, root and paths.

usage: python -m benchmarks.circuits
"""

import json
import statistics
import sys
import time

import torch

from demo.settings import DATA
from huggingface.load import load_model_and_tokenizer
from huggingface.tokenization import encode
from huggingface.transcoder import Transcoder
from tests.transcoder_circuits.naive_search import naive_greedy_paths
from transcoder_circuits.circuit_analysis import greedy_get_top_paths, make_sae_feature_vector
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.sets import load_transcoders
from util.cli import ArgumentParser, run_main

TOKENS, DEPTHS, BRANCHES, ROUNDS = 60, 3, 5, 5


def folded(model: torch.nn.Module, transcoders: dict[int, Transcoder]) -> dict[int, Transcoder]:
    """Move the weights of a Llama's norms before attention and MLPs into what reads behind them; returns transcoders that read so."""
    found = {}
    with torch.no_grad():
        for layer, module in enumerate(model.model.layers):  # type: ignore[union-attr, arg-type]
            own = transcoders[layer].copy_to("cpu", torch.float32)
            for norm, readers in (
                (module.input_layernorm, [getattr(module.self_attn, f"{name}_proj") for name in "qkv"]),
                (module.post_attention_layernorm, [module.mlp.gate_proj, module.mlp.up_proj, own.up_proj]),
            ):
                for reader in readers:
                    reader.weight.mul_(norm.weight)
                norm.weight.fill_(1)
            found[layer] = own
    return found


def main() -> None:
    ArgumentParser(prog="python -m benchmarks.circuits", description=__doc__).parse_args()
    model, tokenizer = load_model_and_tokenizer(str(DATA / "model"), device="cpu")
    transcoders = folded(model, load_transcoders([DATA / "transcoders", DATA / "transcoder"]))
    text = json.loads((DATA / "texts.jsonl").read_text(encoding="utf-8").splitlines()[0])["text"]
    cache = FrozenPass(model, transcoders, encode(tokenizer, text).ids[:TOKENS])
    root = make_sae_feature_vector(transcoders[5], int(cache.layers[5].features[-1].argmax()), layer=5)
    vector, _ = cache.in_stream(root)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        found = greedy_get_top_paths(model, transcoders, cache, root, DEPTHS, BRANCHES, do_raw_attribution=True)
        ours.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        wanted = naive_greedy_paths(cache, vector, 11, len(cache.ids) - 1, DEPTHS, BRANCHES)
        theirs.append(time.perf_counter() - begun)
    named = [[tuple(map(str, path[-1].component_path[1:])) for path in paths] for paths in found]
    same = named == [[names for names, _ in depth] for depth in wanted]
    one, other = statistics.median(ours), statistics.median(theirs)
    sys.stdout.write(f"ours {one * 1e3:.1f} ms, the naive search {other * 1e3:.1f} ms: {other / one:.1f} times; the same paths: {same}\n")


if __name__ == "__main__":
    run_main(main)
