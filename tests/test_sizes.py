"""The map of transform sizes: how it is coded, and files that use it."""

import functools
import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lvc.container import GopChunk, Reader
from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream, group, picture
from lvc.encoder.block_choice import wide_blocks
from lvc.exact.arithmetic import exact_arithmetic
from lvc.exact.layers import UNIT
from lvc.model import Model, sizes
from lvc.model.chroma import code_chroma_drop
from lvc.model.flat import code_flat, fresh_flat_tables
from lvc.model.modes import BOTH
from lvc.model.networks import size_planes
from lvc.model.quality import nominal_step
from lvc.model.sizes import WIDE, Sizes, SizeTables, code_sizes
from lvc.model.skip import Flags
from lvc.model.weights import Statistics, pack, unpack
from lvc.rangecoder import RangeDecoder, RangeEncoder, learn
from lvc.video import Frame, VideoInfo
from tests.between import always_between
from tests.clips import FrameList, clip_frames, clip_info
from tests.models import plain_model, small_books, tiny_codec
from tests.plain_format import PlainDecoder, PlainSizes
from tests.plain_group import PlainGroup
from tests.residuals import HEIGHT, WIDTH, gradient, text, tiles
from tests.round_trip import Code, all_learn, read_garbage, round_trip

SHAPES = ((1, 1), (1, 2), (1, 7), (9, 1), (2, 2), (3, 5), (12, 20), (23, 40))
SHARES = (
    (0.4, 0.3, 0.2, 0.1),
    (1, 0, 0, 0),
    (0, 1, 0, 0),
    (0, 0, 1, 0),
    (0, 0, 0, 1),
    (0.1, 0.1, 0.6, 0.2),
    (0.85, 0.05, 0.05, 0.05),
)


def maps_of(shape: tuple[int, int], seed: int) -> list[Sizes]:
    """Pictures of one group: mixed up, all the same, in regions."""
    random = np.random.default_rng([*shape, seed])
    maps: list[Sizes] = [random.choice(4, shape, p=share) for share in SHARES]
    y, x = np.indices(shape)
    return [*maps, (y + x) % 4, y % 2 * 2, x % 2, np.where(x > y, 2, 0), np.where(x > y, 0, 1)]


def skips_of(shape: tuple[int, int], seed: int, count: int) -> list[Flags]:
    """Skip maps of these pictures: nothing, some, nearly all, all."""
    random = np.random.default_rng([*shape, seed, 1])
    return [random.random(shape) < (0, 0.4, 0.9, 0.2, 1)[number % 5] for number in range(count)]


def coding(intra: bool, skips: list[Flags]) -> Code[SizeTables]:
    """Of pictures of one group that have these skip maps."""
    return lambda coder, tables, number, _, wanted: code_sizes(coder, tables, intra, skips[number], wanted)


def without(maps: list[Sizes], skips: list[Flags]) -> list[Sizes]:
    """The maps as they come back: 0 where a block is skipped."""
    return [np.where(skip, 0, wanted) for wanted, skip in zip(maps, skips, strict=True)]


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_random_maps(shape: tuple[int, int], intra: bool) -> None:
    maps = maps_of(shape, 1)
    nothing = [np.zeros(shape, bool)] * len(maps)
    round_trip(SizeTables, coding(intra, nothing), maps)
    skips = skips_of(shape, 1, len(maps))
    round_trip(SizeTables, coding(intra, skips), without(maps, skips))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_description_says_it_all(shape: tuple[int, int]) -> None:
    """A reader written from `lvc/FORMAT.md` alone reads the same and learns the same, in groups of both kinds."""
    tables = SizeTables()
    for index, table in enumerate(tables.all()):
        table.counts = table.counts + index
    plain = PlainSizes([table.counts for table in tables.all()])
    maps = maps_of(shape, 2)
    for number, (wanted, skip) in enumerate(zip(maps, skips_of(shape, 2, len(maps)), strict=True)):
        intra = number % 3 == 0
        encoder = RangeEncoder()
        written = code_sizes(encoder, tables, intra, skip, wanted)
        found = plain.read(PlainDecoder(encoder.finish()), skip.astype(int).tolist(), intra)
        assert found == written.tolist() == np.where(skip, 0, wanted).tolist()
        learn(tables.all(), [encoder.seen])
        plain.adapt()
        assert [table.counts.tolist() for table in tables.all()] == plain.counts


def test_every_table_is_used() -> None:
    """In pictures of its kind, and in no other."""
    maps = maps_of((23, 40), 3)
    nothing = [np.zeros((23, 40), bool)] * len(maps)

    def both(coder: Any, tables: SizeTables, number: int, past: Sizes | None, wanted: Sizes | None) -> Sizes:
        for intra in (True, False):
            result = coding(intra, nothing)(coder, tables, number, past, wanted)
        return result

    assert all_learn(SizeTables, both, maps) == 22
    for intra in (True, False):
        tables, start = SizeTables(), SizeTables()
        for number, wanted in enumerate(maps):
            encoder = RangeEncoder()
            coding(intra, nothing)(encoder, tables, number, None, wanted)
            learn(tables.all(), [encoder.seen])
        for table, before in zip(tables.kinds[intra], start.kinds[intra], strict=True):
            assert np.array_equal(table.counts, before.counts)


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("size", [0, 1, 2, WIDE])
def test_what_is_always_the_same_costs_little(size: int, intra: bool) -> None:
    """Under a twentieth of a bit per block once the tables have seen it."""
    shape = (23, 40)
    wanted, nothing = np.full(shape, size), [np.zeros(shape, bool)] * 10
    assert round_trip(SizeTables, coding(intra, nothing), [wanted] * 10)[-1] * 8 < 0.05 * wanted.size
    tables, bits = SizeTables(), []
    for _ in range(10):
        encoder = RangeEncoder()
        code_sizes(encoder, tables, intra, nothing[0], wanted)
        bits.append(encoder.bits)
        learn(tables.all(), [encoder.seen])
    assert bits[-1] < 0.05 * wanted.size
    assert bits[-1] < 0.1 * bits[0]


def test_regions_cost_less() -> None:
    y, x = np.indices((23, 40))
    regions = np.where((y - 11) ** 2 + (x - 20) ** 2 > 60, 0, np.where(x > 20, 2, 1))
    mixed = np.random.default_rng(4).permutation(regions.ravel()).reshape(regions.shape)
    nothing = [np.zeros(regions.shape, bool)]
    for intra in (True, False):
        costs = [round_trip(SizeTables, coding(intra, nothing), [wanted])[0] for wanted in (regions, mixed)]
        assert costs[0] < 0.85 * costs[1]


def test_skipped_blocks_cost_nothing() -> None:
    """And what an encoder would say of them is not said."""
    random = np.random.default_rng(5)
    shape = (12, 20)
    first, second = (random.integers(0, 4, shape) for _ in range(2))
    for share in (0.0, 0.5, 1.0):
        skip = random.random(shape) < share
        payloads = []
        for wanted in (first, np.where(skip, second, first)):
            encoder = RangeEncoder()
            code_sizes(encoder, SizeTables(), False, skip, wanted)
            payloads.append(encoder.finish())
        assert payloads[0] == payloads[1]
        assert (payloads[0] == b"") == (share == 1)


@pytest.mark.parametrize("intra", [True, False])
def test_garbage_is_a_map_or_an_error(intra: bool) -> None:
    skip = np.random.default_rng(6).random((30, 30)) < (0 if intra else 0.3)

    def write(encoder: RangeEncoder, random: np.random.Generator, rows: int, cols: int) -> None:
        code_sizes(encoder, SizeTables(), intra, skip[:rows, :cols], random.integers(0, 4, (rows, cols)))

    def read(decoder: RangeDecoder, rows: int, cols: int) -> Sizes:
        return code_sizes(decoder, SizeTables(), intra, skip[:rows, :cols], None)

    def check(found: Sizes) -> None:
        assert 0 <= found.min() <= found.max() <= WIDE
        assert not found[skip[: found.shape[0], : found.shape[1]]].any()

    read_garbage(write, read, check)


def test_planes_tell_the_sizes() -> None:
    chosen = torch.tensor([[0.0, 1, 2], [2, 1, 0]])[None, None]
    planes = size_planes(chosen)
    assert planes[0, 0].tolist() == [[0, 128, 0], [0, 128, 0]]
    assert planes[0, 1].tolist() == [[0, 0, 128], [128, 0, 0]]


def test_the_matrices_of_each_size_are_packed() -> None:
    codec = tiny_codec()
    with torch.no_grad():
        for size in range(3):
            codec.transform.luma_inverse[size, 5, 7] += (size + 1) / 2**10
    codec.snap()
    found = unpack(pack(codec, small_books(), {}), "sizes").codec
    assert torch.equal(found.transform.luma_inverse, codec.transform.luma_inverse)
    with exact_arithmetic():
        for size in range(3):
            latents = torch.zeros(1, 384, 1, 1)
            latents[0, found.transform.inverse_order[7]] = 2**14
            y, _ = found.transform.inverse(latents, torch.full((1, 1, 1, 1), float(size)))
            expected = (codec.transform.luma_inverse[size, :, 7] * 2**14).round().view(16, 16)
            assert torch.equal(y[0, 0], expected)


# -- files ----------------------------------------------------------------------------------------------------------


class Mixed(FrameList):
    """A source: from left to right a smooth wave, texture, tiles and letters; all of it moves or changes."""

    def __init__(self, frames: int = 6) -> None:
        self.info: VideoInfo = clip_info(WIDTH, HEIGHT, frames)
        self.frames = []
        zones = np.array([0, 1, 1, 2, 3, 3])[np.arange(WIDTH) // 16]
        for t, frame in enumerate(clip_frames("pan", WIDTH, HEIGHT, frames)):
            wave, letters = np.roll(gradient(), 3 * t, 0), np.roll(text(1 + t // 3), (t, 2 * t), (0, 1))
            parts = (128 + wave / 4, frame.planes[0], 128 + tiles(t // 2) / 4, 128 + letters / 4)
            luma = np.select([zones == number for number in range(4)], parts)
            planes = [np.rint(luma).clip(0, 255).astype(np.uint16), *frame.planes[1:]]
            self.frames.append(Frame(planes, t, 1))


@functools.cache
def model_with_counts() -> Model:
    """The tiny model with counts of its own for each table of block maps and motion."""
    start = small_books()
    motion = [[counts + 4 * kind + i for i, counts in enumerate(rows)] for kind, rows in enumerate(start.motion)]
    skip = [counts + 3 * index + np.array([0, 5]) for index, counts in enumerate(start.skip)]
    cut = [counts + 2 * index + np.array([0, 5, 9, 2]) for index, counts in enumerate(start.sizes)]
    codec = tiny_codec()
    codec.snap()
    return unpack(pack(codec, replace(start, motion=motion, skip=skip, sizes=cut), {}), "counts")


def encode(**settings: Any) -> bytes:
    sink = io.BytesIO()
    settings = {"preset": "fast", "quality": 70, **settings}
    encode_stream(Mixed(), sink, model=model_with_counts(), settings=EncoderSettings(**settings))
    return sink.getvalue()


def decode(data: bytes) -> list[Frame]:
    """With all checksums."""
    items = Decoder(io.BytesIO(data), load_model=lambda _: model_with_counts())
    return [item for item in items if isinstance(item, Frame)]


def statistics_of(statistics: Statistics, kinds: list[int]) -> PlainGroup:
    return PlainGroup(statistics.motion, statistics.skip, statistics.sizes, kinds)


@pytest.mark.parametrize("kinds", [[0, 1, 1, 1, 1, 1], [0, 2, 2, 2, 1, 1]])
def test_files(kinds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the encoder wrote is what the decoder and the plain reader see, in pictures of all kinds and all sizes."""
    if 2 in kinds:
        always_between(monkeypatch)
    data = encode()
    (group,) = (item for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk))
    assert [record.kind for record in group.gop.frames] == kinds
    seen: list[Sizes] = []
    original = sizes.code_sizes

    def watched(*arguments: Any) -> Sizes:
        seen.append(original(*arguments))
        return seen[-1]

    monkeypatch.setattr(sizes, "code_sizes", watched)
    assert len(decode(data)) == 6
    plain = statistics_of(model_with_counts().statistics, kinds)
    pictures = list(plain.read([record.payload for record in group.gop.frames], HEIGHT // 16, WIDTH // 16))
    intra = RangeDecoder(group.gop.frames[0].payload)
    assert code_flat(intra, fresh_flat_tables()[0], None, None) is None
    assert plain.chroma_drop == code_chroma_drop(intra, None)
    assert sorted(picture.position for picture in pictures) == list(range(6))
    # those that do not need each other are decoded at the same time, in any order
    assert sorted(picture.sizes.tolist() for picture in pictures) == sorted(found.tolist() for found in seen)
    counts = {kind: np.zeros(4, int) for kind in kinds}
    for each in pictures:
        coded = each.sizes[each.flags == 0]
        counts[kinds[each.position]] += np.bincount(coded, minlength=4)
        assert not each.sizes[each.flags == 1].any()
    assert [each.modes is None for each in pictures] == [not each.references for each in pictures]
    named = [picture.modes for picture in pictures if picture.modes is not None and len(picture.references) == 2]
    assert len(named) == kinds.count(2)
    assert all((modes != BOTH).any() for modes in named)  # of such blocks one field has nothing to say
    assert min(counts[0][:WIDE]) > 0
    assert min(sum(counts.values())[:WIDE] - counts[0][:WIDE]) > 0


def test_without_small_transforms() -> None:
    """Maps of nothing but zeros: other bytes, and a file as any other."""
    data, other = encode(), encode(ablate=frozenset({"nosizes"}))
    assert data != other
    assert len(decode(other)) == 6
    (group,) = (item for item in Reader(io.BytesIO(other)) if isinstance(item, GopChunk))
    records = group.gop.frames
    plain = statistics_of(model_with_counts().statistics, [record.kind for record in records])
    pictures = list(plain.read([record.payload for record in records], HEIGHT // 16, WIDTH // 16))
    assert len(pictures) == 6
    assert not any(picture.sizes.any() for picture in pictures)


def test_small_transforms_pay_for_letters() -> None:
    """Where all there is are letters: fewer bytes at no more distortion, whatever the networks are worth."""
    bits, errors = [], []
    for ablate in (frozenset[str](), frozenset({"nosizes"})):
        sink = io.BytesIO()
        source = Mixed(1)
        luma = (128 + text(5) / 4).clip(0, 255).astype(np.uint16)
        source.frames = [Frame([luma, *(np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint16),) * 2], 0, 1)]
        result = encode_stream(
            source, sink, model=plain_model(), settings=EncoderSettings(quality=60, preset="fast", ablate=ablate)
        )
        items = Decoder(io.BytesIO(sink.getvalue()), load_model=lambda _: plain_model())
        (frame,) = (item for item in items if isinstance(item, Frame))
        bits.append(result.estimated_bits)
        errors.append(float(np.square(frame.planes[0].astype(float) - luma).mean()))
    psnr = [10 * math.log10(255**2 / error) for error in errors]
    assert bits[0] < bits[1]
    assert psnr[0] > psnr[1] - 0.1


def blind_model() -> Model:
    """The tiny model with a prior that is sure of everything: all scales are those of latents that are nothing."""
    codec = tiny_codec()
    with torch.no_grad():
        for branch in (codec.intra, codec.inter):
            for layer in branch.prior.out:
                assert isinstance(layer.knots, torch.nn.Parameter)
                layer.weight.zero_()
                layer.knots[:, layer.knots.shape[1] // 2 :] = -2000 / UNIT
    codec.snap()
    return unpack(pack(codec, small_books(), {}), "blind")


@pytest.mark.parametrize("quality", [20, 60, 95])
def test_what_no_network_foresees_can_be_sent(quality: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the prior takes all latents for nothing, blocks become wide: as good as the step allows, in all kinds."""
    model = blind_model()
    source = Mixed()

    def coded() -> tuple[float, set[int]]:
        sink = io.BytesIO()
        encode_stream(source, sink, model=model, settings=EncoderSettings(preset="fast", quality=quality))
        sink.seek(0)
        seen: set[int] = set()
        original = sizes.code_sizes
        with monkeypatch.context() as patch:
            patch.setattr(sizes, "code_sizes", lambda *a: (found := original(*a), seen.update(found.flat))[0])
            frames = [item for item in Decoder(sink, load_model=lambda _: model) if isinstance(item, Frame)]
        pairs = zip(source.frames, frames, strict=True)
        error = np.mean([np.square(a.planes[0].astype(float) - b.planes[0]).mean() for a, b in pairs])
        return float(error), seen

    error, seen = coded()
    monkeypatch.setattr(picture, "wide_blocks", lambda *_: None)
    blind_error, blind_seen = coded()
    assert WIDE in seen
    assert WIDE not in blind_seen
    step = float(nominal_step(torch.tensor(float(quality))))
    assert error < min(0.1 * blind_error, 40 + step * step)
    assert blind_error > 300


def test_blocks_become_wide_until_none_has_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """What wide blocks change may make others wide, but not for ever; the file is that of the last attempt."""
    asked: list[Sizes] = []

    def one_more(_lost: object, chosen: torch.Tensor, _bits: float) -> torch.Tensor:
        asked.append(chosen[0, 0].long().numpy())
        return (torch.arange(chosen.numel()) == len(asked) - 1).view_as(chosen)

    monkeypatch.setattr(picture, "wide_blocks", one_more)
    monkeypatch.setattr(group, "choose_chroma_drop", lambda *_: 0)
    sink = io.BytesIO()
    encode_stream(Mixed(1), sink, model=plain_model(), settings=EncoderSettings(preset="fast"))
    assert [(chosen == WIDE).sum() for chosen in asked] == list(range(picture.MOST_WIDENINGS))
    seen: list[Sizes] = []
    original = sizes.code_sizes
    monkeypatch.setattr(sizes, "code_sizes", lambda *a: (found := original(*a), seen.append(found))[0])
    sink.seek(0)
    (_,) = (item for item in Decoder(sink, load_model=lambda _: plain_model()) if isinstance(item, Frame))
    assert np.flatnonzero(seen[0] == WIDE).tolist() == list(range(picture.MOST_WIDENINGS))


def test_blocks_are_wide_where_it_pays() -> None:
    """Only blocks that win more than they cost, and only where all of them are worth coding the picture again."""
    chosen = torch.zeros(1, 1, 2, 3)
    few = torch.tensor([2.0, -2.0])
    many = torch.full((40,), 20.0)
    lost = [(torch.tensor([0, 1]), few), (torch.full((40,), 4), many)]
    wide = wide_blocks(lost, chosen, 10_000.0)
    assert wide is not None
    assert wide[0, 0].tolist() == [[False, False, False], [False, True, False]]
    assert wide_blocks(lost, chosen, 1e9) is None
    assert wide_blocks(lost[:1], chosen, 100.0) is None
    assert wide_blocks([(torch.zeros(0, dtype=torch.int64), torch.zeros(0))], chosen, 100.0) is None
