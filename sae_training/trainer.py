"""One transcoder's training: steps on batches of activations, and its state."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from huggingface.tokenization import Batch
from huggingface.transcoder import Sites, Transcoder
from sae_training.activations import MLPActivations
from sae_training.checkpoint import expect, is_number, is_plain, restore_optimizer
from sae_training.config import Recipe
from sae_training.evaluation import FitMeter
from sae_training.hooked_model import HookedModel
from sae_training.losses import transcoder_losses
from sae_training.processes import Processes
from sae_training.transcoder import TrainableTranscoder
from util.errors import CheckpointError, UserError
from util.progress import Progress

logger = logging.getLogger(__name__)

THRESHOLD_FACTOR = 10.0
"""jumprelu: the thresholds' logarithms learn so many times faster than the weights, or they would stay about where they began."""


class LayerTrainer:
    """Trains one transcoder.

    Args:
        recipe: how.
        inputs: a sample of what the MLP reads, for scales and biases; its device is that of the training.
        outputs: a sample of what the MLP writes.
        layer: the layer's number, for messages.
        processes: who share the work of each step.
    """

    def __init__(
        self,
        recipe: Recipe,
        inputs: Float[Tensor, "token d_in"],
        outputs: Float[Tensor, "token d_out"],
        layer: int = 0,
        processes: Processes | None = None,
    ) -> None:
        generator = torch.Generator().manual_seed(recipe.seed + layer)
        self.recipe, self.layer, self.step = recipe, layer, 0
        self.processes = processes or Processes()
        self.transcoder = TrainableTranscoder(recipe, inputs, outputs, generator)
        self.lr = recipe.lr or default_learning_rate(recipe, inputs.shape[1], len(self.transcoder.W_dec))
        groups = [{"params": [p for name, p in self.transcoder.named_parameters() if name != "log_threshold"], "factor": 1.0}]
        if self.transcoder.log_threshold is not None:
            groups.append({"params": [self.transcoder.log_threshold], "factor": THRESHOLD_FACTOR})
        self._optimizer = torch.optim.Adam(groups, lr=self.lr, fused=True)

    def train_step(self, inputs: Float[Tensor, "token d_in"], outputs: Float[Tensor, "token d_out"], report: bool = True) -> dict[str, float]:
        """One optimizer step on activations in the model's units, the same for all processes, of which each computes its part.

        Returns:
            With ``report`` the step's figures under transcoder_circuits' names.

        Raises:
            UserError: if the loss is not a number.
        """
        transcoder, recipe = self.transcoder, self.recipe
        if recipe.decoder_norm == "unit":
            transcoder.normalize_decoder()
        x, target = inputs / transcoder.scale_in, outputs / transcoder.scale_out
        own = self.processes.part(len(x))
        losses = torch.zeros(4, device=x.device)
        fired = torch.zeros_like(transcoder.dead)
        reconstructions, active = [], torch.zeros((), device=x.device)
        self._optimizer.zero_grad()
        for part, aim in zip(x[own].chunk(recipe.accumulation_steps), target[own].chunk(recipe.accumulation_steps)):
            output, share = transcoder(part), len(part) / len(x)
            terms = transcoder_losses(transcoder, part, aim, output, self.step)
            (terms.overall * share).backward()
            losses += share * torch.stack([term.detach() for term in terms])
            fired |= output.fired
            active += share * output.l0
            reconstructions.append(output.reconstruction.detach())
        rate = learning_rate(recipe, self.step, self.lr)
        self._update(losses, fired, rate)
        if not report:
            return {}
        self.processes.add_up([active])
        reconstruction = torch.cat([part for parts in self.processes.gathered([torch.cat(reconstructions)]) for part in parts])
        errors = (reconstruction - target).square().sum(1)
        variances = (target - target.mean(0)).square().sum(1)
        explained = 1 - errors / variances.clamp(min=1e-12)
        overall, mse, sparsity, auxiliary = losses.tolist()
        return {
            "losses/overall_loss": overall,
            "losses/mse_loss": mse,
            "losses/l1_loss": sparsity,
            "losses/ghost_grad_loss": auxiliary,
            "metrics/fvu": (errors.sum() / variances.sum().clamp(min=1e-12)).item(),
            "metrics/explained_variance": explained.mean().item(),
            "metrics/explained_variance_std": explained.std().item() if len(explained) > 1 else 0.0,
            "metrics/l0": active.item(),
            "metrics/l2_norm": (reconstruction.norm(dim=1).mean() * transcoder.scale_out).item(),
            "metrics/l2_ratio": (reconstruction.norm(dim=1) / target.norm(dim=1).clamp(min=1e-12)).mean().item(),
            "sparsity/dead_features": int(transcoder.dead.sum()),
            "details/n_training_tokens": self.step * recipe.train_batch_size,
            "details/current_learning_rate": rate,
        }

    def _update(self, losses: Float[Tensor, " terms"], fired: Bool[Tensor, " n_features"], rate: float) -> None:
        """Step along the gradients of all processes' parts, whose losses and firing are added up in place.

        Raises:
            UserError: if the loss, the first of ``losses``, is not a number.
        """
        transcoder, recipe = self.transcoder, self.recipe
        gradients = [parameter.grad for parameter in transcoder.parameters() if parameter.grad is not None]
        counts = fired.long()
        self.processes.add_up([losses, counts, *gradients])
        if not torch.isfinite(losses[0]):
            raise UserError(
                f"The loss of layer {self.layer} is {losses[0].item()} at step {self.step}; "
                f"give a smaller --lr than {self.lr:g}, and look for NaN in the model's activations."
            )
        if recipe.decoder_norm == "unit":
            transcoder.remove_parallel_gradient()
        if recipe.selects and recipe.revive == "bias":
            transcoder.pull_dead_biases()
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self._optimizer.step()
        transcoder.count_silence(counts > 0)
        if self.processes.count > 1:
            self.processes.add_up([transcoder.cut])
            transcoder.cut /= self.processes.count
        self.step += 1

    def finetune_step(
        self, model: HookedModel, batch: Batch, kept: Bool[Tensor, "row column"], rate: float, report: bool = True
    ) -> dict[str, float]:
        """One step towards the model's own predictions with the transcoder in the MLP's place; ``batch`` is this process's part.

        Half of the loss is that of a training step, half the divergence KL(model || model with the transcoder), scaled to be as large.

        Args:
            kept: where the transcoder stands in.
            rate: of Adam.

        Source: Karvonen 2025 (arXiv 2503.17272): a short finetuning behind an ordinary training.

        Raises:
            UserError: if the loss is not a number.
        """
        transcoder, real = self.transcoder, batch.attention_mask.bool()
        if self.recipe.decoder_norm == "unit":
            transcoder.normalize_decoder()
        with torch.no_grad():
            clean = model.logits(batch, {})[real].float().log_softmax(-1)
            read, written = model.activations(batch)[self.layer]
        device = transcoder.W_dec.device
        x, target = read[kept].to(device).float() / transcoder.scale_in, written[kept].to(device).float() / transcoder.scale_out
        output = transcoder(x)

        def replace(_read: Float[Tensor, "row column d_in"]) -> Float[Tensor, "row column d_out"]:
            own = written.float().clone()
            own[kept] = (output.reconstruction * transcoder.scale_out).to(own.device)
            return own

        replaced = model.logits(batch, {self.layer: replace})[real].float().log_softmax(-1)
        divergence = torch.nn.functional.kl_div(replaced, clean, log_target=True, reduction="batchmean").to(device)
        terms = transcoder_losses(transcoder, x, target, output, self.step)
        tokens = real.sum().to(device)
        self.processes.add_up([tokens])
        share = real.sum().to(device) / tokens
        sizes = share * torch.stack([terms.mse.detach(), divergence.detach()])
        self.processes.add_up([sizes])
        weight = sizes[0] / sizes[1].clamp(min=1e-12)
        overall = terms.overall - terms.mse / 2 + weight * divergence / 2
        self._optimizer.zero_grad()
        (share * overall).backward()
        losses = (share * overall.detach())[None]
        self._update(losses, output.fired, rate)
        names = ("losses/overall_loss", "losses/mse_loss", "losses/kl_divergence")
        return dict(zip(names, [*losses.tolist(), *sizes.tolist()])) | {"details/current_learning_rate": rate} if report else {}

    def export(self, sites: Sites = Sites()) -> Transcoder:
        """The transcoder as it is now, in the model's units; float32 on the CPU."""
        return self.transcoder.export(sites)

    def state(self) -> dict[str, Any]:
        """Weights, counters and the optimizer's moments."""
        return {"transcoder": self.transcoder.state_dict(), "optimizer": self._optimizer.state_dict(), "step": self.step}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was.

        Raises:
            CheckpointError: naming a tensor that is missing, unknown or of another shape.
            ValueError: if it is damaged.
        """
        own, saved = self.transcoder.state_dict(), state["transcoder"]
        if differing := sorted(own.keys() ^ saved.keys()):
            raise CheckpointError(f"The checkpoint of layer {self.layer} lacks or adds {', '.join(differing)}; give --restart.")
        for name, tensor in own.items():
            if tensor.shape != saved[name].shape:
                raise CheckpointError(
                    f"{name} in the checkpoint of layer {self.layer} has shape {list(saved[name].shape)}, but the model and "
                    f"--expansion_factor need {list(tensor.shape)}; give --restart."
                )
        expect(all(is_plain(saved[name]) and saved[name].dtype == tensor.dtype for name, tensor in own.items()), "a weight")
        self.transcoder.load_state_dict(saved)
        restore_optimizer(self._optimizer, state["optimizer"])
        expect(is_number(state["step"]), "a step")
        self.step = state["step"]


def default_learning_rate(recipe: Recipe, d_in: int, n_features: int) -> float:
    """Adam's rate where the recipe names none.

    With topk and batchtopk the smaller of ``0.9 / (d_in^(1/2) n_features^(1/4))``, near which the error is smallest, and
    ``1.3 (k / (d_in n_features))^(1/2)``, above which features die: the less often one fires, the smaller are the steps that it bears. Found on
    what MLPs of two models (d_in 128 and 576) read and write, with 512 to 18,432 features and k from 8 to 32 (docs/training_benchmark.md).
    """
    if not recipe.selects:
        return 1e-3
    return min(0.9 / (d_in**0.5 * n_features**0.25), 1.3 * (recipe.k / (d_in * n_features)) ** 0.5)


def learning_rate(recipe: Recipe, step: int, lr: float) -> float:
    """``lr`` after a linear warm-up, constant, and with "lineardecay" with a linear fall to 0 over the last share of the steps.

    The warm-up is short in a short training: one of 98 steps that only warms up ends with a sixth more error (docs/training_benchmark.md).
    """
    warm_up = min(100, recipe.steps // 10) if recipe.lr_warm_up_steps is None else recipe.lr_warm_up_steps
    rate = lr * min(1.0, (step + 1) / max(1, warm_up))
    if recipe.lr_scheduler_name == "lineardecay" and recipe.lr_decay_share:
        rate *= min(1.0, (recipe.steps - step) / (recipe.lr_decay_share * recipe.steps))
    return rate


def shuffled_batches(n_tokens: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Endless rows to train on, int64 [batch_size]: each pass over the tokens in a new order."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    while True:
        while len(order) < batch_size:
            order = torch.cat([order, torch.randperm(n_tokens, generator=generator)])
        yield order[:batch_size]
        order = order[batch_size:]


def train_transcoder(activations: MLPActivations, recipe: Recipe, sites: Sites = Sites()) -> Transcoder:
    """Train on activations that are in memory; deterministic in ``recipe.seed``, on the device of the activations."""
    inputs, outputs = activations
    trainer = LayerTrainer(recipe, inputs, outputs)
    batches = shuffled_batches(len(inputs), recipe.train_batch_size, recipe.seed)
    progress = Progress(range(recipe.steps), desc="training the transcoder")
    for step in progress:
        rows = next(batches).to(inputs.device)
        metrics = trainer.train_step(inputs[rows], outputs[rows], report=step % 100 == 0)
        if metrics:
            progress.set_postfix(fvu=f"{metrics['metrics/fvu']:.4f}", l0=f"{metrics['metrics/l0']:.1f}")
    return trainer.export(sites)


@dataclass(frozen=True)
class Fit:
    """How well a transcoder stands in for its MLP on given activations.

    Attributes:
        fvu: fraction of the output's variance unexplained.
        l0: mean number of active features a token.
        dead: number of features that never fired.
    """

    fvu: float
    l0: float
    dead: int


@torch.inference_mode()
def measure_fit(transcoder: Transcoder, activations: MLPActivations, batch_size: int = 8192) -> Fit:
    """Measure ``transcoder`` on ``activations``, which it should not have been trained on."""
    meter = FitMeter(transcoder.n_features)
    for x, y in zip(activations.inputs.split(batch_size), activations.outputs.split(batch_size), strict=True):
        features = transcoder.encode(x)
        meter.add(transcoder.decode(features, x), y, features)
    return Fit(meter.fvu, meter.l0, int((meter.fired == 0).sum()))
