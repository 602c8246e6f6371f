"""Side by side: the same part of the same frame from the source, lvc and the peers, at matched rate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from lvc.bench.cache import Cache, Row
from lvc.bench.clips import Clip
from lvc.bench.codecs import CodecSpec
from lvc.bench.measure import Conditions, peer_settings
from lvc.bench.metrics import frame_quality
from lvc.bench.ours import OurStream
from lvc.bench.png import Pixels, to_rgb
from lvc.errors import InputError, LvcError
from lvc.media import peers
from lvc.video import Plane

CROP_WIDTH, CROP_HEIGHT = 288, 216
_GRID = 16
MATCHED = 0.05
"""Relative difference of two rates that counts as matched; the search stops there."""
_TRIES = 5


@dataclass(frozen=True)
class Crop:
    """One picture of a row.

    Attributes:
        name: ``source`` or the name of a codec.
        note: rate of the whole clip and PSNR of this frame.
        pixels: RGB [height, width, 3].
    """

    name: str
    note: str
    pixels: Pixels


@dataclass(frozen=True)
class CropRow:
    """One clip.

    Attributes:
        clip: its name.
        frame: number of the frame, from 0.
        place: left, top, width and height in luma samples.
        failures: one sentence for each codec that is left out.
    """

    clip: str
    frame: int
    place: tuple[int, int, int, int]
    crops: list[Crop]
    failures: list[str] = field(default_factory=list)


def make_crops(
    clip: Clip,
    specs: Sequence[CodecSpec],
    rows: Sequence[Row],
    conditions: Conditions,
    cache: Cache,
    frame: int | None = None,
) -> CropRow:
    """Crops of one clip: the middle point of the first codec sets the rate, the others are run again to meet it.

    The part shown is where the codecs together lose most against the source, so that no one is flattered.

    Args:
        specs: codecs, the one that sets the rate first.
        rows: finished rows of this clip.
        frame: number of the frame; the middle one where None, the last one where there are fewer.

    Raises:
        LvcError: the clip or every codec fails, or the first codec has no rows.
    """
    first = sorted((row for row in rows if row["codec"] == specs[0].name), key=lambda row: float(row["bpp"]))
    if not first:
        raise InputError(f"{clip.name}: {specs[0].name} has no result to match")
    target = first[(len(first) - 1) // 2]
    number = min(target["frames"] // 2 if frame is None else frame, target["frames"] - 1)
    source = next(islice(clip.read(), number, None)).planes
    pictures: list[tuple[str, int, Sequence[Plane]]] = []
    failures: list[str] = []
    for spec in specs:
        own = [row for row in rows if row["codec"] == spec.name]
        if not own:
            continue
        try:
            size, picture = _matched(clip, spec, own, conditions, cache, target["bytes"], number)
            if picture is None:
                raise LvcError(f"there is no frame {number}")
        except LvcError as error:
            failures.append(f"no crop of {spec.name}: {error}")
        else:
            pictures.append((spec.name, size, picture))
    if not pictures:
        raise LvcError("; ".join(failures))
    info = clip.info
    left, top = _worst_place(source[0], [planes[0] for _, _, planes in pictures])
    samples = target["frames"] * info.width * info.height
    place = (left, top, CROP_WIDTH, CROP_HEIGHT)
    crops = [Crop("source", f"frame {number}", to_rgb(source, info, *place))]
    for name, size, planes in pictures:
        decibels = frame_quality(source, planes, info.bit_depth, with_ms_ssim=False).psnr_611
        note = f"{size * 8 / samples:.4f} bit per pixel, {decibels:.2f} dB"
        crops.append(Crop(name, note, to_rgb(planes, info, *place)))
    return CropRow(clip.name, number, place, crops, failures)


def _matched(
    clip: Clip, spec: CodecSpec, rows: Sequence[Row], conditions: Conditions, cache: Cache, target: int, number: int
) -> tuple[int, Sequence[Plane] | None]:
    """Bytes of the run of a codec that is nearest to so many bytes, and one of its pictures, None if it has no such."""
    if not spec.is_ours:
        stream = _matched_peer(clip, spec, rows, conditions, target)
        return stream.size, next(islice(peers.decode(stream), number, None), None)
    nearest = min(rows, key=lambda row: abs(float(np.log(row["bytes"] / target))))
    picture: Sequence[Plane] | None = cache.kept_picture(nearest["key"], number)
    if picture is None:
        picture = next(islice(_our_pictures(clip, spec, nearest, conditions, cache), number, None), None)
    return nearest["bytes"], picture


def _our_pictures(
    clip: Clip, spec: CodecSpec, row: Row, conditions: Conditions, cache: Cache
) -> Iterator[Sequence[Plane]]:
    data = cache.kept(row["key"])
    if data is None:
        return OurStream.encode(
            clip, spec, row["point"], conditions.threads, conditions.one_intra, conditions.device
        ).decode()
    return OurStream(data, spec.model, conditions.threads, conditions.device).decode()


def _matched_peer(
    clip: Clip, spec: CodecSpec, rows: Sequence[Row], conditions: Conditions, target: int
) -> peers.PeerStream:
    """A run whose size is within ``MATCHED`` of the target, or the nearest of a few tries."""
    known = {float(row["point"]): float(np.log(row["bytes"] / target)) for row in rows}
    best: peers.PeerStream | None = None
    whole = peers.CODECS[spec.codec].whole
    for _ in range(_TRIES):
        point = _guess(known, peers.CODECS[spec.codec].highest_rate)
        point = float(round(point)) if whole else round(point, 2)
        stream = peers.encode(peer_settings(spec, point, conditions), clip.info, clip.read())
        if best is None or abs(np.log(stream.size / target)) < abs(np.log(best.size / target)):
            best = stream
        repeated = point in known and best is stream
        known[point] = float(np.log(stream.size / target))
        if repeated or abs(stream.size / target - 1) <= MATCHED:
            break
    if best is None:
        raise LvcError(f"{clip.name}: {spec.name} was not run")
    return best


def _guess(known: dict[float, float], highest: float) -> float:
    """Where log-rate over rate factor crosses 0, on the line through the two nearest points."""
    if len(known) == 1:
        (point, log), *_ = known.items()
        return min(highest, max(0.0, point + 8 * log))
    (x1, y1), (x2, y2) = sorted(known.items(), key=lambda item: abs(item[1]))[:2]
    # Six more steps of the rate factor about halve the rate, where the two points do not say.
    slope = (y2 - y1) / (x2 - x1) if y1 != y2 else -0.12
    return min(highest, max(0.0, x1 - y1 / slope))


def _worst_place(source: Plane, decoded: Sequence[Plane]) -> tuple[int, int]:
    """Left and top, multiples of 16, of the crop with the largest sum of squared errors over all codecs."""
    error = sum((np.square(source.astype(np.float64) - plane) for plane in decoded), np.zeros(source.shape, np.float64))
    total = _sums(error)
    rows = range(0, max(1, source.shape[0] - CROP_HEIGHT + 1), _GRID)
    columns = range(0, max(1, source.shape[1] - CROP_WIDTH + 1), _GRID)
    places = [(left, top) for top in rows for left in columns]

    def loss(place: tuple[int, int]) -> float:
        left, top = place
        bottom, right = min(top + CROP_HEIGHT, source.shape[0]), min(left + CROP_WIDTH, source.shape[1])
        return float(total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left])

    return max(places, key=loss)


def _sums(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over all rectangles from the corner: [H, W] to [H + 1, W + 1]."""
    return np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
