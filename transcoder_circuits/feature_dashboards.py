"""What a feature is: where it fires in texts, which tokens it promotes, and what turns it on whatever the text, under transcoder_circuits' names.

Where that library keeps all activations of one feature, `get_feature_scores` takes one pass over a stream of texts for all features of a
layer, and keeps examples of every strength (``huggingface/feature_contexts.py``): memory does not grow with the texts. Features are those of a
transcoder or of a sparse autoencoder; both are called ``encoder`` here, as there.

What is said of all texts at once uses each norm's weight but not its scale, which depends on the text: such values compare with one another only.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import architecture_of, attention_norm_of, is_parallel, layer_of, mlp_norm_of, place_of
from huggingface.attention import attention_heads
from huggingface.feature_contexts import Example, FeatureContexts, Window, collect_contexts
from huggingface.sites import ENCODED, WRITES, declared_layer
from huggingface.stream_ends import direct_logits, embedding_matrix
from huggingface.transcoder import Transcoder
from transcoder_circuits.components import FeatureVector, check_feature, make_sae_feature_vector
from transcoder_circuits.frozen_parts import FrozenNorm, weight_of_norm
from util.errors import UserError

EXAMPLES, BANDS, WINDOW, LOGITS = 50, 5, 5, 7
"""transcoder_circuits' dashboards: 50 examples in 5 bands, 5 tokens on each side, 7 logits."""

FIRES = (255, 140, 0)
"""#ff8c00, the colour of the strongest activation; none is white."""

LIVE = -4.0
"""log10 of the frequency above which a feature counts as live."""


def layer_of_encoder(encoder: Transcoder, layer: int | None = None) -> int:
    """The layer that an encoder is of, ``layer`` if it is given.

    Raises:
        UserError: if nothing says it.
    """
    layer = declared_layer(encoder.sites) if layer is None else layer
    if layer is None:
        raise UserError("The transcoder does not say which layer it is of; give the layer.")
    return layer


def get_feature_scores(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    encoder: Transcoder,
    texts: Iterable[str],
    feature_idx: Sequence[int] | None = None,
    act_layer: int | None = None,
    window: Window = Window(),
) -> FeatureContexts:
    """How often and where features fire, from one pass over the texts.

    Args:
        encoder: beside the model, which is left as it is.
        feature_idx: all features by default.
        act_layer: of the encoder, if its sites' names do not say it.

    Raises:
        UserError: for a feature or layer that is not there, or texts without tokens.
        CheckpointError: if the encoder does not fit the model.
    """
    layer = layer_of_encoder(encoder, act_layer)
    features = range(encoder.n_features) if feature_idx is None else feature_idx
    for one in features:
        check_feature(encoder, one, f"The transcoder of layer {layer}")
    scores = FeatureContexts(list(features), np.zeros(len(features), np.float32), signed=False, window=window)
    collect_contexts(model, tokenizer, layer, scores, texts, beside=encoder)
    return scores


def live_features(scores: FeatureContexts, threshold: float = LIVE) -> Bool[np.ndarray, " n_features"]:
    """Which features fire on a share of all tokens whose log10 is above ``threshold``."""
    with np.errstate(divide="ignore"):
        return np.log10(scores.fired / scores.n_tokens) > threshold


def sample_uniform(scores: FeatureContexts, feature: int, num_samples: int = EXAMPLES) -> list[Example]:
    """Examples whose activations are spaced evenly between the least and the most, weakest first; each once, so there may be fewer."""
    drawn = [*scores.drawn(feature), *scores.strongest(feature)]
    values = np.array([_score(example) for example in drawn])
    if not drawn:
        return []
    wanted = np.linspace(values.min(), values.max(), num_samples)
    return _once(drawn, [int(np.abs(values - one).argmin()) for one in wanted])


def sample_percentiles(scores: FeatureContexts, feature: int, num_samples: int = EXAMPLES) -> list[Example]:
    """Examples at evenly spaced percentiles of the activations with which the feature fires, weakest first.

    Percentiles are counted by the bins of ``scores.histogram``, so each is right to 1/64 of the range.
    """
    edges, counts = scores.histogram(feature)
    drawn = scores.drawn(feature)
    values = np.array([_score(example) for example in drawn])
    shares = (np.arange(num_samples) + 0.5) / num_samples
    if not drawn:
        return []
    wanted = np.interp(shares * counts.sum(), np.concatenate([[0], np.cumsum(counts)]), edges)
    return _once(drawn, [int(np.abs(values - one).argmin()) for one in wanted])


def get_uniform_band_examples(
    scores: FeatureContexts, feature: int, num_bands: int = BANDS, num_samples: int = EXAMPLES
) -> list[tuple[float, float, list[Example]]]:
    """Bands of equal width between the least and the most activation, the highest first, with an even draw of examples of each.

    Returns:
        For each band its limits and at most ``num_samples / num_bands`` examples, strongest first.
    """
    return [(low, high, examples[: num_samples // num_bands]) for low, high, _, examples in scores.bands(feature, num_bands)]


def _score(example: Example) -> float:
    return float(example.activations[example.focus])


def _once(examples: Sequence[Example], chosen: Sequence[int]) -> list[Example]:
    """The chosen examples in their order, a place of a text once."""
    return list({(examples[one].text, examples[one].position): examples[one] for one in chosen}.values())


@dataclass(frozen=True)
class Html:
    """HTML that a notebook shows."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def make_sequence_html(
    token_strs: Sequence[str],
    scores: Sequence[float] | Float[np.ndarray, " token"],
    max_score: float | None = None,
    focus: int | None = None,
    window: int | None = WINDOW,
) -> str:
    """Tokens shaded from white to #ff8c00 by their scores; nothing in them is taken for HTML.

    Args:
        max_score: what is shaded most; by default the largest of ``scores``.
        focus: the token that is underlined.
        window: tokens that are shown on each side of it; None for all.
    """
    most = max_score or max(map(float, scores), default=0.0) or 1.0
    first, stop = (0, len(token_strs)) if focus is None or window is None else (max(0, focus - window), focus + window + 1)
    parts = []
    for place, (token, score) in enumerate(zip(token_strs[first:stop], scores[first:stop]), first):
        share = min(1.0, max(0.0, float(score) / most))
        colour = ",".join(str(round(255 - share * (255 - full))) for full in FIRES)
        mark = ";text-decoration:underline;font-weight:bold" if place == focus else ""
        shown = html.escape(token.replace("\n", "↵").replace("\t", "⇥"))
        parts.append(f'<span style="background:rgb({colour});color:black{mark}" title="{float(score):.3g}">{shown}</span>')
    return f'<code style="white-space:pre-wrap">{"".join(parts)}</code>'


def display_activating_examples_dash(
    tokenizer: PreTrainedTokenizerFast,
    scores: FeatureContexts,
    feature: int,
    num_bands: int = BANDS,
    num_samples: int = EXAMPLES,
    window: int = WINDOW,
) -> Html:
    """A feature's examples in bands of its activation, as a notebook shows them."""
    from explain.features import shown_example

    number = scores.features.index(feature)
    most, share = float(scores.most[number]), scores.fired[number] / scores.n_tokens
    parts = [f"<h4>feature {feature}: fires on {share:.2%} of {scores.n_tokens} tokens, at most {most:.3g}</h4>"]
    for low, high, examples in get_uniform_band_examples(scores, feature, num_bands, num_samples):
        shown = [shown_example(tokenizer, example) for example in examples]
        lines = [make_sequence_html(one["tokens"], one["values"], most, one["focus"], window) for one in shown]
        parts.append(f"<details{' open' if len(parts) == 1 else ''}><summary>{low:.3g} to {high:.3g}</summary>{'<br>'.join(lines)}</details>")
    return Html("".join(parts))


@torch.no_grad()
def written_directions(model: PreTrainedModel, encoder: Transcoder, layer: int) -> Float[Tensor, "n_features d_model"]:
    """What each feature adds to the residual stream at an activation of 1: its decoder's row, times the weight of a norm behind the MLP."""
    rows = encoder.down_proj.weight.T.detach().float().to(model.device)
    name = encoder.sites.writes.partition(f"blocks.{layer}.")
    site = name[2] or name[0]
    writes = ENCODED.get(site) if encoder.sites.autoencoder else WRITES.get(site)
    norm = place_of(model, layer_of(model, layer), "post_mlp_norm")
    if norm is None or writes not in ("mlp_out", "added_normalized"):
        return rows
    return rows * weight_of_norm(norm, architecture_of(model).norm_weight_offset)


def get_logits_for_feature(model: PreTrainedModel, encoder: Transcoder, feature_idx: int, layer: int | None = None) -> Float[Tensor, " vocabulary"]:
    """What a feature adds to the logits straight away at an activation of 1, less its mean (see ``stream_ends.direct_logits``)."""
    layer = layer_of_encoder(encoder, layer)
    check_feature(encoder, feature_idx, f"The transcoder of layer {layer}")
    return direct_logits(model, written_directions(model, encoder, layer)[feature_idx]).cpu()


def logits_histogram(logits: Float[Tensor, " vocabulary"], bins: int = 40) -> tuple[Float[np.ndarray, " edges"], Int[np.ndarray, " bins"]]:
    """How many tokens get which logit."""
    counts, edges = np.histogram(logits.cpu().numpy(), bins)
    return edges, counts


@torch.no_grad()
def stream_direction(model: PreTrainedModel, vector: FeatureVector) -> Float[Tensor, " d_model"]:
    """A root as a direction of the residual stream, for all texts: behind its norm's weight, without the norm's scale.

    Raises:
        UserError: if what it reads is not the residual stream but what one MLP or attention writes.
    """
    if not vector.sublayer.startswith("resid"):
        raise UserError(f"{vector.component} reads {vector.sublayer}, which one sublayer writes, not the stream that heads and features write to.")
    v, offset = vector.vector.detach().float().to(model.device), architecture_of(model).norm_weight_offset
    if vector.site == "stream":
        return v
    norm = place_of(model, model, "final_norm") if vector.site == "final_norm" else mlp_norm_of(model, vector.layer)
    assert norm is not None
    centred = isinstance(norm, torch.nn.LayerNorm)
    weight = weight_of_norm(norm, offset) if vector.site in ("mlp_in", "final_norm") else None
    return _unscaled(v, weight, centred)


def _unscaled(v: Float[Tensor, " d_model"], weight: Tensor | None, centred: bool) -> Float[Tensor, " d_model"]:
    """``v`` before a norm without its scale."""
    return FrozenNorm(v.new_ones(1), weight, centred=centred).pull(v[None], slice(None))[0]


def get_pullback(
    model: PreTrainedModel,
    encoder: Transcoder,
    vector: FeatureVector,
    layer: int | None = None,
    activations: Float[Tensor, " n_features"] | None = None,
) -> Float[Tensor, " n_features"]:
    """The input-independent connections W_dec·v from each feature of a lower layer to a root, past everything between.

    Args:
        encoder: of the lower layer.
        activations: what they are multiplied by, such as those at one token; a feature counts once else.

    Raises:
        UserError: if the encoder's layer is not below the root.
    """
    layer = layer_of_encoder(encoder, layer)
    if layer > vector.layer - (vector.sublayer != "resid_post"):
        raise UserError(f"Layer {layer} does not write before {vector.component} reads; give a transcoder of a lower layer.")
    direct = written_directions(model, encoder, layer) @ stream_direction(model, vector)
    return direct if activations is None else direct * activations


def get_de_embeddings(
    model: PreTrainedModel, vector: FeatureVector, layer: int | None = None, head: int | None = None
) -> Float[Tensor, " vocabulary"]:
    """W_E·v: how strongly each token of the vocabulary turns a root on, straight from its embedding or moved there by one head.

    Args:
        layer, head: of the head, at an attention of 1.

    Raises:
        UserError: if there is no such head, or it writes after the root reads.
    """
    v = stream_direction(model, vector)
    if head is not None:
        layer = vector.layer if layer is None else layer
        if layer not in _layers_of_heads(model, vector):
            raise UserError(f"Heads of layer {layer} do not write before {vector.component} reads; give a lower layer.")
        v = _through_head(model, v, layer, head)
    return embedding_matrix(model).float() @ v


def get_ov_norms_for_transcoder_feature(
    model: PreTrainedModel, encoder: Transcoder, feature_idx: int, layer: int | None = None
) -> Float[Tensor, "layer head"]:
    """The length of W_OV·v for each head that writes before the feature reads: how much of what a head may read can turn the feature on."""
    vector = make_sae_feature_vector(encoder, feature_idx, layer=layer_of_encoder(encoder, layer))
    v = stream_direction(model, vector)
    heads = range(model.config.num_attention_heads)
    rows = [[_through_head(model, v, below, head).norm() for head in heads] for below in _layers_of_heads(model, vector)]
    return torch.tensor(rows).reshape(-1, len(heads))


def _layers_of_heads(model: PreTrainedModel, vector: FeatureVector) -> range:
    """The layers whose heads write before a direction of the residual stream reads."""
    layer_of(model, vector.layer)
    last = vector.sublayer == "resid_post" or (vector.sublayer == "resid_mid" and not is_parallel(model))
    return range(vector.layer + last)


@torch.no_grad()
def _through_head(model: PreTrainedModel, v: Float[Tensor, " d_model"], layer: int, head: int) -> Float[Tensor, " d_model"]:
    """The direction that a head reads for what it writes along ``v``, at an attention of 1, without the norms' scales."""
    heads, offset = attention_heads(model, layer), architecture_of(model).norm_weight_offset
    if not 0 <= head < heads.n_heads:
        raise UserError(f"Layer {layer} has no head {head}: its heads are 0 to {heads.n_heads - 1}.")
    post, norm = place_of(model, layer_of(model, layer), "post_attention_norm"), attention_norm_of(model, layer)
    written = v if post is None else v * weight_of_norm(post, offset)
    read = heads.W_OV(head).float() @ written
    weight = None if isinstance(norm, torch.nn.Identity) else weight_of_norm(norm, offset)
    return _unscaled(read, weight, isinstance(norm, torch.nn.LayerNorm))


