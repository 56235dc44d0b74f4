"""What one MLP of a model reads and writes on given texts: the material that a transcoder is trained on."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.activations import Point, stream_activations
from huggingface.tokenization import batches, encode
from util.progress import Progress


class MLPActivations(NamedTuple):
    """Inputs and outputs of one MLP, token by token, without padding."""

    inputs: Float[Tensor, "token d_model"]
    outputs: Float[Tensor, "token d_model"]


def collect_mlp_activations(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, texts: Sequence[str], batch_size: int = 32, max_tokens: int = 1024
) -> MLPActivations:
    """Run ``texts`` up to ``layer`` and keep what its MLP reads and writes, float32 on the CPU.

    The first token of a text is left out: its activations do not depend on the text.
    """
    return collect_layers(model, tokenizer, [layer], texts, batch_size, max_tokens)[layer]


@torch.inference_mode()
def collect_layers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    layers: Sequence[int],
    texts: Sequence[str],
    batch_size: int = 32,
    max_tokens: int = 1024,
    keep_first_token: bool = False,
) -> dict[int, MLPActivations]:
    """What the MLPs of several layers read and write, from one pass over ``texts``; else as ``collect_mlp_activations``."""
    points = {layer: (Point(layer, "mlp_in"), Point(layer, "mlp_out")) for layer in layers}
    rows = [encode(tokenizer, text).ids[:max_tokens] for text in texts]
    parts: dict[Point, list[Tensor]] = {point: [] for pair in points.values() for point in pair}
    with Progress(total=len(rows), desc="MLP activations", leave=False) as progress:
        batched = batches(rows, tokenizer.pad_token_id, model.device, max_rows=batch_size)
        for found in stream_activations(model, list(parts), batched, keep_first_token):
            for point, values in parts.items():
                values.append(found[point].float().cpu())
            progress.update(batch_size)
    return {layer: MLPActivations(torch.cat(parts[read]), torch.cat(parts[written])) for layer, (read, written) in points.items()}
