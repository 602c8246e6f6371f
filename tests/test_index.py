"""INDX and END: where the groups are, and seeking to them."""

import io

import pytest

from lvc.container import GopChunk, Reader, SideChunk, chunk
from lvc.errors import FormatError
from tests.container_files import (
    FIRST_CHUNK,
    SMALL,
    group,
    read,
    write,
)


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
