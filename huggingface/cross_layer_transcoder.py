"""A cross-layer transcoder: sparse features that read one layer and write into the MLP outputs of that layer and all later ones."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, linear

from huggingface.transcoder import CONFIG_FILE, JumpReLU, Sites, TopK, Transcoder
from util.files import write_atomically, write_description

WEIGHTS_FILE = "cross_layer.safetensors"
MODEL_KIND = "cross_layer_transcoder"
"""``model_kind`` in the configuration, circuit-tracer's name for it."""

Activation = Literal["relu", "jumprelu", "topk"]


class LayerTensors(NamedTuple):
    """What belongs to one layer.

    Attributes:
        W_enc: [n_features, d_model].
        b_enc: [n_features].
        W_dec: [n_features, n_layers - layer, d_model], into this layer first and the last one last.
        b_dec: [d_model], of this layer's output.
        threshold: [n_features] for jumprelu, else None.
    """

    W_enc: Float[Tensor, "n_features d_model"]
    b_enc: Float[Tensor, " n_features"]
    W_dec: Float[Tensor, "n_features targets d_model"]
    b_dec: Float[Tensor, " d_model"]
    threshold: Float[Tensor, " n_features"] | None = None


class CrossLayerTranscoder(nn.Module):
    """``a_l = act(W_enc_l x_l / scale_in_l + b_enc_l)``, ``y_t = scale_out_t (sum over s <= t of W_dec_{s,t} a_s + b_dec_t)``.

    Source: Ameisen et al. 2025, "Circuit Tracing", section "Building an interpretable replacement model".

    Attributes:
        W_enc, b_enc, W_dec, b_dec, threshold: a tensor for each layer, as in ``LayerTensors``; no thresholds unless the activation is jumprelu.
        n_layers: number of layers, each with as many features.
        scale_in: [n_layers], what a layer's input is divided by before it is encoded.
        scale_out: [n_layers], what a layer's decoded output is multiplied by.
        activation: "relu"; "jumprelu", which keeps what is strictly above its feature's threshold; "topk", the ``k`` largest, after a ReLU.
        sites: where each layer is read and written; the names have no layer in front.
        first_token: whether it was trained on a text's first token too; if not, that token keeps its MLP's own output in a replacement.
        metadata: what else its file says, such as how it was trained.
    """

    scale_in: Float[Tensor, " n_layers"]
    scale_out: Float[Tensor, " n_layers"]

    def __init__(
        self,
        layers: Sequence[LayerTensors],
        scale_in: Float[Tensor, " n_layers"],
        scale_out: Float[Tensor, " n_layers"],
        activation: Activation,
        k: int | None = None,
        sites: Sites = Sites("resid_mid", "mlp_out"),
        first_token: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.n_layers = len(layers)
        self.W_enc, self.b_enc, self.W_dec, self.b_dec = (
            nn.ParameterList(nn.Parameter(tensor, requires_grad=False) for tensor in tensors)
            for tensors in zip(*((layer.W_enc, layer.b_enc, layer.W_dec, layer.b_dec) for layer in layers))
        )
        thresholds = [layer.threshold for layer in layers if layer.threshold is not None]
        self.threshold = nn.ParameterList(nn.Parameter(threshold, requires_grad=False) for threshold in thresholds)
        if len(thresholds) != len(layers) * (activation == "jumprelu") or (k is None) == (activation == "topk"):
            raise ValueError(f"{activation} with {len(thresholds)} thresholds of {len(layers)} layers and k {k}")
        self.register_buffer("scale_in", scale_in)
        self.register_buffer("scale_out", scale_out)
        self.activation, self.k, self.sites, self.first_token, self.metadata = activation, k, sites, first_token, dict(metadata or {})

    @property
    def n_features(self) -> int:
        """Number of features of a layer."""
        return len(self.W_enc[0])

    @property
    def d_model(self) -> int:
        """Width of what is read and written."""
        return self.W_enc[0].shape[1]

    def pre_activations(self, x: Float[Tensor, "*any d_model"], layer: int) -> Float[Tensor, "*any n_features"]:
        """What the activation function of ``layer`` gets, for what the model has at its site."""
        return linear(x / self.scale_in[layer], self.W_enc[layer], self.b_enc[layer])

    def activate(self, h: Float[Tensor, "*any n_features"], layer: int) -> Float[Tensor, "*any n_features"]:
        """The activation function of ``layer``."""
        if self.activation == "jumprelu":
            return h * (h > self.threshold[layer])
        if self.activation == "relu":
            return h.relu()
        assert self.k is not None
        best = h.topk(self.k, dim=-1)
        return torch.zeros_like(h).scatter(-1, best.indices, best.values.relu())

    def encode(self, x: Float[Tensor, "*any d_model"], layer: int) -> Float[Tensor, "*any n_features"]:
        """The activations of the features of ``layer``."""
        return self.activate(self.pre_activations(x, layer), layer)

    def write(self, features: Float[Tensor, "*any n_features"], source: int) -> Float[Tensor, "*any targets d_model"]:
        """What the features of layer ``source`` add to the outputs of that layer and the later ones, in the model's units, without biases.

        Only the rows of active features are read.
        """
        rows = self.W_dec[source].flatten(1)
        flat = features.reshape(-1, self.n_features)
        places = flat.detach().flatten().nonzero().squeeze(1)
        offsets = torch.searchsorted(places, torch.arange(len(flat), device=flat.device) * self.n_features)
        summed = embedding_bag(places % self.n_features, rows, offsets, per_sample_weights=flat.flatten()[places], mode="sum")
        return summed.view(*features.shape[:-1], -1, self.d_model) * self.scale_out[source:, None]

    def bias(self, target: int) -> Float[Tensor, " d_model"]:
        """What is added to the output of layer ``target`` whatever is active, in the model's units."""
        return self.b_dec[target] * self.scale_out[target]

    def decode(self, features: Sequence[Float[Tensor, "*any n_features"]]) -> list[Float[Tensor, "*any d_model"]]:
        """The output of each layer for the features of all layers."""
        outputs = [self.bias(target).expand(*features[0].shape[:-1], -1) for target in range(self.n_layers)]
        for source, active in enumerate(features):
            for target, part in enumerate(self.write(active, source).unbind(-2), source):
                outputs[target] = outputs[target] + part
        return outputs

    def forward(self, x: Sequence[Float[Tensor, "*any d_model"]]) -> list[Float[Tensor, "*any d_model"]]:
        """The output of each layer for what each layer reads."""
        return self.decode([self.encode(read, layer) for layer, read in enumerate(x)])

    def encoder_rows(self, layer: int, features: Int[Tensor, " n"]) -> Float[Tensor, "n d_model"]:
        """The directions that some features of ``layer`` read, in the model's units."""
        return self.W_enc[layer][features] / self.scale_in[layer]

    def decoder_rows(self, source: int, target: int, features: Int[Tensor, " n"]) -> Float[Tensor, "n d_model"]:
        """What some features of layer ``source`` write into the output of layer ``target``, not before ``source``, in the model's units."""
        return self.W_dec[source][features.to(self.W_dec[source].device), target - source] * self.scale_out[target]

    def layer_transcoder(self, layer: int) -> Transcoder:
        """The encoder and activation of ``layer``, its decoder into its own output and that output's bias, in the model's units."""
        activation = TopK(self.k) if self.k is not None else JumpReLU(self.threshold[layer].data) if self.activation == "jumprelu" else nn.ReLU()
        return Transcoder.from_matrices(
            (self.W_enc[layer] / self.scale_in[layer]).T,
            self.b_enc[layer],
            self.W_dec[layer][:, 0] * self.scale_out[layer],
            self.bias(layer),
            activation=activation,
            sites=Sites(*(f"blocks.{layer}.{name}" for name in (self.sites.reads, self.sites.writes))),
        )

    def layers(self) -> list[LayerTensors]:
        """The tensors of each layer; not copies."""
        thresholds = list(self.threshold) or [None] * self.n_layers
        return [LayerTensors(*parts) for parts in zip(self.W_enc, self.b_enc, self.W_dec, self.b_dec, thresholds)]

    def folded(self) -> "CrossLayerTranscoder":
        """The same function with scales of 1, for formats that have none; activations are the same numbers."""
        folded = [
            LayerTensors(
                W_enc.data / self.scale_in[layer],
                b_enc.data.clone(),
                W_dec.data * self.scale_out[layer:, None],
                b_dec.data * self.scale_out[layer],
                None if threshold is None else threshold.data.clone(),
            )
            for layer, (W_enc, b_enc, W_dec, b_dec, threshold) in enumerate(self.layers())
        ]
        ones = torch.ones_like(self.scale_in)
        return CrossLayerTranscoder(folded, ones, ones.clone(), self.activation, self.k, self.sites, self.first_token, self.metadata)


def save_cross_layer(transcoder: CrossLayerTranscoder, folder: str | Path, **metadata: object) -> None:
    """Write ``cfg.json`` and ``cross_layer.safetensors``, from which ``load_cross_layer`` makes the same transcoder bit by bit.

    Args:
        metadata: further entries of the configuration's ``metadata``, such as the model's name.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in transcoder.state_dict().items()}
    config = {
        "model_kind": MODEL_KIND,
        "n_layers": transcoder.n_layers,
        "n_features": transcoder.n_features,
        "d_model": transcoder.d_model,
        "activation": transcoder.activation,
        "k": transcoder.k,
        "reads": transcoder.sites.reads,
        "writes": transcoder.sites.writes,
        "first_token": transcoder.first_token,
        "metadata": json.loads(json.dumps(transcoder.metadata | metadata)),
    }
    write_atomically(Path(folder) / WEIGHTS_FILE, lambda path: save_file(tensors, path))
    write_description(Path(folder) / CONFIG_FILE, config, Path(folder) / WEIGHTS_FILE)
