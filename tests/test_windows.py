"""Means of the squares of samples, compiled: the same numbers as PyTorch's, down to the last bit."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from lvc.encoder.motion_search import _quartered
from lvc.encoder.temporal_filter import WINDOW, _missed
from tests.compiled import both


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def samples(seed: int, *shape: int) -> Tensor:
    """10-bit."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 1024, shape)).float()


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 9), (9, 1), (2, 3), (3, 2), (4, 17), (WINDOW, WINDOW), (6, 5), (15, 22), (33, 64)]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_differs_around_a_sample(channels: int, size: tuple[int, int]) -> None:
    """Planes narrower than the window, too; sums are rounded, so their order matters."""
    one, other = (samples(seed, 1, channels, *size) + samples(seed + 2, 1, channels, *size) / 7 for seed in (1, 2))
    found, wanted = both(lambda: _missed(one, other))
    assert found.shape == one.shape
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (9, 12)])
def test_what_it_means(size: tuple[int, int]) -> None:
    """The mean of a square that ends where the plane does."""
    one, other = samples(5, 1, 1, *size), samples(6, 1, 1, *size)
    squares, margin = (one - other)[0, 0].double().square(), WINDOW // 2
    found = _missed(one, other)[0, 0].double()
    for y, x in np.ndindex(size):
        around = squares[max(y - margin, 0) : y + margin + 1, max(x - margin, 0) : x + margin + 1]
        assert float(found[y, x]) == pytest.approx(float(around.mean()), rel=1e-6)


@pytest.mark.parametrize("size", [(4, 4), (4, 11), (7, 4), (5, 6), (16, 24), (19, 33), (30, 67)])
@pytest.mark.parametrize("batch", [1, 3])
def test_quarters(batch: int, size: tuple[int, int]) -> None:
    """What is left over at the right and at the bottom does not count; of quarters, quarters can be made."""
    plane = samples(9, batch, 1, *size)
    found, wanted = both(lambda: _quartered(plane))
    assert found.shape == (batch, 1, size[0] // 4, size[1] // 4)
    assert torch.equal(found, wanted)
    cells = plane[:, 0, : size[0] // 4 * 4, : size[1] // 4 * 4].unflatten(2, (-1, 4)).unflatten(1, (-1, 4))
    assert torch.equal(found[:, 0], cells.mean((2, 4)))
    if min(size) >= 16:
        again, wanted = both(lambda: _quartered(found))
        assert torch.equal(again, wanted)
