"""A bounded pool of activations that is served in random order and filled up from the model."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from sae_training.hooked_model import Activations, HookedModel, pad_contexts
from util.progress import Progress

Pair = tuple[Float[Tensor, "token d_in"], Float[Tensor, "token d_out"]]


class ActivationBuffer:
    """Serves batches of activations of the watched layers, the same tokens for all of them.

    Half of the pool is served, then the served half is overwritten with new activations and everything mixed anew, so that tokens of one
    text are far apart (transcoder_circuits' store). Memory: ``capacity`` tokens, and those of one model batch.

    Args:
        contexts: endless contexts of token ids.
        capacity: tokens in the pool.
        store_batch_size: contexts that the model reads at a time.
        keep_first_token: whether a context's first token is served.
        seed: of the order.
    """

    def __init__(
        self,
        model: HookedModel,
        tokenizer: PreTrainedTokenizerFast,
        contexts: Iterator[list[int]],
        device: torch.device,
        capacity: int,
        store_batch_size: int,
        keep_first_token: bool,
        seed: int,
    ) -> None:
        self._model, self._tokenizer, self._contexts, self._device = model, tokenizer, contexts, device
        self._capacity, self._store_batch_size, self._keep_first = capacity, store_batch_size, keep_first_token
        self._generator = torch.Generator().manual_seed(seed)
        self.pool: dict[int, Pair] = {}
        self._pending: dict[int, Pair] = {}
        self._order = torch.arange(capacity)
        self._served = capacity

    def fill(self) -> None:
        """Overwrite what was served with new activations, and mix."""
        free = self._order[: self._served].to(self._device)
        done = 0
        with Progress(total=len(free), desc="activations", unit=" tokens", leave=False) as progress:
            while done < len(free):
                new = self._pending or self._next_activations()
                taken = min(len(next(iter(new.values()))[0]), len(free) - done)
                for layer, pair in new.items():
                    pool = self.pool.setdefault(layer, tuple(part.new_empty(self._capacity, part.shape[1]) for part in pair))
                    for target, part in zip(pool, pair):
                        target[free[done : done + taken]] = part[:taken]
                self._pending = {layer: (x[taken:].clone(), y[taken:].clone()) for layer, (x, y) in new.items() if len(x) > taken}
                done += taken
                progress.update(taken)
        self._order = torch.randperm(self._capacity, generator=self._generator)
        self._served = 0

    def _next_activations(self) -> dict[int, Pair]:
        batch = pad_contexts([next(self._contexts) for _ in range(self._store_batch_size)], self._tokenizer, self._device)
        kept = batch.attention_mask.bool()
        if not self._keep_first:
            kept[:, 0] = False
        return {layer: select(activations, kept) for layer, activations in self._model.activations(batch).items()}

    def next_batch(self, size: int) -> dict[int, Pair]:
        """``size`` tokens of the pool, float32: inputs and outputs of each watched layer."""
        if self._served + size > self._capacity // 2:
            self.fill()
        rows = self._order[self._served : self._served + size].to(self._device)
        self._served += size
        return {layer: (x[rows].float(), y[rows].float()) for layer, (x, y) in self.pool.items()}

    def state(self) -> dict[str, Any]:
        """Everything that decides which batches come; the tensors are not copied."""
        return {
            "pool": self.pool,
            "pending": self._pending,
            "order": self._order,
            "served": self._served,
            "generator": self._generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was."""
        for name in ("pool", "pending"):
            pairs = {int(layer): tuple(part.to(self._device) for part in pair) for layer, pair in state[name].items()}
            setattr(self, name if name == "pool" else "_pending", pairs)
        self._order, self._served = state["order"], state["served"]
        self._generator.set_state(state["generator"])


def select(activations: Activations, kept: Tensor) -> Pair:
    """The rows of the tokens in the mask ``kept``."""
    return activations.inputs[kept].clone(), activations.outputs[kept].clone()
