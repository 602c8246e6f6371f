"""Which of two orders a run of pictures is coded in."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lvc.container import Step
from lvc.encoder import EncoderSettings, group, run_choice
from lvc.encoder.attempt import Attempt, Place
from lvc.encoder.picture import CodedPicture
from lvc.encoder.run_choice import (
    ANCHOR_WEIGHTS,
    DOUBT,
    ERROR_WEIGHTS,
    MOSTLY_STILL,
    NEGLIGIBLE,
    ORDER_QUALITY,
    WEIGHTED_FROM,
    WEIGHTED_TO,
    Cost,
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
        assert (length, intra_bits, quality) == (8, intra, ORDER_QUALITY)
        if any(depths):
            return 10.0
        return 10.0 + by * DOUBT if len(depths) >= dearer_from else 9.0

    clip = Clip("zoom", 48, 48, 9)
    plain, _ = encode(clip, preset="slow", quality=ORDER_QUALITY, ablate=frozenset({"nobetween"}))
    intra = 8 * len(groups(plain)[0].gop.frames[0].payload)
    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: coded.step.depth)
    monkeypatch.setattr(run_choice, "run_cost", cost)
    monkeypatch.setattr(group, "_NEEDED", needed)
    steps = noting(monkeypatch)
    data, _ = encode(clip, preset="slow", quality=ORDER_QUALITY)
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


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_errors_are_in_8_bit_grey_levels(bit_depth: int) -> None:
    unit = 1 << bit_depth - 8
    source = [np.full(size, 100 * unit, np.uint16) for size in ((8, 4), (4, 2), (4, 2))]
    off = [source[0] + 2 * unit, source[1] - 3 * unit, source[2]]
    assert squared_error(source, source, bit_depth) == pytest.approx(32 * NEGLIGIBLE)
    assert squared_error(source, off, bit_depth) == pytest.approx((6 * 32 * 4 + 16 * 8 * 9) / 8 + 32 * NEGLIGIBLE)


@pytest.mark.parametrize("preset", ["medium", "slow"])
@pytest.mark.parametrize("between", [True, False])
def test_the_order_is_that_of_another_quality(between: bool, preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same one whatever is wanted, of which no trace is left; later runs are tried at their own."""

    def cost(costs: list[Cost], length: int, intra_bits: float, quality: float) -> float:
        asked.append((length, quality))
        return 1.0 if any(cost.bits for cost in costs) == between else 2.0

    asked: list[tuple[int, float]] = []
    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: Cost(coded.step.depth, 1.0, 1.0))
    monkeypatch.setattr(run_choice, "run_cost", cost)
    monkeypatch.setitem(TRY_EVERY, "medium", 2)
    clip = Clip("zoom", 32, 32, 24)
    kind = 2 if between else 1
    for quality in (ORDER_QUALITY, 20, 77):
        asked.clear()
        data, result = encode(clip, preset=preset, quality=quality, keyint=250)
        assert kinds_of(data) == [[0, *([kind] * 7 + [1]) * 2, *[kind] * 6, 1]]
        assert len(decode(data)) == 24
        assert result.estimated_bits / 8 == pytest.approx(len(data), rel=0.1)
        later = {(8, quality), (7, quality)} if preset == "slow" else {(7, quality)}
        assert set(asked) == {(8, ORDER_QUALITY)} | later
        with monkeypatch.context() as patch:
            patch.setattr(run_choice, "ORDER_QUALITY", quality)
            assert encode(clip, preset=preset, quality=quality, keyint=250)[0] == data


@pytest.mark.parametrize("preset", ["medium", "fast"])
def test_rate_control_chooses_as_it_goes(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the quality that it has come to; with a preset that tries nothing every picture is coded at once."""
    asked: list[float] = []
    monkeypatch.setattr(run_choice, "run_cost", lambda _costs, _length, _bits, quality: asked.append(quality) or 1.0)
    clip = Clip("zoom", 32, 32, 9)
    settings = EncoderSettings(quality=70, preset=preset)
    encoder = group.GroupEncoder(tiny_model(), clip.info, settings, torch.device("cpu"), chooses=False)
    with exact_arithmetic():
        coded = [len(encoder.encode(frame)) for frame in clip]
    assert coded == ([1, *[0] * 7, 8] if preset == "medium" else [1] * 9)
    assert set(asked) == ({70} if preset == "medium" else set())


@pytest.mark.parametrize(
    ("frames", "still", "between"),
    [(9, 1.0, False), (10, 0.0, False), (10, MOSTLY_STILL, False), (10, MOSTLY_STILL + 0.01, True)],
)
def test_what_mostly_stands_still_tells_nothing(
    frames: int, still: float, between: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the group goes on: that nothing happens in its first run is no reason to do without pictures between."""

    def stillness(first: Frame, last: Frame, bit_depth: int) -> float:
        seen.append((first.pts, last.pts, bit_depth))
        return still

    seen: list[tuple[int, int, int]] = []
    monkeypatch.setattr(group, "stillness", stillness)
    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: Cost(coded.step.depth, 1.0, 1.0))
    monkeypatch.setattr(run_choice, "run_cost", lambda costs, *_: 1.0 + any(cost.bits for cost in costs))
    for quality in (ORDER_QUALITY, 70):
        data, _ = encode(Clip("zoom", 32, 32, frames), preset="medium", quality=quality, keyint=250)
        assert kinds_of(data)[0][:9] == [0, *[2 if between else 1] * 7, 1]
    assert (1, 8, 8) in seen


@pytest.mark.parametrize("quality", [59.4, 59.6, 59.99, 60.01, 60.4, 60.6])
def test_a_fraction_of_a_quality(quality: float) -> None:
    """The intra picture, most of what changes little, is not a whole quality coarser for the hundredth part of one."""
    clip = Clip("zoom", 32, 32, 13)
    settings = EncoderSettings(quality=quality, ablate=frozenset({"nobetween"}))
    encoder = group.GroupEncoder(tiny_model(), clip.info, settings, torch.device("cpu"))
    with exact_arithmetic():
        for frame in clip:
            encoder.encode(frame)
        encoder.finish()
    first, *others = (
        record.quality - quality_bonus(Step(position, position - 1 if position else None), 60)
        for position, record in enumerate(encoder.records)
    )
    assert first == round(quality)
    assert set(others) <= {math.floor(quality), math.ceil(quality)}
    assert np.mean(others) == pytest.approx(quality, abs=0.1)
