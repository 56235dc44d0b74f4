"""The graph of a prompt of 60 tokens on the embedded model, beside circuit-tracer's of the same transcoders: seconds, and how far edges differ.

usage: python -m benchmarks.attribution_graphs [--circuit_tracer /path/to/python] [--graphs 20] [--verify 100]
(circuit-tracer 0.5.0 needs transformers 4.57, so that it has a Python of its own; without it that side is left out)
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from demo.settings import DATA
from huggingface.architectures import mlp_norm_of
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders.cross_layer import load_cross_layer
from huggingface.tokenization import encode
from huggingface.transcoder import Transcoder
from transcoder_circuits.attribution_graph import LOGITS, MASS, AttributionGraph, attribute
from transcoder_circuits.cross_layer import CrossLayer
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.influence import graph_scores, prune
from transcoder_circuits.interventions import most_influential_features, verify
from transcoder_circuits.sets import Transcoders, load_transcoders
from util.cli import ArgumentParser, run_main

TOKENS, ROUNDS = 60, 3
THEIR_BATCH = 64


def theirs(python: str, model: PreTrainedModel, transcoders: dict[int, Transcoder], ids: list[int]) -> tuple[list[float], dict[str, torch.Tensor]]:
    """circuit-tracer's seconds and graph. It reads behind the norm but for its weight, which is put into the encoders."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tensors: dict[str, torch.Tensor] = {}
        for layer, one in transcoders.items():
            weight = mlp_norm_of(model, layer).get_parameter("weight").detach()
            own = {"W_enc": one.up_proj.weight * weight, "b_enc": one.up_proj.bias, "W_dec": one.down_proj.weight.T, "b_dec": one.down_proj.bias}
            tensors |= {f"{layer}.{key}": value.detach().contiguous() for key, value in own.items()}
        save_file(tensors, folder / "transcoders.safetensors")
        task = {"model": str(DATA / "model"), "ids": ids, "rounds": ROUNDS, "batch_size": THEIR_BATCH, "logits": LOGITS, "mass": MASS}
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        command = [python, "-m", "benchmarks.circuit_tracer_side", str(folder)]
        subprocess.run(command, check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
        with safe_open(folder / "found.safetensors", "pt") as file:
            found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
            return json.loads(file.metadata()["seconds"]), found


def largest_difference(ours: AttributionGraph, other: dict[str, torch.Tensor]) -> float:
    """Of any edge, relative to the largest one; features and logits come in their own order."""
    places = {tuple(place): row for row, place in enumerate(ours.features.tolist())}
    features = [places[tuple(place)] for place in other["features"].tolist()]
    logits = [ours.of("logit").start + ours.logits.tolist().index(one) for one in other["logits"].tolist()]
    order = torch.tensor([*features, *range(ours.of("error").start, ours.of("logit").start), *logits])
    assert len(order) == len(ours.edges), "the graphs have other nodes"
    return ((ours.edges[order][:, order] - other["edges"]).abs().max() / ours.edges.abs().max()).item()


def scores_of_many(model: PreTrainedModel, transcoders: Transcoders | CrossLayer, prompts: list[list[int]], verified: int) -> str:
    """Means of scores, and of the rank correlations of predicted and real change, over several prompts."""
    scores, correlations = [], dict[str, list[float]]()
    for ids in prompts:
        cache = FrozenPass(model, transcoders, ids)
        graph = attribute(cache)
        scores.append(graph_scores(graph))
        for frozen, one in verify(cache, graph, most_influential_features(graph, verified)).items() if verified else ():
            correlations.setdefault(frozen, []).append(one.logit)
    replacement, completeness = (statistics.mean(side) for side in zip(*scores))
    lines = [f"{len(prompts)} graphs: replacement {replacement:.3f}, completeness {completeness:.3f}\n"]
    for name, found in correlations.items():
        lines.append(f"  frozen {name}: rank correlation {statistics.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})\n")
    return "".join(lines)


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.attribution_graphs", description=__doc__)
    parser.add_argument("--circuit_tracer", default="", help="a Python that circuit-tracer is installed in")
    parser.add_argument("--graphs", type=int, default=0, help="also mean scores of the graphs of so many texts, their first 60 tokens")
    parser.add_argument("--verify", type=int, default=0, help="also rank correlations over so many features of each of these graphs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_model_and_tokenizer(str(DATA / "model"), device="cpu")
    transcoders = load_transcoders([DATA / "transcoders", DATA / "transcoder"])
    texts = [json.loads(line)["text"] for line in (DATA / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    if arguments.graphs:
        rows = [encode(tokenizer, text).ids for text in texts[: arguments.graphs]]
        for name, kind in (("single layers", transcoders), ("across layers", load_cross_layer(DATA / "clt"))):
            sys.stdout.write(f"{name}: {scores_of_many(model, kind, [row[:TOKENS] for row in rows], arguments.verify)}")
    ids = encode(tokenizer, texts[0]).ids[:TOKENS]
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        graph = attribute(FrozenPass(model, transcoders, ids))
        seconds.append(time.perf_counter() - begun)
    pruned, scores = prune(graph), graph_scores(graph)
    sys.stdout.write(
        f"ours: {statistics.median(seconds):.2f} s for {len(graph.features)} features as targets; replacement {scores.replacement:.3f}, "
        f"completeness {scores.completeness:.3f}; pruned to {int(pruned.nodes.sum())} nodes and {int(pruned.edges.sum())} edges\n"
    )
    if not arguments.circuit_tracer:
        sys.stdout.write("circuit-tracer is left out: --circuit_tracer names a Python that has it\n")
        return
    their_seconds, found = theirs(arguments.circuit_tracer, model, transcoders, ids)
    sys.stdout.write(
        f"circuit-tracer: {statistics.median(their_seconds):.2f} s; the largest difference of an edge is {largest_difference(graph, found):.1e} "
        "of the largest edge\n"
    )


if __name__ == "__main__":
    run_main(main)
