"""GOP chunks: the table of frames, of any kinds, times and qualities."""

import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvc.container import FrameRecord, Gop, GopChunk, limits
from lvc.container import gop as container_gop
from lvc.container.gop import pack_gop
from lvc.errors import FormatError, LimitError, TruncatedError
from tests.container_files import FIRST_CHUNK, frame, group, mixed, read, with_chunk, write


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 3},
        {"kind": -1},
        {"quality": 0},
        {"duration": -1},
        {"check": -1},
        {"check": 1 << 16},
    ],
)
def test_bad_frames_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        write(Gop((frame(0), replace(frame(1), **change))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"pts": limits.MAX_TICKS + 1}, {"pts": -limits.MAX_TICKS - 1}, {"duration": 1 << 57}]
)
def test_times_over_the_limit_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(LimitError, match="ticks"):
        write(Gop((frame(0), replace(frame(1), **change))))  # type: ignore[arg-type]


MISPLACED = (
    ([0, 2], "the last frame"),
    ([0, 1, 2, 2], "the last frame"),
    ([0, *[2] * (limits.MAX_BETWEEN + 1), 1], f"more than {limits.MAX_BETWEEN}"),
    ([0, 2, 1, *[2] * (limits.MAX_BETWEEN + 1), 1, 1], f"more than {limits.MAX_BETWEEN}"),
    ([0, 2, 0], "intra"),
    ([0, 1, 2, 2, 0, 1], "intra"),
)


@pytest.mark.parametrize(("kinds", "message"), MISPLACED)
def test_misplaced_frames_are_refused(kinds: list[int], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By writers, and by readers of files with right checksums."""
    with pytest.raises(ValueError, match=message):
        write(mixed(kinds))
    with monkeypatch.context() as careless:
        careless.setattr(container_gop, "_misplaced", lambda _: None)
        data = with_chunk(b"GOP ", pack_gop(mixed(kinds), 0))
    with pytest.raises(FormatError, match=message):
        read(data)
    reader, items = read(data, keep_going=True)
    assert not items
    assert reader.damage


def test_bad_groups_are_refused() -> None:
    for parts in ((-1, 0), (0, -1), (10, 5)):
        with pytest.raises(ValueError, match="too many"):
            write(Gop(group(0, 2).frames, *parts))
    with pytest.raises(ValueError, match="intra"):
        write(Gop((frame(1),)))
    with pytest.raises(LimitError, match="0 frames"):
        write(Gop(()))
    with pytest.raises(LimitError, match="1025 frames"):
        write(group(0, 1025))


@pytest.mark.parametrize(
    "kinds",
    [
        [0, 2, 1],
        [0, 2, 2, 2, 1, 2, 2, 2, 1],
        [0, *[2] * limits.MAX_BETWEEN, 1],
        [0, 1, 2, 1, 1, 2, 2, 1, 0, 2, 2, 2, 2, 1],
    ],
)
def test_groups_with_frames_between_round_trip(kinds: list[int]) -> None:
    """In display order, whatever the order in which they are coded."""
    gops = [mixed(kinds), mixed(kinds, len(kinds))]
    reader, items = read(write(*gops))
    assert [item.gop for item in items if isinstance(item, GopChunk)] == gops
    assert [record.kind for record in items[0].gop.frames] == kinds  # type: ignore[union-attr]
    assert reader.total_frames == reader.duration == 2 * len(kinds)


def test_their_times_cost_nothing() -> None:
    kinds = [0, *[2, 2, 2, 1] * 8]
    assert len(pack_gop(mixed(kinds), 0)) == len(pack_gop(mixed([min(kind, 1) for kind in kinds]), 0))


ticks = st.integers(-(1 << 40), 1 << 40)
SECOND_GROUP = 1 << 42
"""Ticks by which it is later than the first."""


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(ticks, st.integers(0, 1 << 40), st.integers(1, 100), st.binary(max_size=20)),
        min_size=1,
        max_size=40,
        unique_by=lambda row: row[0],
    )
)
def test_any_frames_round_trip(rows: list[tuple[int, int, int, bytes]]) -> None:
    records = tuple(
        FrameRecord(pts, duration, int(i > 0), quality, i, payload)
        for i, (pts, duration, quality, payload) in enumerate(sorted(rows))
    )
    later = tuple(replace(record, pts=record.pts + SECOND_GROUP) for record in records)
    size = sum(len(record.payload) for record in records)
    gops = [Gop(records, size // 2, size // 3), Gop(later, 0, size)]
    reader, items = read(write(*gops))
    assert [item.gop for item in items if isinstance(item, GopChunk)] == gops
    assert reader.duration == max(r.pts + r.duration for r in later) - min(r.pts for r in records)


def test_times_increase() -> None:
    for second in (0, -1):
        with pytest.raises(ValueError, match="do not increase"):
            write(Gop((frame(0, pts=0), replace(frame(1), pts=second))))
        with pytest.raises(FormatError, match=f"begins at time {second}, which is not after 1"):
            read(write(group(0, 2), group(second, 2)))
    reader, items = read(write(group(0, 2), group(1, 2), group(5, 2)), keep_going=True)
    assert [item.gop.frames[0].pts for item in items if isinstance(item, GopChunk)] == [0, 5]
    assert "not after 1" in reader.damage[0]


def test_variable_frame_rates_cost_little() -> None:
    """24000/1001 frames/s in milliseconds: steps of 41 and 42."""
    times = [round(i * 1001 / 24) for i in range(201)]
    records = tuple(FrameRecord(times[i], times[i + 1] - times[i], int(i > 0), 60, 0, b"") for i in range(200))
    assert len(pack_gop(Gop(records), 0)) / 200 < 5.2


TABLE: dict[str, bytes] = {
    "first frame": b"\0",
    "first time": b"\5",
    "frames": b"\2",
    "first duration": b"\1",
    "qualities": b"\2\x3c\xbc",
    "motion": b"\1",
    "hyper": b"\2",
    "first row": b"\0\2\x12\x34",
    "second row": b"\x11\1\0\0",
}
"""Two frames at -3 and -2 of quality 60, the second one with a quality map, from FORMAT.md."""
PAYLOADS = b"abc"


def file_with(**changed: bytes) -> bytes:
    """A file with this group, changed, and nothing else."""
    table = b"".join({**TABLE, **{name.replace("_", " "): data for name, data in changed.items()}}.values())
    return with_chunk(b"GOP ", table + zlib.crc32(table).to_bytes(4, "big") + PAYLOADS)


def test_fields_are_where_the_format_says() -> None:
    _, (item,) = read(file_with(), keep_going=True)
    assert isinstance(item, GopChunk)
    assert item.gop.frames == (
        FrameRecord(-3, 1, 0, 60, 0x1234, b"ab"),
        FrameRecord(-2, 1, 1, 60, 0, b"c", has_levels=True),
    )
    assert item.gop.parts == {"motion": 1, "hyper": 2, "latents": 0}
    assert write(item.gop, close=False) == file_with()


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("first_frame", b"\1"),
        ("first_frame", b"\x80\0"),
        ("first_frame", b"\x81\x80\x80\x80\x80\x20"),
        ("first_time", b"\x82" + b"\x80" * 7 + b"\2"),
        ("first_time", b"\x85\0"),
        ("frames", b"\0"),
        ("frames", b"\1"),
        ("frames", b"\3"),
        ("frames", b"\x82\0"),
        ("frames", b"\x81\x08"),
        ("first_duration", b"\x81" + b"\x80" * 7 + b"\1"),
        ("qualities", b"\0"),
        ("qualities", b"\1\x3c"),
        ("qualities", b"\x10" + bytes(range(1, 17))),
        ("qualities", b"\2\x3c\x3c"),
        ("qualities", b"\3\x3c\xbc\x3c"),
        ("qualities", b"\3\x3c\xbc\0"),
        ("qualities", b"\3\x3c\xbc\x80"),
        ("qualities", b"\3\x3c\xbc\x65"),
        ("qualities", b"\3\x3c\xbc\xff"),
        ("motion", b"\2"),
        ("motion", b"\x81\0"),
        ("hyper", b"\3"),
        ("hyper", b"\x82\0"),
        ("hyper", b"\xff" * 9 + b"\1"),
        ("first_row", b"\1\2\0\0"),
        ("first_row", b"\2\2\0\0"),
        ("first_row", b"\4\2\2\0\0"),
        ("first_row", b"\x08\2\2\0\0"),
        ("first_row", b"\0\3\0\0"),
        ("first_row", b"\0\1\0\0"),
        ("first_row", b"\0\x82\0\0\0"),
        ("first_row", b"\0\xff\xff\xff\xff\7\0\0"),
        ("second_row", b"\x12\1\0\0"),
        ("second_row", b"\x13\1\0\0"),
        ("second_row", b"\x21\1\0\0"),
        ("second_row", b"\xe1\1\0\0"),
        ("second_row", b"\xf1\0\1\0\0"),
        ("second_row", b"\xf1\x65\1\0\0"),
        ("second_row", b"\xf1\x80\1\0\0"),
        ("second_row", b"\x15\x86" + b"\x80" * 7 + b"\2\1\0\0"),
        ("second_row", b"\x15\x82\0\1\0\0"),
        ("second_row", b"\x15\1\1\0\0"),
        ("second_row", b"\x19\3\1\0\0"),
        ("second_row", b"\x19" + b"\x80" * 8 + b"\2\1\0\0"),
    ],
)
def test_readers_refuse_fields_out_of_range(field: str, data: bytes) -> None:
    bad = file_with(**{field: data})
    with pytest.raises(FormatError, match=r"GOP|begins with frame") as caught:
        read(bad)
    assert FIRST_CHUNK <= (caught.value.position or 0) < len(bad)


def test_the_table_has_a_checksum_of_its_own() -> None:
    data = bytearray(file_with())
    data[-4 - len(PAYLOADS) - 1] ^= 1
    data[-4:] = zlib.crc32(data[-4 - len(PAYLOADS) - 4 - sum(map(len, TABLE.values())) : -4]).to_bytes(4, "big")
    with pytest.raises(FormatError, match="checksum of the table"):
        read(bytes(data))


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("first_time", b"\xff" * 8 + b"\1"),
        ("first_duration", b"\x80" * 8 + b"\1"),
        ("qualities", b"\x0f" + bytes(range(1, 15)) + b"\x64"),
        ("qualities", b"\2\1\xe4"),
        ("motion", b"\0"),
        ("hyper", b"\0"),
        ("second_row", b"\xf1\xe4\1\0\0"),
        ("second_row", b"\x10\1\0\0"),
    ],
)
def test_the_ends_of_ranges_belong_to_them(field: str, data: bytes) -> None:
    with pytest.raises(TruncatedError, match="without its END"):
        read(file_with(**{field: data}))
