"""One file encoded by several processes, on one or several hosts: each codes stretches that nobody has taken yet."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lvc.container import Gop, GopChunk, Header, Reader, SideChunk, Writer
from lvc.container.header import pack_header
from lvc.encoder.encoded import EncodedFile
from lvc.encoder.plan import stretches
from lvc.encoder.settings import EncodeResult, EncoderSettings
from lvc.encoder.source import Source, side_of
from lvc.encoder.stretch import Coded, Coding, FrameDone, code_stretch
from lvc.errors import InputError, LvcError, OutputError
from lvc.model import Model
from lvc.output import open_output, reason_of
from lvc.progress import Progress
from lvc.share import POLL_SECONDS, SharedFolder

Opened = Callable[[], AbstractContextManager[Source]]
"""Opens the source, from its start; may be called again."""


def encode_shared(
    opened: Opened,
    destination: str | os.PathLike[str],
    folder: SharedFolder,
    *,
    model: Model,
    settings: EncoderSettings,
    device: str,
    verify: bool,
    progress: Callable[[Progress], None] | None = None,
) -> EncodeResult:
    """Encode a file together with other processes. It holds the same bytes as if one had done it alone.

    Args:
        opened: opens the source.
        destination: is written by process 0.
        folder: where the processes meet.
        model, settings, device, verify, progress: as in :func:`lvc.encoder.encode_stream`; ``progress`` is called after
            every picture coded here, and counts those of all processes.

    Returns:
        What the file holds; in other processes than number 0, what was coded there.

    Raises:
        InputError: the source has no frames.
        LimitError: sizes over the limits.
        MismatchError: ``verify`` found a difference.
        OutputError: the destination or the folder cannot be written to.
        LvcError: process 0 does not begin.
    """
    try:
        return _encode(_Part(opened, folder, model, settings, device, verify, progress), folder, destination)
    except OSError as error:
        raise OutputError(f"{folder.path}: {reason_of(error)}") from error


def _encode(part: "_Part", folder: SharedFolder, destination: str | os.PathLike[str]) -> EncodeResult:
    if folder.is_leader:
        return part.lead(destination)
    if not folder.is_open() and not Path(destination).exists():
        raise LvcError(
            "process 0 of this encode has not begun: all must see the same folder, and have the same arguments, version"
            " and kind of device"
        )
    return part.help()


@dataclass
class _Count:
    """Frames of a stretch, their playing time in ticks and bytes of their payloads."""

    frames: int = 0
    ticks: int = 0
    bytes: int = 0


class _Part:
    """The part of one process; see :func:`encode_shared`."""

    def __init__(
        self,
        opened: Opened,
        folder: SharedFolder,
        model: Model,
        settings: EncoderSettings,
        device: str,
        verify: bool,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._opened, self._folder = opened, folder
        self._model, self._settings, self._device, self._verify = model, settings, device, verify
        self._progress = progress
        self._began = time.monotonic()
        self._frames = 0
        self._done: dict[int, _Count] = {}
        self._bits = self._verify_seconds = 0.0

    def help(self) -> EncodeResult:
        """Code what nobody else has taken, once; what was coded here."""
        result = EncodeResult()
        with contextlib.suppress(FileNotFoundError):  # the folder is gone where all is done
            self._pass(None)
        result.frames, result.seconds = self._frames, time.monotonic() - self._began
        result.estimated_bits, result.verify_seconds = self._bits, self._verify_seconds
        return result

    def lead(self, destination: str | os.PathLike[str]) -> EncodeResult:
        """Code likewise, wait for the others, take over what dead ones have left, and put everything together."""
        count = self._pass(self._folder.path / "side")
        while not self._is_complete(count):
            self._pass(None)
        with self._opened() as source:
            header = self._header(source)
        with open_output(destination) as stream:
            file = EncodedFile(Writer(stream, header), header.info, None)
            sides = self._sides(count)
            file.add_side(next(sides))
            for number, side in zip(range(count), sides, strict=True):
                gops = self._read(number, header)
                file.add(Coded(gops, 8.0 * sum(len(frame.payload) for gop in gops for frame in gop.frames)))
                file.add_side(side)
            result = file.finish(time.monotonic() - self._began)
        result.verify_seconds = self._verify_seconds
        return result

    def _pass(self, side: Path | None) -> int:
        """Go through the source and code the stretches that nobody has taken; how many there are in all.

        Args:
            side: a file for the side data; None where it is not wanted.
        """
        with self._opened() as source, contextlib.ExitStack() as stack:
            header = self._header(source)
            coding = Coding(source.info, self._device, self._verify)
            kept: Writer | None = None
            if side is not None:
                kept = Writer(stack.enter_context(side.open("wb")), header)
            _keep(kept, side_of(source))
            count = 0
            for frames in stretches(source, source.info, self._settings):
                if not self._folder.result(count).exists() and self._folder.claim(count):
                    self._count(range(count), header)
                    coded = code_stretch(self._model, coding, self._settings, frames, self._report(count, header))
                    self._bits += coded.estimated_bits
                    self._verify_seconds += coded.verify_seconds
                    self._folder.finish(count, lambda path, gops=coded.gops: _write(path, header, gops))  # type: ignore[misc]
                for _ in frames:
                    pass
                _keep(kept, side_of(source))
                count += 1
            if kept is not None:
                kept.close()
        if not count:
            raise InputError("the input holds no frames")
        return count

    def _header(self, source: Source) -> Header:
        settings = self._settings
        return Header(self._model.id, source.info, round(settings.quality), settings.keyint)

    def _report(self, number: int, header: Header) -> Callable[[FrameDone], None]:
        count = self._done[number] = _Count()

        def report(done: FrameDone) -> None:
            self._frames += 1
            count.frames += 1
            count.ticks += done.ticks
            count.bytes += done.bytes
            self._show(header)

        return report

    def _count(self, numbers: Iterable[int], header: Header) -> None:
        """Take note, where anybody wants to know, of the frames that others have coded."""
        for number in numbers if self._progress is not None else ():
            if number in self._done or not self._folder.result(number).exists():
                continue
            with contextlib.suppress(LvcError, OSError):  # it will be found again, and told, at the end
                records = [record for gop in self._read(number, header) for record in gop.frames]
                ticks, size = sum(each.duration for each in records), sum(len(each.payload) for each in records)
                self._done[number] = _Count(len(records), ticks, size)

    def _show(self, header: Header) -> None:
        if self._progress is not None:
            done = list(self._done.values())
            seconds = float(sum(each.ticks for each in done) * header.info.time_base)
            frames, size = sum(each.frames for each in done), sum(each.bytes for each in done)
            self._progress(Progress(frames, header.info.frames, size, seconds))

    def _is_complete(self, count: int) -> bool:
        """Wait until there is a whole result of every stretch, or something left to be done."""
        with self._opened() as source:
            header = self._header(source)
        missing = set(range(count))
        while missing:
            for number in list(missing):
                if self._folder.result(number).exists():
                    missing.discard(number)
                    known = len(self._done)
                    self._count([number], header)
                    if len(self._done) > known:
                        self._show(header)
                elif self._folder.is_given_up(number):
                    return False
            if missing:
                time.sleep(POLL_SECONDS)
        for number in range(count):
            try:
                self._read(number, header)
            except (LvcError, OSError):
                self._folder.forget(number)
                self._done.pop(number, None)
                return False
        return True

    def _read(self, number: int, header: Header) -> tuple[Gop, ...]:
        with self._folder.result(number).open("rb") as stream:
            reader = Reader(stream)
            if pack_header(reader.header) != pack_header(header):
                raise InputError(f"{self._folder.result(number)} is of another encode")
            return tuple(item.gop for item in reader if isinstance(item, GopChunk))

    def _sides(self, count: int) -> Iterator[list[bytes]]:
        """The side data before the first stretch and after each."""
        with (self._folder.path / "side").open("rb") as stream:
            items = iter(Reader(stream))
            for _ in range(count + 1):
                found: list[bytes] = []
                for item in items:
                    if not isinstance(item, SideChunk) or not item.data:
                        break
                    found.append(item.data)
                yield found


def _keep(writer: Writer | None, side: list[bytes]) -> None:
    """Write side data, and an empty piece as their end."""
    if writer is not None:
        for data in (*side, b""):
            writer.write_side(data)


def _write(path: Path, header: Header, gops: tuple[Gop, ...]) -> None:
    with path.open("wb") as stream, Writer(stream, header) as writer:
        for gop in gops:
            writer.write_gop(gop)
