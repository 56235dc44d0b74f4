"""Several processes that train one transcoder: each computes the gradients of its part of every batch.

All of them hold the same weights and the same pool of activations, so that the result is one process's but for the rounding of sums.
"""

from collections.abc import Iterable, Sequence

from torch import Tensor
from torch import distributed as dist

from util.processes import Processes as SharedProcesses
from util.processes import join_processes

__all__ = ["Processes", "join_processes"]


class Processes(SharedProcesses):
    """The processes that torchrun started, or one alone."""

    def __init__(self) -> None:
        super().__init__()
        # Activations are gathered by another thread than gradients; in one group their messages would mix.
        self._group = dist.new_group() if self.count > 1 else None

    def part(self, size: int) -> slice:
        """This process's part of ``size`` things in a row."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by the sum of those of all processes."""
        if self.count > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def gathered(self, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
        """The tensors of all processes, in their order: from each as many, of the same widths but any number of rows."""
        if self.count == 1:
            return [list(tensors)]
        sizes: list[list[int]] = [[] for _ in range(self.count)]
        dist.all_gather_object(sizes, [len(tensor) for tensor in tensors], group=self._group)
        found = []
        for rank, rows in enumerate(sizes):
            mine = rank == self.rank
            parts = [tensor.contiguous() if mine else tensor.new_empty(n, *tensor.shape[1:]) for tensor, n in zip(tensors, rows, strict=True)]
            for part in parts:
                dist.broadcast(part, rank, group=self._group)
            found.append(parts)
        return found
