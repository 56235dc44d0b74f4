"""Input times gradient, averaged over texts."""

from collections.abc import Iterable, Sequence
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.activations import Point, read_activations, real_tokens, token_rows
from huggingface.architectures import architecture_of, layer_of, mlp_norm_of, place_of
from huggingface.context import context_length
from huggingface.tokenization import batches, encode
from huggingface.transcoder import Transcoder
from huggingface.transcoder_adapter import reader_beside
from transcoder_circuits.components import make_sae_feature_vector
from transcoder_circuits.feature_dashboards import get_pullback
from transcoder_circuits.frozen_parts import freeze_norm
from util.errors import UserError

BATCH_TOKENS, TEXTS_AT_A_TIME = 4096, 256


def get_mean_ixg(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    encoder: Transcoder,
    root: Transcoder,
    feature_idx: Sequence[int],
    texts: Iterable[str],
    layers: tuple[int, int],
    firing_only: bool = True,
) -> Float[Tensor, "root n_features"]:
    """What each feature of a lower layer adds to features of a higher one straight away, past everything between, averaged over tokens.

    The input is the lower feature's activation, the gradient that of the higher one's pre-activation with the norms' scales frozen: the
    mean of ``circuit_analysis.get_transcoder_ixg`` over the texts. One pass, whose memory does not depend on the number of texts.

    Args:
        encoder, root: transcoders of the lower and the higher layer, beside the model; the root may be an autoencoder of the stream.
        layers: the two.
        firing_only: average over the tokens at which the higher feature fires; else over all.

    Returns:
        float32; zeros for a root that never fires.

    Raises:
        UserError: for a feature or layer that is not there, an order of the layers that does not fit, or texts without tokens.
    """
    lower, upper = layers
    vectors = [make_sae_feature_vector(root, one, layer=upper) for one in feature_idx]
    pullbacks = torch.stack([get_pullback(model, encoder, vector, lower) for vector in vectors])
    (read_lower, features_of), (read_upper, roots_of) = reader_beside(model, lower, encoder), reader_beside(model, upper, root)
    behind = place_of(model, layer_of(model, lower), "post_mlp_norm")
    offset, columns = architecture_of(model).norm_weight_offset, torch.tensor(list(feature_idx), device=model.device)
    scaled_write = behind is not None and not encoder.sites.writes.endswith(("added", "hook_mlp_out", "ln2_post.hook_out"))
    points = [read_lower, read_upper, *([Point(lower, "mlp_out")] if scaled_write else [])]
    limit, pad_id = context_length(model), int(tokenizer.pad_token_id or 0)
    rows = (row for row in (encode(tokenizer, text).ids[:limit] for text in texts) if row)
    chunks = iter(lambda: list(islice(rows, TEXTS_AT_A_TIME)), [])
    sums, tokens, n_tokens = torch.zeros_like(pullbacks), pullbacks.new_zeros(len(vectors)), 0
    with torch.inference_mode():
        for batch in (batch for chunk in chunks for batch in batches(chunk, pad_id, model.device, max_tokens=BATCH_TOKENS)):
            kept = real_tokens(batch)
            n_tokens += int(kept.sum())
            found = {point: token_rows(one, kept) for point, one in read_activations(model, points, **batch._asdict(), use_cache=False).items()}
            activations, stream = features_of(found[read_lower]).float(), found[read_upper].float()
            if scaled_write:
                assert behind is not None
                activations = activations * freeze_norm(behind, found[Point(lower, "mlp_out")].float(), offset).scale[:, None]
            if vectors[0].site in ("mlp_in", "normalized"):
                activations = activations * freeze_norm(mlp_norm_of(model, upper), stream, offset).scale[:, None]
            counted = stream.new_ones(len(stream), len(vectors))
            if firing_only:
                counted = (roots_of(found[read_upper])[:, columns] != 0).float()
            sums += counted.T @ activations
            tokens += counted.sum(0)
    if not n_tokens:
        raise UserError("The texts hold no text; give others with --dataset.")
    return pullbacks * sums / tokens.clamp(min=1)[:, None]


def overlap(one: Float[Tensor, " n_features"], other: Float[Tensor, " n_features"], k: int) -> float:
    """Which share of the ``k`` largest of one is among the ``k`` largest of the other."""
    return len(set(one.topk(k).indices.tolist()) & set(other.topk(k).indices.tolist())) / k
