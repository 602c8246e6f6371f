"""The quality that gives a wanted size or likeness, found by coding samples of the source at several qualities."""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lvc.container.gop import pack_gop
from lvc.encoder.around import with_around
from lvc.encoder.group import GroupEncoder
from lvc.encoder.plan import stretches
from lvc.encoder.rate import FILE_BYTES
from lvc.encoder.settings import EncoderSettings
from lvc.encoder.source import Source
from lvc.errors import InputError
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.device import working_device
from lvc.media.filters import Comparison
from lvc.model import Model
from lvc.spool import append_frame, read_frames
from lvc.video import Frame, Plane, VideoInfo

WHOLE_FRAMES = 600
"""Sources up to this length are sampled whole, which makes the estimate exact."""
WINDOWS, WINDOW_FRAMES = 24, 20
"""Samples of longer ones: many short ones, since one shot says little of the next. Where the length is not known, or
greater than stated, there are up to twice as many."""
MOST_TRIES = 9


@dataclass(frozen=True)
class Target:
    """What is wanted: one of these at most.

    Attributes:
        bitrate: bits per second of the video alone.
        size: bytes of the whole file, side streams included.
        psnr: decibels, Y, U and V weighted 6:1:1, mean over the pictures.
        ssim: 0 to 1, as FFmpeg's filter measures it over all planes, mean over the pictures.

    Raises:
        ValueError: more than one is given, or it is outside its range.
    """

    bitrate: float | None = None
    size: float | None = None
    psnr: float | None = None
    ssim: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.bitrate, self.size, self.psnr, self.ssim) if value is not None]
        if len(given) > 1 or not all(0 < value < float("inf") for value in given) or (self.ssim or 0) > 1:
            raise ValueError(f"{self} is not one amount within its range")

    @property
    def wants_any(self) -> bool:
        """Whether there is anything to be met."""
        return any(value is not None for value in (self.bitrate, self.size, self.psnr, self.ssim))


@dataclass(frozen=True)
class Try:
    """One quality that was tried.

    Attributes:
        quality: of predicted pictures; a fraction is the share of pictures one quality finer.
        bytes: estimate for the whole video, without side streams.
        bits_per_second: the same as a rate, 1 or more.
        psnr, ssim: see :class:`Target`; None where it was not asked for.
    """

    quality: float
    bytes: int
    bits_per_second: int
    psnr: float | None
    ssim: float | None


class _Mark(NamedTuple):
    """Where a sample begins: first time of the source, time, and how many frames and groups had begun before."""

    first: int
    pts: int
    frames: int
    groups: int


class Samples:
    """Frames of a source in a folder, and what must be known of the rest.

    Args:
        source: is read to its end.
        folder: for temporary files.
        settings: of the encode; they decide where groups begin.

    Attributes:
        frames, groups, seconds: of the whole source.
        side_bytes: of its side streams.
        is_whole: whether all frames are samples, which are groups of pictures then.

    Raises:
        InputError: the source has no frames.
    """

    def __init__(self, source: Source, folder: Path, settings: EncoderSettings) -> None:
        self.info: VideoInfo = source.info
        self._folder, self._settings = folder, settings
        self.frames = self.groups = self.side_bytes = 0
        self.is_whole = True
        self._gap = max(max(source.info.frames or 0, WHOLE_FRAMES) // WINDOWS, WINDOW_FRAMES)
        self._samples: list[tuple[_Mark, Path]] = []
        self._costs: list[tuple[int, float]] = []
        first = last = 0
        for stretch in stretches(source, source.info, settings):
            self.groups += 1
            begins = True
            for frame in stretch:
                first = frame.pts if not self.frames else first
                last = frame.pts + frame.duration
                if self.frames == WHOLE_FRAMES:
                    self._cut_to_windows()
                mark = _Mark(first, frame.pts, self.frames, self.groups if self.frames else 0)
                if self.is_whole:
                    self._add(mark, frame, begins)
                else:
                    self._add_to_window(mark, frame)
                begins = False
                self.frames += 1
            while (data := source.take_side()) is not None:
                self.side_bytes += len(data) + 14
        if not self.frames:
            raise InputError("the input holds no frames")
        rate = source.info.frame_rate or 25
        self.seconds = float((last - first) * source.info.time_base) or float(self.frames / rate)

    def _add(self, mark: _Mark, frame: Frame, begins: bool) -> None:
        """Write a frame to the last sample, or to a new one."""
        if begins:
            self._samples.append((mark, self._folder / f"{'group' if self.is_whole else 'window'}{mark.frames}"))
        append_frame(self._samples[-1][1], self.info, frame)

    def _add_to_window(self, mark: _Mark, frame: Frame) -> None:
        """Write a frame, if it lies in a window. Windows have equal distances, which double when there are too many."""
        begins = mark.frames % self._gap == 0
        if begins and len(self._samples) == 2 * WINDOWS:
            for _, path in self._samples[1::2]:
                path.unlink()
            self._samples = self._samples[::2]
            self._gap *= 2
        if mark.frames % self._gap < WINDOW_FRAMES:
            self._add(mark, frame, begins)

    def _cut_to_windows(self) -> None:
        """Keep only the windows of the groups that were sampled so far: the source is too long for more."""
        whole, self._samples, self.is_whole = self._samples, [], False
        number = 0
        for group, (begin, path) in enumerate(whole, 1):
            for frame in read_frames(path, self.info):
                self._add_to_window(_Mark(begin.first, frame.pts, number, group if number else 0), frame)
                number += 1
            path.unlink()

    def __iter__(self) -> Iterator[Iterator[Frame]]:
        return (read_frames(path, self.info) for _, path in self._samples)

    def code(self, model: Model, quality: float, device: str, *, psnr: bool, ssim: bool) -> Try:
        """Code the samples at a quality."""
        where = torch.device(working_device(device))
        model.codec.to(where)
        settings = replace(self._settings, quality=quality)
        intra, other, count = 0, 0, 0
        self._costs = []
        psnrs: list[float] = []
        ssims: list[float] = []
        for frames in self:
            group = GroupEncoder(model, self.info, settings, where, chooses=self.is_whole or psnr or ssim)
            compare = Comparison("ssim", self.info.width, self.info.height, self.info.bit_depth) if ssim else None
            for planes, decoded in _coded(group, frames, goes_on=not self.is_whole):
                if psnr:
                    psnrs.append(_psnr(planes, decoded, self.info.bit_depth))
                if compare is not None:
                    ssims += _ssims([compare.add(planes, decoded)])
            if compare is not None:
                ssims += _ssims(compare.finish())
            size = len(pack_gop(group.gop, 0)) + 20
            head = len(group.records[0].payload)
            self._costs.append((head, (size - head) / max(1, len(group.records) - 1)))
            intra, other, count = intra + head, other + size - head, count + len(group.records)
        if self.is_whole:
            total = float(intra + other)
        else:
            pieces = len(self._samples)
            total = self.groups * intra / pieces + (self.frames - self.groups) * other / max(1, count - pieces)
        total += FILE_BYTES
        return Try(
            quality,
            round(total),
            max(1, round(8 * total / self.seconds)),
            float(np.mean(psnrs)) if psnrs else None,
            float(np.mean(ssims)) if ssims else None,
        )

    def plan(self, bits: float) -> tuple[tuple[float, float], ...]:
        """How ``bits`` for the whole source spread over it, by what the samples were last coded to.

        Returns:
            Seconds and bits up to there; see :class:`lvc.encoder.rate.Aim`.
        """
        end = _Mark(0, 0, self.frames, self.groups)
        times, costs = [0.0], [0.0]
        marks = [mark for mark, _ in self._samples]
        for mark, following, (intra, other) in zip(marks, [*marks[1:], end], self._costs, strict=True):
            groups = following.groups - mark.groups
            cost = groups * intra + (following.frames - mark.frames - groups) * other
            time = self.seconds if following is end else float((following.pts - mark.first) * self.info.time_base)
            if time > times[-1]:
                times.append(time)
                costs.append(costs[-1] + max(1.0, cost))
        return tuple((time, cost / costs[-1] * bits) for time, cost in zip(times, costs, strict=True))


def _coded(
    group: GroupEncoder, frames: Iterator[Frame], goes_on: bool
) -> Iterator[tuple[Sequence[Plane], list[Plane]]]:
    """Planes of each frame, and as they are decoded."""
    waiting: deque[Frame] = deque()
    for pair in itertools.chain(with_around(frames, goes_on), [None]):
        with exact_arithmetic():
            coded = group.finish() if pair is None else group.encode(*pair)
        if pair is not None:
            waiting.append(pair[0])
        for picture in coded:
            yield waiting.popleft().planes, picture.planes


def _psnr(source: Sequence[Plane], decoded: Sequence[Plane], bit_depth: int) -> float:
    errors = [float(np.mean((a.astype(np.float64) - b) ** 2)) for a, b in zip(source, decoded, strict=True)]
    peak = float((1 << bit_depth) - 1)
    values = [10 * math.log10(peak**2 / max(error, 1e-4)) for error in errors]
    return (6 * values[0] + values[1] + values[2]) / 8


def _ssims(found: list[dict[str, str]]) -> list[float]:
    return [float(values["lavfi.ssim.All"]) for values in found if "lavfi.ssim.All" in values]


def find_quality(
    samples: Samples, target: Target, model: Model, device: str, show: Callable[[Try], None], first: Try | None = None
) -> Try:
    """The quality that comes nearest to a target; every try is shown.

    A secant search between the qualities that are known to be too low and too high; where one gives the same as an
    end of these, as with few pictures, the middle follows, and it ends sooner.

    Args:
        first: a try that is there already, with which the search begins.
    """

    def of(tried: Try) -> float:
        if target.psnr is not None:
            return (tried.psnr or 0.0) - target.psnr
        if target.ssim is not None:
            # in decibels it is nearly linear in the quality
            return -10 * math.log10(max(1e-9, 1 - (tried.ssim or 0.0))) + 10 * math.log10(max(1e-9, 1 - target.ssim))
        if target.size is not None:
            return math.log(tried.bytes / (target.size - samples.side_bytes))
        return math.log(tried.bits_per_second / (target.bitrate or 1.0))

    tolerance = 0.02 if target.psnr is not None or target.ssim is not None else 0.004
    below: tuple[float, float] | None = None
    above: tuple[float, float] | None = None
    best: Try | None = None
    quality = 50.0 if first is None else first.quality
    for number in range(MOST_TRIES):
        if number or first is None:
            tried = samples.code(model, quality, device, psnr=target.psnr is not None, ssim=target.ssim is not None)
            show(tried)
        else:
            tried = first
        error = of(tried)
        if best is None or abs(error) < abs(of(best)):
            best = tried
        if abs(error) <= tolerance:
            break
        repeats = error in {each[1] for each in (below, above) if each is not None}
        if error < 0:
            below = (quality, error)
        else:
            above = (quality, error)
        if below is not None and above is not None:
            share = 0.5 if repeats else min(0.9, max(0.1, below[1] / (below[1] - above[1])))
            quality = below[0] + share * (above[0] - below[0])
            if above[0] - below[0] < (0.1 if repeats else 0.02):
                break
        else:
            slope = 0.35 if target.psnr is not None or target.ssim is not None else 0.045
            quality = min(100.0, max(1.0, quality - 1.2 * error / slope))
        quality = round(quality, 2)
        if quality in {each[0] for each in (below, above) if each is not None}:
            break
    if best is None:
        raise ValueError("no quality was tried")
    return best
