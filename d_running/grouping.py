"""How messages are put into clusters by their embeddings: independent of any order, or as the original does, in the order of the samples."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from d_running.embedding import Embedder

_TEXTS_AT_A_TIME = 1024
_COSINES_AT_A_TIME = 1 << 22
_DOUBT = 1e-5
"""float32 cosines this close to the threshold are computed again; rounding in a product of matrices depends on their shapes."""


def order_free_clusters(messages: Sequence[str], embed: Embedder, threshold: float) -> list[int]:
    """The cluster number of each message; it depends on which messages there are and how often, and not on their order.

    Leader clustering of the distinct messages, the most frequent first, of equals by the alphabet: a message with no leader above
    ``threshold`` becomes one. Then each follows the leader that it is nearest to. The largest cluster is number 0.
    """
    counts = Counter(messages)
    texts = sorted(counts, key=lambda text: (-counts[text], text))
    rows = embed(texts)
    leaders, _ = _leaders(rows, threshold)
    size = max(1, _COSINES_AT_A_TIME // len(leaders))
    # In float64 and rounded: of leaders that are equally near the first is followed, not the one that rounding favours.
    parts, others = (rows[start : start + size].astype(np.float64) for start in range(0, len(rows), size)), rows[leaders].astype(np.float64).T
    nearest = np.concatenate([np.round(part @ others, 6).argmax(axis=1) for part in parts])
    followed = dict(zip(texts, nearest.tolist(), strict=True))
    sizes = Counter(followed[message] for message in messages)
    numbers = {leader: number for number, leader in enumerate(sorted(sizes, key=lambda leader: (-sizes[leader], leader)))}
    return [numbers[followed[message]] for message in messages]


def original_clusters(messages: Sequence[str], embed: Embedder, threshold: float) -> list[int]:
    """The cluster number of each message by the original's leader clustering, in the order of ``messages``.

    A message without a cluster opens one and claims every later message with a cosine above ``threshold``, also one that was claimed
    before. Clusters are numbered as they open.
    """
    texts = {text: number for number, text in enumerate(dict.fromkeys(messages))}
    return _leader_clusters(embed(list(texts)), np.array([texts[message] for message in messages]), threshold).tolist()


def _leaders(rows: NDArray[np.float32], threshold: float) -> tuple[list[int], NDArray[np.int64]]:
    """Which texts open a cluster if each comes once, and the number of the leader that has claimed each text last.

    Args:
        rows: embeddings of distinct texts, [texts, dim].
    """
    owners = np.empty(len(rows), np.int64)
    blocks: list[tuple[int, NDArray[np.float32]]] = []  # leaders: the first one's number, their embeddings
    leaders: list[int] = []
    for start in range(0, len(rows), _TEXTS_AT_A_TIME):
        block, owner = rows[start : start + _TEXTS_AT_A_TIME], owners[start : start + _TEXTS_AT_A_TIME]
        owner[:] = -1
        for base, others in blocks:
            backwards = near(block, others, threshold)[:, ::-1]
            owner[:] = np.where(backwards.any(axis=1), base + len(others) - 1 - backwards.argmax(axis=1), owner)
        close = near(block, block, threshold)
        base = len(leaders)
        for k in range(len(block)):
            if owner[k] < 0:
                owner[k] = len(leaders)
                leaders.append(start + k)
                owner[k + 1 :][close[k, k + 1 :]] = owner[k]
        if len(leaders) > base:
            blocks.append((base, rows[leaders[base:]]))
    return leaders, owners


def _leader_clusters(rows: NDArray[np.float32], which: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """The cluster number of each message by the original's rule.

    Whether a message opens a cluster depends on its text alone, and on the leaders before it. So the leaders are found
    text by text; after that, only texts that come again can have been claimed by a leader in between.

    Args:
        rows: embeddings of the distinct texts in the order of their first message, [texts, dim].
        which: the text of each message, [messages].
    """
    firsts = np.unique(which, return_index=True)[1]
    leaders, owners = _leaders(rows, threshold)
    labels = owners[which]
    again = np.setdiff1d(np.arange(len(which)), firsts)
    again = again[np.argsort(which[again], kind="stable")]
    repeated, starts = np.unique(which[again], return_index=True)
    starts = np.append(starts, len(again))
    opened, step = firsts[leaders], len(which) + 1
    for start in range(0, len(repeated), _TEXTS_AT_A_TIME):
        end = min(start + _TEXTS_AT_A_TIME, len(repeated))
        messages = again[starts[start] : starts[end]]
        text_of_message = np.searchsorted(repeated[start:end], which[messages])
        for base in range(0, len(leaders), _TEXTS_AT_A_TIME):
            text, leader = np.nonzero(near(rows[repeated[start:end]], rows[leaders[base : base + _TEXTS_AT_A_TIME]], threshold))
            # Pairs are sorted by text and by the leader's position: the last one not behind the message has claimed it.
            last = np.searchsorted(text * step + opened[base + leader], text_of_message * step + messages, side="right") - 1
            claimed = (last >= 0) & (text[last] == text_of_message) if len(text) else np.zeros(len(messages), bool)
            labels[messages[claimed]] = base + leader[last[claimed]]
    return labels


def near(rows: NDArray[np.float32], others: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Whether the cosine of each pair is above ``threshold``, bool [n, m]; the same for a pair in any company."""
    cosines = rows @ others.T
    close = cosines > threshold - _DOUBT
    first, second = np.nonzero(close)
    doubtful = np.flatnonzero(cosines[first, second] < threshold + _DOUBT)
    for pairs in np.array_split(doubtful, len(doubtful) // _TEXTS_AT_A_TIME + 1):
        exact = (rows[first[pairs]].astype(np.float64) * others[second[pairs]]).sum(axis=1)
        close[first[pairs], second[pairs]] = exact > threshold
    return close
