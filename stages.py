"""One stage of a run from its configuration to its metrics: edit, translate, judge, record.

Here the edit and the benchmark meet: `tcpe` knows nothing of D, and `d_running` gets a model that generates.
"""

import dataclasses
import hashlib
import logging
import math
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from d_running.cluster import Clustering, clustering_folder, nearest_cluster, read_clustering
from d_running.compiler import find_compiler
from d_running.dataset import load_samples
from d_running.embedding import Embedder, load_embedder
from d_running.evaluation import DIGEST, METRICS_FILE, check_comparable, check_same_samples
from d_running.java_text import natural_java
from d_running.judge import figures, judge
from d_running.prompt import translation_prompt
from d_running.sandbox import choose_tier
from d_running.translate import translate_samples
from huggingface.architectures import layer_of
from huggingface.digest import model_digest, tokenizer_digest
from huggingface.drafts import DraftedGeneration
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.site_check import check_site, measure_sites, site_table
from huggingface.transcoder import Sites, Transcoder
from huggingface.transcoder_adapter import spliced
from reference_stage import TIMING, judge_config, publish, timed
from tcpe import tcpe_main, tcpe_pre
from tcpe.config import RunConfig
from tcpe.contexts import build_contexts
from tcpe.request import EditRequest, load_request, target_column
from tcpe.run_folder import TRANSLATIONS, UPDATE, check_writable, open_run
from tcpe.texts import load_texts
from tcpe.update import Edit, RankOneUpdate, applied, check_fits, shared_features
from util.errors import RequestError
from util.files import write_json
from util.seeds import set_seed
from util.tracking import RunTracker

logger = logging.getLogger(__name__)

FIT_SAMPLES = 8
"""Functions on whose prompts the transcoder's fit is measured."""

Metrics = dict[str, Any]


def run_stage(config: RunConfig, model_and_tokenizer: tuple[PreTrainedModel, PreTrainedTokenizerFast] | None = None) -> Metrics:
    """Run the stage that ``config`` names and write everything under its output folder; what is there already is continued.

    Args:
        model_and_tokenizer: the model of ``config.MODEL_NAME``, if it is loaded already, without the transcoder; it is left as it is.

    Returns:
        What ``metrics.json`` holds, the benchmark's figures and the number of changed columns, and under ``seconds`` what
        ``timing.json`` holds: the same command gives the same bytes of the first.

    Raises:
        UserError: for anything that the user can mend; earlier results are left intact.
    """
    seconds: dict[str, float] = {}
    compared = config.alg_name != "noKE" and not config.translate_only
    # All that a user can have got wrong is looked at before anything is written, and before the model is loaded where possible.
    for folder in (config.output, Path(config.container_workspace)):
        check_writable(folder)
    if not config.translate_only:
        find_compiler(config.d_compiler)
        choose_tier(config.allow_unsafe_execution)
        embed = load_embedder(config.embedding_model, config.max_length, config.trust_remote_code)
    samples = load_samples(Path(config.originals_path), Path(config.d_params_path))
    before = read_clustering(Path(config.preKE_cluster_result)) if compared else None
    if before is not None:
        check_same_samples((result.name for result in before.results), (sample.name for sample in samples))
    if config.alg_name == "noKE" and not config.translate_only:
        check_writable(clustering_folder(config.preKE_cluster_result))
    requests = [load_request(config.edit_sequence_path, row, config.layer_num, config.kind) for row, _, _ in config.edits]
    targets = _target_clusters(config, requests, before, embed) if before is not None else []
    edits = tcpe_main.load_edits(config, requests) if config.alg_name == "TCPE" else []
    texts = load_texts(config.mom2_dataset, config.mom2_n_samples) if config.alg_name == "TCPE_pre" else []
    with timed(seconds, "load"):
        set_seed(config.seed)
        model, tokenizer = model_and_tokenizer or load_model_and_tokenizer(
            config.MODEL_NAME, config.device, config.dtype, config.device_map, config.trust_remote_code
        )
        layer_of(model, config.layer_num)
        transcoder = load_transcoder(config.TC_layer_file, config.layer_num) if config.TC_layer_file else None
    prompt_of = partial(translation_prompt, tokenizer)
    prompts = {sample.name: prompt_of(natural_java(sample.java)) for sample in samples}
    if config.alg_name == "TCPE_pre":
        build_contexts(tokenizer, requests[0], (), config.fact_token)
    metrics: Metrics = {}
    if transcoder is not None:
        metrics["transcoder_fvu"] = _checked_fit(config, model, tokenizer, transcoder, list(prompts.values())[:FIT_SAMPLES])
    name = config.run_name or config.output.name
    with spliced(model, config.layer_num, transcoder) if transcoder is not None else nullcontext():
        translator = {"model": f"{config.MODEL_NAME} with {config.TC_layer_file or 'its own MLPs'}", f"model{DIGEST}": model_digest(model)}
        if before is not None:
            check_comparable(before.made_with, judge_config(config).settings | translator, config.allow_version_change)
        for edit in edits:
            check_fits(edit.update, model, config.layer_num)
        open_run(config, _content(translator[f"model{DIGEST}"], tokenizer, prompts, requests, edits, texts))
        with RunTracker(config.output, name, dataclasses.asdict(config)) as tracker:
            if config.alg_name == "TCPE_pre":
                with timed(seconds, "edit"):
                    update = _computed_update(config, requests[0], texts, model, tokenizer)
                edits = [Edit(update)]
                for step, losses in enumerate(update.details["losses"]):
                    tracker.log(value_step=step, **losses)
            metrics |= _describe(edits)
            with timed(seconds, "translate"), applied(model, edits):
                drafts = Path(config.container_workspace, "drafts.json")
                if config.invalidate_cache:
                    drafts.unlink(missing_ok=True)
                generate = DraftedGeneration(model, tokenizer, drafts, config.translation_batch_size)
                translate_samples(samples, generate, prompt_of, config.output / TRANSLATIONS, config.translation_batch_size)
            if not config.translate_only:
                with timed(seconds, "judge"):
                    clustering, measured = judge(
                        config.output / TRANSLATIONS, samples, config.output, judge_config(config), before, targets, translator
                    )
                metrics |= figures(clustering, measured, before, targets)
            timing = {step: round(value, 3) for step, value in seconds.items()}
            tracker.log(**metrics, seconds=timing)
    if not config.translate_only:
        write_json(config.output / METRICS_FILE, metrics)
        if config.alg_name == "noKE":
            publish(config, clustering)
    write_json(config.output / TIMING, timing)
    return metrics | {"seconds": timing}


def _checked_fit(
    config: RunConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, transcoder: Transcoder, prompts: list[str]
) -> float | None:
    """The fraction of the MLP's variance over ``prompts`` that the transcoder leaves unexplained; None if that is no number.

    Raises:
        CheckpointError: if the transcoder does not fit the layer and the sites that it declares, unless that check is skipped.
    """
    if config.TC_sites:
        transcoder.sites = Sites(*config.TC_sites)
    fits = measure_sites(model, tokenizer, config.layer_num, transcoder, prompts)
    if not config.skip_site_check:
        check_site(transcoder, fits, str(config.TC_layer_file))
    logger.info("The transcoder's fit at its own and other sites:\n%s", site_table(fits))
    return fits[0].fvu if math.isfinite(fits[0].fvu) else None


def _content(
    digest: str,
    tokenizer: PreTrainedTokenizerFast,
    prompts: dict[str, str],
    requests: list[EditRequest],
    edits: list[Edit],
    texts: list[str],
) -> dict[str, Any]:
    """What the run's translations depend on beside its flags; ``digest`` is the model's."""
    return {
        "model": digest,
        "tokenizer": tokenizer_digest(tokenizer),
        "functions": prompts,
        "requests": [[getattr(request, name) for name in tcpe_main.DECIDES_UPDATE] for request in requests],
        "updates": [[hashlib.sha256(vector.numpy().tobytes()).hexdigest() for vector in edit.update.vectors()] for edit in edits],
        "mom2_dataset": hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape")).hexdigest(),
    }


def _computed_update(
    config: RunConfig, request: EditRequest, texts: list[str], model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> RankOneUpdate:
    """The request's update, computed unless an interrupted run left it in the output folder; saved where the user asks for it."""
    path = config.output / UPDATE
    if path.with_name(f"{UPDATE}.json").is_file():
        update = RankOneUpdate.load(path)
    else:
        update = tcpe_pre.run(config, request, texts, model, tokenizer)
        update.save(path)
    if config.save_k_v_upd:
        update.save(tcpe_main.update_path(config, config.edits[0][0]))
    return update


def _describe(edits: list[Edit]) -> Metrics:
    """How much of the model the edits change."""
    if not edits:
        return {"columns": 0}
    return {"columns": len(set().union(*(edit.columns().tolist() for edit in edits)))} | (shared_features(edits) if len(edits) > 1 else {})


def _target_clusters(config: RunConfig, requests: list[EditRequest], before: Clustering, embed: Embedder) -> list[str]:
    """The clusters that the requests name, or where one names none, the cluster whose messages are like its description.

    Raises:
        RequestError: for a cluster that ``before`` does not have, or a description like none of its messages.
    """
    targets = []
    for request in requests:
        names = request.target_clusters
        if not names:
            nearest = nearest_cluster(before, request.brief_description, embed, config.threshold)
            names = [nearest] if nearest is not None else []
            logger.info("The target of request %s is the cluster of %r: %s", request.error, request.brief_description, nearest)
        if not names or not set(names) <= set(before.names):
            raise RequestError(
                f"The edit request {request.error} has no target: {config.preKE_cluster_result} has the clusters {', '.join(before.names)}, and "
                f"{'not ' + ', '.join(names) if names else f'none of messages like {request.brief_description!r}'}; correct the request's "
                f"column {target_column(config.layer_num, config.kind)} or its brief_description."
            )
        targets += names
    return targets
