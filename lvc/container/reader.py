"""Reads a `.lvc` file from any stream, trusting nothing in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from lvc.container import chunk, limits
from lvc.container.gop import PREAMBLE_BYTES, Gop, unpack_gop, unpack_preamble
from lvc.container.header import PREFIX_BYTES, Header, header_length, unpack_header
from lvc.container.index import END_BYTES, IndexEntry, Totals, unpack_end, unpack_index
from lvc.errors import FormatError, InputError, LimitError, TruncatedError


@dataclass(frozen=True)
class GopChunk:
    """A group of pictures.

    Attributes:
        gop: its frames.
        position, size: of the chunk in the file, in bytes.
        first_frame: how many frames of the file come before it.
        damaged: only ever true with ``keep_going``: the file ends within the group, or its checksum is wrong.
            ``gop`` then holds those frames that are there whole, and any of their payloads may be wrong: decode
            until the first picture whose CRC-32 disagrees, and drop the rest of the group.
    """

    gop: Gop
    position: int
    size: int
    first_frame: int = 0
    damaged: bool = False


@dataclass(frozen=True)
class SideChunk:
    """Side data, as the writer got them.

    Attributes:
        data: the bytes.
        position, size: of the chunk in the file, in bytes.
        payload_position: byte offset in the file of ``data``.
    """

    data: bytes
    position: int
    size: int
    payload_position: int = 0


Chunk = GopChunk | SideChunk


class Reader:
    """Reads the header at once, and groups and side data one at a time while it is iterated over.

    Args:
        stream: binary, at the start of the `.lvc` data; stays open. Reading in order never seeks.
        keep_going: note damage in ``damage`` instead of raising it, go on with the next chunk where the length of
            the damaged one can be trusted, and stop without an error where not. A damaged header is always raised.

    Attributes:
        header: see :class:`Header`.
        truncated: the data ended before END (final after iteration).
        damage: what was wrong, a sentence each, with the position.
        total_frames: frames given so far.

    Raises (also while iterating):
        FormatError: damaged or not a `.lvc` file; names the byte.
        TruncatedError: the data end too early.
        LimitError: the picture size is outside the limits.
        OSError: from the stream.
    """

    def __init__(self, stream: BinaryIO, *, keep_going: bool = False) -> None:
        self.truncated = False
        self.damage: list[str] = []
        self.total_frames = 0
        self._source = chunk.Source(stream)
        self._keep_going = keep_going
        self.header = self._read_header()
        self._first_chunk = self._source.position
        self._totals = Totals()
        self._index_position = 0
        self._next_frame = 0
        self._last_pts: int | None = None
        self._sought: IndexEntry | None = None
        self._whole = True
        self._done = False

    @property
    def position(self) -> int:
        """Bytes read so far: where in the file the next chunk begins."""
        return self._source.position

    @property
    def is_seekable(self) -> bool:
        """Whether :meth:`read_index` and :meth:`seek` work: false for pipes."""
        return self._source.seekable()

    @property
    def duration(self) -> int:
        """Ticks from the first presentation time to the end of the last frame, of the frames given so far."""
        return self._totals.duration

    def __iter__(self) -> Iterator[Chunk]:
        while (head := self._next_head()) is not None:
            if (item := self._read_chunk(head)) is not None:
                yield item

    def read_index(self) -> list[IndexEntry]:
        """All whole groups of pictures, in order, for :meth:`seek`; the reading position stays.

        Taken from INDEX, or found by passing over the chunks where there is none.

        Raises:
            InputError: the stream cannot seek.
            LimitError: more than ``limits.MAX_INDEX_GOPS`` groups.
        """
        back = self._require_seekable()
        try:
            try:
                return self._stored_index()
            except FormatError:
                return list(self._scan())
        finally:
            self._source.seek(back)

    def seek(self, entry: IndexEntry) -> None:
        """Go on with the group of pictures that ``entry``, from :meth:`read_index`, describes.

        ``duration`` counts from here, and totals are no longer compared with END. That the next group is as ``entry``
        says is checked when it is read: INDX may be false.

        Raises:
            InputError: the stream cannot seek.
        """
        self._require_seekable()
        self._source.seek(entry.position)
        self._next_frame = entry.first_frame
        self._last_pts = None
        self._sought = entry
        self._index_position = 0
        self._totals = Totals()
        self._whole = False
        self._done = False

    def side_before(self, entry: IndexEntry | None) -> Iterator[SideChunk]:
        """Side data from here to a later group of :meth:`read_index`, which is the next to be read; None for the end.

        Groups on the way are passed over: they are neither read nor checked.

        Raises (also while iterating):
            InputError: the stream cannot seek.
        """
        self._require_seekable()
        size = self._source.size()
        self._whole = False
        while (entry is None or self._source.position < entry.position) and (head := self._next_head()) is not None:
            if head.type == chunk.GOP:
                self._source.seek(min(size, head.payload_position + head.length + chunk.CRC_BYTES))
            elif isinstance(item := self._read_chunk(head), SideChunk):
                yield item
        if entry is not None:
            self.seek(entry)

    def _read_header(self) -> Header:
        prefix = self._source.read(PREFIX_BYTES)
        length = header_length(prefix)
        rest = self._source.read(length) if len(prefix) == PREFIX_BYTES else b""
        if len(rest) < length:
            self.truncated = True
            raise TruncatedError("the file ends within its header: it is truncated", self._source.position)
        return unpack_header(prefix, rest)

    def _next_head(self) -> chunk.ChunkHead | None:
        """The head of the next chunk; None behind the last one, and where what follows cannot be read."""
        if self._done:
            return None
        try:
            head = chunk.read_head(self._source)
            if head.type not in _HANDLERS and head.flags & chunk.MANDATORY:
                message = f"unknown mandatory chunk {head.name}: a newer program is needed"
                raise FormatError(message, head.position)
        except FormatError as error:
            self._done = True
            self._note(error)
            return None
        return head

    def _note(self, error: FormatError) -> None:
        """Raise the error, or only remember it."""
        self._whole = False
        if isinstance(error, TruncatedError):
            self.truncated = self._done = True
        if not self._keep_going:
            self._done = True
            raise error
        self.damage.append(str(error))

    def _read_chunk(self, head: chunk.ChunkHead) -> Chunk | None:
        if self._index_position and head.type != chunk.END:
            self._note(FormatError(f"a {head.name} chunk between INDX and END", head.position))
        handler = _HANDLERS.get(head.type)
        if handler is None:
            if skip_error := chunk.skip_payload(self._source, head):
                self._note(skip_error)
            return None
        data, error = chunk.read_payload(self._source, head)
        if error is not None:
            self._note(error)
            return self._salvage(head, data) if head.type == chunk.GOP else None
        try:
            return handler(self, head, data)
        except FormatError as inconsistency:
            self._note(inconsistency)
            return None

    def _size(self, head: chunk.ChunkHead) -> int:
        return self._source.position - head.position

    def _gop(self, head: chunk.ChunkHead, data: bytes) -> Chunk:
        sought, self._sought = self._sought, None
        preamble, gop = unpack_gop(data, head.payload_position)
        first = preamble.first_frame
        if sought is not None:
            try:
                sought.check(gop, first, head.position)
            except FormatError as error:
                self._note(error)
        elif first != self._next_frame and (self._whole or first < self._next_frame):
            message = f"a group begins with frame {first} where frame {self._next_frame} should follow"
            self._note(FormatError(message, head.position))
        self._next_frame = first + preamble.frames
        self._follow(head, gop)
        self._count(head, gop)
        return GopChunk(gop, head.position, self._size(head), first)

    def _salvage(self, head: chunk.ChunkHead, data: bytes) -> Chunk | None:
        self._sought = None
        try:
            preamble, gop = unpack_gop(data, head.payload_position, partial=True)
            self._next_frame = preamble.first_frame + preamble.frames
            if not gop.frames:
                return None
            self._follow(head, gop)
        except FormatError:
            return None
        self._count(head, gop)
        return GopChunk(gop, head.position, self._size(head), preamble.first_frame, damaged=True)

    def _follow(self, head: chunk.ChunkHead, gop: Gop) -> None:
        """Check that a group begins after the last frame of the one before.

        Raises:
            FormatError: it does not.
        """
        begin = gop.frames[0].pts
        if self._last_pts is not None and begin <= self._last_pts:
            raise FormatError(f"a group begins at time {begin}, which is not after {self._last_pts}", head.position)
        self._last_pts = gop.frames[-1].pts

    def _count(self, head: chunk.ChunkHead, gop: Gop) -> None:
        self.total_frames += len(gop.frames)
        self._totals.add_gop(head.position, [(frame.pts, frame.duration) for frame in gop.frames])

    def _side(self, head: chunk.ChunkHead, data: bytes) -> Chunk:
        return SideChunk(data, head.position, self._size(head), head.payload_position)

    def _index(self, head: chunk.ChunkHead, data: bytes) -> None:
        self._index_position = head.position
        if self._whole and data != self._totals.pack_index():
            raise FormatError("INDEX does not describe this file", head.position)

    def _end(self, head: chunk.ChunkHead, data: bytes) -> None:
        self._done = True
        unpack_end(data, head.payload_position)
        if self._whole and data != self._totals.pack_end(self._index_position):
            raise FormatError("END does not add up: chunks are missing or changed", head.position)
        if self._source.read(1):
            raise FormatError("unexpected bytes after the END chunk", self._source.position - 1)

    def _require_seekable(self) -> int:
        if not self._source.seekable():
            raise InputError("this .lvc input cannot seek: it is a pipe")
        return self._source.position

    def _checked(self, position: int, kind: bytes) -> tuple[chunk.ChunkHead, bytes]:
        """The chunk at a position, which must be of the given type and undamaged."""
        if not self._first_chunk <= position < self._source.size():
            raise FormatError("no chunk begins here", position)
        self._source.seek(position)
        head = chunk.read_head(self._source)
        if head.type != kind:
            raise FormatError(f"a {head.name} chunk where another was expected", position)
        data, error = chunk.read_payload(self._source, head)
        if error is not None:
            raise error
        return head, data

    def _stored_index(self) -> list[IndexEntry]:
        end_size = len(chunk.pack_chunk(chunk.END, chunk.MANDATORY, bytes(END_BYTES)))
        end, data = self._checked(self._source.size() - end_size, chunk.END)
        total, _, position = unpack_end(data, end.payload_position)
        head, data = self._checked(position, chunk.INDEX)
        if self._source.position != end.position:
            raise FormatError("INDX does not stand directly before END", head.position)
        entries = unpack_index(data, head.payload_position)
        if sum(entry.frames for entry in entries) != total:
            raise FormatError("INDEX and END disagree", head.position)
        return entries

    def _scan(self) -> Iterator[IndexEntry]:
        size, found = self._source.size(), 0
        self._source.seek(self._first_chunk)
        try:
            while (head := chunk.read_head(self._source)).type != chunk.END:
                following = head.payload_position + head.length + chunk.CRC_BYTES
                if following > size:
                    return
                if head.type == chunk.GOP:
                    start = self._source.read(min(PREAMBLE_BYTES, head.length))
                    preamble = unpack_preamble(start, head.payload_position)
                    if (found := found + 1) > limits.MAX_INDEX_GOPS:
                        raise LimitError(f"more than {limits.MAX_INDEX_GOPS} groups of pictures")
                    yield IndexEntry(head.position, preamble.first_pts, preamble.frames, preamble.first_frame)
                self._source.seek(following)
        except FormatError:
            return


_HANDLERS: dict[bytes, Callable[[Reader, chunk.ChunkHead, bytes], Chunk | None]] = {
    chunk.GOP: Reader._gop,
    chunk.SIDE: Reader._side,
    chunk.INDEX: Reader._index,
    chunk.END: Reader._end,
}
