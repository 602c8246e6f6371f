"""Whole groups of pictures of several files in one: what ``lvc cat`` and ``lvc cut`` do. Nothing is decoded."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO

from lvc.container import Chunk, Gop, GopChunk, Header, Reader, SideChunk, Writer, limits
from lvc.container.part import side_begin, side_end
from lvc.ends import naming
from lvc.errors import FormatError, InputError, LimitError, TruncatedError
from lvc.media.head import Head, pack_head, unpack_head
from lvc.media.retime import Retimer
from lvc.progress import OnProgress, Progress

_EVER = Fraction(1 << 62)


@dataclass(frozen=True)
class Piece:
    """A file, or a stretch of it.

    Attributes:
        name: for messages.
        stream: the `.lvc` bytes; must be able to seek.
        start, end: seconds after its first frame. The piece begins with the group in which the start lies and ends
            with the group in which the end lies, which is after the start; None is the end of the file.
    """

    name: str
    stream: BinaryIO
    start: Fraction = Fraction(0)
    end: Fraction | None = None


@dataclass(frozen=True)
class SpliceResult:
    """What was written.

    Attributes:
        frames, groups, bytes: in all.
        starts: seconds after the first frame of its file at which each piece begins.
        media_seconds: playing time.
    """

    frames: int
    groups: int
    bytes: int
    starts: tuple[float, ...]
    media_seconds: float


class _Opened:
    """A piece with what must be known of it before anything is written; times in seconds of its file.

    Attributes:
        head: of its side streams.
        begin, end: where its first frame is shown, and until when its last.
        frames: how many it has.
        from_start, to_end: whether it reaches to that end of its file.
    """

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.reader = Reader(piece.stream)
        self.base = self.reader.header.info.time_base
        self.head = self._read_head()
        entries = self.reader.read_index()
        if not entries:
            raise InputError(f"{piece.name}: it holds no frames")
        first = entries[0].first_pts * self.base
        start, end = first + piece.start, _EVER if piece.end is None else first + piece.end
        begins = [index for index, entry in enumerate(entries) if entry.first_pts * self.base <= start]
        ends = [index for index, entry in enumerate(entries) if entry.first_pts * self.base >= end]
        at = begins[-1]
        self._from = entries[at]
        self._to = entries[ends[0]] if ends else None
        if end <= start or (ends and ends[0] <= at):
            raise InputError(f"{piece.name}: the end lies before the start, or is the same")
        early = side_begin(entries, self._from, self.base)
        self._side_from = early or entries[0]._replace(position=self._first_position)
        self._side_to = side_end(entries, self._to, self.base) if self._to else None
        behind = self._to.first_frame if self._to else entries[-1].first_frame + entries[-1].frames
        self.frames = behind - self._from.first_frame
        self.begin = entries[at].first_pts * self.base
        self.end = entries[ends[0]].first_pts * self.base if ends else self._end_of(entries[-1].position)
        self.start = float(self.begin - first)
        self.from_start, self.to_end = at == 0, not ends
        if start >= self.end:
            raise InputError(f"{piece.name}: it ends {float(self.end - first):.6g} seconds after its first frame")

    def _read_head(self) -> Head:
        """The head, where there is one; ``_first_position`` is behind it."""
        back = self.reader.position
        first = next(iter(self.reader), None)
        found = isinstance(first, SideChunk) and first.data[:1] == b"H"
        self._first_position = self.reader.position if found else back
        return unpack_head(first.data, first.payload_position) if found and isinstance(first, SideChunk) else Head()

    def _end_of(self, position: int) -> Fraction:
        """Until when the frames of the last group are shown."""
        entry = next((entry for entry in self.reader.read_index() if entry.position == position), None)
        if entry is None:
            raise FormatError("the index does not name the last group of pictures", position)
        self.reader.seek(entry)
        chunk = next((item for item in self.reader if isinstance(item, GopChunk)), None)
        if chunk is None:
            raise FormatError("the index names a place where no group of pictures is", position)
        last = max(chunk.gop.frames, key=lambda frame: frame.pts)
        rate = self.reader.header.info.frame_rate
        step = last.duration or (max(1, round(1 / (rate * self.base))) if rate else 1)
        return (last.pts + step) * self.base

    def chunks(self) -> Iterator[Chunk]:
        """The groups of the piece, and the side data around them."""
        self.reader.seek(self._side_from)
        yield from self.reader.side_before(self._from)
        for chunk in self.reader:
            if isinstance(chunk, GopChunk) and self._to is not None and chunk.first_frame >= self._to.first_frame:
                self._to.check(chunk.gop, chunk.first_frame, chunk.position)
                with contextlib.suppress(TruncatedError):  # a file may end behind the piece, be it too early
                    yield from self.reader.side_before(self._side_to)
                return
            yield chunk


def splice(
    pieces: Sequence[Piece], sink: BinaryIO, *, video_only: bool = False, progress: OnProgress | None = None
) -> SpliceResult:
    """Write pieces one after the other as one `.lvc` file.

    Every piece begins where the one before it ends. The first one keeps its times where it begins with its file, else
    it begins at time 0. Groups of pictures and packets of other streams are copied; only their times change.

    Args:
        pieces: one or more; same model, size, depth, colour, aspect and rotation, and the same other streams.
        video_only: leave the other streams and attachments out; what is said of the video, such as chapters, stays.
        progress: called after each group.

    Raises:
        InputError: the pieces do not fit together, one is empty, or one cannot seek.
        FormatError, TruncatedError: one is damaged.
        LimitError: the times have no common time base.
    """
    opened = []
    for piece in pieces:
        with naming(piece.name):
            opened.append(_Opened(piece))
    for other in opened[1:]:
        _check(opened[0], other, video_only)
    base = _common_base([each.base for each in opened])
    writer = Writer(sink, _header(opened, base))
    at = origin = opened[0].begin if opened[0].from_start else Fraction(0)
    retimers, shifts = [], []
    for each in opened:
        shifts.append(at - each.begin)
        begin = -_EVER if each is opened[0] and each.from_start else each.begin
        retimers.append(Retimer(begin, shifts[-1], each.end))
        at += each.end - each.begin
    heads = [unpack_head(timer.head(pack_head(each.head))) for timer, each in zip(retimers, opened, strict=True)]
    if (head := _joined(heads, video_only)) != Head():
        writer.write_side(pack_head(head))
    total = sum(each.frames for each in opened)
    groups = 0
    for each, timer, shift in zip(opened, retimers, shifts, strict=True):
        until = _EVER if each is opened[-1] and each.to_end else each.end
        with naming(each.piece.name):
            for chunk in each.chunks():
                if isinstance(chunk, GopChunk):
                    gop = _moved(chunk.gop, each.base / base, round(shift / base))
                    writer.write_gop(gop)
                    groups += 1
                    if progress is not None:
                        seconds = max(frame.pts + frame.duration for frame in gop.frames) * base - origin
                        progress(Progress(writer.total_frames, total, writer.bytes_written, float(seconds)))
                elif not video_only:
                    timer.push(chunk.data, chunk.payload_position)
                if (packets := timer.take(until)) is not None:
                    writer.write_side(packets)
    writer.close()
    starts = tuple(each.start for each in opened)
    return SpliceResult(writer.total_frames, groups, writer.bytes_written, starts, float(at - origin))


def _joined(heads: Sequence[Head], video_only: bool) -> Head:
    """The first head with the chapters of all."""
    chapters = [chapter for head in heads for chapter in head.chapters]
    head = replace(heads[0], chapters=[replace(chapter, id=n) for n, chapter in enumerate(chapters)])
    return replace(head, streams=[], matroska=b"", attachments=[]) if video_only else head


def _moved(gop: Gop, factor: Fraction, shift: int) -> Gop:
    def moved(ticks: int) -> int:
        return int(ticks * factor)

    frames = (replace(frame, pts=moved(frame.pts) + shift, duration=moved(frame.duration)) for frame in gop.frames)
    return replace(gop, frames=tuple(frames))


def _check(first: _Opened, other: _Opened, video_only: bool) -> None:
    """Refuse pieces that cannot be in one file."""
    a, b = first.reader.header, other.reader.header
    kinds = [
        ("was encoded with another model", a.model_id, b.model_id),
        ("has pictures of another size", (a.info.width, a.info.height), (b.info.width, b.info.height)),
        ("has another bit depth", a.info.bit_depth, b.info.bit_depth),
        ("has another colour description", a.info.colour, b.info.colour),
        ("has another sample aspect", a.info.sample_aspect, b.info.sample_aspect),
        ("has another rotation", a.info.rotation, b.info.rotation),
    ]
    for what, ours, theirs in kinds:
        if ours != theirs:
            raise InputError(f"{other.piece.name} {what} than {first.piece.name}: they cannot be joined")
    streams = [([s.time_base for s in each.head.streams], each.head.matroska) for each in (first, other)]
    if streams[0] != streams[1] and not video_only:
        raise InputError(
            f"{other.piece.name} has other audio or subtitle streams than {first.piece.name}: "
            "they cannot be joined (--video-only leaves them out)"
        )


def _common_base(bases: Sequence[Fraction]) -> Fraction:
    """The largest time base in which all others count whole ticks."""
    denominator = math.lcm(*(base.denominator for base in bases))
    common = Fraction(math.gcd(*(base.numerator * (denominator // base.denominator) for base in bases)), denominator)
    if max(common.as_integer_ratio()) > limits.MAX_RATIO_TERM:
        raise LimitError("the files have no common time base: their frame rates differ too much")
    return common


def _header(opened: Sequence[_Opened], base: Fraction) -> Header:
    headers = [each.reader.header for each in opened]
    rates = {header.info.frame_rate for header in headers}
    info = replace(headers[0].info, time_base=base, frame_rate=rates.pop() if len(rates) == 1 else None)
    return replace(headers[0], info=info, keyint=max(header.keyint for header in headers))
