"""Error messages as unit vectors: a built-in character n-gram hashing, or any sentence-transformers model."""

import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d_running.config import BUILTIN
from util.errors import UserError

Embedder = Callable[[Sequence[str]], NDArray[np.float32]]
"""Maps n texts to float32 [n, dim], each row of unit length."""

SPECIAL_TOKENS = "special_tokens"
"""The setting that says whether ``max_length`` counts the tokens that a model puts around every text; once it did not."""
_DIMENSIONS = 1024
_GRAM = 3
# What is quoted, or a number, belongs to the sample more than to the error. With 0.55 two words of error and different
# identifiers have a cosine of 0.87 (`Integer` and `Math` stay apart), three words one of 0.91.
_SPECIFIC_WEIGHT = 0.55
_UNIT = re.compile(r"`[^`]*`|[^\s`]*\w[^\s`]*")
_SPECIFIC = re.compile(r"`|\W*\d[\W\d]*$")
_BASIC_TYPE = re.compile(r"`(?:bool|char|d?char|wchar|u?byte|u?short|u?int|u?long|float|double|real|d?string|wstring|void)(?:\[\])*`$")
_OTHER_QUOTES = re.compile("[‘']([^‘’']+)[’']")
_PREFIX = re.compile(r"^\s*Error:\s*")


def embedding_settings(name: str, max_length: int) -> dict[str, Any]:
    """What decides an embedding; a model in a folder is named without the folder's place."""
    settings = {"embedding_model": Path(name).resolve().name if Path(name).is_dir() else name, "max_length": max_length}
    return settings if name == BUILTIN else settings | {SPECIAL_TOKENS: "counted"}


def load_embedder(name: str, max_length: int, trust_remote_code: bool = False) -> Embedder:
    """The embedder called ``name``; it embeds no text twice.

    Args:
        name: "builtin", or a sentence-transformers model by its hub name or local path.
        max_length: how much of a message counts: words for the built-in one; tokens for a model, those that it puts around every text
            among them, as in the original.
        trust_remote_code: whether a model may bring its own code.

    Raises:
        UserError: if the model cannot be loaded or ``max_length`` is not positive.
    """
    if max_length < 1:
        raise UserError(f"--max_length must be at least 1, not {max_length}.")
    if name == BUILTIN:
        return _Remembering(lambda texts: np.stack([_hashed(text, max_length) for text in texts]))
    return _Remembering(_sentence_transformer(name, max_length, trust_remote_code))


def with_backticks(message: str) -> str:
    """``message`` quoted as LDC and DMD do; GDC quotes with apostrophes or, by the locale, with typographic ones."""
    return message if "`" in message else _OTHER_QUOTES.sub(r"`\1`", message)


class _Remembering:
    """An embedder that asks another one for each text once."""

    def __init__(self, embed: Embedder) -> None:
        self._embed = embed
        self._rows: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            self._rows.update(zip(new, self._embed(new), strict=True))
        return np.stack([self._rows[text] for text in texts]) if texts else np.zeros((0, 1), np.float32)


def _hashed(text: str, max_length: int) -> NDArray[np.float32]:
    """The sum of the hashed n-grams of each word, a quotation being one word; float32 [1024], unit length.

    A basic type in quotes is part of the error (``ulong`` to ``int``), all else in quotes part of the sample.
    """
    total = np.zeros(_DIMENSIONS, np.float32)
    for unit in _UNIT.findall(with_backticks(_PREFIX.sub("", text)))[:max_length]:
        word = np.zeros(_DIMENSIONS, np.float32)
        marked = f"^{unit}$"
        for start in range(len(marked) - _GRAM + 1):
            code = zlib.crc32(marked[start : start + _GRAM].encode())
            word[code % _DIMENSIONS] += 1 if code >> 31 else -1
        specific = _SPECIFIC.match(unit) and not _BASIC_TYPE.match(unit)
        total += word * ((_SPECIFIC_WEIGHT if specific else 1) / max(float(np.linalg.norm(word)), 1e-6))
    norm = float(np.linalg.norm(total))
    if norm == 0:  # nothing to go by: all such texts are alike
        total[0] = norm = 1.0
    return total / np.float32(norm)


def _sentence_transformer(name: str, max_length: int, trust_remote_code: bool) -> Embedder:
    """The first token's embedding, whatever pooling the model itself would use.

    ``max_length`` counts as tokenisers do, with the tokens that the model puts around every text.
    """
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"Cannot load the embedding model {name} ({reason}); give a local path, --embedding_model {BUILTIN}, "
            "or --trust_remote_code if it brings its own code and you trust it."
        ) from error

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        # prompt="": a model's own prompt in front would take the place of the message's tokens.
        tokens = model.encode(list(texts), prompt="", output_value="token_embeddings", show_progress_bar=len(texts) > 500)
        rows = np.stack([own[0].float().cpu().numpy() for own in tokens])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    try:
        special = model.tokenizer.num_special_tokens_to_add()
        if max_length <= special:
            raise UserError(f"--max_length {max_length} leaves no token of a message beside the {special} special ones of {name}; give more.")
        model.max_seq_length = min(max_length, model.max_seq_length or max_length)
        model.tokenizer.padding_side = "right"
        one, other = embed(["Error: undefined identifier", "Error: cast illegal"])
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"The embedding model {name} gives no embedding of each token ({type(error).__name__}: {error}); give a transformer encoder, "
            f"or --embedding_model {BUILTIN}."
        ) from error
    if not one @ other < 1 - 1e-6:
        raise UserError(
            f"The embedding model {name} gives different texts the same first token's embedding (it reads from left to right only); give an "
            f"encoder that reads both ways, or --embedding_model {BUILTIN}."
        )
    return embed
