"""Codebooks in the training loop: the real quantiser in front of the networks, learning as they learn.

Forward, every vector becomes the entry that the encoder would choose. Backward, the gradient goes straight through
where something is sent, a commitment term draws the analysis towards the entries, and the rate's gradient is that of
the logistic model while its value is that of the tables. Entries follow a moving average of what they stand for;
entries that nothing uses are restarted on vectors that were badly served (van den Oord et al. 2017, appendix A;
Dhariwal et al. 2020, section 3.1).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvc.model.codebook import (
    CLASSES,
    COUNT_TOTAL,
    UNIT,
    Codebook,
    Quantiser,
    choose,
    class_thresholds,
)
from lvc.model.entropy import classify
from lvc.model.networks import LOG_STEP
from lvc.model.passes import RESIDUAL_UNIT
from lvc.training.rate import HyperTables, TrainingCoder, log_to_scale, logistic_bits

DECAY = 0.99
COMMITMENT = 0.02
"""Weight of squared distance to the entry (in steps), against bits."""
DEAD_BELOW = 0.02
"""Moving count, of one in a step, under which an entry is restarted."""
REBUILD_EVERY = 20


@dataclass
class _Entry:
    """Moving averages of one codebook: how often each entry is used, and the sum of what it stood for."""

    count: Tensor
    total: Tensor
    badly_served: Tensor | None = None


class CodebookLearner:
    """The codebooks of both kinds of pictures while they learn."""

    def __init__(self, quantisers: list[Quantiser]) -> None:
        self.books = [list(quantiser.books) for quantiser in quantisers]
        self._averages = [[self._average(book) for book in books] for books in self.books]
        self._bits = [[self._cost(book) for book in books] for books in self.books]
        self.step = 0

    @staticmethod
    def _average(book: Codebook) -> _Entry:
        count = torch.from_numpy(book.counts[:-1]).float() / COUNT_TOTAL * 100
        return _Entry(count, count[:, None] * torch.from_numpy(book.entries).float() / UNIT)

    @staticmethod
    def _cost(book: Codebook) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        bits: np.ndarray[tuple[int], np.dtype[np.float64]] = -np.log2(book.counts / book.counts.sum())
        return bits

    def quantise(self, kind: int, cls: int, residuals: Tensor) -> tuple[Tensor, Tensor]:
        """Values [n] in steps and bits [n] of residuals [n] of one class; the averages take note."""
        book, bits = self.books[kind][cls - 1], self._bits[kind][cls - 1]
        d, n = book.dimension, len(residuals)
        vectors = torch.nn.functional.pad(residuals, (0, -n % d)).view(-1, d)
        index = torch.from_numpy(choose(book, bits, vectors))
        escaped = index == len(book.entries)
        entries = torch.from_numpy(book.entries).float() / UNIT
        values = entries[index.clamp_max(len(entries) - 1)].to(vectors.device)
        if book.low:
            values = vectors.round()
        values = torch.where(escaped[:, None].to(vectors.device), vectors.round(), values)
        cost = torch.from_numpy(bits).float()[index]
        cost = cost + torch.where(escaped, (2 * torch.log2(vectors.abs().cpu() + 1) + 2).sum(1), float(book.low))
        if not book.low:
            self._note(kind, cls, vectors.cpu(), index, escaped, entries)
        share = (cost / d).to(vectors.device)[:, None].expand(-1, d)
        return values.reshape(-1)[:n], share.reshape(-1)[:n]

    def _note(self, kind: int, cls: int, vectors: Tensor, index: Tensor, escaped: Tensor, entries: Tensor) -> None:
        average = self._averages[kind][cls - 1]
        kept, at = vectors[~escaped], index[~escaped]
        average.count = average.count * DECAY + torch.bincount(at, minlength=len(entries)).float()
        average.total = (average.total * DECAY).index_add_(0, at, kept)
        if len(kept):
            worst = (kept - entries[at]).square().sum(1).argmax()
            average.badly_served = kept[worst]

    def advance(self) -> None:
        """After each training step: now and then turn the averages into codebooks."""
        self.step += 1
        if self.step % REBUILD_EVERY:
            return
        for kind, books in enumerate(self.books):
            for i, book in enumerate(books):
                if not book.low:
                    books[i] = self._rebuild(book, self._averages[kind][i])
                    self._bits[kind][i] = self._cost(books[i])

    @staticmethod
    def _rebuild(book: Codebook, average: _Entry) -> Codebook:
        old = torch.from_numpy(book.entries).float() / UNIT
        entries = (average.total + old) / (average.count[:, None] + 1)
        dead = torch.nonzero(average.count < DEAD_BELOW)[:1, 0]
        if len(dead) and average.badly_served is not None:
            entries[dead] = average.badly_served
            average.count[dead], average.total[dead] = 1.0, average.badly_served
        if book.dimension == 1:  # scalar searches need sorted entries
            order = entries[:, 0].argsort()
            entries, average.count, average.total = entries[order], average.count[order], average.total[order]
        share = average.count / average.count.sum().clamp_min(1e-6) * (COUNT_TOTAL - float(book.counts[-1]))
        counts = np.concatenate([np.maximum(share.round().numpy(), 1), book.counts[-1:]]).astype(np.int64)
        return Codebook((entries * UNIT).round().long().numpy(), counts, book.low)

    def state(self) -> dict[str, Any]:
        """What :meth:`quantisers` does not tell, for a checkpoint: steps, and averages of each kind and class."""
        averages = [[(a.count, a.total, a.badly_served) for a in kind] for kind in self._averages]
        return {"step": self.step, "averages": averages}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave, with the same codebooks.

        Raises:
            ValueError: the averages are not those of these codebooks.
        """
        self.step = int(state["step"])
        for mine, theirs in zip(self._averages, state["averages"], strict=True):
            for average, (count, total, badly_served) in zip(mine, theirs, strict=True):
                shapes = (average.count.shape, average.total.shape)
                if (count.shape, total.shape) != shapes or (
                    badly_served is not None and badly_served.shape != total[0].shape
                ):
                    raise ValueError("averages of other codebooks")
                average.count, average.total, average.badly_served = count, total, badly_served

    def quantisers(self) -> list[Quantiser]:
        """As the codec uses them."""
        return [Quantiser(list(books)) for books in self.books]


class VectorCoder(TrainingCoder):
    """A :class:`~lvc.training.rate.TrainingCoder` with codebooks instead of rounding."""

    def __init__(self, learner: CodebookLearner, tables: HyperTables, batch: int, device: torch.device) -> None:
        super().__init__(tables, batch, device)
        self.learner = learner
        self._thresholds = class_thresholds(LOG_STEP)

    def residual(self, wanted: Tensor | None, scale: Tensor, mask: Tensor, band: int) -> Tensor:
        """See :class:`lvc.model.codec.LatentCoder`."""
        if wanted is None:
            raise ValueError("training always has a source picture")
        with torch.no_grad():
            classes = torch.from_numpy(classify(scale.round(), self._thresholds)).to(scale.device)
            classes = torch.where(mask.bool(), classes, torch.zeros_like(classes)).flatten()
            source = wanted.flatten()
            index, bits = torch.zeros_like(source), torch.zeros_like(source)
            order = torch.argsort(classes, stable=True)
            ends = torch.bincount(classes.long(), minlength=CLASSES).cumsum(0).tolist()
            for cls in range(1, CLASSES):
                at = order[ends[cls - 1] : ends[cls]]
                if len(at):
                    index[at], bits[at] = self.learner.quantise(self.kind, cls, source[at])
            index, bits = index.view_as(wanted), bits.view_as(wanted)
        through = torch.where(index == 0, 0.0, wanted)
        value = through + (index - through).detach()
        rate = logistic_bits(value, log_to_scale(scale)) * mask
        rate = rate + (bits - rate).detach()
        commitment = COMMITMENT * (through - index).square() * mask
        self.bits = self.bits + (rate + commitment - commitment.detach()).sum((1, 2, 3))
        return value * mask * RESIDUAL_UNIT
