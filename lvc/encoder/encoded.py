"""The file that an encode writes: stretches and side data in, figures out."""

from collections.abc import Callable

from lvc.container import Writer
from lvc.encoder.settings import EncodeResult
from lvc.encoder.stretch import Coded, FrameDone
from lvc.progress import Progress
from lvc.video import VideoInfo


class EncodedFile:
    """The file that is being written, what it holds so far, and how far the frames on their way are."""

    def __init__(self, writer: Writer, info: VideoInfo, progress: Callable[[Progress], None] | None) -> None:
        self.result = EncodeResult()
        self._writer, self._info, self._progress = writer, info, progress
        self._reported = self._pending = self._ticks = 0
        self._first: int | None = None
        self._end = 0

    def report(self, done: FrameDone) -> None:
        """A frame was coded."""
        self._reported += 1
        self._pending += done.bytes
        self._ticks += done.ticks
        if self._progress is not None:
            seconds = float(self._ticks * self._info.time_base)
            size = self._writer.bytes_written + self._pending
            self._progress(Progress(self._reported, self._info.frames, size, seconds))

    def add_side(self, segments: list[bytes]) -> None:
        """Write side data."""
        for data in segments:
            before = self._writer.bytes_written
            self._writer.write_side(data)
            self.result.parts["side"] += self._writer.bytes_written - before

    def add(self, coded: Coded) -> None:
        """Write a stretch."""
        result = self.result
        for gop in coded.gops:
            self._writer.write_gop(gop)
            result.frames += len(gop.frames)
            last = gop.frames[-1]
            self._first = gop.frames[0].pts if self._first is None else self._first
            self._end = last.pts + last.duration
            for part, size in gop.parts.items():
                result.parts[part] += size
        result.estimated_bits += coded.estimated_bits
        result.verify_seconds += coded.verify_seconds
        self._pending = max(0, self._pending - coded.payload_bytes)

    def add_again(self, coded: Coded) -> None:
        """Write a stretch that was coded before."""
        self.add(coded)
        for gop in coded.gops:
            for record in gop.frames:
                self.report(FrameDone(record.duration, 0))

    def finish(self, seconds: float) -> EncodeResult:
        """Write the end; what was made in all."""
        self._writer.close()
        result = self.result
        result.bytes = self._writer.bytes_written
        result.parts["container"] = result.bytes - sum(result.parts.values())
        result.estimated_bits += 8.0 * (result.parts["container"] + result.parts["side"])
        result.seconds = seconds
        ticks = self._end - (self._first or 0)
        result.media_seconds = float(ticks * self._info.time_base or result.frames / (self._info.frame_rate or 25))
        return result
