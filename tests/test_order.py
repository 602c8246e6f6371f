"""The order in which the frames of a group are coded."""

import itertools

import pytest

from lvc.container import BETWEEN, INTRA, PREDICTED, Step, coding_order, levels, limits, windows

GROUPS = [
    [INTRA],
    [INTRA, *[PREDICTED] * 5],
    [INTRA, INTRA, PREDICTED],
    *([INTRA, *[BETWEEN] * (run - 1), PREDICTED] for run in range(1, limits.MAX_BETWEEN + 2)),
    [INTRA, *[BETWEEN, BETWEEN, BETWEEN, PREDICTED] * 3, BETWEEN, PREDICTED, PREDICTED],
    [INTRA, PREDICTED, BETWEEN, PREDICTED, BETWEEN, BETWEEN, PREDICTED],
]


def test_runs_of_four() -> None:
    """The anchor, the middle, then the middles of the first and the second half."""
    assert coding_order([0, 2, 2, 2, 1, 2, 2, 2, 1]) == [
        Step(0),
        Step(4, 0, latest=0),
        Step(2, 0, 4, 1, latest=4),
        Step(1, 0, 2, 2, latest=2),
        Step(3, 2, 4, 2, latest=2),
        Step(8, 4, latest=4),
        Step(6, 4, 8, 1, latest=8),
        Step(5, 4, 6, 2, latest=6),
        Step(7, 6, 8, 2, latest=6),
    ]


@pytest.mark.parametrize(
    ("run", "order"),
    [
        (1, [1]),
        (2, [2, 1]),
        (3, [3, 1, 2]),
        (5, [5, 2, 1, 3, 4]),
        (6, [6, 3, 1, 4, 2, 5]),
        (8, [8, 4, 2, 6, 1, 3, 5, 7]),
        (16, [16, 8, 4, 12, 2, 6, 10, 14, *range(1, 17, 2)]),
    ],
)
def test_the_middle_comes_first(run: int, order: list[int]) -> None:
    """Of an even number of frames the earlier one of the two in the middle."""
    steps = coding_order([INTRA, *[BETWEEN] * (run - 1), PREDICTED])
    assert [step.position for step in steps] == [0, *order]


@pytest.mark.parametrize("kinds", GROUPS)
def test_every_frame_once_and_its_references_before_it(kinds: list[int]) -> None:
    steps = coding_order(kinds)
    assert sorted(step.position for step in steps) == list(range(len(kinds)))
    anchors = [position for position, kind in enumerate(kinds) if kind != BETWEEN]
    assert [step.position for step in steps if step.depth == 0] == anchors
    coded: list[int] = []
    for step in steps:
        position, first, second, depth, latest = step
        if kinds[position] == INTRA:
            assert step == Step(position)
        elif kinds[position] == PREDICTED:
            before = max(anchor for anchor in anchors if anchor < position)
            assert step == Step(position, before, latest=before)
        else:
            assert first is not None
            assert second is not None
            # the nearest that are coded by now
            assert first == max(before for before in coded if before < position)
            assert second == min(behind for behind in coded if behind > position)
            assert depth >= 1
            assert latest == max(first, second, key=coded.index)
        coded.append(position)


@pytest.mark.parametrize("kinds", GROUPS)
def test_depth_is_one_more_than_that_of_the_references(kinds: list[int]) -> None:
    depths: dict[int, int] = {}
    for step in coding_order(kinds):
        if kinds[step.position] == BETWEEN:
            references = [depths[at] for at in (step.first, step.second) if at is not None]
            assert len(references) == 2
            assert step.depth == 1 + max(references)
        depths[step.position] = step.depth
    longest = max((len(list(run)) for kind, run in itertools.groupby(kinds) if kind == BETWEEN), default=0)
    assert max(depths.values()) == longest.bit_length()


@pytest.mark.parametrize("missing", range(1, 5))
def test_frames_behind_the_last_anchor_are_left_out(missing: int) -> None:
    kinds = [INTRA, BETWEEN, PREDICTED]
    assert coding_order([*kinds, *[BETWEEN] * missing]) == coding_order(kinds)
    assert coding_order([INTRA, *[BETWEEN] * missing]) == [Step(0)]


@pytest.mark.parametrize("kinds", GROUPS)
def test_what_comes_later_does_not_change_the_order(kinds: list[int]) -> None:
    """Frames can be decoded as they arrive."""
    whole = coding_order(kinds)
    for count in range(1, len(kinds) + 1):
        part = coding_order(kinds[:count])
        assert part == whole[: len(part)]


def test_steps_move() -> None:
    assert Step(2, 0, 4, 1, 4).moved(8) == Step(10, 8, 12, 1, 12)
    assert Step(1, 0, latest=0).moved(3) == Step(4, 3, latest=3)
    assert Step(0).moved(5) == Step(5)
    steps = coding_order([PREDICTED, BETWEEN, BETWEEN, PREDICTED])[1:]
    assert [step.moved(7) for step in steps] == coding_order([INTRA, *[PREDICTED] * 7, BETWEEN, BETWEEN, PREDICTED])[8:]


@pytest.mark.parametrize("kinds", GROUPS)
def test_references_are_what_others_refer_to(kinds: list[int]) -> None:
    steps = coding_order(kinds)
    used = {reference for step in steps for reference in (step.first, step.second)}
    for step in steps:  # of anchors nobody knows what follows
        assert step.is_reference == (step.depth == 0 or step.position in used)


@pytest.mark.parametrize("kinds", GROUPS)
def test_pictures_of_a_window_need_only_earlier_levels_and_windows(kinds: list[int]) -> None:
    """Those of one level do not need each other, and no anchor needs what is in its window."""
    steps = coding_order(kinds)
    parts = list(windows(steps))
    assert [step for window in parts for step in window] == steps
    known: set[int] = set()
    for window in parts:
        assert sum(step.depth == 0 for step in window) <= 1
        before = set(known)
        for level in levels(window):
            assert len({step.depth for step in level}) == 1
            for step in level:
                needed = {step.first, step.second} - {None}
                assert needed <= (known if step.depth else before)
            known |= {step.position for step in level}
        assert len(window) == 1 or window[0].depth


def test_windows() -> None:
    found = [[step.position for step in window] for window in windows(coding_order([0, 2, 2, 2, 1, 1, 2, 1, 0, 2, 1]))]
    assert found == [[0], [4], [2, 1, 3, 5], [7], [6], [8], [10], [9]]
    steps = coding_order([0, 2, 2, 2, 1, 1, 2, 1, 0, 2, 1])
    found = [[step.position for step in level] for level in levels(steps)]
    assert found == [[0], [4], [2], [1, 3], [5], [7], [6], [8], [10], [9]]
