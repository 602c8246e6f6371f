"""The range coder: round trips, the very bytes, an independent decoder, damage."""

import contextlib
import copy
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import lvc
from lvc.errors import FormatError
from lvc.model import codebook, filters, flat, levels, modes, motion, sizes, skip, weighting
from lvc.model.weights import HYPER_INCREMENT
from lvc.rangecoder import END_BITS, RangeDecoder, RangeEncoder, Seen, Table, learn
from tests.plain_format import PlainDecoder, starts_of

Ints = npt.NDArray[np.int64]


def tables(seed: int) -> Iterator[tuple[Ints, Ints]]:
    """Counts and symbols of many kinds."""
    random = np.random.default_rng(seed)
    for size in (2, 3, 31, 49, 73, 512):
        for top in (2, 100, 60_000):
            counts = random.integers(1, top, size)
            counts[random.integers(size)] += random.choice([0, 1 << 16])
            symbols = random.choice(size, 300, p=counts / counts.sum())
            symbols[:size] = np.arange(size)[:300]
            yield counts, symbols


def test_round_trips_and_the_description() -> None:
    for counts, symbols in tables(1):
        encoder = RangeEncoder()
        encoder.code(Table(counts), symbols, len(symbols))
        payload = encoder.finish()
        assert np.array_equal(RangeDecoder(payload).code(Table(counts), None, len(symbols)), symbols)
        plain, starts = PlainDecoder(payload), starts_of(counts)
        assert [plain.symbol(starts) for _ in symbols] == symbols.tolist()
        assert len(payload) <= encoder.bits / 8 + 16


def test_payloads_end_where_no_shorter_bytes_would_do() -> None:
    """Of symbols whose intervals lie at the top, too, where the last word may carry into all those before it."""
    random = np.random.default_rng(4)
    waste = []
    for size in range(400):
        counts = random.integers(1, 10 ** random.integers(1, 6), random.integers(2, 40))
        symbols = random.integers(0, len(counts), size % 60)
        if size % 2:
            counts[-1], symbols = 1, np.where(random.random(len(symbols)) < 0.9, len(counts) - 1, symbols)
        encoder, starts = RangeEncoder(), starts_of(counts)
        encoder.code(Table(counts), symbols, len(symbols))
        payload = encoder.finish()
        assert np.array_equal(RangeDecoder(payload).code(Table(counts), None, len(symbols)), symbols)
        for shorter in {payload[:-1], payload[:-2], up(payload[:-1]), up(payload[:-2])} - {payload}:
            plain = PlainDecoder(shorter)
            with contextlib.suppress(IndexError):  # what no encoder could have written
                assert [plain.symbol(starts) for _ in symbols] != symbols.tolist()
        waste.append(8 * len(payload) - encoder.bits)
    assert np.mean(waste) == pytest.approx(END_BITS, abs=1)


def up(payload: bytes) -> bytes:
    """The next number of as many bytes."""
    size = 8 * len(payload)
    return ((int.from_bytes(payload, "big") + 1) % (1 << size)).to_bytes(len(payload), "big")


def test_the_cost_is_the_size() -> None:
    random = np.random.default_rng(2)
    counts = np.array([700, 200, 60, 30, 9, 1])
    symbols = random.choice(6, 40_000, p=counts / counts.sum())
    encoder = RangeEncoder()
    encoder.code(Table(counts), symbols, len(symbols))
    entropy = -np.log2(counts / counts.sum())[symbols].sum()
    assert encoder.bits == pytest.approx(entropy)
    assert len(encoder.finish()) * 8 == pytest.approx(entropy, rel=0.002)


@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 19, 32])
def test_raw_bits(width: int) -> None:
    random = np.random.default_rng(width)
    values = random.integers(0, 1 << width, 100)
    values[:2] = 0, (1 << width) - 1
    encoder = RangeEncoder()
    encoder.raw(values, 100, width)
    payload = encoder.finish()
    assert np.array_equal(RangeDecoder(payload).raw(None, 100, width), values)
    assert encoder.bits == 100 * width
    plain, found = PlainDecoder(payload), np.zeros(100, np.int64)
    for shift in range(0, width, 16):  # all low halves, then all high halves
        part = min(16, width - shift)
        starts = [k << (24 - part) for k in range((1 << part) + 1)]
        found |= np.array([plain.symbol(starts) for _ in values]) << shift
    assert np.array_equal(found, values)


def test_interleaved_and_adaptive() -> None:
    random = np.random.default_rng(4)
    symbols = [random.integers(0, 5, 50) for _ in range(6)]
    raw = random.integers(0, 1 << 12, (6, 7))
    payload = b""
    counts = []
    for decoding in (False, True):
        coder: RangeEncoder | RangeDecoder = RangeDecoder(payload) if decoding else RangeEncoder()
        table = Table([9, 1, 1, 1, 1], 20, 400)
        for k in range(6):
            assert np.array_equal(coder.code(table, None if decoding else symbols[k], 50), symbols[k])
            assert np.array_equal(coder.raw(None if decoding else raw[k], 7, 12), raw[k])
            assert len(coder.code(table, None if decoding else symbols[k][:0], 0)) == 0
            learn([table], [coder.seen])
            coder.seen = Seen()
        if isinstance(coder, RangeEncoder):
            payload = coder.finish()
        counts.append(table.counts)
    assert np.array_equal(*counts)
    assert counts[0].sum() <= 400 + 50 * 20


def test_adaptation_is_counting_and_halving() -> None:
    table = Table([4, 0, 3], 10, 60)
    assert table.counts.tolist() == [4, 1, 3]  # never zero
    encoder = RangeEncoder()
    encoder.code(table, np.array([0, 0, 2]), 3)
    assert table.counts.tolist() == [4, 1, 3]  # nothing before it learns
    learn([table], [encoder.seen])
    assert table.counts.tolist() == [24, 1, 13]
    assert table.bits[1] == pytest.approx(-np.log2(1 / 38))
    several = RangeEncoder(), RangeEncoder()
    several[0].code(table, np.array([1]), 1)
    several[1].code(table, np.array([1, 2]), 2)
    learn([table], [coder.seen for coder in several])
    assert table.counts.tolist() == [12, 10, 11]  # 68 is over 60, once
    learn([table], [RangeEncoder().seen])
    learn([table], [])
    assert table.counts.tolist() == [12, 10, 11]
    fixed = Table([1, 2])
    encoder.code(fixed, np.array([1, 1]), 2)
    learn([fixed], [encoder.seen])
    assert fixed.counts.tolist() == [1, 2]


def test_copies_of_a_table_learn_from_each_other() -> None:
    """Each one as it is told; other tables with the same counts do not."""
    table, other = Table([4, 1, 3], 10), Table([4, 1, 3], 10)
    twin = copy.deepcopy(table)
    encoder = RangeEncoder()
    encoder.code(twin, np.array([1]), 1)
    attempt = encoder.copy()
    attempt.code(twin, np.array([2]), 1)
    learn([table, other], [encoder.seen])
    assert [each.counts.tolist() for each in (table, twin, other)] == [[4, 11, 3], [4, 1, 3], [4, 1, 3]]
    learn([twin], [attempt.seen])
    assert twin.counts.tolist() == [4, 11, 13]


PINNED = "0577a5d56fe9e9cd0d18853fe8d1be382ade"
PINNED_DIGEST = "f567f3eb7e80ff9e03cc4b3f6c63d6120f649cf3f17d85f319d23763fc3ad7b6"


def test_the_very_bytes() -> None:
    """Another version of a library or of this file must not write something else without anyone noticing."""
    encoder = RangeEncoder()
    encoder.code(Table([1, 2, 3, 4]), np.array([0, 1, 2, 3, 3, 2, 1, 0] * 4), 32)
    encoder.raw(np.array([0x12345, 0x7FFFF, 0]), 3, 19)
    encoder.code(Table([65_000, 1]), np.array([0, 0, 1, 0]), 4)
    assert encoder.finish().hex() == PINNED
    digest = hashlib.sha256()
    for counts, symbols in tables(5):
        encoder = RangeEncoder()
        encoder.code(Table(counts), symbols, len(symbols))
        digest.update(encoder.finish())
    assert digest.hexdigest() == PINNED_DIGEST


def test_trailing_zeros_are_left_out() -> None:
    assert RangeEncoder().finish() == b""
    encoder = RangeEncoder()
    encoder.code(Table([9, 1]), np.zeros(5000, np.int64), 5000)
    assert len(encoder.finish()) <= 4
    assert not RangeDecoder(b"").code(Table([9, 1]), None, 5000).any()


def test_an_encoder_needs_values() -> None:
    with pytest.raises(ValueError, match="needs values"):
        RangeEncoder().code(Table([1, 1]), None, 3)
    with pytest.raises(ValueError, match="needs values"):
        RangeEncoder().raw(None, 3, 3)


def decode_anything(payload: bytes, random: np.random.Generator) -> None:
    decoder = RangeDecoder(payload)
    for _ in range(12):
        count, kind = int(random.integers(0, 40)), random.integers(3)
        if kind == 0:
            width = int(random.integers(0, 20))
            values = decoder.raw(None, count, width)
            assert len(values) == count
            assert not count or 0 <= values.min() <= values.max() < 1 << width
        else:
            size = int(random.integers(2, 513))
            table = Table(random.integers(1, 2 + 10 ** int(random.integers(0, 6)), size), 20)
            values = decoder.code(table, None, count)
            assert len(values) == count
            assert not count or 0 <= values.min() <= values.max() < size
            learn([table], [decoder.seen])


def test_garbage_gives_symbols_or_format_errors() -> None:
    """Whatever the bytes: no other exception, panics of compiled code (no subclass of Exception) included."""
    random = np.random.default_rng(6)
    refused = 0
    for trial in range(1500):
        payload = random.bytes(int(random.integers(0, 60)))
        if trial % 3 == 0:
            payload = b"\xff" * (trial % 40) + payload
        try:
            decode_anything(payload, random)
        except FormatError:
            refused += 1
    assert 0 < refused < 1500


def test_the_format_page_tells_what_every_table_learns() -> None:
    text = (Path(lvc.__file__).parent / "FORMAT.md").read_text("utf-8")
    told = re.search(r"Increments are (\d+) for ([^.]*), (\d+) for ([^.]*)\.", text)
    assert told is not None
    found = {}
    for increment, names in ((told[1], told[2]), (told[3], told[4])):
        found |= dict.fromkeys(re.split(r",\s+|\s+and\s+", names), int(increment))
    assert found == {
        "flatness": flat.INCREMENT,
        "weighting": weighting.INCREMENT,
        "motion": motion.INCREMENT,
        "modes": modes.INCREMENT,
        "skip map": skip.INCREMENT,
        "transform sizes": sizes.INCREMENT,
        "quality map": levels.INCREMENT,
        "loop filter": filters.INCREMENT,
        "latents": codebook.INCREMENT,
        "hyper-latent": HYPER_INCREMENT,
    }
