"""Codebooks in the training loop: they quantise as the encoder does, and follow what they are used for."""

import numpy as np
import pytest
import torch

from lvc.model.codebook import CLASSES, LOG_SCALES, UNIT, Codebook, Quantiser, choose, class_thresholds, code_class
from lvc.model.entropy import SymbolCoder, classify
from lvc.model.group import fresh_tables
from lvc.model.networks import LOG_STEP
from lvc.model.passes import RESIDUAL_UNIT
from lvc.rangecoder import RangeEncoder
from lvc.training.rate import HyperTables, log_to_scale, logistic_bits
from lvc.training.vector import COMMITMENT, REBUILD_EVERY, CodebookLearner, VectorCoder
from tests.models import small_books

FOUR, TWO, ONE, LOW = 10, 12, 15, 24
"""Numbers of codebooks, in their list, with vectors of four, of two and of one, and with low bits."""
PLACES = 403
"""Latents of a class; the last vector is not full."""
CPU = torch.device("cpu")


def logistic(random: np.random.Generator, scale: float, count: int) -> torch.Tensor:
    return torch.from_numpy(random.logistic(0, scale, count)).float()


def squared_error(learner: CodebookLearner, number: int, residuals: torch.Tensor) -> float:
    """Mean over the residuals, and nothing is learned."""
    values, _ = CodebookLearner(learner.quantisers()).quantise(0, number + 1, residuals)
    return float((values - residuals).square().mean())


def test_books_of_all_lengths() -> None:
    books = Quantiser.lattice().books
    assert [(books[number].dimension, bool(books[number].low)) for number in (FOUR, TWO, ONE, LOW)] == [
        (4, False),
        (2, False),
        (1, False),
        (1, True),
    ]


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("number", [FOUR, TWO, ONE, LOW])
def test_values_and_bits_are_those_of_the_encoder(number: int, kind: int) -> None:
    """Those of the entry that it takes, by the table that it starts from; also where a vector escapes."""
    quantisers = [small_books(seed).quantisers[seed - 1] for seed in (1, 2)]
    book, tables = quantisers[kind].books[number], quantisers[kind].tables()
    table, d = tables.index[number], book.dimension
    residuals = logistic(np.random.default_rng(number), 1.5 * 2 ** LOG_SCALES[number], PLACES)
    residuals[5] = 3000.4
    values, bits = CodebookLearner(quantisers).quantise(kind, number + 1, residuals)
    assert values.shape == bits.shape == residuals.shape
    whole = residuals[: PLACES // d * d].view(-1, d)
    chosen = choose(book, table.bits, whole)
    escaped = chosen == len(book.entries)
    assert escaped[5 // d]
    assert len(set(chosen[~escaped])) > 5
    of_vectors = bits[: whole.numel()].view(-1, d).double().sum(1).numpy()
    assert of_vectors[~escaped] == pytest.approx(table.bits[chosen[~escaped]] + book.low, rel=1e-5)
    integers = (2 * np.log2(np.abs(whole.round().numpy()) + 1) + 2).sum(1)
    assert of_vectors[escaped] == pytest.approx(table.bits[-1] + integers[escaped], abs=1.2 * d)
    sent = code_class(RangeEncoder(), book, table, tables.escape, residuals, PLACES)  # and the table learns
    assert torch.equal(values, torch.from_numpy(sent).float() / UNIT)


@pytest.mark.parametrize("number", [FOUR, TWO, ONE])
def test_entries_follow_what_they_stand_for(number: int) -> None:
    """They come nearer, and those that are often used become cheaper, whatever escapes; other codebooks stay alike."""
    start = small_books().quantisers
    learner = CodebookLearner(start)
    book = start[0].books[number]
    often = np.argsort(-book.counts[:-1])[2:6]  # neither the most usual ones nor rare ones
    shift = np.full(book.dimension, 0.2)
    residuals = torch.from_numpy(np.tile(book.entries[often] / UNIT + shift, (100, 1))).float().flatten()
    far = torch.full((book.dimension,), 3000.0)
    before, (_, dear) = squared_error(learner, number, residuals), learner.quantise(0, number + 1, residuals)
    assert before == pytest.approx(0.04, abs=0.02)
    for step in range(1, REBUILD_EVERY + 1):
        assert np.array_equal(learner.quantisers()[0].books[number].entries, book.entries)
        learner.quantise(0, number + 1, torch.cat([residuals, far]))
        learner.quantise(0, LOW + 1, residuals)
        learner.advance()
        assert learner.step == step
    assert squared_error(learner, number, residuals) < 0.05 * before
    _, cheap = learner.quantise(0, number + 1, residuals)
    assert float(cheap.sum()) < 0.7 * float(dear.sum())
    learned = learner.quantisers()
    for kind, cls in np.ndindex(2, CLASSES - 1):
        one, other = start[kind].books[cls], learned[kind].books[cls]
        assert np.array_equal(one.entries, other.entries) == ((kind, cls) != (0, number))
        assert (other.counts[-1], other.low, other.counts.shape) == (one.counts[-1], one.low, one.counts.shape)
    assert np.abs(learned[0].books[number].entries).max() < 300 * UNIT
    assert np.array_equal(learned[0].books[LOW].counts, start[0].books[LOW].counts)


def test_what_was_long_ago_is_forgotten() -> None:
    """What came lately counts more than its share."""
    learner = CodebookLearner(small_books().quantisers)
    place = float(learner.quantisers()[0].books[ONE].entries[30, 0]) / UNIT
    for shift, rounds in ((-0.2, 3), (0.2, 12)):
        residuals = torch.full((50,), place + shift)
        for _ in range(rounds * REBUILD_EVERY):
            learner.quantise(0, ONE + 1, residuals)
            learner.advance()
    assert squared_error(learner, ONE, residuals) < 0.03**2  # by the mean of all it would be 0.08


@pytest.mark.parametrize("number", [TWO, ONE])
def test_an_entry_that_nothing_uses_is_restarted(number: int) -> None:
    """On the vector that was served worst; one at a time, and the others stay where they are used."""
    d = Quantiser.lattice().books[number].dimension
    entries = np.zeros((5, d), np.int64)
    entries[:, 0] = [-30 * UNIT, -28 * UNIT, 0, 4 * UNIT, 20 * UNIT]
    books = list(Quantiser.lattice().books)
    books[number] = Codebook(entries, np.array([1, 1, 4000, 4000, 150, 1]))
    learner = CodebookLearner([Quantiser(books), Quantiser.lattice()])
    vectors = np.zeros((60, d))
    vectors[30:, 0] = 4
    vectors[7] = 1.3 if d == 1 else 0.95  # not near to any entry, and an escape would cost more
    residuals = torch.from_numpy(vectors).float().flatten()
    found = []
    for _ in range(2):
        for _ in range(REBUILD_EVERY):
            learner.quantise(0, number + 1, residuals)
            learner.advance()
        found.append(learner.quantisers()[0].books[number].entries / UNIT)
    for far, each in zip((2, 1), found, strict=True):
        assert ((np.abs(each[:, 0]) > 10).sum(), len(each)) == (far, 5)
        assert bool((np.abs(each - vectors[7]).max(1) <= 1 / UNIT).any())
        assert all((np.abs(each - place).max(1) < 0.05).any() for place in (vectors[0], vectors[30]))
        assert d > 1 or each[:, 0].tolist() == sorted(each[:, 0])
    values, _ = learner.quantise(0, number + 1, residuals)
    assert float((values - residuals).abs().max()) < 0.05


def inputs(seed: int, batch: int, kind: int) -> tuple[VectorCoder, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A coder, and residuals, scales and mask of a pass in which all classes occur."""
    random = np.random.default_rng(seed)
    coder = VectorCoder(CodebookLearner(small_books().quantisers), HyperTables(), batch, CPU)
    coder.kind = kind
    octaves = torch.from_numpy(random.uniform(-5, 6.9, (batch, 30, 5, 7))).float()
    wanted = torch.from_numpy(random.logistic(0, 1.2, octaves.shape)).float() * torch.exp2(octaves)
    mask = torch.from_numpy(random.integers(0, 2, (batch, 1, 5, 7))).float()
    return coder, wanted, octaves * LOG_STEP, mask


@pytest.mark.parametrize("kind", [0, 1])
def test_a_pass_is_quantised_as_the_encoder_does(kind: int) -> None:
    """Latents go to the same classes, in the same vectors; what is masked is zero."""
    coder, wanted, scale, mask = inputs(1, 1, kind)
    statistics = small_books()
    encoder = SymbolCoder(statistics.quantisers, [RangeEncoder()], [fresh_tables(statistics)], intra=kind == 0)
    expected = encoder.residual(wanted, scale.round(), mask, 0)
    found = coder.residual(wanted, scale, mask, 0)
    assert bool(found.any())
    assert torch.allclose(found, expected, atol=1e-3)  # of units of 1/64 step
    with pytest.raises(ValueError, match="source picture"):
        coder.residual(None, scale, mask, 0)


def test_gradients_of_the_value_go_straight_through_where_something_is_sent() -> None:
    """One where the value is not zero, nothing where it is or where nothing is coded."""
    coder, wanted, scale, mask = inputs(2, 2, 1)
    wanted.requires_grad_()
    value = coder.residual(wanted, scale, mask, 0)
    value.sum().backward()
    is_sent = (value != 0).float()
    assert 0.2 < float(is_sent.mean()) < 0.45  # of the half that is not masked most are sent
    assert float(((value == 0) & (mask > 0)).float().mean()) > 0.02
    assert wanted.grad is not None
    assert torch.equal(wanted.grad, is_sent * RESIDUAL_UNIT)


def test_bits_have_the_value_of_the_tables_and_gradients_of_a_model() -> None:
    """Of a logistic distribution, and a pull towards the entries that the value does not show."""
    coder, wanted, scale, mask = inputs(3, 2, 1)
    mask[1] = 0
    with torch.no_grad():
        expected = torch.zeros_like(wanted)
        learner = CodebookLearner(small_books().quantisers)
        classes = torch.from_numpy(classify(scale.round(), class_thresholds(LOG_STEP))) * mask.long()
        for cls in range(1, CLASSES):
            _, expected[classes == cls] = learner.quantise(1, cls, wanted[classes == cls])
    wanted.requires_grad_()
    scale.requires_grad_()
    value = coder.residual(wanted, scale, mask, 0).detach() / RESIDUAL_UNIT
    assert coder.bits.tolist() == pytest.approx([float(expected.sum()), 0.0], rel=1e-5)
    found = torch.autograd.grad(coder.bits.sum(), [wanted, scale])
    sent, width = value.clone().requires_grad_(), scale.detach().clone().requires_grad_()
    rate = (logistic_bits(sent, log_to_scale(width)) * mask).sum()
    of_value, of_scale = torch.autograd.grad(rate, [sent, width])
    pull = 2 * COMMITMENT * (wanted.detach() - value)
    torch.testing.assert_close(found[0], (of_value + pull) * (value != 0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1], of_scale, rtol=1e-4, atol=1e-6)
    assert float((pull * (value != 0)).abs().max()) > 0.005
    before = coder.bits.detach().clone()
    coder.residual(wanted, scale, mask, 1)  # more of the same picture
    assert coder.bits.tolist() == pytest.approx((2 * before).tolist(), rel=1e-5)
