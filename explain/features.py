"""What a page shows of a feature, as JSON: where it fires, in texts whose tokens are shaded, and the tokens that it promotes.

``assets/features.js`` draws it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from jaxtyping import Float
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

    from huggingface.feature_contexts import Example, FeatureContexts

PROMOTED = 7
"""Tokens that are shown of those that a feature promotes most, and suppresses most."""


def firing(tokenizer: "PreTrainedTokenizerFast", contexts: "FeatureContexts", feature: int) -> dict[str, Any]:
    """How often and where a feature fires."""
    number = contexts.features.index(feature)
    edges, counts = contexts.histogram(feature)
    bands = [
        {"low": low, "high": high, "tokens": tokens, "examples": [shown_example(tokenizer, example) for example in examples]}
        for low, high, tokens, examples in contexts.bands(feature)
    ]
    return {
        "fired": int(contexts.fired[number]),
        "frequency": float(contexts.fired[number] / contexts.n_tokens),
        "most": float(max(abs(contexts.most[number]), abs(contexts.least[number]))),
        "histogram": {"edges": [round(float(edge), 4) for edge in edges], "counts": counts.tolist()},
        "strongest": [shown_example(tokenizer, example) for example in contexts.strongest(feature)],
        "bands": bands,
    }


def shown_example(tokenizer: "PreTrainedTokenizerFast", example: "Example") -> dict[str, Any]:
    """An example's tokens, the feature's activation at each, and which of them it is about."""
    ids = [int(one) for one in example.ids]
    inside = [place for place, one in enumerate(ids) if one >= 0]
    values = [round(float(example.activations[place]), 3) for place in inside]
    tokens = pieces(tokenizer, [ids[place] for place in inside])
    return {"tokens": tokens, "values": values, "focus": example.focus - inside[0], "text": example.text}


def pieces(tokenizer: "PreTrainedTokenizerFast", ids: Sequence[int]) -> list[str]:
    """The text of each token, together the text of all; a token that is no text of its own is shown by its name."""
    from huggingface.tokenization import decode

    found, before = [], ""
    for place, one in enumerate(ids):
        if one in tokenizer.all_special_ids:
            found.append(str(tokenizer.convert_ids_to_tokens(one)))
            continue
        now = decode(tokenizer, list(ids[: place + 1]))
        whole = now.startswith(before) and not now.endswith("\N{REPLACEMENT CHARACTER}")
        found.append(now[len(before) :] if whole else str(tokenizer.convert_ids_to_tokens(one)))
        before = now
    return found


def promoted(tokenizer: "PreTrainedTokenizerFast", logits: "Float[Tensor, ' vocabulary']") -> dict[str, list[list[Any]]]:
    """The tokens with the highest logits, and those with the lowest, each with its logit."""
    most, least = strongest_tokens(tokenizer, logits), strongest_tokens(tokenizer, -logits)
    return {"promotes": most, "suppresses": [[name, -value] for name, value in least]}


def strongest_tokens(tokenizer: "PreTrainedTokenizerFast", values: "Float[Tensor, ' vocabulary']", k: int = PROMOTED) -> list[list[Any]]:
    """The tokens of the largest values, with these."""
    best = values.topk(min(k, len(values)))
    return [[token_name(tokenizer, token), round(value, 3)] for token, value in zip(best.indices.tolist(), best.values.tolist())]


def token_name(tokenizer: "PreTrainedTokenizerFast", token: int) -> str:
    """A token's text, or the tokeniser's name for it where it is none."""
    text = tokenizer.batch_decode([[token]], clean_up_tokenization_spaces=False)[0]
    return text if text and "\N{REPLACEMENT CHARACTER}" not in text else str(tokenizer.convert_ids_to_tokens(token))
