"""Decode, verify and open: where container, codec and media meet. The library and the command line call these.

Everything heavy is imported inside the functions, so that importing this module costs nothing.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from lvc.catalogue import model_info, path_for, path_of
from lvc.compute import (
    Load,
    check_counts,
    check_device,
    choose_device,
    cpu_threads,
    crew_of,
    processes,
    usual_workers,
)
from lvc.container import Reader
from lvc.edit import Span
from lvc.ends import (
    OnWarning,
    PathOrStream,
    check_ends,
    name_of_source,
    naming,
    opened_source,
    pass_on,
    video_target,
)
from lvc.errors import FormatError, InputError, LvcError, ModelError
from lvc.memory import enough_memory
from lvc.progress import OnProgress
from lvc.video import Frame, VideoInfo
from lvc.workers import Crew

if TYPE_CHECKING:
    from lvc.decoder import Decoder
    from lvc.media import VideoWriter
    from lvc.model import Model


@dataclass(frozen=True)
class DecodeResult:
    """What was decoded.

    Attributes:
        frames: number of pictures, each compared with the checksum that the encoder stored, unless ``layers`` left
            something out.
        truncated: whether the end of the file is missing.
        damage: what was wrong with the file, a sentence each; only ever filled with ``keep_going``.
    """

    frames: int
    truncated: bool
    damage: tuple[str, ...]


def decode(
    source: PathOrStream,
    destination: PathOrStream,
    *,
    format: str | None = None,  # noqa: A002 -- the word for it
    codec: str | None = None,
    crf: float | None = None,
    lossless: bool = False,
    device: str = "auto",
    threads: int | None = None,
    batch: int = 1,
    model: str | os.PathLike[str] | None = None,
    span: Span = Span(),  # noqa: B008 -- it cannot change
    workers: int | None = 1,
    preview: bool = False,
    layers: int | None = None,
    keep_going: bool = False,
    overwrite: bool = False,
    progress: OnProgress | None = None,
    warn: OnWarning | None = None,
) -> DecodeResult:
    """Decode a `.lvc` file, or a part of it, to a video.

    Args:
        source: the `.lvc` bytes; pipes are fine.
        destination: where the video goes; its extension chooses the format. Standard output and open files get y4m.
            A path appears only when it is complete.
        format: mp4, mov, matroska, webm or y4m, where the extension does not say it.
        codec: an encoder of FFmpeg; None for libx264.
        crf: its constant rate factor, 0 to 51 (x264, x265) or 63 (VP9, AV1); None for a visually lossless one.
        lossless: FFV1 in Matroska.
        device, threads: as in :func:`encode`. The pictures are the same on every one of them.
        batch: groups of pictures that are decoded together, 1 or more: faster on a GPU, with more memory.
        model: name or path of the very model that the file was encoded with, where that is not installed.
        span: the frames that are wanted; the output begins at time 0 then. A file is read only where they are.
        workers: processes to decode in, unless ``span`` has a number of frames. None takes as many as work fast
            together where all of a file is decoded, see :func:`lvc.compute.usual_workers`.
        preview: only the first picture of each group, at a fraction of the time; no side streams. Those of a ``span``
            begin with the group in which it starts.
        layers: how many bands of frequencies of these pictures are decoded, 1 (low) to 3 (all): coarser previews,
            sooner. A number implies ``preview``; with fewer than 3, pictures cannot be compared with their checksums.
        keep_going: decode what a damaged or truncated file still holds.
        overwrite, progress: as in :func:`encode`.
        warn: called with a sentence for everything that was changed on the way out, and for all damage.

    Raises:
        InputError: the source is missing, or ends before ``span``.
        FormatError, TruncatedError: it is damaged, or with ``keep_going`` holds not one whole picture.
        ModelError: the model that it needs is not installed, or is not the one given.
        MismatchError: this machine decodes other pictures than the encoder saw.
        OutOfMemoryError: its pictures take too much memory.
        OutputError: the destination exists, is the source, or cannot be written.
        ValueError: an option is outside its range, or ``crf`` given to an encoder that has none.
    """
    check_device(device)
    check_counts(threads=threads, batch=batch, workers=workers, layers=layers)
    if crf is not None and not lossless:
        check_crf(destination, format, codec, crf)
    check_ends(destination, source, overwrite)
    preview = preview or layers is not None
    with naming(name_of_source(source)), opened_source(source) as stream, contextlib.ExitStack() as stack:
        stack.enter_context(enough_memory())
        whole = batch == 1 and span == Span()
        load = _load(stream, preview) if whole and workers is None else None
        several = 1 if span.frames else workers or (usual_workers(load, device, threads) if load else 1)
        started = stack.enter_context(processes(several, threads, "lvc.group_decoder"))
        if started is None:
            stack.enter_context(cpu_threads(threads))
        decoder = _decoder(
            stream,
            device if started else choose_device(device),
            batch=batch,
            model=model,
            keep_going=keep_going,
            progress=progress,
            span=span,
            crew_for=lambda path: crew_of(started, several, path, threads),
            preview=preview,
            layers=layers,
        )
        from lvc.media import VideoWriter

        with enough_memory(decoder.info), video_target(destination) as target:
            with VideoWriter(target, decoder.info, format=format, codec=codec, crf=crf, lossless=lossless) as writer:
                frames = _copy(decoder, writer, span)
            if not frames and span.start and not decoder.damage:
                missing = f"there is no frame {float(span.start):.6g} seconds after its first one"
                raise InputError(f"{name_of_source(source)}: {missing}")
            if not frames:
                raise FormatError("not one whole picture could be decoded")
        pass_on(writer, warn)
        result = DecodeResult(frames, decoder.truncated, tuple(decoder.damage))
        if warn is not None:
            for sentence in result.damage:
                warn(sentence)
        return result


def check_crf(destination: PathOrStream, format: str | None, codec: str | None, crf: float) -> None:  # noqa: A002
    """Refuse a rate factor that would be ignored; arguments as in :func:`decode`.

    Raises:
        ValueError: the encoder of the output has none, or it is outside its range.
        OutputError: the format is unknown, or the encoder.
    """
    from lvc.media.encoders import check_rate_factor
    from lvc.media.writer import muxer_of

    path = os.fspath(destination) if isinstance(destination, (str, os.PathLike)) else None
    muxer = muxer_of(path, format, lossless=False)
    if muxer != "y4m":  # takes neither codec nor rate factor, which is said elsewhere
        check_rate_factor(muxer, codec, crf)


def verify(
    source: PathOrStream,
    *,
    device: str = "auto",
    threads: int | None = None,
    batch: int = 1,
    model: str | os.PathLike[str] | None = None,
    progress: OnProgress | None = None,
) -> DecodeResult:
    """Decode a `.lvc` file and compare every checksum, those of the decoded pictures included. Writes nothing.

    Raises:
        The errors of :func:`decode`, without OutputError: returning means that nothing is wrong.
    """
    with naming(name_of_source(source)), enough_memory(), opened_source(source) as stream, cpu_threads(threads):
        decoder = _decoder(stream, choose_device(device), batch=batch, model=model, progress=progress)
        frames = sum(isinstance(item, Frame) for item in decoder)
        return DecodeResult(frames, decoder.truncated, tuple(decoder.damage))


def _frames_of(name: str, decoder: "Decoder") -> Iterator[Frame]:
    with naming(name):
        yield from (item for item in decoder if isinstance(item, Frame))


class Video:
    """A `.lvc` file that is open for decoding: iterate over it for its frames, in presentation order, once.

    Files may be pipes, so there is no way back: a second loop goes on where the first one was left.

    Attributes:
        info: what is true of the whole stream: size, bit depth, time base, colour ...
    """

    info: VideoInfo

    def __init__(self, name: str, decoder: "Decoder", resources: contextlib.ExitStack) -> None:
        self.info = decoder.info
        self._decoder = decoder
        self._resources = resources
        self._frames = _frames_of(name, decoder)  # which must not hold the video that holds it

    @property
    def damage(self) -> list[str]:
        """What was wrong with the file so far, a sentence each; only ever filled with ``keep_going``."""
        return list(self._decoder.damage)

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def close(self) -> None:
        """Let go of the file."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open(  # noqa: A001 -- meant to be written lvc.open
    source: PathOrStream,
    *,
    device: str = "auto",
    threads: int | None = None,
    batch: int = 1,
    model: str | os.PathLike[str] | None = None,
    keep_going: bool = False,
) -> Video:
    """Open a `.lvc` file: ``with lvc.open(path) as video: for frame in video: ...``.

    Args:
        source: the `.lvc` bytes; pipes are fine.
        device: ``auto``, ``cpu`` or ``cuda``. The pictures are the same on every one of them.
        threads: of the CPU, 1 or more, for PyTorch as a whole until the video is closed; None takes all cores.
        batch: groups of pictures that are decoded together, 1 or more: faster on a GPU, with more memory.
        model: name or path of the very model that the file was encoded with, where that is not installed.
        keep_going: give what a damaged or truncated file still holds; ``damage`` of the video says what is wrong.

    Raises:
        InputError: the source is missing.
        FormatError, TruncatedError: it is damaged, or no `.lvc` file; behind its header this is found by iterating.
        LimitError: its picture size is outside the limits.
        ModelError: the model that it needs is not installed, or is not the one given.
        MismatchError: by iterating: this machine decodes other pictures than the encoder saw.
        OutOfMemoryError: its pictures take too much memory.
        ValueError: an option is outside its range.
    """
    name = name_of_source(source)
    with naming(name), enough_memory(), contextlib.ExitStack() as stack:
        stream = stack.enter_context(opened_source(source))
        stack.enter_context(cpu_threads(threads))
        decoder = _decoder(stream, choose_device(device), batch=batch, model=model, keep_going=keep_going)
        return Video(name, decoder, stack.pop_all())


def _decoder(
    stream: BinaryIO,
    device: str,
    *,
    batch: int,
    model: str | os.PathLike[str] | None,
    keep_going: bool = False,
    progress: OnProgress | None = None,
    span: Span = Span(),  # noqa: B008 -- it cannot change
    crew_for: Callable[[Path], Crew | None] = lambda _: None,
    preview: bool = False,
    layers: int | None = None,
) -> "Decoder":
    from lvc.decoder import ALL_LAYERS, Decoder

    def path_with(identity: bytes) -> Path | None:
        if model is None:
            return path_for(identity)
        path = path_of(os.fspath(model))
        if model_info(path).id != identity:
            raise ModelError(f"{model}: this file was encoded with another model, {identity.hex()[:16]}...")
        return path

    def crew_with(identity: bytes) -> Crew | None:
        path = path_with(identity)
        return None if path is None else crew_for(path)

    def the_one_given(_: bytes) -> "Model":
        from lvc.model import find_model

        return find_model(os.fspath(model or ""))

    return Decoder(
        stream,
        device=device,
        batch=batch,
        keep_going=keep_going,
        load_model=None if model is None else the_one_given,
        progress=_with_total(stream, progress, span, preview),
        span=span,
        crew_for=crew_with,
        preview=preview,
        layers=ALL_LAYERS if layers is None else layers,
    )


def _load(stream: BinaryIO, preview: bool) -> Load | None:
    """What is to be decoded of a whole file; None where it cannot be asked for that."""
    if not stream.seekable():
        return None
    start = stream.tell()
    try:
        reader = Reader(stream)
        groups = [1 if preview else entry.frames for entry in reader.read_index()]
    except LvcError:  # to be met again, and told, when it is decoded
        return None
    finally:
        stream.seek(start)
    return Load(reader.header.info, groups)


def _with_total(stream: BinaryIO, progress: OnProgress | None, span: Span, preview: bool) -> OnProgress | None:
    """``progress``, told the number of frames where the file can be asked for it."""
    load = None if progress is None or span.start else _load(stream, preview)
    if progress is None or load is None:
        return progress
    total = load.frames if span.frames is None else min(load.frames, span.frames)
    return lambda report: progress(replace(report, total=total))


def _copy(decoder: "Decoder", writer: "VideoWriter", span: Span) -> int:
    """All frames and side data from one to the other; how many frames."""
    from lvc.media.retime import PartWriter

    part = None if span == Span() else PartWriter(writer, decoder.info)
    target = part or writer
    frames = 0
    for item in decoder:
        if isinstance(item, Frame):
            target.write(item)
            frames += 1
        else:
            target.write_side(item.data)
    if part is not None:
        part.finish()
    return frames
