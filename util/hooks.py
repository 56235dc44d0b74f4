"""Looking into a forward pass: one hook that takes itself away."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from util.errors import EditError


class _StopForward(Exception):
    """Ends a forward pass that has computed what was asked for."""


class Trace:
    """While open, keeps what goes into and comes out of one module at its latest call, and may change what comes out.

    Attributes:
        input: the module's first positional argument at the latest call.
        output: what the module itself returned at the latest call, before ``edit_output``.

    Args:
        module: a module that takes and returns one tensor.
        edit_output: maps the module's output to what the rest of the model shall see.
        stop: end the forward pass after this module; leaving the ``with`` block swallows the interruption.

    Raises:
        EditError: if the module returns something else, or is not called before the ``with`` block ends.

    Source: ROME's ``Trace``.
    """

    input: Tensor
    output: Tensor

    def __init__(self, module: nn.Module, *, edit_output: Callable[[Tensor], Tensor] | None = None, stop: bool = False) -> None:
        self._edit_output = edit_output
        self._stop = stop
        self._name = type(module).__name__
        self._handle = module.register_forward_hook(self._hook)

    def _unsuitable(self, fault: str) -> EditError:
        return EditError(f"The {self._name} that huggingface/architectures.py names {fault}; correct the family's row there.")

    def _hook(self, _module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor | None:
        if not isinstance(output, Tensor):
            raise self._unsuitable(f"returns a {type(output).__name__} and not one tensor")
        self.input, self.output = inputs[0], output
        if self._stop:
            raise _StopForward
        return self._edit_output(output) if self._edit_output else None

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None) -> bool:
        self._handle.remove()
        if kind is None and not hasattr(self, "output"):
            raise self._unsuitable("takes no part in the model's forward pass")
        return self._stop and kind is _StopForward
