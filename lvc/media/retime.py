"""Side streams cut to a stretch of time and moved: what a part of a video takes along of its audio and subtitles."""

from collections import deque
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from lvc.media.head import Chapter, Head, pack_head, unpack_head
from lvc.media.segment import SidePacket, pack_packets, unpack_packets
from lvc.video import Frame, VideoInfo


class Retimer:
    """Takes the segments of a source and gives those of a part of it.

    A packet belongs to the part when it begins within it; one that began before and lasts into it is left out, as
    players cannot start in the middle of it.

    Args:
        begin: seconds, in the source's time, at which the part begins.
        shift: seconds to add to all times.
        end: seconds at which the part ends, where that is known beforehand; chapters are cut there.
    """

    def __init__(self, begin: Fraction, shift: Fraction, end: Fraction | None = None) -> None:
        self._begin, self._shift, self._end = begin, shift, end
        self._last = begin
        self._head: Head | None = None
        self._waiting: list[tuple[Fraction, SidePacket]] = []

    def head(self, segment: bytes, base: int = 0) -> bytes:
        """The head of the part, from the segment of kind "H" of the source, which begins at byte ``base`` of its file.

        Raises:
            FormatError: the segment is damaged.
        """
        head = self._head = unpack_head(segment, base)
        chapters = [moved for chapter in head.chapters if (moved := self._chapter(chapter)) is not None]
        return pack_head(replace(head, chapters=chapters))

    def push(self, segment: bytes, base: int = 0) -> bytes | None:
        """Takes a segment of either kind; gives the head at once, and packets when :meth:`take` asks for them.

        Args:
            segment: the bytes.
            base: where they begin in the file, for error messages.

        Raises:
            FormatError: the segment is damaged.
        """
        if segment[:1] == b"H":
            return self.head(segment, base)
        if segment[:1] != b"P" or self._head is None:
            return None
        for packet in unpack_packets(segment, base):
            if packet.stream >= len(self._head.streams):
                continue
            first = packet.pts if packet.pts is not None else packet.dts
            if first is not None:  # one without times goes with the one before it
                self._last = first * self._time_base(packet)
            if self._last >= self._begin:
                self._waiting.append((self._last, packet))
        return None

    def take(self, until: Fraction) -> bytes | None:
        """The packets that begin before ``until``, in seconds of the source; None where there are none."""
        ready = [packet for time, packet in self._waiting if time < until]
        if not ready:
            return None
        self._waiting = [(time, packet) for time, packet in self._waiting if time >= until]
        return pack_packets(self._moved(packet) for packet in ready)

    def _time_base(self, packet: SidePacket) -> Fraction:
        return self._head.streams[packet.stream].time_base if self._head is not None else Fraction(1)

    def _moved(self, packet: SidePacket) -> SidePacket:
        ticks = round(self._shift / self._time_base(packet))
        pts = None if packet.pts is None else packet.pts + ticks
        return replace(packet, pts=pts, dts=None if packet.dts is None else packet.dts + ticks)

    def _chapter(self, chapter: Chapter) -> Chapter | None:
        base = chapter.time_base
        first = max(chapter.start, round(self._begin / base))
        last = chapter.end if self._end is None else min(chapter.end, round(self._end / base))
        if last <= first:
            return None
        ticks = round(self._shift / base)
        return replace(chapter, start=first + ticks, end=last + ticks)


class EarlySegments:
    """Segments that come before it is known where a part begins; of their packets, those that may belong to it.

    Args:
        earliest: seconds, in the source's time, before which the part does not begin.
    """

    def __init__(self, earliest: Fraction) -> None:
        self._earliest = earliest
        self._time_bases: list[Fraction] = []
        self._segments: deque[bytes] = deque()
        self._last = earliest

    def push(self, segment: bytes) -> None:
        """Takes a segment of either kind.

        Raises:
            FormatError: the segment is damaged.
        """
        if segment[:1] == b"H":
            self._time_bases = [stream.time_base for stream in unpack_head(segment).streams]
            self._segments.append(segment)
        elif kept := [packet for packet in unpack_packets(segment) if self._may_belong(packet)]:
            self._segments.append(pack_packets(kept))

    def pop(self) -> bytes | None:
        """The next segment, in the order in which they came; None where there is none."""
        return self._segments.popleft() if self._segments else None

    def _may_belong(self, packet: SidePacket) -> bool:
        """Whether a packet begins late enough; one without times goes with the one before it."""
        if packet.stream >= len(self._time_bases):
            return False
        first = packet.pts if packet.pts is not None else packet.dts
        if first is not None:
            self._last = first * self._time_bases[packet.stream]
        return self._last >= self._earliest


class FrameWriter(Protocol):
    """Where a part goes; :class:`lvc.media.VideoWriter` is such a thing."""

    def write(self, frame: Frame) -> None:
        """Write one frame."""
        ...

    def write_side(self, segment: bytes) -> None:
        """Write a segment of side streams."""
        ...


class PartWriter:
    """Passes a part of a video on, moved so that it begins at time 0, with the side streams that begin in it.

    Args:
        writer: where it goes.
        info: of the video.
    """

    def __init__(self, writer: FrameWriter, info: VideoInfo) -> None:
        self._writer, self._info = writer, info
        self._retimer: Retimer | None = None
        self._waiting: list[bytes] = []
        self._first = self._end = 0

    def write(self, frame: Frame) -> None:
        """Write one frame; with the first one it is known where the part begins."""
        base = self._info.time_base
        if self._retimer is None:
            self._first = frame.pts
            self._retimer = Retimer(frame.pts * base, -frame.pts * base)
            for segment in self._waiting:
                self.write_side(segment)
        self._pass_on(frame.pts * base)
        self._writer.write(replace(frame, pts=frame.pts - self._first))
        step = 1 / (self._info.frame_rate * base) if self._info.frame_rate else 1
        self._end = frame.pts + (frame.duration or round(step))

    def write_side(self, segment: bytes) -> None:
        """Take a segment of the whole video."""
        if self._retimer is None:
            self._waiting.append(segment)
        elif (head := self._retimer.push(segment)) is not None:
            self._writer.write_side(head)

    def finish(self) -> None:
        """Write what belongs before the end of the last frame."""
        self._pass_on(self._end * self._info.time_base)

    def _pass_on(self, until: Fraction) -> None:
        if self._retimer is not None and (packets := self._retimer.take(until)) is not None:
            self._writer.write_side(packets)
