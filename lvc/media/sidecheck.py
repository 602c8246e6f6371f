"""The segments of side streams of one file, looked through before anybody relies on them."""

from lvc.errors import FormatError
from lvc.media.head import unpack_head
from lvc.media.segment import unpack_packets


class SideCheck:
    """Refuses segments that no file may hold; :meth:`check` is to see them in the order of the file."""

    def __init__(self) -> None:
        self._streams: int | None = None
        self._has_packets = False

    def check(self, segment: bytes, base: int) -> None:
        """Look through one segment; those of unknown kinds pass.

        Args:
            segment: the bytes.
            base: where they begin in the file.

        Raises:
            FormatError: damaged, out of its order, or packets of a stream that the head does not name.
        """
        kind = segment[:1]
        if not kind:
            raise FormatError("side streams: a segment of no kind", base)
        if kind == b"H":
            if self._has_packets or self._streams is not None:
                raise FormatError("side streams: a head that is not the first segment", base)
            self._streams = len(unpack_head(segment, base).streams)
        elif kind == b"P":
            self._has_packets = True
            for packet in unpack_packets(segment, base):
                if self._streams is not None and packet.stream >= self._streams:
                    message = f"side streams: a packet of stream {packet.stream}, of which there are {self._streams}"
                    raise FormatError(message, base)
