"""Rate control while an encode runs: each picture's quality follows from what the pictures before it have cost.

Two numbers steer it. How much dearer the pictures are than they ought to be, at the quality that the encode began with,
gives the quality at which the rest would be right; what has been spent too much or too little so far moves the rest a
little below or above that. Both are known from coded pictures alone, so the same source gives the same bytes, and an
interrupted encode goes on with them.
"""

import copy
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from lvc.container import FrameRecord, Gop, Step, coding_order
from lvc.encoder.settings import INTRA_BONUS, quality_bonus
from lvc.video import VideoInfo

SLOPE = 0.045
"""By how much the logarithm of the rate grows with the quality: step sizes shrink by this, too."""
FRAME_BYTES, GROUP_BYTES, FILE_BYTES = 5, 34, 110
"""What there is of a picture, of a group and of a file beside payloads, about."""
_CHEAPER, _DEARER = 0.25, 2.0
"""Share of its usual rate that the rest gets at least and at most."""
_RECOVERY_SECONDS, _RECOVERY_SHARE, _RECOVERY_MOST = 1.0, 0.06, 10.0
"""Time in which a deviation is made up for where the end is unknown: grows with what has passed, up to a limit."""
_MEMORY_SECONDS = 8.0
"""How long a picture's cost counts."""
_KEY_SECONDS = 1.5
"""Playing time whose bits a key picture may take where there is no plan."""
_CERTAINTY = 0.05
"""Weight of a plan, in shares of its bits, against what pictures have turned out to cost."""


@dataclass(frozen=True)
class Aim:
    """What an encode is to cost.

    Attributes:
        quality: at which it begins; expected to be about right.
        most: quality that is not exceeded.
        bits_per_second: on average; all bytes of the file but the side streams.
        plan: where the whole source is known: seconds from its start and bits up to there, both rising from 0; the
            last entry is its end. Without one, all seconds are expected to cost the same, and the end is unknown.
        delay: how many groups back the newest is that a group depends on; 1 is the one before it. So many can be coded
            at the same time.
    """

    quality: float
    most: float
    bits_per_second: float
    plan: tuple[tuple[float, float], ...] = ()
    delay: int = 1

    def bits_until(self, seconds: float) -> float:
        """Bits that the source is expected to cost up to a time."""
        if not self.plan:
            return max(0.0, seconds) * self.bits_per_second
        for (begin, before), (end, after) in zip(self.plan, self.plan[1:], strict=False):
            if seconds < end:
                return before + (after - before) * max(0.0, seconds - begin) / (end - begin)
        return self.plan[-1][1]


class Pace:
    """The state of rate control at one picture. Is copied, and pickled for other processes.

    Args:
        aim: what is wanted.
        info: of the video.
    """

    def __init__(self, aim: Aim, info: VideoInfo) -> None:
        self._aim, self._base = aim, info.time_base
        self._now = 0.0
        self._spent = self._expected = 0.0
        # bits of the file itself, which count with its first picture
        self._file_bits = 8.0 * FILE_BYTES
        # the same two at the quality of the start, and with old pictures forgotten
        self._cost = self._worth = 0.0
        # bits of an intra picture that are not yet in the cost
        self._held = 0.0

    def jump(self, seconds: float) -> None:
        """Go to a later time; what lies between is taken to cost what is now right for it."""
        self._spent += (self._share() - 1) * (self._aim.bits_until(seconds) - self._aim.bits_until(self._now))
        self._now = seconds

    def quality(self, seconds: float) -> float:
        """The quality of the picture at a time, 1...100; a fraction as in the settings.

        Args:
            seconds: from the start of the source; not before the picture that was added last.
        """
        aim = self._aim
        self.advance(seconds)
        prior = _CERTAINTY * aim.plan[-1][1] if aim.plan else aim.bits_per_second
        dearness = (prior + self._cost) / (prior + self._worth)
        return min(aim.most, 100.0, max(1.0, aim.quality + math.log(self._share() / dearness) / SLOPE))

    def _share(self) -> float:
        """Of what the rest is expected to cost, how much it may."""
        aim = self._aim
        if aim.plan:
            rest = max(aim.plan[-1][1] - aim.bits_until(self._now), aim.bits_per_second / 2)
        else:
            time = min(_RECOVERY_MOST, _RECOVERY_SECONDS + _RECOVERY_SHARE * self._now)
            rest = time * aim.bits_per_second
        return min(_DEARER, max(_CHEAPER, 1 - (self._spent - self._expected) / rest))

    def add(self, record: FrameRecord, step: Step, ends: bool = False) -> None:
        """Take note of a coded picture.

        Args:
            ends: whether its group ends with it.
        """
        bits = 8.0 * (len(record.payload) + FRAME_BYTES + (GROUP_BYTES if step.first is None else 0))
        self._spent += bits + self._file_bits
        self._file_bits = 0.0
        if step.first is None and not self._held:  # how much finer it was meant to be, the next one tells
            self._held = bits
            return
        quality = record.quality - quality_bonus(step, record.quality, ends=ends)
        self._cost += (bits + self._held) * math.exp(SLOPE * (self._aim.quality - quality))
        self._held = 0.0

    def is_too_dear(self, record: FrameRecord) -> bool:
        """Whether a key picture ought to be coded again, coarser: nothing has told what it would cost."""
        most = _KEY_SECONDS * self._aim.bits_per_second
        return not self._aim.plan and record.quality > 1 + INTRA_BONUS and 8 * len(record.payload) > most

    def advance(self, seconds: float) -> None:
        """Go to a later time, up to which all that was added since the last one counts."""
        due = self._aim.bits_until(seconds) - self._aim.bits_until(self._now)
        kept = math.exp((self._now - seconds) / _MEMORY_SECONDS)
        self._cost *= kept
        self._worth *= kept
        self._expected += due
        self._worth += due
        self._now = seconds


@dataclass(frozen=True)
class GroupPace:
    """Rate control of one stretch: the state at its first picture.

    Attributes:
        pace: that state.
        origin: presentation time of the first picture of all, in ticks.
        base: seconds per tick.
    """

    pace: Pace
    origin: int
    base: Fraction

    def seconds(self, pts: int) -> float:
        """From the first picture of all."""
        return float((pts - self.origin) * self.base)


class RateControl:
    """Hands out the state for each stretch of a source, in order, and takes what the stretches were coded to.

    Args:
        aim: what is wanted.
        info: of the video.
    """

    def __init__(self, aim: Aim, info: VideoInfo) -> None:
        self._aim, self._info = aim, info
        self._known = Pace(aim, info)
        self._starts: list[int] = []
        self._coded: deque[Sequence[Gop]] = deque()
        self._taken = 0

    def start(self, pts: int) -> GroupPace:
        """The state for the next stretch, which begins at ``pts``. All but the last ``delay`` must have been added."""
        self._starts.append(pts)
        while self._taken <= len(self._starts) - 1 - self._aim.delay:
            self._take(self._coded.popleft())
        pace = copy.copy(self._known)
        state = GroupPace(pace, self._starts[0], self._info.time_base)
        pace.jump(state.seconds(pts))
        return state

    def add(self, gops: Sequence[Gop]) -> None:
        """The next stretch was coded to these."""
        self._coded.append(gops)

    def _take(self, gops: Sequence[Gop]) -> None:
        state = GroupPace(self._known, self._starts[0], self._info.time_base)
        for gop in gops:
            steps = {step.position: step for step in coding_order([record.kind for record in gop.frames])}
            for position, record in enumerate(gop.frames):
                self._known.advance(state.seconds(record.pts))
                self._known.add(record, steps[position], position == len(gop.frames) - 1)
        self._taken += 1
        self._known.advance(state.seconds(self._starts[self._taken]))
