"""The whole judgement of a folder of translations: compiled and run, clustered, and compared with before."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from d_running.cluster import MAX_LENGTH, THRESHOLD, Clustering, align, cluster_results, compiler_of, write_clustering
from d_running.dataset import Sample
from d_running.embedding import BUILTIN, load_embedder
from d_running.evaluation import Metrics, evaluate
from d_running.unit_test import CACHE_DIR, COMPILE_LIMIT, RUN_LIMIT, run_unit_tests


@dataclass(frozen=True)
class JudgeConfig:
    """How to judge; every field has the meaning of the flag of its name.

    Attributes:
        cache_dir: where verdicts are kept between runs.
        jobs: programs judged at a time, by default one per processor.
        embedding_model, max_length, threshold, trust_remote_code: how messages are compared (see `embedding`).
        compile_limit, run_limit: seconds of processor time.
        allow_unsafe_execution: run translations even where nothing but resource limits contains them.
        allow_version_change: compare with a clustering made by another compiler.
        invalidate_cache: judge everything anew.
    """

    cache_dir: Path = CACHE_DIR
    jobs: int | None = None
    embedding_model: str = BUILTIN
    max_length: int = MAX_LENGTH
    threshold: float = THRESHOLD
    trust_remote_code: bool = False
    compile_limit: int = COMPILE_LIMIT
    run_limit: int = RUN_LIMIT
    allow_unsafe_execution: bool = False
    allow_version_change: bool = False
    invalidate_cache: bool = False


def judge(
    translations: Path,
    samples: list[Sample],
    output: Path,
    config: JudgeConfig,
    before: Clustering | None = None,
    target_clusters: Sequence[str] = (),
) -> tuple[Clustering, Metrics]:
    """Judge translations and write results.json and the clustering to ``output``.

    Without ``before`` the clustering is compared with itself. What was judged before is taken from the cache.

    Raises:
        UserError: as `run_unit_tests`, `load_embedder` and `evaluate` do.
    """
    embed = load_embedder(config.embedding_model, config.max_length, config.trust_remote_code)
    results = run_unit_tests(
        translations,
        samples,
        output,
        cache_dir=config.cache_dir,
        jobs=config.jobs,
        compile_limit=config.compile_limit,
        run_limit=config.run_limit,
        allow_unsafe_execution=config.allow_unsafe_execution,
        invalidate_cache=config.invalidate_cache,
    )
    clustering = cluster_results(results, embed, config.threshold, compiler_of(output))
    if before is not None:
        clustering = align(clustering, before, embed, config.threshold)
    metrics = evaluate(before or clustering, clustering, target_clusters, config.allow_version_change)
    write_clustering(clustering, output)
    return clustering, metrics
