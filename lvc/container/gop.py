"""The payload of a GOP chunk: a table of frames with its own checksum, then the coded frames themselves."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from lvc.container import limits
from lvc.container.fields import Cursor, put_signed, put_varint
from lvc.errors import FormatError, LimitError

INTRA, PREDICTED, BETWEEN = 0, 1, 2
"""Coded alone; predicted from the anchor (the last frame that is not between) before; from frames before and behind."""
HIGHEST_KIND = BETWEEN
"""Kinds above this one are reserved: two bits hold them."""

PREAMBLE_BYTES = 64
"""Enough of a GOP's payload for :func:`unpack_preamble`."""

_KIND_MASK = 0b11
_OWN_PTS = 1 << 2
_OWN_DURATION = 1 << 3
_QUALITY_SHIFT = 4
_OWN_QUALITY = 15
_HAS_LEVELS = 1 << 7
"""Added to a quality."""
_LEAST_FRAME_BYTES = 4
_CHECK_BYTES = 2


@dataclass(frozen=True)
class FrameRecord:
    """One coded frame.

    Attributes:
        pts: presentation time in ticks of the time base, within +-``limits.MAX_TICKS``.
        duration: in ticks, 0 where unknown.
        kind: 0 intra, 1 predicted, 2 between; 3 is reserved.
        quality: 1 to 100 for this frame.
        check: checksum of the decoded picture, see :func:`lvc.picture.checksum`.
        payload: the range coder's bytes.
        has_levels: whether there is a quality map in it.
    """

    pts: int
    duration: int
    kind: int
    quality: int
    check: int
    payload: bytes
    has_levels: bool = False


@dataclass(frozen=True)
class Gop:
    """An independently decodable group of pictures: 1 to ``limits.MAX_GOP_FRAMES`` frames, in display order.

    The first is intra; frames between follow an anchor and lead to a predicted one, no more than ``limits.MAX_BETWEEN``
    at a time; see :mod:`lvc.container.order`.

    Attributes:
        frames: in display order.
        motion_bytes, hyper_bytes: about how many bytes of their payloads belong to modes and motion, and to skip map,
            transform sizes, quality map and hyper-latent (informative; together at most all of them).
    """

    frames: tuple[FrameRecord, ...]
    motion_bytes: int = 0
    hyper_bytes: int = 0

    @property
    def payload_bytes(self) -> int:
        """Of all frames together."""
        return sum(len(frame.payload) for frame in self.frames)

    @property
    def parts(self) -> dict[str, int]:
        """The same by what they are for: motion, hyper, latents."""
        rest = self.payload_bytes - self.motion_bytes - self.hyper_bytes
        return {"motion": self.motion_bytes, "hyper": self.hyper_bytes, "latents": rest}


class Preamble(NamedTuple):
    """What a GOP's payload begins with.

    Attributes:
        first_frame: how many frames of the file come before this group.
        first_pts: presentation time of its first frame, in ticks.
        frames: how many frames it has.
    """

    first_frame: int
    first_pts: int
    frames: int


class _Clock:
    """Guesses each frame's time from those before it, the same way in writer and reader."""

    def __init__(self, pts: int, duration: int) -> None:
        self.pts = pts
        self.duration = duration
        self._step = 0

    def expected(self) -> int:
        return self.pts + (self.duration or self._step)

    def advance(self, pts: int, duration: int) -> None:
        self._step = pts - self.pts
        self.pts, self.duration = pts, duration


def pack_gop(gop: Gop, first_frame: int) -> bytes:
    """The payload of a GOP chunk; ``first_frame`` is the number of frames before it.

    Raises:
        LimitError: too many frames or bytes for one group, or a time over ``limits.MAX_TICKS``.
        ValueError: another field is outside its range, or the first frame is not intra.
    """
    frames = gop.frames
    if not 1 <= len(frames) <= limits.MAX_GOP_FRAMES:
        raise LimitError(f"a group of {len(frames)} frames: 1 to {limits.MAX_GOP_FRAMES} are possible")
    if frames[0].kind != INTRA:
        raise ValueError("the first frame of a group must be intra")
    if problem := _misplaced([frame.kind for frame in frames]):
        raise ValueError(problem)
    for frame in frames:
        if max(abs(frame.pts), frame.duration) > limits.MAX_TICKS:
            raise LimitError(f"a frame at {frame.pts} for {frame.duration} ticks, {limits.MAX_TICKS} are possible")
        if problem := _problem(frame):
            raise ValueError(problem)
    if min(gop.motion_bytes, gop.hyper_bytes) < 0 or gop.motion_bytes + gop.hyper_bytes > gop.payload_bytes:
        raise ValueError(f"{gop.motion_bytes} + {gop.hyper_bytes} bytes for motion and hyper-latent are too many")
    if any(after.pts <= before.pts for before, after in pairwise(frames)):
        raise ValueError("presentation times do not increase")
    qualities = list(dict.fromkeys(_quality_byte(frame) for frame in frames))[:_OWN_QUALITY]
    rank = {quality: i for i, quality in enumerate(qualities)}
    clock = _Clock(frames[0].pts, frames[0].duration)

    table = bytearray()
    put_varint(table, first_frame)
    put_signed(table, clock.pts)
    put_varint(table, len(frames))
    put_varint(table, clock.duration)
    table.append(len(qualities))
    table += bytes(qualities)
    put_varint(table, gop.motion_bytes)
    put_varint(table, gop.hyper_bytes)
    for i, frame in enumerate(frames):
        late = 0 if i == 0 else frame.pts - clock.expected()
        longer = frame.duration - clock.duration
        choice = rank.get(_quality_byte(frame), _OWN_QUALITY)
        flags = frame.kind | (_OWN_PTS if late else 0) | (_OWN_DURATION if longer else 0)
        table.append(flags | choice << _QUALITY_SHIFT)
        if late:
            put_signed(table, late)
        if longer:
            put_signed(table, longer)
        if choice == _OWN_QUALITY:
            table.append(_quality_byte(frame))
        clock.advance(frame.pts, frame.duration)
        put_varint(table, len(frame.payload))
        table += frame.check.to_bytes(_CHECK_BYTES, "big")
    table += zlib.crc32(table).to_bytes(4, "big")
    if (size := len(table) + gop.payload_bytes) > limits.MAX_CHUNK_BYTES:
        raise LimitError(f"a group of {size} bytes, {limits.MAX_CHUNK_BYTES} are possible: use a shorter key interval")
    return b"".join([table, *(frame.payload for frame in frames)])


def _quality_byte(frame: FrameRecord) -> int:
    return frame.quality | (_HAS_LEVELS if frame.has_levels else 0)


def unpack_preamble(data: bytes | bytearray, base: int) -> Preamble:
    """Read only the beginning of a GOP's payload, ``PREAMBLE_BYTES`` of it; ``base`` is its place in the file.

    Raises:
        FormatError: a field is outside its range.
    """
    return _preamble(Cursor(data, base, "GOP"))


def unpack_gop(data: bytes | bytearray, base: int, *, partial: bool = False) -> tuple[Preamble, Gop]:
    """Read a GOP's payload; ``base`` is its place in the file.

    Args:
        partial: the payload may be cut off after its table: give the frames that can be decoded, perhaps none.

    Raises:
        FormatError: damaged or inconsistent.
    """
    fields = Cursor(data, base, "GOP")
    preamble = _preamble(fields)
    if preamble.frames * _LEAST_FRAME_BYTES > fields.remaining and not partial:
        raise fields.error(f"{preamble.frames} frames do not fit into {fields.remaining} bytes")
    clock = _Clock(preamble.first_pts, fields.varint())
    qualities = fields.take(fields.u8())
    if not 1 <= len(qualities) <= _OWN_QUALITY:
        raise fields.error(f"{len(qualities)} qualities listed")
    if len(set(qualities)) < len(qualities) or not all(1 <= byte & ~_HAS_LEVELS <= 100 for byte in qualities):
        raise fields.error("a list of qualities with one twice, or with one that is not within 1 to 100")
    motion, hyper = fields.varint(), fields.varint()
    rows = [_row(fields, clock, qualities, i == 0) for i in range(preamble.frames)]
    if problem := _misplaced([values[2] for _, _, values in rows]):
        raise fields.error(problem)
    if motion + hyper > sum(size for size, _, _ in rows):
        raise fields.error(f"{motion} + {hyper} bytes for motion and hyper-latent, more than there are")
    table_crc = zlib.crc32(memoryview(data)[: fields.offset])
    if fields.uint(4) != table_crc:
        raise FormatError("GOP: wrong checksum of the table of frames", base)
    frames = []
    for size, has_levels, values in rows:
        if partial and size > fields.remaining:
            break
        frames.append(FrameRecord(*values, fields.take(size), has_levels))
    if not partial:
        fields.finish()
    while frames and frames[-1].kind == BETWEEN:  # cut off: what these lie between is missing
        frames.pop()
    if len(frames) < len(rows):  # how much of what is left it was is not known
        motion = hyper = 0
    return preamble, Gop(tuple(frames), motion, hyper)


def _preamble(fields: Cursor) -> Preamble:
    first_frame, first_pts, count = fields.varint(), fields.signed(), fields.varint()
    if first_frame > limits.MAX_FRAMES:
        raise fields.error(f"frame number {first_frame}")
    if abs(first_pts) > limits.MAX_TICKS:
        raise fields.error(f"presentation time {first_pts}")
    if not 1 <= count <= limits.MAX_GOP_FRAMES:
        raise fields.error(f"{count} frames, 1 to {limits.MAX_GOP_FRAMES} are possible")
    return Preamble(first_frame, first_pts, count)


def _misplaced(kinds: Sequence[int]) -> str | None:
    """What is wrong with the kinds of a group's frames, in words; None when nothing is."""
    if kinds[-1] == BETWEEN:
        return "the last frame of a group lies between two"
    run = 0
    for kind in kinds:
        if run and kind == INTRA:
            return "a frame lies between an anchor and an intra frame"
        run = run + 1 if kind == BETWEEN else 0
        if run > limits.MAX_BETWEEN:
            return f"more than {limits.MAX_BETWEEN} frames between two anchors"
    return None


_Values = tuple[int, int, int, int, int]


def _row(fields: Cursor, clock: _Clock, qualities: bytes, first: bool) -> tuple[int, bool, _Values]:
    """One row of the table of frames: payload size, whether there is a quality map, and all before the payload."""
    flags = fields.u8()
    pts = clock.pts if first else clock.expected()
    duration = clock.duration
    if flags & _OWN_PTS:
        pts += fields.signed()
    if flags & _OWN_DURATION:
        duration += fields.signed()
    choice = flags >> _QUALITY_SHIFT
    if choice == _OWN_QUALITY:
        quality = fields.u8()
    elif choice < len(qualities):
        quality = qualities[choice]
    else:
        raise fields.error(f"quality number {choice} of {len(qualities)}")
    size, check = fields.varint(), fields.uint(_CHECK_BYTES)
    has_levels, quality = bool(quality & _HAS_LEVELS), quality & ~_HAS_LEVELS
    values = (pts, duration, flags & _KIND_MASK, quality, check)
    if first and (flags & _OWN_PTS or flags & _OWN_DURATION or values[2] != INTRA):
        raise fields.error("the first frame is not intra, or its time is given twice")
    if problem := _out_of_range(values, size):
        raise fields.error(problem)
    if not first and pts <= clock.pts:
        raise fields.error(f"presentation time {pts} after {clock.pts}")
    clock.advance(pts, duration)
    return size, has_levels, values


def _problem(frame: FrameRecord) -> str | None:
    values = (frame.pts, frame.duration, frame.kind, frame.quality, frame.check)
    return _out_of_range(values, len(frame.payload))


def _out_of_range(values: _Values, size: int) -> str | None:
    """The first field of a frame outside its range, in words; None when there is none."""
    pts, duration, kind, quality, check = values
    if not -limits.MAX_TICKS <= pts <= limits.MAX_TICKS or not 0 <= duration <= limits.MAX_TICKS:
        return f"presentation time {pts} or duration {duration} out of range"
    if not 0 <= kind <= HIGHEST_KIND:
        return f"unknown kind of frame {kind}"
    if not 1 <= quality <= 100:
        return f"quality {quality} is not within 1 to 100"
    if size > limits.MAX_CHUNK_BYTES:
        return f"a frame of {size} bytes"
    if not 0 <= check < 1 << 8 * _CHECK_BYTES:
        return f"picture checksum {check} has more than {8 * _CHECK_BYTES} bits"
    return None
