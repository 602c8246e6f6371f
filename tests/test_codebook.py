"""Codebooks: what is written is read, the choice is the best one, and a fit makes them better."""

import numpy as np
import pytest
import torch

from lvc.errors import FormatError, ModelError
from lvc.model.codebook import (
    CLASSES,
    ESCAPE_MAX,
    LOG_SCALES,
    MAX_ENTRIES,
    NOTHING_BELOW,
    UNIT,
    Codebook,
    Quantiser,
    choose,
    class_thresholds,
    code_class,
    dimension,
    lattice_codebook,
    low_bits,
)
from lvc.model.entropy import classify
from lvc.model.networks import LOG_STEP
from lvc.model.quality import RATE_WEIGHT
from lvc.rangecoder import RangeDecoder, RangeEncoder
from lvc.training.fit import fit_codebook
from tests.models import small_books

EVERY = range(CLASSES - 1)


def logistic(random: np.random.Generator, scale: float, count: int) -> torch.Tensor:
    return torch.from_numpy(random.logistic(0, scale, count)).float()


def code(quantiser: Quantiser, index: int, wanted: torch.Tensor) -> tuple[np.ndarray, int]:
    """Write and read latents of one class; what was read, and the bytes."""
    book, tables = quantiser.books[index], quantiser.tables()
    encoder = RangeEncoder()
    written = code_class(encoder, book, tables.index[index], tables.escape, wanted, len(wanted))
    payload = encoder.finish()
    tables = quantiser.tables()
    read = code_class(RangeDecoder(payload), book, tables.index[index], tables.escape, None, len(wanted))
    assert np.array_equal(written, read)
    assert read.shape == (len(wanted),)
    return read, len(payload)


@pytest.mark.parametrize("index", EVERY)
@pytest.mark.parametrize("kind", ["lattice", "irregular", "scalar"])
def test_round_trips(index: int, kind: str) -> None:
    quantiser = {
        "lattice": Quantiser.lattice,
        "irregular": lambda: small_books().quantisers[0],
        "scalar": lambda: Quantiser.lattice(scalar=True),
    }[kind]()
    random = np.random.default_rng(index)
    scale = 2 ** LOG_SCALES[index]
    for count in (1, 2, 3, 5, 503):
        read, _ = code(quantiser, index, logistic(random, scale, count))
        assert np.abs(read).max() <= (ESCAPE_MAX + 1) * UNIT
    wanted = logistic(random, 30 * scale, 400)  # far wider than the class: many escapes
    wanted[::40] = torch.tensor([3000.0, -3000, 1e5, -1e5, 4e6, -4e6, 0.5, 255.5, -255.5, 256])
    read, _ = code(quantiser, index, wanted)
    inside = wanted.abs() < ESCAPE_MAX - 1
    error = (torch.from_numpy(read) / UNIT - wanted).abs()[inside]
    assert float(error[wanted[inside].abs() > 300].max()) <= 0.5 + 2**-6
    assert read[wanted.numpy() == 4e6].tolist() == [(ESCAPE_MAX - 1) * UNIT]
    assert read[wanted.numpy() == -4e6].tolist() == [-(ESCAPE_MAX - 1) * UNIT]


@pytest.mark.parametrize("index", EVERY)
def test_the_error_is_that_of_the_class(index: int) -> None:
    """About a step at most, for everything that the class is for, and low bits are not lost."""
    random = np.random.default_rng(index)
    scale = 2 ** LOG_SCALES[index]
    wanted = logistic(random, scale, 2000)
    read, size = code(Quantiser.lattice(), index, wanted)
    error = (torch.from_numpy(read) / UNIT - wanted).numpy()
    variance = min(1 / 12, (scale * np.pi) ** 2 / 3)
    assert (error**2).mean() < 2 * variance + 0.01
    if low_bits(LOG_SCALES[index]):
        assert np.abs(error).max() <= 0.5
    entropy = np.log2(scale) + 2 / np.log(2)  # differential, of a logistic distribution
    assert size * 8 / len(wanted) < max(entropy, 0.1) + 0.35


def test_classes_are_what_the_format_says() -> None:
    assert CLASSES == 27
    assert sum(dimension(s) == 4 for s in LOG_SCALES) == 11
    assert sum(dimension(s) == 2 for s in LOG_SCALES) == 3
    assert [low_bits(s) for s in LOG_SCALES[-7:]] == [0, 1, 1, 2, 2, 3, 3]
    for index in EVERY:
        book = lattice_codebook(LOG_SCALES[index])
        assert 2 <= len(book.entries) < MAX_ENTRIES
        assert len(book.counts) == len(book.entries) + 1
        assert book.counts.min() >= 1
        assert book.dimension == dimension(LOG_SCALES[index])
    with pytest.raises(ModelError, match="codebooks"):
        Quantiser([])


def test_scales_name_classes() -> None:
    thresholds = class_thresholds(LOG_STEP)
    assert len(thresholds) == CLASSES - 1
    assert bool((np.diff(thresholds) > 0).all())
    scales = torch.arange(-2047, 2048).float()
    found = classify(scales, thresholds).astype(int)
    assert found.tolist() == [int((thresholds <= s).sum()) for s in range(-2047, 2048)]
    assert set(found) == set(range(CLASSES))
    assert classify(torch.tensor([NOTHING_BELOW * LOG_STEP - 1, 2047.0]), thresholds).tolist() == [0, CLASSES - 1]
    for index, scale in enumerate(LOG_SCALES):
        assert classify(torch.tensor([scale * LOG_STEP]), thresholds).tolist() == [index + 1]


def lagrangian(book: Codebook, bits: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Cost of every entry, [n, K], by the definition."""
    error = ((wanted[:, None] - book.entries[None] / UNIT) ** 2).sum(2)
    return np.asarray(error + RATE_WEIGHT * bits[None, :-1])


@pytest.mark.parametrize("index", [i for i in EVERY if not low_bits(LOG_SCALES[i])])
@pytest.mark.parametrize("kind", ["lattice", "irregular"])
def test_the_choice_is_the_best(index: int, kind: str) -> None:
    quantiser = Quantiser.lattice() if kind == "lattice" else small_books().quantisers[1]
    book = quantiser.books[index]
    table = quantiser.tables().index[index]
    wanted = logistic(np.random.default_rng(index), 1.5 * 2 ** LOG_SCALES[index], 3000 * book.dimension)
    wanted = wanted.view(-1, book.dimension)
    symbols = choose(book, table.bits, wanted)
    cost = lagrangian(book, table.bits, wanted.double().numpy())
    kept = symbols < len(book.entries)
    assert kept.mean() > 0.5
    chosen = cost[kept, symbols[kept]]
    # scalars look at two entries only, which is as good where the table falls away from zero
    assert np.mean(chosen - cost[kept].min(1) < 1e-4) > (0.999 if book.dimension > 1 else 0.9)
    assert (chosen.mean() - cost[kept].min(1).mean()) <= 0.002 * chosen.mean() + 1e-5
    # an escape is only taken where it is better than all entries, by what its integers cost
    whole = wanted.round()
    extra = (2 * torch.log2(whole.abs() + 1) + 2).sum(1).double().numpy()
    escape = (wanted - whole).square().sum(1).double().numpy() + RATE_WEIGHT * (table.bits[-1] + extra)
    assert bool((escape[~kept] < cost[~kept].min(1) + 1e-4).all())
    assert bool((escape[kept] > chosen - 1e-4).all())


def test_rare_entries_are_avoided() -> None:
    """Where two entries are nearly as close, the cheaper one is taken."""
    book = Codebook(np.array([[0], [64]]), np.array([1000, 10, 1]))
    bits = -np.log2(book.counts / book.counts.sum())
    assert choose(book, bits, torch.tensor([[0.45], [0.55], [0.6], [0.95]])).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("index", [0, 5, 10, 12, 14, 18, 24])
def test_a_fit_lowers_the_lagrangian(index: int) -> None:
    """On residuals that it has not seen, of a distribution that is not the lattice's."""
    random = np.random.default_rng(index)
    scale = 2 ** LOG_SCALES[index]
    residuals = logistic(random, scale, 60_000) * torch.from_numpy(random.uniform(0.3, 1.5, 60_000)).float()
    start = lattice_codebook(LOG_SCALES[index])
    fitted = fit_codebook(start, residuals[:40_000].numpy())
    assert fitted.dimension == start.dimension
    assert fitted.low == start.low
    assert 1 <= len(fitted.entries) < MAX_ENTRIES
    assert len(fitted.counts) == len(fitted.entries) + 1
    assert fitted.counts.min() >= 1
    if fitted.dimension == 1:
        assert bool((np.diff(fitted.entries[:, 0]) > 0).all())
    costs = []
    for book in (start, fitted):
        books = [lattice_codebook(s) for s in LOG_SCALES]
        books[index] = book
        tail = residuals[40_000:]
        read, size = code(Quantiser(books), index, tail)
        error = float((torch.from_numpy(read) / UNIT - tail).square().sum())
        costs.append(error + RATE_WEIGHT * 8 * size)
    assert costs[1] < costs[0] * (0.999 if not start.low else 1.0)


def test_a_fit_of_little_keeps_the_lattice() -> None:
    start = lattice_codebook(-0.5)
    assert fit_codebook(start, np.zeros(50, np.float32)) is start


@pytest.mark.parametrize("index", [0, 11, 14, 25])
def test_garbage_is_read_or_refused(index: int) -> None:
    random = np.random.default_rng(index)
    quantiser = Quantiser.lattice()
    largest = 0
    for _ in range(100):
        tables = quantiser.tables()
        payload = random.bytes(int(random.integers(0, 200)))
        try:
            count = int(random.integers(1, 400))
            values = code_class(
                RangeDecoder(payload), quantiser.books[index], tables.index[index], tables.escape, None, count
            )
        except FormatError:
            continue
        largest = max(largest, int(np.abs(values).max()))
        assert len(values) == count
    assert 0 < largest <= (ESCAPE_MAX + 1) * UNIT


def test_dearer_bits_are_fewer() -> None:
    """The more a bit counts, the fewer are spent, and the more is lost."""
    index = EVERY[8]
    book, table = Quantiser.lattice().books[index], Quantiser.lattice().tables().index[index]
    wanted = logistic(np.random.default_rng(1), 1.5 * 2 ** LOG_SCALES[index], 3000 * book.dimension)
    wanted = wanted.view(-1, book.dimension).clamp(-1, 1)  # within reach of the entries
    spent, lost = [], []
    for share in (0.5, 1.0, 2.0, 4.0):
        symbols = choose(book, table.bits, wanted, share * RATE_WEIGHT)
        assert (symbols < len(book.entries)).all()
        spent.append(table.bits[symbols].sum())
        lost.append(float((wanted - torch.from_numpy(book.entries[symbols]) / UNIT).square().sum()))
    assert spent == sorted(spent, reverse=True)
    assert lost == sorted(lost)
    assert spent[-1] < 0.8 * spent[0]
    assert np.array_equal(choose(book, table.bits, wanted), choose(book, table.bits, wanted, RATE_WEIGHT))
