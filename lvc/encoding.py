"""Encode: where media, codec and container meet. The library and the command line call this.

Everything heavy is imported inside the functions, so that importing this module costs nothing.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lvc import __version__
from lvc.catalogue import path_of
from lvc.compute import Load, check_counts, choose_device, cpu_threads, crew_of, processes, usual_workers
from lvc.edit import Edit
from lvc.ends import (
    OnWarning,
    PathOrStream,
    check_ends,
    checked_input,
    encoded_sink,
    is_file,
    is_one_file,
    name_of_source,
    pass_on,
)
from lvc.errors import InputError, LvcError
from lvc.memory import enough_memory
from lvc.passes import PASSES, passes_for
from lvc.progress import OnProgress
from lvc.share import Share, SharedFolder, parts_folder
from lvc.video import VideoInfo

if TYPE_CHECKING:
    from lvc.encoder import EncodeResult
    from lvc.encoder.search import Target, Try
    from lvc.encoder.source import Source

PRESETS = ("fast", "medium", "slow")
TUNES = ("psnr", "ssim")
DEFAULT_QUALITY = 60
DEFAULT_KEYINT = 250
_MOST_GROUPS = 1024
"""With so many groups of pictures all processes have work; a source may state any length."""


def encode(
    source: PathOrStream,
    destination: PathOrStream,
    *,
    quality: int = DEFAULT_QUALITY,
    preset: str = "medium",
    tune: str = "psnr",
    keyint: int = DEFAULT_KEYINT,
    device: str = "auto",
    threads: int | None = None,
    model: str | os.PathLike[str] | None = None,
    edit: Edit = Edit(),  # noqa: B008 -- it cannot change
    target: "Target | None" = None,
    max_bitrate: float | None = None,
    passes: int | None = None,
    tried: "Callable[[Try], None] | None" = None,
    workers: int | None = 1,
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
        tune: ``psnr`` for the smallest squared errors; ``ssim`` for the greatest likeness in structure at several
            scales (MS-SSIM), at the cost of PSNR.
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
        workers: processes to encode in; their number does not change the file. None takes as many as work fast
            together where the source is one file, see :func:`lvc.compute.usual_workers`.
        verify: decode each group of pictures after it was coded; None does so where the destination is a path.
        resume: go on where the same encode was interrupted, and leave what is done if this one is interrupted too.
        share: encode together with other processes, which are called with the same arguments and other ranks, and see
            the same files; all but rank 0 return when there is nothing left for them to do.
        overwrite: whether a file at ``destination`` may be replaced.
        progress: called as encoding goes on.
        warn: called with a sentence for everything that was changed on the way in, and where what is wanted was missed.

    Raises:
        LvcError: the size that is wanted is less than what audio and other streams take.
        InputError: the source is missing, no video, has no frames or is damaged; or it is a sequence of images or an
            address, of which nobody knows whether it has changed, and the encode is resumed or shared.
        LimitError: its pictures are outside the limits.
        ModelError: the model is unknown or damaged.
        OutputError: the destination exists, is the source, or cannot be written.
        MismatchError: what was coded does not decode to the same pictures.
        OutOfMemoryError: its pictures take too much memory.
        WorkerError: a process died again and again.
        ValueError: an option is outside its range, or does not go with another.
        TypeError: an option is of another type, such as text for a number.
    """
    if not 1 <= quality <= 100 or not 1 <= keyint <= 1024 or preset not in PRESETS or tune not in TUNES:
        raise ValueError(f"quality {quality}, keyint {keyint}, preset {preset!r} or tune {tune!r} is outside its range")
    check_counts(threads=threads, workers=workers)
    _check_rate(target, max_bitrate, passes)
    helping = share is not None and share.rank > 0
    check_ends(destination, source, overwrite or helping)
    from lvc.media import EditedSource, VideoReader

    to_file = is_file(destination)
    times = 0
    if target is not None or max_bitrate is not None:
        rate_only = target is None or target.bitrate is not None
        times = passes_for(source, passes, rate_only=rate_only, workers=workers or 1)
    if (resume or share) and not (to_file and is_file(source)):
        raise ValueError("only what goes from a file to a file can be resumed, or shared out to several processes")
    if share and (resume or (workers or 1) > 1 or times == 1):
        raise ValueError("what is shared out goes on by itself, in one process each, and not in one pass to a bit rate")
    with contextlib.ExitStack() as stack:
        stack.enter_context(enough_memory())
        reader = stack.enter_context(VideoReader(checked_input(source)))
        if (resume or share) and not is_one_file(source):
            reason = "only what is one file can be resumed, or shared out to several processes"
            raise InputError(f"{name_of_source(source)}: {reason}")
        edited = EditedSource(reader, edit, name_of_source(source))
        stack.enter_context(enough_memory(edited.info))
        alone = share is not None or times == 1 or not is_one_file(source)
        several = _workers(1 if workers is None and alone else workers, edited.info, keyint, device, threads)
        started = stack.enter_context(processes(several, threads, "lvc.encoder.stretch"))
        from lvc.encoder import EncoderSettings, encode_stream
        from lvc.encoder.aiming import aim_at_once, aim_with_samples, missed
        from lvc.model import find_model

        if edit.fps not in (None, reader.info.frame_rate) and reader.has_sound and warn is not None:
            warn("audio and subtitles keep their times at another frame rate and no longer go with the pictures")
        chosen = choose_device(device)
        stack.enter_context(cpu_threads(threads))
        name = None if model is None else os.fspath(model)
        found = find_model(name)
        settings = EncoderSettings(quality=quality, preset=preset, tune=tune, keyint=keyint)
        verified = to_file if verify is None else verify
        depends = (__version__, found.id.hex(), settings, edit, chosen, verified)
        folder = None
        if share is not None:
            path = parts_folder(cast(str, destination), _key(source, *depends, target, max_bitrate))
            folder = stack.enter_context(SharedFolder(path, share))
        frames: Source = edited
        rate = best = None
        said: dict[str, None] = {}
        if times == 1:
            bitrate = None if target is None else target.bitrate
            frames, settings, rate = aim_at_once(edited, settings, bitrate, max_bitrate, found, chosen)
        elif times == 2:
            with VideoReader(source) as first:
                show = tried or (lambda _: None)
                whole = EditedSource(first, edit, name_of_source(source))
                settings, rate, best = aim_with_samples(whole, settings, target, max_bitrate, found, chosen, show)
        if folder is not None:
            from lvc.encoder.shared import encode_shared

            if rate is not None:
                raise LvcError("a bit rate or size for a long file is met by one process alone: unset WORLD_SIZE")
            result = encode_shared(
                lambda: _edited(source, edit, said),
                cast(str, destination),
                folder,
                model=found,
                settings=settings,
                device=chosen,
                verify=verified,
                progress=progress,
            )
        else:
            place = os.path.realpath(cast(str, source)) if is_one_file(source) else None
            key = _key(source, place, *depends, rate) if to_file else None
            sink, unfinished = stack.enter_context(encoded_sink(destination, key, resume))
            result = encode_stream(
                frames,
                sink,
                model=found,
                settings=settings,
                rate=rate,
                device=chosen,
                crew=crew_of(started, several, path_of(name), threads),
                verify=verified,
                unfinished=unfinished,
                progress=progress,
            )
    pass_on(reader, warn)
    if warn is not None and not helping:
        for sentence in (*said, *missed(result, target, max_bitrate, best)):
            if sentence not in reader.warnings:
                warn(sentence)
    return result


def _workers(wanted: int | None, info: VideoInfo, keyint: int, device: str, threads: int | None) -> int:
    """How many processes encode a source: as many as are wanted, or as are usual, going by its stated length."""
    if wanted is not None:
        return wanted
    whole, rest = divmod(info.frames or 0, keyint)
    groups = [*[keyint] * min(whole, _MOST_GROUPS), *[rest] * (rest > 0)]
    return usual_workers(Load(info, groups), device, threads)


def _check_rate(target: "Target | None", max_bitrate: float | None, passes: int | None) -> None:
    """Raise ValueError where what is wanted of the size is nothing, or outside its range."""
    if target is not None and not target.wants_any:
        raise ValueError("the target wants nothing: give a bit rate, a size or a likeness")
    if max_bitrate is not None and not 0 < max_bitrate < float("inf"):
        raise ValueError(f"max_bitrate {max_bitrate} is outside its range")
    if passes not in (None, *PASSES):
        raise ValueError(f"{passes} passes: 1 or 2 are possible")


@contextlib.contextmanager
def _edited(source: PathOrStream, edit: Edit, said: dict[str, None]) -> "Iterator[Source]":
    """A source with its edit, from the start; what it warns of is added to ``said``, each sentence once."""
    from lvc.media import EditedSource, VideoReader

    with VideoReader(source) as reader:
        yield EditedSource(reader, edit, name_of_source(source))
        said.update(dict.fromkeys(reader.warnings))


def _key(source: PathOrStream, *what: object) -> str:
    """Names an encode by all that its bytes depend on, and by whether they were verified.

    Args:
        source: of a file, name, size and time count; not its folder, which other hosts may see in another place.
        what: else counts.
    """
    known = list(what)
    if is_one_file(source):
        path = Path(cast(str, source))
        status = path.stat()
        known += [path.name, status.st_size, status.st_mtime_ns]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:12]
