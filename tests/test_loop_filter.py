"""The loop filter against plain integers, how it is chosen and how it is fitted."""

import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream
from lvc.encoder import picture as picture_encoder
from lvc.encoder.loop_filter_choice import choose_filter, squared_errors
from lvc.exact import loop_filter, places
from lvc.exact.loop_filter import BLOCK, CLASSES, PAIRS, SETS, Seen, filtered, look, loop_filtered, put_back
from lvc.exact.warp import to_blocks
from lvc.model import Model
from lvc.model.filters import code_filter, fresh_filter_tables
from lvc.rangecoder import RangeDecoder, RangeEncoder
from lvc.training.data import load_folder
from lvc.training.filter_fit import LEAST_PICTURES, FilterEvidence
from lvc.training.fit import fit
from lvc.video import Frame
from tests.clips import clip_frames, clip_info, make_clip
from tests.models import tiny_model

Ints = npt.NDArray[np.int64]

QUALITY = torch.tensor([60.0])


def plain(luma: Ints, skip: Ints, weights: Ints) -> Ints:
    """One picture [H, W] as `lvc/FORMAT.md` says, sample by sample."""
    height, width = luma.shape

    def at(y: int, x: int) -> int:
        return int(luma[min(max(y, 0), height - 1), min(max(x, 0), width - 1)])

    found = luma.copy()
    for top in range(0, height, 4):
        for left in range(0, width, 4):
            if skip[top // 16, left // 16]:
                continue
            cell = [(y, x) for y in range(top, top + 4) for x in range(left, left + 4)]
            across = sum(abs(at(y, x - 1) + at(y, x + 1) - 2 * at(y, x)) for y, x in cell)
            down = sum(abs(at(y - 1, x) + at(y + 1, x) - 2 * at(y, x)) for y, x in cell)
            strength = sum(across + down >= 16 * limit for limit in (3, 8, 20, 50))
            direction = 1 if across > 2 * down else 2 if down > 2 * across else 0
            row = weights[3 * strength + direction]
            for y, x in cell:
                total = 256 * at(y, x)
                for weight, (dy, dx) in zip(row, ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)), strict=True):
                    total += int(weight) * (at(y + dy, x + dx) + at(y - dy, x - dx) - 2 * at(y, x))
                low, rest = divmod(total, 256)
                found[y, x] = min(max(low + (rest > 128 or (rest == 128 and low % 2 == 1)), 0), 1023)
    return found


def scene(seed: int, contrast: int) -> Ints:
    """Samples [2, 1, 32, 48], flat ones and wild ones."""
    random = np.random.default_rng(seed)
    base = random.choice([0, 400, 1023], (2, 1, 4, 6)).repeat(8, 2).repeat(8, 3)
    return np.clip(base + random.integers(-contrast, contrast + 1, (2, 1, 32, 48)), 0, 1023)


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("contrast", [0, 4, 30, 1023])
def test_filter_equals_integers(contrast: int, everywhere: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_EVERYWHERE", everywhere)
    random = np.random.default_rng(contrast)
    luma, skip = scene(contrast, contrast), random.integers(0, 2, (2, 1, 2, 3))
    sets = random.integers(-127, 128, (SETS, CLASSES, len(PAIRS)))
    given = torch.from_numpy(luma).float(), torch.from_numpy(skip).float(), torch.from_numpy(sets).float()
    for numbers in ((2, 3), (0, 1), (0, 0)):
        found = loop_filtered(*given, torch.tensor(numbers)).numpy()
        for b, number in enumerate(numbers):
            want = plain(luma[b, 0], skip[b, 0], sets[number - 1]) if number else luma[b, 0]
            assert np.array_equal(found[b, 0], want)


def test_intra_pictures_have_no_skip_map() -> None:
    luma = scene(1, 20)
    sets = torch.full((SETS, CLASSES, len(PAIRS)), 9.0)
    found = loop_filtered(torch.from_numpy(luma).float(), None, sets, torch.tensor([1, 2])).numpy()
    nowhere = np.zeros((2, 3), np.int64)
    assert np.array_equal(found[1, 0], plain(luma[1, 0], nowhere, np.full((CLASSES, len(PAIRS)), 9)))


def test_nothing_to_look_at() -> None:
    luma = torch.from_numpy(scene(2, 20)).float()
    seen = look(luma, torch.ones(2, 1, 2, 3))
    assert seen.samples.shape == (0, BLOCK, BLOCK)
    assert torch.equal(put_back(luma, seen, filtered(seen, torch.ones(CLASSES, len(PAIRS)))), luma)


def test_every_class_occurs() -> None:
    found = {int(cls) for contrast in (0, 2, 4, 8, 15, 30) for cls in classes_of(contrast)}
    assert found == set(range(CLASSES))
    assert len(loop_filter.THRESHOLDS) * loop_filter.DIRECTIONS + loop_filter.DIRECTIONS == CLASSES


def classes_of(contrast: int) -> Ints:
    random = np.random.default_rng(contrast)
    stripes = random.integers(-contrast, contrast + 1, (1, 1, 64, 1)).repeat(64, 3)
    pictures = [
        500 + stripes,
        500 + stripes.transpose(0, 1, 3, 2),
        500 + (stripes + stripes.transpose(0, 1, 3, 2)) // 2,
    ]
    seen = [look(torch.from_numpy(picture).float(), None) for picture in pictures]
    return np.unique(torch.cat([each.classes.flatten() for each in seen]).numpy())


def blurred() -> tuple[torch.Tensor, torch.Tensor]:
    """A source, and a picture of it that lacks a part of what its samples differ from their neighbours."""
    torch.manual_seed(3)
    source = torch.rand(1, 1, 64, 64).mul(300).add(300).round()
    seen = look(source, None)
    weights = torch.zeros(CLASSES, len(PAIRS))
    weights[:, :2] = 20
    return source, put_back(source, seen, filtered(seen, weights))


@pytest.mark.parametrize("everywhere", [False, True])
def test_fitted_filters_undo_a_blur_and_are_chosen(everywhere: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_EVERYWHERE", everywhere)
    source, decoded = blurred()
    skip = torch.zeros(1, 1, 4, 4)
    skip[..., 1, 2] = 1
    evidence = FilterEvidence()
    for _ in range(LEAST_PICTURES):
        evidence.add(look(decoded, None), source - decoded, 0)
    sets = torch.from_numpy(evidence.fitted()).float()
    assert sets.abs().max() <= loop_filter.WEIGHT_MAX
    table = fresh_filter_tables()[0]
    for given in (skip, None):
        number, better = choose_filter(look(decoded, given), decoded, source, sets, table, QUALITY)
        assert number > 0
        assert torch.equal(better, loop_filtered(decoded, given, sets, torch.tensor([number])))
        assert torch.equal(better[..., 16:32, 32:48], decoded[..., 16:32, 32:48]) is (given is not None)
    assert float((source - better).square().sum()) < 0.3 * float((source - decoded).square().sum())
    number, same = choose_filter(look(source, None), source, source, sets, table, QUALITY)
    assert number == 0
    assert torch.equal(same, source)


def test_too_few_pictures_give_no_filters() -> None:
    source, decoded = blurred()
    evidence = FilterEvidence()
    for _ in range(LEAST_PICTURES - 1):
        evidence.add(look(decoded, None), source - decoded, 0)
    assert not evidence.fitted().any()
    table = fresh_filter_tables()[0]
    none = torch.zeros(SETS, CLASSES, len(PAIRS))
    assert choose_filter(look(decoded, None), decoded, source, none, table, QUALITY)[0] == 0


def test_a_filter_must_be_worth_its_symbol() -> None:
    source = torch.full((1, 1, 16, 16), 500.0)
    decoded = source.clone()
    decoded[..., 8, 8] += 1
    weights = torch.zeros(SETS, CLASSES, len(PAIRS))
    weights[:, :, :2] = 40
    seen = look(decoded, None)
    assert float((filtered(seen, weights[0]) - to_blocks(source, BLOCK)[:, 0]).square().sum()) < 1
    assert choose_filter(seen, decoded, source, weights, fresh_filter_tables()[0], QUALITY)[0] == 0
    assert choose_filter(seen, decoded, source, weights, fresh_filter_tables()[0], torch.tensor([100.0]))[0] == 0


def test_symbols_are_read_as_written() -> None:
    encoder = RangeEncoder()
    tables = fresh_filter_tables()
    wanted = [3, 0, 1, 2, 0]
    for number in wanted:
        assert code_filter(encoder, tables[1], number) == number
    payload = encoder.finish()
    decoder, tables = RangeDecoder(payload), fresh_filter_tables()
    assert [code_filter(decoder, tables[1], None) for _ in wanted] == wanted


class Clip:
    """Nine pictures."""

    def __init__(self) -> None:
        self.info = clip_info(48, 32, 9)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return clip_frames("mix", 48, 32, 9)

    def take_side(self) -> bytes | None:
        return None


def filtering_model() -> Model:
    """With filters, which the tiny one has none of."""
    model = tiny_model()
    filters = np.random.default_rng(7).integers(-20, 21, (SETS, CLASSES, len(PAIRS)))
    return replace(model, statistics=replace(model.statistics, filters=filters))


def encoded(monkeypatch: pytest.MonkeyPatch, ablate: frozenset[str] = frozenset()) -> tuple[bytes, list[int]]:
    """A clip in groups of three pictures, each with the next set of filters; and which those are."""
    numbers: list[int] = []
    following = itertools.cycle([2, 0, 3, 1])

    def choose(seen: Seen, luma: torch.Tensor, _: torch.Tensor, sets: torch.Tensor, *__: object):  # type: ignore[no-untyped-def]
        number = next(following)
        numbers.append(number)
        return number, put_back(luma, seen, filtered(seen, sets[number - 1])) if number else luma

    monkeypatch.setattr(picture_encoder, "choose_filter", choose)
    sink = io.BytesIO()
    settings = EncoderSettings(keyint=3, ablate=ablate | {"nobetween", "nodrop"})
    encode_stream(Clip(), sink, model=filtering_model(), settings=settings)
    return sink.getvalue(), numbers


@pytest.mark.parametrize("batch", [1, 3])
def test_decoders_filter_as_encoders_do(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data, numbers = encoded(monkeypatch)
    assert len(numbers) == 9
    items = Decoder(io.BytesIO(data), batch=batch, load_model=lambda _: filtering_model())
    assert len([item for item in items if isinstance(item, Frame)]) == 9


def test_without_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    data, numbers = encoded(monkeypatch, frozenset({"nofilter"}))
    assert not numbers
    items = Decoder(io.BytesIO(data), load_model=lambda _: tiny_model())
    assert len([item for item in items if isinstance(item, Frame)]) == 9


def test_fitting_looks_at_every_picture(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", "noise", width=64, height=64, frames=4)
    statistics = fit(tiny_model(), load_folder(tmp_path), count=LEAST_PICTURES // 4)
    assert statistics.filters.shape == (SETS, CLASSES, len(PAIRS))
    assert statistics.filters.any()
    assert not fit(tiny_model(), load_folder(tmp_path), count=1).filters.any()


def test_errors_are_exact_in_any_order() -> None:
    """So that what is chosen does not depend on how PyTorch shares out a sum."""
    random = np.random.default_rng(4)
    wanted, *ways = random.integers(0, 1024, (4, 256, 16, 16))
    found = squared_errors(torch.from_numpy(wanted).float(), [torch.from_numpy(each).float() for each in ways])
    assert found.tolist() == [int(np.square(wanted - each).sum()) for each in ways]
