"""A cross-layer transcoder while it is trained: its parameters, its forward pass and its loss.

Sources: Ameisen et al. 2025, "Circuit Tracing", appendix "Cross-layer transcoder training"; Anthropic, "Circuits Updates - January 2025" for the
tanh penalty and the loss on pre-activations.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from huggingface.cross_layer_transcoder import Activation, CrossLayerTranscoder, LayerTensors
from huggingface.transcoder import Sites
from sae_training.activation_functions import count_active, jump_relu, near_threshold
from sae_training.config import Recipe
from sae_training.sparse import decode_active, decode_masked, decode_ragged, encode_top_k, largest_of_batch, product_dtype
from sae_training.transcoder import BIAS_PULL, SHARE_OF_ONE_TOKEN, SMALL, threshold_memory
from util.errors import UserError


class CrossLayerOutput(NamedTuple):
    """What one forward pass gives.

    Attributes:
        reconstructions: the target of each layer as the transcoder sees it.
        features, pre_activations: of each layer, dense; empty for topk and batchtopk.
        fired: which features of which layer were active for at least one token.
        l0: of each layer, mean number of active features a token.
    """

    reconstructions: list[Float[Tensor, "token d_model"]]
    features: list[Float[Tensor, "token n_features"]]
    pre_activations: list[Float[Tensor, "token n_features"]]
    fired: Bool[Tensor, "n_layers n_features"]
    l0: Float[Tensor, " n_layers"]


class CrossLayerLosses(NamedTuple):
    """One step's loss and its terms, scalars; ``sparsity`` and ``pre_activation`` without their coefficients."""

    overall: Float[Tensor, ""]
    mse: Float[Tensor, ""]
    sparsity: Float[Tensor, ""]
    pre_activation: Float[Tensor, ""]


class TrainableCrossLayerTranscoder(nn.Module):
    """Encoders and decoders of all layers, on inputs and outputs of unit mean square.

    A feature's rows of all its decoders lie behind each other, so that one bag over a token's active features writes into all layers.

    Attributes:
        W_enc: for each layer float32 [n_features, d_model].
        b_enc: for each layer float32 [n_features].
        W_dec: for each layer float32 [n_features, targets * d_model]: into that layer first, then the next ones.
        b_dec: for each layer float32 [d_model], of its output.
        log_threshold: float32 [n_layers, n_features] for jumprelu, or None.
        center: float32 [n_layers, d_model], the mean input, subtracted before anything is read.
        scale_in, scale_out: float32 [n_layers]; what is trained on is the activations divided by them.
        steps_since_fired: int64 [n_layers, n_features].
        cut: float32 [n_layers], batchtopk's thresholds when it is saved.
    """

    center: Float[Tensor, "n_layers d_model"]
    scale_in: Float[Tensor, " n_layers"]
    scale_out: Float[Tensor, " n_layers"]
    steps_since_fired: Int[Tensor, "n_layers n_features"]
    cut: Float[Tensor, " n_layers"]

    def __init__(
        self,
        recipe: Recipe,
        inputs: Sequence[Float[Tensor, "token d_model"]],
        outputs: Sequence[Float[Tensor, "token d_model"]],
        generator: torch.Generator,
        n_features: int | None = None,
    ) -> None:
        """Random weights from ``generator``; scales and biases from a sample of the activations of all layers.

        Args:
            n_features: of a layer, instead of the recipe's multiple of the width.

        Raises:
            UserError: if the recipe does not fit the widths.
        """
        super().__init__()
        n_layers, d_model = len(inputs), inputs[0].shape[1]
        n_features = n_features or recipe.expansion_factor * d_model
        if recipe.selects and recipe.k > n_features:
            raise UserError(f"--k {recipe.k} is more than the {n_features} features of a layer; give a smaller one or more features.")
        self.recipe, self.n_layers, self.d_model, self.n_features = recipe, n_layers, d_model, n_features
        inputs, outputs = [x.float() for x in inputs], [y.float() for y in outputs]
        middles = [y.mean(0) for y in outputs]
        unscaled = recipe.normalize_activations == "none"
        self.register_buffer("center", torch.stack([x.mean(0) for x in inputs]) * (not unscaled))
        self.register_buffer("scale_in", torch.stack([_size(x - middle, unscaled) for x, middle in zip(inputs, self.center)]))
        self.register_buffer("scale_out", torch.stack([_size(y - middle, unscaled) for y, middle in zip(outputs, middles)]))
        self.register_buffer("steps_since_fired", torch.zeros(n_layers, n_features, dtype=torch.long))
        self.register_buffer("cut", torch.zeros(n_layers))
        read, written = [], []
        for layer in range(n_layers):
            targets = range(layer, n_layers)
            if recipe.encoder_init in ("auto", "samples"):
                # Each feature reads what one token reads, and begins to write what that token's MLPs write.
                rows = torch.randperm(len(inputs[0]), generator=generator).repeat(-(-n_features // len(inputs[0])))[:n_features]
                rows = rows.to(inputs[0].device)
                read.append(normalize(inputs[layer][rows] - self.center[layer], dim=1))
                written.append(torch.cat([normalize(outputs[target][rows] - middles[target], dim=1) for target in targets], 1))
            else:
                written.append(normalize(torch.randn(n_features * len(targets), d_model, generator=generator), dim=1).view(n_features, -1))
                bound = (6 / d_model) ** 0.5
                kaiming = torch.empty(n_features, d_model).uniform_(-bound, bound, generator=generator)
                read.append(written[layer][:, :d_model].clone() if recipe.encoder_init == "transpose" else kaiming)
            written[layer] = written[layer] * (recipe.decoder_init_norm / len(targets))
        self.W_enc = nn.ParameterList(nn.Parameter(part) for part in read)
        self.W_dec = nn.ParameterList(nn.Parameter(part) for part in written)
        self.b_enc = nn.ParameterList(nn.Parameter(torch.zeros(n_features)) for _ in range(n_layers))
        self.b_dec = nn.ParameterList(nn.Parameter(middle.cpu() / scale.cpu()) for middle, scale in zip(middles, self.scale_out))
        start = torch.full((n_layers, n_features), recipe.jumprelu_threshold).log()
        self.log_threshold = nn.Parameter(start) if recipe.activation == "jumprelu" else None
        self.to(inputs[0].device)

    @property
    def threshold(self) -> Float[Tensor, "n_layers n_features"]:
        """jumprelu's thresholds, above 0 by construction."""
        assert self.log_threshold is not None
        return self.log_threshold.exp()

    @property
    def dead(self) -> Bool[Tensor, "n_layers n_features"]:
        """Features that have been silent for the recipe's window."""
        return self.steps_since_fired >= self.recipe.dead_feature_window

    def scaled_inputs(self, inputs: Sequence[Float[Tensor, "token d_model"]]) -> list[Float[Tensor, "token d_model"]]:
        """What the encoders get for what the model has at its sites."""
        return [(x - self.center[layer]) / self.scale_in[layer] for layer, x in enumerate(inputs)]

    def forward(self, x: Sequence[Float[Tensor, "token d_model"]]) -> CrossLayerOutput:
        """Read scaled inputs of all layers."""
        reconstructions: list[Tensor] = list(self.b_dec)
        features: list[Tensor] = []
        pre_activations: list[Tensor] = []
        fired, l0 = [], []
        for source in range(self.n_layers):
            if self.recipe.selects:
                decoded, active, count = self._decode_largest(x[source], source)
            else:
                decoded, active, count = self._decode_above(x[source], source, features, pre_activations)
            fired.append(active)
            l0.append(count)
            for target, part in enumerate(decoded.view(len(decoded), -1, self.d_model).unbind(1), source):
                reconstructions[target] = reconstructions[target] + part
        return CrossLayerOutput(reconstructions, features, pre_activations, torch.stack(fired), torch.stack(l0))

    def _decode_largest(self, x: Tensor, source: int) -> tuple[Tensor, Tensor, Tensor]:
        recipe = self.recipe
        k = recipe.k if recipe.activation == "topk" else min(SHARE_OF_ONE_TOKEN * recipe.k, self.n_features)
        nothing = torch.zeros_like(self.center[source])
        active = encode_top_k(x, nothing, self.W_enc[source], self.b_enc[source], k, product_dtype(recipe.encoder_dtype, x.device))
        positive = active.values > 0
        if recipe.activation == "topk":
            decoded = decode_active(active, self.W_dec[source])
        else:
            positive &= largest_of_batch(active.values, recipe.k)
            self._note_cut(active.values.detach()[positive], source)
            decoded = decode_ragged(active, positive, self.W_dec[source])
        fired = torch.zeros(self.n_features, dtype=torch.bool, device=x.device)
        fired[active.indices[positive]] = True
        return decoded, fired, positive.sum(1).float().mean()

    def _decode_above(self, x: Tensor, source: int, features: list[Tensor], pre_activations: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        recipe, h = self.recipe, linear(x, self.W_enc[source], self.b_enc[source])
        if recipe.activation == "relu":
            active = h.relu()
            support = is_active = active > 0
        else:
            threshold = self.threshold[source]
            active = jump_relu(h, threshold, recipe.jumprelu_bandwidth)
            is_active = h > threshold
            support = is_active | near_threshold(h, threshold, recipe.jumprelu_bandwidth)
        features.append(active)
        pre_activations.append(h)
        return decode_masked(active, support, self.W_dec[source]), is_active.any(0), is_active.sum(1).float().mean()

    @torch.no_grad()
    def _note_cut(self, selected: Float[Tensor, " active"], source: int) -> None:
        if self.training and len(selected):
            smallest, before, memory = selected.min(), self.cut[source], threshold_memory(self.recipe)
            self.cut[source] = torch.where(before == 0, smallest, memory * before + (1 - memory) * smallest)

    @torch.no_grad()
    def count_silence(self, fired: Bool[Tensor, "n_layers n_features"]) -> None:
        """Note which features were active in a step."""
        self.steps_since_fired += 1
        self.steps_since_fired[fired] = 0

    @torch.no_grad()
    def pull_dead_biases(self) -> None:
        """As a per-layer transcoder: give the encoder biases of dead features a gradient that raises them until the features fire."""
        for bias, dead in zip(self.b_enc, self.dead):
            assert bias.grad is not None
            bias.grad[dead] = -BIAS_PULL

    @torch.no_grad()
    def export(self, sites: Sites = Sites("resid_mid", "mlp_out"), first_token: bool = False) -> CrossLayerTranscoder:
        """The transcoder in the units of the model, float32 on the CPU: what centres its inputs is folded into the encoder's biases."""
        activation: Activation = "topk" if self.recipe.activation == "topk" else "relu" if self.recipe.activation == "relu" else "jumprelu"
        layers = []
        for layer in range(self.n_layers):
            threshold = None
            if activation == "jumprelu":
                threshold = self.threshold[layer] if self.log_threshold is not None else self.cut[layer].expand(self.n_features)
            W_enc, middle = self.W_enc[layer].double(), self.center[layer].double() / self.scale_in[layer].double()
            tensors = LayerTensors(
                self.W_enc[layer],
                (self.b_enc[layer].double() - W_enc @ middle).float(),
                self.W_dec[layer].view(self.n_features, -1, self.d_model),
                self.b_dec[layer],
                threshold,
            )
            layers.append(LayerTensors(**{name: part.detach().cpu().clone() for name, part in tensors._asdict().items() if part is not None}))
        k = self.recipe.k if activation == "topk" else None
        return CrossLayerTranscoder(layers, self.scale_in.cpu().clone(), self.scale_out.cpu().clone(), activation, k, sites, first_token)


def _size(values: Float[Tensor, "token d_model"], one: bool) -> Float[Tensor, ""]:
    """The root of the mean square; 1 if that is asked for. A layer that writes nothing is left alone."""
    return torch.ones((), device=values.device) if one else values.square().mean().sqrt().clamp(min=SMALL)


def cross_layer_losses(
    transcoder: TrainableCrossLayerTranscoder, targets: Sequence[Float[Tensor, "token d_model"]], output: CrossLayerOutput, step: int
) -> CrossLayerLosses:
    """The recipe's loss for scaled targets, at ``step`` counted from 0.

    The sum over the layers of the mean squared error, and unless features are selected the penalties: with jumprelu L0, or with
    ``sparsity_penalty`` tanh the sum of ``tanh(c ||W_dec_i|| a_i)``, the norm over all decoders of feature i; with relu the same, or
    L1 weighted by that norm. On pre-activations ``sum of ReLU(threshold - h) ||W_dec_i||`` keeps features from staying silent.
    """
    recipe = transcoder.recipe
    errors = [(made - target).square().mean() for made, target in zip(output.reconstructions, targets, strict=True)]
    overall = mse = torch.stack(errors).sum()
    sparsity = pre_activation = torch.zeros((), device=mse.device)
    if recipe.selects:
        return CrossLayerLosses(overall, mse, sparsity, pre_activation)
    norms = [W_dec.norm(dim=1) for W_dec in transcoder.W_dec]
    penalties = []
    for layer, (features, h, norm) in enumerate(zip(output.features, output.pre_activations, norms)):
        if recipe.sparsity_penalty == "tanh":
            penalties.append((recipe.tanh_scale * norm * features).tanh().sum(1).mean())
        elif recipe.activation == "jumprelu":
            penalties.append(count_active(h.detach(), transcoder.threshold[layer], recipe.jumprelu_bandwidth).mean())
        else:
            penalties.append((features @ norm).mean())
    sparsity = torch.stack(penalties).sum()
    overall = overall + recipe.l1_coefficient * min(1.0, step / max(1, recipe.l1_warm_up_steps)) * sparsity
    if recipe.pre_activation_coefficient:
        thresholds = transcoder.threshold if recipe.activation == "jumprelu" else torch.zeros(transcoder.n_layers, 1, device=mse.device)
        below = [((threshold - h).relu() @ norm).mean() for threshold, h, norm in zip(thresholds, output.pre_activations, norms)]
        pre_activation = torch.stack(below).sum()
        overall = overall + recipe.pre_activation_coefficient * pre_activation
    return CrossLayerLosses(overall, mse, sparsity, pre_activation)
