"""Which of two orders a run of pictures is coded in."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lvc.container import FrameRecord, Step
from lvc.encoder import EncoderSettings, group, run_choice
from lvc.encoder.attempt import Attempt, Place
from lvc.encoder.picture import CodedPicture
from lvc.encoder.run_choice import (
    ALIGNED_WEIGHT,
    ANCHOR_WEIGHTS,
    CLEAR,
    COARSE,
    DOUBT,
    ERROR_WEIGHTS,
    FADING,
    FINE,
    MOST_ALIGNED,
    NEGLIGIBLE,
    QUALITY_ERROR,
    WEIGHTED_FROM,
    WEIGHTED_TO,
    Cost,
    alignment,
    group_cost,
    run_cost,
    squared_error,
)
from lvc.encoder.settings import TRY_EVERY, quality_bonus
from lvc.exact.arithmetic import exact_arithmetic
from lvc.video import Frame
from tests.between import always_between, kinds_of
from tests.models import tiny_model
from tests.test_codec import Clip, decode, encode, groups


def test_the_cheaper_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run is tried anew with the slowest preset, never with the fastest one; a trial leaves no trace."""
    assert (TRY_EVERY["fast"], TRY_EVERY["slow"]) == (0, 1)
    clip = Clip("zoom", 48, 48, 9)
    fast, _ = encode(clip, preset="fast")
    assert kinds_of(fast) == [[0, *[1] * 8]]
    slow, result = encode(clip, preset="slow")
    assert len(decode(slow)) == 9
    assert result.estimated_bits / 8 == pytest.approx(len(slow), rel=0.1)
    plain, _ = encode(clip, preset="slow", ablate=frozenset({"nobetween"}))
    if 2 not in kinds_of(slow)[0]:
        assert slow == plain
    always_between(monkeypatch)
    between, result = encode(clip, preset="slow")
    assert kinds_of(between) == [[0, 2, 2, 2, 1, 2, 2, 2, 1]]
    assert result.estimated_bits / 8 == pytest.approx(len(between), rel=0.1)


def noting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Positions of all predicted pictures that are coded from here on, one after the other."""
    steps: list[int] = []
    code = group.GroupEncoder._code

    def noted(self: group.GroupEncoder, place: Place, frame: Frame, step: Step) -> CodedPicture:
        steps.extend([step.position] if step.position else [])  # the intra picture may be coded twice
        return code(self, place, frame, step)

    monkeypatch.setattr(group.GroupEncoder, "_code", noted)
    monkeypatch.setattr(group, "pictures_at_a_time", lambda _: 1)
    return steps


BETWEEN_STEPS = [8, 4, 2, 6, 1, 3, 5, 7]


@pytest.mark.parametrize(
    ("dearer_from", "by", "between", "coded"),
    [(2, 1.1, True, 2), (7, 1.1, True, 7), (9, 1.1, False, 8), (2, 0.9, True, 8)],
)
@pytest.mark.parametrize("needed", [2, 8], ids=["as usual", "all of it ahead"])
def test_a_trial_is_given_up_half_way(
    needed: int, dearer_from: int, by: float, between: bool, coded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where anchors only are on the way to cost clearly more than pictures between, not before there are two; however
    many have been coded ahead by then.
    """

    def cost(depths: list[int], length: int, intra_bits: int, quality: float) -> float:
        assert (length, intra_bits, quality) == (8, intra, EncoderSettings().quality)
        if any(depths):
            return 10.0
        return 10.0 - CLEAR + by * DOUBT if len(depths) >= dearer_from else 9.0

    clip = Clip("zoom", 48, 48, 9)
    plain, _ = encode(clip, preset="slow", ablate=frozenset({"nobetween"}))
    intra = 8 * len(groups(plain)[0].gop.frames[0].payload)
    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: coded.step.depth)
    monkeypatch.setattr(run_choice, "alignment", lambda *_: 0.0)
    monkeypatch.setattr(run_choice, "run_cost", cost)
    monkeypatch.setattr(group, "_NEEDED", needed)
    steps = noting(monkeypatch)
    data, _ = encode(clip, preset="slow")
    assert kinds_of(data) == [[0, *([2] * 7 if between else [1] * 7), 1]]
    assert steps == [*BETWEEN_STEPS, *range(1, max(coded, needed) + 1)]
    assert len(decode(data)) == 9
    if not between:
        assert data == plain


def test_what_stands_still_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """But the first run that moves is."""
    tried: list[int] = []
    cheaper = group.GroupEncoder._cheaper

    def noted(self: group.GroupEncoder, plain: Attempt, between: Attempt) -> Attempt:
        tried.append(plain.run[0].pts)
        return cheaper(self, plain, between)

    monkeypatch.setattr(group.GroupEncoder, "_cheaper", noted)
    moving = list(Clip("zoom", 48, 48, 9))
    frames = [replace(moving[max(0, pts - 16)], pts=pts) for pts in range(25)]
    encoder = group.GroupEncoder(tiny_model(), Clip("zoom", 48, 48, 1).info, EncoderSettings(), torch.device("cpu"))
    with exact_arithmetic():
        for frame in frames:
            encoder.encode(frame)
        encoder.finish()
    assert tried == [17]
    assert [record.kind for record in encoder.records[:17]] == [0, *[1] * 16]


@pytest.mark.parametrize(
    ("quality", "share"),
    [(1, 0), (WEIGHTED_FROM, 0), ((WEIGHTED_FROM + WEIGHTED_TO) / 2, 0.5), (WEIGHTED_TO, 1), (100, 1)],
)
def test_what_a_run_will_cost(quality: float, share: float) -> None:
    """Of pictures that are all alike, two tell it all, but for what the last one is worth to later ones; errors count
    less from fine qualities on.
    """
    error_weight, anchor_weight = (
        (1 - share) * weights[0] + share * weights[1] for weights in (ERROR_WEIGHTS, ANCHOR_WEIGHTS)
    )
    costs = [Cost(100.0, 20.0, 20.0)] * 8
    whole = math.log(1000 + 800) + error_weight * math.log(160 + anchor_weight * 20)
    assert [run_cost(costs[:count], 8, 1000, quality) for count in range(1, 9)] == pytest.approx([whole] * 8)
    dear = [Cost(1000.0, 80.0, 80.0), *costs[1:]]
    rest = math.log(1000 + 1700) + error_weight * math.log(220 + anchor_weight * 20)
    assert run_cost(dear[:4], 8, 1000, quality) == pytest.approx(rest)
    filtered = [*costs[:7], Cost(100.0, 20.0, 5.0)]  # later pictures inherit no noise that was not coded
    less = math.log(1000 + 800) + error_weight * math.log(160 + anchor_weight * 5)
    assert run_cost(filtered, 8, 1000, quality) == pytest.approx(less)


@pytest.mark.parametrize("fades", [True, False])
def test_what_a_group_costs(fades: bool) -> None:
    """Of one that ends all counts as it is; of others the second half of the first run, errors of which may rise."""
    costs = [Cost(1000.0, 30.0, 30.0), *[Cost(50.0, 10.0, 10.0)] * 4, *[Cost(50.0, 20.0, 6.0)] * 4]
    whole = math.log(1400) + ALIGNED_WEIGHT * math.log(30 + 40 + 80)
    assert group_cost(costs, True, fades) == pytest.approx(whole)
    begun = math.log(1400) + ALIGNED_WEIGHT * (math.log(30 + 8 * 20) + FADING / 2 * fades)
    assert group_cost(costs, False, fades) == pytest.approx(begun)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_errors_are_in_8_bit_grey_levels(bit_depth: int) -> None:
    unit = 1 << bit_depth - 8
    source = [np.full(size, 100 * unit, np.uint16) for size in ((8, 4), (4, 2), (4, 2))]
    off = [source[0] + 2 * unit, source[1] - 3 * unit, source[2]]
    assert squared_error(source, source, bit_depth) == pytest.approx(32 * NEGLIGIBLE)
    assert squared_error(source, off, bit_depth) == pytest.approx((6 * 32 * 4 + 16 * 8 * 9) / 8 + 32 * NEGLIGIBLE)


@pytest.mark.parametrize("ends", [True, False])
def test_errors_are_made_equal_by_other_qualities(ends: bool) -> None:
    """But for the coarsest quality and the finest one, which mean what they say. Where the group goes on, its first
    pictures do not count, which the intra picture has made better than those to come.
    """
    plain, between = [Cost(1.0, 9.0, 9.0)] * 8, [Cost(1.0, 9.0 * math.exp(2 * QUALITY_ERROR), 9.0)] * 8
    if not ends:
        plain = [*[Cost(1.0, 1.0, 1.0)] * 4, *plain[4:]]
    fading = 0 if ends else FADING / QUALITY_ERROR
    assert alignment(60, plain, between, ends) == pytest.approx(fading - 2)
    assert alignment(60, between[4:], plain[4:], ends) == pytest.approx(fading + 2)
    assert alignment((1 + COARSE) / 2, plain, between, ends) == pytest.approx((fading - 2) / 2)
    assert alignment((100 + FINE) / 2, plain, between, ends) == pytest.approx((fading - 2) / 2)
    assert alignment(1, plain, between, ends) == alignment(100, plain, between, ends) == 0
    nothing = [Cost(1.0, 0.0, 0.0)] * 8
    assert alignment(60, nothing, nothing, ends) == pytest.approx(fading)
    assert alignment(60, nothing, between, ends) == -MOST_ALIGNED
    # a finer one never becomes a coarser one
    for costs in ((nothing, between), (between, nothing)):
        rising = [quality + alignment(quality, *costs, ends) for quality in range(1, 101)]
        assert rising == sorted(set(rising))


@pytest.mark.parametrize("frames", [8, 9, 10, 17])
def test_alignment_knows_whether_the_group_goes_on(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And looks at pictures in display order."""
    seen: list[bool] = []

    def noted(_quality: float, plain: list[int], between: list[int], ends: bool) -> float:
        assert plain == between == list(range(1, min(frames, 9)))
        seen.append(ends)
        return 0.0

    monkeypatch.setattr(run_choice, "CLEAR", 0.0)
    monkeypatch.setattr(run_choice, "run_cost", lambda *_: 1.0)
    monkeypatch.setattr(run_choice, "alignment", noted)
    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: coded.step.position)
    encode(Clip("zoom", 32, 32, frames), keyint=250, preset="medium")
    assert seen == [frames <= 9]


@pytest.mark.parametrize("preset", ["medium", "slow"])
@pytest.mark.parametrize(
    ("cheaper", "then", "between"),
    [(0.1, 1.1, True), (0.1, 0.9, False), (1.1 * CLEAR, 0.9, False), (0.9 * CLEAR, 0.9, True), (-CLEAR, 0.9, True)],
)
def test_orders_are_compared_once_they_are_aligned(
    cheaper: float, then: float, between: bool, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the one without pictures between is clearly cheaper before; the other one is as it was."""

    def has_between(costs: list[Cost]) -> bool:
        return any(cost.bits for cost in costs)

    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: Cost(coded.step.depth, 1.0, 1.0))
    monkeypatch.setattr(run_choice, "DOUBT", 0.0)
    monkeypatch.setattr(run_choice, "run_cost", lambda costs, *_: 1.0 if has_between(costs) else 1.0 - cheaper)
    monkeypatch.setattr(run_choice, "group_cost", lambda costs, *_: 1.0 if has_between(costs) else then)
    monkeypatch.setattr(run_choice, "alignment", lambda *_: -3.0)
    clip = Clip("zoom", 32, 32, 9)
    data, result = encode(clip, preset=preset, quality=60)
    assert kinds_of(data) == [[0, *[2 if between else 1] * 7, 1]]
    assert len(decode(data)) == 9
    assert result.estimated_bits / 8 == pytest.approx(len(data), rel=0.1)
    monkeypatch.setattr(run_choice, "alignment", lambda *_: 0.0)
    monkeypatch.setattr(run_choice, "run_cost", lambda costs, *_: 1.0 + has_between(costs) * (1 - 2 * between))
    same, _ = encode(clip, preset=preset, quality=60 if between else 57)
    assert groups(data)[0].gop.frames == groups(same)[0].gop.frames


@pytest.mark.parametrize(("frames", "still", "margin"), [(9, 1, CLEAR), (10, 0, CLEAR), (10, 0.5, CLEAR + 0.05)])
@pytest.mark.parametrize("share", [0.9, 1.1])
def test_what_stands_still_has_to_be_clearer(
    frames: int, still: float, margin: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the group goes on: that nothing happens in its first run is no reason to do without pictures between."""

    def stillness(first: Frame, last: Frame, bit_depth: int) -> float:
        seen.append((first.pts, last.pts, bit_depth))
        return still

    seen: list[tuple[int, int, int]] = []
    monkeypatch.setattr(group, "stillness", stillness)
    monkeypatch.setattr(run_choice, "CLEAR_WHERE_STILL", 0.2)
    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: Cost(coded.step.depth, 1.0, 1.0))
    monkeypatch.setattr(run_choice, "DOUBT", 0.0)
    monkeypatch.setattr(
        run_choice, "run_cost", lambda costs, *_: 1.0 - share * margin * all(cost.bits == 0 for cost in costs)
    )
    monkeypatch.setattr(run_choice, "group_cost", lambda _costs, _ends, fades: 1.0 - fades)
    monkeypatch.setattr(run_choice, "alignment", lambda *_: -3.0)
    data, _ = encode(Clip("zoom", 32, 32, frames), preset="medium", quality=60, keyint=250)
    assert kinds_of(data)[0][:9] == [0, *[1 if share > 1 else 2] * 7, 1]
    assert (1, 8, 8) in seen


@pytest.mark.parametrize("kind", ["zoom", "pan"])
def test_a_quality_means_the_same_in_both_orders(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither is cheaper: errors differ by less than half as much as they do when they are not aligned."""
    clip = Clip(kind, 48, 48, 9)
    monkeypatch.setattr(run_choice, "MOST_ALIGNED", 20)  # an untrained model needs it
    monkeypatch.setattr(run_choice, "CLEAR", 0.0)
    monkeypatch.setattr(run_choice, "run_cost", lambda *_: 1.0)
    monkeypatch.setattr(run_choice, "group_cost", lambda *_: 1.0)

    def error(aligns: bool, between: bool) -> float:
        encoder = group.GroupEncoder(
            tiny_model(), clip.info, EncoderSettings(quality=60), torch.device("cpu"), aligns=aligns
        )
        with exact_arithmetic():
            coded = [picture for frame in clip for picture in encoder.encode(frame)] + encoder.finish()
        assert any(picture.step.depth for picture in coded) == between
        return sum(squared_error(a.planes, b.planes, 8) for a, b in zip(clip, coded, strict=True))

    plain, aligned = error(aligns=False, between=False), error(aligns=True, between=False)
    always_between(monkeypatch, run=8)
    wanted = error(aligns=True, between=True)
    assert abs(math.log(aligned / wanted)) < abs(math.log(plain / wanted)) / 2


def aligned_records(quality: int, aligned: float, aligns: bool, monkeypatch: pytest.MonkeyPatch) -> list[FrameRecord]:
    """A group without pictures between."""
    monkeypatch.setattr(run_choice, "run_cost", lambda costs, *_: 1e9 if any(cost.bits for cost in costs) else 1.0)
    monkeypatch.setattr(run_choice, "alignment", lambda *_: aligned)
    monkeypatch.setattr(
        group.GroupEncoder, "_cost", lambda _self, _frame, coded: Cost(float(coded.step.depth), 1.0, 1.0)
    )
    clip = Clip("zoom", 32, 32, 13)
    encoder = group.GroupEncoder(
        tiny_model(), clip.info, EncoderSettings(quality=quality), torch.device("cpu"), aligns=aligns
    )
    with exact_arithmetic():
        for frame in clip:
            encoder.encode(frame)
        encoder.finish()
    assert [record.kind for record in encoder.records] == [0, *[1] * 12]
    return encoder.records


def bonus_at(position: int, quality: float) -> int:
    """Qualities by which a picture of a group without pictures between is finer."""
    return quality_bonus(Step(position, position - 1 if position else None), quality)


@pytest.mark.parametrize(("quality", "aligned"), [(90, -3.0), (90, 2.0), (99, 20.0), (2, -20.0)])
@pytest.mark.parametrize("aligns", [True, False])
def test_pictures_without_others_between_are_aligned(
    quality: int, aligned: float, aligns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intra picture and all others; those that had been coded until it was known are coded once more."""
    for position, record in enumerate(aligned_records(quality, aligned, aligns, monkeypatch)):
        wanted = min(100, max(1, quality + (aligned if aligns else 0)))
        assert record.quality == min(100, max(1, wanted + bonus_at(position, wanted)))


@pytest.mark.parametrize("aligned", [-0.6, -0.4, -0.01, 0.01, 0.4, 0.6])
def test_a_fraction_of_a_quality(aligned: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The intra picture, most of what changes little, is not a whole quality coarser for the hundredth part of one."""
    records = aligned_records(60, aligned, True, monkeypatch)
    first, *others = (record.quality - bonus_at(position, 60) for position, record in enumerate(records))
    assert first == round(60 + aligned)
    assert set(others) <= {math.floor(60 + aligned), math.ceil(60 + aligned)}
    assert np.mean(others) == pytest.approx(60 + aligned, abs=0.1)
