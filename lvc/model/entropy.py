"""Latents to symbols and back: the :class:`~lvc.model.codec.LatentCoder` of encoder and decoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lvc.exact.places import is_compiled
from lvc.exact.product import ACT_MAX
from lvc.kernels import latents as kernels
from lvc.model.codebook import CLASSES, LatentTables, Quantiser, class_thresholds, code_class
from lvc.model.filters import fresh_filter_tables
from lvc.model.flat import fresh_flat_tables
from lvc.model.levels import LevelTables
from lvc.model.motion import MotionTables
from lvc.model.networks import HYPER_CHANNELS, HYPER_MAX, LOG_STEP, hyper_limit
from lvc.model.quality import RATE_WEIGHT
from lvc.model.sizes import SizeTables
from lvc.model.skip import SkipTables
from lvc.model.transform import BANDS
from lvc.model.weighting import fresh_weighting_tables
from lvc.rangecoder import Coder, Symbols, Table

Floats = npt.NDArray[np.float32]
Observer = Callable[[int, int, Tensor], None]
HYPER_PRICE = 0.25
"""What a bit of the hyper-latent counts in pictures with references, in squared units of it: at low qualities it is a
sixth to two fifths of such a picture (measured over eight clips at qualities 5 to 42: -0.8 % rate with 0.2, -0.95 with
0.3, against rounding; nothing from 42 on; intra pictures: the same or worse)."""
SCALE_MAX = ACT_MAX
"""Log-scales are activations, or below all of them where nothing is coded."""
LARGE = 1.5
"""In steps: from this on a latent that cannot be sent is noted."""


@dataclass
class GroupTables:
    """All adaptive tables of one group of pictures.

    motion: see :data:`lvc.model.weights.MOTION_KINDS`; latents, hyper: of intra pictures, of all others; filters,
    weighting, flat: see :mod:`lvc.model.filters`, :mod:`lvc.model.weighting` and :mod:`lvc.model.flat`.
    """

    motion: list[MotionTables]
    skip: SkipTables
    sizes: SizeTables
    latents: list[LatentTables]
    hyper: list[list[Table]]
    levels: LevelTables = field(default_factory=LevelTables)
    filters: list[Table] = field(default_factory=fresh_filter_tables)
    weighting: list[Table] = field(default_factory=fresh_weighting_tables)
    flat: list[Table] = field(default_factory=fresh_flat_tables)

    def all(self) -> list[Table]:
        """Every table, in a fixed order."""
        rows = [
            *(motion.all() for motion in self.motion),
            self.skip.all(),
            self.sizes.all(),
            *(latents.all() for latents in self.latents),
            *self.hyper,
            self.levels.all(),
            self.filters,
            self.weighting,
            self.flat,
        ]
        return [table for row in rows for table in row]


def classify(scale: Tensor, thresholds: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Class 0...CLASSES-1 of every log-scale; integers in, integers out."""
    edges = torch.from_numpy(thresholds).to(scale.device, torch.float32)
    return torch.bucketize(scale, edges, right=True, out_int32=True).to(torch.uint8).cpu().numpy()


def cheap_hyper(proposal: npt.NDArray[np.float32], bits: npt.NDArray[np.float64]) -> Symbols:
    """The one of the two integers next to a proposal, and zero, that is best by distance and rate.

    Args:
        proposal: within +-HYPER_MAX, [n, h, w].
        bits: what each integer from -HYPER_MAX to HYPER_MAX costs, [n, 2 HYPER_MAX + 1].
    """
    below = np.floor(proposal).astype(np.int64)
    options = np.stack([below, np.minimum(below + 1, HYPER_MAX), np.zeros_like(below)])
    price = HYPER_PRICE * bits[np.arange(len(bits))[:, None, None], options + HYPER_MAX]
    best = ((options - proposal) ** 2 + price).argmin(0)
    return np.asarray(np.take_along_axis(options, best[None], 0)[0])


class SymbolCoder:
    """Codes the latents of a batch of pictures, one range coder and one set of tables for each.

    Args:
        coders: one per picture of the batch.
        tables: likewise.
        rate_weights: what a bit counts in each band when indices are chosen, in squared steps.
        observer: called with kind (0 intra, 1 predicted), class and residuals (in steps) of everything that is coded.

    Attributes:
        hyper_end: for each picture, how many bits there are up to the end of the hyper-latent; only when writing.
        lost: for each picture, of latents that are taken for nothing although they are large: numbers of their blocks
            and what they are, in steps; only when writing.
    """

    def __init__(
        self,
        quantisers: Sequence[Quantiser],
        coders: Sequence[Coder],
        tables: Sequence[GroupTables],
        intra: bool,
        observer: Observer | None = None,
        rate_weights: Sequence[float] = (RATE_WEIGHT,) * len(BANDS),
    ) -> None:
        self.observer = observer
        self.rate_weights = rate_weights
        self.kind = 0 if intra else 1
        self.quantiser = quantisers[self.kind]
        self.coders, self.tables = coders, tables
        self.thresholds = class_thresholds(LOG_STEP)
        self._classes = classify(torch.arange(-SCALE_MAX, SCALE_MAX + 1.0), self.thresholds)
        self.hyper_end = [coder.bits for coder in coders]
        self.lost: list[list[tuple[Tensor, Tensor]]] = [[] for _ in coders]

    def hyper(self, proposal: Tensor | None, mask: Tensor) -> Tensor:
        """See :class:`lvc.model.codec.LatentCoder`."""
        wanted = None if proposal is None else self._wanted_hyper(proposal)
        coded = mask.cpu().numpy()[:, 0] == 1
        found = np.zeros((len(coded), HYPER_CHANNELS, *coded.shape[1:]), dtype=np.int64)
        for index, (coder, tables) in enumerate(zip(self.coders, self.tables, strict=True)):
            for channel in range(HYPER_CHANNELS):
                at = coded[index]
                given = None if wanted is None else wanted[index, channel][at] + HYPER_MAX
                symbols = coder.code(tables.hyper[self.kind][channel], given, int(at.sum()))
                found[index, channel][at] = symbols - HYPER_MAX
            self.hyper_end[index] = coder.bits
        return torch.from_numpy(found).float().to(mask.device)

    def _wanted_hyper(self, proposal: Tensor) -> Symbols:
        """Integers near a proposal, cheap ones rather where there are references."""
        if self.kind == 0:
            return np.asarray(hyper_limit(proposal).long().cpu().numpy())
        values = proposal.cpu().numpy()
        chosen = [
            cheap_hyper(value, np.stack([table.bits for table in tables.hyper[self.kind]]))
            for value, tables in zip(values, self.tables, strict=True)
        ]
        return np.stack(chosen)

    def residual(self, wanted: Tensor | None, scale: Tensor, mask: Tensor, band: int) -> Tensor:
        """See :class:`lvc.model.codec.LatentCoder`."""
        result = np.zeros((scale.shape[0], scale[0].numel()), dtype=np.float32)
        masks = mask.expand(len(scale), -1, -1, -1).cpu().numpy()
        for index, (coder, tables) in enumerate(zip(self.coders, self.tables, strict=True)):
            order, ends = self._sorted(scale[index], masks[index])
            residual = None
            if wanted is not None:
                residual = _taken(wanted[index], order)
                self._note_lost(index, wanted[index], scale[index], masks[index])
            latent_tables, values = tables.latents[self.kind], np.empty(len(order), np.float32)
            for cls in range(1, CLASSES):
                first, last = int(ends[cls - 1]), int(ends[cls])
                if last == first:
                    continue
                part = None if residual is None else residual[first:last]
                if self.observer is not None and part is not None:
                    self.observer(self.kind, cls, torch.as_tensor(part))
                book, table = self.quantiser.books[cls - 1], latent_tables.index[cls - 1]
                escape, weight = latent_tables.escape, self.rate_weights[band]
                values[first:last] = code_class(coder, book, table, escape, part, last - first, weight)
            result[index, order] = values
        return torch.from_numpy(result).view(scale.shape).to(scale.device)

    def _sorted(self, scale: Tensor, mask: Floats) -> tuple[Symbols, Symbols]:
        """Numbers of the latents of one picture by their classes from 1 on, and where those of each class end.

        Args:
            scale: [n, h, w].
            mask: [1, h, w].
        """
        order, ends = np.empty(scale.numel(), np.int64), np.zeros(CLASSES, np.int64)
        kernels.sort(_rows(scale), mask.ravel(), self._classes, -SCALE_MAX, order, ends)
        return order[: ends[-1]], ends

    def _note_lost(self, index: int, wanted: Tensor, scale: Tensor, mask: Floats) -> None:
        """Keep the large ones among the latents of one picture that are in class 0.

        Args:
            wanted, scale: [n, h, w].
            mask: [1, h, w].
        """
        found = kernels.lost(_rows(wanted), _rows(scale), mask.ravel(), LARGE, float(self.thresholds[0]))
        block, value = (torch.from_numpy(each).to(wanted.device) for each in found)
        self.lost[index].append((block, value))


def _rows(planes: Tensor) -> Floats:
    """Planes [n, h, w] as [n, h w]."""
    found: Floats = planes.cpu().contiguous().numpy()
    return found.reshape(len(found), -1)


def _taken(wanted: Tensor, order: Symbols) -> Tensor | Floats:
    """Some latents of one picture [n, h, w], given by their numbers."""
    flat = wanted.reshape(-1)
    return flat.numpy()[order] if is_compiled(flat) else flat[torch.from_numpy(order).to(flat.device)]
