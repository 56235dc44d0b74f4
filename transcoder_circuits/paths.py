"""The paths that make a feature active at a token of a prompt, or a logit high, printed as transcoder_circuits prints them.

usage: python -m transcoder_circuits.paths --MODEL_NAME data/demo/model --transcoders data/demo/transcoders data/demo/transcoder \\
           --prompt 'int n = s.length();' --layer 3 --feature 17 --token -2
"""

import sys
from typing import TYPE_CHECKING, Any

from huggingface.config import add_model_flags
from util.cli import ArgumentParser
from util.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from transcoder_circuits.components import Path
    from transcoder_circuits.frozen import FrozenPass

ALL_LAYERS = "folders of transcoders, or with a folder layer_N for each; the MLPs of layers without one count as error"


def prompt_text(prompt: str, prompt_file: str | None) -> str:
    """A prompt, or a file's text.

    Raises:
        UserError: if there is neither or both, or the file cannot be read.
    """
    if prompt and prompt_file:
        raise UserError("There are two prompts; give either --prompt or --prompt_file.")
    if prompt_file:
        try:
            with open(prompt_file, encoding="utf-8") as file:
                prompt = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"Cannot read the prompt {prompt_file} ({error}); give a text file in UTF-8.") from error
    if not prompt:
        raise UserError("There is no prompt; give --prompt TEXT or --prompt_file FILE.")
    return prompt


def strongest_feature(cache: "FrozenPass", layer: int, token: int) -> int:
    """The most active feature of a layer with a transcoder, at a token.

    Raises:
        UserError: if none is active there.
    """
    active = cache.layers[layer].features[cache.position(token)]
    if not (active != 0).any():
        raise UserError(f"No feature of layer {layer} is active at token {token}; give another token.")
    return int(active.argmax())


def token_texts(tokenizer: "PreTrainedTokenizerFast", ids: list[int]) -> list[str]:
    """What each token reads as."""
    return [str(tokenizer.decode([one]) or tokenizer.convert_ids_to_tokens(one)) for one in ids]


def described(path: "Path", texts: list[str]) -> str:
    """A path, with the text of the token that it ends at."""
    from transcoder_circuits.circuit_analysis import path_text

    token = path[-1].component.token
    return path_text(path) + (f"   {texts[token]!r}" if token is not None else "")


def main() -> None:
    parser = ArgumentParser(prog="python -m transcoder_circuits.paths", description=__doc__)
    add_model_flags(parser)
    parser.add_argument("--transcoders", nargs="+", required=True, help=ALL_LAYERS)
    parser.add_argument("--prompt", default="", help="the text that the model reads")
    parser.add_argument("--prompt_file", help="a file that holds it")
    parser.add_argument("--layer", type=int, help="of the feature; by default that of the last transcoder")
    parser.add_argument("--feature", type=int, help="its number; by default the most active one")
    parser.add_argument("--sae", help="folder of a sparse autoencoder whose feature is followed instead of a transcoder's")
    parser.add_argument("--logit", help="follow the logit of the token that this text begins with, instead of a feature")
    parser.add_argument("--token", type=int, default=-1, help="position in the prompt, negative from its end (default: %(default)s)")
    parser.add_argument("--num_iters", type=int, default=2, help="depths of the search (default: %(default)s)")
    parser.add_argument("--num_branches", type=int, default=5, help="paths that are kept of each depth (default: %(default)s)")
    parser.add_argument("--keep_bos", action="store_true", help="follow the first token as a source too")
    parser.add_argument("--raw", action="store_true", help="count the whole product along a path, not at most the smallest node above")
    parser.add_argument("--absolute", action="store_true", help="count inhibition too, by its size")
    arguments = parser.parse_args()
    if arguments.logit is not None:
        if given := [name for name in ("feature", "layer", "sae") if getattr(arguments, name) is not None]:
            raise UserError(f"With --logit no feature is followed; leave out --{', --'.join(given)}, or --logit.")
        if not arguments.logit:
            raise UserError("--logit is empty; give the text that the token begins.")
    sys.stdout.write(run(arguments))


def run(arguments: Any) -> str:
    """The paths as text."""
    from huggingface.load import load_asked
    from huggingface.tokenization import encode
    from transcoder_circuits.circuit_analysis import greedy_get_top_paths, make_sae_feature_vector
    from transcoder_circuits.components import check_feature, logit_vector
    from transcoder_circuits.frozen import FrozenPass
    from transcoder_circuits.saes import sae_root
    from transcoder_circuits.sets import load_transcoders, transcoder_of

    transcoders = load_transcoders(arguments.transcoders)
    if saes := [layer for layer, one in transcoders.items() if one.sites.autoencoder]:
        raise UserError(f"What is given for layer {saes[0]} is an autoencoder, which stands in for no MLP; follow its features with --sae.")
    of_sae = load_transcoders([arguments.sae]) if arguments.sae else {}
    if others := [layer for layer, one in of_sae.items() if not one.sites.autoencoder]:
        raise UserError(f"What --sae names for layer {others[0]} is a transcoder; give it with --transcoders, or an autoencoder.")
    layer, followed = transcoder_of(of_sae or transcoders, arguments.layer)
    if arguments.feature is not None:
        check_feature(followed, arguments.feature, f"The {'autoencoder' if of_sae else 'transcoder'} of layer {layer}")
    prompt = prompt_text(arguments.prompt, arguments.prompt_file)
    model, tokenizer = load_asked(arguments)
    ids = encode(tokenizer, prompt).ids
    cache = FrozenPass(model, transcoders, ids)
    if arguments.logit is not None:
        wanted = tokenizer(arguments.logit, add_special_tokens=False)["input_ids"] or encode(tokenizer, arguments.logit).ids
        root = logit_vector(model, wanted[:1], token=arguments.token, name=f"logit {tokenizer.decode(wanted[:1])!r}")
    elif of_sae:
        root = sae_root(cache, followed, arguments.feature, arguments.token, layer)
    else:
        feature = strongest_feature(cache, layer, arguments.token) if arguments.feature is None else arguments.feature
        root = make_sae_feature_vector(followed, feature, token=arguments.token, layer=layer)
    found = greedy_get_top_paths(
        model,
        transcoders,
        cache,
        root,
        arguments.num_iters,
        arguments.num_branches,
        ignore_bos=not arguments.keep_bos,
        do_raw_attribution=arguments.raw,
        absolute=arguments.absolute,
    )
    texts = token_texts(tokenizer, ids)
    lines = []
    for depth, paths in enumerate(found, 1):
        lines.append(f"--- Paths of size {depth + 1} ---")
        lines += [f"Path [{depth}][{number}]: {described(path, texts)}" for number, path in enumerate(paths)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
