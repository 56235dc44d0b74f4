"""The whole judgement of a folder of translations: compiled and run, clustered, and compared with before."""

import dataclasses
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from d_running.cluster import (
    Clustering,
    align,
    cluster_results,
    compiler_of,
    print_clusters,
    read_clustering,
    write_clustering,
)
from d_running.config import JudgeConfig
from d_running.dataset import Sample, load_samples
from d_running.embedding import Embedder, load_embedder
from d_running.evaluation import METRICS_FILE, Metrics, check_comparable, check_same_samples, check_targets, evaluate, print_metrics
from d_running.harness import FUNCTION_NAME as D_NAME
from d_running.java_text import FUNCTION_NAME as JAVA_NAME
from d_running.language_pairs import JAVA_D, LanguagePairName, language_pair
from d_running.translate import function_of
from d_running.unit_test import read_translations, run_unit_tests
from util.cli import ArgumentParser
from util.errors import BenchmarkError
from util.files import write_json, write_text
from util.flags import add_flags

EXTRACTED = "extracted"
_ANSWER_SUFFIXES = (".md", ".txt")

log = logging.getLogger(__name__)


def judge(
    translations: Path,
    samples: list[Sample],
    output: Path,
    config: JudgeConfig,
    before: Clustering | None = None,
    target_clusters: Sequence[str] = (),
    translator: Mapping[str, Any] | None = None,
    embed: Embedder | None = None,
) -> tuple[Clustering, Metrics]:
    """Judge translations and write results.json and the clustering to ``output``.

    Without ``before`` the clustering is compared with itself. What was judged before is taken from the cache.

    Args:
        translator: what wrote the translations, before any edit, as far as it is known (see `Clustering.made_with`).
        embed: the embedder that ``config`` names, if it is loaded already.

    Raises:
        UserError: as `run_unit_tests`, `load_embedder` and `evaluate` do.
    """
    made_with = config.settings | dict(translator or {})
    if before is not None:  # what can be seen before the long work
        check_same_samples((result.name for result in before.results), (sample.name for sample in samples))
        check_comparable(before.made_with, made_with, config.allow_version_change)
        check_targets(before, target_clusters)
    embed = embed or load_embedder(config.embedding_model, config.max_length, config.trust_remote_code)
    results = run_unit_tests(translations, samples, output, config)
    clustering = cluster_results(results, embed, config.threshold, made_with | compiler_of(output), config.grouping)
    if before is not None:
        clustering = align(clustering, before, embed, config.threshold)
    metrics = evaluate(before or clustering, clustering, target_clusters, config.allow_version_change)
    write_clustering(clustering, output)
    return clustering, metrics


def figures(clustering: Clustering, metrics: Metrics, before: Clustering | None, target_clusters: Sequence[str]) -> dict[str, Any]:
    """What metrics.json says of a judgement."""
    if before is None:
        return {"samples": metrics.samples, "accuracy": metrics.overall_accuracy_after, "clusters": len(clustering.names)}
    return {"target_clusters": list(target_clusters)} | dataclasses.asdict(metrics)


def extract_answers(answers: Path, output: Path, pair: LanguagePairName = JAVA_D) -> None:
    """Write the function of every answer ID.d (or the pair's suffix), ID.md or ID.txt to ``output``/ID.d, and nothing else there.

    Raises:
        BenchmarkError: if the folder does not exist or is empty, or two files have one name.
    """
    if not answers.is_dir():
        raise BenchmarkError(f"The folder of answers {answers} does not exist; name another folder.")
    languages = language_pair(pair)
    suffixes = (languages.suffix, *_ANSWER_SUFFIXES)
    files = sorted(path for path in answers.iterdir() if path.suffix in suffixes)
    counts = Counter(path.stem for path in files)
    if not files or max(counts.values()) > 1:
        what = f"two answers named {counts.most_common(1)[0][0]}" if files else f"no file *{', *'.join(suffixes)}"
        raise BenchmarkError(f"The folder of answers {answers} has {what}; give one file a sample.")
    for stale in output.glob(f"*{languages.suffix}"):
        if stale.stem not in counts:
            stale.unlink()
    without, otherwise = [], []
    for path in files:
        answer = path.read_bytes().decode("utf-8", "surrogateescape")
        found = languages.first_function(answer)
        if found is None:
            without.append(path.name)
        elif found[0] not in (JAVA_NAME, D_NAME):
            otherwise.append(f"{path.name}: {found[0]}")
        write_text(languages.file(output, path.stem), function_of(answer, pair))
    log.info("%d answers: %d hold a function.", len(files), len(files) - len(without))
    for group, what in ((without, "hold no whole function"), (otherwise, f"begin with a function that is not named {JAVA_NAME} or {D_NAME}")):
        if group:
            log.warning("%d answers %s and will fail, first %s.", len(group), what, group[0])


def main() -> None:
    """Command line: ``python -m d_running.judge TRANSLATIONS --originals_path … --d_params_path … --output_path …``."""
    parser = ArgumentParser(prog="python -m d_running.judge", description=__doc__)
    parser.add_argument("translations", type=Path, help=f"folder of ID.d (or ID.py) files, each the function {D_NAME}")
    parser.add_argument(
        "--answers", action="store_true", help=f"the files (also .md, .txt) are whole answers, with the function {JAVA_NAME} in them"
    )
    parser.add_argument("--originals_path", type=Path, required=True, help="folder of ID.java files, or a kecode.csv")
    parser.add_argument("--d_params_path", type=Path, help="folder of ID.d (or ID.py) test programs; not needed with a kecode.csv")
    parser.add_argument("--output_path", type=Path, required=True, help="folder for results, clusters and metrics")
    parser.add_argument("--before", type=Path, help="the clustering to compare with")
    parser.add_argument("--target_clusters", nargs="*", default=[], help="the clusters of --before that were to be repaired")
    add_flags(parser, JudgeConfig)
    arguments = parser.parse_args()
    if arguments.target_clusters and arguments.before is None:
        raise BenchmarkError("--target_clusters names clusters of --before; give that too.")
    names = {field.name for field in dataclasses.fields(JudgeConfig)}
    config = JudgeConfig(**{name: value for name, value in vars(arguments).items() if name in names})
    pair = config.language_pair
    samples = load_samples(arguments.originals_path, arguments.d_params_path, pair)
    before = read_clustering(arguments.before) if arguments.before else None
    translations = arguments.translations
    if arguments.answers:
        extract_answers(translations, translations := arguments.output_path / EXTRACTED, pair)
    texts = read_translations(translations, samples, language_pair(pair).suffix)
    if unnamed := sorted(name for name, text in texts.items() if D_NAME not in text):
        log.warning(
            "%d of %d translations have no function %s, first %s; whole answers need --answers.", len(unnamed), len(texts), D_NAME, unnamed[0]
        )
    clustering, metrics = judge(translations, samples, arguments.output_path, config, before, arguments.target_clusters)
    write_json(arguments.output_path / METRICS_FILE, figures(clustering, metrics, before, arguments.target_clusters))
    for kind, count in Counter(result.error for result in clustering.results).most_common():
        sys.stdout.write(f"{kind:18}{count:6}\n")
    sys.stdout.write(f"{'all':18}{len(clustering.results):6}\n\n")
    print_clusters(clustering)
    if before is None:
        sys.stdout.write(f"\naccuracy {metrics.overall_accuracy_after:.4f}\n")
    else:
        sys.stdout.write("\n")
        print_metrics(metrics)


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
