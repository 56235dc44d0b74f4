"""The attribution graph of a prompt: a page, a picture, and the JSON that circuit-tracer's and Neuronpedia's viewers open.

usage: python -m transcoder_circuits.graph --MODEL_NAME data/demo/model --transcoders data/demo/transcoders data/demo/transcoder \\
           --prompt 'int n = s.length();' --dataset data/demo/texts.jsonl          writes graph.html, .svg and .json into runs/
       python -m transcoder_circuits.graph --MODEL_NAME data/demo/model --cross_layer data/demo/clt --prompt 'int n = s.length();'
"""

import sys
from argparse import _ActionsContainer
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface.config import add_model_flags
from transcoder_circuits.paths import ALL_LAYERS
from util.cli import ArgumentParser
from util.errors import UserError

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedTokenizerFast

    from transcoder_circuits.attribution_graph import AttributionGraph
    from transcoder_circuits.frozen import FrozenPass

PAGE = "runs/graph.html"
TEXTS = 300


def add_graph_flags(parser: _ActionsContainer) -> None:
    """What decides how much of a graph is drawn, for every command that draws one."""
    parser.add_argument("--node_share", type=float, default=0.8, help="share of the influence that kept nodes have (default: %(default)s)")
    parser.add_argument("--edge_share", type=float, default=0.98, help="share of the influence that kept edges have (default: %(default)s)")
    parser.add_argument("--max_logits", type=int, default=10, help="at most so many logits are nodes (default: %(default)s)")
    parser.add_argument("--mass", type=float, default=0.95, help="probability that the logits hold together, if so few do (default: %(default)s)")
    parser.add_argument("--max_features", type=int, default=7500, help="at most so many features are nodes before pruning (default: %(default)s)")
    parser.add_argument("--batch_size", type=int, default=64, help="directions that are followed at a time (default: %(default)s)")
    parser.add_argument("--dataset", help="texts whose strongest contexts the page shows: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    parser.add_argument("--n_texts", type=int, default=TEXTS, help="at most so many of them (default: %(default)s)")
    parser.add_argument("--png", action="store_true", help="write the picture as PNG too; needs Chromium")


def check_graph_flags(arguments: Any) -> None:
    """See that the flags can be met, before anything is loaded.

    Raises:
        UserError: if not.
    """
    for name in ("node_share", "edge_share", "mass"):
        if not 0 < getattr(arguments, name) <= 1:
            raise UserError(f"--{name} must be above 0 and at most 1, not {getattr(arguments, name):g}.")
    for name in ("max_logits", "max_features", "batch_size", "n_texts"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, not {getattr(arguments, name)}.")


def graph_of(cache: "FrozenPass", arguments: Any, also_logits: Sequence[int] = ()) -> "AttributionGraph":
    """The graph of a frozen pass, as the flags say."""
    from transcoder_circuits.attribution_graph import attribute

    return attribute(cache, arguments.max_logits, arguments.mass, arguments.max_features, arguments.batch_size, also_logits)


def main() -> None:
    parser = ArgumentParser(prog="python -m transcoder_circuits.graph", description=__doc__)
    add_model_flags(parser)
    parser.add_argument("--transcoders", nargs="+", help=ALL_LAYERS)
    parser.add_argument("--cross_layer", help="folder of a cross-layer transcoder, instead of --transcoders")
    parser.add_argument("--prompt", default="", help="the text that the model reads")
    parser.add_argument("--prompt_file", help="a file that holds it")
    parser.add_argument("--output_path", type=Path, default=Path(PAGE), help="the page; the other files get its name (default: %(default)s)")
    parser.add_argument("--title", help="of the page; by default the prompt's last line")
    parser.add_argument("--verify", type=int, default=0, metavar="N", help="take N features away one by one: predicted and real changes")
    add_graph_flags(parser)
    arguments = parser.parse_args()
    check_graph_flags(arguments)
    if (arguments.transcoders is None) == (arguments.cross_layer is None):
        raise UserError("A graph is of transcoders of single layers or of a cross-layer transcoder; give either --transcoders or --cross_layer.")
    if arguments.verify and arguments.verify < 3:
        raise UserError(f"--verify needs at least 3 features to correlate anything over, not {arguments.verify}.")
    sys.stdout.write(run(arguments))


def run(arguments: Any) -> str:
    """Draw the graph; what was found, as text."""
    from explain.neurons import TextStream
    from huggingface.load import load_asked
    from huggingface.loaders.cross_layer import check_fits_model, load_cross_layer
    from huggingface.tokenization import encode
    from transcoder_circuits.frozen import FrozenPass
    from transcoder_circuits.graph_file import graph_json
    from transcoder_circuits.graph_page import check_page, page_data, write_graph_files
    from transcoder_circuits.graph_view import Version
    from transcoder_circuits.influence import graph_scores, prune
    from transcoder_circuits.paths import prompt_text
    from transcoder_circuits.sets import load_transcoders

    check_page(arguments.output_path)
    texts = TextStream(arguments.dataset, arguments.n_texts) if arguments.dataset else None
    cross = load_cross_layer(arguments.cross_layer) if arguments.cross_layer else None
    transcoders = load_transcoders(arguments.transcoders) if cross is None else cross
    prompt = prompt_text(arguments.prompt, arguments.prompt_file)
    model, tokenizer = load_asked(arguments)
    ids = encode(tokenizer, prompt).ids
    if cross is not None:
        check_fits_model(cross, model)
    cache = FrozenPass(model, transcoders, ids)
    graph = graph_of(cache, arguments)
    pruned, scores = prune(graph, arguments.node_share, arguments.edge_share), graph_scores(graph)
    title = arguments.title or prompt_title(tokenizer, ids)
    shares = (arguments.node_share, arguments.edge_share)
    data = page_data([Version(graph, pruned)], model, tokenizer, cache.transcoders, texts, title, shares, cross=cross)
    viewers = graph_json(graph, pruned, tokenizer, arguments.output_path.stem, Path(arguments.MODEL_NAME).name, arguments.node_share)
    lines = [
        f"{len(graph.features)} active features on {len(ids)} tokens are nodes; kept are {int(pruned.nodes.sum())} nodes "
        f"and {int(pruned.edges.sum())} edges.",
        f"replacement score {scores.replacement:.3f}, completeness {scores.completeness:.3f}",
    ]
    if arguments.verify:
        lines += verified_lines(cache, graph, arguments.verify)
    lines += map(str, write_graph_files(arguments.output_path, data, viewers, arguments.png))
    return "\n".join(lines) + "\n"


def prompt_title(tokenizer: "PreTrainedTokenizerFast", ids: Sequence[int]) -> str:
    """The last line of a prompt that holds anything, without special tokens."""
    lines = str(tokenizer.decode([one for one in ids if one not in tokenizer.all_special_ids])).strip().splitlines()
    return lines[-1].strip() if lines else "a prompt"


def verified_lines(cache: "FrozenPass", graph: "AttributionGraph", nodes: int) -> list[str]:
    """How well the graph predicts what taking features away does, as text."""
    from transcoder_circuits.interventions import most_influential_features, verify

    rows = most_influential_features(graph, nodes)
    lines = [f"Rank correlation of predicted and real change, {len(rows)} features of most influence taken away one by one:"]
    for frozen, one in verify(cache, graph, rows).items():
        lines.append(f"  frozen {frozen}: {one.logit:.3f} of the likeliest logit, {one.all_targets:.3f} of all targets")
    return lines


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
