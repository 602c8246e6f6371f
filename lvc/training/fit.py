"""Codebooks, starting counts and loop filters, fitted to what the trained networks leave over.

The exact model codes crops of training clips at random qualities; every residual is kept with its class. Each class
then gets an entropy-constrained codebook by the generalised Lloyd iteration (Chou, Lookabaugh and Gray 1989), and every
table starts from what was counted. Done twice, since better codebooks change what is left over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lvc.encoder.around import with_around
from lvc.encoder.group import GroupEncoder
from lvc.encoder.settings import EncoderSettings
from lvc.exact.arithmetic import exact_arithmetic
from lvc.model.codebook import (
    CLASSES,
    COUNT_TOTAL,
    LOG_SCALES,
    MAX_ENTRIES,
    UNIT,
    Codebook,
    Quantiser,
    lattice_codebook,
)
from lvc.model.quality import RATE_WEIGHT
from lvc.model.weights import KINDS, MOTION_KINDS, Model, Statistics
from lvc.rangecoder import Table
from lvc.training.data import Clip
from lvc.training.filter_fit import FilterEvidence
from lvc.training.progress import OnTraining, TrainingProgress, silent
from lvc.video import Frame, VideoInfo

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

HEIGHT, WIDTH, FRAMES = 192, 256, 8
KEPT = 400_000
"""Most latents kept of each class and kind."""
ITERATIONS = 12
LEAST_VECTORS = 200
"""A class with fewer vectors keeps its lattice."""
MOTION_TOTAL, MAP_TOTAL, HYPER_TOTAL = 1500, 800, 4000
"""What starting counts add up to: how strongly they resist what a group shows."""


@dataclass
class Evidence:
    """What was seen: residuals by kind and class; counts of symbols: motion by kind, skip, sizes, hyper by kind."""

    residuals: list[list[list[Floats]]] = field(default_factory=lambda: [[[] for _ in range(CLASSES)] for _ in KINDS])
    kept: Ints = field(default_factory=lambda: np.zeros((len(KINDS), CLASSES), np.int64))
    counts: list[list[Ints]] | None = None
    filters: FilterEvidence = field(default_factory=FilterEvidence)

    def add(self, kind: int, cls: int, residuals: Tensor) -> None:
        """Keep residuals (in steps) of one class."""
        if self.kept[kind, cls] < KEPT:
            self.residuals[kind][cls].append(residuals.float().cpu().numpy())
            self.kept[kind, cls] += len(residuals)


def _counting(tables: list[Table]) -> list[Ints]:
    """Make tables count one for each symbol from now on; returns their starting counts."""
    for table in tables:
        table.increment, table.limit = 1, 1 << 40
    return [table.counts for table in tables]


def _crops(clips: list[Clip], random: np.random.Generator, count: int) -> Iterator[tuple[VideoInfo, list[Frame]]]:
    large = [c for c in clips if len(c.y) >= FRAMES and c.y.shape[1] >= HEIGHT and c.y.shape[2] >= WIDTH]
    large = large or [c for c in clips if min(c.y.shape[1:]) >= 64]
    for _ in range(count):
        clip = large[int(random.integers(len(large)))]
        frames = min(FRAMES, len(clip.y))
        height, width = min(HEIGHT, clip.y.shape[1]), min(WIDTH, clip.y.shape[2])
        t = int(random.integers(0, len(clip.y) - frames + 1))
        y0 = int(random.integers(0, (clip.y.shape[1] - height) // 2 + 1))
        x0 = int(random.integers(0, (clip.y.shape[2] - width) // 2 + 1))
        y = clip.y[t : t + frames, 2 * y0 : 2 * y0 + height, 2 * x0 : 2 * x0 + width].cpu().numpy().astype(np.uint16)
        uv = clip.uv[t : t + frames, :, y0 : y0 + height // 2, x0 : x0 + width // 2].cpu().numpy().astype(np.uint16)
        yield VideoInfo(width, height), [Frame([y[i], uv[i, 0], uv[i, 1]], i, 1) for i in range(frames)]


def _tables(group: GroupEncoder) -> list[list[Table]]:
    """All whose starting counts are fitted: motion by kind, skip, sizes, hyper by kind."""
    tables = group.tables
    return [*(motion.all() for motion in tables.motion), tables.skip.all(), tables.sizes.all(), *tables.hyper]


def collect(model: Model, clips: list[Clip], count: int, seed: int = 5, progress: OnTraining = silent) -> Evidence:
    """Code ``count`` crops and keep what the entropy coder sees."""
    random = np.random.default_rng(seed)
    evidence = Evidence()
    device = next(model.codec.parameters()).device
    for number, (info, frames) in enumerate(_crops(clips, random, count)):
        progress(TrainingProgress.counted("fitting", number, count))
        quality = int(random.integers(4, 76)) if random.random() < 0.85 else int(random.integers(1, 101))
        settings = EncoderSettings(quality=quality)
        # a group whose order is chosen is begun once more, from tables that do not count
        group = GroupEncoder(model, info, settings, device, evidence.add, evidence.filters.add, chooses=False)
        starts = [_counting(each) for each in _tables(group)]
        with exact_arithmetic():
            for frame, around in with_around(frames, goes_on=True):
                group.encode(frame, around)
            group.finish()
        counted = zip(_tables(group), starts, strict=True)
        seen = [[table.counts - start for table, start in zip(*each, strict=True)] for each in counted]
        old = evidence.counts or [[np.zeros_like(counts) for counts in rows] for rows in seen]
        evidence.counts = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(old, seen, strict=True)]
    progress(TrainingProgress.counted("fitting", count, count))
    return evidence


def _assign(vectors: Tensor, entries: Tensor, bits: Tensor) -> tuple[Tensor, float]:
    """Index of the best entry of each vector, and the mean Lagrangian."""
    offset = entries.square().sum(1) + RATE_WEIGHT * bits
    total, parts = 0.0, []
    for part in vectors.split(1 << 14):
        value, at = torch.addmm(offset[None], part, entries.t(), alpha=-2.0).min(1)
        total += float((value + part.square().sum(1)).sum())
        parts.append(at)
    return torch.cat(parts), total / len(vectors)


def fit_codebook(start: Codebook, residuals: Floats) -> Codebook:
    """One class: entries and counts that minimise distortion plus lambda times rate on these residuals.

    Args:
        start: lattice codebook of the class.
        residuals: [n] in steps.
    """
    d = start.dimension
    vectors = torch.from_numpy(residuals[: len(residuals) // d * d].reshape(-1, d))
    if len(vectors) < LEAST_VECTORS:
        return start
    entries = torch.from_numpy(start.entries).float() / UNIT
    counts = torch.from_numpy(start.counts).float()
    reach = float(entries.abs().max()) + 0.5
    inside = (vectors.abs() <= reach).all(1)
    if start.low:
        index = torch.div(vectors[:, 0].round(), 1 << start.low, rounding_mode="floor").long() + len(entries) // 2
        inside = (index >= 0) & (index < len(entries))
        counts = torch.bincount(index[inside], minlength=len(entries)).float()
        # neighbours share what little was seen of each
        kernel = torch.ones(1, 1, 9) / 9
        counts = torch.nn.functional.conv1d(counts[None, None], kernel, padding=4)[0, 0]
        return Codebook(start.entries, _scaled(counts.numpy(), float((~inside).sum())), start.low)
    known = vectors[inside]
    counts = counts[:-1]
    for _ in range(ITERATIONS):
        bits = -torch.log2((counts + 0.05) / (counts.sum() + 0.05 * len(counts)))
        at, _ = _assign(known, entries, bits)
        counts = torch.bincount(at, minlength=len(entries)).float()
        sums = torch.zeros_like(entries).index_add_(0, at, known)
        # entries that are hardly used stay near where they were
        entries = (sums + entries * 2) / (counts[:, None] + 2)
        used = counts > 0
        if int(used.sum()) >= 8:
            entries, counts = entries[used], counts[used]
    whole = (entries * UNIT).round().long().numpy()
    whole, counts_now = _unique(whole, counts.numpy())
    return Codebook(whole, _scaled(counts_now, float((~inside).sum()) + 1e-5 * len(vectors)), start.low)


def _unique(entries: Ints, counts: Floats) -> tuple[Ints, Floats]:
    """Merge entries that rounding has made equal; sorted, as scalar searches need."""
    merged, inverse = np.unique(entries, axis=0, return_inverse=True)
    total = np.zeros(len(merged), np.float32)
    np.add.at(total, inverse.ravel(), counts)
    return merged[: MAX_ENTRIES - 1].astype(np.int64), total[: MAX_ENTRIES - 1]


def _scaled(counts: Floats, escapes: float) -> Ints:
    everything = np.concatenate([counts, [escapes]]).astype(np.float64)
    scaled: Ints = np.maximum((everything / everything.sum() * COUNT_TOTAL).round(), 1).astype(np.int64)
    return scaled


def _starting(counts: Ints, total: int) -> Ints:
    smooth = counts + 0.02 * counts.sum() / len(counts) + 0.5
    scaled: Ints = np.maximum((smooth / smooth.sum() * total).round(), 1).astype(np.int64)
    return scaled


def fit(
    model: Model,
    clips: list[Clip],
    count: int = 48,
    progress: OnTraining = silent,
    start: list[Quantiser] | None = None,
) -> Statistics:
    """New codebooks and starting counts for a model.

    Args:
        start: codebooks to start from; the lattice where not given.
        count: crops of FRAMES frames to code.
        progress: is told before each crop and at the end.
    """
    evidence = collect(model, clips, count, progress=progress)
    quantisers = []
    for kind, rows in enumerate(evidence.residuals):
        books = []
        for cls in range(1, CLASSES):
            book = lattice_codebook(LOG_SCALES[cls - 1]) if start is None else start[kind].books[cls - 1]
            books.append(fit_codebook(book, np.concatenate(rows[cls])) if rows[cls] else book)
        quantisers.append(Quantiser(books))
    if evidence.counts is None:
        return replace(model.statistics, quantisers=quantisers)
    kinds = len(MOTION_KINDS)
    motion, (skip, sizes, *hyper) = evidence.counts[:kinds], evidence.counts[kinds:]
    return Statistics(
        quantisers,
        [[_starting(counts, HYPER_TOTAL) for counts in rows] for rows in hyper],
        [[_starting(counts, MOTION_TOTAL) for counts in rows] for rows in motion],
        [_starting(counts, MAP_TOTAL) for counts in skip],
        [_starting(counts, MAP_TOTAL) for counts in sizes],
        evidence.filters.fitted(),
    )
