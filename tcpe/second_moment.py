"""The uncentred second moment C = E[f f^T] of the activations that a layer's down projection reads."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import scipy.linalg
import scipy.sparse
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.architectures import down_projection
from huggingface.digest import model_digest, tokenizer_digest
from huggingface.tokenization import encode, pad
from util.errors import EditError
from util.files import write_atomically
from util.hooks import Trace

logger = logging.getLogger(__name__)

SPARSE_BELOW = 0.05
"""Share of non-zero activations below which a sparse product is faster than a dense one."""


@dataclass(frozen=True)
class SecondMoment:
    """C, kept for the features that fired at all.

    Attributes:
        matrix: float64 [n_fired, n_fired].
        fired: int64 [n_fired], the features that fired, ascending; all others have zero rows in C.
        n_features: the number of all features.
        n_tokens: the number of tokens averaged over.
    """

    matrix: Float[numpy.ndarray, "n_fired n_fired"]
    fired: numpy.ndarray
    n_features: int
    n_tokens: int

    def solve(self, key: Float[Tensor, " n_features"], epsilon: float) -> Float[Tensor, " n_features"]:
        """(C + epsilon I)^-1 key in float64, by Cholesky.

        Raises:
            EditError: if that matrix is singular, or the key has another number of features.
        """
        if len(key) != self.n_features:
            raise EditError(f"The second moment is of {self.n_features} features, the key of {len(key)}: they are of different models.")
        key = key.double().numpy()
        silent = numpy.setdiff1d(numpy.flatnonzero(key), self.fired)
        if epsilon <= 0 and len(silent):
            raise EditError(f"{len(silent)} features of the key never fire in the second moment's texts; give an --epsilon above 0.")
        damped = self.matrix + epsilon * numpy.eye(len(self.fired))
        try:
            factor = scipy.linalg.cho_factor(damped, lower=True, overwrite_a=True)
        except numpy.linalg.LinAlgError as error:
            raise EditError(f"The second moment is singular with --epsilon {epsilon:g}; give a larger one or more texts.") from error
        solution = numpy.zeros(self.n_features)
        solution[self.fired] = scipy.linalg.cho_solve(factor, key[self.fired])
        # Where C is zero, epsilon alone is left of the matrix.
        solution[silent] = key[silent] / epsilon if epsilon > 0 else 0
        norm = numpy.abs(self.matrix).sum(0).max(initial=0) + epsilon
        reciprocal, _ = scipy.linalg.lapack.dpocon(factor[0], norm, uplo="L") if len(self.fired) else (1.0, 0)
        logger.info(
            "Second moment of %d tokens: condition number about %.1e with epsilon %g, %d of %d features never fired",
            self.n_tokens,
            1 / max(reciprocal, numpy.finfo(float).tiny),
            epsilon,
            self.n_features - len(self.fired),
            self.n_features,
        )
        return torch.from_numpy(solution)

    def save(self, path: Path) -> None:
        """Write to a safetensors file."""
        counts = numpy.array([self.n_features, self.n_tokens])
        tensors = {"matrix": self.matrix, "fired": self.fired, "counts": counts}
        write_atomically(path, lambda temporary: save_file(tensors, temporary))

    @classmethod
    def load(cls, path: Path) -> "SecondMoment":
        """Read what ``save`` wrote."""
        with safe_open(path, "numpy") as file:
            matrix, fired, counts = (file.get_tensor(name) for name in ("matrix", "fired", "counts"))
        return cls(matrix, fired, *counts.tolist())


class SecondMomentSum:
    """Adds up f f^T over tokens, batch by batch, in float64."""

    def __init__(self, n_features: int) -> None:
        self._sum = numpy.zeros((n_features, n_features))
        self._n_tokens = 0

    def add(self, activations: Float[Tensor, "token n_features"]) -> None:
        """Add a batch of tokens' activations, by a sparse product if few of them are not zero."""
        rows = activations.double().cpu().numpy()
        self._n_tokens += len(rows)
        if numpy.count_nonzero(rows) < SPARSE_BELOW * rows.size:
            sparse = scipy.sparse.csr_array(rows)
            product = (sparse.T @ sparse).tocoo()
            self._sum[product.row, product.col] += product.data
        else:
            self._sum += rows.T @ rows

    def mean(self) -> SecondMoment:
        """The second moment of what was added.

        Raises:
            EditError: if nothing was added, or an activation was not finite.
        """
        if not self._n_tokens:
            raise EditError("The texts for the second moment have no tokens; give others with --mom2_dataset.")
        energy = self._sum.diagonal()
        if not numpy.isfinite(energy).all():
            raise EditError("The activations for the second moment are not finite; load the model with --dtype bfloat16 or float32.")
        fired = numpy.flatnonzero(energy)
        return SecondMoment(self._sum[numpy.ix_(fired, fired)] / self._n_tokens, fired, len(energy), self._n_tokens)


@torch.no_grad()
def collect_second_moment(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    layer: int,
    texts: Sequence[str],
    batch_size: int = 16,
    max_tokens: int = 1024,
) -> SecondMoment:
    """C over every token of ``texts``, each cut after ``max_tokens``; padding takes no part."""
    projection = down_projection(model, layer)
    encoded = sorted((encode(tokenizer, text).ids[:max_tokens] for text in texts), key=len)
    encoded = [ids for ids in encoded if ids]
    moment = None
    for start in tqdm(range(0, len(encoded), batch_size), desc="second moment", disable=None, leave=False):
        batch = pad(encoded[start : start + batch_size], tokenizer.pad_token_id, model.device, side="right")
        with Trace(projection, stop=True) as trace:
            model(**batch._asdict(), use_cache=False)
        activations = trace.input[batch.attention_mask.bool()]
        moment = moment or SecondMomentSum(activations.shape[1])
        moment.add(activations)
    if moment is None:
        raise EditError("The texts for the second moment have no tokens; give others with --mom2_dataset.")
    return moment.mean()


def cached_second_moment(
    cache: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, texts: Sequence[str], anew: bool = False
) -> SecondMoment:
    """``collect_second_moment``, kept in the folder ``cache`` under a key of everything that it depends on; collected again if ``anew``."""
    key = hashlib.sha256(json.dumps([model_digest(model), tokenizer_digest(tokenizer), layer, list(texts)]).encode()).hexdigest()
    path = cache / f"second_moment_{key[:32]}.safetensors"
    if path.is_file() and not anew:
        try:
            return SecondMoment.load(path)
        except (OSError, SafetensorError):
            logger.warning("The cached second moment %s is broken; computing it again", path)
    moment = collect_second_moment(model, tokenizer, layer, texts)
    moment.save(path)
    return moment
