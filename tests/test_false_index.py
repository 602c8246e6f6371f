"""An INDX that is whole, but false: pictures are never left out for it without a word."""

import io
from collections.abc import Callable
from fractions import Fraction

import pytest

from lvc.container import GopChunk, Reader, chunk
from lvc.container.index import IndexEntry, Totals
from lvc.container.part import Part
from lvc.errors import FormatError
from lvc.splice import Piece, splice
from tests.container_files import INFO, group, write

GROUPS = [group(10 * n, 10) for n in range(6)]
WHOLE = write(*GROUPS)
ENTRIES = Reader(io.BytesIO(WHOLE)).read_index()


def with_index(false: Callable[[IndexEntry], IndexEntry]) -> bytes:
    """The file with other entries, in order; checksums and END are right."""
    totals = Totals()
    for entry in map(false, ENTRIES):
        totals.add_gop(entry.position, [(entry.first_pts, 1)] * entry.frames)
    payload = totals.pack_index()
    assert payload is not None
    begin = WHOLE.index(chunk.INDEX)
    end = len(chunk.pack_chunk(chunk.END, chunk.MANDATORY, bytes(24)))
    return WHOLE[:begin] + chunk.pack_chunk(chunk.INDEX, 0, payload) + WHOLE[-end:]


def squeezed(entry: IndexEntry) -> IndexEntry:
    return entry._replace(first_pts=entry.first_pts // 10)


def exchanged(entry: IndexEntry) -> IndexEntry:
    """The first groups are said to have more frames, others fewer."""
    return entry._replace(frames=11 if entry.first_frame < 30 else 9)


def firsts(data: bytes, start: int, *, keep_going: bool = False) -> tuple[list[int], list[str]]:
    """Times of the groups from a time on, and the damage."""
    reader = Reader(io.BytesIO(data), keep_going=keep_going)
    part = Part(reader, start * INFO.time_base, lambda _: False)
    return [item.gop.frames[0].pts for item in part if isinstance(item, GopChunk)], reader.damage


def test_the_right_index_goes_on_as_ever() -> None:
    assert with_index(lambda entry: entry) == WHOLE
    assert firsts(WHOLE, 15) == ([10, 20, 30, 40, 50], [])
    assert firsts(write(*GROUPS, close=False), 15, keep_going=True)[0] == [10, 20, 30, 40, 50]


@pytest.mark.parametrize(("false", "target"), [(squeezed, 5), (exchanged, 1)])
def test_a_group_that_is_not_as_the_index_says(false: Callable[[IndexEntry], IndexEntry], target: int) -> None:
    data = with_index(false)
    position = ENTRIES[target].position
    with pytest.raises(FormatError, match="the index is false") as caught:
        firsts(data, 15)
    assert caught.value.position == position
    found, damage = firsts(data, 15, keep_going=True)
    assert found == list(range(10 * target, 60, 10))
    assert len(damage) == 1
    assert f"at byte {position}" in damage[0]


def test_cuts_end_where_the_groups_do() -> None:
    """The group behind a cut is compared, too."""

    def cut(data: bytes, start: int, end: int) -> None:
        piece = Piece("a.lvc", io.BytesIO(data), start * INFO.time_base, end * INFO.time_base)
        splice([piece], io.BytesIO())

    late = with_index(lambda entry: entry._replace(first_pts=entry.first_pts + (5 if entry.first_pts == 30 else 0)))
    cut(WHOLE, 10, 32)
    with pytest.raises(FormatError, match=r"a\.lvc: the index is false"):
        cut(late, 10, 32)
    with pytest.raises(FormatError, match=r"a\.lvc: the index is false"):
        cut(late, 36, 55)


def test_groups_that_are_read_from_the_first_on_need_no_index() -> None:
    assert firsts(WHOLE, 0) == ([0, 10, 20, 30, 40, 50], [])
    with pytest.raises(FormatError, match="INDEX does not describe this file"):
        list(Reader(io.BytesIO(with_index(squeezed))))


def test_pictures_of_joined_files_are_found() -> None:
    sink = io.BytesIO()
    splice([Piece("a", io.BytesIO(WHOLE)), Piece("b", io.BytesIO(WHOLE), Fraction(0))], sink)
    assert firsts(sink.getvalue(), 75) == ([70, 80, 90, 100, 110], [])
