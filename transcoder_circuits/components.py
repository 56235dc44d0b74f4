"""What circuits are made of: components of a model, directions that are followed backwards through it, and filters over both."""

import enum
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from huggingface.sites import ENCODED, READS, WRITES, declared_layer
from huggingface.transcoder import Transcoder
from util.errors import UserError


class ComponentType(enum.Enum):
    """What a node of a circuit is."""

    MLP = "mlp"
    ATTN = "attn"
    EMBED = "embed"
    ROOT = "root"
    """A direction that is no feature: a logit, a difference of logits, the key or value of an edit."""
    TC_ERROR = "tc_error"
    """What MLPs write beyond their transcoders, in a graph of paths; the next two are its as well."""
    PRUNE_ERROR = "prune_error"
    """What a search left out."""
    BIAS_ERROR = "bias_error"
    """Biases."""


@dataclass(frozen=True)
class Component:
    """One part of a model at one token.

    Attributes:
        layer: of 0 and up; 0 for an embedding.
        component_type: which kind of part.
        token: where it writes or, for a head, which token it reads; None summed over tokens, or where it has none.
        attn_head: a head's number.
        feature_idx: a feature's number.
        name: what a ROOT is called.
    """

    layer: int
    component_type: ComponentType
    token: int | None = None
    attn_head: int | None = None
    feature_idx: int | None = None
    name: str = ""

    def __str__(self) -> str:
        """As transcoder_circuits writes it: ``mlp8tc[89]@-1``, ``attn2[2]@8``, ``embed0@9``."""
        at = "" if self.token is None else f"@{self.token}"
        kind = self.component_type
        if kind is ComponentType.ROOT:
            return f"{self.name}{at}"
        if kind is ComponentType.MLP:
            return f"mlp{self.layer}tc[{self.feature_idx}]{at}"
        if kind is ComponentType.ATTN:
            return f"attn{self.layer}[{self.attn_head}]{at}"
        return f"{kind.value}{self.layer}{at}"


class ContribType(enum.Enum):
    """How a contribution is counted."""

    RAW = "raw"
    """The whole product along the path."""
    ZERO_ABLATION = "zero_ablation"
    """At most what the smallest node above it contributes: more cannot be lost by taking it away."""


Sublayer = Literal["resid_pre", "resid_mid", "resid_post", "mlp_out", "added", "attn_added"]


@dataclass(frozen=True)
class FeatureVector:
    """A direction at one token, which is followed backwards, with the way that led to it.

    Attributes:
        component_path: from the root to the node that the direction belongs to.
        vector: [d_model]; its product with what is there, and ``bias``, are the node's contribution to the root.
        layer, sublayer: where it is taken. ``mlp_out``, ``added`` and ``attn_added`` are what one layer's MLP or attention writes, the others
            the residual stream.
        site: "stream" for the place itself, or what of it is read: "mlp_in", "normalized" or "resid_mid_centred" behind the norm of
            ``resid_mid``, "final_norm" behind that of the last ``resid_post``.
        token: the position, negative from the end.
        contrib: to the root; a root's is its activation. None until it is known.
        contrib_type: how that is counted.
        bias: the constant part of the contribution, which nothing below the node brings in.
    """

    component_path: tuple[Component, ...]
    vector: Float[Tensor, " d_model"] = field(repr=False)
    layer: int
    sublayer: Sublayer
    token: int = -1
    contrib: float | None = None
    contrib_type: ContribType = ContribType.RAW
    bias: float = 0.0
    site: str = "stream"

    @property
    def component(self) -> Component:
        """The node that the direction belongs to."""
        return self.component_path[-1]

    def __str__(self) -> str:
        """The node, and its contribution in two significant digits."""
        return f"{self.component}" if self.contrib is None else f"{self.component}: {self.contrib:.2g}"


Path = list[FeatureVector]
"""A way from a root down to a node."""


def check_feature(transcoder: Transcoder, feature: int, what: str) -> None:
    """See that ``transcoder`` has the feature.

    Raises:
        UserError: naming how many there are.
    """
    if not 0 <= feature < transcoder.n_features:
        raise UserError(f"{what} has no feature {feature}: its features are 0 to {transcoder.n_features - 1}; give one of these.")


def make_sae_feature_vector(sae: Transcoder, feature_idx: int, use_encoder: bool = True, token: int = -1, layer: int | None = None) -> FeatureVector:
    """A feature of a transcoder or an autoencoder as a root; of a JumpReLU or TopK autoencoder take `saes.sae_root`, which knows its activation.

    Args:
        use_encoder: follow what turns the feature on; else what is written along its decoder row.
        layer: where the transcoder stands, if the names of its sites do not say it.

    Raises:
        UserError: if there is no such feature, the layer is not known, or the site is none that a circuit can begin at.
    """
    layer = declared_layer(sae.sites) if layer is None else layer
    if layer is None:
        raise UserError("The transcoder does not say which layer it is of; give the layer.")
    check_feature(sae, feature_idx, f"The transcoder of layer {layer}")
    name = (sae.sites.reads if use_encoder else sae.sites.writes).partition(f"blocks.{layer}.")
    site = name[2] or name[0]
    vector = (sae.up_proj.weight[feature_idx] if use_encoder else sae.down_proj.weight[:, feature_idx]).detach()
    bias = sae.up_proj.bias[feature_idx].item() if use_encoder else 0.0
    path = (Component(layer, ComponentType.MLP, token, feature_idx=feature_idx),)
    if sae.sites.autoencoder and site in ENCODED:
        sublayer: Any = ENCODED[site]
        return FeatureVector(path, vector, layer, sublayer, token, bias=bias)
    if use_encoder and site in READS:
        reads = READS[site]
        return FeatureVector(path, vector, layer, "resid_mid", token, bias=bias, site="stream" if reads == "resid_mid" else reads)
    if not use_encoder and WRITES.get(site) in ("mlp_out", "added"):
        sublayer = WRITES[site]
        return FeatureVector(path, vector, layer, sublayer, token)
    raise UserError(f"A circuit cannot begin at {site} of layer {layer}; known are {', '.join((*READS, *ENCODED))}.")


def logit_vector(model: PreTrainedModel, token_ids: Sequence[int], against: Sequence[int] = (), token: int = -1, name: str = "") -> FeatureVector:
    """The mean logit of some tokens, less the mean logit of others, as a root: what is read behind the final norm, before any cap.

    Raises:
        UserError: if a token is none of the vocabulary's.
    """
    from huggingface.architectures import layers_of
    from huggingface.stream_ends import unembedding_matrix

    W_U = unembedding_matrix(model)
    for one in (*token_ids, *against):
        if not 0 <= one < W_U.shape[1]:
            raise UserError(f"The vocabulary has no token {one}: its tokens are 0 to {W_U.shape[1] - 1}.")
    vector = W_U[:, list(token_ids)].float().mean(1) - (W_U[:, list(against)].float().mean(1) if against else 0)
    layer = len(layers_of(model)) - 1
    shown = name or f"logit[{','.join(map(str, token_ids))}]" + (f"-logit[{','.join(map(str, against))}]" if against else "")
    return FeatureVector((Component(layer, ComponentType.ROOT, token, name=shown),), vector, layer, "resid_post", token, site="final_norm")


def direction_vector(
    vector: Float[Tensor, " d_model"],
    layer: int,
    sublayer: Sublayer,
    token: int = -1,
    site: str = "stream",
    name: str = "direction",
    bias: float = 0.0,
) -> FeatureVector:
    """Any direction as a root, such as the key or the value of a saved update."""
    return FeatureVector((Component(layer, ComponentType.ROOT, token, name=name),), vector, layer, sublayer, token, bias=bias, site=site)


class FilterType(enum.Enum):
    """How a filter compares."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"

    def holds(self, found: Any, wanted: Any) -> bool:
        """Whether ``found`` compares so with ``wanted``; what is not there is different from everything, and compares with nothing."""
        if found is None and self not in (FilterType.EQ, FilterType.NE):
            return False
        return getattr(operator, self.value)(found, wanted)


@dataclass(frozen=True)
class FeatureFilter:
    """What a node of a path must be; fields that are None ask nothing.

    Attributes:
        layer, sublayer, token, attn_head, feature_idx, component_type: of the node.
        layer_filter_type, ..., component_type_filter_type: how each compares.
    """

    layer: int | None = None
    layer_filter_type: FilterType = FilterType.EQ
    sublayer: str | None = None
    sublayer_filter_type: FilterType = FilterType.EQ
    token: int | None = None
    token_filter_type: FilterType = FilterType.EQ
    attn_head: int | None = None
    attn_head_filter_type: FilterType = FilterType.EQ
    feature_idx: int | None = None
    feature_idx_filter_type: FilterType = FilterType.EQ
    component_type: ComponentType | None = None
    component_type_filter_type: FilterType = FilterType.EQ

    def match(self, feature: FeatureVector) -> bool:
        """Whether a node is so."""
        found = {"sublayer": feature.sublayer} | {
            name: getattr(feature.component, name) for name in ("layer", "token", "attn_head", "feature_idx", "component_type")
        }
        asked = {name: wanted for name in found if (wanted := getattr(self, name)) is not None}
        return all(getattr(self, f"{name}_filter_type").holds(found[name], wanted) for name, wanted in asked.items())


def get_paths_via_filter(
    all_paths: Sequence[Sequence[Path]],
    infix_path: Sequence[FeatureFilter] | None = None,
    not_infix_path: Sequence[FeatureFilter] | None = None,
    suffix_path: Sequence[FeatureFilter] | None = None,
) -> list[list[Path]]:
    """Of the paths of each depth those that hold nodes in a row as ``infix_path`` says, none as ``not_infix_path``, and end as ``suffix_path``."""

    def matches(nodes: Sequence[FeatureVector], filters: Sequence[FeatureFilter]) -> bool:
        return len(nodes) == len(filters) and all(one.match(node) for one, node in zip(filters, nodes))

    def inside(path: Path, filters: Sequence[FeatureFilter]) -> bool:
        return any(matches(path[start : start + len(filters)], filters) for start in range(len(path) - len(filters) + 1))

    def kept(path: Path) -> bool:
        return (
            (infix_path is None or inside(path, infix_path))
            and (not_infix_path is None or not inside(path, not_infix_path))
            and (suffix_path is None or matches(path[max(0, len(path) - len(suffix_path)) :], suffix_path))
        )

    return [[path for path in paths if kept(path)] for paths in all_paths]


def get_raw_top_features_among_paths(
    all_paths: Sequence[Sequence[Path]],
    use_tokens: bool = True,
    top_k: int = 5,
    filter_layer: int | None = None,
    filter_sublayer: str | None = None,
) -> list[tuple[Component, float]]:
    """The nodes at which paths end, with the sum of their contributions, largest absolute sum first.

    Args:
        use_tokens: whether the same part at another token is another node.
    """
    sums: dict[Component, float] = {}
    for path in (path for paths in all_paths for path in paths):
        last = path[-1]
        if last.contrib is None or (filter_layer is not None and last.component.layer != filter_layer):
            continue
        if filter_sublayer is not None and last.sublayer != filter_sublayer:
            continue
        component = last.component if use_tokens else replace(last.component, token=None)
        sums[component] = sums.get(component, 0.0) + last.contrib
    return sorted(sums.items(), key=lambda item: -abs(item[1]))[:top_k]
