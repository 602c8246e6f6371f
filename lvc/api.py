"""Encode, decode and open: where media, container and codec meet. The library and the command line call these.

Everything heavy is imported inside the functions, so that importing this module costs nothing.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from lvc.catalogue import path_for, path_of
from lvc.container import Reader
from lvc.edit import Edit, Span
from lvc.ends import (
    PathOrStream,
    check_ends,
    checked_input,
    encoded_sink,
    is_file,
    opened_sink,
    opened_source,
    video_target,
)
from lvc.errors import FormatError, InputError, LvcError, ModelError
from lvc.passes import passes_for
from lvc.progress import Progress
from lvc.share import Share, SharedFolder, parts_folder
from lvc.summary import Summary, summarise
from lvc.video import Frame, VideoInfo
from lvc.workers import Crew

if TYPE_CHECKING:
    from lvc.decoder import Decoder
    from lvc.encoder import EncodeResult
    from lvc.encoder.search import Target, Try
    from lvc.encoder.source import Source
    from lvc.media import VideoReader, VideoWriter
    from lvc.splice import SpliceResult

PRESETS = ("fast", "medium", "slow")
DEVICES = ("auto", "cpu", "cuda")
DEFAULT_QUALITY = 60
DEFAULT_KEYINT = 250

OnProgress = Callable[[Progress], None]
OnWarning = Callable[[str], None]


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


def encode(
    source: PathOrStream,
    destination: PathOrStream,
    *,
    quality: int = DEFAULT_QUALITY,
    preset: str = "medium",
    keyint: int = DEFAULT_KEYINT,
    device: str = "auto",
    threads: int | None = None,
    model: str | os.PathLike[str] | None = None,
    edit: Edit = Edit(),  # noqa: B008 -- it cannot change
    target: "Target | None" = None,
    max_bitrate: float | None = None,
    passes: int | None = None,
    tried: "Callable[[Try], None] | None" = None,
    workers: int = 1,
    verify: bool | None = None,
    resume: bool = False,
    share: Share | None = None,
    overwrite: bool = False,
    progress: OnProgress | None = None,
    warn: OnWarning | None = None,
) -> "EncodeResult":
    """Encode a video to `.lvc`.

    Args:
        source: any video that FFmpeg opens; from standard input and open files, y4m or what can be read in one go.
        destination: where the `.lvc` bytes go. A path appears only when it is complete.
        quality: 1 to 100, higher is better.
        preset: ``fast``, ``medium`` or ``slow``: effort of the encoder only, the decoder does not know it.
        keyint: most frames from one intra frame to the next, 1 to 1024.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of the CPU, in each process; None shares all cores out.
        model: name of an installed model, or path of a model file; None for the default one.
        edit: what is done to the source first: a part of it, cropped, scaled.
        target: the size or likeness that is wanted, instead of ``quality``; for all but a bit rate the source must be
            a file, as it is read twice.
        max_bitrate: most bits per second of the video, on average: where it would be exceeded, it is the target.
        passes: over the source, for a bit rate: 2 finds the quality by samples first, 1 adapts it while the encode
            runs; None takes 2 for files and 1 for pipes.
        tried: called with every quality that was tried on samples.
        workers: processes to encode in; their number does not change the file.
        verify: decode each group of pictures after it was coded; None does so where the destination is a path.
        resume: go on where the same encode was interrupted, and leave what is done if this one is interrupted too.
        share: encode together with other processes, which are called with the same arguments and other ranks, and see
            the same files; all but rank 0 return when there is nothing left for them to do.
        overwrite: whether a file at ``destination`` may be replaced.
        progress: called as encoding goes on.
        warn: called with a sentence for everything that was changed on the way in.

    Raises:
        InputError: the source is missing, no video, has no frames or is damaged.
        LimitError: its pictures are outside the limits.
        ModelError: the model is unknown or damaged.
        OutputError: the destination exists, is the source, or cannot be written.
        MismatchError: what was coded does not decode to the same pictures.
        WorkerError: a process died again and again.
        ValueError: an option is outside its range, or does not go with another.
    """
    if not 1 <= quality <= 100 or not 1 <= keyint <= 1024 or preset not in PRESETS:
        raise ValueError(f"quality {quality}, keyint {keyint} or preset {preset!r} is outside its range")
    helping = share is not None and share.rank > 0
    check_ends(destination, source, overwrite or helping)
    from lvc.media import EditedSource, VideoReader

    to_file = is_file(destination)
    times = 0
    if target is not None or max_bitrate is not None:
        rate_only = target is None or target.bitrate is not None
        times = passes_for(source, passes, rate_only=rate_only, workers=workers)
    if (resume or share) and not (to_file and is_file(source)):
        raise ValueError("only what goes from a file to a file can be resumed, or shared out to several processes")
    if share and (resume or workers > 1 or times == 1):
        raise ValueError("what is shared out goes on by itself, in one process each, and not in one pass to a bit rate")
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(VideoReader(checked_input(source)))
        from lvc.encoder import EncoderSettings, encode_stream
        from lvc.encoder.aiming import aim_at_once, aim_with_samples
        from lvc.model import find_model

        edited = EditedSource(reader, edit)
        chosen = choose_device(device, threads)
        name = None if model is None else os.fspath(model)
        found = find_model(name)
        settings = EncoderSettings(quality=quality, preset=preset, keyint=keyint)
        folder = None
        if share is not None:
            path = parts_folder(cast(str, destination), _key(source, found.id, settings, edit, target, max_bitrate))
            folder = stack.enter_context(SharedFolder(path, share))
        frames: Source = edited
        rate = None
        if times == 1:
            bitrate = None if target is None else target.bitrate
            frames, settings, rate = aim_at_once(edited, settings, bitrate, max_bitrate, found, chosen)
        elif times == 2:
            with VideoReader(source) as first:
                show = tried or (lambda _: None)
                whole = EditedSource(first, edit)
                settings, rate = aim_with_samples(whole, settings, target, max_bitrate, found, chosen, show)
        verified = to_file if verify is None else verify
        if folder is not None:
            from lvc.encoder.shared import encode_shared

            if rate is not None:
                raise LvcError("a bit rate or size for a long file is met by one process alone: unset WORLD_SIZE")
            result = encode_shared(
                lambda: _edited(source, edit),
                cast(str, destination),
                folder,
                model=found,
                settings=settings,
                device=chosen,
                verify=verified,
                progress=progress,
            )
        else:
            key = _key(source, found.id, settings, edit, rate) if to_file else None
            sink, unfinished = stack.enter_context(encoded_sink(destination, key, resume))
            result = encode_stream(
                frames,
                sink,
                model=found,
                settings=settings,
                rate=rate,
                device=chosen,
                crew=_crew(workers, path_of(name), threads),
                verify=verified,
                unfinished=unfinished,
                progress=progress,
            )
    _pass_on(reader, warn)
    return result


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
    workers: int = 1,
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
        crf: its constant rate factor; None for a visually lossless one.
        lossless: FFV1 in Matroska.
        device, threads: as in :func:`encode`. The pictures are the same on every one of them.
        batch: groups of pictures that are decoded together: faster on a GPU, with more memory.
        model: name or path of the very model that the file was encoded with, where that is not installed.
        span: the frames that are wanted; the output begins at time 0 then. A file is read only where they are.
        workers: processes to decode in, unless ``span`` has a number of frames.
        preview: only the first picture of each group, at a fraction of the time; no side streams.
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
        OutputError: the destination exists, is the source, or cannot be written.
    """
    check_ends(destination, source, overwrite)
    with opened_source(source) as stream:
        decoder = _decoder(
            stream,
            device,
            threads,
            batch=batch,
            model=model,
            keep_going=keep_going,
            progress=progress,
            span=span,
            workers=workers,
            preview=preview,
            layers=layers,
        )
        from lvc.media import VideoWriter

        with video_target(destination) as target:
            with VideoWriter(target, decoder.info, format=format, codec=codec, crf=crf, lossless=lossless) as writer:
                frames = _copy(decoder, writer, span)
            if not frames and span.start and not decoder.damage:
                raise InputError(f"the file has no frame {float(span.start):.6g} seconds after its first one")
            if not frames:
                raise FormatError("not one whole picture could be decoded")
        _pass_on(writer, warn)
        result = DecodeResult(frames, decoder.truncated, tuple(decoder.damage))
        if warn is not None:
            for sentence in result.damage:
                warn(sentence)
        return result


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
    with opened_source(source) as stream:
        decoder = _decoder(stream, device, threads, batch=batch, model=model, progress=progress)
        frames = sum(isinstance(item, Frame) for item in decoder)
        return DecodeResult(frames, decoder.truncated, tuple(decoder.damage))


def inspect(source: PathOrStream) -> Summary:
    """What a `.lvc` file holds, without decoding it: see :class:`lvc.summary.Summary`.

    Raises:
        InputError: the source is missing.
        FormatError, TruncatedError, LimitError: its header is damaged, or it is no `.lvc` file.
    """
    with opened_source(source) as stream:
        return summarise(stream)


def cat(
    sources: Sequence[PathOrStream],
    destination: PathOrStream,
    *,
    video_only: bool = False,
    overwrite: bool = False,
) -> "SpliceResult":
    """Join `.lvc` files without encoding them again.

    Args:
        sources: same model, picture size and description, and the same other streams; they must be able to seek.
        destination: as in :func:`encode`.
        video_only: leave audio and all other streams out.
        overwrite: as in :func:`encode`.

    Raises:
        InputError: one is missing, empty or a pipe, or they do not fit together.
        FormatError, TruncatedError: one is damaged.
        LimitError: their time bases differ too much.
        OutputError: the destination exists, is a source, or cannot be written.
    """
    return _splice([(source, Fraction(0), None) for source in sources], destination, video_only, overwrite)


def cut(
    source: PathOrStream,
    destination: PathOrStream,
    *,
    start: Fraction = Fraction(0),
    end: Fraction | None = None,
    video_only: bool = False,
    overwrite: bool = False,
) -> "SpliceResult":
    """Cut whole groups of pictures out of a `.lvc` file without encoding them again.

    Args:
        start, end: seconds after the first frame; see :class:`lvc.splice.Piece`.
        source, destination, video_only, overwrite: as in :func:`cat`.

    Raises:
        The errors of :func:`cat`.
    """
    return _splice([(source, start, end)], destination, video_only, overwrite)


def _splice(
    sources: Sequence[tuple[PathOrStream, Fraction, Fraction | None]],
    destination: PathOrStream,
    video_only: bool,
    overwrite: bool,
) -> "SpliceResult":
    for source, _, _ in sources:
        check_ends(destination, source, overwrite)
    with contextlib.ExitStack() as stack:
        pieces = []
        from lvc.splice import Piece, splice

        for source, start, end in sources:
            name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the input"
            pieces.append(Piece(name, stack.enter_context(opened_source(source)), start, end))
        with opened_sink(destination) as sink:
            return splice(pieces, sink, video_only=video_only)


class Video:
    """A `.lvc` file that is open for decoding: iterate over it for its frames, in presentation order.

    Attributes:
        info: what is true of the whole stream: size, bit depth, time base, colour ...
    """

    info: VideoInfo

    def __init__(self, decoder: "Decoder", resources: contextlib.ExitStack) -> None:
        self.info = decoder.info
        self._decoder = decoder
        self._resources = resources

    @property
    def damage(self) -> list[str]:
        """What was wrong with the file so far, a sentence each; only ever filled with ``keep_going``."""
        return list(self._decoder.damage)

    def __iter__(self) -> Iterator[Frame]:
        return (item for item in self._decoder if isinstance(item, Frame))

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

    Args and errors: as in :func:`decode`.
    """
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(opened_source(source))
        decoder = _decoder(stream, device, threads, batch=batch, model=model, keep_going=keep_going)
        return Video(decoder, stack.pop_all())


def choose_device(name: str, threads: int | None = None) -> str:
    """``cpu`` or ``cuda``: what ``auto`` means here; sets the number of CPU threads where one is given.

    Raises:
        LvcError: ``cuda`` was asked for and is not there.
        ValueError: an unknown name.
    """
    if name not in DEVICES:
        raise ValueError(f"{name!r} is none of {', '.join(DEVICES)}")
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if name == "cpu":
        return name
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise LvcError("there is no CUDA device that torch can use: choose --device cpu")
    return "cuda" if found else "cpu"


def _decoder(
    stream: BinaryIO,
    device: str,
    threads: int | None,
    *,
    batch: int,
    model: str | os.PathLike[str] | None,
    keep_going: bool = False,
    progress: OnProgress | None = None,
    span: Span = Span(),  # noqa: B008 -- it cannot change
    workers: int = 1,
    preview: bool = False,
    layers: int | None = None,
) -> "Decoder":
    from lvc.decoder import Decoder
    from lvc.group_decoder import ALL_LAYERS
    from lvc.model import Model, find_model, model_for

    def crew_for(identity: bytes) -> Crew | None:
        path = path_for(identity) if model is None else path_of(os.fspath(model))
        return None if path is None or span.frames is not None else _crew(workers, path, threads)

    def the_one_given(identity: bytes) -> Model:
        found = find_model(os.fspath(model or ""))
        if found.id != identity:
            raise ModelError(f"{model}: this file was encoded with another model, {identity.hex()[:16]}...")
        return found

    return Decoder(
        stream,
        device=choose_device(device, threads),
        batch=batch,
        keep_going=keep_going,
        load_model=model_for if model is None else the_one_given,
        progress=_with_total(stream, progress, span, preview or layers is not None),
        span=span,
        crew_for=crew_for,
        preview=preview or layers is not None,
        layers=ALL_LAYERS if layers is None else layers,
    )


def _with_total(stream: BinaryIO, progress: OnProgress | None, span: Span, preview: bool) -> OnProgress | None:
    """``progress``, told the number of frames where the file can be asked for it."""
    if progress is None or span.start or not stream.seekable():
        return progress
    start = stream.tell()
    try:
        total = sum(1 if preview else entry.frames for entry in Reader(stream).read_index())
    except LvcError:  # to be met again, and told, when it is decoded
        return progress
    finally:
        stream.seek(start)
    total = total if span.frames is None else min(total, span.frames)
    return lambda report: progress(replace(report, total=total))


@contextlib.contextmanager
def _edited(source: PathOrStream, edit: Edit) -> "Iterator[Source]":
    """A source with its edit, from the start."""
    from lvc.media import EditedSource, VideoReader

    with VideoReader(source) as reader:
        yield EditedSource(reader, edit)


def _key(source: PathOrStream, *what: object) -> str:
    """Names an encode by all that its bytes depend on: the source file, model, settings ..."""
    known: list[object] = [part.hex() if isinstance(part, bytes) else part for part in what]
    if isinstance(source, (str, os.PathLike)) and Path(source).is_file():
        status = Path(source).stat()
        known += [Path(source).name, status.st_size, status.st_mtime_ns]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:12]


def _crew(workers: int, model: Path, threads: int | None) -> Crew | None:
    """The processes for ``workers`` over one; they share the cores unless ``threads`` are given."""
    if workers == 1:
        return None
    return Crew(workers, model, threads or max(1, (os.cpu_count() or 1) // workers))


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


def _pass_on(end: "VideoReader | VideoWriter", warn: OnWarning | None) -> None:
    if warn is not None:
        for sentence in end.warnings:
            warn(sentence)
