"""Where features fire: examples of every strength, the strongest ones, and how often, from one pass over any number of texts.

Memory depends on the number of features and of examples that are kept, and not on the number of texts.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.activations import Point, read_activations
from huggingface.context import context_length
from huggingface.digest import model_digest, tokenizer_digest
from huggingface.tokenization import Batch, encode, pad
from huggingface.transcoder import Transcoder
from huggingface.transcoder_adapter import reader_beside
from util.errors import EditError, UserError
from util.files import write_atomically
from util.memory import out_of_memory_explained
from util.progress import Progress

logger = logging.getLogger(__name__)

TEXTS_AT_A_TIME = 256
"""Texts between two points where an interrupted pass can continue."""

BATCH_TOKENS = 4096
MAX_TOKENS = 1024
"""Texts are cut after so many tokens, and where the model's context ends."""

CHECKPOINT_SECONDS = 20.0

BINS = 64
"""Of a feature's range, which doubles when it becomes too small; bands are made of whole bins."""

NONE = -1
"""The token id where an example's window reaches beyond its text."""


@dataclass(frozen=True)
class Window:
    """How much of its text an example shows: tokens before and after the one at which the feature fires."""

    before: int = 20
    after: int = 8

    @property
    def width(self) -> int:
        """All tokens of an example."""
        return self.before + 1 + self.after


class Example(NamedTuple):
    """A place where a feature fires.

    Attributes:
        ids: token ids of the window, ``NONE`` beyond the text's ends.
        activations: the feature's, at each of them.
        focus: which of them the example is about.
        text, position: the number of the text, and of the token in it.
    """

    ids: Int[np.ndarray, " window"]
    activations: Float[np.ndarray, " window"]
    focus: int
    text: int
    position: int


class _Entries:
    """Examples of one feature, each with a group and a rank in it; of each group those with the smallest ranks are kept.

    Attributes:
        columns: by name, all of one length: ``value``, ``rank``, ``text``, ``position``, and the windows ``ids`` and ``activations``.
    """

    def __init__(self, window: Window) -> None:
        self.columns: dict[str, np.ndarray] = {
            "value": np.zeros(0, np.float32),
            "rank": np.zeros(0, np.float64),
            "text": np.zeros(0, np.int64),
            "position": np.zeros(0, np.int64),
            "ids": np.zeros((0, window.width), np.int32),
            "activations": np.zeros((0, window.width), np.float32),
        }

    def add(self, new: dict[str, np.ndarray]) -> None:
        self.columns = {name: np.concatenate([old, new[name]]) for name, old in self.columns.items()}

    def keep(self, groups: Int[np.ndarray, " entry"], kept: int) -> None:
        """Drop all but the ``kept`` smallest ranks of each group."""
        order = np.lexsort((self.columns["rank"], groups))
        places = np.arange(len(order)) - np.searchsorted(groups[order], groups[order])
        rows = np.sort(order[places < kept])
        self.columns = {name: column[rows] for name, column in self.columns.items()}


class FeatureContexts:
    """What a stream of texts says of some features.

    Examples are drawn evenly: every token of every text has a random rank that depends on its place alone, and of each bin of a feature's
    range the examples with the smallest ranks are kept. So neither the size of batches nor an interruption changes what is drawn.

    Args:
        features: their numbers.
        thresholds: float32 [n_features]; a feature fires where its absolute activation is above it.
        signed: whether activations may be negative, as those of an MLP's neurons.
        kept: examples in each bin, and of the strongest ones.

    Attributes:
        n_texts, n_tokens: what was seen.
        fired: int64 [n_features], tokens at which each fires.
        least, most: float32 [n_features], of the activations at which it fires; 0 where it never does.
    """

    def __init__(
        self,
        features: Sequence[int],
        thresholds: Float[np.ndarray, " n_features"],
        signed: bool,
        kept: int = 10,
        window: Window = Window(),
    ) -> None:
        self.features, self.thresholds, self.signed, self.kept, self.window = list(features), thresholds, signed, kept, window
        n = len(self.features)
        self.n_texts = self.n_tokens = 0
        self.fired, self.least, self.most = np.zeros(n, np.int64), np.zeros(n, np.float32), np.zeros(n, np.float32)
        self._top = np.full(n, 2.0**-20)
        self._counts = np.zeros((n, BINS), np.int64)
        self._drawn = [_Entries(window) for _ in range(n)]
        self._strongest = [_Entries(window) for _ in range(n)]

    def add(
        self, ids: Sequence[Sequence[int]], activations: Sequence[Float[np.ndarray, "_ n_features"]], numbers: Sequence[int]
    ) -> None:
        """Take in whole texts.

        Args:
            ids: of each text's tokens.
            activations: float32, of the features at each of them.
            numbers: of the texts.
        """
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        margin = self.window.width
        empty = np.full(margin, NONE, np.int32)
        # The texts in one line, so far apart that no window reaches two of them.
        line_ids = np.concatenate([part for row in ids for part in (empty, np.asarray(row, np.int32))] + [empty])
        values = np.concatenate(activations)
        text = np.repeat(np.arange(len(lengths)), lengths)
        position = np.arange(len(values)) - starts[text]
        place = np.arange(len(values)) + margin * (text + 1)
        ranks = np.concatenate([np.random.default_rng(number).random(length) for number, length in zip(numbers, lengths)])
        text_numbers = np.asarray(numbers)[text]
        self.n_tokens += len(values)
        for number in range(len(self.features)):
            own = values[:, number]
            rows = np.flatnonzero(np.abs(own) > self.thresholds[number])
            if not len(rows):
                continue
            line = np.zeros(len(line_ids), np.float32)
            line[place] = own
            self._add_feature(number, own[rows], ranks[rows], place[rows], text_numbers[rows], position[rows], line_ids, line)

    def _add_feature(
        self,
        number: int,
        values: Float[np.ndarray, " firing"],
        ranks: Float[np.ndarray, " firing"],
        places: Int[np.ndarray, " firing"],
        texts: Int[np.ndarray, " firing"],
        positions: Int[np.ndarray, " firing"],
        line_ids: Int[np.ndarray, " line"],
        line: Float[np.ndarray, " line"],
    ) -> None:
        """Take in the tokens at which one feature fires."""
        seen = self.fired[number] > 0
        self.fired[number] += len(values)
        self.least[number] = min(values.min(), self.least[number]) if seen else values.min()
        self.most[number] = max(values.max(), self.most[number]) if seen else values.max()
        while np.abs(values).max() >= self._top[number]:
            self._double(number)
        bins = self._bins(number, values)
        self._counts[number] += np.bincount(bins, minlength=BINS)
        for entries, groups, rank in (
            (self._drawn[number], bins, ranks),
            (self._strongest[number], np.zeros(len(values), np.int64), -np.abs(values).astype(np.float64)),
        ):
            # Only the best of each group can stay; windows are cut for those alone.
            order = np.lexsort((rank, groups))
            order = order[np.arange(len(order)) - np.searchsorted(groups[order], groups[order]) < self.kept]
            order = order[rank[order] < self._worst(entries, number)[groups[order]]]
            if not len(order):
                continue
            windows = places[order, None] + np.arange(-self.window.before, self.window.after + 1)
            entries.add(
                {
                    "value": values[order],
                    "rank": rank[order],
                    "text": texts[order],
                    "position": positions[order],
                    "ids": line_ids[windows],
                    "activations": line[windows],
                }
            )
            entries.keep(self._groups(entries, number), self.kept)

    def _groups(self, entries: _Entries, number: int) -> Int[np.ndarray, " entry"]:
        """The group of each entry: its bin, or 0 for all of the strongest."""
        values = entries.columns["value"]
        return self._bins(number, values) if entries is self._drawn[number] else np.zeros(len(values), np.int64)

    def _worst(self, entries: _Entries, number: int) -> Float[np.ndarray, " group"]:
        """What rank an entry must be below to be kept, by group."""
        groups = self._groups(entries, number)
        worst = np.full(BINS, np.inf)
        for group in np.flatnonzero(np.bincount(groups, minlength=BINS) >= self.kept):
            worst[group] = entries.columns["rank"][groups == group].max()
        return worst

    def _bins(self, number: int, values: Float[np.ndarray, " value"]) -> Int[np.ndarray, " value"]:
        """The bin of each activation, all of them within the range."""
        low = -self._top[number] if self.signed else 0.0
        return ((values - low) * (BINS / (self._top[number] - low))).astype(np.int64).clip(0, BINS - 1)

    def _double(self, number: int) -> None:
        """Make a feature's range twice as wide, two bins becoming one."""
        self._top[number] *= 2
        pairs = self._counts[number].reshape(BINS // 2, 2).sum(1)
        first = BINS // 4 if self.signed else 0
        self._counts[number] = 0
        self._counts[number, first : first + BINS // 2] = pairs
        if len(self._drawn[number].columns["value"]):
            self._drawn[number].keep(self._groups(self._drawn[number], number), self.kept)

    def histogram(self, feature: int) -> tuple[Float[np.ndarray, " edges"], Int[np.ndarray, " bins"]]:
        """The edges of the bins between the least and the most activation, and how many tokens fall in each."""
        number = self.features.index(feature)
        edges = np.linspace(-self._top[number] if self.signed else 0.0, self._top[number], BINS + 1)
        filled = np.flatnonzero(self._counts[number])
        first, last = (filled[0], filled[-1] + 1) if len(filled) else (0, 0)
        return edges[first : last + 1], self._counts[number, first:last]

    def strongest(self, feature: int) -> list[Example]:
        """Where the feature's absolute activation is largest, strongest first."""
        entries = self._strongest[self.features.index(feature)]
        return [self._example(entries, row) for row in np.lexsort((entries.columns["position"], entries.columns["text"], entries.columns["rank"]))]

    def bands(self, feature: int, n_bands: int = 5) -> list[tuple[float, float, int, list[Example]]]:
        """The range between the least and the most activation in bands of equal width, the highest first.

        Returns:
            For each band its limits, how many tokens fall in it, and an even draw of them. Limits are moved to the nearest edge of a bin, by
            at most 1/64 of the range; a band without tokens is there too.
        """
        number = self.features.index(feature)
        edges, counts = self.histogram(feature)
        if not len(counts):
            return []
        limits = np.round(np.linspace(0, len(counts), min(n_bands, len(counts)) + 1)).astype(int)
        entries = self._drawn[number]
        values, ranks = entries.columns["value"], entries.columns["rank"]
        first = int(np.flatnonzero(self._counts[number])[0])
        bins = self._bins(number, values) - first
        found = []
        for low, high in reversed(list(pairwise(limits))):
            inside = np.flatnonzero((bins >= low) & (bins < high))
            inside = inside[np.argsort(ranks[inside], kind="stable")][: self.kept]
            examples = [self._example(entries, row) for row in inside[np.argsort(-values[inside], kind="stable")]]
            found.append((float(edges[low]), float(edges[high]), int(counts[low:high].sum()), examples))
        return found

    def drawn(self, feature: int) -> list[Example]:
        """All examples that are kept of the feature's whole range, those with the smallest activations first."""
        entries = self._drawn[self.features.index(feature)]
        return [self._example(entries, row) for row in np.argsort(entries.columns["value"], kind="stable")]

    def _example(self, entries: _Entries, row: np.integer) -> Example:
        columns = entries.columns
        return Example(
            columns["ids"][row], columns["activations"][row], self.window.before, int(columns["text"][row]), int(columns["position"][row])
        )

    def save(self, path: Path, key: str) -> None:
        """Write everything to a safetensors file, atomically; ``key`` names what it depends on."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for name, entries in self._named_entries():
            arrays |= {f"{name}.{column}": np.ascontiguousarray(values) for column, values in entries.columns.items()}
        metadata = {"state": json.dumps({"key": key, "n_texts": self.n_texts, "n_tokens": self.n_tokens})}
        write_atomically(path, lambda temporary: save_file(arrays, temporary, metadata))

    def load(self, path: Path) -> None:
        """Go on where ``save`` was called, for the same features."""
        with safe_open(path, "np") as file:
            state, arrays = json.loads(file.metadata()["state"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        self.n_texts, self.n_tokens = state["n_texts"], state["n_tokens"]
        for name in _ARRAYS:
            setattr(self, name, arrays[name])
        for name, entries in self._named_entries():
            entries.columns = {column: arrays[f"{name}.{column}"] for column in entries.columns}

    def _named_entries(self) -> Iterator[tuple[str, _Entries]]:
        for kind, all_entries in (("drawn", self._drawn), ("strongest", self._strongest)):
            yield from ((f"{kind}.{number}", entries) for number, entries in enumerate(all_entries))


_ARRAYS = ("fired", "least", "most", "_top", "_counts")


@out_of_memory_explained()
@torch.inference_mode()
def collect_contexts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    layer: int,
    contexts: FeatureContexts,
    texts: Iterable[str],
    checkpoint: Path | None = None,
    beside: Transcoder | None = None,
) -> None:
    """Read texts with the model and let ``contexts`` take in what its features do: what the layer's down projection reads.

    With a transcoder in the layer these are its features, else the MLP's neurons.

    Args:
        beside: a transcoder or autoencoder of the layer whose features are read instead; it stands beside the model and changes nothing.
        texts: read as a stream, and once more from their beginning where the checkpoint is of others; each is cut after ``MAX_TOKENS``.
        checkpoint: where an interrupted pass is kept, and continued if it is of the same model, features and texts; removed at the end.

    Raises:
        UserError: if the texts have no tokens.
        EditError: if an activation is not finite, or memory runs out.
    """
    limit = min(MAX_TOKENS, context_length(model) or MAX_TOKENS)
    parts = [model_digest(model), tokenizer_digest(tokenizer), layer, limit, contexts.features, contexts.thresholds.tolist(), contexts.kept]
    digest = hashlib.sha256(json.dumps([*parts, contexts.signed, contexts.window.before, contexts.window.after]).encode())
    if beside is not None:
        digest.update(f"{beside.sites}{beside.activation}".encode() + b"".join(one.cpu().numpy().tobytes() for one in beside.state_dict().values()))
    point, features = reader_beside(model, layer, beside) if beside is not None else (Point(layer, "neurons"), torch.nn.Identity())
    read = lambda batch: features(read_activations(model, [point], **batch._asdict(), use_cache=False)[point])  # noqa: E731
    stream, digest = _begin(contexts, texts, checkpoint, digest) if checkpoint else (iter(texts), digest)
    columns = torch.tensor(contexts.features, device=model.device)
    saved = time.monotonic()
    with Progress(initial=contexts.n_texts, desc="contexts", unit="text", leave=False) as bar:
        while chunk := list(islice(stream, TEXTS_AT_A_TIME)):
            for text in chunk:
                _add_to(digest, text)
            rows = [encode(tokenizer, text).ids[:limit] for text in chunk]
            for numbers, activations in _read(model, tokenizer.pad_token_id, layer, rows, columns, read):
                contexts.add([rows[number] for number in numbers], activations, [contexts.n_texts + number for number in numbers])
            contexts.n_texts += len(chunk)
            bar.update(len(chunk))
            if checkpoint and time.monotonic() - saved > CHECKPOINT_SECONDS:
                contexts.save(checkpoint, digest.hexdigest())
                saved = time.monotonic()
    if not contexts.n_tokens:
        raise UserError("The texts hold no text; give others with --dataset.")
    if checkpoint:
        checkpoint.unlink(missing_ok=True)


def _begin(contexts: FeatureContexts, texts: Iterable[str], checkpoint: Path, digest: "hashlib._Hash") -> "tuple[Iterator[str], hashlib._Hash]":
    """The texts that are left to be read, and the digest of those that were; nothing was, unless the checkpoint says so of these very texts."""
    if not checkpoint.is_file():
        return iter(texts), digest
    read, stream = digest.copy(), iter(texts)
    try:
        with safe_open(checkpoint, "np") as file:
            state = json.loads(file.metadata()["state"])
        for text in islice(stream, state["n_texts"]):
            _add_to(read, text)
        if read.hexdigest() == state["key"]:
            contexts.load(checkpoint)
            logger.info("Continuing after %d texts", contexts.n_texts)
            return stream, read
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        logger.warning("What an interrupted pass left in %s is damaged (%s); it begins again", checkpoint, error)
    return iter(texts), digest


def _add_to(digest: "hashlib._Hash", text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    digest.update(f"{len(content)} ".encode() + content)


def _read(
    model: PreTrainedModel,
    pad_id: int,
    layer: int,
    rows: Sequence[list[int]],
    columns: Int[torch.Tensor, " n_features"],
    read: Callable[[Batch], Float[torch.Tensor, "row column width"]],
) -> Iterator[tuple[list[int], list[Float[np.ndarray, "_ n_features"]]]]:
    """The numbers of some rows, and the features' activations at each of their tokens, batch by batch; rows of like length go together.

    Raises:
        EditError: if one is not finite.
    """
    waiting: list[int] = []
    order = [number for number in sorted(range(len(rows)), key=lambda number: len(rows[number])) if rows[number]]
    for place, number in enumerate(order):
        waiting.append(number)
        following = len(rows[order[place + 1]]) if place + 1 < len(order) else BATCH_TOKENS
        if following * (len(waiting) + 1) <= BATCH_TOKENS:
            continue
        batch = pad([rows[one] for one in waiting], pad_id, model.device, side="right")
        values = read(batch)[..., columns].float().cpu().numpy()
        if not np.isfinite(values).all():
            raise EditError(f"The activations of layer {layer} are not finite; load the model with --dtype bfloat16 or float32.")
        yield waiting, [values[row, : len(rows[one])] for row, one in enumerate(waiting)]
        waiting = []
