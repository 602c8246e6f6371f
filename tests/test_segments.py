"""Segments of side streams, as they lie in `.lvc` files."""

from fractions import Fraction

import numpy as np

from lvc.media.head import Attachment, Chapter, Hdr, Head, StreamHead, pack_head, unpack_head
from lvc.media.segment import SidePacket, pack_packets, unpack_packets
from lvc.media.text import to_mov_text, to_plain


def test_segments_round_trip() -> None:
    head = Head(
        {"title": "\u00e4\u20ac"},
        {"language": "eng"},
        1,
        Hdr(tuple(range(10)), (1000, 400)),
        [StreamHead({"language": "deu"}, 2, Fraction(1, 48000), "5.1")],
        b"matroska",
        [
            Chapter(1, -5, 1 << 40, Fraction(1, 1000), {"title": "x"}),
            Chapter(-(1 << 63), 0, 0, Fraction(1, 10**9), {}),  # Matroska has random numbers of 64 bits there
        ],
        [Attachment("a", "b", b"cde", True), Attachment("", "", b"")],
    )
    assert unpack_head(pack_head(head)) == head
    rng = np.random.default_rng(0)
    packets = [
        SidePacket(
            int(rng.integers(0, 3)),
            rng.bytes(int(rng.integers(0, 400))),
            None if rng.random() < 0.1 else int(rng.integers(-(1 << 50), 1 << 50)),
            None,
            int(rng.integers(0, 5000)),
            bool(rng.random() < 0.5),
            (("skip_samples", rng.bytes(10)),) if rng.random() < 0.2 else (),
        )
        for _ in range(200)
    ]
    packets += [SidePacket(0, b"x" * 300, 1024 * i, 1024 * i - 7 * (i % 2), 1024) for i in range(50)]
    found = list(unpack_packets(pack_packets(packets)))
    for a, b in zip(packets, found, strict=True):
        assert (a.stream, a.payload, a.pts, a.duration, a.key, a.side_data) == (
            (b.stream, b.payload, b.pts, b.duration, b.key, b.side_data)
        )
        assert b.dts == (a.pts if a.dts is None else a.dts)


def test_a_packet_costs_little() -> None:
    packets = [SidePacket(1, bytes(300), 1024 * i, 1024 * i, 1024) for i in range(100)]
    assert len(pack_packets(packets)) - 300 * 100 < 100 * 6


def test_subtitle_text() -> None:
    assert to_plain("mov_text", b"\x00\x05Hello\x00\x00\x00\x0cstyl") == b"Hello"
    assert to_plain("mov_text", b"\x00\x00") == b""
    assert to_plain("mov_text", b"\x00\x06\xfe\xff\x00H\x00i") == b"Hi"
    assert to_plain("ass", rb"0,0,Default,,0,0,0,,{\b1}One,\NTwo") == b"One,\nTwo"
    assert to_mov_text("subrip", b"<b>1 < 2</b>\r\n") == b"\x00\x051 < 2"
