"""Clustering against KECode's rule read message by message, and at sizes that the rule alone would take hours for.

``python -m benchmarks.clustering``
"""

import random
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from d_running.cluster import Clustering, align, brief_description, cluster_results
from d_running.config import BUILTIN, MAX_LENGTH, THRESHOLD
from d_running.embedding import Embedder, load_embedder
from d_running.unit_test import Result
from util.memory import PeakMemory

T = TypeVar("T")
COMPARED = (600, 2000)
"""Failures that are also clustered message by message."""
SIZES = ((600, 300, 60), (50_000, 20_000, 5_000), (50_000, 50_000, 50_000))
"""Failures, distinct messages and about how many clusters."""
LETTERS = "bcdfghklmnprstvz"


def make_failures(count: int, texts: int, clusters: int, seed: int = 0) -> list[Result]:
    """``count`` failures with ``texts`` different messages about ``clusters`` different errors."""
    chance = random.Random(seed)

    def word() -> str:
        return "".join(chance.choice(LETTERS) + chance.choice("aeiou") for _ in range(chance.randint(2, 4)))

    errors = [" ".join(word() for _ in range(6)) for _ in range(clusters)]
    messages = [f"translation.d({chance.randint(1, 60)}): Error: {errors[i % clusters]} `{word()}{i}`" for i in range(texts)]
    chosen = [*messages, *chance.choices(messages, k=count - texts)]
    chance.shuffle(chosen)
    return [Result(f"S{i:06}.d", False, "Compilation", message, 0, 0) for i, message in enumerate(chosen)]


def message_by_message(rows: NDArray[np.float32], threshold: float) -> list[str]:
    """The clusters of messages with the embeddings ``rows``, by the words of the rule; frozen, nothing here is to become faster."""
    labels: list[int | None] = [None] * len(rows)
    opened = 0
    for i in range(len(rows)):
        if labels[i] is None:
            labels[i] = opened
            for j in range(i + 1, len(rows)):
                if float(rows[i] @ rows[j]) > threshold:
                    labels[j] = opened
            opened += 1
    return [str(label) for label in labels]


def seconds(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of processor time of ``work``, and what it gives."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def clustered(results: list[Result], embed: Embedder) -> tuple[float, float, Clustering]:
    """Seconds to embed the messages, seconds for the rest, and the clustering."""
    texts = [brief_description(result) for result in results]
    embedding, _ = seconds(lambda: embed(texts))
    rest, clustering = seconds(lambda: cluster_results(results, embed))
    return embedding, rest, clustering


def main() -> None:
    out = sys.stdout.write
    out(f"{'failures':>8} {'clusters':>8} {'one by one s':>12} {'ours s':>8} {'ratio':>7}  equal\n")
    for count in COMPARED:
        results, embed = make_failures(count, count // 2, count // 10), load_embedder(BUILTIN, MAX_LENGTH)
        _, ours, clustering = clustered(results, embed)
        rows = embed(clustering.briefs)
        reference, groups = seconds(partial(message_by_message, rows, THRESHOLD))
        equal = groups == cluster_results(results, embed, grouping="original").groups
        out(f"{count:8} {len(clustering.names):8} {reference:12.2f} {ours:8.3f} {reference / ours:7.0f}  {equal}\n")
    out(f"\n{'failures':>8} {'messages':>8} {'clusters':>8} {'embed s':>8} {'cluster s':>9} {'align s':>8} {'wall s':>7} {'peak MB':>8}\n")
    for count, texts, clusters in SIZES:
        results, embed = make_failures(count, texts, clusters), load_embedder(BUILTIN, MAX_LENGTH)
        start = time.perf_counter()
        with PeakMemory() as memory:
            embedding, ours, clustering = clustered(results, embed)
            other = cluster_results(results[: count // 10], embed)
            aligning, _ = seconds(partial(align, clustering, other, embed))
        wall = time.perf_counter() - start
        out(f"{count:8} {texts:8} {len(clustering.names):8} {embedding:8.2f} {ours:9.2f} {aligning:8.2f} {wall:7.1f} {memory.mebibytes:8.0f}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
