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


@torch.inference_mode()
def collect_mlp_activations(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, texts: Sequence[str], batch_size: int = 32, max_tokens: int = 1024
) -> MLPActivations:
    """Run ``texts`` up to ``layer`` and keep what its MLP reads and writes, float32 on the CPU.

    The first token of a text is left out: its activations do not depend on the text.
    """
    points = Point(layer, "mlp_in"), Point(layer, "mlp_out")
    rows = [encode(tokenizer, text).ids[:max_tokens] for text in texts]
    parts: list[list[Tensor]] = [[], []]
    with Progress(total=len(rows), desc="MLP activations", leave=False) as progress:
        batched = batches(rows, tokenizer.pad_token_id, model.device, max_rows=batch_size)
        for found in stream_activations(model, points, batched, keep_first_token=False):
            for part, point in zip(parts, points):
                part.append(found[point].float().cpu())
            progress.update(batch_size)
    return MLPActivations(*map(torch.cat, parts))
