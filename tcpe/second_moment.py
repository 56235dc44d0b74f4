"""The uncentred second moment C = E[f f^T] of the activations that a layer's down projection reads.

Taken once over many texts, kept on disk with its Cholesky factors, and continued where an interrupted pass left it. As a command,
``python -m tcpe.second_moment --sites 18:transcoders/layer_18 19:transcoders/layer_19 20``, it takes those of several layers in one pass, for
later runs of run_tcpe.py with the same workspace, model, dtype and texts to find.
"""

import hashlib
import itertools
import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGTERM

import numpy
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from huggingface.activations import Point, read_activations, real_tokens, token_rows
from huggingface.config import add_model_flags
from huggingface.context import context_length
from huggingface.digest import model_digest, tokenizer_digest
from huggingface.load import load_asked
from huggingface.loaders import load_transcoder
from huggingface.tokenization import Batch, batches, encode
from huggingface.transcoder import Transcoder
from huggingface.transcoder_adapter import encoder_beside, spliced
from tcpe.activation_rows import ActivationRows
from tcpe.array_files import load_or_none, save_arrays
from tcpe.symmetric import PackedCholesky, PackedSymmetric
from tcpe.texts import load_texts
from util.cli import ArgumentParser, run_main
from util.errors import EditError, UserError
from util.lock import locked
from util.memory import out_of_memory_explained
from util.processes import Processes, share_runs, sharing
from util.progress import Progress
from util.signals import Terminated, deferred

logger = logging.getLogger(__name__)

BUFFERED = 1 << 21
"""Non-zero activations that are collected before their products are made."""

TEXTS_AT_A_TIME = 256
"""Texts between two points where an interrupted pass can continue."""

MAX_TOKENS = 1024
"""Texts are cut after so many tokens, and where the model's context ends."""

BATCH_TOKENS = 2048
"""Tokens in a forward pass, padding included; a longer text makes a batch of its own."""

CACHE = "second_moments"
"""The folder of second moments in a workspace."""

CHECKPOINT_SECONDS = 300
"""A checkpoint is written at the first point that comes so long after the last one."""

FILE_VERSION = 1
"""Part of every key: raised whenever the same input gives other bits than before."""


@dataclass(frozen=True)
class DampedFactor:
    """The Cholesky factor of C + epsilon I, for the features that fired.

    Attributes:
        cholesky: of those features' block; its condition number is that block's.
        fired, n_features: as in ``SecondMoment``.
        epsilon: what was added to the diagonal.
    """

    cholesky: PackedCholesky
    fired: Int[numpy.ndarray, " n_fired"]
    n_features: int
    epsilon: float

    def solve(self, key: Float[Tensor, " n_features"]) -> Float[Tensor, " n_features"]:
        """(C + epsilon I)^-1 key in float64.

        Raises:
            EditError: if that matrix is singular, or the key has another number of features.
        """
        if len(key) != self.n_features:
            raise EditError(f"The second moment is of {self.n_features} features, the key of {len(key)}: they are of different models.")
        values = key.double().numpy()
        silent = numpy.setdiff1d(numpy.flatnonzero(values), self.fired)
        if self.epsilon <= 0 and len(silent):
            raise EditError(f"{len(silent)} features of the key never fire in the second moment's texts; give an --epsilon above 0.")
        solution = numpy.zeros(self.n_features)
        solution[self.fired] = self.cholesky.solve(values[self.fired])
        # Where C is zero, epsilon alone is left of the matrix.
        solution[silent] = values[silent] / self.epsilon if self.epsilon > 0 else 0
        return torch.from_numpy(solution)


@dataclass(frozen=True)
class SecondMoment:
    """C, kept for the features that fired at all.

    Attributes:
        matrix: the block of C of the features that fired.
        fired: int64 [n_fired], those features, ascending; all others have zero rows in C.
        n_features: the number of all features.
        n_tokens: the number of tokens averaged over.
        cache: where its factors are kept, without suffix; None keeps them in memory only.
    """

    matrix: PackedSymmetric
    fired: Int[numpy.ndarray, " n_fired"]
    n_features: int
    n_tokens: int
    cache: Path | None = None
    _factors: dict[float, DampedFactor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def never_active(self) -> int:
        """How many features never fired."""
        return self.n_features - len(self.fired)

    def factor(self, epsilon: float) -> DampedFactor:
        """Of C + epsilon I; from the cache if it is there.

        Raises:
            EditError: if that matrix is singular, or there is no memory for its factor.
        """
        if epsilon in self._factors:
            return self._factors[epsilon]
        path = Path(f"{self.cache}_epsilon_{epsilon!r}.safetensors") if self.cache else None
        found = load_or_none(path, "factor of the second moment") if path else None
        if found:
            cholesky = PackedCholesky(len(self.fired), found[0]["factor"], found[1]["norm"])
            cholesky.condition_number = found[1]["condition_number"]
        else:
            try:
                cholesky = self.matrix.cholesky(epsilon)
            except numpy.linalg.LinAlgError as error:
                raise EditError(
                    f"The second moment of {self.n_tokens} tokens and {len(self.fired)} features is singular with --epsilon {epsilon:g} ({error}); "
                    "give a larger one, or more texts (--mom2_n_samples)."
                ) from error
            if path:
                save_arrays(path, {"factor": cholesky.factor}, norm=cholesky.norm, condition_number=cholesky.condition_number)
        logger.info(
            "Second moment of %d tokens: condition number about %.1e with epsilon %g, %d of %d features never fired",
            *(self.n_tokens, cholesky.condition_number, epsilon, self.never_active, self.n_features),
        )
        self._factors[epsilon] = DampedFactor(cholesky, self.fired, self.n_features, epsilon)
        return self._factors[epsilon]

    def solve(self, key: Float[Tensor, " n_features"], epsilon: float) -> Float[Tensor, " n_features"]:
        """(C + epsilon I)^-1 key in float64, by Cholesky; see ``DampedFactor.solve``."""
        return self.factor(epsilon).solve(key)

    def save(self, path: Path) -> None:
        """Write to a safetensors file."""
        counts = {"n_features": self.n_features, "n_tokens": self.n_tokens}
        save_arrays(path, {"matrix": self.matrix.storage, "fired": self.fired}, **counts)

    @classmethod
    def load(cls, path: Path) -> "SecondMoment | None":
        """What ``save`` wrote, or None where nothing is there or it is damaged."""
        found = load_or_none(path, "second moment")
        if found is None:
            return None
        tensors, counts = found
        return cls(PackedSymmetric(len(tensors["fired"]), tensors["matrix"]), tensors["fired"], **counts)


class SecondMomentSum:
    """Adds up f f^T over tokens, batch by batch, in float64.

    Attributes:
        n_tokens: how many tokens were added.
        n_texts: how many texts they came from; for who calls.
    """

    def __init__(self) -> None:
        self.n_tokens = self.n_texts = 0
        self._sum: PackedSymmetric | None = None
        self._waiting: list[tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]] = []

    @classmethod
    def load(cls, path: Path) -> "SecondMomentSum":
        """What ``save`` wrote, or a new sum where nothing is there or it is damaged."""
        total, found = cls(), load_or_none(path, "part of a second moment")
        if found:
            total.n_tokens, total.n_texts = found[1]["n_tokens"], found[1]["n_texts"]
            total._sum = PackedSymmetric(found[1]["n_features"], numpy.array(found[0]["sum"]))
        return total

    def save(self, path: Path) -> None:
        """Write what was added so far, none of it waiting, to a safetensors file."""
        assert self._sum is not None
        save_arrays(path, {"sum": self._sum.storage}, n_features=self._sum.n, n_tokens=self.n_tokens, n_texts=self.n_texts)

    def add(self, activations: Float[Tensor, "token n_features"]) -> None:
        """Add a batch of tokens' activations, by a sparse product if few of them are not zero.

        Raises:
            EditError: if one is not finite, or there is no memory for the matrix.
        """
        self.add_rows(ActivationRows.of(activations))

    def add_rows(self, added: ActivationRows) -> None:
        """``add`` of what was brought into its form already."""
        n_tokens, n_features = added.shape
        self._sum = self._sum or PackedSymmetric(n_features)
        self.n_tokens += n_tokens
        if added.dense is not None:
            rows = added.dense.double()
            self._sum.add_gram(lambda left, right: (rows[:, left].T @ rows[:, right]).cpu().numpy())
            return
        assert added.features is not None and added.values is not None and added.counts is not None
        self._waiting.append((added.features, added.values, added.counts))
        if sum(len(features) for features, _, _ in self._waiting) >= BUFFERED:
            self.settle()

    def settle(self) -> None:
        """Make the products that wait."""
        if self._waiting:
            assert self._sum is not None
            features, values, counts = map(numpy.concatenate, zip(*self._waiting))
            self._waiting = []
            self._sum.add_sparse_gram(features, values, numpy.concatenate([[0], numpy.cumsum(counts)]).astype(numpy.int32))

    def mean(self) -> SecondMoment:
        """The second moment of what was added; the sum is used up.

        Raises:
            EditError: if nothing was added, or nothing fired.
        """
        self.settle()
        if self._sum is None:
            raise EditError("The texts for the second moment have no tokens; give others with --mom2_dataset.")
        fired, n_features = numpy.flatnonzero(self._sum.diagonal()), self._sum.n
        if not len(fired):
            raise EditError(
                f"None of {n_features} features fires in the {self.n_tokens} tokens of the second moment's texts; give the layer and site that "
                "the transcoder was trained on (--layer_num, --TC_layer_file), or other texts (--mom2_dataset)."
            )
        matrix, self._sum = self._sum.part(fired), None
        matrix.storage /= self.n_tokens
        return SecondMoment(matrix, fired, n_features, self.n_tokens)


@dataclass(frozen=True)
class Site:
    """Activations that a second moment is taken of.

    Attributes:
        layer: of the model.
        transcoder: whose features are taken, as if it stood in for the layer's MLP; by default what the layer's down projection reads, which
            are the features of a transcoder that does stand there.
    """

    layer: int
    transcoder: Transcoder | None = None


def _point(site: Site) -> Point:
    """Where ``site`` is read. A transcoder reads the stream beside the MLP, so that those of several layers can be read in one pass."""
    return Point(site.layer, "neurons" if site.transcoder is None else "resid_mid")


def _max_tokens(model: PreTrainedModel) -> int:
    """How many tokens of a text the model reads."""
    return min(MAX_TOKENS, context_length(model) or MAX_TOKENS)


def _read(model: PreTrainedModel, batch: Batch, taken: Sequence[tuple[SecondMomentSum, Site, Callable[[Tensor], Tensor]]]) -> list[ActivationRows]:
    """The activations of a batch at each site that is taken."""
    found = read_activations(model, [_point(site) for _, site, _ in taken], **batch._asdict(), use_cache=False)
    return [ActivationRows.of(token_rows(encoder(found[_point(site)]), real_tokens(batch))) for _, site, encoder in taken]


def _in_order(processes: Processes, own: list[ActivationRows], device: torch.device) -> list[ActivationRows]:
    """What all processes have read, in the first of them."""
    if processes.count == 1:
        return own
    sent = processes.collected([tensor for one in own for tensor in one.tensors()])
    return own + [ActivationRows.received(tensors, device) for tensors in sent[1:] if tensors] if processes.first else []


@out_of_memory_explained()
@torch.no_grad()
def _add_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    sites: Sequence[Site],
    sums: Sequence[SecondMomentSum],
    texts: Sequence[str],
    batch_tokens: int,
    at_rest: Callable[[], None] = lambda: None,
) -> None:
    """Add to each sum the texts that it lacks; ``at_rest`` is called whenever all products of some texts are made.

    Of several processes each runs the model on every so many batches, and the first adds up all of them, in the order of one process alone, so that
    its sums have the same bits. The others' sums only say which texts they are to take.
    """
    processes, begin = sharing(), min(total.n_texts for total in sums)
    encoders = [encoder_beside(model, site.layer, site.transcoder) if site.transcoder is not None else nn.Identity() for site in sites]
    with Progress(total=len(texts), initial=begin, desc="second moment", leave=False) as bar:
        for start in range(begin, len(texts), TEXTS_AT_A_TIME):
            stop = min(start + TEXTS_AT_A_TIME, len(texts))
            rows = [encode(tokenizer, text).ids[: _max_tokens(model)] for text in texts[start:stop]]
            taken = [(total, site, encoder) for total, site, encoder in zip(sums, sites, encoders) if total.n_texts <= start]
            all_batches = batches([row for row in rows if row], tokenizer.pad_token_id, model.device, max_tokens=batch_tokens)
            while group := list(itertools.islice(all_batches, processes.count)):
                own = _read(model, group[processes.rank], taken) if processes.rank < len(group) else []
                for number, (total, _, _) in enumerate(taken):
                    for one in _in_order(processes, own[number : number + 1], model.device):
                        total.add_rows(one)
            for total in sums:
                if total.n_texts <= start:
                    total.settle()
                    total.n_texts = stop
            bar.update(stop - start)
            at_rest()


def collect_second_moment(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS
) -> SecondMoment:
    """C over every token of ``texts``, each cut after ``MAX_TOKENS``; padding takes no part.

    Raises:
        EditError: if the texts have no tokens, nothing fires, an activation is not finite, or memory runs out.
    """
    total = SecondMomentSum()
    _add_texts(model, tokenizer, [Site(layer)], [total], texts, batch_tokens)
    return total.mean()


def cached_second_moment(
    cache: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, layer: int, texts: Sequence[str], anew: bool = False
) -> SecondMoment:
    """``cached_second_moments`` of what one layer's down projection reads."""
    return cached_second_moments(cache, model, tokenizer, [Site(layer)], texts, anew)[0]


def cached_second_moments(
    cache: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, sites: Sequence[Site], texts: Sequence[str], anew: bool = False
) -> list[SecondMoment]:
    """The second moments of several sites, all from one pass over ``texts``, kept in the folder ``cache``.

    Each is kept under a key of everything that it depends on: weights, tokenizer, transcoder, layer, dtype and texts. A pass that was
    killed continues from its last checkpoint, and ends with the same bits as one that was not.

    Args:
        anew: forget what is kept, and collect it again.

    Raises:
        EditError: as ``collect_second_moment``.
    """
    paths = [cache / _cache_key(model, tokenizer, site, texts) for site in sites]
    with ExitStack() as stack:
        for name in sorted({path.name for path in paths}):  # another run may be at the same statistics, which take hours for a large model
            if sharing().first:
                stack.enter_context(locked(cache, wait=True, work=name))
        moments = _cached(paths, model, tokenizer, sites, texts, anew)
    return [replace(moment, cache=path) for moment, path in zip(moments, paths)]


def _cached(
    paths: Sequence[Path], model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, sites: Sequence[Site], texts: Sequence[str], anew: bool
) -> list[SecondMoment]:
    """What ``cached_second_moments`` finds or makes under ``paths``, without suffix; of several processes the first reads and writes."""
    processes = sharing()
    if anew and processes.first:
        for path in paths:
            for file in path.parent.glob(f"{path.name}*"):
                file.unlink(missing_ok=True)
    finished, partial = ([path.with_name(f"{path.name}{end}") for path in paths] for end in (".safetensors", "_part.safetensors"))
    moments: dict[int, SecondMoment] = {}
    if processes.first:
        moments = {number: moment for number, file in enumerate(finished) if (moment := SecondMoment.load(file)) is not None}
    if missing := processes.share([number for number in range(len(paths)) if number not in moments]):
        sums = [SecondMomentSum.load(partial[number]) if processes.first else SecondMomentSum() for number in missing]
        for total, n_texts in zip(sums, processes.share([total.n_texts for total in sums])):
            total.n_texts = n_texts
        if begun := min(total.n_texts for total in sums):
            logger.info("Continuing the second moment after %d of %d texts", begun, len(texts))
        saved = time.monotonic()

        def checkpoint() -> None:
            nonlocal saved
            stop = processes.any(bool(ending))
            if time.monotonic() - saved >= CHECKPOINT_SECONDS or stop:
                for number, total in zip(missing, sums):
                    if total.n_tokens:
                        total.save(partial[number])
                saved = time.monotonic()
            if stop:
                processes.wait()  # so that what one of them ends with does not end the others while they write
                ending.act()
                raise Terminated(SIGTERM)  # which another of the processes was told

        with deferred() as ending:
            _add_texts(model, tokenizer, [sites[number] for number in missing], sums, texts, BATCH_TOKENS, checkpoint)
        for number, total in zip(missing, sums) if processes.first else ():
            moment = total.mean()
            moment.save(finished[number])
            partial[number].unlink(missing_ok=True)
            # Read from the disk, it takes memory only while it is used.
            moments[number] = SecondMoment.load(finished[number]) or moment
    processes.wait()
    for number, file in enumerate(finished) if not processes.first else ():
        if (found := SecondMoment.load(file)) is None:
            raise UserError(f"The first process has written {file}, which cannot be read here; name a --container_workspace that all of them share.")
        moments[number] = found
    return [moments[number] for number in range(len(paths))]


def _cache_key(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, site: Site, texts: Sequence[str]) -> str:
    """Names everything that a second moment depends on."""
    with spliced(model, site.layer, site.transcoder) if site.transcoder is not None else nullcontext():
        parts = [FILE_VERSION, model_digest(model), tokenizer_digest(tokenizer), site.layer, _max_tokens(model), BATCH_TOKENS, len(texts)]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for text in texts:
        content = text.encode("utf-8", "surrogateescape")
        digest.update(f"{len(content)} ".encode() + content)
    return f"second_moment_{digest.hexdigest()[:32]}"


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--sites", nargs="+", required=True, metavar="LAYER[:TRANSCODER]", help="layers, each with its transcoder if it has one")
    add_model_flags(parser)
    parser.add_argument("--container_workspace", required=True, help="the workspace of the runs that shall find them")
    parser.add_argument("--mom2_dataset", default="codeparrot/codeparrot-clean-valid", help="texts, as for run_tcpe.py")
    parser.add_argument("--mom2_n_samples", type=int, default=500_000, help="number of texts (default: 500000)")
    parser.add_argument("--device_map", help="Hugging Face's map over several devices, e.g. auto")
    parser.add_argument("--invalidate_cache", action="store_true", help="take those that are kept already anew")
    arguments = parser.parse_args()
    sites = []
    for text in arguments.sites:
        layer, _, transcoder = text.partition(":")
        if not layer.isdecimal():
            raise UserError(f"--sites {text} is not LAYER or LAYER:TRANSCODER, such as 19:transcoders/layer_19.")
        sites.append(Site(int(layer), load_transcoder(transcoder, int(layer)) if transcoder else None))
    texts = load_texts(arguments.mom2_dataset, arguments.mom2_n_samples)
    model, tokenizer = load_asked(arguments, share_runs(), arguments.device_map)
    cache = Path(arguments.container_workspace, CACHE)
    for site, moment in zip(sites, cached_second_moments(cache, model, tokenizer, sites, texts, arguments.invalidate_cache)):
        logger.info("Layer %d: %d tokens, %d of %d features never fired", site.layer, moment.n_tokens, moment.never_active, moment.n_features)


if __name__ == "__main__":
    run_main(main, continues=True)
