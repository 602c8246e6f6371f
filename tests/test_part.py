"""Parts of `.lvc` files: what is read and decoded of them, and the side data around them."""

import io
from fractions import Fraction

import pytest

from lvc.container import GopChunk, Reader, SideChunk
from lvc.container.part import Part
from lvc.errors import FormatError
from lvc.media.head import Head, StreamHead, pack_head
from lvc.media.retime import Retimer
from lvc.media.segment import SidePacket, pack_packets, unpack_packets
from tests.container_files import INFO, Counting, group, write

_SECONDS_5, _SIZE = 150, 5000


def _stretch(
    monkeypatch: pytest.MonkeyPatch, *, start: int, end: int, seekable: bool, head: bytes = b"H", **options: bool
) -> tuple[list[int], str, int]:
    """Groups and side data of a stretch of a file of 30 groups, a group every 5 seconds, and how many bytes are read.

    Each group has 30 frames and is followed by a byte of side data that says its number.
    """
    side = [bytes([ord("a") + n]) if head else b"" for n in range(30)]
    groups = [group(_SECONDS_5 * n, 30, _SIZE // 30) for n in range(30)]
    pieces = [each for pair in zip(groups, side, strict=True) for each in pair if each]
    stream = Counting(write(*[head] * bool(head), *pieces))
    monkeypatch.setattr(stream, "seekable", lambda: seekable)
    begin = _SECONDS_5 * start * INFO.time_base
    chunks = list(Part(Reader(stream), begin, lambda chunk: chunk.first_frame >= 30 * end, **options))
    numbers = [chunk.first_frame // 30 for chunk in chunks if isinstance(chunk, GopChunk)]
    return numbers, b"".join(chunk.data for chunk in chunks if isinstance(chunk, SideChunk)).decode(), stream.count


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize(
    ("start", "end", "side"), [(10, 12, "Hhijklmn"), (2, 3, "Habcde"), (10, 30, "Hhijklmnopqrstuvwxyz{|}~")]
)
def test_side_data_around_a_part(
    start: int, end: int, side: str, seekable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 64 frames and 10 seconds before it, as packets come early, to 10 seconds behind it."""
    numbers, found, count = _stretch(monkeypatch, start=start, end=end, seekable=seekable)
    assert (numbers, found) == (list(range(start, end)), side)
    if seekable:  # beside the part: the first group, and one on both sides of it
        assert count < (end - start + 3 + 1) * (_SIZE + 600)


def test_what_has_no_use_for_side_data_does_not_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for options in ({"head": b""}, {"preview": True}):
        for seekable in (True, False):
            numbers, side, count = _stretch(monkeypatch, start=10, end=12, seekable=seekable, **options)
            assert (numbers, side) == ([10, 11], "")
            assert count < (13 if not seekable else 5) * (_SIZE + 600) + 600


@pytest.mark.parametrize("seekable", [True, False])
def test_damage_behind_a_part_is_told(seekable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound of the part may lie there; that a file ends too early there is no matter."""
    data = write(b"H", group(0, 3), b"sound", group(3, 3), b"more sound", group(6, 3), b"the last sound")

    def side_in(data: bytes) -> bytes:
        stream = io.BytesIO(data)
        monkeypatch.setattr(stream, "seekable", lambda: seekable)
        chunks = list(Part(Reader(stream), Fraction(0), lambda chunk: chunk.first_frame >= 3))
        return b"|".join(chunk.data for chunk in chunks if isinstance(chunk, SideChunk))

    assert side_in(data) == b"H|sound|more sound|the last sound"
    assert side_in(data[: data.index(b"last sound")]) == b"H|sound|more sound"
    for text in (b"more sound", b"last sound"):
        with pytest.raises(FormatError, match="wrong checksum"):
            side_in(data.replace(text, text.upper()))


def test_a_packet_without_times_goes_with_the_one_before() -> None:
    timer = Retimer(Fraction(10), Fraction(-10))
    timer.push(pack_head(Head(streams=[StreamHead({}, 0, Fraction(1))])))
    times = (9, None, 10, None, 12, None)
    timer.push(pack_packets(SidePacket(0, b"%d" % n, time, None) for n, time in enumerate(times)))
    assert (taken := timer.take(Fraction(11))) is not None
    assert [(packet.payload, packet.pts) for packet in unpack_packets(taken)] == [(b"2", 0), (b"3", None)]
