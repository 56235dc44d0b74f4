"""A language model in which a cross-layer transcoder writes what all MLPs did."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cosine_similarity

from huggingface.context import check_fits_context, context_length
from huggingface.digest import model_digest
from huggingface.load import load_model_and_tokenizer
from huggingface.loaders.cross_layer import check_fits_model
from huggingface.replacement import error_terms, replaced
from huggingface.tokenization import Batch, decode, encode, pad, positions
from open_cross_layer_transcoder.pictures import comparison_figure, save_figure, token_texts
from open_cross_layer_transcoder.transcoder import OpenCrossLayerTranscoder, check_same_model
from util.errors import UserError

MAX_LENGTH = 50


class Comparison(NamedTuple):
    """The model and its replacement on one text.

    Attributes:
        cosine, mse: of the logits at each token.
        agreement: share of the tokens at which both put the same token next.
        original_text, replacement_text: how both go on, with the same seed.
        figure: a picture of it.
    """

    cosine: Float[Tensor, " token"]
    mse: Float[Tensor, " token"]
    agreement: float
    original_text: str
    replacement_text: str
    figure: Figure


class ReplacementModel:
    """A model of its own in memory, whose MLPs are replaced from its making to ``remove_hooks``.

    Args:
        base_model_name: the folder or name of the model that ``transcoder`` was trained on.
        transcoder: as it is now; a later training of it is not seen here.

    Attributes:
        model: the replaced model; all its methods work.

    Raises:
        CheckpointError: if the transcoder is for another model.
        UserError: if the model cannot be loaded.
    """

    def __init__(self, base_model_name: str, transcoder: OpenCrossLayerTranscoder) -> None:
        self.model, self.tokenizer = load_model_and_tokenizer(base_model_name, str(transcoder.device))
        self.transcoder = transcoder.transcoder
        check_fits_model(self.transcoder, self.model)
        check_same_model(model_digest(transcoder.model), model_digest(self.model), f"of {transcoder.model_name}")
        self._hooks = ExitStack()
        self._replace()

    def _replace(self) -> None:
        self._hooks.enter_context(replaced(self.model, self.transcoder))

    def remove_hooks(self) -> None:
        """Give the model its own MLPs back."""
        self._hooks.close()

    @torch.no_grad()
    def forward(
        self, input_ids: Int[Tensor, "row column"], attention_mask: Int[Tensor, "row column"] | None = None, error_terms: bool = False
    ) -> Any:
        """The replaced model's output for a batch, padded on either side.

        Args:
            error_terms: add what the transcoder leaves unexplained of each MLP, after which the output is the model's own.
        """
        ids = input_ids.to(self.model.device)
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask.to(ids.device)
        if not error_terms:
            return self.model(input_ids=ids, attention_mask=mask)
        return self._with_errors(ids, mask)

    __call__ = forward

    def _with_errors(self, ids: Tensor, mask: Tensor) -> Any:
        batch = Batch(ids, mask, positions(mask))
        self.remove_hooks()
        try:
            errors = error_terms(self.model, self.transcoder, batch)
            with replaced(self.model, self.transcoder, errors):
                return self.model(**batch._asdict())
        finally:
            self._replace()

    @torch.no_grad()
    def generate(self, text: str, max_length: int = MAX_LENGTH, top_p: float = 0.9, temperature: float = 0.7, seed: int = 0) -> str:
        """``text`` and what the replaced model goes on with, at most ``max_length`` tokens together; the same for the same seed.

        Args:
            temperature: 0 takes the likeliest token always.

        Raises:
            UserError: if the text leaves no room, or ``max_length`` is beyond the model's context.
        """
        ids = encode(self.tokenizer, text).ids
        limit = context_length(self.model) or max_length
        if not ids or len(ids) >= max_length or max_length > limit:
            raise UserError(
                f"The text has {len(ids)} tokens and max_length is {max_length}; the text must have at least one and less than max_length, and "
                f"max_length be at most the model's {limit}."
            )
        sampling = {"do_sample": True, "top_p": top_p, "temperature": temperature} if temperature else {"do_sample": False}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made = self.model.generate(  # type: ignore[operator]  # transformers declares it in a way that torch's types hide
                torch.tensor([ids], device=self.model.device),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long, device=self.model.device),
                max_length=max_length,
                pad_token_id=self.tokenizer.pad_token_id,
                **sampling,
            )
        return decode(self.tokenizer, made[0].tolist())

    @torch.no_grad()
    def compare_with_original(self, text: str, max_length: int = MAX_LENGTH, save_path: str | Path | None = None, seed: int = 0) -> Comparison:
        """Logits of the replaced and the original model on ``text``, and how both go on; a picture is written to ``save_path`` if given.

        Raises:
            UserError: as ``generate``.
        """
        ids = encode(self.tokenizer, text).ids
        check_fits_context(self.model, len(ids), f"The text {text[:40]!r}")
        batch = pad([ids], self.tokenizer.pad_token_id, self.model.device)
        replacement_text = self.generate(text, max_length, seed=seed)
        found = self.model(**batch._asdict()).logits[0].float()
        self.remove_hooks()
        try:
            own = self.model(**batch._asdict()).logits[0].float()
            original_text = self.generate(text, max_length, seed=seed)
        finally:
            self._replace()
        cosine, mse = cosine_similarity(found, own).cpu(), (found - own).square().mean(1).cpu()
        agreement = (found.argmax(1) == own.argmax(1)).float().mean().item()
        figure = comparison_figure(cosine, mse, token_texts(self.tokenizer, ids), original_text, replacement_text)
        return Comparison(cosine, mse, agreement, original_text, replacement_text, save_figure(figure, save_path))
