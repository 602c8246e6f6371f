"""Coding of one stretch of frames, in this process or in a worker."""

import functools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from lvc.container import Gop, GopChunk, limits
from lvc.encoder.around import with_around
from lvc.encoder.group import GroupEncoder
from lvc.encoder.picture import CodedPicture
from lvc.encoder.rate import GroupPace
from lvc.encoder.settings import EncoderSettings
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.device import working_device
from lvc.group_decoder import GroupDecoder
from lvc.model import Model
from lvc.model.weights import load
from lvc.rangecoder import END_BITS
from lvc.spool import read_frames
from lvc.video import Frame, VideoInfo
from lvc.workers import Report

GROUP_BYTES = limits.MAX_CHUNK_BYTES // 4
"""Payload at which a group of pictures ends early: decoders hold a whole group, and its chunk has a limit."""
_COARSER = 8.0
"""Qualities by which a key picture that is too dear is made coarser."""


@dataclass(frozen=True)
class Coded:
    """A stretch that has been coded.

    Attributes:
        gops: one, or more where their payload would have piled up.
        estimated_bits: of the payloads: the sum of -log2 of the probabilities of all symbols, and what ends take.
        verify_seconds: what decoding it again took.
    """

    gops: tuple[Gop, ...]
    estimated_bits: float
    verify_seconds: float = 0.0

    @property
    def payload_bytes(self) -> int:
        """Of all its frames."""
        return sum(gop.payload_bytes for gop in self.gops)


@dataclass(frozen=True)
class Coding:
    """How stretches are coded.

    Attributes:
        info: of the video.
        device: where the networks run.
        verify: whether each group is decoded again and compared.
    """

    info: VideoInfo
    device: str
    verify: bool


@dataclass
class FrameDone:
    """A report: one more frame was coded.

    Attributes:
        ticks: of playing time since the frame before it, or of its own.
        bytes: of its payload.
    """

    ticks: int
    bytes: int


def code_stretch(
    model: Model,
    coding: Coding,
    settings: EncoderSettings,
    frames: Iterable[Frame],
    report: Callable[[FrameDone], None],
    rate: GroupPace | None = None,
) -> Coded:
    """Code frames, the first one intra.

    Args:
        report: called after every frame.
        rate: chooses the quality of each frame; None leaves it to the settings.

    Raises:
        LimitError: sizes over the limits.
        MismatchError: with ``verify``, what was coded does not decode to the same pictures.
    """
    where = torch.device(working_device(coding.device))
    model.codec.to(where)
    gops: list[Gop] = []
    bits = seconds = 0.0
    group: GroupEncoder | None = None
    size = 0
    last: int | None = None

    def take(coded: list[CodedPicture]) -> None:
        nonlocal size, last
        for picture in coded:
            record = picture.record
            if rate is not None:
                rate.pace.add(record, picture.step, picture.ends)
            size += len(record.payload)
            report(FrameDone(record.duration if last is None else record.pts - last, len(record.payload)))
            last = record.pts

    def finish(group: GroupEncoder) -> None:
        nonlocal bits, seconds
        with exact_arithmetic():
            take(group.finish())
        gops.append(group.gop)
        bits += group.estimated_bits + END_BITS * len(group.records)
        if coding.verify:
            began = time.monotonic()
            decoder = GroupDecoder(model, coding.info, coding.device)
            for decoded in decoder.decode([GopChunk(gops[-1], 0, 0)]):
                for _ in decoded:
                    pass
            seconds += time.monotonic() - began

    for frame, around in with_around(frames):
        if group is not None and size >= GROUP_BYTES:
            finish(group)
            group = None
        if group is None:
            is_constant = rate is None
            group, size = GroupEncoder(model, coding.info, settings, where, waits=is_constant, chooses=is_constant), 0
        if rate is not None and group.is_between_runs:
            group.quality = rate.pace.quality(rate.seconds(frame.pts))
        with exact_arithmetic():
            coded = group.encode(frame, around)
        while (
            rate is not None
            and coded
            and len(group.records) == 1
            and group.quality > 1
            and rate.pace.is_too_dear(group.records[0])
        ):
            coarser = group.quality - _COARSER
            group = GroupEncoder(model, coding.info, settings, where, chooses=False)
            group.quality = max(1.0, coarser)
            with exact_arithmetic():
                coded = group.encode(frame, around)
        take(coded)
    if group is not None:
        finish(group)
    return Coded(tuple(gops), bits, seconds)


_load = functools.cache(load)


def code_in_worker(
    model: Path,
    coding: Coding,
    settings: EncoderSettings,
    spool: Path,
    threads: int | None,
    rate: GroupPace | None,
    report: Report,
) -> Coded:
    """:func:`code_stretch` of frames in a file, with a model that is loaded once per process.

    Args:
        threads: of the CPU; None leaves them as they are.
        rate: as there.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    return code_stretch(_load(model), coding, settings, read_frames(spool, coding.info), report, rate)
