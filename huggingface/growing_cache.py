"""A key/value cache for generating: a step writes its own column instead of copying everything that came before."""

from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 64
"""Columns that a buffer gets in reserve whenever it is full."""


class _GrowingLayer(DynamicLayer):
    """Keys and values of one layer, as views of the filled part of larger buffers.

    Holds every position, also for layers that attend to a window only: their mask hides the rest.
    """

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self._buffers = [states[..., :0, :] for states in (key_states, value_states)]

    def update(
        self, key_states: Float[Tensor, "row head new d_head"], value_states: Float[Tensor, "row head new d_head"], *_args: object, **_kwargs: object
    ) -> tuple[Float[Tensor, "row head column d_head"], Float[Tensor, "row head column d_head"]]:
        start = self.get_seq_length()
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = start + key_states.shape[-2]
        for index, states in enumerate((key_states, value_states)):
            buffer = self._buffers[index]
            if end > buffer.shape[-2]:
                self._buffers[index] = states.new_empty(*states.shape[:-2], end + ROOM, states.shape[-1])
                self._buffers[index][..., :start, :] = buffer[..., :start, :]
            self._buffers[index][..., start:end, :] = states
        self.keys, self.values = (buffer[..., :end, :] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Int[Tensor, " kept"]) -> None:
        length = self.get_seq_length()
        self._buffers = [buffer[indices] for buffer in self._buffers]
        self.keys, self.values = (buffer[..., :length, :] for buffer in self._buffers)


def growing_cache() -> Cache:
    """An empty cache for any decoder with ordinary attention."""
    return Cache(layer_class_to_replicate=_GrowingLayer)
