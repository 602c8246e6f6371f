"""INDX and END: where the groups are, and seeking to them."""

import io

import pytest

from lvc.container import GopChunk, Reader, SideChunk, chunk
from lvc.container.index import IndexEntry, unpack_index
from lvc.errors import FormatError, InputError, TruncatedError
from tests.container_files import (
    FIRST_CHUNK,
    SMALL,
    group,
    read,
    write,
)
from tests.test_container import Pipe


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


@pytest.mark.parametrize("count", [0, 1])
def test_files_of_hardly_a_group_have_no_index(count: int) -> None:
    data = write(*(group(3, 4) for _ in range(count)))
    assert b"INDX" not in data
    index = Reader(io.BytesIO(data)).read_index()
    assert [(entry.position, entry.first_pts, entry.frames) for entry in index] == [(FIRST_CHUNK, 3, 4)][:count]
    end = data[-38:]
    of_one = chunk.pack_chunk(chunk.INDEX, 0, b"\1" + bytes([FIRST_CHUNK]) + b"\x08\6")
    with pytest.raises(FormatError, match="INDEX"):
        read(data[:-38] + of_one + end)


def test_side_data_on_the_way_to_a_group() -> None:
    data = bytearray(write(b"a", group(0, 2), b"b", group(2, 2), b"c", b"d", group(4, 2), b"e", group(6, 2), b"f"))
    index = Reader(io.BytesIO(data)).read_index()
    data[index[1].position + 40] ^= 1  # within a group that is passed over

    def side(first: int, last: int | None, **options: bool) -> tuple[Reader, list[bytes]]:
        reader = Reader(io.BytesIO(data), **options)
        reader.seek(index[first])
        return reader, [item.data for item in reader.side_before(None if last is None else index[last])]

    reader, found = side(0, 2)
    assert found == [b"b", b"c", b"d"]
    assert [item.position for item in reader if isinstance(item, GopChunk)] == [index[2].position, index[3].position]
    reader, found = side(1, None)
    assert found == [b"c", b"d", b"e", b"f"]
    assert list(reader) == []
    del data[index[3].position + 40 :]
    with pytest.raises(TruncatedError) as caught:
        side(2, None)
    assert caught.value.position == len(data)
    reader, found = side(2, None, keep_going=True)
    assert (found, reader.truncated, len(reader.damage)) == ([b"e"], True, 1)
    data[data.index(b"SIDE", index[1].position)] ^= 1
    with pytest.raises(FormatError, match="wrong checksum"):
        side(0, 2)
    reader, found = side(0, 2, keep_going=True)  # it goes on behind the damage, which hides "d", too
    assert found == [b"b"]
    assert next(item.position for item in reader if isinstance(item, GopChunk)) == index[2].position
    assert len(reader.damage) == 1


def test_pipes_pass_over_nothing() -> None:
    with pytest.raises(InputError, match="cannot seek"):
        list(Reader(Pipe(SMALL)).side_before(None))


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


def test_rows_are_what_the_format_says() -> None:
    """Relative to the row before: one frame at -3 ticks, two frames at -4 + 3."""
    assert unpack_index(b"\2\x64\2\5\x0a\2\x0a", 200) == [IndexEntry(100, -3, 1, 0), IndexEntry(110, -1, 2, 1)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1",
        b"\2\x64\2\5",
        b"\x81\0\x64\2\5",
        b"\1\0\2\5",
        b"\1\x64\0\5",
        b"\1\x64\1\5",
        b"\1\x64\x82\x10\5",
        b"\1\x64\2" + b"\x82" + b"\x80" * 7 + b"\2",
        b"\1\xc8\1\2\5",
        b"\1\x64\2\5\0",
        b"\1\xe4\0\2\5",
        b"\2\x64\2\5\0\0\4",
        b"\xff" * 9 + b"\1",
    ],
)
def test_impossible_indexes_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="INDEX") as caught:
        unpack_index(data, 200)
    assert (caught.value.position or 0) >= 200


@pytest.mark.parametrize("size", [0, 23, 25])
def test_the_size_of_end_is_fixed(size: int) -> None:
    with pytest.raises(FormatError, match=f"END: {size} bytes instead of 24"):
        read(write(close=False) + chunk.pack_chunk(chunk.END, chunk.MANDATORY, bytes(size)))


@pytest.mark.parametrize("place", [7, 15, 23])
def test_totals_that_do_not_add_up_are_refused(place: int) -> None:
    payload = bytearray(SMALL[-28:-4])
    payload[place] ^= 1
    with pytest.raises(FormatError, match="add up"):
        read(SMALL[:-38] + chunk.pack_chunk(chunk.END, chunk.MANDATORY, bytes(payload)))
