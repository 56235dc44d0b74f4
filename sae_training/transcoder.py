"""A transcoder while it is trained: its parameters, its forward pass, and its way into the units of the model."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from huggingface.transcoder import JumpReLU, Sites, TopK, Transcoder
from sae_training.activation_functions import jump_relu, near_threshold
from sae_training.config import Recipe
from sae_training.sparse import decode_active, decode_masked, decode_ragged, encode_top_k, largest_of_batch, product_dtype
from util.errors import UserError

MEDIAN_STEPS, MEDIAN_TOLERANCE, SMALL = 100, 1e-6, 1e-6

SHARE_OF_ONE_TOKEN = 4
"""With batchtopk a token can have at most so many times ``k`` active features; selecting among more takes the time of a dense sort."""

THRESHOLD_STEPS = 100
"""batchtopk: over about so many last steps runs the mean of the smallest selected activation; in a shorter training over its last tenth, or the
thresholds would still be those of its beginning, and let far fewer than ``k`` features through."""

BIAS_PULL = 1e-4
"""Gradient on the encoder bias of a dead feature. Adam makes a step of about the learning rate of it, whatever its size; it only has to be
small against the gradients of living features, whose second moments it must not disturb after a revival."""


class Output(NamedTuple):
    """What one forward pass gives.

    Attributes:
        reconstruction: the target as the transcoder sees it.
        features: activations, dense; None for topk and batchtopk.
        pre_activations: dense; None for topk and batchtopk.
        fired: which features were active for at least one token.
        l0: mean number of active features a token.
        nested: what the first features alone reconstruct, for each of the recipe's smaller widths.
    """

    reconstruction: Float[Tensor, "token d_out"]
    features: Float[Tensor, "token n_features"] | None
    pre_activations: Float[Tensor, "token n_features"] | None
    fired: Bool[Tensor, " n_features"]
    l0: Float[Tensor, ""]
    nested: tuple[Float[Tensor, "token d_out"], ...]


class TrainableTranscoder(nn.Module):
    """``y = act((x - b_dec) W_enc^T + b_enc) W_dec + b_dec_out (+ x W_skip^T)`` on scaled inputs and outputs.

    Both weights have one row per feature, so that the rows of active features lie together in memory.

    Attributes:
        W_enc: float32 [n_features, d_in].
        b_enc: float32 [n_features].
        W_dec: float32 [n_features, d_out].
        b_dec: float32 [d_in], subtracted from the input.
        b_dec_out: float32 [d_out].
        W_skip: float32 [d_out, d_in], or None.
        log_threshold: float32 [n_features] for jumprelu, or None.
        scale_in, scale_out: float32 scalars; what is trained on is the activations divided by them.
        steps_since_fired: int64 [n_features].
        cut: float32 scalar, the running mean of batchtopk's smallest selected activation; its threshold when it is saved.
    """

    scale_in: Float[Tensor, ""]
    scale_out: Float[Tensor, ""]
    steps_since_fired: Int[Tensor, " n_features"]
    cut: Float[Tensor, ""]

    def __init__(
        self, recipe: Recipe, inputs: Float[Tensor, "token d_in"], outputs: Float[Tensor, "token d_out"], generator: torch.Generator
    ) -> None:
        """Random weights from ``generator``; scales and biases from a sample of the activations.

        Raises:
            UserError: if the recipe does not fit the widths.
        """
        super().__init__()
        self.recipe = recipe
        d_in, d_out, n_features = inputs.shape[1], outputs.shape[1], recipe.expansion_factor * inputs.shape[1]
        if recipe.selects and recipe.k > n_features:
            raise UserError(f"--k {recipe.k} is more than the {n_features} features; give a smaller one or a larger --expansion_factor.")
        if recipe.matryoshka_widths and recipe.matryoshka_widths[-1] >= n_features:
            raise UserError(f"--matryoshka_widths must be below the {n_features} features, not {recipe.matryoshka_widths[-1]}.")
        beginning = recipe.encoder_init if recipe.encoder_init != "auto" else "samples" if recipe.selects else "transpose"
        if beginning == "transpose" and d_in != d_out:
            raise UserError(f"--encoder_init transpose needs equal widths, not {d_in} and {d_out}; give --encoder_init kaiming.")
        if recipe.use_ghost_grads and recipe.ghost_residual == "input" and d_in != d_out:
            raise UserError(f"--ghost_residual input needs equal widths, not {d_in} and {d_out}; give --ghost_residual output.")
        inputs, outputs = inputs.float(), outputs.float()
        centers = [center(sample, recipe.b_dec_init_method) for sample in (inputs, outputs)]
        scales = [torch.ones((), device=inputs.device)] * 2
        if recipe.normalize_activations == "unit_mean_norm":
            # A layer that writes nothing has no scale; it is left alone.
            scales = [(sample - middle).norm(dim=1).mean().clamp(min=SMALL) for sample, middle in zip((inputs, outputs), centers)]
        self.register_buffer("scale_in", scales[0].clone())
        self.register_buffer("scale_out", scales[1].clone())
        self.register_buffer("steps_since_fired", torch.zeros(n_features, dtype=torch.long))
        self.register_buffer("cut", torch.zeros(()))
        written = nn.functional.normalize(torch.randn(n_features, d_out, generator=generator), dim=1)
        if beginning == "samples":
            rows = torch.randperm(len(inputs), generator=generator).repeat(-(-n_features // len(inputs)))[:n_features].to(inputs.device)
            read, written = (nn.functional.normalize(part[rows] - middle, dim=1).cpu() for part, middle in zip((inputs, outputs), centers))
        elif beginning == "kaiming":
            bound = (6 / d_in) ** 0.5
            read = torch.empty(n_features, d_in).uniform_(-bound, bound, generator=generator)
        else:
            read = written.clone()
        self.W_enc = nn.Parameter(read)
        self.W_dec = nn.Parameter(written * (1.0 if recipe.decoder_norm == "unit" else recipe.decoder_init_norm))
        self.b_enc = nn.Parameter(torch.zeros(n_features))
        self.b_dec = nn.Parameter(centers[0].cpu() / scales[0].cpu())
        self.b_dec_out = nn.Parameter(centers[1].cpu() / scales[1].cpu())
        self.W_skip = nn.Parameter(torch.zeros(d_out, d_in)) if recipe.skip_connection else None
        start = torch.full((n_features,), recipe.jumprelu_threshold).log()
        self.log_threshold = nn.Parameter(start) if recipe.activation == "jumprelu" else None
        self.to(inputs.device)

    @property
    def threshold(self) -> Float[Tensor, " n_features"]:
        """jumprelu's thresholds, above 0 by construction."""
        assert self.log_threshold is not None
        return self.log_threshold.exp()

    def forward(self, x: Float[Tensor, "token d_in"]) -> Output:
        """Read scaled inputs."""
        recipe = self.recipe
        widths = [*recipe.matryoshka_widths, len(self.W_dec)]
        if recipe.selects:
            features = pre = None
            k = recipe.k if recipe.activation == "topk" else min(SHARE_OF_ONE_TOKEN * recipe.k, len(self.W_dec))
            active = encode_top_k(x, self.b_dec, self.W_enc, self.b_enc, k, product_dtype(recipe.encoder_dtype, x.device))
            positive = active.values > 0
            if recipe.activation == "batchtopk":
                positive &= largest_of_batch(active.values, recipe.k)
                self._note_cut(active.values.detach()[positive])
            if recipe.activation == "topk" and len(widths) == 1:
                decoded = [decode_active(active, self.W_dec)]
            else:
                decoded = [decode_ragged(active, positive & (active.indices < width), self.W_dec) for width in widths]
            fired = torch.zeros(len(self.W_dec), dtype=torch.bool, device=x.device)
            fired[active.indices[positive]] = True
            l0 = positive.sum(1).float().mean()
        else:
            pre = linear(x - self.b_dec, self.W_enc, self.b_enc)
            if recipe.activation == "relu":
                features = pre.relu()
                support = is_active = features > 0
            else:
                features = jump_relu(pre, self.threshold, recipe.jumprelu_bandwidth)
                is_active = pre > self.threshold
                support = is_active | near_threshold(pre, self.threshold, recipe.jumprelu_bandwidth)
            decoded = [decode_masked(features[:, :width], support[:, :width], self.W_dec[:width]) for width in widths]
            fired, l0 = is_active.any(0), is_active.sum(1).float().mean()
        beside = self.b_dec_out if self.W_skip is None else self.b_dec_out + linear(x, self.W_skip)
        *nested, reconstruction = (part + beside for part in decoded)
        return Output(reconstruction, features, pre, fired, l0, tuple(nested))

    @torch.no_grad()
    def _note_cut(self, selected: Float[Tensor, " active"]) -> None:
        """Take the smallest selected activation of a training step into its running mean (Bussmann et al. 2024, section 3)."""
        if self.training and len(selected):
            first, memory = self.cut == 0, threshold_memory(self.recipe)
            self.cut.copy_(torch.where(first, selected.min(), memory * self.cut + (1 - memory) * selected.min()))

    @torch.no_grad()
    def count_silence(self, fired: Bool[Tensor, " n_features"]) -> None:
        """Note which features were active in a step."""
        self.steps_since_fired += 1
        self.steps_since_fired[fired] = 0

    @property
    def dead(self) -> Bool[Tensor, " n_features"]:
        """Features that have been silent for the recipe's window."""
        return self.steps_since_fired >= self.recipe.dead_feature_window

    @torch.no_grad()
    def pull_dead_biases(self) -> None:
        """Give the encoder biases of dead features a gradient that raises them: sooner or later each is among the largest for the token
        that it fits best, and learns from there on. Biases leave the features' directions apart, which a common loss does not."""
        assert self.b_enc.grad is not None
        self.b_enc.grad[self.dead] = -BIAS_PULL

    @torch.no_grad()
    def normalize_decoder(self) -> None:
        """Give the decoder's rows length 1 again."""
        self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True).clamp(min=SMALL))

    @torch.no_grad()
    def remove_parallel_gradient(self) -> None:
        """Take from each decoder row's gradient the part along the row, which the norm constraint would undo."""
        assert self.W_dec.grad is not None
        unit = nn.functional.normalize(self.W_dec, dim=1)
        self.W_dec.grad -= (self.W_dec.grad * unit).sum(1, keepdim=True) * unit

    @torch.no_grad()
    def export(self, sites: Sites) -> Transcoder:
        """The transcoder in the units of the model, float32 on the CPU: scales and input bias folded in.

        Decoder rows get length 1 where that changes nothing, so that activations of different features compare: with topk and batchtopk they
        decide which features are active, so there only all rows together are scaled.
        """
        scale_in, scale_out = self.scale_in.cpu().double(), self.scale_out.cpu().double()
        decoder = self.W_dec.cpu().double()
        lengths = decoder.norm(dim=1).clamp(min=SMALL)
        if self.recipe.decoder_norm == "unit":
            # As the next step would do first; the parameters themselves stay as they are, or exporting would change the training.
            decoder, lengths = decoder / lengths[:, None], torch.ones_like(lengths)
        if self.recipe.selects:
            lengths = lengths.mean().expand_as(lengths)
        lengths = lengths * scale_out
        activation: nn.Module = nn.ReLU()
        if self.recipe.activation == "topk":
            activation = TopK(self.recipe.k)
        elif self.recipe.activation == "batchtopk":
            activation = JumpReLU((self.cut.cpu().double() * lengths).float())
        elif self.recipe.activation == "jumprelu":
            activation = JumpReLU((self.threshold.cpu().double() * lengths).float())
        return Transcoder.from_matrices(
            (self.W_enc.cpu().double() * (lengths / scale_in)[:, None]).float().T,
            (self.b_enc.cpu().double() * lengths).float(),
            (decoder * (scale_out / lengths)[:, None]).float(),
            (self.b_dec_out.cpu().double() * scale_out).float(),
            b_dec=(self.b_dec.cpu().double() * scale_in).float(),
            W_skip=None if self.W_skip is None else (self.W_skip.cpu().double() * (scale_out / scale_in)).float(),
            activation=activation,
            sites=sites,
        )


def threshold_memory(recipe: Recipe) -> float:
    """batchtopk: weight of the past in the running mean of the smallest selected activation."""
    return 1 - 1 / min(THRESHOLD_STEPS, max(1, recipe.steps // 10))


def center(sample: Float[Tensor, "token d"], method: str) -> Float[Tensor, " d"]:
    """The mean, the geometric median (Weiszfeld's iteration) or zero."""
    middle = sample.mean(0)
    if method == "zeros":
        return torch.zeros_like(middle)
    if method == "geometric_median":
        for _ in range(MEDIAN_STEPS):
            weights = 1 / (sample - middle).norm(dim=1).clamp(min=SMALL)
            previous, middle = middle, (sample * weights[:, None]).sum(0) / weights.sum()
            if (middle - previous).norm() <= MEDIAN_TOLERANCE * middle.norm():
                break
    return middle
