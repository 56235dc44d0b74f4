"""The value of an edit: what the layer should write at the subject (v*), found by gradient descent."""

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import down_projection, layer_of, layers_of, mlp_of, post_mlp_norm
from huggingface.partial_forward import logits_after
from huggingface.tokenization import pad, positions
from tcpe.compute_u import not_finite
from tcpe.contexts import RequestContexts, check_lengths
from util.errors import EditError
from util.hooks import Trace
from util.memory import out_of_memory_explained
from util.progress import Progress

logger = logging.getLogger(__name__)

IGNORED = -100
"""The label of a position that has no part in the loss."""

EARLY_STOP_STEPS, EARLY_STOP_GAIN, EARLY_STOP_PATIENCE = 500, 1e-3, 3
"""Searches of this many steps or more end, before a further step, once the NLL has improved by less than the gain this often in a row."""


@dataclass(frozen=True)
class ValueSettings:
    """How v* is searched; the defaults are those of the paper's runs.

    Attributes:
        stop_loss: the search ends, before a further step, once the loss is below this; ROME's own code has 0.05.
    """

    learning_rate: float = 0.05
    steps: int = 600
    clamp_norm_factor: float = 4
    kl_factor: float = 0.0625
    weight_decay: float = 1e-3
    stop_loss: float = 0.0


@dataclass(frozen=True)
class Value:
    """v* = start + shift.

    Attributes:
        start: float32 [d_model], v0: what the layer's down projection writes at the token, averaged over the request's plain prompts.
        shift: float32 [d_model], delta.
        losses: per step the terms ``nll``, ``kl``, ``weight_decay`` and their sum ``loss``, before that step's change; a search that
            stops early ends with those that it stopped at, without a further change.
    """

    start: Float[Tensor, " d_model"]
    shift: Float[Tensor, " d_model"]
    losses: list[dict[str, float]]

    @property
    def target(self) -> Float[Tensor, " d_model"]:
        return self.start + self.shift

    @property
    def norms(self) -> dict[str, float]:
        """The lengths of v0, delta and v*."""
        return {name: vector.norm().item() for name, vector in (("v0", self.start), ("delta", self.shift), ("v_star", self.target))}


class _AlignedBatch:
    """The contexts and the essence prompt in one batch, with the token of the edit in the same column of every row.

    Delta changes neither what comes before that token nor the layers up to the edited one, so both are run once: the keys and values
    of the former and the hidden state that the latter return are kept. A step runs only the later layers on the rest of the rows,
    whose column 0 is the token of the edit, and unembeds only the columns that the loss reads.

    Attributes:
        written: float32 [row, d_model], what the layer's down projection writes at the token of the edit.
        labels: int64 [row, kept column], the target's token to be predicted there, or ``IGNORED``; the last row is the essence's.
        before: float32 [vocabulary], the essence's next-token log-probabilities without delta.

    Raises:
        EditError: if the layer does not write what its row in the table of architectures says.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, contexts: RequestContexts) -> None:
        self._model, self._layer = model, layer
        rows = [*contexts.prompts, contexts.essence]
        heads = [row.ids[: row.position] for row in rows]
        tails = [row.ids[row.position :] + target[:-1] for row, target in zip(contexts.prompts, contexts.targets)]
        tails.append([contexts.essence.ids[contexts.essence.position]])
        prefix = pad(heads, tokenizer.pad_token_id, model.device, side="left")
        rest = pad(tails, tokenizer.pad_token_id, model.device, side="right")
        labels = torch.full(rest.input_ids.shape, IGNORED)
        for row, (tail, target) in enumerate(zip(tails, contexts.targets)):
            labels[row, len(tail) - len(target) : len(tail)] = torch.tensor(target)
        columns = (labels != IGNORED).any(0)
        columns[0] = True  # the essence's
        self._columns = columns.nonzero().flatten().tolist()

        self._cache = None
        if prefix.input_ids.shape[1]:
            self._cache = model(**prefix._asdict(), use_cache=True, logits_to_keep=1).past_key_values
        mask = torch.cat([prefix.attention_mask, rest.attention_mask], dim=1)
        self._inputs: dict[str, Any] = {
            "input_ids": rest.input_ids,
            "attention_mask": mask,
            "position_ids": positions(mask)[:, prefix.input_ids.shape[1] :],
            "use_cache": self._cache is not None,
        }
        projection, whole_layer = down_projection(model, layer), layer_of(model, layer)
        with Trace(projection) as inside, Trace(mlp_of(model, layer)) as mlp, Trace(whole_layer) as outside:
            logits = model(**self._inputs_with_cache(), logits_to_keep=self._columns).logits
        self.before = logits[-1, 0].float().log_softmax(-1)
        self.labels = labels[:, columns].to(self.before.device)
        self.written, self._mlp_output, self._state = inside.output[:, 0].float(), mlp.output[:, 0].float(), outside.output
        if self.written.shape != self._mlp_output.shape:
            raise self._unlike_the_table()
        self._post_norm = post_mlp_norm(model, layer)
        self._residual = self._state[:, 0].float() - self._post_norm(self._mlp_output)

        probe = self.written.flip(-1)
        with Trace(whole_layer, stop=True) as outside, Trace(projection, edit_output=lambda output: _add_first(output, probe)):
            model(**self._inputs_with_cache())
        change, expected = outside.output - self._state, self._state_with(probe) - self._state
        rounding = torch.finfo(self._state.dtype).eps * self._state.float().norm()
        if (change - expected).float().norm() > 1e-2 * expected.float().norm() + 4 * rounding:
            raise self._unlike_the_table()

    def _unlike_the_table(self) -> EditError:
        return EditError(
            f"Layer {self._layer} of this {type(self._model).__name__} does not write what its down projection puts out in the way that "
            "huggingface/architectures.py says; correct the family's row there."
        )

    def _inputs_with_cache(self) -> dict[str, Any]:
        """What the model's forward takes for the rest of the rows. The cache may grow: it shares its tensors, but not their lists."""
        if self._cache is None:
            return self._inputs
        cache = copy.copy(self._cache)
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        return self._inputs | {"past_key_values": cache}

    def _state_with(self, delta: Float[Tensor, "*row d_model"]) -> Float[Tensor, "row column d_model"]:
        """What the layer returns when ``delta`` is added to what its down projection writes."""
        first = self._residual + self._post_norm(self._mlp_output + delta)
        return torch.cat([first[:, None].to(self._state.dtype), self._state[:, 1:]], dim=1)

    def logits(self, delta: Float[Tensor, " d_model"]) -> Float[Tensor, "row column vocabulary"]:
        """The model's logits with ``delta``, float32, in the columns of ``labels``."""
        return logits_after(self._model, self._layer, self._state_with(delta), self._columns, **self._inputs_with_cache()).float()


def _add_first(output: Float[Tensor, "row column d_model"], delta: Float[Tensor, "row d_model"]) -> Float[Tensor, "row column d_model"]:
    """``output`` with ``delta`` added in column 0."""
    return torch.cat([output[:, :1] + delta[:, None].to(output.dtype), output[:, 1:]], dim=1)


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


def _diverged(step: int) -> EditError:
    return EditError(f"The search for the value diverged at step {step}; lower --v_lr, or use --dtype bfloat16 or float32.")


@out_of_memory_explained()
def compute_value(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    layer: int,
    contexts: RequestContexts,
    settings: ValueSettings = ValueSettings(),
    log: Callable[[Mapping[str, float]], object] = lambda _: None,
) -> Value:
    """Find the shift delta that, added to what ``layer`` writes at the token of the edit, makes the target likely.

    The loss is the target's NLL (summed over its tokens, divided by the mean target length, averaged over contexts)
    + ``kl_factor`` KL(essence prompt's next-token distribution with delta || without)
    + ``weight_decay`` (|delta| / |v0|)^2. After each Adam step delta is put back into the ball |delta| <= clamp_norm_factor |v0|.

    Args:
        log: takes the terms of each step as soon as they are known, as ``Value.losses`` keeps them.

    Returns:
        On the CPU. The model is as before, also after an error.

    Raises:
        EditError: if delta cannot reach the target, a loss or delta is not finite, the layer writes nothing or not what the table of
            architectures says, or memory runs out.
        UserError: if a prompt with its target is longer than the model's context.

    Source: ROME, equation (4). The weight decay is TCPE's, of the squared relative length; ROME's own code has |delta| / |v0|^2, where the
    length is not squared, so that its factor means something else.
    """
    check_lengths(model, contexts)
    if layer == len(layers_of(model)) - 1 and any(context.position < len(context.ids) - 1 for context in contexts.prompts):
        raise EditError(
            f"Layer {layer} is the last, so what it writes before the prompt's last token cannot reach the target; give an earlier --layer_num or "
            "--fact_token last."
        )
    with _frozen(model):
        with torch.no_grad():
            batch = _AlignedBatch(model, tokenizer, layer, contexts)
        plain = torch.tensor([context.plain for context in contexts.prompts] + [False], device=batch.written.device)
        start = batch.written[plain].mean(0)
        if not start.isfinite().all() or not batch.before.isfinite().all():
            raise not_finite(layer)
        if not start.any():
            raise EditError(f"Layer {layer} writes nothing at the token of the edit; choose another --fact_token, subject or layer.")
        target_tokens = sum(map(len, contexts.targets))
        delta = torch.zeros_like(start, requires_grad=True)
        optimizer = torch.optim.Adam([delta], lr=settings.learning_rate)
        losses: list[dict[str, float]] = []
        stalled = 0
        for _ in (progress := Progress(range(settings.steps), desc="value", leave=False)):
            logits = batch.logits(delta)
            nll = functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, reduction="sum")
            # The mean target length times the number of contexts is the number of all their target tokens.
            nll = nll / target_tokens
            kl = functional.kl_div(batch.before, logits[-1, 0].log_softmax(-1), log_target=True, reduction="sum")
            decay = (delta.square().sum() / start.square().sum()).to(nll.device)
            loss = nll + settings.kl_factor * kl + settings.weight_decay * decay
            terms = torch.stack([nll, kl, decay, loss]).tolist()  # one transfer from a GPU, where four would each wait for it
            losses.append(dict(zip(("nll", "kl", "weight_decay", "loss"), terms)))
            progress.set_postfix(losses[-1])
            log(losses[-1])
            if not math.isfinite(losses[-1]["loss"]):
                raise _diverged(len(losses))
            if losses[-1]["loss"] < settings.stop_loss:
                break
            if settings.steps >= EARLY_STOP_STEPS and len(losses) > 1:
                stalled = stalled + 1 if losses[-2]["nll"] - losses[-1]["nll"] < EARLY_STOP_GAIN else 0
                if stalled == EARLY_STOP_PATIENCE:
                    break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                limit = settings.clamp_norm_factor * start.norm()
                delta.mul_((limit / delta.norm()).clamp(max=1))
            if not delta.isfinite().all():
                raise _diverged(len(losses))
    if losses:
        logger.info("Value after %d steps: NLL %.4f -> %.4f", len(losses), losses[0]["nll"], losses[-1]["nll"])
    return Value(start.cpu(), delta.detach().cpu(), losses)


compute_v = compute_value
"""The search by the name that ROME's code gives it."""
