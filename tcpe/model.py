"""The Python door: a model with a transcoder in place, edited in a few lines."""

import copy
import numbers
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import layer_of
from huggingface.digest import model_digest
from huggingface.generation import greedy_generate
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders import load_transcoder
from huggingface.site_check import check_site, measure_sites
from huggingface.transcoder import Sites, Transcoder
from huggingface.transcoder_adapter import splice_transcoder
from tcpe.config import EditConfig
from tcpe.contexts import FactToken, sample_templates
from tcpe.edits import load_edit as _load_edit
from tcpe.edits import save_edited
from tcpe.lim import Lim, parse_lim
from tcpe.request import EditRequest
from tcpe.second_moment import CACHE, SecondMoment, cached_second_moment, collect_second_moment
from tcpe.tcpe_pre import compute_update, value_settings
from tcpe.texts import load_texts
from tcpe.update import AnyEdit, Edit, MergedUpdate, applied
from util.errors import EditError, UserError, check_argument, list_of_strings, named_as_arguments

FIT_TEXTS = 8
"""Texts on which a transcoder's fit is measured before its first edit."""


class Model:
    """A language model and the layer that is edited, whose MLP is replaced by a transcoder if one is given (see ``load``).

    Attributes:
        model: Hugging Face's, with the transcoder in place.
        tokenizer: its own.
        layer_num: the layer, counted from 0.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        layer_num: int,
        transcoder: Transcoder | None = None,
        *,
        MODEL_NAME: str = "",
        TC_layer_file: str | None = None,
        skip_site_check: bool = False,
    ) -> None:
        self.model, self.tokenizer, self.layer_num = model, tokenizer, layer_num
        self._transcoder, self._unchecked = transcoder, transcoder is not None and not skip_site_check
        self._name, self._file = MODEL_NAME or model.name_or_path or "", TC_layer_file
        self._own = splice_transcoder(model, layer_num, transcoder) if transcoder is not None else {}
        self._open: list[AnyEdit] = []
        self._moments: dict[tuple[str, tuple[str, ...]], SecondMoment] = {}

    @property
    def digest(self) -> str:
        """Stands for all weights as they are now, an edit that is applied included."""
        return model_digest(self.model)

    @named_as_arguments()
    def generate(self, prompts: Sequence[str], max_new_tokens: int = 400, stop: str = "\n```", batch_size: int = 16) -> list[str]:
        """The most likely continuation of each prompt, up to ``stop`` (see ``greedy_generate``).

        Raises:
            UserError: if a prompt is longer than the model's context, or ``prompts`` is a string.
        """
        return greedy_generate(self.model, self.tokenizer, list_of_strings("prompts", prompts), max_new_tokens, stop, batch_size)

    @named_as_arguments()
    def edit(
        self,
        request: EditRequest,
        texts: Sequence[str] | str,
        *,
        lim: Lim = 0.1,
        fact_token: FactToken | None = None,
        epsilon: float = 1e-8,
        context_template_length_params: Sequence[tuple[int, int]] = ((10, 1),),
        v_num_grad_steps: int = 600,
        v_lr: float = 0.05,
        clamp_norm_factor: int = 4,
        kl_factor: float = 0.0625,
        v_weight_decay: float = 1e-3,
        mom2_n_samples: int = 500_000,
        seed: int = 0,
        container_workspace: str | Path | None = None,
    ) -> Edit:
        """The edit of ``request``, in the columns that are active at ``lim``; the model is left as it is.

        The arguments are the flags of run_tcpe.py with their names, meanings and defaults.

        Args:
            texts: for the second moment of the layer's activations, or what the flag ``mom2_dataset`` takes. The moment of the same texts
                is computed once.
            container_workspace: where that is kept on the disk too, as runs keep it; a pass that was interrupted continues there.
            fact_token: by default the subject's last token, or the prompt's where the request has no subject.

        Raises:
            UserError: for an impossible argument, if the transcoder does not fit the layer, or the request cannot be computed as it is
                written.
        """
        check_argument("request", request, EditRequest, "a request, such as EditRequest.from_text(prompt, target)")
        config = EditConfig(
            fact_token=fact_token or ("subject_last" if request.subject else "last"),
            mom2_n_samples=mom2_n_samples,
            epsilon=epsilon,
            context_template_length_params=[list(pair) for pair in context_template_length_params],
            v_num_grad_steps=v_num_grad_steps,
            v_lr=v_lr,
            clamp_norm_factor=clamp_norm_factor,
            kl_factor=kl_factor,
            v_weight_decay=v_weight_decay,
            lim=parse_lim(lim),
        )
        texts = load_texts(texts, mom2_n_samples) if isinstance(texts, str) else list_of_strings("texts", texts)
        if self._unchecked:
            self._check_fit(texts[:FIT_TEXTS])
        update = compute_update(
            self.model,
            self.tokenizer,
            self.layer_num,
            request,
            self._moment(texts, container_workspace),
            templates=sample_templates(self.model, self.tokenizer, config.context_template_length_params, seed),
            fact_token=config.fact_token,
            epsilon=epsilon,
            settings=value_settings(config),
        )
        edit = Edit(update, config.lim)
        edit.columns()
        return edit

    def _moment(self, texts: list[str], workspace: str | Path | None) -> SecondMoment:
        """The second moment of ``texts``, that of the last call if they are the same."""
        key = self.digest, tuple(texts)
        if key not in self._moments:
            of = self.model, self.tokenizer, self.layer_num, texts
            self._moments = {key: collect_second_moment(*of) if workspace is None else cached_second_moment(Path(workspace, CACHE), *of)}
        return self._moments[key]

    @contextmanager
    def edited(self, *edits: AnyEdit) -> Iterator["Model"]:
        """While open, the model carries all ``edits``, solved together; afterwards its weights are what they were, to the bit.

        Raises:
            EditError: if an edit does not fit the model or the others, or is open already; nothing is changed then.
            UserError: for something else than edits.
        """
        self._check(edits)
        with named_as_arguments(), applied(self.model, edits):
            outer, self._open = self._open, [*self._open, *edits]
            try:
                yield self
            finally:
                self._open = outer

    @named_as_arguments()
    def save(self, folder: str | Path, *edits: AnyEdit, full: bool = False) -> None:
        """Write the model with ``edits`` to ``folder``, for ``tcpe.load_edited``.

        Args:
            full: write all weights, and not the edits and what they belong to.

        Raises:
            UserError: as ``save_edited`` does, for an open edit, or if only the edits are to be written and the model has no name to load it by.
        """
        self._check(edits)
        if not full and not self._name:
            raise UserError("The model has no name by which it is loaded again; give Model its folder as MODEL_NAME, or save it with full=True.")
        sites = (self._transcoder.sites.reads, self._transcoder.sites.writes) if self._transcoder is not None else ()
        with self._without_transcoder():
            save_edited(
                folder, self.model, self.tokenizer, edits, model_name=self._name, transcoder_file=self._file, sites=sites, full=full
            )

    def bridge(self) -> Any:
        """TransformerLens's ``TransformerBridge`` of a copy of the model as it is now, its transcoder and the edits that are open included.

        Raises:
            UserError: if the bridge does not know the model or has no hook point at the transcoder's sites.
        """
        from huggingface.bridge import bridge_spliced

        # The bridge wraps modules for good and sets the tokenizer's padding side.
        model, tokenizer, own = copy.deepcopy((self.model, self.tokenizer, self._own))
        return bridge_spliced(model, tokenizer, self.layer_num, own)

    def _check(self, edits: Sequence[AnyEdit]) -> None:
        """Refuse what is no edit, and one that the model carries already, which its sample of the weight need not show."""
        for edit in edits:
            check_argument("edits", edit, AnyEdit, "edits, such as tcpe.load_edit reads")
            if any(_alike(edit, other) for other in self._open):
                raise EditError(f"The model carries this edit of layer {edit.layer} already; apply or save it once.")

    def _check_fit(self, texts: Sequence[str]) -> None:
        """Refuse a transcoder that does not fit the layer."""
        assert self._transcoder is not None
        with self._without_transcoder():
            fits = measure_sites(self.model, self.tokenizer, self.layer_num, self._transcoder, texts)
        check_site(self._transcoder, fits, self._file or "")
        self._unchecked = False

    @contextmanager
    def _without_transcoder(self) -> Iterator[None]:
        """While open, the layer's own modules are in place."""
        layer = layer_of(self.model, self.layer_num)
        spliced = {place: layer.get_submodule(place) for place in self._own}
        for place, module in self._own.items():
            layer.set_submodule(place, module)
        try:
            yield
        finally:
            for place, module in spliced.items():
                layer.set_submodule(place, module)


def _alike(edit: AnyEdit, other: AnyEdit) -> bool:
    """Whether two edits write a common direction, in whichever columns, divided by whichever decay."""
    one, two = (
        functional.normalize(each.left if isinstance(each, MergedUpdate) else each.update.value_shift[:, None], dim=0) for each in (edit, other)
    )
    return one.shape[0] == two.shape[0] and bool((one.T @ two).max() > 1 - 1e-5)


@named_as_arguments()
def load(
    MODEL_NAME: str,
    layer_num: int,
    TC_layer_file: str | None = None,
    *,
    TC_sites: Sequence[str] = (),
    skip_site_check: bool = False,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    device: str = "auto",
    device_map: str | None = None,
    trust_remote_code: bool = False,
) -> Model:
    """A model whose layer ``layer_num`` can be edited; the arguments are the flags of run_tcpe.py.

    Args:
        MODEL_NAME: a folder in Hugging Face's format, or a model's name on the hub.
        TC_layer_file: the transcoder that replaces the layer's MLP; without it the MLP itself is edited, which is plain ROME. Its fit is
            measured on the texts of the first edit.
        TC_sites: where it reads and where it writes; by default what its checkpoint says.

    Raises:
        UserError: for a model, layer or transcoder that is not there or does not fit.
    """
    check_argument("layer_num", layer_num, numbers.Integral, "a whole number")
    if len(TC_sites) not in (0, 2):
        raise UserError("--TC_sites takes two names, such as mlp_in mlp_out.")
    model, tokenizer = load_model_and_tokenizer(MODEL_NAME, device, dtype, device_map, trust_remote_code)
    layer_of(model, layer_num)
    transcoder = load_transcoder(TC_layer_file, layer_num) if TC_layer_file else None
    if transcoder is not None and TC_sites:
        transcoder.sites = Sites(*TC_sites)
    return Model(
        model, tokenizer, layer_num, transcoder, MODEL_NAME=MODEL_NAME, TC_layer_file=TC_layer_file, skip_site_check=skip_site_check
    )


@named_as_arguments()
def load_edit(path: str | Path, lim: Lim = 0.1, upd_decay: float = 1.0, abla_exp: bool = False) -> AnyEdit:
    """The edit that ``Edit.save``, ``python -m tcpe.edits merge`` or a run of TCPE_pre left at ``path``, or in the folder ``path``.

    Args:
        lim: which columns are applied, as in ``Model.edit``.
        upd_decay: the update is divided by it.
        abla_exp: apply the columns that are not active instead.

    Raises:
        UserError: for an update that is not there or not whole, or an impossible lim or decay.
    """
    return _load_edit(str(path), lim, upd_decay, abla_exp)
