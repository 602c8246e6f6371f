"""The INDEX and END chunks: where the groups of pictures are, and what a whole file must add up to."""

from typing import NamedTuple

from lvc.container import limits
from lvc.container.fields import Cursor, put_signed, put_varint
from lvc.container.gop import Gop
from lvc.errors import FormatError

END_BYTES = 24
"""Payload size of END: fixed, so that END can be found from the end of a file."""


class IndexEntry(NamedTuple):
    """One group of pictures.

    Attributes:
        position: byte offset in the file of its chunk.
        first_pts: presentation time of its first frame, in ticks.
        frames: how many frames it has.
        first_frame: how many frames of the file come before it.
    """

    position: int
    first_pts: int
    frames: int
    first_frame: int

    def check(self, gop: Gop, first_frame: int, position: int) -> None:
        """Compare a group with what is said of it here.

        Args:
            gop: the group.
            first_frame: how many frames of the file come before it.
            position: of its chunk, for the message.

        Raises:
            FormatError: it is another, or has other frames.
        """
        frames, first_pts = len(gop.frames), gop.frames[0].pts
        if (first_frame, frames, first_pts) != (self.first_frame, self.frames, self.first_pts):
            said = f"{self.frames} frames from frame {self.first_frame} and time {self.first_pts}"
            found = f"{frames} from frame {first_frame} and time {first_pts}"
            raise FormatError(f"the index is false: it tells of {said}, the group has {found}", position)


class Totals:
    """Adds up a file while it is written or read: its INDEX and END follow from it.

    Attributes:
        frames: number of frames so far.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._begin: int | None = None
        self._finish = 0
        self._gops = 0
        self._rows = bytearray()
        self._last = (0, 0, 0)
        self._pts_step = 0

    @property
    def duration(self) -> int:
        """Ticks from the first presentation time to the end of the last frame shown."""
        return 0 if self._begin is None else self._finish - self._begin

    def add_gop(self, position: int, times: list[tuple[int, int]]) -> None:
        """Count a group whose chunk begins at ``position``; ``times`` are the pts and duration of its frames."""
        begin = min(pts for pts, _ in times)
        finish = max(pts + duration for pts, duration in times)
        self._begin = begin if self._begin is None else min(self._begin, begin)
        self._finish = max(self._finish, finish) if self.frames else finish
        self.frames += len(times)
        self._gops += 1
        if self._gops > limits.MAX_INDEX_GOPS:
            self._rows.clear()
            return
        last_position, last_pts, last_frames = self._last
        put_varint(self._rows, position - last_position)
        put_signed(self._rows, len(times) - last_frames)
        step = times[0][0] - last_pts
        put_signed(self._rows, step - self._pts_step)
        self._pts_step = step
        self._last = (position, times[0][0], len(times))

    def pack_index(self) -> bytes | None:
        """The payload of INDEX; None where there are more groups than it may hold, or so few that it is of no use."""
        if not 1 < self._gops <= limits.MAX_INDEX_GOPS:
            return None
        out = bytearray()
        put_varint(out, self._gops)
        return bytes(out + self._rows)

    def pack_end(self, index_position: int) -> bytes:
        """The payload of END; ``index_position`` is the byte offset of the INDEX chunk, 0 where there is none."""
        return b"".join(value.to_bytes(8, "big") for value in (self.frames, self.duration, index_position))


def unpack_index(data: bytes | bytearray, base: int) -> list[IndexEntry]:
    """Read the payload of an INDEX chunk, which begins at byte ``base`` of the file.

    Raises:
        FormatError: damaged or inconsistent.
    """
    fields = Cursor(data, base, "INDEX")
    count = fields.varint()
    if not 1 < count <= limits.MAX_INDEX_GOPS or 3 * count > fields.remaining:
        raise fields.error(f"{count} groups of pictures do not fit")
    entries = []
    position = first_pts = frames = first_frame = step = 0
    for _ in range(count):
        gap = fields.varint()
        position += gap
        first_frame += frames
        frames += fields.signed()
        step += fields.signed()
        first_pts += step
        plausible = 1 <= frames <= limits.MAX_GOP_FRAMES and abs(first_pts) <= limits.MAX_TICKS
        if not (plausible and gap and position < base):
            raise fields.error("an impossible entry")
        entries.append(IndexEntry(position, first_pts, frames, first_frame))
    fields.finish()
    return entries


def unpack_end(data: bytes | bytearray, base: int) -> tuple[int, int, int]:
    """Read the payload of an END chunk: total frames, duration in ticks, position of INDEX or 0.

    Raises:
        FormatError: it has the wrong size.
    """
    if len(data) != END_BYTES:
        raise FormatError(f"END: {len(data)} bytes instead of {END_BYTES}", base)
    fields = Cursor(data, base, "END")
    return fields.uint(8), fields.uint(8), fields.uint(8)
