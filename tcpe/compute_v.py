"""The value of an edit: what the layer should write at the subject (v*), found by gradient descent."""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from tqdm import trange
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import down_projection
from huggingface.tokenization import pad, positions
from tcpe.contexts import RequestContexts
from util.errors import EditError
from util.hooks import Trace

logger = logging.getLogger(__name__)

IGNORED = -100
"""The label of a position that has no part in the loss."""

EARLY_STOP_STEPS, EARLY_STOP_GAIN, EARLY_STOP_PATIENCE = 500, 1e-3, 3
"""Runs of this many steps or more end once the NLL has improved by less than the gain this often in a row."""


@dataclass(frozen=True)
class ValueSettings:
    """How v* is searched; the defaults are those of the paper's runs."""

    learning_rate: float = 0.05
    steps: int = 600
    clamp_norm_factor: float = 4
    kl_factor: float = 0.0625
    weight_decay: float = 1e-3


@dataclass(frozen=True)
class Value:
    """v* = start + shift.

    Attributes:
        start: float32 [d_model], v0: what the layer's down projection writes at the token, averaged over the request's plain prompts.
        shift: float32 [d_model], delta.
        losses: per step the terms ``nll``, ``kl``, ``weight_decay`` and their sum ``loss``, before that step's change.
    """

    start: Float[Tensor, " d_model"]
    shift: Float[Tensor, " d_model"]
    losses: list[dict[str, float]]

    @property
    def target(self) -> Float[Tensor, " d_model"]:
        return self.start + self.shift


class _AlignedBatch:
    """The contexts and the essence prompt in one batch, with the token of the edit in the same column of every row.

    What comes before that token cannot change with delta: it is run once and its keys and values are kept. A step then runs only
    the rest, whose column 0 is the token of the edit.

    Attributes:
        labels: int64 [row, column], the target's token to be predicted there, or ``IGNORED``; the last row is the essence's.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, contexts: RequestContexts) -> None:
        self._model = model
        rows = [*contexts.prompts, contexts.essence]
        heads = [row.ids[: row.position] for row in rows]
        tails = [row.ids[row.position :] + target[:-1] for row, target in zip(contexts.prompts, contexts.targets)]
        tails.append([contexts.essence.ids[contexts.essence.position]])
        prefix = pad(heads, tokenizer.pad_token_id, model.device, side="left")
        rest = pad(tails, tokenizer.pad_token_id, model.device, side="right")
        self._inputs: dict[str, Any] = {"input_ids": rest.input_ids}
        self._cache = None
        if prefix.input_ids.shape[1]:
            self._cache = model(**prefix._asdict(), use_cache=True, logits_to_keep=1).past_key_values
        self._inputs["attention_mask"] = torch.cat([prefix.attention_mask, rest.attention_mask], dim=1)
        self._inputs["position_ids"] = positions(self._inputs["attention_mask"])[:, prefix.input_ids.shape[1] :]
        self.labels = torch.full_like(rest.input_ids, IGNORED)
        for row, (tail, target) in enumerate(zip(tails, contexts.targets)):
            self.labels[row, len(tail) - len(target) : len(tail)] = torch.tensor(target, device=model.device)

    def logits(self) -> Float[Tensor, "row column vocabulary"]:
        """The model's logits for the rest of every row, float32."""
        return self._model(**self._inputs, past_key_values=_shallow_copy(self._cache), use_cache=self._cache is not None).logits.float()


def _shallow_copy(cache: Any) -> Any:
    """A key/value cache that can grow without changing ``cache``; the tensors are shared."""
    if cache is None:
        return None
    fresh = copy.copy(cache)
    fresh.layers = [copy.copy(layer) for layer in cache.layers]
    return fresh


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """While open, no parameter takes part in differentiation."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def compute_value(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    layer: int,
    contexts: RequestContexts,
    settings: ValueSettings = ValueSettings(),
) -> Value:
    """Find the shift delta that, added to what ``layer`` writes at the token of the edit, makes the target likely.

    The loss is the target's NLL (summed over its tokens, divided by the mean target length, averaged over contexts)
    + ``kl_factor`` KL(essence prompt's next-token distribution with delta || without)
    + ``weight_decay`` (|delta| / |v0|)^2. After each Adam step delta is put back into the ball |delta| <= clamp_norm_factor |v0|.

    Returns:
        On the CPU. The model is as before.

    Raises:
        EditError: if the loss is not finite.

    Source: ROME, equation (4).
    """
    projection = down_projection(model, layer)
    with _frozen(model):
        with torch.no_grad():
            batch = _AlignedBatch(model, tokenizer, contexts)
            with Trace(projection) as trace:
                essence_before = batch.logits()[-1, 0].log_softmax(-1)
        plain = torch.tensor([context.plain for context in contexts.prompts] + [False], device=trace.output.device)
        start = trace.output[:, 0].float()[plain].mean(0)
        target_tokens = sum(map(len, contexts.targets))
        delta = torch.zeros_like(start, requires_grad=True)
        optimizer = torch.optim.Adam([delta], lr=settings.learning_rate)
        losses: list[dict[str, float]] = []
        stalled = 0

        def add_delta(output: Tensor) -> Tensor:
            return torch.cat([output[:, :1] + delta.to(output.dtype), output[:, 1:]], dim=1)

        for _ in (progress := trange(settings.steps, desc="value", disable=None, leave=False)):
            with Trace(projection, edit_output=add_delta):
                logits = batch.logits()
            nll = functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, reduction="sum")
            # The mean target length times the number of contexts is the number of all their target tokens.
            nll = nll / target_tokens
            essence = logits[-1, 0].log_softmax(-1)
            kl = functional.kl_div(essence_before, essence, log_target=True, reduction="sum")
            decay = delta.square().sum() / start.square().sum()
            loss = nll + settings.kl_factor * kl + settings.weight_decay * decay
            losses.append({"nll": nll.item(), "kl": kl.item(), "weight_decay": decay.item(), "loss": loss.item()})
            if not torch.isfinite(loss):
                raise EditError(f"The search for the value diverged at step {len(losses)}; lower --v_lr, or use --dtype float32.")
            progress.set_postfix(losses[-1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                limit = settings.clamp_norm_factor * start.norm()
                delta.mul_((limit / delta.norm()).clamp(max=1))
            if settings.steps >= EARLY_STOP_STEPS and len(losses) > 1:
                stalled = stalled + 1 if losses[-2]["nll"] - losses[-1]["nll"] < EARLY_STOP_GAIN else 0
                if stalled == EARLY_STOP_PATIENCE:
                    break
    if losses:
        logger.info("Value after %d steps: NLL %.4f -> %.4f", len(losses), losses[0]["nll"], losses[-1]["nll"])
    return Value(start.cpu(), delta.detach().cpu(), losses)
