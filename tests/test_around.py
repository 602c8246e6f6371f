"""Frames with those around them."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from lvc.encoder.around import REACH, with_around
from lvc.video import Frame


def frames_of(count: int) -> list[Frame]:
    plane = np.zeros((2, 2), np.uint16)
    return [Frame([plane, plane, plane], pts, 1) for pts in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, REACH - 1, REACH, REACH + 1, REACH + 2, 3 * REACH])
def test_each_frame_with_those_around_it(count: int) -> None:
    """All in order, each once; nearest first, fewer at both ends."""
    frames = frames_of(count)
    found = list(with_around(frames))
    assert [around.ends for _, around in found] == [False] * (count - 1) + [True] * (count > 0)
    assert not any(around.ends for _, around in with_around(frames, goes_on=True))
    assert [id(frame) for frame, _ in found] == [id(frame) for frame in frames]
    for pts, (_, around) in enumerate(found):
        assert [frame.pts for frame in around.before] == list(range(pts - 1, max(-1, pts - 1 - REACH), -1))
        assert [frame.pts for frame in around.after] == list(range(pts + 1, min(count, pts + 1 + REACH)))


def test_no_more_frames_are_held_than_needed() -> None:
    taken: list[int] = []

    def source() -> Iterator[Frame]:
        for frame in itertools.cycle(frames_of(1)):
            taken.append(1)
            yield frame

    found = with_around(source())
    for count in range(1, 20):
        next(found)
        assert len(taken) == count + REACH
