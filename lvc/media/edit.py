"""A source as the user wants it encoded: only a part of it, cropped, scaled, at another pace."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import Protocol, runtime_checkable

from lvc.edit import Crop, Edit, Span
from lvc.errors import InputError
from lvc.media.limits import check_size, storable_ratio
from lvc.media.retime import EarlySegments, Retimer
from lvc.media.scaling import scaled, scaled_info
from lvc.video import Frame, VideoInfo

_READ_ON_SECONDS = 1
"""How far behind the last frame a source is read for the packets that belong before it."""


class Editable(Iterable[Frame], Protocol):
    """What can be edited; :class:`lvc.media.VideoReader` is."""

    info: VideoInfo

    def take_side(self) -> bytes | None:
        """See :meth:`lvc.media.VideoReader.take_side`."""
        ...


@runtime_checkable
class Seekable(Protocol):
    """What can leave out frames instead of giving them."""

    def skip_to(self, seconds: Fraction) -> None:
        """See :meth:`lvc.media.VideoReader.skip_to`."""
        ...


class EditedSource:
    """A source with an :class:`Edit`; iterated over like the source itself.

    A part begins at time 0, with the audio and subtitles that begin in it. With ``fps`` their times stay as they are.

    Args:
        source: what is edited.
        edit: how.
        name: of the source, for errors.

    Attributes:
        info: after the edit.

    Raises:
        InputError: nothing is left, or the crop does not fit into the picture; also while iterating.
        LimitError: the pictures become too large, or the rate or the sample aspect ratio impossible.
    """

    info: VideoInfo

    def __init__(self, source: Editable, edit: Edit, name: str = "the input") -> None:
        self._source, self._edit, self._name = source, edit, name
        self._whole = edit.span == Span()
        self._retimer: Retimer | None = None
        self._until = Fraction(0)
        self._early: EarlySegments | None = None
        self._frames = iter(source)
        if not self._whole:
            frames = self._part(self._frames)
            self._frames = chain([next(frames)], frames)  # the part's side streams are known from its first frame on
        info = source.info
        if edit.fps is not None:
            rate = storable_ratio(edit.fps, "frame rate")
            info = replace(info, time_base=1 / rate, frame_rate=rate)
            self._frames = (replace(frame, pts=n, duration=1) for n, frame in enumerate(self._frames))
        if edit.crop is not None:
            info = self._cropped(info, edit.crop)
        if edit.scale is not None:
            info = self._scaled(info, *edit.scale)
        if edit.span.frames is not None:
            info = replace(info, frames=min(edit.span.frames, info.frames or edit.span.frames))
        elif edit.span.start:
            info = replace(info, frames=None)
        self.info = info

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def take_side(self) -> bytes | None:
        """As :meth:`lvc.media.VideoReader.take_side`, for the part that is taken."""
        if self._whole:
            return self._source.take_side()
        if self._retimer is None:
            return None
        while (segment := self._next_segment()) is not None:
            if (head := self._retimer.push(segment)) is not None:
                return head
        return self._retimer.take(self._until)

    def _next_segment(self) -> bytes | None:
        early = None if self._early is None else self._early.pop()
        return self._source.take_side() if early is None else early

    def _part(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        base, span = self._source.info.time_base, self._edit.span
        taken = 0
        earliest = next(frames)
        begin = earliest.pts * base + span.start
        early = self._early = EarlySegments(begin)
        if span.start and isinstance(self._source, Seekable):
            self._take_early(early)
            self._source.skip_to(begin)
            frames = iter(self._source)
        for frame in chain([earliest], frames):
            if frame.pts * base < begin:
                self._take_early(early)
                continue
            if not taken:
                first, begin = frame.pts, frame.pts * base
                rate = self._source.info.frame_rate
                end = begin + span.frames / rate if span.frames is not None and rate else None
                self._retimer = Retimer(begin, -begin, end)
            self._until = frame.pts * base
            yield replace(frame, pts=frame.pts - first)
            taken += 1
            if taken == span.frames:
                step = frame.duration or (1 / (self._source.info.frame_rate or 25)) / base
                self._until = (frame.pts + Fraction(step)) * base
                break
        else:
            self._until = Fraction(1 << 62)
        if not taken:
            raise InputError(f"{self._name}: there is no frame {float(span.start):.6g} seconds after its first one")
        for frame in frames:
            if frame.pts * base > self._until + _READ_ON_SECONDS:
                return

    def _take_early(self, early: EarlySegments) -> None:
        while (segment := self._source.take_side()) is not None:
            early.push(segment)

    def _cropped(self, info: VideoInfo, crop: Crop) -> VideoInfo:
        left = (info.width - crop.width) // 4 * 2 if crop.x is None else crop.x
        top = (info.height - crop.height) // 4 * 2 if crop.y is None else crop.y
        if left < 0 or top < 0 or left + crop.width > info.width or top + crop.height > info.height:
            raise InputError(f"the crop {crop.width}x{crop.height} does not lie within {info.width}x{info.height}")
        check_size(crop.width, crop.height)

        def cut(frame: Frame) -> Frame:
            planes = []
            for index, plane in enumerate(frame.planes):
                half = 1 if index == 0 else 2
                rows, cols = -(-crop.height // half), -(-crop.width // half)
                planes.append(plane[top // half :, left // half :][:rows, :cols].copy())
            return replace(frame, planes=planes)

        self._frames = map(cut, self._frames)
        return replace(info, width=crop.width, height=crop.height)

    def _scaled(self, info: VideoInfo, width: int, height: int) -> VideoInfo:
        check_size(width, height)
        frames = self._frames
        self._frames = (scaled(frame, info, width, height) for frame in frames)
        aspect = (info.sample_aspect or 1) * Fraction(info.width * height, info.height * width)
        known = info.sample_aspect or aspect != 1
        aspect = storable_ratio(Fraction(aspect), "sample aspect ratio") if known else Fraction(0)
        return replace(scaled_info(info, width, height), sample_aspect=aspect)
