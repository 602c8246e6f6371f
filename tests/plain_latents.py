"""*Hyper-latent* and *Latents* of `lvc/FORMAT.md`, from that page alone."""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tests.plain_files import PlainModelFile
from tests.plain_format import Ints, PlainDecoder, PlainTables
from tests.plain_networks import PlainNetworks, clamp, rounded

THRESHOLDS = (
    *(-1011, -928, -864, -800, -736, -672, -608, -544, -480, -416, -320, -192, -64),
    *(64, 192, 320, 448, 576, 704, 832, 960, 1088, 1216, 1344, 1472, 1600),
)
ESCAPE = 26
"""Number of the escape table; those of the classes come before it, those of the hyper-latent after it."""
ESCAPE_COUNTS = (400, 240, 144, 86, 51, 31, 18, 11, 6, 4, *[2] * 8)
BANDS = (24, 72, 288)
PASSES = {
    "inter": ((0, 0), (0, 1), (1, 0), (1, 1), (2, None)),
    "intra": ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)),
}
"""Band of each pass, and whether y + x of its positions is even (0) or odd (1)."""

Flags = npt.NDArray[np.bool_]


@functools.cache
def order() -> tuple[Ints, Flags]:
    """The 384 latents in the order of the page: each one's place in the plain order, and which are of chroma.

    Plain order is 256 of luma, 16 v + h, then 64 of each chroma plane, 8 v + h.
    """
    places = []
    for luma, chroma in (((0, 4), (0, 2)), ((4, 8), (2, 4)), ((8, 16), (4, 8))):
        for first, side, (start, stop) in ((0, 16, luma), (256, 8, chroma), (320, 8, chroma)):
            band = [(v, h) for v in range(stop) for h in range(stop) if v >= start or h >= start]
            band.sort(key=lambda at: (at[0] + at[1], at[0]))
            places += [first + side * v + h for v, h in band]
    found = np.array(places)
    return found, found >= 256


class PlainBlocks(NamedTuple):
    """What holds for the positions of a picture at 1/16 resolution: whether they are skipped, transform sizes (3 for
    wide ones), qualities, and the quantisation steps of all latents [384, H / 16, W / 16].
    """

    skipped: Flags
    sizes: Ints
    quality: Ints
    steps: Ints


class PlainLatents(PlainTables):
    """Reads hyper-latents and latents of one kind, `intra` or `inter`."""

    increment = 20

    def __init__(self, model: PlainModelFile, networks: PlainNetworks, kind: str) -> None:
        arrays = model.arrays
        books = [f"{kind}.book{number}" for number in range(26)]
        counts = [*(arrays[f"{book}.counts"] for book in books), np.array(ESCAPE_COUNTS), *arrays[f"{kind}.hyper"]]
        super().__init__([np.clip(each, 1, 1 << 20) for each in counts])
        self._entries = [arrays[f"{book}.entries"] for book in books]
        self._low = [int(arrays[f"{book}.low"][0]) for book in books]
        self._networks, self._kind = networks, kind

    def _symbols(self, number: int, count: int) -> list[int]:
        """*Range coder*: as many symbols of a table, whose starts numpy finds quickly and in the order of the page."""
        if not count:
            return []
        counts = np.array(self.counts[number])
        shares = np.cumsum(counts / counts.sum())
        before = np.concatenate([[0], shares[:-1]])
        starts = np.floor(before * ((2**24 - len(counts)) / shares[-1])).astype(np.int64) + np.arange(len(counts))
        edges = [*starts.tolist(), 2**24]
        found = [self.coder.symbol(edges) for _ in range(count)]
        self.seen[number] += found
        return found

    def read_hyper(self, coder: PlainDecoder, skipped: Flags) -> Ints:
        """*Hyper-latent*, given the skip map at 1/16 resolution."""
        self.coder = coder
        rows, cols = skipped.shape
        sent = ~skipped.reshape(rows // 2, 2, cols // 2, 2).all((1, 3))
        found = np.zeros((8, rows // 2, cols // 2), np.int64)
        for channel in range(8):
            found[channel, sent] = np.array(self._symbols(ESCAPE + 1 + channel, int(sent.sum()))) - 15
        return found

    def read(
        self, coder: PlainDecoder, context: Ints | None, hyper: Ints, blocks: PlainBlocks, flat_chroma: bool
    ) -> Ints:
        """*Latents*: z in the order of :func:`order`, given g of the context, if any, and the hyper-latent."""
        self.coder = coder
        networks, kind, quality = self._networks, self._kind, blocks.quality
        rows, cols = quality.shape
        parity = np.add.outer(np.arange(rows), np.arange(cols)) % 2
        t = 128 * np.array([blocks.sizes == 1, blocks.sizes >= 2])
        joined = [networks.hyper(kind, hyper), t]
        f = networks.prior_enter(kind, np.concatenate(joined if context is None else [context, *joined]), quality)
        units = np.repeat([32, 16, 8], BANDS)
        units[0] = 64
        chroma = order()[1]
        residual, mean, z = np.zeros((3, 384, rows, cols), np.int64)
        passes = PASSES[kind]
        for number, (band, half) in enumerate(passes):
            first = sum(BANDS[:band])
            mine = slice(first, first + BANDS[band])
            here = ~blocks.skipped if half is None else ~blocks.skipped & (parity == half)
            out = networks.conv(f"{kind}.prior.out.{number}", np.concatenate([f, t]), quality)
            means, scales = np.split(out, 2)
            scales = np.where(blocks.sizes == 3, np.maximum(scales, -512), scales)
            classes = np.searchsorted(THRESHOLDS, scales, "right") * here
            if flat_chroma:
                classes[chroma[mine]] = 0
            residual[mine] += self._residuals(classes)
            mean[mine] += means * here
            # where nothing is known yet, mean and residual are 0, and so is z
            product = residual[mine].astype(np.float32) * blocks.steps[mine].astype(np.float32)
            unit = units[mine, None, None]
            sums = unit * mean[mine] + rounded(product.astype(np.float64) / 64)
            z[mine] = np.clip(sums, -(1 << 18), 1 << 18)
            if number + 1 < len(passes):
                known = [clamp(residual[mine]), mean[mine], clamp(rounded(z[mine] / unit))]
                f = networks.prior_embed(kind, number, f, np.concatenate(known))
        return z

    def _residuals(self, classes: Ints) -> Ints:
        """*Latents*, step 3: residuals in 1/64 step of latents of classes [n, rows, columns], 0 where there is none."""
        found = np.zeros(classes.shape, np.int64)
        for number in range(1, 27):
            mine = classes == number
            if mine.any():
                found[mine] = self._of_class(number - 1, int(mine.sum()))
        return found

    def _of_class(self, book: int, count: int) -> Ints:
        """So many residuals of the class that this book is of, in 1/64 step."""
        entries = self._entries[book]
        size, dimension = entries.shape
        symbols = np.array(self._symbols(book, -(-count // dimension)))
        escaped = symbols == size
        vectors = entries[np.where(escaped, 0, symbols)]
        if self._low[book]:
            low = np.array(raw_numbers(self.coder, int((~escaped).sum()), self._low[book]), np.int64)
            vectors[~escaped, 0] += 64 * low
        if escaped.any():
            vectors[escaped] = 64 * self._escaped(int(escaped.sum()) * dimension).reshape(-1, dimension)
        flat: Ints = vectors.reshape(-1)[:count]
        return flat

    def _escaped(self, count: int) -> Ints:
        """So many components of escaped vectors, in steps."""
        lengths = np.array(self._symbols(ESCAPE, count))
        values = np.zeros(count, np.int64)
        for length in sorted(set(lengths[lengths > 0].tolist())):
            such = lengths == length
            raw = np.array(raw_numbers(self.coder, int(such.sum()), length + 1), np.int64)
            magnitudes = (1 << length) + (raw >> 1) - 1
            values[such] = np.where(raw % 2, -magnitudes, magnitudes)
        return values


@functools.cache
def equal_starts(width: int) -> list[int]:
    """Where the intervals of raw numbers of up to 16 bits begin."""
    return [k << (24 - width) for k in range((1 << width) + 1)]


def raw_numbers(coder: PlainDecoder, count: int, width: int) -> list[int]:
    """*Range coder*, raw bits: numbers of one width as one run, the low 16 bits of all first."""
    found = [0] * count
    for shift in range(0, width, 16):
        starts = equal_starts(min(16, width - shift))
        found = [number | coder.symbol(starts) << shift for number in found]
    return found
