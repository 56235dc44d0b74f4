"""A bounded pool of activations that is served in random order and filled up from the model."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from sae_training.checkpoint import expect, is_number, is_plain
from sae_training.hooked_model import Activations, HookedModel, pad_contexts, stands_in
from sae_training.processes import Processes
from util.progress import Progress

Pair = tuple[Float[Tensor, "token d_in"], Float[Tensor, "token d_out"]]


class ActivationBuffer:
    """Serves batches of activations of the watched layers, the same tokens for all of them.

    Half of the pool is served, then the served half is overwritten with new activations and everything mixed anew, so that tokens of one
    text are far apart (transcoder_circuits' store). Memory: ``capacity`` tokens, those of one model batch a process, and half of
    ``capacity`` again if they are read ahead.

    Args:
        contexts: endless contexts of token ids.
        capacity: tokens in the pool.
        store_batch_size: contexts that the model reads at a time.
        keep_first_token: whether a context's first token is served.
        seed: of the order.
        read_ahead: whether the model reads the next texts while the last ones are served. The batches are the same either way.
        processes: who share the model's work.
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
        read_ahead: bool = False,
        processes: Processes | None = None,
    ) -> None:
        self._model, self._tokenizer, self._contexts, self._device = model, tokenizer, contexts, device
        self._capacity, self._store_batch_size, self._keep_first = capacity, store_batch_size, keep_first_token
        self._generator = torch.Generator().manual_seed(seed)
        self._processes = processes or Processes()
        self.pool: dict[int, Pair] = {}
        self._waiting: deque[dict[int, Pair]] = deque()
        self._order = torch.arange(capacity)
        self._served = capacity
        self._reader = ThreadPoolExecutor(1, "activations") if read_ahead else None
        self._reading: Future[None] | None = None

    def fill(self) -> None:
        """Overwrite what was served with new activations, and mix."""
        free = self._order[: self._served].to(self._device)
        self.settle()
        with Progress(total=len(free), desc="activations", unit=" tokens", leave=False) as progress:
            self._read(len(free), progress)
        done = 0
        while done < len(free):
            new = self._waiting.popleft()
            tokens = _tokens(new)
            taken = min(tokens, len(free) - done)
            for layer, (x, y) in new.items():
                empty = x.new_empty(self._capacity, x.shape[1]), y.new_empty(self._capacity, y.shape[1])
                for target, part in zip(self.pool.setdefault(layer, empty), (x, y)):
                    target[free[done : done + taken]] = part[:taken]
            if taken < tokens:
                self._waiting.appendleft({layer: (x[taken:].clone(), y[taken:].clone()) for layer, (x, y) in new.items()})
            done += taken
        self._order = torch.randperm(self._capacity, generator=self._generator)
        self._served = 0

    def settle(self) -> None:
        """Wait until the model is not read any more, so that it can be used for something else.

        Raises:
            What reading raised.
        """
        if self._reading is not None:
            reading, self._reading = self._reading, None
            reading.result()

    def _read(self, tokens: int, progress: "Progress | None" = None) -> None:
        """Read on until as many tokens wait."""
        waiting = sum(map(_tokens, self._waiting))
        while waiting < tokens:
            for new in self._next_activations():
                self._waiting.append(new)
                waiting += _tokens(new)
                if progress is not None:
                    progress.update(_tokens(new))

    def _read_in_thread(self, tokens: int, threads: int) -> None:
        torch.set_num_threads(threads)  # which a new thread does not take over, and on which the last bits depend
        self._read(tokens)

    def _next_activations(self) -> list[dict[int, Pair]]:
        """Those of as many batches of contexts as there are processes."""
        batches = [[next(self._contexts) for _ in range(self._store_batch_size)] for _ in range(self._processes.count)]
        batch = pad_contexts(batches[self._processes.rank], self._tokenizer, self._device)
        kept = stands_in(batch, self._keep_first)
        found = {layer: select(activations, kept, self._device) for layer, activations in self._model.activations(batch).items()}
        parts = self._processes.gathered([part for pair in found.values() for part in pair])
        return [dict(zip(found, zip(tensors[::2], tensors[1::2], strict=True), strict=True)) for tensors in parts]

    def next_batch(self, size: int, left: int) -> dict[int, Pair]:
        """``size`` tokens of the pool, float32: inputs and outputs of each watched layer.

        Args:
            left: batches of this size that will still be taken, this one included; no text is read ahead for more.
        """
        half = self._capacity // 2
        if self._served + size > half:
            self.fill()
        if self._reader is not None and self._reading is None and left > (half - self._served) // size:
            # As many tokens as will have been served, since the contexts behind them may be for something else.
            self._reading = self._reader.submit(self._read_in_thread, half // size * size, torch.get_num_threads())
        rows = self._order[self._served : self._served + size].to(self._device)
        self._served += size
        return {layer: (x[rows].float(), y[rows].float()) for layer, (x, y) in self.pool.items()}

    def state(self) -> dict[str, Any]:
        """Everything that decides which batches come; the tensors are not copied."""
        self.settle()
        return {
            "pool": self.pool,
            "waiting": list(self._waiting),
            "order": self._order,
            "served": self._served,
            "generator": self._generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was.

        Raises:
            ValueError: if it is of another buffer.
        """

        def on_device(pairs: dict[int, Pair]) -> dict[int, Pair]:
            parts = [part for pair in pairs.values() for part in pair]
            expect(pairs.keys() == state["pool"].keys() and all(len(pair) == 2 for pair in pairs.values()), "a buffered layer")
            expect(all(is_plain(part) and part.is_floating_point() and part.shape[:-1] == parts[0].shape[:1] for part in parts), "what is buffered")
            return {layer: (x.to(self._device), y.to(self._device)) for layer, (x, y) in pairs.items()}

        order, served = state["order"], state["served"]
        expect(is_plain(order) and order.sort().values.equal(torch.arange(self._capacity)), "the buffer's order")
        expect(is_number(served, self._capacity), "what was served")
        self.pool, self._waiting = on_device(state["pool"]), deque(map(on_device, state["waiting"]))
        expect({_tokens(self.pool)} == {self._capacity}, "the buffer's size")
        self._order, self._served = order, served
        self._generator.set_state(state["generator"])


def _tokens(activations: dict[int, Pair]) -> int:
    """How many tokens' activations these are."""
    return len(next(iter(activations.values()))[0])


def select(activations: Activations, kept: Tensor, device: torch.device) -> Pair:
    """The rows of the tokens in the mask ``kept``, on ``device``."""
    inputs, outputs = (part[kept.to(part.device)].to(device) for part in activations)
    return inputs, outputs
