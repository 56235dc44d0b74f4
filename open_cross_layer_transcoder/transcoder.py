"""A model with a cross-layer transcoder: training it on texts, reading features, drawing them, saving and loading."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from huggingface.architectures import layers_of
from huggingface.context import check_fits_context
from huggingface.cross_layer_transcoder import CrossLayerTranscoder, save_cross_layer
from huggingface.digest import model_digest
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders.cross_layer import check_fits_model, load_cross_layer
from huggingface.replacement import read_sites
from huggingface.tokenization import Batch, batches, encode, positions
from huggingface.transcoder import Sites
from open_cross_layer_transcoder.graphs import attribution_figure, correlation_figure
from open_cross_layer_transcoder.pictures import activations_figure, save_figure, token_texts
from sae_training.config import Recipe
from sae_training.cross_layer_evaluation import collect_pairs
from sae_training.cross_layer_trainer import CrossLayerTrainer, Pair
from util.errors import CheckpointError, UserError, named_as_arguments
from util.progress import Progress

SITES = Sites("resid_mid", "mlp_out")
SAMPLE_TEXTS = 256
"""Texts from whose activations scales, biases and the first directions of the features are taken."""


class Forward(NamedTuple):
    """What one pass gives.

    Attributes:
        last_hidden_state: [row, column, d_model], what the model's head reads.
        features: by layer, [row, column, num_features].
        reconstructions: by layer, [row, column, d_model], what the transcoder makes of the MLP's output.
    """

    last_hidden_state: Float[Tensor, "row column d_model"]
    features: dict[int, Float[Tensor, "row column n_features"]]
    reconstructions: dict[int, Float[Tensor, "row column d_model"]]


class OpenCrossLayerTranscoder:
    """A language model and the features of a transcoder that reads the residual stream before each MLP and writes all MLPs' outputs.

    Args:
        model_name: a model's folder or its name on the hub, of any family of ``huggingface/architectures.py``.
        num_features: of each layer.
        device: "cpu", "cuda", ...; by default a GPU if there is one.
        activation_type: "jumprelu" learns a threshold for each feature, "topk" keeps the ``topk_features`` largest, "relu" what is above 0.
        topk_features: with "topk"; by default a tenth of the features, at least 1.

    Attributes:
        model, tokenizer: the language model, never changed.
        transcoder: the ``CrossLayerTranscoder``, before a training with random directions.

    Raises:
        UserError: for a model or a setting that cannot be used.
    """

    @named_as_arguments()
    def __init__(
        self,
        model_name: str = "gpt2",
        num_features: int = 100,
        device: str | None = None,
        activation_type: str = "jumprelu",
        topk_features: int | None = None,
    ) -> None:
        if activation_type not in ("jumprelu", "topk", "relu"):
            raise UserError(f"activation_type {activation_type} is none of jumprelu, topk, relu.")
        if num_features < 1:
            raise UserError(f"num_features must be at least 1, not {num_features}.")
        k = topk_features if topk_features is not None else max(1, num_features // 10)
        if not 1 <= k <= num_features:
            raise UserError(f"topk_features must be from 1 to the {num_features} features, not {k}; give fewer, or more num_features.")
        self.model_name, self.num_features, self.activation_type, self.topk_features = model_name, num_features, activation_type, k
        self.model, self.tokenizer = load_model_and_tokenizer(model_name, device or "auto")
        self.model.requires_grad_(False)
        width = self.model.config.hidden_size
        blank = [torch.eye(2, width)] * len(layers_of(self.model))
        recipe = self._recipe(normalize_activations="none", encoder_init="transpose")
        trainer = CrossLayerTrainer(recipe, [(part, part) for part in blank], num_features)
        self.transcoder: CrossLayerTranscoder = trainer.export(SITES).to(self.model.device)
        self._sums: Tensor | None = None

    def _recipe(self, **settings: object) -> Recipe:
        """The recipe of "Circuit Tracing": thresholds from 0.03 with a kernel of width 1, and the tanh of weighted activations."""
        values = {
            "activation": self.activation_type,
            "k": self.topk_features,
            "sparsity_penalty": "tanh",
            "tanh_scale": 1.0,
            "jumprelu_threshold": 0.03,
            "jumprelu_bandwidth": 1.0,
            "lr_scheduler_name": "constantwithwarmup",
            "lr_warm_up_steps": 0,
            "dead_feature_window": 100,
        }
        return Recipe(**values | settings)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        """Where the model and the transcoder are."""
        return self.model.device

    @property
    def n_layers(self) -> int:
        """Number of the model's layers."""
        return self.transcoder.n_layers

    @named_as_arguments()
    def train_transcoder(
        self,
        texts: Sequence[str],
        batch_size: int = 4,
        num_epochs: int = 5,
        learning_rate: float = 1e-4,
        l1_sparsity_coefficient: float = 0.05,
        lr_scheduler_factor: float = 0.1,
        lr_scheduler_patience: int = 100,
        seed: int = 0,
    ) -> dict[str, list[float]]:
        """Train from the beginning on ``texts``; long trainings, with checkpoints, are ``python -m sae_training.train --cross_layer``.

        A step is made of the tokens of ``batch_size`` texts, without padding and first tokens. The sparsity's weight rises over the first half.

        Args:
            lr_scheduler_factor, lr_scheduler_patience: after so many steps without a smaller loss the rate is multiplied by the factor.
            seed: of the texts' order and the first weights.

        Returns:
            One number a step: ``total_loss``, ``reconstruction_loss``, ``sparsity_loss``, ``l0`` (mean active features of a layer), ``lr``.

        Raises:
            UserError: for texts or settings that cannot be used; the transcoder is as it was then.
        """
        rows = self._rows(texts, at_least=2)
        if min(batch_size, num_epochs) < 1:
            raise UserError(f"batch_size and num_epochs must be at least 1, not {batch_size} and {num_epochs}.")
        steps = num_epochs * -(-len(rows) // batch_size)
        recipe = self._recipe(lr=learning_rate, l1_coefficient=l1_sparsity_coefficient, l1_warm_up_steps=steps // 2, seed=seed)
        trainer = CrossLayerTrainer(recipe, self._pairs(rows[:SAMPLE_TEXTS]), self.num_features)
        scheduler = ReduceLROnPlateau(
            torch.optim.SGD([torch.zeros(1)], lr=learning_rate), factor=lr_scheduler_factor, patience=lr_scheduler_patience
        )
        metrics: dict[str, list[float]] = {name: [] for name in ("total_loss", "reconstruction_loss", "sparsity_loss", "l0", "lr")}
        generator = torch.Generator().manual_seed(seed)
        with Progress(total=steps, desc="training the cross-layer transcoder") as progress:
            for _ in range(num_epochs):
                for chosen in torch.randperm(len(rows), generator=generator).split(batch_size):
                    found = trainer.train_step(self._pairs([rows[index] for index in chosen.tolist()]))
                    values = [found[f"losses/{name}_loss"] for name in ("overall", "mse", "l1")]
                    for name, value in zip(metrics, [*values, found["metrics/l0"], trainer.lr]):
                        metrics[name].append(value)
                    scheduler.step(values[0])
                    trainer.lr = float(scheduler.get_last_lr()[0])
                    progress.update()
        self.transcoder = trainer.export(SITES).to(self.device)
        self._note(texts)
        return metrics

    def _rows(self, texts: Sequence[str], at_least: int = 1) -> list[list[int]]:
        if isinstance(texts, str) or not texts:
            raise UserError("texts must be a list of at least one text.")
        rows = [encode(self.tokenizer, text).ids for text in texts]
        for text, row in zip(texts, rows):
            if len(row) < at_least:
                raise UserError(f"The text {text[:40]!r} has {len(row)} tokens, but features are read behind the first; give texts of two or more.")
            check_fits_context(self.model, len(row), f"The text {text[:40]!r}")
        return rows

    def _pairs(self, rows: list[list[int]]) -> list[Pair]:
        read = list(batches(rows, self.tokenizer.pad_token_id, self.device, max_rows=32))
        return collect_pairs(self.model, dict.fromkeys(range(self.n_layers), SITES), read)

    def _note(self, texts: Sequence[str]) -> None:
        """Remember how active features are on ``texts``."""
        activations = [torch.stack(list(self.get_feature_activations(text).values()))[:, 1:] for text in texts]
        self._sums = torch.cat(activations, 1).mean(1)

    @torch.no_grad()
    def forward(self, input_ids: Int[Tensor, "row column"], attention_mask: Int[Tensor, "row column"] | None = None) -> Forward:
        """The model's own pass, and what the transcoder makes of it; values at padding mean nothing."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        batch = Batch(input_ids.to(self.device), mask.to(self.device), positions(mask).to(self.device))
        found = read_sites(self.model, dict.fromkeys(range(self.n_layers), self.transcoder.sites), batch)
        features = [self.transcoder.encode(found[layer][0], layer) for layer in range(self.n_layers)]
        made = dict(enumerate(self.transcoder.decode(features)))
        hidden = self.model(**batch._asdict(), output_hidden_states=True, use_cache=False).hidden_states[-1]
        return Forward(hidden, dict(enumerate(features)), made)

    __call__ = forward

    def get_feature_activations(self, text: str) -> dict[int, Float[Tensor, "token n_features"]]:
        """The features of each layer at each token of ``text``, on the CPU; the first token, on which none is trained, has none.

        Raises:
            UserError: for a text without tokens or beyond the model's context.
        """
        [ids] = self._rows([text])
        features = self.forward(torch.tensor([ids])).features
        begins = (torch.arange(len(ids)) == 0)[:, None] & torch.tensor(not self.transcoder.first_token)
        return {layer: active[0].cpu().masked_fill(begins, 0) for layer, active in features.items()}

    def get_top_features(self, n: int = 10) -> list[tuple[int, int, float]]:
        """The ``n`` features that write most on the texts of the training: layer, number, mean activation times the decoders' norm.

        Raises:
            UserError: before a training.
        """
        if self._sums is None:
            raise UserError("There are no texts to rank features on; train the transcoder first.")
        importance = self._sums * self.decoder_norms()
        best = importance.flatten().topk(min(n, importance.numel()))
        return [(int(place) // self.num_features, int(place) % self.num_features, float(value)) for value, place in zip(*best)]

    def decoder_norms(self) -> Float[Tensor, "n_layers n_features"]:
        """The norm of each feature's decoders to all layers together, in the scaled units of the training; on the CPU."""
        return torch.stack([W_dec.flatten(1).norm(dim=1) for W_dec in self.transcoder.W_dec]).cpu()

    def visualize_feature_activations(self, text: str, top_n: int = 5, save_path: str | Path | None = None) -> Figure:
        """Each layer's ``top_n`` features that are most active somewhere in ``text``, token by token; written to ``save_path`` if given."""
        tokens = self.tokens(text)
        return save_figure(activations_figure(self.get_feature_activations(text), tokens, top_n), save_path)

    def tokens(self, text: str) -> list[str]:
        """The tokens of ``text`` as they read."""
        return token_texts(self.tokenizer, encode(self.tokenizer, text).ids)

    def create_attribution_graph(
        self, text: str, threshold: float = 0.1, save_path: str | Path | None = None, mode: str = "attribution"
    ) -> Figure:
        """What made the next token behind ``text``, from features through features to the likeliest logits.

        Args:
            threshold: edges that carry a smaller share of what goes into their target are left out.
            mode: "attribution" follows what features write (exact under frozen attention and norms); "correlation" joins features of
                neighbouring layers whose activations over the tokens correlate by more than ``threshold``, which shows no cause.

        Raises:
            UserError: for a text of one token or beyond the model's context, or an unknown mode.
        """
        if mode not in ("attribution", "correlation") or not 0 <= threshold <= 1:
            raise UserError(f"mode must be attribution or correlation and threshold from 0 to 1, not {mode} and {threshold}.")
        [ids] = self._rows([text], at_least=2)
        if mode == "correlation":
            return save_figure(correlation_figure(self.get_feature_activations(text), threshold), save_path)
        return save_figure(attribution_figure(self.model, self.tokenizer, self.transcoder, ids, threshold), save_path)

    def save_model(self, path: str | Path) -> None:
        """Write the transcoder to the folder ``path``, whatever its name ends in; a loaded one computes the same bits."""
        save_cross_layer(self.transcoder, path, model_name=self.model_name, model_digest=model_digest(self.model))

    def load_model(self, path: str | Path) -> None:
        """Take the transcoder from the folder ``path``, of any format that ``load_cross_layer`` reads.

        Raises:
            CheckpointError: if it is damaged or for another model; the transcoder is as it was then.
        """
        loaded = load_cross_layer(path)
        check_fits_model(loaded, self.model)
        check_same_model(loaded.metadata.get("model_digest"), model_digest(self.model), str(path))
        self.transcoder, self.num_features, self._sums = loaded.to(self.device), loaded.n_features, None
        self.activation_type, self.topk_features = loaded.activation, loaded.k or self.topk_features


def check_same_model(saved: str | None, here: str, name: str) -> None:
    """Refuse a transcoder of a model with other weights.

    Args:
        saved: the digest of its own model; None, which fits any, if it is not known.

    Raises:
        CheckpointError: if they differ.
    """
    if saved not in (None, here):
        raise CheckpointError(f"The transcoder {name} was trained on another model of the same size; give the model that it was trained on.")
