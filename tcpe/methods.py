"""The stages of TCPE as methods: no edit, an edit that is computed and applied whole, and its active columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcpe.config import SEARCH
from tcpe.method import Inputs, Job, Method, Task, register

if TYPE_CHECKING:
    from tcpe.weight_edit import WeightEdit


@register
class NoEdit(Method):
    """The model as it is: what the others are compared with."""

    name = "noKE"
    help = "no edit"
    edits = False

    def compute(self, job: Job) -> "Sequence[WeightEdit]":
        return []


@register
class TCPEPre(Method):
    """Compute the update of one request and apply all of it."""

    name = "TCPE_pre"
    help = "compute an edit and apply all of it"
    decides = (*SEARCH, "seed")

    def read(self, task: Task) -> Inputs:
        from tcpe.texts import load_texts

        return Inputs(texts=load_texts(task.config.mom2_dataset, task.config.mom2_n_samples))

    def check(self, job: Job) -> None:
        from tcpe.contexts import build_contexts, check_lengths

        check_lengths(job.model, build_contexts(job.tokenizer, job.task.requests[0], (), job.task.config.fact_token))

    def compute(self, job: Job) -> "Sequence[WeightEdit]":
        from tcpe.tcpe_pre import computed_update
        from tcpe.update import Edit

        return [Edit(computed_update(job))]


@register
class TCPE(Method):
    """Apply saved updates in their active columns, or in the others."""

    name = "TCPE"
    help = "its active columns"
    decides = ("lim", "upd_decay", "abla_exp", "more_edits")
    needs = "TCPE_pre"

    def read(self, task: Task) -> Inputs:
        from tcpe.tcpe_main import load_edits

        return Inputs(saved=load_edits(task))

    def check(self, job: Job) -> None:
        for edit in job.inputs.saved:
            edit.check(job.model)

    def compute(self, job: Job) -> "Sequence[WeightEdit]":
        return job.inputs.saved
