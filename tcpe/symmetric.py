"""Large symmetric matrices of which only one half is held, made from sparse rows and factorised in place.

The layout is LAPACK's rectangular full packed format (Gustavson, Wasniewski, Dongarra and Langou, 2010), whose Cholesky
factorisation runs on full blocks: half the memory of a square matrix at the same speed.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy
import psutil
import scipy.sparse
from jaxtyping import Float, Int
from scipy.linalg import lapack

from util.errors import EditError

BAND = 128
"""Rows that are handled at a time."""

PRODUCTS = 1 << 15
"""Products of two activations that are made at a time; so few stay in the processor's cache."""


class _Band(NamedTuple):
    """Rows ``first`` to ``stop`` of one half of the matrix: a rectangle, and the block on the diagonal, of which one triangle counts."""

    first: int
    stop: int
    columns: slice
    rectangle: Float[numpy.ndarray, "row column"]
    block: Float[numpy.ndarray, "row row"]
    triangle: Callable[[numpy.ndarray], numpy.ndarray]


class PackedSymmetric:
    """A symmetric float64 matrix, one half of it.

    With h = n // 2 and i >= j, entry (i, j) lies in row i - h and column j of ``storage`` if i >= h, and otherwise in row j and
    column h + 1 + i. LAPACK calls this TRANSR = 'N', UPLO = 'U'.

    Attributes:
        n: rows of the matrix.
        storage: float64 [(n + 1) // 2, n + 1 or, if n is odd, n].

    Args:
        storage: what to hold, zeros by default.

    Raises:
        EditError: if there is no memory for it.
    """

    def __init__(self, n: int, storage: Float[numpy.ndarray, "row column"] | None = None) -> None:
        self.n, self._half = n, n // 2
        if storage is None:
            require_memory(n * (n + 1) // 2 * 8, f"A matrix of {n} x {n} features")
            storage = numpy.zeros(((n + 1) // 2, n + 1 - n % 2))
        self.storage = storage

    @property
    def _flat(self) -> Float[numpy.ndarray, " entry"]:
        return self.storage.reshape(-1)

    def _position(self, i: Int[numpy.ndarray, "..."], j: Int[numpy.ndarray, "..."]) -> Int[numpy.ndarray, "..."]:
        """Where entries (i, j) lie in the flat storage."""
        i, j = numpy.maximum(i, j), numpy.minimum(i, j)
        row, column = numpy.where(i >= self._half, (i - self._half, j), (j, self._half + 1 + i))
        return row * self.storage.shape[1] + column

    def entries(self, rows: Int[numpy.ndarray, " row"], columns: Int[numpy.ndarray, " column"]) -> Float[numpy.ndarray, "row column"]:
        """A dense part of the matrix."""
        return self._flat[self._position(rows[:, None], columns[None])]

    def diagonal(self) -> Float[numpy.ndarray, " n"]:
        """A copy of the diagonal."""
        every = numpy.arange(self.n)
        return self._flat[self._position(every, every)]

    def _bands(self) -> Iterator[_Band]:
        """The matrix in bands that cover each entry of its half once."""
        half, shift = self._half, self._half + 1
        for first in range(0, half, BAND):
            stop, rows = min(first + BAND, half), self.storage[first : min(first + BAND, half)]
            columns = slice(stop, half)
            yield _Band(first, stop, columns, rows[:, shift + stop : shift + half], rows[:, shift + first : shift + stop], numpy.triu)
        for first in range(half, self.n, BAND):
            stop = min(first + BAND, self.n)
            rows = self.storage[first - half : stop - half]
            yield _Band(first, stop, slice(0, first), rows[:, :first], rows[:, first:stop], numpy.tril)

    def add_gram(self, product: Callable[[slice, slice], Float[numpy.ndarray, "row column"]]) -> None:
        """Add a dense symmetric matrix; ``product`` makes any block of it."""
        for band in self._bands():
            rows = slice(band.first, band.stop)
            band.rectangle[:] += product(rows, band.columns)
            band.block[:] += band.triangle(product(rows, rows))

    def add_sparse_gram(
        self, features: Int[numpy.ndarray, " entry"], values: Float[numpy.ndarray, " entry"], starts: Int[numpy.ndarray, " token_and_end"]
    ) -> None:
        """Add X^T X for sparse rows X.

        Only products of two non-zero entries of one row are made, each pair once. They are made feature by feature, so that those
        that are added up close in time lie close in memory.

        Args:
            features: int32, ascending in each row: the columns of X that are not zero.
            values: float32, what is there.
            starts: where each row begins in these, and where the last one ends.
        """
        n, half, width = self.n, self._half, self.storage.shape[1]
        here = numpy.arange(len(features), dtype=numpy.int32)
        counts = numpy.diff(starts)
        upper = features < half
        in_upper = numpy.concatenate([[0], numpy.cumsum(upper)])
        upper_stop = starts[:-1] + in_upper[starts[1:]] - in_upper[starts[:-1]]
        # In its row, a feature of the second half meets all features up to itself; one of the first half meets those from itself to h.
        first = numpy.where(upper, here, numpy.repeat(starts[:-1], counts))
        stop = numpy.where(upper, numpy.repeat(upper_stop, counts), here + 1)
        order = scipy.sparse.csr_array((here, features, starts), shape=(len(counts), n)).tocsc().data
        first, length, factor = first[order], (stop - first)[order], values[order]
        feature = features[order].astype(numpy.int64)
        base = numpy.where(feature < half, feature * width + half + 1, (feature - half) * width)
        made = numpy.concatenate([[0], numpy.cumsum(length, dtype=numpy.int64)])
        cuts = numpy.unique(numpy.append(numpy.searchsorted(made, numpy.arange(0, made[-1], PRODUCTS)), len(length)))
        count_up = numpy.arange(max((made[b] - made[a] for a, b in pairwise(cuts)), default=0))
        for a, b in pairwise(cuts):
            partner = numpy.repeat(first[a:b] - (made[a:b] - made[a]), length[a:b])
            partner += count_up[: len(partner)]
            target = numpy.repeat(base[a:b], length[a:b])
            # Mode "clip" only spares the check of indices that are in range.
            target += features.take(partner, mode="clip")
            products = numpy.repeat(factor[a:b].astype(numpy.float64), length[a:b])
            products *= values.take(partner, mode="clip")
            numpy.add.at(self._flat, target, products)

    def part(self, kept: Int[numpy.ndarray, " kept"]) -> "PackedSymmetric":
        """The matrix of some rows and the same columns, ascending."""
        if len(kept) == self.n:
            return self
        part = PackedSymmetric(len(kept))
        part.add_gram(lambda rows, columns: self.entries(kept[rows], kept[columns]))
        return part

    def one_norm(self) -> float:
        """The largest sum of magnitudes in a column."""
        sums = numpy.zeros(self.n)
        for band in self._bands():
            rectangle = numpy.abs(band.rectangle)
            triangle = band.triangle(numpy.abs(band.block))
            sums[band.first : band.stop] += rectangle.sum(1) + triangle.sum(0) + triangle.sum(1) - triangle.diagonal()
            sums[band.columns] += rectangle.sum(0)
        return float(sums.max(initial=0))

    def cholesky(self, epsilon: float) -> "PackedCholesky":
        """The factor of this matrix + epsilon I.

        Raises:
            numpy.linalg.LinAlgError: if that is not positive definite.
            EditError: if there is no memory for the factor.
        """
        require_memory(self.storage.nbytes, f"The factor of {self.n} x {self.n} features")
        damped = PackedSymmetric(self.n, numpy.array(self.storage))
        every = numpy.arange(self.n)
        damped._flat[self._position(every, every)] += epsilon
        norm = damped.one_norm()
        factor, failed = lapack.dpftrf(self.n, damped._flat, uplo="U", overwrite_a=True)
        if failed:
            raise numpy.linalg.LinAlgError(f"the leading minor of order {failed} is not positive")
        cholesky = PackedCholesky(self.n, factor, norm)
        # A matrix that is singular but for rounding has a factor, and no digit of what is solved with it is right.
        if cholesky.condition_number > 1 / numpy.finfo(float).eps:
            raise numpy.linalg.LinAlgError(f"its condition number is about {cholesky.condition_number:.0e}")
        return cholesky


class PackedCholesky:
    """The Cholesky factor of a ``PackedSymmetric``, in the same layout.

    Attributes:
        factor: float64 [n (n + 1) / 2].
        norm: the 1-norm of the matrix A that was factorised.
    """

    def __init__(self, n: int, factor: Float[numpy.ndarray, " entry"], norm: float) -> None:
        self.n, self.factor, self.norm = n, factor, norm

    def solve(self, right: Float[numpy.ndarray, " n"]) -> Float[numpy.ndarray, " n"]:
        """The x with A x = right."""
        solution, _ = lapack.dpftrs(self.n, self.factor, right, uplo="U")
        return solution.reshape(-1)

    @cached_property
    def condition_number(self) -> float:
        """An estimate from below of |A| |A^-1| in the 1-norm, nearly always within a factor of 3.

        Source: Hager, Condition estimates (1984); LAPACK's dpocon does the same for square storage.
        """
        x, norm = numpy.full(self.n, 1 / self.n), 0.0
        for _ in range(5):
            y = self.solve(x)
            norm = max(norm, float(numpy.abs(y).sum()))
            z = self.solve(numpy.where(y >= 0, 1.0, -1.0))
            largest = int(numpy.abs(z).argmax())
            if abs(z[largest]) <= z @ x:
                break
            x = numpy.zeros(self.n)
            x[largest] = 1
        return self.norm * norm


def require_memory(size: int, what: str) -> None:
    """Refuse what the machine has no memory for, rather than be killed while filling it.

    Raises:
        EditError: naming the bytes needed and there.
    """
    free = psutil.virtual_memory().available
    if size > free:
        raise EditError(
            f"{what} takes {size / 1e9:.1f} GB and {free / 1e9:.1f} GB of memory are free: out of memory; give a transcoder with fewer "
            "features (--TC_layer_file), texts in which fewer of them fire (--mom2_dataset), or a machine with more memory."
        )
