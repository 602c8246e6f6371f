"""Pictures between anchors: what motion is expected of them, and encoder and decoder together."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from lvc import group_decoder
from lvc.container import BETWEEN, GopChunk, Step, coding_order
from lvc.decoder import Decoder
from lvc.edit import Span
from lvc.encoder.settings import (
    BETWEEN_BONUS,
    CASCADE,
    INTRA_BONUS,
    REFRESH,
    REFRESH_EVERY,
    quality_bonus,
)
from lvc.errors import FormatError, MismatchError
from lvc.model.entropy import GroupTables
from lvc.model.group import GroupState, MotionMemory
from lvc.model.motion import MotionField
from lvc.rangecoder import Seen
from lvc.video import Frame
from tests.between import always_between, kinds_of
from tests.test_codec import Clip, decode, encode, groups, later, only_tiny, same, with_payload, written

# -- motion ---------------------------------------------------------------------------------------------------------


def field_of(*vectors: int) -> MotionField:
    """One row of blocks."""
    both = np.stack([np.array(vectors), 7 - np.array(vectors)], -1)[None]
    return MotionField(both.astype(np.int64), np.arange(len(vectors), dtype=np.int64)[None] % 4)


@pytest.mark.parametrize(("part", "whole"), [(1, 2), (3, 4), (1, 16), (-1, 1), (-2, 3), (-15, 1), (7, 1), (0, 5)])
def test_scaled_vectors(part: int, whole: int) -> None:
    """To the nearest whole number, halves upwards, also where negative."""
    field = field_of(*range(-40, 41), 4095, -4095, 2047)
    scaled = field.scaled(part, whole)
    exact = [Fraction(int(v) * part, whole) for v in field.vectors.ravel()]
    found = [int(v) for v in scaled.vectors.ravel()]
    assert all(-Fraction(1, 2) < new - old <= Fraction(1, 2) for new, old in zip(found, exact, strict=True))
    assert np.array_equal(scaled.levels, field.levels)
    assert scaled.vectors.dtype == np.int64


def same_field(a: MotionField | None, b: MotionField) -> bool:
    return a is not None and np.array_equal(a.vectors, b.vectors) and np.array_equal(a.levels, b.levels)


def test_expected_motion() -> None:
    memory = MotionMemory()
    assert memory.expected(Step(0)) is None
    memory.keep(Step(0), [])
    assert memory.expected(Step(4, 0)) is None
    anchor = field_of(8, -6, 3)
    memory.keep(Step(4, 0), [anchor])
    middle = Step(2, 0, 4, 1)
    assert same_field(memory.expected(middle), anchor.scaled(1, 2))
    into = field_of(5, -2, 1)
    assert same_field(memory.expected(middle, into), into.scaled(-1, 1))
    back = field_of(-3, 2, 9)
    memory.keep(middle, [into, back])
    assert same_field(memory.expected(Step(1, 0, 2, 2)), into.scaled(1, 2))
    assert same_field(memory.expected(Step(3, 2, 4, 2)), back.scaled(-1, 1).scaled(1, 2))
    memory.keep(Step(1, 0, 2, 2), [field_of(1, 1, 1), field_of(2, 2, 2)])
    memory.keep(Step(3, 2, 4, 2), [field_of(3, 3, 3), field_of(4, 4, 4)])
    # of the next anchor: what lies between does not count
    assert same_field(memory.expected(Step(8, 4)), anchor)
    assert same_field(memory.expected(Step(5, 4)), anchor.scaled(1, 4))
    memory.forget(Step(4, 0))
    assert same_field(memory.expected(middle), anchor.scaled(1, 2))
    assert memory.expected(Step(1, 0, 2, 2)) is None
    memory.keep(Step(5, 4), [into])
    memory.forget(Step(5, 4))
    assert same_field(memory.expected(Step(8, 5)), into.scaled(3, 1))
    memory.keep(Step(6), [])
    memory.forget(Step(6))
    assert memory.expected(Step(7, 6)) is None
    assert not memory.fields


@pytest.mark.parametrize("run", range(2, 17))
def test_steady_motion_is_expected_as_it_is(run: int) -> None:
    """At any distance and in either direction, where no rounding interferes."""
    memory, speed = MotionMemory(), np.array([[[3, -5]]], np.int64)
    kinds = [0, *[BETWEEN] * (run - 1), 1, *[BETWEEN] * (run - 1), 1, 1]
    for step in coding_order(kinds):
        found: list[MotionField] = []
        for reference in (step.first, step.second):
            if reference is None:
                continue
            true = MotionField(speed * (step.position - reference), np.zeros((1, 1), np.int64))
            expected = memory.expected(step, found[0] if found else None)
            assert same_field(expected, true) if (step.position, step.first) != (run, 0) else expected is None
            found.append(true)
        memory.keep(step, found)


# -- encoder and decoder --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(
    ("frames", "kinds"),
    [
        (2, [0, 1]),
        (3, [0, 2, 1]),
        (5, [0, 2, 2, 2, 1]),
        (6, [0, 2, 2, 2, 1, 1]),
        (7, [0, 2, 2, 2, 1, 2, 1]),
        (8, [0, 2, 2, 2, 1, 2, 2, 1]),
    ],
)
def test_the_decoder_sees_what_the_encoder_saw(
    frames: int, kinds: list[int], bit_depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All checksums, in display order, with tails of any length."""
    always_between(monkeypatch)
    clip = Clip("mix", 49, 33, frames, bit_depth=bit_depth)
    seen: list[int] = []
    data, result = encode(clip, quality=70)
    assert kinds_of(data) == [kinds]
    assert result.frames == frames
    decoder = Decoder(io.BytesIO(data), load_model=only_tiny, progress=lambda step: seen.append(step.frames))
    found = [item for item in decoder if isinstance(item, Frame)]
    assert seen == list(range(1, frames + 1))
    assert [(frame.pts, frame.duration) for frame in found] == [(frame.pts, frame.duration) for frame in clip.frames]
    for frame, source in zip(found, clip.frames, strict=True):
        assert float(np.square(frame.planes[0] * 1.0 - source.planes[0]).mean()) < 60 * 16 ** (bit_depth == 10)


def test_every_order_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    for run in (2, 3, 7):
        with monkeypatch.context() as here:
            always_between(here, run)
            data, _ = encode(Clip("pan", 32, 32, 1 + run), quality=50)
        assert kinds_of(data) == [[0, *[2] * (run - 1), 1]]
        assert len(decode(data)) == 1 + run


def test_the_key_interval_ends_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    always_between(monkeypatch)
    data, _ = encode(Clip("mix", 32, 48, 12), keyint=5)
    assert kinds_of(data) == [[0, 2, 2, 2, 1], [0, 2, 2, 2, 1], [0, 1]]
    assert len(decode(data)) == 12
    data, _ = encode(Clip("cuts", 32, 48, 11))
    assert kinds_of(data) == [[0, 2, 2, 2, 1, 2, 2, 1], [0, 2, 1]]
    assert len(decode(data)) == 11


def test_groups_in_lockstep_are_groups_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they are of different kinds at the same step."""
    always_between(monkeypatch)
    gops = [
        groups(encode(Clip(kind, 32, 48, frames), quality=quality)[0])[0].gop
        for kind, frames, quality in (("pan", 7, 20), ("zoom", 2, 90), ("textures", 5, 55), ("mix", 1, 5))
    ]
    like, _ = encode(Clip("noise", 32, 48, 6), ablate=frozenset({"nobetween"}))
    data = written(like, [later(gop, 10 * n) for n, gop in enumerate([*gops, groups(like)[0].gop])])
    alone = decode(data, batch=1)
    assert len(alone) == 21
    for batch in (2, 3, 5):
        assert same(alone, decode(data, batch=batch))


def test_a_stretch_begins_and_ends_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    always_between(monkeypatch)
    data, _ = encode(Clip("mix", 32, 48, 12), keyint=7)
    assert kinds_of(data) == [[0, 2, 2, 2, 1, 2, 1], [0, 2, 2, 2, 1]]
    whole = decode(data)
    for start in (0, 2, 4, 5, 8, 11):
        for frames in (1, 3, None):
            span = Span(Fraction(start, 25), frames)
            assert same(decode(data, span=span), whole[start : None if frames is None else start + frames])
    firsts = decode(data, preview=True)
    assert [(frame.pts, frame.duration) for frame in firsts] == [(0, 7), (7, 5)]
    assert all(np.array_equal(a.planes[0], whole[n].planes[0]) for a, n in zip(firsts, (0, 7), strict=True))


def test_without_pictures_between(monkeypatch: pytest.MonkeyPatch) -> None:
    always_between(monkeypatch)
    data, _ = encode(Clip("mix", 32, 48, 7), ablate=frozenset({"nobetween"}))
    assert kinds_of(data) == [[0, 1, 1, 1, 1, 1, 1]]
    assert len(decode(data)) == 7


@pytest.mark.parametrize("part", ["nomotion", "noskip", "nocascade"])
def test_ablations_with_pictures_between(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    always_between(monkeypatch)
    clip = Clip("pan", 64, 48, 5)
    data, _ = encode(clip, ablate=frozenset({part}))
    assert kinds_of(data) == [[0, 2, 2, 2, 1]]
    assert len(decode(data)) == 5


def test_what_nothing_refers_to_is_not_kept(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    always_between(monkeypatch)
    data, _ = encode(Clip("pan", 32, 32, 9))
    states: list[GroupState] = []
    kept: list[set[int]] = []

    class Noted(GroupState):
        def __init__(self, tables: GroupTables) -> None:
            super().__init__(tables)
            states.append(self)

        def learn(self, level: Sequence[Step], seen: Sequence[Seen]) -> None:
            super().learn(level, seen)
            kept.append(set(self.memories))

    monkeypatch.setattr(group_decoder, "GroupState", Noted)
    assert len(decode(data)) == 9
    assert len(states) == 1
    # those between 0 and 4 are forgotten after the anchor 8, whose window they are in
    assert kept == [{0}, {0, 4}, {0, 2, 4}, {0, 2, 4}, {0, 2, 4, 8}, {4, 6, 8}, {4, 6, 8}]


def test_qualities(monkeypatch: pytest.MonkeyPatch) -> None:
    """By depth; towards quality 100 the differences vanish."""
    always_between(monkeypatch)
    clip = Clip("pan", 32, 32, 6)
    anchor, upper, lower, _ = BETWEEN_BONUS
    for quality in (1, 30, 90, 100):
        data, _ = encode(clip, quality=quality)
        share = min(1.0, (100 - quality) / 20)
        bonus = [INTRA_BONUS, lower, upper, lower, anchor, CASCADE[5 % len(CASCADE)]]
        records = [record.quality for record in groups(data)[0].gop.frames]
        assert records == [max(1, quality + round(share * extra)) for extra in bonus]
    assert {quality_bonus(step, 100) for step in coding_order([0, 2, 2, 2, 1, 1])} == {0}
    assert quality_bonus(Step(REFRESH_EVERY, REFRESH_EVERY - 8), 50) == anchor + REFRESH
    assert quality_bonus(Step(REFRESH_EVERY, REFRESH_EVERY - 1), 50) == CASCADE[0]
    data, _ = encode(Clip("pan", 32, 32, REFRESH_EVERY + 5), quality=30)
    anchors = [record.quality for record in groups(data)[0].gop.frames][4::4]
    assert anchors == [*[30 + anchor] * (REFRESH_EVERY // 4 - 1), 30 + anchor + REFRESH, 30]
    data, _ = encode(Clip("pan", 32, 32, REFRESH_EVERY + 1), quality=30)
    assert groups(data)[0].gop.frames[-1].quality == 30  # whatever its place
    data, _ = encode(clip, quality=40, ablate=frozenset({"nocascade"}))
    assert {record.quality for record in groups(data)[0].gop.frames} == {40}


@pytest.mark.parametrize(("index", "kept"), [(4, 1), (2, 1), (1, 1), (3, 3)])
def test_damage_ends_the_group_in_display_order(index: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decoded before, but lies behind a picture that is missing, is not given."""
    always_between(monkeypatch)
    data, _ = encode(Clip("mix", 32, 32, 8), quality=60)
    right, gop = decode(data), groups(data)[0].gop
    second = [replace(frame, pts=frame.pts + 10) for frame in right]
    for payload in (b"\xff" * 60, b"\x12" * 60):
        bad = written(data, [with_payload(gop, index, payload), later(gop, 10)])
        for batch in (1, 2):
            decoder = Decoder(io.BytesIO(bad), load_model=only_tiny, batch=batch, keep_going=True)
            assert same([item for item in decoder if isinstance(item, Frame)], [*right[:kept], *second])
            assert len(decoder.damage) == 1
            with pytest.raises((FormatError, MismatchError)):
                decode(bad, batch=batch)


def test_a_wrong_checksum_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    always_between(monkeypatch)
    data, _ = encode(Clip("pan", 32, 32, 5))
    frames = list(groups(data)[0].gop.frames)
    frames[2] = replace(frames[2], check=frames[2].check ^ 1)
    with pytest.raises(MismatchError, match="picture 2 differs"):
        decode(written(data, [replace(groups(data)[0].gop, frames=tuple(frames))]))


def test_a_file_that_is_cut_off_gives_what_can_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    always_between(monkeypatch)
    data, _ = encode(Clip("mix", 32, 32, 9), quality=60)
    right, chunk = decode(data), groups(data)[0]
    assert isinstance(chunk, GopChunk)
    sizes = [len(record.payload) for record in chunk.gop.frames]
    begin = chunk.position + chunk.size - 4 - sum(sizes)
    for end, kept in zip(itertools.accumulate(sizes), [1, 1, 1, 1, 5, 5, 5, 5, 9], strict=True):
        found = decode(data[: begin + end], keep_going=True)
        assert same(found, right[:kept])
