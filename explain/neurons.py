"""The page of an edit's neurons: where each fires, what it writes, and what the edit loses without it.

usage: python -m explain.neurons runs/tcpe_0                  writes runs/tcpe_0/neurons.html
       python -m explain.neurons runs/updates/NAME:top:16 --dataset texts.jsonl
"""

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d_running.correction_knowledge import RUN_FILE
from explain.features import firing, pieces, promoted
from explain.model import loaded_model
from explain.page import write_page
from explain.runs import read_run
from huggingface.config import LoadingConfig, loading_flags
from tcpe.config import EditConfig
from tcpe.lim import Lim, parse_lim
from tcpe.saved import MADE_WITH
from util.cli import ArgumentParser
from util.errors import CheckpointError, UserError
from util.files import check_writable
from util.flags import add_flags
from util.texts import Texts

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from tcpe.contexts import RequestContexts
    from tcpe.update import Edit

PAGE = "neurons.html"
NEURONS, TEXTS = 8, 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """The edit that a page is about, and the model that it is of.

    Attributes:
        edit: in the columns that the run applied, or those that are active.
        model: flags of the model by name: MODEL_NAME, TC_layer_file and those that say how they are loaded.
        dataset: the texts that its statistics were taken of; "" if that is not known.
        page: where its page lies by default.
    """

    edit: "Edit"
    model: dict[str, Any]
    dataset: str
    page: Path


def find_subject(target: str, lim: Lim | None = None) -> Subject:
    """The edit of the run in the folder ``target``, or the saved update ``UPDATE[:LIM[:DECAY]]``.

    Args:
        lim: which columns are active; by default as the run applied it, or 0.1 for an update.

    Raises:
        UserError: if there is none, the run has not ended or applies several, or the update is a merged one.
    """
    from tcpe.edits import find_update, load_edit
    from tcpe.update import Edit, RankOneUpdate

    if (Path(target) / RUN_FILE).is_file():
        run = read_run(target)
        if not run.updates:
            raise UserError(f"The run in {target} ({run.method}) has no saved update with a key; give one of TCPE_pre or TCPE.")
        if len(run.updates) > 1:
            raise UserError(f"The run in {target} applies {len(run.updates)} edits; name one of them: {', '.join(map(str, run.updates))}.")
        config: EditConfig = run.config
        _, own_lim, decay = config.edits[0]
        applied = Edit(RankOneUpdate.load(run.updates[0]))
        if run.flags["alg_name"] == "TCPE":
            applied = applied.at(own_lim, decay, config.abla_exp)
        if lim is not None:
            applied = applied.at(lim, applied.decay, applied.ablation)
        return Subject(applied, dict(run.flags), config.mom2_dataset, Path(target) / PAGE)
    edit = load_edit(target, 0.1 if lim is None else lim)
    if not isinstance(edit, Edit):
        raise UserError(f"{target} is a merged update, which has no key of its own; name one that it was merged from.")
    stem = find_update(target if Path(target).is_dir() else target.partition(":")[0])
    made_with = edit.update.details.get(MADE_WITH, {})
    return Subject(edit, {"layer_num": edit.layer, **made_with}, "", stem.with_name(f"{stem.name}_{PAGE}"))


def write_neurons(
    target: str,
    path: str | Path | None = None,
    *,
    n_neurons: int = NEURONS,
    dataset: str = "",
    n_texts: int = TEXTS,
    lim: Lim | None = None,
    model_flags: dict[str, Any] | None = None,
    model_and_tokenizer: "tuple[PreTrainedModel, PreTrainedTokenizerFast] | None" = None,
) -> Path:
    """Write the page of the neurons of an edit (see ``find_subject``), and return where it is.

    Args:
        path: of the page; an interrupted pass over the texts is kept beside it, and continued by the same call.
        n_neurons: the active neurons that are shown, those that carry most of the change of v, and as many inactive ones for contrast.
        dataset: the texts in which the neurons are watched, as ``util.texts.Texts`` takes it; by default those of the edit's statistics.
        n_texts: at most so many of them.
        model_flags: MODEL_NAME, TC_layer_file and others, where they are not those that made the edit.
        model_and_tokenizer: the edit's model without its transcoder, if it is loaded already; it is left as it is.

    Raises:
        UserError: if the edit or a file is not there, the edit is of another model or transcoder, the texts hold no text, or the page cannot
            be written; an earlier page is then as it was.
    """
    subject = find_subject(target, lim)
    names = subject.model | (model_flags or {})
    if not (dataset := dataset or subject.dataset):
        raise UserError(f"{target} does not say in which texts to watch its neurons; give --dataset.")
    if not names.get("MODEL_NAME"):
        raise CheckpointError(f"{target} does not say which model it is of; give --MODEL_NAME, and --TC_layer_file if it is of a transcoder.")
    edit = subject.edit
    texts = TextStream(dataset, n_texts)
    path = Path(path) if path else subject.page
    check_writable(path.parent)
    with loaded_model(names, model_and_tokenizer) as (model, tokenizer, transcoder):
        edit.check(model)
        data = _Page(model, tokenizer, edit, transcoder is None, n_neurons).data(texts, path.with_name(f".{path.name}.part"))
    data["texts"] |= {"name": _shown_path(dataset)}
    write_page(path, f"Neurons of {data['title']} – TCPE", ["features", "neurons"], data)
    return path


def _shown_path(name: str) -> str:
    """A path below the current folder as it is seen from there; any other name as it is."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else name


class TextStream:
    """The first ``n`` texts of a dataset that are not empty, read anew whenever it is iterated.

    Raises:
        UserError: if the dataset cannot be read or holds no text.
    """

    def __init__(self, name: str, n: int) -> None:
        self._texts, self._n = Texts(name), n
        if next(iter(self), None) is None:
            raise UserError(f"{name} holds no text; give another --dataset.")

    def __iter__(self) -> Iterator[str]:
        return islice((text for text in self._texts.read() if text.strip()), self._n)


class _Page:
    """What the page says, computed with the model."""

    def __init__(
        self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", edit: "Edit", of_mlp: bool, n_neurons: int
    ) -> None:
        from tcpe.contexts import build_contexts
        from tcpe.request import EditRequest

        self._model, self._tokenizer, self._edit, self._of_mlp = model, tokenizer, edit, of_mlp
        details = edit.update.details
        self._request = EditRequest(**details["request"])
        fact_token = details.get("fact_token", "subject_last")
        self._contexts: RequestContexts = build_contexts(tokenizer, self._request, details.get("templates", []), fact_token)
        carried = (edit.update.key * edit.update.key_direction).abs()
        active = edit.columns()
        self._active = active[carried[active].argsort(descending=True, stable=True)][:n_neurons].tolist()
        others = np.setdiff1d(np.arange(len(carried)), active.numpy())
        drawn = np.random.default_rng(0).permutation(others)[: len(self._active)]
        self._features = [*self._active, *np.sort(drawn).tolist()]

    def data(self, texts: "TextStream", checkpoint: Path) -> dict[str, Any]:
        """The page's values, as JSON."""
        from huggingface.feature_contexts import FeatureContexts, collect_contexts

        edit, key = self._edit, self._edit.update.key
        # A neuron of an MLP is hardly ever exactly zero; it counts as firing where it would count as active, or like those shown if all do.
        firing_at = self._active if edit.lim == -1 else edit.active()
        threshold = float(key[firing_at].abs().min()) * (1 - 1e-6) if self._of_mlp else 0.0
        signed = self._of_mlp or bool((key < 0).any())
        contexts = FeatureContexts(self._features, np.full(len(self._features), threshold, np.float32), signed)
        collect_contexts(self._model, self._tokenizer, edit.layer, contexts, texts, checkpoint)
        written = self._written()
        causes = self._causes()
        shown = self._at_the_edit()
        direction = edit.update.key_direction
        norm, along = float(direction.square().sum()), float((key * direction).sum())
        columns = set(edit.columns().tolist())
        neurons = [
            {
                "feature": feature,
                "active": feature in columns,
                "key": key[feature].item(),
                "rank": int((key.abs() > key[feature].abs()).sum()) + 1,
                "share_of_norm": direction[feature].item() ** 2 / norm,
                "share_of_value": (key[feature] * direction[feature]).item() / along,
                **firing(self._tokenizer, contexts, feature),
                "at_the_edit": shown[number],
                "promoted": written[number],
                **causes["of"].get(feature, {}),
            }
            for number, feature in enumerate(self._features)
        ]
        request = self._request
        return {
            "title": request.brief_description.removeprefix("Error: ") or f"request {request.error}",
            "target": request.target_new,
            "layer": edit.layer,
            "kind": "neuron of the MLP" if self._of_mlp else "feature of the transcoder",
            "n_features": len(key),
            "columns": len(columns),
            "lim": str(edit.lim),
            "ablation": edit.ablation,
            "carried": sum((key[feature] * direction[feature]).item() for feature in columns) / along,
            "threshold": threshold,
            "texts": {"n_texts": contexts.n_texts, "n_tokens": contexts.n_tokens},
            "likelihood": {name: causes[name] for name in ("before", "after")},
            "neurons": neurons,
        }

    def _at_the_edit(self) -> list[dict[str, Any]]:
        """For each feature the end of the request's own prompt up to the edited token and a little beyond, with its activations."""
        import torch

        from huggingface.activations import Point, read_activations
        from huggingface.feature_contexts import Window
        from huggingface.tokenization import pad

        context, window, point = self._contexts.prompts[0], Window(), Point(self._edit.layer, "neurons")
        with torch.inference_mode():
            batch = pad([context.ids], self._tokenizer.pad_token_id, self._model.device)
            values = read_activations(self._model, [point], **batch._asdict(), use_cache=False)[point][0, :, self._features].float().cpu()
        first = max(0, context.position - window.before)
        rows = slice(first, context.position + 1 + window.after)
        tokens = pieces(self._tokenizer, context.ids[rows])
        return [
            {"tokens": tokens, "values": [round(value, 3) for value in values[rows, column].tolist()], "focus": context.position - first}
            for column in range(len(self._features))
        ]

    def _written(self) -> list[dict[str, Any]]:
        """The tokens that each feature's decoder row promotes and suppresses, before the edit and after it."""
        from tcpe.update import applied

        before = self._logits()
        with applied(self._model, [self._edit]):
            after = self._logits()
        return [{"before": promoted(self._tokenizer, one), "after": promoted(self._tokenizer, other)} for one, other in zip(before, after)]

    def _logits(self) -> "Tensor":
        """What each feature's decoder row adds to the logits straight away, [feature, vocabulary], when its activation is 1, or -1 where it is
        negative at the edit."""
        import torch

        from huggingface.architectures import decoder_weight, down_projection, post_mlp_norm
        from huggingface.stream_ends import direct_logits

        rows = decoder_weight(down_projection(self._model, self._edit.layer))[:, self._features].T.float()
        with torch.inference_mode():
            # A norm behind the MLP makes its own weight of a row of ones; its scale depends on the text.
            post_norm = post_mlp_norm(self._model, self._edit.layer)
            weight = post_norm(torch.ones(rows.shape[1], dtype=self._model.dtype, device=rows.device)).float()
            logits = direct_logits(self._model, rows * weight).cpu()
        return torch.where(self._edit.update.key[self._features, None] < 0, -logits, logits)

    def _causes(self) -> dict[str, Any]:
        """The targets' likelihood before and after the edit, and for each active feature without its column, and with it alone."""
        from explain.causes import Targets

        targets, edit = Targets(self._model, self._tokenizer, self._edit.layer, self._contexts), self._edit
        columns = edit.columns().tolist()
        of = {}
        for feature in self._active:
            others = [column for column in columns if column != feature]
            of[feature] = {
                "without": targets.likelihood([edit.only(others)] if others else [])._asdict(),
                "alone": targets.likelihood([edit.only([feature])])._asdict(),
            }
        return {"before": targets.likelihood()._asdict(), "after": targets.likelihood([edit])._asdict(), "of": of}


def main() -> None:
    parser = ArgumentParser(prog="python -m explain.neurons", description=__doc__)
    parser.add_argument("target", metavar="RUN_OR_UPDATE", help="the folder of a run, or a saved update as python -m tcpe.edits takes it")
    parser.add_argument("--output_path", help=f"the page; by default {PAGE} in the run's folder, or beside the update")
    parser.add_argument("--neurons", type=int, default=NEURONS, help="active neurons to show, and as many inactive ones (default: %(default)s)")
    parser.add_argument("--dataset", default="", help="texts to watch the neurons in: a .txt, .jsonl, .csv or .parquet file, or a hub dataset")
    parser.add_argument("--n_texts", type=int, default=TEXTS, help="at most so many of them (default: %(default)s)")
    parser.add_argument("--lim", type=parse_lim, help="which neurons are active; by default as the run applied it, or 0.1 for an update")
    model = parser.add_argument_group("the model, where it is not the one that made the edit")
    model.add_argument("--MODEL_NAME", help="model folder in Hugging Face's format, or a model's name on the hub")
    model.add_argument("--TC_layer_file", help="transcoder that the edit is of")
    model.add_argument("--TC_sites", nargs=2, help="where it reads and writes; by default what its checkpoint says")
    add_flags(parser, LoadingConfig, "how it is loaded, where not as then")
    arguments = parser.parse_args()
    for name in ("neurons", "n_texts"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, not {getattr(arguments, name)}.")
    names = ("MODEL_NAME", "TC_layer_file", "TC_sites")
    page = write_neurons(
        arguments.target,
        arguments.output_path,
        n_neurons=arguments.neurons,
        dataset=arguments.dataset,
        n_texts=arguments.n_texts,
        lim=arguments.lim,
        model_flags={name: value for name in names if (value := getattr(arguments, name)) is not None} | loading_flags(arguments),
    )
    sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main, continues=True)
