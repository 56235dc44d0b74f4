"""A cross-layer transcoder of the embedded model beside per-layer transcoders of the same texts, and what a training step costs.

``python -m benchmarks.cross_layer quality --k 8``  cross entropy with all MLPs replaced, FVU, L0, and the scores of attribution graphs
``python -m benchmarks.cross_layer speed``          CPU seconds a token against a dense implementation of the same loss

Quality: both sides are trained on the tokens of the first texts of ``data/demo/texts.jsonl`` and tested on the others, at the same sites, with the
same number of features, the same k and the same number of steps, each at its default rate. Speed: both train on the same batches, in turn.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor

from demo.settings import DATA
from demo.train_clt import RECIPE, SITES
from huggingface.architectures import layers_of
from huggingface.load import load_model_and_tokenizer
from huggingface.replacement import Substitute, replaced, substituted
from huggingface.tokenization import batches, encode
from huggingface.transcoder import Transcoder
from huggingface.unexplained import Unexplained
from sae_training.activations import MLPActivations
from sae_training.config import Recipe
from sae_training.cross_layer_evaluation import collect_pairs, cross_entropy
from sae_training.cross_layer_trainer import CrossLayerTrainer, Pair, train_cross_layer
from sae_training.trainer import learning_rate, train_transcoder
from transcoder_circuits.attribution_graph import attribute
from transcoder_circuits.frozen import FrozenPass
from transcoder_circuits.influence import graph_scores
from util.cli import ArgumentParser, run_main
from util.progress import Progress
from util.texts import Texts

TRAINING_TEXTS = 500
GRAPHS, GRAPH_TOKENS = 20, 60
SPEED_LAYERS, SPEED_WIDTH, SPEED_FEATURES, SPEED_BATCH, SPEED_STEPS = 6, 128, 4096, 1024, 6


def quality(k: int) -> str:
    """The table of the comparison."""
    recipe = replace(RECIPE, k=k)
    model, tokenizer = load_model_and_tokenizer(str(DATA / "model"), device="cpu")
    layers = range(len(layers_of(model)))
    rows = [encode(tokenizer, text).ids for text in Texts([str(DATA / "texts.jsonl")]).read(0)]
    read = [list(batches(own, tokenizer.pad_token_id, "cpu", max_rows=32)) for own in (rows[:TRAINING_TEXTS], rows[TRAINING_TEXTS:])]
    pairs, tests = (collect_pairs(model, dict.fromkeys(layers, SITES), own, first_token=True) for own in read)
    clt = train_cross_layer(pairs, recipe, SITES, first_token=True)
    single = [train_transcoder(MLPActivations(*pairs[layer]), recipe, SITES) for layer in layers]
    with torch.no_grad():
        active = [t.encode(x) for t, (x, _) in zip(single, tests)]
        features = {"CLT": [clt.encode(x, layer) for layer, (x, _) in enumerate(tests)], "per layer": active}
        made = {"CLT": clt.decode(features["CLT"]), "per layer": [t.decode(f) for t, f in zip(single, features["per layer"])]}
    stand_ins = {layer: (SITES, _standing_in(transcoder)) for layer, transcoder in enumerate(single)}
    losses = {
        "CLT": cross_entropy(model, read[1], replaced(model, clt)),
        "per layer": cross_entropy(model, read[1], substituted(model, stand_ins)),
    }
    sizes = len(pairs[0][0]), len(tests[0][0]), recipe.steps, recipe.train_batch_size
    lines = ["tokens: {} to train on, {} to test on; {} steps of {}".format(*sizes)]
    lines += [f"cross entropy of the model itself: {cross_entropy(model, read[1]):.4f}", ""]
    lines += ["| | cross entropy | L0 a layer | FVU by layer | mean FVU |", "|---|---|---|---|---|"]
    for name in made:
        fvu = [_fvu(predicted, y) for predicted, (_, y) in zip(made[name], tests)]
        l0 = sum((f != 0).sum(1).double().mean().item() for f in features[name]) / len(fvu)
        lines.append(f"| {name} | {losses[name]:.4f} | {l0:.2f} | {' '.join(f'{one:.4f}' for one in fvu)} | {sum(fvu) / len(fvu):.4f} |")
    prompts = [row[:GRAPH_TOKENS] for row in rows[TRAINING_TEXTS:][:GRAPHS]]
    lines += ["", f"{GRAPHS} graphs of the first {GRAPH_TOKENS} tokens", ""]
    lines += ["| | replacement score | completeness score | features | seconds |", "|---|---|---|---|---|"]
    for name, transcoders in (("CLT", clt), ("per layer", dict(enumerate(single)))):
        found, nodes, start = [], 0, time.process_time()
        for ids in Progress(prompts, desc=f"graphs, {name}"):
            graph = attribute(FrozenPass(model, transcoders, ids))
            found.append(graph_scores(graph))
            nodes += len(graph.features)
        seconds = (time.process_time() - start) / GRAPHS
        replacement, completeness = (sum(one[part] for one in found) / GRAPHS for part in (0, 1))
        lines.append(f"| {name} | {replacement:.4f} | {completeness:.4f} | {nodes / GRAPHS:.0f} | {seconds:.2f} |")
    return "\n".join(lines)


def _standing_in(transcoder: Transcoder) -> Substitute:
    return lambda x, _own: transcoder(x)


def _fvu(predicted: Tensor, target: Tensor) -> float:
    unexplained = Unexplained()
    unexplained.add(predicted, target)
    return unexplained.fraction


def dense(trainer: CrossLayerTrainer) -> Callable[[Sequence[Pair]], None]:
    """A step of the same recipe in plain autograd: features in dense matrices, every product dense. Frozen; nothing here is to become faster."""
    start, recipe = trainer.transcoder, trainer.recipe
    n_layers, width = start.n_layers, start.d_model
    W_enc, b_enc, b_dec = ([p.detach().clone().requires_grad_() for p in own] for own in (start.W_enc, start.b_enc, start.b_dec))
    W_dec = {}
    for source in range(n_layers):
        for target, part in enumerate(start.W_dec[source].detach().split(width, dim=1), source):
            W_dec[source, target] = part.clone().requires_grad_()
    optimizer = torch.optim.Adam([*W_enc, *b_enc, *b_dec, *W_dec.values()], lr=trainer.lr, fused=True)
    done = 0

    def step(pairs: Sequence[Pair]) -> None:
        nonlocal done
        features = []
        for layer, x in enumerate(start.scaled_inputs([read for read, _ in pairs])):
            h = x @ W_enc[layer].T + b_enc[layer]
            best = h.topk(recipe.k, dim=-1)
            features.append(torch.zeros_like(h).scatter(-1, best.indices, best.values.relu()))
        errors = []
        for target, (_, y) in enumerate(pairs):
            made = b_dec[target] + sum(features[source] @ W_dec[source, target] for source in range(target + 1))
            errors.append((made - y / start.scale_out[target]).square().mean())
        optimizer.zero_grad()
        torch.stack(errors).sum().backward()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, done, trainer.lr)
        optimizer.step()
        done += 1

    return step


def speed(k: int) -> str:
    """CPU seconds a token of both sides."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)

    def batch() -> list[Pair]:
        draw = [torch.randn(2, SPEED_BATCH, SPEED_WIDTH, generator=generator) for _ in range(SPEED_LAYERS)]
        return [(x, y) for x, y in draw]

    recipe = Recipe(activation="topk", k=k, total_training_tokens=100 * SPEED_BATCH)
    trainer = CrossLayerTrainer(recipe, batch(), SPEED_FEATURES)
    sides: dict[str, Callable[[Sequence[Pair]], object]] = {"dense": dense(trainer), "ours": lambda pairs: trainer.train_step(pairs, report=False)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in Progress(range(SPEED_STEPS + 1), desc="steps"):
        pairs = batch()
        for name, step in sides.items():
            start = time.process_time()
            step(pairs)
            seconds[name].append(time.process_time() - start)
    each = {name: median(found[1:]) / SPEED_BATCH for name, found in seconds.items()}
    lines = [f"{name}: {value * 1e6:.0f} microseconds of processor time a token" for name, value in each.items()]
    sizes = f"{SPEED_LAYERS} layers, d {SPEED_WIDTH}, F {SPEED_FEATURES}, k {k}, {SPEED_BATCH} tokens a step, median of {SPEED_STEPS} steps"
    return "\n".join([sizes, *lines, f"dense / ours: {each['dense'] / each['ours']:.1f}"])


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["quality", "speed"])
    parser.add_argument("--k", type=int, default=8, metavar="N", help="active features of a layer (default: 8)")
    given = parser.parse_args()
    sys.stdout.write((quality if given.what == "quality" else speed)(given.k) + "\n")


if __name__ == "__main__":
    run_main(main)
