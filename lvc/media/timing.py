"""Timestamps: of packets, continued where a source's clock starts anew; of pictures, made strictly increasing."""

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lvc.media.segment import MAX_TIME

_BACK_ALLOWED = Fraction(1, 10)
"""Seconds that decoding times may go back before FFmpeg, too, takes it for another clock."""
_GAP_ALLOWED = 10
"""Seconds without a packet of any stream before FFmpeg, too, takes it for another clock."""
_LATE_ALLOWED = 2
"""Seconds of the new clock in which packets of the old one may still come."""


@dataclass(frozen=True)
class _Place:
    """Where a stream is; times in seconds, as they were moved."""

    clock: int
    dts: Fraction
    due: Fraction
    """Decoding time of the next packet."""
    end: Fraction
    """When all is shown that has come."""
    held: Fraction
    """Seconds that demultiplexers hold back: the last picture ends where another begins."""


class Clocks:
    """Moves packets where the times of a source start anew, as in transport streams that were put together.

    All streams move by the same, so that they stay in step, each when it gets there.

    Attributes:
        restarts: how often times started anew.
    """

    def __init__(self) -> None:
        self._offsets = [Fraction(0)]
        self._begin = Fraction(0)
        self._places: dict[int, _Place] = {}
        self.restarts = 0

    def move(self, packet: Any) -> None:
        """Changes the times of the next packet of a source; those that are out of range stay as they are."""
        first = packet.pts if packet.dts is None else packet.dts
        if first is None:
            return
        stream, base = packet.stream, packet.time_base
        place = self._places.get(stream.index)
        shown = first if packet.pts is None else packet.pts
        clock = len(self._offsets) - 1
        if place is not None:
            clock = place.clock if packet.dts is None else self._clock(first * base, shown * base, place)
        ticks = round(self._offsets[clock] / base)
        if max(abs(first), abs(shown), abs(ticks)) > MAX_TIME:
            return
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
        if stream.type in ("video", "audio") and packet.dts is not None:  # others may be silent for long
            dts, duration = packet.dts * base, (packet.duration or 0) * base
            end = (shown + ticks) * base + duration
            if place is not None and place.clock == clock:
                end = max(end, place.end)
            held = duration if stream.type == "video" else Fraction(0)
            self._places[stream.index] = _Place(clock, dts, dts + duration, end, held)

    def _clock(self, dts: Fraction, shown: Fraction, place: _Place) -> int:
        """Which clock a packet goes by, maybe a new one."""
        newest = len(self._offsets) - 1
        moved = dts + self._offsets[place.clock]
        latest = max(each.end for each in self._places.values())
        jumps = moved < place.dts - _BACK_ALLOWED or moved > latest + _GAP_ALLOWED
        if place.clock < newest:
            is_old = abs(moved - place.due) <= abs(dts + self._offsets[newest] - place.due)
            return place.clock if is_old and not jumps and latest < self._begin + _LATE_ALLOWED else newest
        if not jumps:
            return newest
        self._begin = max(each.end + (each.held if each is not place else 0) for each in self._places.values())
        self._offsets.append(self._begin - shown)
        self.restarts += 1
        return newest + 1


class DecodingTimes:
    """Times of pictures whose file tells only those of decoding: the first to be shown gets the first of them."""

    def __init__(self) -> None:
        self._free: deque[int] = deque()
        self._not_shown: set[int] = set()

    def push(self, dts: int) -> None:
        """Takes the time of the next packet, which is to be the presentation time of its picture until it is shown."""
        if dts not in self._not_shown:
            self._free.append(dts)
            self._not_shown.add(dts)

    def place(self, dts: int | None, key: bool) -> int | None:
        """Gives the time of the next picture in presentation order.

        Args:
            dts: of its packet.
            key: whether all that was decoded before it was shown before it; the decoder has dropped what was not.
        """
        if dts is None or dts not in self._not_shown:
            return dts
        for dropped in [other for other in self._not_shown if key and other < dts]:
            self._not_shown.remove(dropped)
            self._free.popleft()
        self._not_shown.remove(dts)
        return self._free.popleft()


class Timeline:
    """Repairs presentation times as they pass.

    Args:
        time_base: seconds per tick.
        frame_rate: nominal frames per second; None where unknown.
    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction | None) -> None:
        self._step = max(1, round(1 / (frame_rate * time_base))) if frame_rate else 1
        self._gap_allowed = round(1 / time_base)
        self._last: int | None = None
        self._last_duration = 0
        self._shift = 0
        self.repaired = 0

    def place(self, pts: int | None, duration: int) -> int:
        """Gives the time of the next picture in presentation order.

        A missing time continues from the last picture. A time that does not increase moves one tick after the last;
        where it jumps back by more than a second, all that follows moves with it, so that its pace is kept.

        Args:
            pts: in ticks, None where the source has none.
            duration: in ticks, 0 where unknown.
        """
        step = self._last_duration or self._step
        last = self._last
        if pts is None:
            placed = 0 if last is None else last + step
            self.repaired += last is not None
        else:
            placed = pts + self._shift
            if last is not None and placed <= last:
                self.repaired += 1
                if last - placed > self._gap_allowed:
                    self._shift += last + step - placed
                    placed = last + step
                else:
                    placed = last + 1
        self._last = placed
        self._last_duration = duration
        return placed
