"""A cross-layer transcoder's training: steps on batches of activations of all layers, and its state."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from huggingface.cross_layer_transcoder import CrossLayerTranscoder
from huggingface.transcoder import Sites
from sae_training.checkpoint import expect, is_number, is_plain, restore_optimizer
from sae_training.config import Recipe
from sae_training.cross_layer import TrainableCrossLayerTranscoder, cross_layer_losses
from sae_training.processes import Processes
from sae_training.trainer import THRESHOLD_FACTOR, default_learning_rate, learning_rate, shuffled_batches
from util.errors import CheckpointError, UserError
from util.progress import Progress

Pair = tuple[Float[Tensor, "token d_model"], Float[Tensor, "token d_model"]]


class CrossLayerTrainer:
    """Trains the features of all layers together.

    Args:
        recipe: how.
        pairs: for each layer a sample of what is read and what its MLP writes; their device is that of the training.
        n_features: of a layer, instead of the recipe's multiple of the width.
        processes: who share the work of each step.

    Raises:
        UserError: if the recipe does not fit the widths.
    """

    def __init__(self, recipe: Recipe, pairs: Sequence[Pair], n_features: int | None = None, processes: Processes | None = None) -> None:
        self.recipe, self.step, self.processes = recipe, 0, processes or Processes()
        inputs, outputs = zip(*pairs)
        self.transcoder = TrainableCrossLayerTranscoder(recipe, inputs, outputs, torch.Generator().manual_seed(recipe.seed), n_features)
        self.lr = recipe.lr or default_learning_rate(recipe, self.transcoder.d_model, self.transcoder.n_features)
        groups = [{"params": [p for name, p in self.transcoder.named_parameters() if name != "log_threshold"], "factor": 1.0}]
        if self.transcoder.log_threshold is not None:
            groups.append({"params": [self.transcoder.log_threshold], "factor": THRESHOLD_FACTOR})
        self._optimizer = torch.optim.Adam(groups, lr=self.lr, fused=True)

    def train_step(self, pairs: Sequence[Pair], report: bool = True) -> dict[str, float]:
        """One optimizer step on what the layers read and write in the model's units, of which each process computes its part.

        Returns:
            With ``report`` the step's figures, for all layers together and, with a layer's name in front, for each.

        Raises:
            UserError: if the loss is not a number.
        """
        transcoder, recipe, n_layers = self.transcoder, self.recipe, self.transcoder.n_layers
        own = self.processes.part(len(pairs[0][0]))
        size, device = len(pairs[0][0]), pairs[0][0].device
        losses, counts = torch.zeros(4, device=device), torch.zeros_like(transcoder.steps_since_fired)
        # Of each layer: active features a token, squared error, and the target's sum of squares and of values.
        figures = torch.zeros(3, n_layers, device=device)
        sums = torch.zeros_like(transcoder.center)
        self._optimizer.zero_grad()
        for rows in torch.arange(size, device=device)[own].chunk(recipe.accumulation_steps):
            x = transcoder.scaled_inputs([read[rows] for read, _ in pairs])
            targets = [written[rows] / scale for (_, written), scale in zip(pairs, transcoder.scale_out)]
            output, share = transcoder(x), len(rows) / size
            terms = cross_layer_losses(transcoder, targets, output, self.step)
            (terms.overall * share).backward()
            losses += share * torch.stack([term.detach() for term in terms])
            counts += output.fired
            if report:
                errors = [(made.detach() - target).square().sum() for made, target in zip(output.reconstructions, targets)]
                figures += torch.stack([share * output.l0, torch.stack(errors), torch.stack([target.square().sum() for target in targets])])
                sums += torch.stack([target.sum(0) for target in targets])
        rate = learning_rate(recipe, self.step, self.lr)
        self._update(losses, counts, rate)
        if not report:
            return {}
        self.processes.add_up([figures, sums])
        l0, errors_of, squares = figures.double()
        unexplained = errors_of / (squares - sums.double().square().sum(1) / size).clamp(min=1e-12)
        dead = transcoder.dead.sum(1)
        found = {
            "losses/overall_loss": losses[0].item(),
            "losses/mse_loss": losses[1].item(),
            "losses/l1_loss": losses[2].item(),
            "losses/pre_activation_loss": losses[3].item(),
            "metrics/fvu": unexplained.mean().item(),
            "metrics/l0": l0.mean().item(),
            "sparsity/dead_features": int(dead.sum()),
            "details/n_training_tokens": self.step * recipe.train_batch_size,
            "details/current_learning_rate": rate,
        }
        for layer in range(n_layers):
            own_figures = {"metrics/fvu": unexplained[layer].item(), "metrics/l0": l0[layer].item(), "sparsity/dead_features": int(dead[layer])}
            found |= {f"layer_{layer}/{name}": value for name, value in own_figures.items()}
        return found

    def _update(self, losses: Float[Tensor, " terms"], counts: Tensor, rate: float) -> None:
        """Step along the gradients of all processes' parts, whose losses and firing are added up in place.

        Raises:
            UserError: if the loss, the first of ``losses``, is not a number.
        """
        transcoder, recipe = self.transcoder, self.recipe
        gradients = [parameter.grad for parameter in transcoder.parameters() if parameter.grad is not None]
        self.processes.add_up([losses, counts, *gradients])
        if not torch.isfinite(losses[0]):
            raise UserError(
                f"The loss of the cross-layer transcoder is {losses[0].item()} at step {self.step}; give a smaller --lr than {self.lr:g}, and look "
                "for NaN in the model's activations."
            )
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

    def export(self, sites: Sites = Sites("resid_mid", "mlp_out"), first_token: bool = False) -> CrossLayerTranscoder:
        """The transcoder as it is now; float32 on the CPU."""
        return self.transcoder.export(sites, first_token)

    def state(self) -> dict[str, Any]:
        """Weights, counters and the optimizer's moments."""
        return {"transcoder": self.transcoder.state_dict(), "optimizer": self._optimizer.state_dict(), "step": self.step}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was.

        Raises:
            CheckpointError: if it is of another transcoder.
            ValueError: if it is damaged.
        """
        own, saved = self.transcoder.state_dict(), state["transcoder"]
        differing = sorted(own.keys() ^ saved.keys()) or [name for name in own if own[name].shape != saved[name].shape]
        if differing:
            raise CheckpointError(f"The checkpoint of the cross-layer transcoder does not fit in {', '.join(differing)[:200]}; give --restart.")
        expect(all(is_plain(saved[name]) and saved[name].dtype == tensor.dtype for name, tensor in own.items()), "a weight")
        self.transcoder.load_state_dict(saved)
        restore_optimizer(self._optimizer, state["optimizer"])
        expect(is_number(state["step"]), "a step")
        self.step = state["step"]


def train_cross_layer(
    pairs: Sequence[Pair],
    recipe: Recipe,
    sites: Sites = Sites("resid_mid", "mlp_out"),
    first_token: bool = False,
    n_features: int | None = None,
    watch: Callable[[int, dict[str, float]], None] | None = None,
) -> CrossLayerTranscoder:
    """Train on activations of all layers that are in memory; deterministic in ``recipe.seed``, on their device.

    Args:
        watch: gets the figures of every 100th step.

    Raises:
        UserError: if the recipe does not fit, or the loss becomes NaN.
    """
    trainer = CrossLayerTrainer(recipe, pairs, n_features)
    batches = shuffled_batches(len(pairs[0][0]), recipe.train_batch_size, recipe.seed)
    progress = Progress(range(recipe.steps), desc="training the cross-layer transcoder")
    for step in progress:
        rows = next(batches).to(pairs[0][0].device)
        metrics = trainer.train_step([(read[rows], written[rows]) for read, written in pairs], report=step % 100 == 0)
        if metrics:
            progress.set_postfix(fvu=f"{metrics['metrics/fvu']:.4f}", l0=f"{metrics['metrics/l0']:.1f}")
            if watch is not None:
                watch(step, metrics)
    return trainer.export(sites, first_token)
