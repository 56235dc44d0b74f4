"""Trains transcoders on what MLPs of a model read and write; stops and continues at any checkpoint with the same weights.

usage: python -m sae_training.train --MODEL_NAME ... --layer_num 19 --dataset texts.jsonl --expansion_factor 4 --output_file_path runs/transcoders
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sae_training.config import PRESETS, TrainingConfig, config_from, differences
from util.cli import ArgumentParser, run_main
from util.errors import CheckpointError, UserError
from util.files import read_json, write_atomically, write_json
from util.flags import add_flags
from util.lock import locked

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from sae_training.evaluation import Evaluation
    from sae_training.processes import Processes
    from sae_training.trainer import LayerTrainer
    from util.texts import Texts
    from util.tracking import RunTracker

logger = logging.getLogger(__name__)


def layer_folder(config: TrainingConfig, layer: int) -> Path:
    """Where the transcoder of ``layer`` is written."""
    return config.output / f"layer_{layer}"


def by_layer(figures: dict[int, dict[str, float]]) -> dict[str, float]:
    """The figures of several layers in one dictionary, with the layer in front of their names."""
    return {f"layer_{layer}/{name}": value for layer, found in figures.items() for name, value in found.items()}


def texts_of(config: TrainingConfig) -> Texts:
    """The texts to train and to evaluate on.

    Raises:
        UserError: as ``Texts``.
    """
    from util.texts import Texts

    return Texts(
        config.dataset,
        config.text_column,
        split=config.dataset_split,
        configuration=config.dataset_configuration,
        shuffle=config.shuffle_buffer,
        seed=config.seed,
        tokenized=True,
    )


class Training:
    """One run: the model, the stream of its activations, and a trainer for each layer.

    Args:
        texts: those of ``config``, as ``texts_of`` opens them.

    Raises:
        UserError: for a layer or hook point that is not there, too few texts, or contexts longer than the model's.
        CheckpointError: for a checkpoint that is damaged or of another training.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        texts: Texts,
        processes: Processes | None = None,
    ) -> None:
        from huggingface.architectures import layers_of
        from huggingface.context import context_length
        from huggingface.sites import encoded_point, resolve
        from huggingface.transcoder import Sites
        from sae_training.buffer import ActivationBuffer
        from sae_training.checkpoint import load_checkpoint, refused
        from sae_training.contexts import ContextStream
        from sae_training.hooked_model import hook_model
        from sae_training.processes import Processes

        self.config, self.tokenizer, self.device = config, tokenizer, model.device
        self.processes = processes or Processes()
        for name in ("train_batch_size", "store_batch_size"):
            if getattr(config, name) < self.processes.count:
                raise UserError(f"--{name} {getattr(config, name)} is less than the {self.processes.count} processes, who could not share it.")
        if (limit := context_length(model)) is not None and config.context_size > limit:
            raise UserError(f"--context_size {config.context_size} is more than this {type(model).__name__} reads; give at most {limit}.")
        layers = list(range(len(layers_of(model)))) if config.cross_layer else sorted(config.layer_num)
        self.figures: dict[int, Evaluation] = {}
        self.sites = {layer: Sites(config.site(config.hook_point, layer), config.site(config.out_hook_point, layer)) for layer in layers}
        saved = None if config.restart else load_checkpoint(config.output)
        with refused(config.output):
            changes = differences(saved["settings"], config) if saved else []
        if changes:
            raise CheckpointError(
                f"The checkpoint in {config.output} was made with {', '.join(changes)}; give the same, --restart or another --output_file_path."
            )
        for layer, sites in self.sites.items():
            # The table by which a transcoder is checked and put into a model, so that what is trained can be used.
            (encoded_point if config.autoencoder else resolve)(sites, model, layer)
        # The bridge would wrap the modules of a model that is evaluated with all its MLPs replaced.
        self.model = hook_model(config.MODEL_NAME, model, tokenizer, self.sites, "plain" if config.cross_layer else config.hooks)
        held_out = ContextStream(texts, tokenizer, config.context_size, config.separate_texts)
        self.evaluation_contexts = [next(held_out) for _ in range(config.n_evaluation_contexts)]
        if held_out.passes:
            raise UserError(
                f"{texts.name} is too short for {config.n_evaluation_contexts} contexts to evaluate on; give more texts or fewer "
                "--n_evaluation_contexts."
            )
        self.contexts = ContextStream(texts, tokenizer, config.context_size, config.separate_texts, first=held_out.row)
        capacity = config.n_batches_in_buffer * config.store_batch_size * (config.context_size - (not config.keep_first_token))
        self.buffer = ActivationBuffer(
            self.model,
            tokenizer,
            self.contexts,
            self.device,
            capacity,
            config.store_batch_size,
            config.keep_first_token,
            config.seed,
            config.read_ahead,
            self.processes,
        )
        self.step = 0
        if saved is None:
            self.buffer.fill()
            self._make_trainers(None)
            return
        with refused(config.output):
            self._restore(saved)
        logger.info("continuing at step %d", self.step)

    def _restore(self, saved: dict[str, Any]) -> None:
        """Go on where a checkpoint was.

        Raises:
            CheckpointError: if it is of other layers or widths.
            ValueError: if it is damaged.
        """
        from sae_training.checkpoint import expect, is_number

        expect(is_number(saved["step"], self.config.all_steps), "the step")
        self.step = saved["step"]
        self.contexts.restore(saved["contexts"])
        self.buffer.restore(saved["buffer"])
        expect(self.buffer.pool.keys() == self.sites.keys(), "the buffer's layers")
        self._make_trainers(saved["layers"])

    def _make_trainers(self, saved: dict[int, dict[str, Any]] | None) -> None:
        from sae_training.trainer import LayerTrainer

        self.trainers: dict[int, LayerTrainer] = {}
        for layer in self.sites:
            self.trainers[layer] = LayerTrainer(self.config, *self.buffer.pool[layer], layer=layer, processes=self.processes)
            if saved is not None:
                if layer not in saved:
                    raise CheckpointError(f"The checkpoint in {self.config.output} has no layer {layer}; give --restart.")
                self.trainers[layer].restore(saved[layer])

    def _trainer_states(self) -> dict[int, dict[str, Any]]:
        return {layer: trainer.state() for layer, trainer in self.trainers.items()}

    def save(self) -> None:
        """Write a checkpoint."""
        from sae_training.checkpoint import save_checkpoint

        state = {"settings": json.loads(json.dumps(self.config.settings)), "step": self.step, "layers": self._trainer_states()}
        save_checkpoint(self.config.output, state | {"buffer": self.buffer.state(), "contexts": self.contexts.state()})

    def run(self) -> float:
        """Train to the end; returns the seconds spent."""
        from util.progress import Progress
        from util.tracking import RunTracker

        config, started = self.config, time.perf_counter()
        every = max(1, config.all_steps // config.n_checkpoints) if config.n_checkpoints else config.all_steps + 1
        name = config.run_name or config.output.name
        series, project, entity = {"step": ["layer_*"]}, config.wandb_project, config.wandb_entity
        place = config.output, name, config.settings, self.step, "training", series
        open_tracker = partial(RunTracker, *place, project=project, entity=entity, anew=config.restart)
        with open_tracker() if self.processes.first else nullcontext() as tracker:
            progress = Progress(range(self.step, config.all_steps), initial=self.step, total=config.all_steps, desc="training")
            for step in progress:
                report = step % config.wandb_log_frequency == 0
                metrics = self._train_step(report) if step < config.steps else self._finetune_step(report)
                if report and tracker is not None:
                    tracker.log(step=step, **metrics)
                    if step < config.steps:
                        progress.set_postfix(fvu=" ".join(f"{value:.4f}" for name, value in metrics.items() if name.endswith("metrics/fvu")))
                self.step = step + 1
                if self.step == config.all_steps or (self.step % every == 0 and self.step + every <= config.all_steps):
                    self.buffer.settle()
                    if self.processes.first:
                        self.export(tracker)
                        self.save()
                    self.processes.wait()
        return time.perf_counter() - started

    def _train_step(self, report: bool) -> dict[str, float]:
        batch = self.buffer.next_batch(self.config.train_batch_size, self.config.steps - self.step)
        return by_layer({layer: self.trainers[layer].train_step(*pair, report=report) for layer, pair in batch.items()})

    def _finetune_step(self, report: bool) -> dict[str, float]:
        from sae_training.hooked_model import pad_contexts, stands_in

        config = self.config
        self.buffer.settle()
        contexts = [next(self.contexts) for _ in range(config.store_batch_size)]
        batch = pad_contexts(contexts[self.processes.part(len(contexts))], self.tokenizer, self.device)
        left = (config.all_steps - self.step) / config.finetuning_steps
        kept = stands_in(batch, config.keep_first_token or not config.autoencoder)
        rates = {layer: config.finetuning_lr_share * left * trainer.lr for layer, trainer in self.trainers.items()}
        return by_layer({layer: self.trainers[layer].finetune_step(self.model, batch, kept, rate, report) for layer, rate in rates.items()})

    def export(self, tracker: RunTracker | None = None) -> None:
        """Evaluate the transcoders as they are now, log the figures, and write them where the finished ones belong.

        Whatever stops the run later, a transcoder that can be used is there. With ``--keep_checkpoints`` each stays, in a folder of its step.
        """
        from safetensors.torch import save_file

        from huggingface.transcoder import save_transcoder
        from sae_training.evaluation import EPSILON, evaluate, logged

        config = self.config
        transcoders = {layer: trainer.export(self.sites[layer]) for layer, trainer in self.trainers.items()}
        results = evaluate(
            self.model,
            self.tokenizer,
            transcoders,
            self.evaluation_contexts,
            self.device,
            config.store_batch_size,
            config.keep_first_token,
            config.dead_feature_threshold,
            {layer: inputs for layer, (inputs, _) in self.buffer.pool.items()},
        )
        self.figures = {layer: figures for layer, (figures, _) in results.items()}
        if tracker is not None:
            tracker.log(step=self.step - 1, **by_layer({layer: logged(*found) for layer, found in results.items()}))
        outputs = [config.output] + ([config.output / f"step_{self.step:07d}"] if config.keep_checkpoints else [])
        for (layer, (figures, frequency)), output in product(results.items(), outputs):
            folder = output / layer_folder(config, layer).name
            save_transcoder(
                transcoders[layer],
                folder,
                model_name=config.MODEL_NAME,
                hook_layer=layer,
                training=config.settings | {"lr": self.trainers[layer].lr},
                steps=self.step,
                evaluation=asdict(figures),
            )
            sparsity = {"log_feature_sparsity": (frequency + EPSILON).log10().float()}
            write_atomically(folder / "log_feature_sparsity.safetensors", partial(save_file, sparsity))

    def finish(self) -> dict[int, Evaluation]:
        """The figures of the finished transcoders; evaluates and writes them if this run trained nothing."""
        if not self.figures:
            self.export()
        return self.figures


def train(config: TrainingConfig) -> dict[int, Evaluation]:
    """Train, evaluate and write everything to ``config.output``.

    Written are ``layer_L/`` (a transcoder that ``load_transcoder`` reads, and the logarithms of its features' frequencies), or with
    ``cross_layer`` ``cross_layer/`` (the same, for ``load_cross_layer``),
    ``metrics.json``, ``metrics.jsonl``, ``timing.json``, ``run.json`` and, until it has ended, ``checkpoint.pt``.

    Returns:
        The figures of each layer, in the first process alone.

    Raises:
        UserError: for anything that the user can mend.
    """
    from sae_training.processes import Processes, join_processes
    from util.hub import check_repository

    device = join_processes() or config.device
    processes = Processes()
    if config.push_to_hub:
        check_repository(config.push_to_hub, "--push_to_hub")
    with locked(config.output) if processes.first else nullcontext():
        figures = _finished(config)
        if figures is None:
            figures = _train(config, device, processes)
        else:
            logger.info("%s is finished; --restart trains it again", config.output)
        if config.push_to_hub and processes.first:
            push(config, config.push_to_hub)
        return figures if processes.first else {}


def _finished(config: TrainingConfig) -> dict[int, Evaluation] | None:
    """The figures of a training that has ended in this folder, which leaves no checkpoint; None if there is none.

    Raises:
        CheckpointError: if it had other settings.
    """
    from sae_training.checkpoint import CHECKPOINT_FILE
    from sae_training.evaluation import Evaluation

    metrics, run = config.output / "metrics.json", config.output / "run.json"
    if config.restart or (config.output / CHECKPOINT_FILE).exists() or not (metrics.exists() and run.exists()):
        return None
    if changes := differences(read_json(run, "the training's settings"), config):
        raise CheckpointError(
            f"{config.output} holds a training made with {', '.join(changes)}; give the same, --restart or another --output_file_path."
        )
    return {int(name.removeprefix("layer_")): Evaluation(**figures) for name, figures in read_json(metrics, "the training's figures").items()}


def _train(config: TrainingConfig, device: str, processes: Processes) -> dict[int, Evaluation]:
    """What ``train`` does in a folder that it has for itself, or that its first process has."""
    from huggingface.load import load_model_and_tokenizer
    from sae_training.checkpoint import CHECKPOINT_FILE
    from util.seeds import set_seed

    set_seed(config.seed)
    texts = texts_of(config)  # before the model, which takes longer to come than a wrong name to be found
    model, tokenizer = load_model_and_tokenizer(config.MODEL_NAME, device, config.dtype, config.device_map, config.trust_remote_code)
    kind = Training
    if config.cross_layer:
        from sae_training.cross_layer_training import CrossLayerTraining as kind
    training = kind(config, model.requires_grad_(False), tokenizer, texts, processes)
    writes = processes.first
    if writes:
        (config.output / "metrics.json").unlink(missing_ok=True)  # which stands for a training that has ended
        if config.restart and (config.output / "run.json").exists():  # without it a folder is none of ours
            _remove_transcoders(config.output)
        write_json(config.output / "run.json", asdict(config))
    first = training.step
    seconds = training.run()
    if writes:
        figures = training.finish()
        write_json(config.output / "metrics.json", {f"layer_{layer}": asdict(found) for layer, found in figures.items()})
        tokens = (config.steps - min(first, config.steps)) * config.train_batch_size
        if tokens:
            write_json(config.output / "timing.json", {"seconds": seconds, "tokens": tokens, "tokens_per_second": tokens / seconds})
        (config.output / CHECKPOINT_FILE).unlink(missing_ok=True)
    processes.wait()
    return training.figures


def _remove_transcoders(output: Path) -> None:
    """Remove what an earlier training left in its folder, which may have had other layers, checkpoints and files."""
    for folder in output.iterdir():
        if re.fullmatch(r"layer_\d+|step_\d+|cross_layer", folder.name) and folder.is_dir():
            shutil.rmtree(folder)


def push(config: TrainingConfig, repository: str) -> None:
    """Upload the finished transcoders to ``repository``, as ``hub:OWNER/NAME/layer_L`` names them; private if it is new.

    Raises:
        UserError: if that does not work; everything lies in the output folder then.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=config.output, allow_patterns=["layer_*/*", "cross_layer/*", "metrics.json", "run.json"])
    except Exception as error:  # of many kinds: the library's own and those of the network client that it happens to use
        raise UserError(
            f"The transcoders lie in {config.output}, but --push_to_hub {repository} failed ({' '.join(str(error).split())[:200]}); log in "
            "(hf auth login), look at the name and give the same command again."
        ) from error
    logger.info("The transcoders are on the hub: hub:%s/%s", repository, "cross_layer" if config.cross_layer else f"layer_{config.layer_num[0]}")


def main() -> None:
    parser = ArgumentParser(
        prog="python -m sae_training.train", usage="%(prog)s FLAGS", description=__doc__.splitlines()[0], examples=__doc__.partition("usage: ")[2]
    )
    parser.add_argument("--preset", choices=PRESETS, help="start from the recipe of that project; other flags change it")
    add_flags(parser, TrainingConfig)
    config = config_from(vars(parser.parse_args()))
    figures = train(config)
    if not figures:  # the first process prints
        return
    rows = ["layer     FVU     L0   dead  loss recovered"]
    for layer, found in figures.items():
        recovered = "-" if found.loss_recovered is None else f"{found.loss_recovered:.4f}"
        rows.append(f"{layer:5d}  {found.fvu:.4f}  {found.l0:5.1f}  {found.dead_features:5d}  {recovered:>14}")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    run_main(main, continues=True)
