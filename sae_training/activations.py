"""What one MLP of a model reads and writes on given texts: the material that a transcoder is trained on."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import mlp_of
from huggingface.tokenization import encode, pad
from util.hooks import Trace


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
    encoded = sorted((encode(tokenizer, text).ids[:max_tokens] for text in texts), key=len)
    inputs, outputs = [], []
    for start in tqdm(range(0, len(encoded), batch_size), desc="MLP activations", disable=None, leave=False):
        batch = pad(encoded[start : start + batch_size], tokenizer.pad_token_id, model.device, side="right")
        with Trace(mlp_of(model, layer), stop=True) as trace:
            model(**batch._asdict(), use_cache=False)
        kept = batch.attention_mask.bool()
        kept[:, 0] = False
        inputs.append(trace.input[kept].float().cpu())
        outputs.append(trace.output[kept].float().cpu())
    return MLPActivations(torch.cat(inputs), torch.cat(outputs))
