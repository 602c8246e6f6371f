"""The decoder's loop: groups of pictures in, frames out.

What computes is imported where it is needed: a process whose workers decode has no need of it.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lvc.compute import check_counts, choose_device, cpu_threads
from lvc.container import Chunk, Gop, GopChunk, Part, Reader, SideChunk
from lvc.edit import Span
from lvc.errors import FormatError
from lvc.memory import enough_memory
from lvc.progress import Progress
from lvc.scratch import scratch_folder
from lvc.spool import read_frames, write_frames
from lvc.video import Frame, VideoInfo
from lvc.workers import Call, Crew, Report

if TYPE_CHECKING:
    from lvc.media.sidecheck import SideCheck
    from lvc.model import Model

ALL_LAYERS = 3
"""Low, middle and high frequencies."""


@dataclass(frozen=True)
class SideSegment:
    """Packets of other streams, for :meth:`lvc.media.VideoWriter.write_side`."""

    data: bytes


class Decoder:
    """Decodes a `.lvc` stream: iterate for :class:`~lvc.video.Frame` and :class:`SideSegment` in file order.

    Args:
        source: binary, at the start of the file; may be a pipe.
        batch: groups of pictures that are decoded together, 1 or more.
        keep_going: decode what a damaged file still holds instead of raising.
        device: where the networks run; with ``crew_for`` also ``auto``, which its processes resolve.
        load_model: finds the model by its identity; None for the installed one.
        span: the frames that are wanted, with the side streams around them; a source that can seek is read only where
            these are. Times stay as they are in the file.
        crew_for: other processes to decode in, by the identity of the model; None decodes in this one. Frames on
            their way wait in a temporary folder.
        preview: only the first picture of each group, shown as long as the group is; no side streams. Those of a
            ``span`` begin with the one that is shown at its start.
        layers: how many bands of frequencies are decoded, 1...3; fewer than all only with ``preview``, and then no
            picture is compared with its checksum.

    Attributes:
        header, info: what the file says of itself.
        damage: what was wrong, with ``keep_going``.

    Raises (also while iterating):
        FormatError, TruncatedError: damage.
        ModelError: the model is not installed.
        MismatchError: a picture differs from the encoder's.
        OutOfMemoryError: the pictures take too much memory.
        ValueError: at once: an option is outside its range.
    """

    def __init__(
        self,
        source: BinaryIO,
        *,
        device: str = "cpu",
        batch: int = 1,
        keep_going: bool = False,
        load_model: "Callable[[bytes], Model] | None" = None,
        progress: Callable[[Progress], None] | None = None,
        span: Span = Span(),  # noqa: B008 -- it cannot change
        crew_for: Callable[[bytes], Crew | None] = lambda _: None,
        preview: bool = False,
        layers: int = ALL_LAYERS,
    ) -> None:
        check_counts(batch=batch)
        if not 1 <= layers <= ALL_LAYERS or (layers < ALL_LAYERS and not preview):
            raise ValueError(f"{layers} layers: 1 to {ALL_LAYERS} are possible, fewer than all only in previews")
        self._reader = Reader(source, keep_going=keep_going)
        self.header = self._reader.header
        self.info = self.header.info
        self._batch, self._progress = batch, progress
        self._damage: list[str] = []
        self._layers = layers
        self._preview = preview
        self._frames = 0
        self._first_pts: int | None = None
        self._begin = 0
        self._span, self._device, self._keep_going = span, device, keep_going
        self._crew = crew_for(self.header.model_id)
        if self._crew is None:
            from lvc.group_decoder import GroupDecoder
            from lvc.model import model_for

            model = (load_model or model_for)(self.header.model_id)
            self._groups = GroupDecoder(model, self.info, device, keep_going=keep_going, layers=layers)
            self._damage = self._groups.damage
        self._part: Part | None = None
        self._side_check: SideCheck | None = None

    @property
    def truncated(self) -> bool:
        """Whether the end of the file is missing; final after iteration."""
        return self._reader.truncated

    @property
    def damage(self) -> list[str]:
        """A sentence for each thing that was wrong; only ever filled with ``keep_going``."""
        return self._reader.damage + self._damage

    def __iter__(self) -> Iterator[Frame | SideSegment]:
        with enough_memory(self.info):
            yield from self._items()

    def _items(self) -> Iterator[Frame | SideSegment]:
        chunks = iter(self._reader)
        if self._span != Span():
            self._part = Part(self._reader, self._span.start, lambda _: self._is_enough(), preview=self._preview)
            chunks = iter(self._part)
        if self._preview:
            chunks = (_first_picture(chunk) for chunk in chunks if isinstance(chunk, GopChunk))
        if self._crew is not None:
            yield from self._in_processes(chunks, self._crew)
            return
        while window := self._next_window(chunks):
            groups = [chunk for chunk in window if isinstance(chunk, GopChunk)]
            decoded = iter(self._groups.decode(groups))
            for chunk in window:
                if isinstance(chunk, SideChunk):
                    yield from self._side(chunk)
                    continue
                for index, frame in enumerate(next(decoded)):
                    if self._is_wanted(frame):
                        self._report(frame, chunk, index)
                        yield frame
                    if self._is_enough():
                        break

    def _in_processes(self, chunks: Iterator[Chunk], crew: Crew) -> Iterator[Frame | SideSegment]:
        with scratch_folder() as folder:

            def spool(chunk: Chunk) -> Path:
                return folder / str(chunk.position)

            def call(chunk: Chunk) -> Call | None:
                if isinstance(chunk, SideChunk):
                    return None
                fixed = (crew.model, self.info, self._device, self._keep_going, self._layers, crew.threads)
                return Call(_decode_in_worker, (*fixed, chunk, spool(chunk)))

            for chunk, damage in crew.workers.in_order((chunk, call(chunk)) for chunk in chunks):
                if isinstance(chunk, SideChunk):
                    yield from self._side(chunk)
                    continue
                self._damage.extend(damage)
                for index, frame in enumerate(read_frames(spool(chunk), self.info)):
                    if self._is_wanted(frame):
                        self._report(frame, chunk, index)
                        yield frame
                spool(chunk).unlink()

    def _side(self, chunk: SideChunk) -> Iterator[SideSegment]:
        """The segment, unless something is wrong with it."""
        from lvc.media.sidecheck import SideCheck

        self._side_check = self._side_check or SideCheck()
        try:
            self._side_check.check(chunk.data, chunk.payload_position)
        except FormatError as error:
            if not self._keep_going:
                raise
            self._damage.append(str(error))
            return
        yield SideSegment(chunk.data)

    def _is_wanted(self, frame: Frame) -> bool:
        return not self._is_enough() and (self._part is None or self._part.holds(frame.pts, frame.duration))

    def _is_enough(self) -> bool:
        return self._span.frames is not None and self._frames >= self._span.frames

    def _next_window(self, chunks: Iterator[Chunk]) -> list[Chunk]:
        """Chunks up to and including the ``batch``-th group."""
        window: list[Chunk] = []
        groups = 0
        for chunk in chunks:
            window.append(chunk)
            groups += isinstance(chunk, GopChunk)
            if groups == self._batch or (not groups and len(window) == 1):
                break
        return window

    def _report(self, frame: Frame, group: GopChunk, index: int) -> None:
        """Frame ``index`` of a group is there; its pictures share the bytes of the group equally."""
        count = len(group.gop.frames)
        if self._first_pts is None:
            self._first_pts = frame.pts
            self._begin = group.position + group.size * index // count if self._span.start else 0
        self._frames += 1
        if self._progress is not None:
            seconds = float((frame.pts + frame.duration - self._first_pts) * self.info.time_base)
            position = group.position + group.size * (index + 1) // count
            self._progress(Progress(self._frames, None, position - self._begin, seconds))


def _first_picture(group: GopChunk) -> Chunk:
    """A group with its first picture alone, which lasts as long as all of them."""
    first, last = group.gop.frames[0], group.gop.frames[-1]
    return replace(group, gop=Gop((replace(first, duration=last.pts + last.duration - first.pts),)))


@functools.cache
def _load(model: Path) -> "Model":
    from lvc.model.weights import load

    return load(model)


def _decode_in_worker(
    model: Path,
    info: VideoInfo,
    device: str,
    keep_going: bool,
    layers: int,
    threads: int,
    group: GopChunk,
    spool: Path,
    _: Report,
) -> list[str]:
    """Decode a group into a file of frames, with a model that is loaded once per process; gives the damage."""
    from lvc.group_decoder import GroupDecoder

    decoder = GroupDecoder(_load(model), info, choose_device(device), keep_going=keep_going, layers=layers)
    with cpu_threads(threads):
        for frames in decoder.decode([group]):
            write_frames(spool, info, frames)
    return decoder.damage
