"""The `.lvc` container: what goes in comes out, is small, and no damage goes unnoticed or does harm."""

import io
import itertools
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvc.container import FrameRecord, Gop, GopChunk, Reader, SideChunk, Writer, chunk, limits
from lvc.container import gop as container_gop
from lvc.container.gop import pack_gop
from lvc.container.header import pack_header
from lvc.errors import FormatError, InputError, LimitError, LvcError, TruncatedError
from lvc.video import Colour
from tests.container_files import FIRST_CHUNK, HEADER, INFO, SMALL, SMALL_ITEMS, frame, group, mixed, read, write


class Pipe(io.RawIOBase):
    """A stream that can only be read or written, a few bytes at a time."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = bytes(self.data[: min(size, 3)])
        del self.data[: len(piece)]
        return piece

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data[:5]
        return len(data[:5])


def test_round_trip() -> None:
    reader, items = read(SMALL)
    assert reader.header == HEADER
    assert [item.gop if isinstance(item, GopChunk) else item.data for item in items] == list(SMALL_ITEMS)
    assert items[0].position == FIRST_CHUNK
    assert all(a.position + a.size == b.position for a, b in itertools.pairwise(items))
    assert (reader.total_frames, reader.duration, reader.position) == (5, 5, len(SMALL))
    assert not reader.truncated
    assert not reader.damage


def test_layout_is_pinned() -> None:
    """A changed byte here is a changed format: raise the version."""
    assert SMALL[:10].hex() == "8c4c56430d0a1a0a003c"
    assert (len(SMALL), zlib.crc32(SMALL)) == (297, 0x7F165D1B)


def test_pipes_need_no_seeking_and_may_be_slow() -> None:
    pipe = Pipe()
    with Writer(pipe, HEADER) as writer:  # type: ignore[arg-type]
        writer.write_gop(group(0, 3))
        writer.write_side(b"x" * 100)
    reader = Reader(Pipe(pipe.data))  # type: ignore[arg-type]
    assert [type(item) for item in reader] == [GopChunk, SideChunk]
    with pytest.raises(InputError, match="pipe"):
        reader.read_index()


def test_a_writer_that_failed_leaves_a_truncated_file() -> None:
    stream = io.BytesIO()
    with pytest.raises(KeyError), Writer(stream, HEADER):
        raise KeyError
    with pytest.raises(TruncatedError):
        read(stream.getvalue())


def test_closed_writers_refuse_and_close_once() -> None:
    stream = io.BytesIO()
    writer = Writer(stream, HEADER)
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write_gop(group(0, 1))
    assert read(stream.getvalue())[0].total_frames == 0


# Size


def test_overhead_is_small() -> None:
    assert FIRST_CHUNK < 90
    cascade = [60, 50, 55, 50]
    frames = [frame(i, bytes(40), 1000 + i, cascade[i % 4]) for i in range(32)]
    data = write(Gop(tuple(frames)), close=False)
    assert (len(data) - FIRST_CHUNK - 32 * 40) / 32 <= 9
    groups = [group(i * 250 * 3600, 250, size=0) for i in range(100)]
    stream = io.BytesIO()
    writer = Writer(stream, HEADER)
    for gop in groups:
        writer.write_gop(gop)
    before = writer.bytes_written
    writer.close()
    assert (writer.bytes_written - before - 60) / 100 < 5


# Index and seeking


@pytest.mark.parametrize("close", [True, False])
def test_index_and_seek(close: bool) -> None:
    groups = [group(10 * i - 7, 4 + i) for i in range(5)]
    data = write(*groups[:3], b"side", *groups[3:], close=close)
    reader = Reader(io.BytesIO(data), keep_going=True)
    index = reader.read_index()
    assert [entry.first_pts for entry in index] == [-7, 3, 13, 23, 33]
    assert [entry.frames for entry in index] == [4, 5, 6, 7, 8]
    assert [entry.first_frame for entry in index] == [0, 4, 9, 15, 22]
    assert [item.position for item in reader if isinstance(item, GopChunk)] == [entry.position for entry in index]
    for i in (4, 1, 3):
        reader.seek(index[i])
        item = next(iter(reader))
        assert isinstance(item, GopChunk)
        assert item.gop == groups[i]
        assert item.first_frame == index[i].first_frame


def test_positions_count_from_where_the_data_begin() -> None:
    stream = io.BytesIO(b"something else" + SMALL)
    stream.seek(14)
    reader = Reader(stream)
    index = reader.read_index()
    assert index[0].position == FIRST_CHUNK
    reader.seek(index[1])
    assert [type(item) for item in reader] == [GopChunk, SideChunk]


def test_index_of_a_damaged_file_lists_what_is_whole() -> None:
    data = write(group(0, 4), group(4, 4), group(8, 4))
    positions = [entry.position for entry in Reader(io.BytesIO(data)).read_index()]
    cut = Reader(io.BytesIO(data[: positions[2] + 20]))
    assert [entry.position for entry in cut.read_index()] == positions[:2]


# Damage


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_found_and_named(mask: int) -> None:
    for i in range(len(SMALL)):
        data = bytearray(SMALL)
        data[i] ^= mask
        with pytest.raises(FormatError) as caught:
            read(bytes(data))
        position = caught.value.position
        assert position is not None
        assert position <= i or isinstance(caught.value, TruncatedError), i
        if i >= FIRST_CHUNK:
            reader, items = read(bytes(data), keep_going=True)
            assert reader.damage, i
            before = [item for item in read(SMALL)[1] if item.position + item.size <= i]
            assert items[: len(before)] == before


def test_every_truncation_is_found_and_what_came_before_is_given() -> None:
    whole = read(SMALL)[1]
    for size in range(len(SMALL)):
        with pytest.raises(TruncatedError):
            read(SMALL[:size])
        if size >= FIRST_CHUNK:
            reader, items = read(SMALL[:size], keep_going=True)
            assert reader.truncated
            assert len(reader.damage) == 1
            before = [item for item in whole if item.position + item.size <= size]
            assert items[: len(before)] == before
            assert all(isinstance(item, GopChunk) and item.damaged for item in items[len(before) :])


def test_frames_before_the_cut_are_kept() -> None:
    gop = group(0, 10, size=50)
    data = write(gop, close=False)
    reader, items = read(data[: len(data) - 4 - 3 * 50 - 1], keep_going=True)
    assert isinstance(items[0], GopChunk)
    assert items[0].damaged
    assert items[0].gop.frames == gop.frames[:6]
    assert reader.total_frames == 6


@pytest.mark.parametrize(
    ("kinds", "left"),
    [
        ([0, 2, 2, 2, 1, 2, 2, 2, 1], [1, 1, 1, 1, 5, 5, 5, 5, 9]),
        ([0, 1, 2, 1, 2, 2, 1, 1], [1, 2, 2, 4, 4, 4, 7, 8]),
    ],
)
def test_what_is_cut_off_ends_with_an_anchor(kinds: list[int], left: list[int]) -> None:
    """Frames between two anchors are of no use without the second one."""
    gop = mixed(kinds)
    data = write(gop, close=False)
    for count, usable in enumerate(left, 1):
        missing = 7 * (len(kinds) - count)
        for more in (0, 1, 6) if missing else (0,):
            reader, items = read(data[: len(data) - 4 - missing + more], keep_going=True)
            assert isinstance(items[0], GopChunk)
            assert items[0].damaged
            assert items[0].gop.frames == gop.frames[:usable]
            assert reader.total_frames == usable


def test_going_on_after_a_damaged_chunk() -> None:
    data = bytearray(write(group(0, 3, size=50), b"sound", group(3, 3)))
    data[FIRST_CHUNK + 100] ^= 1
    reader, items = read(bytes(data), keep_going=True)
    assert [type(item) for item in items] == [GopChunk, SideChunk, GopChunk]
    assert [item.damaged for item in items if isinstance(item, GopChunk)] == [True, False]
    assert len(reader.damage) == 1
    assert str(FIRST_CHUNK) in reader.damage[0]
    assert not reader.truncated


def test_missing_doubled_and_swapped_groups_are_found() -> None:
    items = read(SMALL)[1]
    a, b = (SMALL[item.position : item.position + item.size] for item in (items[0], items[2]))
    tail = SMALL[items[3].position + items[3].size :]
    head = SMALL[:FIRST_CHUNK]
    for body in (a, b, a + a, b + a, b""):
        with pytest.raises(FormatError, match=r"should follow|add up|does not describe"):
            read(head + body + tail)
    with pytest.raises(FormatError, match="does not describe"):
        read(head + a + b + tail)


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(FormatError, match="after the END") as caught:
        read(SMALL + SMALL)
    assert caught.value.position == len(SMALL)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF" + bytes(100), "not a .lvc file"),
        (SMALL.replace(b"\r\n", b"\n", 1), "transferred as text"),
        (SMALL[:8] + b"\xff\xff" + SMALL[10:], "length of 65535"),
        (SMALL[:8] + b"\x00\x00" + SMALL[10:], "length of 0"),
    ],
)
def test_bad_beginnings(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(data)


def changed_header(change: Callable[[bytearray], None]) -> bytes:
    body = bytearray(SMALL[10 : FIRST_CHUNK - 4])
    change(body)
    counted = len(body).to_bytes(2, "big") + body
    return SMALL[:8] + counted + zlib.crc32(counted).to_bytes(4, "big") + SMALL[FIRST_CHUNK:]


def test_other_versions_and_sizes_over_the_limits_are_refused() -> None:
    with pytest.raises(FormatError, match="version 2"):
        read(changed_header(lambda body: body.__setitem__(0, 2)))
    with pytest.raises(LimitError, match="2097088x353"):
        read(changed_header(lambda body: body.__setitem__(slice(33, 35), b"\xc0\xff\x7f")))
    with pytest.raises(FormatError, match="unexpected"):
        read(changed_header(lambda body: body.append(0)))
    for width, height in ((15, 100), (16385, 16), (16000, 16000)):
        with pytest.raises(LimitError, match=f"{width}x{height}"):
            write(header=replace(HEADER, info=replace(INFO, width=width, height=height)))


@pytest.mark.parametrize(
    "change",
    [{"quality": 0}, {"quality": 101}, {"keyint": 0}, {"keyint": 1025}, {"model_id": b"short"}],
)
def test_bad_header_fields_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is not within"):
        write(header=replace(HEADER, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"bit_depth": 9},
        {"rotation": 45},
        {"time_base": Fraction(0)},
        {"sample_aspect": Fraction(-1)},
        {"frame_rate": Fraction(1 << 40)},
        {"colour": Colour(range=3)},
        {"colour": Colour(primaries=256)},
    ],
)
def test_bad_video_descriptions_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is n"):
        write(header=replace(HEADER, info=replace(INFO, **change)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 3},
        {"kind": -1},
        {"quality": 0},
        {"duration": -1},
        {"pts": limits.MAX_TICKS + 1},
        {"motion_bytes": 7},
        {"hyper_bytes": -1},
        {"picture_crc": 1 << 32},
    ],
)
def test_bad_frames_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"\d"):
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
    with pytest.raises(ValueError, match="intra"):
        write(Gop((frame(1),)))
    with pytest.raises(LimitError, match="0 frames"):
        write(Gop(()))
    with pytest.raises(LimitError, match="1025 frames"):
        write(group(0, 1025))


# Chunks from the future


def insert(kind: bytes, flags: int, payload: bytes = b"from the future") -> bytes:
    """A file whose third chunk is of another type."""
    stream = io.BytesIO()
    writer = Writer(stream, HEADER)
    writer.write_gop(group(0, 2))
    writer.write_side(b"side")
    writer._write(chunk.pack_chunk(kind, flags, payload))
    writer.write_gop(group(2, 2))
    writer.close()
    return stream.getvalue()


def test_unknown_optional_chunks_are_skipped() -> None:
    reader, items = read(insert(b"NEW!", 0, bytes(3_000_000)))
    assert [type(item) for item in items] == [GopChunk, SideChunk, GopChunk]
    assert not reader.damage


def test_unknown_mandatory_chunks_are_refused() -> None:
    data = insert(b"NEW!", 1)
    with pytest.raises(FormatError, match="NEW!"):
        read(data)
    reader, items = read(data, keep_going=True)
    assert [type(item) for item in items] == [GopChunk, SideChunk]
    assert len(reader.damage) == 1


def test_damage_in_a_skipped_chunk_is_found() -> None:
    data = insert(b"NEW!", 0)
    with pytest.raises(FormatError, match="NEW!"):
        read(data.replace(b"the future", b"the Future"))


# Hostile files


def with_chunk(kind: bytes, payload: bytes) -> bytes:
    return pack_header(HEADER) + chunk.pack_chunk(kind, 1, payload)


@pytest.mark.parametrize("position", [1 << 63, (1 << 63) + FIRST_CHUNK, (1 << 64) - 1, (1 << 63) - 1, len(SMALL), 0])
def test_positions_are_not_believed(position: int) -> None:
    """END names a place where no index can be, with a right checksum: beyond what any file can seek to, and others."""
    whole = bytearray(SMALL)
    head = len(chunk.pack_head(chunk.END, chunk.MANDATORY, 24))
    payload = SMALL[-38 + head : -4][:16] + position.to_bytes(8, "big")
    whole[-38:] = chunk.pack_chunk(chunk.END, chunk.MANDATORY, payload)
    reader = Reader(io.BytesIO(whole))
    with pytest.raises(FormatError, match="no chunk begins here") as caught:
        reader._stored_index()
    assert caught.value.position == position
    assert Reader(io.BytesIO(whole)).read_index() == Reader(io.BytesIO(SMALL)).read_index()
    with pytest.raises(FormatError, match="END does not add up"):
        read(bytes(whole))


def test_lengths_are_not_believed() -> None:
    head = pack_header(HEADER) + chunk.pack_head(b"GOP ", 1, limits.MAX_CHUNK_BYTES)
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedError):
            read(head + bytes(1000))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    for length in (limits.MAX_CHUNK_BYTES + 1, (1 << 35) - 1):
        with pytest.raises(FormatError, match="longer than"):
            read(pack_header(HEADER) + chunk.pack_head(b"GOP ", 1, length))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"GOP ", b"SIDE", b"INDX", b"END "]), st.binary(max_size=200))
def test_any_payload_behind_a_right_checksum(kind: bytes, payload: bytes) -> None:
    data = with_chunk(kind, payload)
    for keep_going in (False, True):
        reader = Reader(io.BytesIO(data), keep_going=keep_going)
        reader.read_index()
        try:
            list(reader)
        except LvcError:
            assert not keep_going


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_tables_behind_right_checksums(data: st.DataObject) -> None:
    payload = bytearray(pack_gop(group(0, 3), 0))
    table_end = len(payload) - 21 - 4
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, table_end - 1))] = data.draw(st.integers(0, 255))
    payload[table_end : table_end + 4] = zlib.crc32(payload[:table_end]).to_bytes(4, "big")
    reader = Reader(io.BytesIO(with_chunk(b"GOP ", bytes(payload))), keep_going=True)
    for item in reader:
        assert isinstance(item, GopChunk)
        assert len(item.gop.frames) <= limits.MAX_GOP_FRAMES
        assert all(abs(record.pts) <= limits.MAX_TICKS for record in item.gop.frames)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(0, len(SMALL)))
def test_noise_never_raises_anything_else(noise: bytes, keep: int) -> None:
    for data in (noise, SMALL[:keep] + noise):
        for keep_going in (False, True):
            try:
                reader, _ = read(data, keep_going=keep_going)
                reader.read_index()
            except LvcError:
                continue


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


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(ticks, st.integers(0, 1 << 40), st.integers(1, 100), st.binary(max_size=20)),
        min_size=1,
        max_size=40,
    )
)
def test_any_frames_round_trip(rows: list[tuple[int, int, int, bytes]]) -> None:
    records = tuple(
        FrameRecord(pts, duration, int(i > 0), quality, len(payload) // 2, len(payload) // 3, i, payload)
        for i, (pts, duration, quality, payload) in enumerate(rows)
    )
    reader, items = read(write(Gop(records), Gop(records)))
    assert [item.gop for item in items if isinstance(item, GopChunk)] == [Gop(records)] * 2
    assert reader.duration == max(r.pts + r.duration for r in records) - min(r.pts for r in records)


def test_variable_frame_rates_cost_little() -> None:
    """24000/1001 frames/s in milliseconds: steps of 41 and 42."""
    times = [round(i * 1001 / 24) for i in range(201)]
    records = tuple(FrameRecord(times[i], times[i + 1] - times[i], int(i > 0), 60, 0, 0, 0, b"") for i in range(200))
    assert len(pack_gop(Gop(records), 0)) / 200 < 9


def test_many_frames_are_fast() -> None:
    groups = [group(250 * i, 250, size=30) for i in range(40)]
    reader, items = read(write(*groups))
    assert reader.total_frames == 10_000
    assert [item.gop for item in items if isinstance(item, GopChunk)] == groups


def test_the_written_limits_are_the_limits() -> None:
    text = (Path(limits.__file__).parent.parent / "FORMAT.md").read_text("utf-8")
    for name in (name for name in vars(limits) if name.isupper()):
        value = getattr(limits, name)
        assert f"| `{name}` | {value:,} |" in text or (value == 1 << 56 and f"| `{name}` | 2⁵⁶ |" in text)
