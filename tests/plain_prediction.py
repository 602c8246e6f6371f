"""*Prediction* of `lvc/FORMAT.md`, from that page alone."""

from typing import NamedTuple

import numpy as np

from tests.plain_format import Ints, weighted
from tests.plain_group import PlainPicture
from tests.plain_networks import rounded

LUMA_SHARP = ((0, 0, 0, 64, 0, 0, 0, 0), (-1, 4, -10, 58, 17, -5, 1, 0), (-1, 4, -11, 40, 40, -11, 4, -1))
LUMA_SMOOTH = ((0, 64, 0, 0), (-4, 54, 16, -2), (-4, 36, 36, -4))
CHROMA_SHARP = ((0, 64, 0, 0), (-1, 57, 9, -1), (-2, 51, 17, -2), (-3, 44, 26, -3), (-3, 35, 35, -3))
CHROMA_SMOOTH = ((64, 0), (56, 8), (48, 16), (40, 24), (32, 32))
LUMA_WEIGHTS = (16, 12, 8, 6, 4, 3, 2, 1)
CHROMA_WEIGHTS = (20, 15, 11, 8)


class PlainDecoded(NamedTuple):
    """What a picture leaves for others: planes Y, U, V [H, W] with 10 bits, state at 1/8 resolution, magnitudes at
    1/16 resolution, and its quality map, if it has one.
    """

    planes: list[Ints]
    state: Ints
    magnitudes: Ints
    levels: list[list[int]] | None


class PlainPrediction(NamedTuple):
    """What a picture is predicted from; `apart` is the difference of two references."""

    planes: list[Ints]
    state: Ints
    magnitudes: Ints
    apart: list[Ints] | None


def filters_of(half: tuple[tuple[int, ...], ...]) -> Ints:
    """Filters of all positions [parts, taps], given those up to the half."""
    mirrored = [row[::-1] for row in half[-2:0:-1]]
    return np.array([*half, *mirrored])


def bilinear(parts: int) -> Ints:
    return np.array([(parts - part, part) for part in range(parts)])


def interpolated(planes: Ints, vectors: Ints, filters: Ints) -> Ints:
    """Planes [… H, W] at the places that vectors [H, W, 2] point at, in parts of a sample."""
    rows, cols = planes.shape[-2:]
    parts, taps = filters.shape
    whole, part = np.divmod(vectors, parts)
    first = 1 - taps // 2
    ys = [np.clip(np.arange(rows)[:, None] + whole[..., 0] + first + i, 0, rows - 1) for i in range(taps)]
    xs = [np.clip(np.arange(cols) + whole[..., 1] + first + j, 0, cols - 1) for j in range(taps)]
    vertical, horizontal = np.moveaxis(filters[part], (2, 3), (0, 1))  # a plane for each tap
    total = np.zeros(planes.shape, np.int64)
    for i in range(taps):
        for j in range(taps):
            total += vertical[i] * horizontal[j] * planes[..., ys[i], xs[j]]
    return rounded(total / int(filters[0].sum()) ** 2)


def spread(values: Ints, size: int) -> Ints:
    """Each value of a block for each of its size x size positions."""
    return values.repeat(size, 0).repeat(size, 1)


def overlapped(plane: Ints, field: Ints, used: Ints, filters: Ints, weights: tuple[int, ...]) -> Ints:
    """A plane by the vectors of its blocks, of as many samples as weights, that overlap where they are used."""
    size = len(weights)

    def predicted(vectors: Ints) -> Ints:
        return np.clip(interpolated(plane, spread(vectors, size), filters), 0, 1023)

    own = predicted(field)
    total = 64 * own
    for axis in (0, 1):
        for step in (1, -1):  # the neighbour above or left, below or right
            neighbour = np.roll(used, step, axis)
            edge = 0 if step == 1 else -1
            neighbour[(slice(None),) * axis + (edge,)] = 0
            vectors = np.roll(field, step, axis)
            both = used * neighbour
            if not (both[..., None] * (vectors - field)).any():
                continue  # the same vectors predict the same samples
            fading = np.tile(weights[::step], used.shape[axis])
            weight = fading[:, None] if axis == 0 else fading
            total += spread(both, size) * weight * (predicted(vectors) - own)
    return rounded(total / 64)


def from_reference(
    reference: PlainDecoded, field: Ints, used: Ints, weight: tuple[int, ...], smooth: bool
) -> PlainPrediction:
    """What one reference predicts, by its motion field [R, S, 2] of the 8x8 blocks."""
    luma = filters_of(LUMA_SMOOTH if smooth else LUMA_SHARP)
    chroma = filters_of(CHROMA_SMOOTH if smooth else CHROMA_SHARP)
    planes = []
    for which, plane in enumerate(reference.planes):
        filters, fading = (chroma, CHROMA_WEIGHTS) if which else (luma, LUMA_WEIGHTS)
        planes.append(overlapped(weighted(plane, which, weight), field, used, filters, fading))
    state = interpolated(reference.state, field, bilinear(32))
    coarse = (field[::2, ::2] + field[1::2, ::2] + field[::2, 1::2] + field[1::2, 1::2] + 2) >> 2
    return PlainPrediction(planes, state, interpolated(reference.magnitudes, coarse, bilinear(64)), None)


def from_nothing(start_state: Ints, rows: int, cols: int) -> PlainPrediction:
    """What intra pictures of so many 16x16 blocks are predicted from."""
    planes = [np.full((16 * rows, 16 * cols), 512), *[np.full((8 * rows, 8 * cols), 512)] * 2]
    state = np.clip(start_state, -2047, 2047)[:, None, None].repeat(2 * rows, 1).repeat(2 * cols, 2)
    return PlainPrediction(planes, state, np.zeros((384, rows, cols), np.int64), None)


def predicted(picture: PlainPicture, references: list[PlainDecoded], nothing: PlainPrediction) -> PlainPrediction:
    """What a picture is predicted from, by the modes of its 16x16 blocks."""
    if picture.modes is None:
        return nothing
    modes = picture.modes
    found = []
    for number, reference in enumerate(references):
        used = spread(((modes == number) | (modes == 2)).astype(np.int64), 2)
        found.append(
            from_reference(reference, picture.fields[number], used, picture.weights[number], picture.smooth),
        )
    first, second = found[0], found[-1]

    def mixed(one: Ints, two: Ints, none: Ints) -> Ints:
        at = spread(modes, one.shape[-1] // modes.shape[1])
        return np.select([at == 0, at == 1, at == 2], [one, two, rounded((one + two) / 2)], none)

    planes = [mixed(*each) for each in zip(first.planes, second.planes, nothing.planes, strict=True)]
    apart = None
    if len(references) == 2:
        both = [spread((modes == 2).astype(np.int64), plane.shape[1] // modes.shape[1]) for plane in planes]
        apart = [where * (one - two) for where, one, two in zip(both, first.planes, second.planes, strict=True)]
    return PlainPrediction(
        planes,
        mixed(first.state, second.state, nothing.state),
        mixed(first.magnitudes, second.magnitudes, nothing.magnitudes),
        apart,
    )
