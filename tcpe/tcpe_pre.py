"""The stage TCPE_pre: compute the update of one request, to be applied whole."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tcpe.compute_u import compute_key, key_direction
from tcpe.compute_v import ValueSettings, compute_value
from tcpe.config import RunConfig
from tcpe.contexts import FactToken, build_contexts, sample_templates
from tcpe.request import EditRequest
from tcpe.second_moment import CACHE, SecondMoment, cached_second_moment
from tcpe.update import RankOneUpdate, make_update


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
) -> RankOneUpdate:
    """Key, value and from them the update of ``layer``'s down projection; the model is left as it is.

    Args:
        moment: of the same projection's input, in this same model.
        templates: sampled texts to put before the prompt.

    Returns:
        The update; its details hold how it was made, with the losses of the search for the value, step by step.

    Raises:
        RequestError, EditError: if the request cannot be computed as it is written.
    """
    contexts = build_contexts(tokenizer, request, templates, fact_token)
    key = compute_key(model, tokenizer, layer, contexts.prompts)
    direction = key_direction(moment, key, epsilon)
    value = compute_value(model, tokenizer, layer, contexts, settings)
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
        "losses": value.losses,
    }
    return make_update(model, layer, key, direction, value, **details)


def run(config: RunConfig, request: EditRequest, texts: Sequence[str], model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> RankOneUpdate:
    """Compute the request's update as ``config`` says, with the second moment over ``texts``; statistics are kept in the workspace."""
    templates = sample_templates(model, tokenizer, config.context_template_length_params, config.seed)
    moments = Path(config.container_workspace, CACHE)
    moment = cached_second_moment(moments, model, tokenizer, config.layer_num, texts, config.invalidate_cache)
    settings = ValueSettings(config.v_lr, config.v_num_grad_steps, config.clamp_norm_factor, config.kl_factor, config.v_weight_decay)
    return compute_update(
        model,
        tokenizer,
        config.layer_num,
        request,
        moment,
        templates=templates,
        fact_token=config.fact_token,
        epsilon=config.epsilon,
        settings=settings,
    )
