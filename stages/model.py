"""A model in a run: loaded, with its transcoder in place, edited, and asked for translations."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from logging import getLogger
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from d_running.evaluation import DIGEST
from d_running.prompt import benchmark_prompt
from d_running.translate import translate_samples
from huggingface.architectures import layer_of
from huggingface.context import check_fits_context
from huggingface.digest import model_digest, tokenizer_digest
from huggingface.drafts import DraftedGeneration
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.site_check import check_site, measure_sites, site_table
from huggingface.tokenization import encode
from huggingface.transcoder import Sites, Transcoder
from huggingface.transcoder_adapter import spliced
from stages.config import RunConfig
from stages.prepare import Prepared
from stages.review import named
from stages.run import Metrics, Timed
from stages.run_folder import TRANSLATIONS
from tcpe.method import Job
from tcpe.norms import edit_figures
from tcpe.saved import DECIDES_UPDATE
from tcpe.update import Edit, applied, shared_features
from tcpe.weight_edit import Replaced, WeightEdit
from util.logs import ONCE
from util.processes import sharing
from util.seeds import set_seed

logger = getLogger(__name__)

FIT_SAMPLES = 8
"""Functions on whose prompts the transcoder's fit is measured."""


class ModelTranslator:
    """A model with its transcoder in place (see `stages.run.Translator`)."""

    def __init__(
        self,
        config: RunConfig,
        prepared: Prepared,
        timed: Timed,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        prompt_of: Callable[[str], str],
        metrics: Metrics,
    ) -> None:
        self._config, self._prepared, self._timed = config, prepared, timed
        self._model, self._tokenizer, self._prompt_of = model, tokenizer, prompt_of
        names = config.model
        self.made_with: dict[str, Any] = {
            "model": f"{names.MODEL_NAME} with {names.TC_layer_file or 'its own MLPs'}",
            f"model{DIGEST}": model_digest(model),
            "prompt_format": config.prompt_format,
        }
        self.metrics = metrics
        config.method.check(self._job(lambda **_: None))

    def _job(self, log: Callable[..., None]) -> Job:
        return Job(self._prepared.task, self._prepared.inputs, self._model, self._tokenizer, log)

    @property
    def content(self) -> dict[str, Any]:
        """What the translations depend on beside the run's flags."""
        requests, saved = self._prepared.task.requests, self._prepared.inputs.saved
        content = {
            "model": self.made_with[f"model{DIGEST}"],
            "tokenizer": tokenizer_digest(self._tokenizer),
            "functions": {sample.name: self._prompt_of(sample.java) for sample in self._prepared.samples},
            "requests": [[getattr(request, name) for name in DECIDES_UPDATE] for request in requests],
            "updates": [[hashlib.sha256(vector.numpy().tobytes()).hexdigest() for vector in edit.update.vectors()] for edit in saved],
            "mom2_dataset": hashlib.sha256("\0".join(self._prepared.inputs.texts).encode("utf-8", "surrogateescape")).hexdigest(),
        }
        # Earlier versions added several edits up, and left out negative neurons: folders of such runs are not continued.
        if len(saved) > 1:
            content["combination_of_edits"] = "solved together"
        if any((edit.update.key < 0).any() for edit in saved):
            content["negative_neurons"] = "by absolute value"
        return content

    def translate(self, log: Callable[..., None]) -> Metrics:
        """Edit the model, translate what is not there yet, and take the edit back; of several processes each translates a part.

        The others begin when the first has cleared its folder, or seen that it goes on there, and none ends before all have translated.
        """
        config, prepared, processes = self._config, self._prepared, sharing()
        drafts = config.workspace / "drafts.json"
        if config.invalidate_cache and processes.first:
            drafts.unlink(missing_ok=True)
            for state in drafts.with_suffix("").glob("*.safetensors"):  # the folder stays: other runs may be writing there
                state.unlink(missing_ok=True)
        processes.wait()
        with self._timed("edit") if config.method.edits and not prepared.inputs.saved else nullcontext():
            edits = config.method.compute(self._job(log))
        with self._timed("translate"), applied(self._model, edits) as replaced:
            metrics = _describe(edits, replaced)
            if edits:
                log(**named(edit_figures(edits, replaced)))
            made_from = self.made_with[f"model{DIGEST}"]
            generate = DraftedGeneration(
                self._model, self._tokenizer, drafts, config.translation_batch_size, config.model.layer_num, made_from
            )
            translate_samples(
                prepared.samples,
                generate,
                self._prompt_of,
                config.output / TRANSLATIONS,
                config.translation_batch_size,
                config.judge.language_pair,
                processes.rank,
                processes.count,
            )
            processes.wait()
        return metrics


@contextmanager
def model_translator(
    config: RunConfig, prepared: Prepared, timed: Timed, model_and_tokenizer: tuple[PreTrainedModel, PreTrainedTokenizerFast] | None = None
) -> Iterator[ModelTranslator]:
    """The model of ``config``, its transcoder in place while open.

    Args:
        model_and_tokenizer: that model, if it is loaded already, without the transcoder.

    Raises:
        UserError: if it cannot be loaded, the transcoder does not fit, a prompt is too long, or the method refuses its task.
    """
    names = config.model
    with timed("load"):
        set_seed(config.seed)
        loaded, tokenizer = model_and_tokenizer or load_model_and_tokenizer(
            names.MODEL_NAME, names.device, names.dtype, names.device_map, names.trust_remote_code
        )
        layer_of(loaded, names.layer_num)
        transcoder = load_transcoder(names.TC_layer_file, names.layer_num) if names.TC_layer_file else None
    prompt_of = cache(partial(benchmark_prompt, tokenizer, prompt_format=config.prompt_format, pair=config.judge.language_pair))
    prompts = {sample.name: prompt_of(sample.java) for sample in prepared.samples}
    for name, prompt in prompts.items():
        check_fits_context(loaded, len(encode(tokenizer, prompt).ids) + 1, f"The prompt of {name}, with the first token of its answer,")
    metrics: Metrics = {}
    if transcoder is not None:
        metrics["transcoder_fvu"] = _checked_fit(config, loaded, tokenizer, transcoder, list(prompts.values())[:FIT_SAMPLES])
    with spliced(loaded, names.layer_num, transcoder) if transcoder is not None else nullcontext():
        yield ModelTranslator(config, prepared, timed, loaded, tokenizer, prompt_of, metrics)


def _checked_fit(
    config: RunConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, transcoder: Transcoder, prompts: list[str]
) -> float | None:
    """The fraction of the MLP's variance over ``prompts`` that the transcoder leaves unexplained; None if that is no number.

    Raises:
        CheckpointError: if the transcoder does not fit the layer and the sites that it declares, unless that check is skipped.
    """
    if config.model.TC_sites:
        transcoder.sites = Sites(*config.model.TC_sites)
    fits = measure_sites(model, tokenizer, config.model.layer_num, transcoder, prompts)
    if not config.model.skip_site_check:
        check_site(transcoder, fits, str(config.model.TC_layer_file))
    logger.info("The transcoder's fit at its own and other sites:\n%s", site_table(fits), extra=ONCE)
    return fits[0].fvu if math.isfinite(fits[0].fvu) else None


def _describe(edits: Sequence[WeightEdit], replaced: Sequence[Replaced]) -> Metrics:
    """How much of the model the edits change."""
    with_keys = [edit for edit in edits if isinstance(edit, Edit)]
    return {"columns": sum(len(one.columns) for one in replaced)} | (shared_features(with_keys) if len(with_keys) > 1 else {})
