"""Several processes that share one run, as torchrun starts them: each computes a part, and the first one puts the parts together and writes."""

import logging
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

LONGEST_WAIT = timedelta(days=7)
"""For a process that computes alone; where one dies, torchrun ends the others at once."""

_Value = TypeVar("_Value")


class Processes:
    """The processes that torchrun started, or one alone.

    Attributes:
        rank: this one's number.
        count: how many there are.
    """

    def __init__(self) -> None:
        self.rank, self.count = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()

    def share(self, value: _Value) -> _Value:
        """What the first process gives here, in all of them."""
        if self.count == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def any(self, value: bool) -> bool:
        """Whether it is so in one of them."""
        if self.count == 1:
            return value
        found = torch.tensor([int(value)])
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def collected(self, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
        """The tensors of all processes, in their order, on the CPU of the first; the others get nothing.

        Each may give as many as it likes, of any shapes and dtypes.
        """
        if self.count == 1:
            return [list(tensors)]
        mine = [tensor.detach().cpu().contiguous() for tensor in tensors]
        described: list[Any] = [None] * self.count
        dist.gather_object([(tensor.shape, tensor.dtype) for tensor in mine], described if self.first else None)
        if not self.first:
            for tensor in mine:
                if tensor.numel():
                    dist.send(tensor.reshape(-1).view(torch.uint8), 0)  # as bytes, since not all transports know all dtypes
            return []
        found = [mine]
        for rank in range(1, self.count):
            parts = [torch.empty(shape, dtype=dtype) for shape, dtype in described[rank]]
            for part in parts:
                if part.numel():
                    dist.recv(part.view(-1).view(torch.uint8), rank)
            found.append(parts)
        return found


def started_together() -> bool:
    """Whether torchrun started this process with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join_processes(backend: str | None = None) -> str | None:
    """Join the processes that torchrun started this one with.

    Args:
        backend: how they talk; by default "nccl" where there are GPUs, else "gloo".

    Returns:
        This process's own GPU; None without one, or without torchrun.
    """
    if not started_together():
        return None
    cuda = torch.cuda.is_available()
    if not dist.is_initialized():
        dist.init_process_group(backend or ("nccl" if cuda else "gloo"), timeout=LONGEST_WAIT)
    return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}" if cuda else None


_sharing = Processes()


def sharing() -> Processes:
    """The processes that share this program's runs: those of ``share_runs``, else this one alone."""
    return _sharing


def share_runs() -> str | None:
    """Let the processes that torchrun started share the runs of this program; they talk through the CPU.

    A program of another's that has processes of its own, and edits in one of them, does not call this.

    Returns:
        As ``join_processes``.
    """
    global _sharing
    device = join_processes("gloo")
    _sharing = Processes()
    if not _sharing.first:  # which says it for all
        logging.getLogger().setLevel(logging.WARNING)
    return device
