"""The stage TCPE_pre: compute the update of one request, to be applied whole."""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tcpe.compute_u import compute_key, key_direction
from tcpe.compute_v import ValueSettings, compute_value
from tcpe.config import UPDATES, EditConfig
from tcpe.contexts import FactToken, build_contexts, sample_templates
from tcpe.method import Job
from tcpe.request import EditRequest
from tcpe.saved import MADE_WITH, UPDATE, update_name
from tcpe.second_moment import CACHE, SecondMoment, cached_second_moment
from tcpe.update import RankOneUpdate, make_update
from util.errors import UserError
from util.lock import locked
from util.processes import sharing


def compute_update(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    layer: int,
    request: EditRequest,
    moment: SecondMoment,
    *,
    templates: Sequence[str] = (),
    fact_token: FactToken = "subject_last",
    epsilon: float = 1e-8,
    settings: ValueSettings = ValueSettings(),
    log: Callable[[Mapping[str, float]], object] = lambda _: None,
) -> RankOneUpdate:
    """Key, value and from them the update of ``layer``'s down projection; the model is left as it is.

    Args:
        moment: of the same projection's input, in this same model.
        templates: sampled texts to put before the prompt.
        log: takes the losses of each step of the search for the value.

    Returns:
        The update; its details hold how it was made, with the losses of the search for the value, step by step.

    Raises:
        RequestError, EditError: if the request cannot be computed as it is written.
    """
    contexts = build_contexts(tokenizer, request, templates, fact_token)
    key = compute_key(model, tokenizer, layer, contexts.prompts)
    direction = key_direction(moment, key, epsilon)
    value = compute_value(model, tokenizer, layer, contexts, settings, log)
    details = {
        "request": asdict(request),
        "templates": list(templates),
        "fact_token": fact_token,
        "epsilon": epsilon,
        "second_moment_tokens": moment.n_tokens,
        "condition_number": moment.factor(epsilon).cholesky.condition_number,
        "features": moment.n_features,
        "never_active_features": moment.never_active,
        "value_settings": asdict(settings),
        "norms": value.norms,
        "losses": value.losses,
    }
    return make_update(model, layer, key, direction, value, **details)


def computed_update(job: Job) -> RankOneUpdate:
    """The update of the run's request, computed unless an interrupted run left it in the run's folder.

    It is saved there and in the workspace, and under --save_path too where the user asks for that. Statistics are kept in the workspace. The losses
    of its search are logged as they come, or all at once where they are known. Of several processes all share the statistics, and the first
    does the rest.
    """
    steps = itertools.count()

    def log(losses: Mapping[str, float]) -> None:
        job.log(value_step=next(steps), **losses)

    task, model, tokenizer = job.task, job.model, job.tokenizer
    config, request = task.config, task.requests[0]
    path, processes = task.folder / UPDATE, sharing()
    if processes.share(path.with_name(f"{UPDATE}.json").is_file()):
        update = RankOneUpdate.load(path)
        for losses in update.details["losses"]:
            log(losses)
        if not processes.first:
            processes.wait()
            return update
    else:
        templates = sample_templates(model, tokenizer, config.context_template_length_params, task.seed)
        moment = cached_second_moment(task.workspace / CACHE, model, tokenizer, task.layer, job.inputs.texts, task.invalidate_cache)
        if not processes.first:
            processes.wait()
            return RankOneUpdate.load(path)
        update = compute_update(
            model,
            tokenizer,
            task.layer,
            request,
            moment,
            templates=templates,
            fact_token=config.fact_token,
            epsilon=config.epsilon,
            settings=value_settings(config),
            log=log,
        )
    made_with = {
        **task.decisive,
        "texts": hashlib.sha256("\0".join(job.inputs.texts).encode("utf-8", "surrogateescape")).hexdigest()[:16],
        "weights": hashlib.sha256(update.weight_sample.numpy().tobytes()).hexdigest()[:16],
    }
    update = replace(update, details=update.details | {MADE_WITH: made_with})
    update.save(path)
    name = update_name(task.layer, task.kind, config.edits[0][0], request, made_with)
    for folder in {task.workspace / UPDATES, *([config.updates(task.workspace)] if config.save_k_v_upd else [])}:
        with locked(folder, wait=True, work=name):
            if not _holds(folder / name, update):  # a run may be reading it
                update.save(folder / name)
    processes.wait()
    return update


def _holds(path: Path, update: RankOneUpdate) -> bool:
    """Whether this very update is there, whole."""
    try:
        found = RankOneUpdate.load(path)
    except UserError:
        return False
    return all(map(torch.equal, found.vectors(), update.vectors())) and found.details == update.details


def value_settings(config: EditConfig) -> ValueSettings:
    """How the flags say that v* is searched."""
    return ValueSettings(config.v_lr, config.v_num_grad_steps, config.clamp_norm_factor, config.kl_factor, config.v_weight_decay)
