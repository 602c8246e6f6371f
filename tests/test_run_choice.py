"""Which of two orders a run of pictures is coded in."""

import math

import pytest
import torch

from lvc.container import Step
from lvc.encoder import EncoderSettings, group, run_choice
from lvc.encoder.picture import CodedPicture
from lvc.encoder.run_choice import (
    DOUBT,
    FINE,
    LEAST_WON,
    PREDICTABLE_QUALITY,
    QUALITY_ERROR,
    Cost,
    alignment,
    between_cost,
    doubt,
    is_hard,
    least_won,
    run_cost,
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

    def noted(self: group.GroupEncoder, place: group._Place, frame: Frame, step: Step) -> CodedPicture:
        steps.extend([step.position] if step.position else [])  # the intra picture may be coded twice
        return code(self, place, frame, step)

    monkeypatch.setattr(group.GroupEncoder, "_code", noted)
    monkeypatch.setattr(group, "pictures_at_a_time", lambda _: 1)
    return steps


BETWEEN_STEPS = [8, 4, 2, 6, 1, 3, 5, 7]


@pytest.mark.parametrize(("dearer_from", "between", "coded"), [(2, True, 2), (7, True, 7), (9, False, 8)])
@pytest.mark.parametrize("needed", [2, 8], ids=["as usual", "all of it ahead"])
def test_a_trial_is_given_up_half_way(
    needed: int, dearer_from: int, between: bool, coded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where anchors only are on the way to cost more than pictures between, not before there are two; however many have
    been coded ahead by then.
    """

    def cost(depths: list[int], length: int) -> float:
        assert length == 8
        if any(depths):
            return 10.0
        return 11.0 if len(depths) >= dearer_from else 9.0

    clip = Clip("zoom", 48, 48, 9)
    plain, _ = encode(clip, preset="slow", ablate=frozenset({"nobetween"}))
    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: coded.step.depth)
    monkeypatch.setattr(run_choice, "alignment", lambda *_: 0.0)
    monkeypatch.setattr(run_choice, "run_cost", cost)
    monkeypatch.setattr(run_choice, "is_hard", lambda *_: False)
    monkeypatch.setattr(group, "_NEEDED", needed)
    steps = noting(monkeypatch)
    data, _ = encode(clip, preset="slow")
    assert kinds_of(data) == [[0, *([2] * 7 if between else [1] * 7), 1]]
    assert steps == [*BETWEEN_STEPS, *range(1, max(coded, needed) + 1)]
    assert len(decode(data)) == 9
    if not between:
        assert data == plain


@pytest.mark.parametrize(
    ("expected", "really", "between", "coded"),
    [(12.0, 9.0, False, [8, *range(1, 9)]), (9.0, 9.0, True, [8, *range(1, 9), 4, 2, 6, 1, 3, 5, 7]),
     (9.0, 12.0, False, [8, *range(1, 9), 4, 2, 6, 1, 3, 5, 7])],
)  # fmt: skip
def test_what_is_hard_to_predict_is_tried_without_pictures_between_first(
    expected: float, really: float, between: bool, coded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures between are coded only if their anchor does not tell that they are dearer; what is left is as if only
    the cheaper way had been tried.
    """

    def cost(depths: list[int], length: int) -> float:
        assert length == 8
        return really if any(depths) else 10.0

    clip = Clip("zoom", 48, 48, 9)
    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: coded.step.depth)
    monkeypatch.setattr(run_choice, "alignment", lambda *_: 0.0)
    monkeypatch.setattr(run_choice, "run_cost", cost)
    monkeypatch.setattr(run_choice, "is_hard", lambda *_: False)
    same_way, _ = encode(clip, preset="slow")
    plain, _ = encode(clip, preset="slow", ablate=frozenset({"nobetween"}))
    monkeypatch.setattr(run_choice, "is_hard", lambda *_: True)
    monkeypatch.setattr(run_choice, "between_cost", lambda *_: expected)
    steps = noting(monkeypatch)
    data, _ = encode(clip, preset="slow")
    assert steps == coded
    assert kinds_of(data) == [[0, *([2] * 7 if between else [1] * 7), 1]]
    assert data == (same_way if between else plain)


def test_what_a_run_will_cost() -> None:
    """Of pictures that are all alike, two cost a quarter, but for what the last one is worth to later ones."""
    costs = [Cost(100.0, 20.0, 20.0)] * 8
    assert [run_cost(costs[:count], 8) for count in range(1, 9)] == pytest.approx([960 + 2.4 * 20] * 8)
    dear = [Cost(1000.0, 20.0, 20.0), *costs[1:]]
    assert run_cost(dear[:4], 8) == pytest.approx(1020 + 7 * 120 + 2.4 * 20)
    filtered = [*costs[:7], Cost(100.0, 20.0, 5.0)]  # later pictures inherit no noise that was not coded
    assert run_cost(filtered, 8) == pytest.approx(960 + 2.4 * 5)


def test_hard_is_what_takes_half_of_an_intra_picture() -> None:
    assert is_hard(Cost(600.0, 1.0, 1.0), 1000.0, 60, 8)
    assert not is_hard(Cost(400.0, 1.0, 1.0), 1000.0, 60, 8)
    # nothing is known of short runs and of high qualities
    assert not is_hard(Cost(600.0, 1.0, 1.0), 1000.0, 60, 7)
    assert not is_hard(Cost(600.0, 1.0, 1.0), 1000.0, 71, 8)


def test_pictures_between_are_expected_to_cost_more_where_the_anchor_is_worse() -> None:
    plain = [Cost(50.0, 50.0, 50.0)] * 8
    good, bad = (between_cost(Cost(100.0, 20.0, inherited), plain) for inherited in (20.0, 40.0))
    assert good < run_cost(plain, 8) < bad


def test_only_where_a_cost_cannot_be_told_is_it_doubted() -> None:
    assert doubt(PREDICTABLE_QUALITY) == 0
    assert doubt(PREDICTABLE_QUALITY + 0.5) == doubt(100) == DOUBT > 0


@pytest.mark.parametrize(("quality", "share", "between"), [(80, 0.9, True), (80, 1.1, False), (60, 0.1, False)])
def test_at_high_quality_little_has_to_be_won(
    quality: int, share: float, between: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the intra picture: otherwise there are pictures between."""
    clip = Clip("zoom", 48, 48, 9)
    plain, _ = encode(clip, quality=quality, preset="slow", ablate=frozenset({"nobetween"}))
    won = share * LEAST_WON * 8 * len(groups(plain)[0].gop.frames[0].payload)
    assert won > 0
    monkeypatch.setattr(group.GroupEncoder, "_cost", lambda _self, _frame, coded: coded.step.depth)
    monkeypatch.setattr(run_choice, "alignment", lambda *_: 0.0)
    monkeypatch.setattr(run_choice, "run_cost", lambda depths, _: 1e9 - (0 if any(depths) else won))
    monkeypatch.setattr(run_choice, "is_hard", lambda *_: False)
    monkeypatch.setattr(run_choice, "doubt", lambda _: 0.0)
    data, _ = encode(clip, quality=quality, preset="slow")
    assert kinds_of(data) == [[0, *([2] * 7 if between else [1] * 7), 1]]
    assert least_won(PREDICTABLE_QUALITY, 100.0) == 0


def test_errors_are_made_equal_by_other_qualities() -> None:
    """In full where all is fine, not at all where costs can be told, and on top of what was done before."""
    plain, between = [Cost(1.0, 9.0, 9.0)] * 8, [Cost(1.0, 9.0 * math.exp(2 * QUALITY_ERROR), 9.0)] * 8
    assert alignment(FINE, plain, between) == alignment(100, plain, between) == pytest.approx(-2)
    assert alignment(FINE, between, plain) == pytest.approx(2)
    assert alignment((FINE + PREDICTABLE_QUALITY) / 2, plain, between) == pytest.approx(-1)
    assert alignment(PREDICTABLE_QUALITY, plain, between) == alignment(1, plain, between) == 0
    assert alignment(FINE, plain, between, before=-3.0) == pytest.approx(-5)
    nothing = [Cost(1.0, 0.0, 0.0)] * 8
    assert alignment(FINE, nothing, nothing) == 0


@pytest.mark.parametrize(("quality", "aligned"), [(90, -3.0), (90, 2.0), (99, 20.0), (2, -20.0)])
@pytest.mark.parametrize("aligns", [True, False])
def test_pictures_without_others_between_are_aligned(
    quality: int, aligned: float, aligns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the run after the one that was tried on; the intra picture and those tried keep their qualities."""
    monkeypatch.setattr(run_choice, "run_cost", lambda depths, _: 1e9 if any(cost.bits for cost in depths) else 1.0)
    monkeypatch.setattr(run_choice, "is_hard", lambda *_: False)
    monkeypatch.setattr(run_choice, "least_won", lambda *_: 0.0)
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
    for position, record in enumerate(encoder.records[1:], 1):
        wanted = min(100, max(1, quality + (aligned if aligns and position > 8 else 0)))
        bonus = quality_bonus(Step(position, position - 1), wanted)
        assert record.quality == min(100, max(1, wanted + bonus))
