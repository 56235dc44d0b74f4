"""One run that trains a cross-layer transcoder: the texts, buffer, checkpoints and logs of any other."""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.cross_layer_transcoder import save_cross_layer
from huggingface.digest import model_digest
from huggingface.transcoder import Sites
from sae_training.config import TrainingConfig
from sae_training.cross_layer_evaluation import evaluate_cross_layer
from sae_training.cross_layer_trainer import CrossLayerTrainer
from sae_training.evaluation import EPSILON, logged
from sae_training.processes import Processes
from sae_training.train import Training, by_layer
from util.errors import CheckpointError
from util.files import write_atomically
from util.texts import Texts

if TYPE_CHECKING:
    from util.tracking import RunTracker

FOLDER = "cross_layer"
"""Of the transcoder, in the run's."""

ALL_LAYERS = -1
"""Stands for all layers where a checkpoint has numbers of layers."""


class CrossLayerTraining(Training):
    """As ``Training``, with one trainer for all layers.

    Raises:
        UserError, CheckpointError: as ``Training``.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        texts: Texts,
        processes: Processes | None = None,
    ) -> None:
        self._language_model = model
        super().__init__(config, model, tokenizer, texts, processes)

    def _make_trainers(self, saved: dict[int, dict[str, Any]] | None) -> None:
        self.trainer = CrossLayerTrainer(self.config, [self.buffer.pool[layer] for layer in self.sites], processes=self.processes)
        if saved is not None:
            if ALL_LAYERS not in saved:
                raise CheckpointError(f"The checkpoint in {self.config.output} is of single layers; give --restart.")
            self.trainer.restore(saved[ALL_LAYERS])

    def _trainer_states(self) -> dict[int, dict[str, Any]]:
        return {ALL_LAYERS: self.trainer.state()}

    def _train_step(self, report: bool) -> dict[str, float]:
        batch = self.buffer.next_batch(self.config.train_batch_size, self.config.steps - self.step)
        return self.trainer.train_step([batch[layer] for layer in self.sites], report)

    def export(self, tracker: "RunTracker | None" = None) -> None:
        """As ``Training.export``; the folder of the transcoder is ``cross_layer``."""
        config = self.config
        transcoder = self.trainer.export(Sites(config.hook_point, config.out_hook_point), config.keep_first_token)
        results = evaluate_cross_layer(
            self._language_model,
            self.tokenizer,
            transcoder.to(self.device),
            self.evaluation_contexts,
            config.store_batch_size,
            config.dead_feature_threshold,
            {layer: inputs for layer, (inputs, _) in self.buffer.pool.items()},
        )
        self.figures = {layer: figures for layer, (figures, _) in results.items()}
        if tracker is not None:
            tracker.log(step=self.step - 1, **by_layer({layer: logged(*found) for layer, found in results.items()}))
        sparsity = {"log_feature_sparsity": torch.stack([(frequency + EPSILON).log10().float() for _, frequency in results.values()])}
        for output in [config.output] + ([config.output / f"step_{self.step:07d}"] if config.keep_checkpoints else []):
            save_cross_layer(
                transcoder,
                output / FOLDER,
                model_name=config.MODEL_NAME,
                model_digest=model_digest(self._language_model),
                training=config.settings | {"lr": self.trainer.lr},
                steps=self.step,
                evaluation={f"layer_{layer}": asdict(figures) for layer, figures in self.figures.items()},
            )
            write_atomically(output / FOLDER / "log_feature_sparsity.safetensors", partial(save_file, sparsity))
