"""What the columns of an edit do: how likely the request's targets become with all of them, without one, or with one alone."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.activations import Point, read_activations
from huggingface.partial_forward import logits_after
from huggingface.tokenization import pad
from tcpe.compute_v import IGNORED
from tcpe.contexts import RequestContexts
from tcpe.update import applied
from tcpe.weight_edit import WeightEdit

ROWS = 16
"""Contexts in a forward pass."""


class Likelihood(NamedTuple):
    """How the model continues the contexts of a request.

    Attributes:
        nll: of the targets, a token; the mean over all their tokens.
        written: in how many contexts the whole target is what the model writes, token by token.
        contexts: how many there are.
    """

    nll: float
    written: int
    contexts: int


class Targets:
    """The contexts of a request with their targets, read up to the edited layer once.

    Args:
        layer: the one that edits will change; it and what follows is computed for each edit.
    """

    @torch.inference_mode()
    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, contexts: RequestContexts) -> None:
        self._model, self._layer = model, layer
        self._batches: list[tuple[Tensor, dict[str, Tensor], Tensor]] = []
        pairs = sorted(zip(contexts.prompts, contexts.targets), key=lambda pair: len(pair[0].ids))
        for start in range(0, len(pairs), ROWS):
            rows = pairs[start : start + ROWS]
            batch = pad([context.ids + target[:-1] for context, target in rows], tokenizer.pad_token_id, model.device)
            longest = max(len(target) for _, target in rows)
            labels = torch.tensor([[IGNORED] * (longest - len(target)) + target for _, target in rows])
            point = Point(layer, "resid_pre")
            self._batches.append((read_activations(model, [point], **batch._asdict(), use_cache=False)[point], batch._asdict(), labels))

    @torch.inference_mode()
    def likelihood(self, edits: Sequence[WeightEdit] = ()) -> Likelihood:
        """Of the targets, with ``edits`` in place; the model is left as it was.

        Raises:
            EditError: if an edit does not fit the model.
        """
        nll, written, count, contexts = 0.0, 0, 0, 0
        with applied(self._model, edits):
            for state, batch, labels in self._batches:
                width = batch["input_ids"].shape[1]
                columns = list(range(width - labels.shape[1], width))
                logits = logits_after(self._model, self._layer - 1, state, columns, **batch, use_cache=False).float().cpu()
                known = labels != IGNORED
                likelihoods = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
                nll -= likelihoods[known].double().sum().item()
                written += int(((logits.argmax(-1) == labels) | ~known).all(1).sum())
                count += int(known.sum())
                contexts += len(labels)
        return Likelihood(nll / count, written, contexts)
