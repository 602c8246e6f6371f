"""Side streams that no encoder wrote, behind right checksums: written out, or refused in a sentence."""

import copy
import io
import json
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import pytest
from av.sidedata.sidedata import Type
from hypothesis import given, settings
from hypothesis import strategies as st

from lvc.container.fields import Cursor, put_varint
from lvc.errors import FormatError, LvcError
from lvc.media import VideoReader, VideoWriter
from lvc.media.collector import _side_packet
from lvc.media.hdr import hdr_of
from lvc.media.head import Hdr, unpack_head
from lvc.media.segment import MAX_TIME, SidePacket, pack_packets, unpack_packets
from lvc.media.sidecheck import SideCheck
from tests.clips import clip_frames, clip_info
from tests.media_files import Sound, Text, write_media

Json = Any
"""What a description holds, and what may stand in its place."""

NUMBERS = [0, 1, -1, 1000, (1 << 31) - 1, 1 << 31, MAX_TIME, -MAX_TIME, MAX_TIME + 1, (1 << 63) - 1, 1 << 64]
STRINGS = ["", "\ud800", "a\0b", "\uffff", "mono", "5.1", "22.2", "65535 channels", "und", "%s" * 9, "\U0001f600" * 300]
VALUES = [
    *NUMBERS,
    *STRINGS,
    None,
    True,
    False,
    0.5,
    float("nan"),
    [],
    {},
    [1, 1],
    [(1 << 31) - 1, 1],
    [1, (1 << 31) - 1],
]


def source(path: Path) -> Path:
    write_media(
        path,
        times=(0, 40),
        sounds=[Sound("aac", {"language": "eng"}, seconds=0.1), Sound("ac3", seconds=0.1)],
        texts=[Text("subrip", [(0, 40, "Hello")])],
        tags={"title": "A title"},
        video_tags={"language": "jpn"},
        chapters=[(0, 20, "one"), (20, 40, "two")],
        attachments=[("a.ttf", "application/x-truetype-font", b"font")],
    )
    return path


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The head and the packets of a small file with something of everything."""
    with VideoReader(source(tmp_path_factory.mktemp("hostile") / "a.mkv")) as reader:
        head = reader.take_side() or b""
        for _ in reader:
            pass
        return head, reader.take_side() or b""


def parts(head: bytes) -> tuple[Json, bytes]:
    """The description of a head, and what follows it."""
    fields = Cursor(head, 0, "head")
    fields.u8()
    return json.loads(fields.take(fields.varint())), fields.take(fields.remaining)


def head_of(description: Json, rest: bytes) -> bytes:
    text = json.dumps(description).encode()
    out = bytearray(b"H")
    put_varint(out, len(text))
    return bytes(out) + text + rest


def places(value: Json) -> Iterator[tuple[Json, Any]]:
    """Every list or object within a value, with each of its indices or keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


def write_out(segments: list[bytes], muxer: str, first_pts: int = 0) -> None:
    """Write them with a small video whose first frame is shown at ``first_pts``, as ``lvc decode`` does."""
    info = clip_info(32, 32, 2)
    with VideoWriter(io.BytesIO(), info, format=muxer) as writer:
        writer.write_side(segments[0])
        for frame in clip_frames("pan", 32, 32, 2):
            writer.write(replace(frame, pts=frame.pts + first_pts))
        for segment in segments[1:]:
            writer.write_side(segment)


muxers = st.sampled_from(["mkv", "mp4", "mov"])


@settings(max_examples=150, deadline=None)
@given(st.data(), muxers)
def test_any_description_is_written_or_refused(segments: tuple[bytes, bytes], data: st.DataObject, muxer: str) -> None:
    description, rest = parts(segments[0])
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(places(description))))
        change = data.draw(st.sampled_from(["value", "remove", "double"]))
        if change == "value":
            same = [value for value in VALUES if type(value) is type(holder[key])]
            value = data.draw(st.sampled_from(same if same and data.draw(st.booleans()) else VALUES))
            holder[key] = copy.deepcopy(value)  # a later change may go into it, and must not go into VALUES
        elif change == "remove":
            del holder[key]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[data.draw(st.sampled_from(STRINGS))] = copy.deepcopy(holder[key])
    with suppress(LvcError):
        write_out([head_of(description, rest), segments[1]], muxer)


times = st.one_of(st.none(), st.sampled_from([0, -1, 1 << 31, 1 << 40, -(1 << 56), MAX_TIME, -MAX_TIME]))
packets = st.builds(
    SidePacket,
    stream=st.integers(0, 3),
    payload=st.binary(max_size=40),
    pts=times,
    dts=times,
    duration=st.sampled_from([0, 1, 1024, 1 << 31, MAX_TIME]),
    key=st.booleans(),
    side_data=st.lists(
        st.tuples(st.sampled_from(["skip_samples", "new_extradata", "palette", "of the future", ""]), st.binary()),
        max_size=2,
    ).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(packets, max_size=4), muxers, st.sampled_from([0, -1, 1 << 56, -(1 << 56)]))
def test_any_packets_are_written_or_refused(
    segments: tuple[bytes, bytes], found: list[SidePacket], muxer: str, first_pts: int
) -> None:
    segment = pack_packets(found)
    assert [(p.stream, p.payload, p.pts) for p in unpack_packets(segment)] == [
        (p.stream, p.payload, p.pts) for p in found
    ]
    with suppress(LvcError):
        write_out([segments[0], segment], muxer, first_pts)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["tags", "title"], "\ud800"),
        (["tags", "title"], "a\0b"),
        (["tags", "title"], 1),
        (["tags"], ["title"]),
        (["video", "disposition"], -1),
        (["video", "disposition"], 1 << 31),
        (["video", "disposition"], True),
        (["video", "mastering"], [1] * 9),
        (["video", "mastering"], [1 << 16] * 10),
        (["video", "light"], [1 << 16, 0]),
        (["video", "light"], [-1, 0]),
        (["streams", 0, "time_base"], [0, 1]),
        (["streams", 0, "time_base"], [1, 0]),
        (["streams", 0, "time_base"], [1 << 31, 1 << 31]),
        (["streams", 0, "time_base"], [1, 1, 1]),
        (["streams", 0, "time_base"], [0.5, 1]),
        (["streams", 0, "layout"], None),
        (["chapters", 0, "start"], -MAX_TIME - 1),
        (["chapters", 0, "end"], -1),
        (["chapters", 0, "end"], MAX_TIME + 1),
        (["chapters", 0, "id"], 1 << 63),
        (["attachments", 0, "size"], 3),
        (["attachments", 0, "size"], 5),
        (["attachments", 0, "size"], -1),
        (["attachments", 0, "cover"], 1),
        (["attachments", 0, "mime"], None),
    ],
)
def test_what_no_description_says(segments: tuple[bytes, bytes], path: list[Any], value: Json) -> None:
    description, rest = parts(segments[0])
    holder = description
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(FormatError, match="side streams: ") as caught:
        unpack_head(head_of(description, rest), 1000)
    assert (caught.value.position or 0) >= 1000


def test_keys_of_the_future_are_ignored(segments: tuple[bytes, bytes]) -> None:
    description, rest = parts(segments[0])
    description["mood"] = description["streams"][0]["mood"] = [1.5, None]
    assert unpack_head(head_of(description, rest)) == unpack_head(segments[0])


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"\xff{}", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"[" * 100_000, b"9" * 10_000]
)
def test_what_is_no_description(text: bytes) -> None:
    out = bytearray(b"H")
    put_varint(out, len(text))
    with pytest.raises(FormatError, match=r"description .*at byte 8"):
        unpack_head(bytes(out) + text + b"\0", 7)


def test_as_many_streams_are_described_as_there_are(segments: tuple[bytes, bytes]) -> None:
    description, rest = parts(segments[0])
    for streams in (description["streams"][:-1], description["streams"] * 2, []):
        with pytest.raises(FormatError, match="codec parameters"):
            write_out([head_of({**description, "streams": streams}, rest)], "mkv")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x20\0\0\0", "unknown flags 32"),
        (b"\x81\0\0\0", "unknown flags 129"),
        (b"\1\x80\0\0\0", "shortest form"),
        (b"\1\0\x82\0\0", "shortest form"),
        (b"\1\0\0\x80\0", "shortest form"),
        (b"\1\0\0\5abcd", "5 bytes wanted, 4 left"),
        (b"\x09\0\0\1\2\xc3\xa4\0\0", "ASCII"),
        (b"\x11\0\0" + b"\x80" * 8 + b"\x20\0", "out of range"),
        (b"\1\0" + b"\x80" * 8 + b"\x40\0", "out of range"),
        (b"\1\0" + b"\xff" * 9 + b"\2\0", "too large"),
    ],
)
def test_what_no_packets_are(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        list(unpack_packets(b"P" + data, 1000))
    assert 1001 <= (caught.value.position or 0) <= 1001 + len(data)


def test_the_order_of_segments(segments: tuple[bytes, bytes]) -> None:
    head, packets = segments
    for order, message in (
        ([head, packets, packets, b"?"], None),
        ([packets], None),
        ([head, head], "not the first segment"),
        ([packets, head], "not the first segment"),
        ([head, pack_packets([SidePacket(3, b"", 0, 0)])], "stream 3, of which there are 3"),
        ([b""], "no kind"),
    ):
        check = SideCheck()
        for segment in order[:-1]:
            check.check(segment, 0)
        if message is None:
            check.check(order[-1], 0)
            continue
        with pytest.raises(FormatError, match=rf"{message} \(at byte 70\)"):
            check.check(order[-1], 70)


def test_times_that_no_segment_holds_are_left_out_when_encoding() -> None:
    packet = av.Packet(b"x")
    packet.pts, packet.dts, packet.duration = 1 << 62, -(1 << 62), 1 << 62
    assert _side_packet(0, packet) == SidePacket(0, b"x", None, None, 0, key=False)
    packet.pts, packet.dts, packet.duration = MAX_TIME, -MAX_TIME, MAX_TIME
    assert _side_packet(0, packet) == SidePacket(0, b"x", MAX_TIME, -MAX_TIME, MAX_TIME, key=False)


@dataclass
class _SideData:
    """As PyAV has it."""

    type: Type
    data: bytes

    def __bytes__(self) -> bytes:
        return self.data


@pytest.mark.parametrize("numbers", [(70_000, 1), (-1, 1), (1, 0), (1 << 30, 1)])
def test_impossible_light_is_left_out_when_encoding(numbers: tuple[int, int]) -> None:
    white = (1, 3, 1, 3)
    good, bad = ([*(1, 3, 1, 3, 1, 3, 1, 3), *white, *red, *white] for red in ((1, 3, 1, 3), (*numbers, 1, 3)))
    for values, light, expected in (
        (good, (1000, 400), Hdr((16667,) * 8 + (3333, 3333), (1000, 400))),
        (bad, (1000, 1 << 16), Hdr()),
    ):
        mastering = struct.pack("@22i", *values, 1, 1)
        picture = SimpleNamespace(
            side_data=[
                _SideData(Type.MASTERING_DISPLAY_METADATA, mastering),
                _SideData(Type.CONTENT_LIGHT_LEVEL, struct.pack("@2I", *light)),
            ]
        )
        assert hdr_of(cast(av.VideoFrame, picture)) == expected
