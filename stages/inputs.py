"""What a run reads of its user's files, as far as that needs no heavy import: mistakes in it are found at once."""

from pathlib import Path

from stages.config import RunConfig
from tcpe.request import EditRequest, load_request
from util.errors import BenchmarkError
from util.hub import check_on_hub


def read_requests(config: RunConfig) -> list[EditRequest]:
    """The edit requests of a run whose other files are there.

    Raises:
        UserError: for a benchmark, clustering or row that is not there, or a request that cannot be used.
    """
    if not Path(config.originals_path).exists():
        raise BenchmarkError(
            f"The benchmark {config.originals_path} does not exist: build it with python -m d_running.build_kecode --source DIR --output_path "
            f"{Path(config.originals_path).parent}, or name another one with --originals_path."
        )
    if config.method.edits and not config.translate_only and not Path(config.preKE_cluster_result).exists():
        raise BenchmarkError(
            f"Cannot read the clustering {config.preKE_cluster_result}: it does not exist; make it with --alg_name noKE, or name another one with "
            "--preKE_cluster_result."
        )
    return [load_request(config.edit.edit_sequence_path, row, config.model.layer_num, config.kind) for row, _, _ in config.edits]


def check_inputs(config: RunConfig) -> None:
    """See that what the user's flags name is there, the model included.

    Raises:
        UserError: see ``read_requests``; or for a model that is no folder and not on the hub.
    """
    read_requests(config)
    if not config.is_reference and not Path(config.model.MODEL_NAME).is_dir():
        check_on_hub(config.model.MODEL_NAME, "model", "--MODEL_NAME")
