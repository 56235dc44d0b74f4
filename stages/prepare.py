"""What every run looks up once, before a model is loaded and before anything is written."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from d_running.cluster import Clustering, clustering_folder, nearest_cluster, read_clustering
from d_running.dataset import Sample, load_samples
from d_running.embedding import Embedder, load_embedder
from d_running.evaluation import check_same_samples
from d_running.language_pairs import language_pair
from d_running.sandbox import choose_tier
from stages.config import RunConfig
from stages.inputs import read_requests
from tcpe.method import Inputs, Task
from tcpe.request import EditRequest, target_column
from util.errors import RequestError
from util.files import check_writable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A run that can begin.

    Attributes:
        samples: the benchmark's.
        embed: of error messages; None if nothing is judged.
        before: the clustering to compare with; None if there is nothing to compare.
        targets: the clusters of ``before`` that the edits are for.
        task: what the method is to do.
        inputs: what it has read for that.
    """

    samples: list[Sample]
    embed: Embedder | None
    before: Clustering | None
    targets: list[str]
    task: Task
    inputs: Inputs


def prepare(config: RunConfig) -> Prepared:
    """Find and read all that the run needs but for its model.

    Raises:
        UserError: for anything that is missing or does not go together; nothing is written.
    """
    requests = read_requests(config)
    for folder in (config.output, config.workspace):
        check_writable(folder)
    embed = None
    if not config.translate_only:
        language_pair(config.judge.language_pair).target(config.judging)
        choose_tier(config.judge.allow_unsafe_execution)
        embed = load_embedder(config.judge.embedding_model, config.judge.max_length, config.judge.trust_remote_code)
    samples = load_samples(Path(config.originals_path), Path(config.d_params_path), config.judge.language_pair)
    before = None
    if config.method.edits and not config.translate_only:
        before = read_clustering(Path(config.preKE_cluster_result))
        check_same_samples((result.name for result in before.results), (sample.name for sample in samples))
    elif not config.translate_only:
        check_writable(clustering_folder(Path(config.preKE_cluster_result)))
    targets = target_clusters(config, requests, before, embed) if before is not None and embed is not None else []
    task = Task(
        config.edit,
        config.own,
        requests,
        config.model.layer_num,
        config.kind,
        {"MODEL_NAME": config.model.MODEL_NAME, "TC_layer_file": config.model.TC_layer_file},
        config.seed,
        config.workspace,
        config.output,
        config.invalidate_cache,
        config.given,
    )
    return Prepared(samples, embed, before, targets, task, config.method.read(task))


def target_clusters(config: RunConfig, requests: list[EditRequest], before: Clustering, embed: Embedder) -> list[str]:
    """The clusters that the requests name, or where one names none, the cluster whose messages are like its description.

    Raises:
        RequestError: for a cluster that ``before`` does not have, or whose messages are unlike the description, and for a description like
            none of its messages.
    """
    targets = []
    for request in requests:
        names = request.target_clusters
        nearest = nearest_cluster(before, request.brief_description, embed, config.judge.threshold) if request.brief_description else None
        column = target_column(config.model.layer_num, config.kind)
        if not names:
            names = [nearest] if nearest is not None else []
            logger.info("The target of request %s is the cluster of %r: %s", request.error, request.brief_description, nearest)
        if not names or not set(names) <= set(before.names):
            raise RequestError(
                f"The edit request {request.error} has no target: {config.preKE_cluster_result} has the clusters {', '.join(before.names)}, and "
                f"{'not ' + ', '.join(names) if names else f'none of messages like {request.brief_description!r}'}; correct the request's "
                f"column {column} or its brief_description."
            )
        if request.brief_description and not _is_like(before, names, request.brief_description, embed, config.judge.threshold):
            messages = ", ".join(f"{name} is {before.typical_message(name)!r}" for name in names)
            raise RequestError(
                f"The edit request {request.error} names other errors than it describes: in {config.preKE_cluster_result} the cluster {messages}, "
                f"and its brief_description {request.brief_description!r} is like {'cluster ' + nearest if nearest is not None else 'none'}; cluster "
                f"numbers belong to one clustering, so empty the column {column} to follow the description, or correct one of the two."
            )
        targets += names
    return targets


def _is_like(clustering: Clustering, names: list[str], description: str, embed: Embedder, threshold: float) -> bool:
    """Whether one of the clusters has messages like ``description``; of "Success" and "Correctness", which have none, nothing is asked."""
    if not all(name.isdecimal() for name in names):
        return True
    members = [index for index, group in enumerate(clustering.groups) if group in names]
    own = replace(clustering, results=[clustering.results[i] for i in members], groups=[clustering.groups[i] for i in members],
                  briefs=[clustering.briefs[i] for i in members])  # fmt: skip
    return nearest_cluster(own, description, embed, threshold) is not None
