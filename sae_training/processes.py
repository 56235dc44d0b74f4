"""Several processes that train one transcoder: each computes the gradients of its part of every batch.

All of them hold the same weights and the same pool of activations, so that the result is one process's but for the rounding of sums.
"""

import os
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch import distributed as dist


class Processes:
    """The processes that torchrun started, or one alone.

    Attributes:
        rank: this one's number.
        count: how many there are.
    """

    def __init__(self) -> None:
        self.rank, self.count = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        # Activations are gathered by another thread than gradients; in one group their messages would mix.
        self._group = dist.new_group() if self.count > 1 else None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

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

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


def join_processes() -> str | None:
    """Join the processes that torchrun started this one with.

    Returns:
        This process's own GPU; None without one, or without torchrun.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    cuda = torch.cuda.is_available()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
    return f"cuda:{os.environ['LOCAL_RANK']}" if cuda else None
