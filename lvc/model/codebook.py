"""The vector quantiser: one codebook and one table of probabilities for every class of latents.

The prior gives each latent a scale; a class is an interval of scales. Within a pass, latents of one class are
gathered in scan order (channel, row, column) and cut into vectors of four, of two or of one, the wider the class the
shorter, so that every codebook stays within MAX_ENTRIES. Class 0 is "nothing": its latents are zero and cost nothing.
A vector that no entry describes takes the escape symbol and its rounded components follow. The widest classes are
scalars whose low bits are close to uniform and are sent as they are.

Entropy-constrained: the encoder picks argmin |r - C[k]|^2 + lambda * bits(k), with r in steps and lambda = RATE_WEIGHT
(Chou, Lookabaugh and Gray, "Entropy-constrained vector quantization", 1989).
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lvc.errors import ModelError
from lvc.exact.places import is_compiled
from lvc.kernels import quantising, shared
from lvc.model.quality import RATE_WEIGHT
from lvc.rangecoder import Coder, Symbols, Table

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

MAX_ENTRIES = 512
_VECTORS = 512
"""Vectors that are compared with all entries at a time: as many as stay in a cache with what they cost (measured for
2,000 vectors and 512 entries: half the time)."""
UNIT = 64
"""Entries are integers of 1/64 step."""
LOG_SCALES = tuple([-3.75 + 0.25 * i for i in range(10)] + [-1.0 + 0.5 * i for i in range(16)])
"""Centre of classes 1, 2, ...: binary logarithm of the logistic scale in steps."""
CLASSES = len(LOG_SCALES) + 1
NOTHING_BELOW = -3.95
ESCAPE_LENGTHS = 18
ESCAPE_MAX = (1 << ESCAPE_LENGTHS) - 1
COUNT_TOTAL = 1 << 13
INCREMENT = 20


def class_thresholds(log_unit: float) -> Ints:
    """Integer log-scales (units of 1/log_unit octave) at which classes 1, 2, ... begin, [CLASSES - 1]."""
    centres = np.array(LOG_SCALES)
    edges = np.concatenate([[NOTHING_BELOW], (centres[1:] + centres[:-1]) / 2])
    return np.ceil(edges * log_unit).astype(np.int64)


def dimension(log_scale: float) -> int:
    """Length of the vectors of a class."""
    return 4 if log_scale <= -0.9 else 2 if log_scale <= 0.9 else 1


def low_bits(log_scale: float) -> int:
    """Low bits of a scalar class that are sent as they are."""
    return max(0, int(np.floor(log_scale)) - 3)


@dataclass
class Codebook:
    """One class.

    Attributes:
        entries: [K, d] int64, 1/64 step.
        counts: [K + 1], the last is the escape.
        low: low bits sent raw (d = 1 only); entries are then whole multiples of 2^low steps.
    """

    entries: Ints
    counts: Ints
    low: int = 0

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return int(self.entries.shape[1])

    @functools.cached_property
    def steps(self) -> npt.NDArray[np.float32]:
        """The entries in steps, [K, d]."""
        return self.entries.astype(np.float32) / np.float32(UNIT)


def lattice_codebook(log_scale: float, scalar: bool = False) -> Codebook:
    """Integer vectors, the most probable ones under a logistic distribution: the start of every codebook."""
    scale, d, low = 2.0**log_scale, 1 if scalar else dimension(log_scale), low_bits(log_scale)
    reach = {1: 255, 2: 24, 4: 5}[d]
    axis = np.arange(-reach, reach + 1)
    half = 0.5 * 2.0**low

    def cumulative(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-np.clip(v / scale, -60, 60))))

    centre = axis * 2.0**low + (half - 0.5)
    mass = np.abs(cumulative(-np.abs(centre) + half) - cumulative(-np.abs(centre) - half)) + 1e-12
    grid = np.stack([g.ravel() for g in np.meshgrid(*[axis] * d, indexing="ij")], 1)
    probability = np.prod(mass[grid + reach], axis=1)
    kept = np.argsort(-probability, kind="stable")[: MAX_ENTRIES - 1]
    if d == 1:
        kept = np.sort(kept)
    entries, probability = grid[kept] * (UNIT << low), probability[kept]
    escape = max(1 - probability.sum(), 1e-4)
    counts = np.concatenate([probability, [escape]]) * COUNT_TOTAL
    return Codebook(entries.astype(np.int64), np.maximum(counts.round(), 1).astype(np.int64), low)


class Quantiser:
    """All codebooks of a model with what the encoder's search needs; immutable, shared by groups of pictures."""

    def __init__(self, books: list[Codebook]) -> None:
        if len(books) != CLASSES - 1:
            raise ModelError(f"a model needs {CLASSES - 1} codebooks, this one has {len(books)}")
        self.books = books

    @classmethod
    def lattice(cls, scalar: bool = False) -> "Quantiser":
        """Before any fit; ``scalar`` for plain rounding of single latents."""
        return cls([lattice_codebook(s, scalar) for s in LOG_SCALES])

    def tables(self) -> "LatentTables":
        """Fresh adaptive tables for one group of pictures."""
        return LatentTables(
            [Table(book.counts, INCREMENT) for book in self.books],
            Table(np.maximum(400 * 0.6 ** np.arange(ESCAPE_LENGTHS), 2).astype(np.int64), INCREMENT),
        )


@dataclass
class LatentTables:
    """Adaptive tables of one group: one per class, and the lengths of escaped components."""

    index: list[Table]
    escape: Table

    def all(self) -> list[Table]:
        """Every table, in a fixed order."""
        return [*self.index, self.escape]


def choose(
    book: Codebook, bits: npt.NDArray[np.float64], wanted: Tensor | Floats, rate_weight: float = RATE_WEIGHT
) -> Symbols:
    """The encoder's choice of index for vectors [n, d] in steps; len(entries) stands for the escape.

    Args:
        rate_weight: what a bit counts, in squared steps.
    """
    k = len(book.entries)
    if isinstance(wanted, Tensor):
        if not is_compiled(wanted) and not book.low:
            return _choose_uncompiled(book, bits, wanted, rate_weight)
        wanted = wanted.cpu().contiguous().numpy()
    if book.low:
        index = np.floor_divide(np.rint(wanted[:, 0]), 1 << book.low).astype(np.int64) + (k - 1) // 2
        return np.where((index < 0) | (index >= k), k, index)
    prices, found = bits.astype(np.float32) * np.float32(rate_weight), np.empty(len(wanted), np.int64)
    kernel = quantising.choose_number if book.dimension == 1 else quantising.choose
    shared(kernel, len(found), book.steps, prices, wanted, rate_weight, found)
    return found


def _choose_uncompiled(book: Codebook, bits: npt.NDArray[np.float64], wanted: Tensor, rate_weight: float) -> Symbols:
    """The same by PyTorch."""
    k, device = len(book.entries), wanted.device
    prices = bits.astype(np.float32) * np.float32(rate_weight)
    entries, price = torch.from_numpy(book.steps).to(device), torch.from_numpy(prices).to(device)
    if book.dimension == 1:  # entries are sorted
        axis = entries[:, 0].contiguous()
        x = wanted[:, 0].contiguous()
        near = torch.bucketize(x, (axis[1:] + axis[:-1]) / 2)
        inward = (near - x.sign().long()).clamp(0, k - 1)
        options = torch.stack([near, inward], 1)
        cost = (x[:, None] - axis[options]).square() + price[options]
        pick = cost.argmin(1, keepdim=True)
        index, cost = options.gather(1, pick)[:, 0], cost.gather(1, pick)[:, 0]
    else:
        offset = entries.square().sum(1) + price[:k]
        parts = []
        for part in wanted.split(_VECTORS):
            value, at = torch.addmm(offset[None], part, entries.t(), alpha=-2.0).min(1)
            parts.append((value + part.square().sum(1), at))
        cost, index = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
    whole = wanted.round()
    escape_bits = (2 * torch.log2(whole.abs() + 1) + 2).sum(1)
    escape = (wanted - whole).square().sum(1) + price[k] + rate_weight * escape_bits
    return torch.where(escape < cost, torch.full_like(index, k), index).cpu().numpy()


def _vectors(values: Tensor | Floats, count: int, dimension: int) -> Tensor | Floats:
    """Latents as vectors [count, dimension], zeros after the last."""
    missing = count * dimension - len(values)
    if not missing:
        return values.reshape(count, dimension)
    if isinstance(values, Tensor):
        return torch.nn.functional.pad(values, (0, missing)).view(count, dimension)
    return np.concatenate([values, np.zeros(missing, np.float32)]).reshape(count, dimension)


def _code_escapes(coder: Coder, table: Table, wanted: Ints | None, count: int) -> Ints:
    """Integers of any size: number of bits, then sign and bits."""
    lengths = size = None
    if wanted is not None:
        size = np.minimum(np.abs(wanted), ESCAPE_MAX - 1) + 1
        lengths = np.floor(np.log2(size)).astype(np.int64)
    lengths = coder.code(table, lengths, count)
    result = np.zeros(count, dtype=np.int64)
    for length in np.unique(lengths):
        at = np.flatnonzero(lengths == length)
        if length == 0:
            continue
        given = None
        if wanted is not None and size is not None:
            given = ((size[at] - (1 << length)) << 1) | (wanted[at] < 0)
        code = coder.raw(given, len(at), int(length) + 1)
        magnitude = (1 << length) + (code >> 1) - 1
        result[at] = np.where(code & 1, -magnitude, magnitude)
    return result


def code_class(
    coder: Coder,
    book: Codebook,
    table: Table,
    escape: Table,
    wanted: Tensor | Floats | None,
    count: int,
    rate_weight: float = RATE_WEIGHT,
) -> Ints:
    """Write or read ``count`` latents of one class.

    Args:
        wanted: [count] residuals in steps, None when reading; arrays rather than tensors where they are on a CPU.
        rate_weight: see :func:`choose`.

    Returns:
        [count] quantised residuals in 1/64 step.
    """
    d, k = book.dimension, len(book.entries)
    vectors = -(-count // d)
    symbols = whole = padded = None
    if wanted is not None:
        padded = _vectors(wanted, vectors, d)
        symbols = choose(book, table.bits, padded, rate_weight)
    symbols = coder.code(table, symbols, vectors)
    at = np.flatnonzero(symbols == k)
    if padded is not None and (book.low or len(at)):
        given = padded.cpu().numpy() if isinstance(padded, Tensor) else padded
        whole = np.rint(given).astype(np.int64)
    values = book.entries.take(symbols, 0, mode="clip")
    if book.low:
        sent = np.flatnonzero(symbols != k)
        bottom = None if whole is None else whole[sent, 0] & ((1 << book.low) - 1)
        values[sent, 0] += UNIT * coder.raw(bottom, len(sent), book.low)
    if len(at):
        escaped = None if whole is None else whole[at].ravel()
        values[at] = _code_escapes(coder, escape, escaped, len(at) * d).reshape(-1, d) * UNIT
    flat: Ints = values.reshape(-1)[:count]
    return flat
