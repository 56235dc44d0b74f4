"""What a way of editing is to a run: its name, what decides its outcome, and how its edits are computed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tcpe.config import SEARCH, EditConfig
from tcpe.request import EditRequest

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from tcpe.update import Edit
    from tcpe.weight_edit import WeightEdit

METHODS: "dict[str, Method]" = {}
"""The registered methods, by name."""


@dataclass(frozen=True)
class Task:
    """What a method is to do, known before a model is loaded.

    Attributes:
        config: how edits are found and how much of them is applied.
        own: the method's own flags, an instance of its ``flags``; None if it has none.
        requests: of ``config.edits``, in their order.
        layer: the layer that is edited.
        kind: of the edit, as in the requests' column (MLP, TC_ef4, ...).
        names: MODEL_NAME and TC_layer_file.
        seed: of all randomness.
        workspace: the folder for what runs share.
        folder: the run's own.
        invalidate_cache: do not take what earlier runs left.
        given: the flags that the user gave; all others have their defaults.
    """

    config: EditConfig
    own: Any
    requests: list[EditRequest]
    layer: int
    kind: str
    names: Mapping[str, str | None]
    seed: int
    workspace: Path
    folder: Path
    invalidate_cache: bool
    given: frozenset[str] = frozenset()

    @property
    def decisive(self) -> dict[str, Any]:
        """The flags that decide an update, beside its request."""
        return {**self.names, **{name: getattr(self.config, name) for name in ("mom2_dataset", *SEARCH)}, "seed": self.seed}


@dataclass(frozen=True)
class Inputs:
    """What a method reads before a model is loaded.

    Attributes:
        texts: for statistics of activations.
        saved: edits that were computed earlier.
    """

    texts: list[str] = field(default_factory=list)
    saved: "list[Edit]" = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """A task with the model that it is to be done on.

    Attributes:
        model: unedited, with its transcoder in place.
        log: takes figures by name, of one step of a search for instance.
    """

    task: Task
    inputs: Inputs
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    log: Callable[..., None]


class Method:
    """A way of editing a model. A subclass that is registered with ``register`` is a value of --alg_name.

    Attributes:
        name: on the command line.
        help: what it does, in a few words.
        decides: the flags that decide what its model writes, beside the content of the files that are read.
        needs: the method whose saved updates it applies; "" if it computes its own edits.
        edits: whether it edits at all; what does not makes the clustering that the others are compared with.
        flags: a dataclass of flags of its own; None if it has none.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    decides: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[str] = ""
    edits: ClassVar[bool] = True
    flags: ClassVar[type | None] = None

    def read(self, task: Task) -> Inputs:
        """Read what can be read before the model is loaded, so that mistakes are found early.

        Raises:
            UserError: for what is missing or does not fit.
        """
        return Inputs()

    def check(self, job: Job) -> None:
        """Refuse what cannot be computed or applied, before anything is written.

        Raises:
            UserError: saying why.
        """

    def compute(self, job: Job) -> "Sequence[WeightEdit]":
        """The edits of the run; the model is left as it is."""
        raise NotImplementedError


def register(method: type[Method]) -> type[Method]:
    """Make a method known by its name; a decorator of its class.

    Raises:
        ValueError: if another one has that name.
    """
    if type(METHODS.get(method.name)) not in (type(None), method):
        raise ValueError(f"There are two methods called {method.name}.")
    METHODS[method.name] = method()
    return method
