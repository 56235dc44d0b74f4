"""Cross-layer transcoders from a few lines of Python: training on texts, pictures, and a model in which they replace the MLPs."""

from util.packages import explain_missing_packages

explain_missing_packages()

from open_cross_layer_transcoder.replacement_model import ReplacementModel  # noqa: E402
from open_cross_layer_transcoder.transcoder import OpenCrossLayerTranscoder  # noqa: E402

__all__ = ["OpenCrossLayerTranscoder", "ReplacementModel"]
