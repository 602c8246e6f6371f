"""How far a decoder says that it has come: bytes of the file and the time that they last."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import lvc
from lvc import api
from lvc.container import GopChunk, Reader
from lvc.edit import Span
from lvc.progress import Progress


def reports(data: bytes, **options: Any) -> list[Progress]:
    told: list[Progress] = []
    lvc.decode(io.BytesIO(data), io.BytesIO(), device="cpu", progress=told.append, **options)
    return told


def ends(data: bytes) -> list[int]:
    """Where in the file each group of pictures ends."""
    return [item.position + item.size for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk)]


@pytest.mark.parametrize("options", [{}, {"batch": 2}, {"workers": 2}])
def test_bytes_reach_to_the_end_of_the_group(coded: bytes, options: dict[str, int]) -> None:
    """Its pictures share it equally."""
    first, second = ends(coded)
    told = [report.bytes for report in reports(coded, **options)]
    assert (told[2], told[5]) == (first, second)
    assert told[4] - told[3] == pytest.approx(told[5] - told[4], abs=1)
    assert told == sorted(set(told))


def test_verifying_tells_the_rate_of_the_file(coded: bytes, tmp_path: Path) -> None:
    (tmp_path / "clip.lvc").write_bytes(coded)
    told: list[Progress] = []
    api.verify(tmp_path / "clip.lvc", device="cpu", progress=told.append)
    assert told[-1].bytes == ends(coded)[-1] > len(coded) - 65  # INDX and END follow


def test_parts_count_their_own_bytes(coded: bytes) -> None:
    """From the first picture that is shown."""
    first, second = ends(coded)
    whole = reports(coded)
    begin = Fraction(whole[3].media_seconds).limit_denominator(1000)
    (last,) = reports(coded, span=Span(begin + Fraction(whole[0].media_seconds).limit_denominator(1000)))
    assert last.bytes == pytest.approx((second - first) / 3, abs=1)
    assert last.media_seconds == pytest.approx(whole[0].media_seconds)
    assert [report.bytes for report in reports(coded, span=Span(frames=2))] == [each.bytes for each in whole[:2]]


def test_previews_take_whole_groups(coded: bytes) -> None:
    assert [report.bytes for report in reports(coded, preview=True)] == ends(coded)
