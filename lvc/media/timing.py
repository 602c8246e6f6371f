"""Timestamps of decoded pictures made strictly increasing, with missing ones filled in."""

from fractions import Fraction


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
