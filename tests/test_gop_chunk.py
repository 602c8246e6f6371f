"""GOP chunks: the table of frames, of any kinds, times and qualities."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvc.container import FrameRecord, Gop, GopChunk, limits
from lvc.container import gop as container_gop
from lvc.container.gop import pack_gop
from lvc.errors import FormatError, LimitError
from tests.container_files import frame, group, mixed, read, with_chunk, write


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
