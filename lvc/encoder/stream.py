"""The encoder's loop: frames in, groups of pictures out."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lvc.container import Header, Writer
from lvc.encoder.encoded import EncodedFile
from lvc.encoder.plan import stretches
from lvc.encoder.rate import Aim, GroupPace, RateControl
from lvc.encoder.resume import Finished
from lvc.encoder.settings import EncodeResult, EncoderSettings
from lvc.encoder.source import Source, side_of
from lvc.encoder.stretch import Coded, Coding, code_in_worker, code_stretch
from lvc.errors import InputError
from lvc.model import Model
from lvc.progress import Progress
from lvc.scratch import scratch_folder
from lvc.spool import read_frames, write_frames
from lvc.video import Frame
from lvc.workers import Call, Crew


def encode_stream(
    source: Source,
    sink: BinaryIO,
    *,
    model: Model,
    settings: EncoderSettings,
    rate: Aim | None = None,
    device: str = "cpu",
    crew: Crew | None = None,
    verify: bool = False,
    unfinished: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> EncodeResult:
    """Encode all frames of a source into a `.lvc` stream. Memory does not grow with the length.

    The bytes do not depend on where and in how many processes they are made.

    Args:
        sink: written front to back, never sought.
        rate: what the file is to cost; the quality of the settings only says what stands in its header then.
        crew: encode in other processes; None encodes in this one. Their frames wait in a temporary folder.
        verify: decode each group after it was coded, and compare.
        unfinished: what an interrupted run with the same arguments has left; its whole groups are not coded again.
            ``sink`` may write to this very file, from its start; what remains of it behind the end is not cut off.
        progress: called after every picture.

    Raises:
        InputError: the source has no frames.
        LimitError: sizes over the limits.
        MismatchError: ``verify`` found a difference.
        WorkerError: a process died again and again.
        OutputError: the temporary folder is full.
    """
    began = time.monotonic()
    header = Header(model_id=model.id, info=source.info, quality=round(settings.quality), keyint=settings.keyint)
    output = EncodedFile(Writer(sink, header), source.info, progress)
    coding = Coding(source.info, device, verify)
    finished = None if unfinished is None else Finished(unfinished, header)
    output.add_side(side_of(source))
    spooling = crew is not None or finished is not None
    control = None if rate is None else RateControl(rate, source.info)
    with scratch_folder() if spooling else contextlib.nullcontext(Path()) as folder:
        parts = _paced(_unfinished(stretches(source, source.info, settings), finished, coding, folder), control)
        if crew is None:
            for frames, before, pace in parts:
                if before is None:
                    coded = code_stretch(model, coding, settings, frames, output.report, pace)
                    output.add(coded)
                else:
                    coded = before
                    output.add_again(coded)
                if control is not None:
                    control.add(coded.gops)
                output.add_side(side_of(source))
        else:
            calls = _calls(parts, source, crew, coding, settings, folder)
            for part, result in crew.workers.in_order(calls, output.report, None if rate is None else rate.delay):
                coded = part.before or result
                if part.before is not None:
                    output.add_again(coded)
                else:
                    part.spool.unlink()
                    output.add(coded)
                if control is not None:
                    control.add(coded.gops)
                output.add_side(part.side)
    if not output.result.frames:
        raise InputError("the input holds no frames")
    return output.finish(time.monotonic() - began)


_Stretch = tuple[Iterable[Frame], Coded | None]
"""Frames to be coded; or none, and what they were coded to before."""


def _unfinished(
    parts: Iterable[Iterator[Frame]], finished: Finished | None, coding: Coding, folder: Path
) -> Iterator[_Stretch]:
    """Stretches, with those that need not be coded again."""
    spool = folder / "unfinished"
    for frames in parts:
        if finished is None or finished.is_over:
            yield frames, None
            continue
        times: list[tuple[int, int]] = []

        def noted(frames: Iterator[Frame], times: list[tuple[int, int]]) -> Iterator[Frame]:
            for frame in frames:
                times.append((frame.pts, frame.duration))
                yield frame

        write_frames(spool, coding.info, noted(frames, times))
        gops = finished.take(times)
        if gops is None:
            yield read_frames(spool, coding.info), None
        else:
            size = sum(len(record.payload) for gop in gops for record in gop.frames)
            yield (), Coded(gops, 8.0 * size)


def _paced(
    parts: Iterable[_Stretch], control: RateControl | None
) -> Iterator[tuple[Iterable[Frame], Coded | None, GroupPace | None]]:
    """Stretches, with the state of rate control at their start."""
    for frames, before in parts:
        if control is None:
            yield frames, before, None
        elif before is not None:
            yield frames, before, control.start(before.gops[0].frames[0].pts)
        else:
            following = iter(frames)
            first = next(following)
            yield itertools.chain([first], following), None, control.start(first.pts)


@dataclass(frozen=True)
class _Part:
    """A stretch that waits in a file, unless it has been coded before, and the side data behind it."""

    spool: Path
    before: Coded | None
    side: list[bytes]


def _calls(
    parts: Iterable[tuple[Iterable[Frame], Coded | None, GroupPace | None]],
    source: Source,
    crew: Crew,
    coding: Coding,
    settings: EncoderSettings,
    folder: Path,
) -> Iterator[tuple[_Part, Call | None]]:
    for number, (frames, before, pace) in enumerate(parts):
        spool = folder / str(number)
        if before is not None:
            yield _Part(spool, before, side_of(source)), None
            continue
        write_frames(spool, coding.info, frames)
        call = Call(code_in_worker, (crew.model, coding, settings, spool, crew.threads, pace))
        yield _Part(spool, None, side_of(source)), call
