"""Overlapped blocks against plain integers."""

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lvc.exact import overlap, places, warp

Ints = npt.NDArray[np.int64]

ROWS, COLS = 3, 4


def plain(own: Ints, by_neighbour: dict[tuple[int, int], Ints], ramp: tuple[int, ...]) -> Ints:
    """One picture [H, W], as the format describes it: sample by sample, in 64ths.

    Args:
        by_neighbour: what the vectors of the blocks above (-1, 0), below, left and right predict, likewise.
    """
    block = len(ramp)
    found = np.zeros_like(own)
    for y in range(own.shape[0]):
        for x in range(own.shape[1]):
            i, j = y % block, x % block
            shares = {(-1, 0): ramp[i], (1, 0): ramp[-1 - i], (0, -1): ramp[j], (0, 1): ramp[-1 - j]}
            total = 64 * int(own[y, x])
            for side, share in shares.items():
                total += share * (int(by_neighbour[side][y, x]) - int(own[y, x]))
            low, rest = divmod(total, 64)
            found[y, x] = low + (rest > 32 or (rest == 32 and low % 2 == 1))
    return found


def neighbours(field: Ints, used: npt.NDArray[np.bool_], dy: int, dx: int) -> Ints:
    """The vectors beside each block [h, w, 2], its own where there is none that counts."""
    found = field.copy()
    for y in range(len(field)):
        for x in range(len(field[0])):
            v, h = y + dy, x + dx
            if 0 <= v < len(field) and 0 <= h < len(field[0]) and used[y, x] and used[v, h]:
                found[y, x] = field[v, h]
    return found


@pytest.mark.parametrize("way", ["compiled", "by places", "everywhere"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("piece", [warp.PIECE, 5])
@pytest.mark.parametrize(("filters", "ramp"), [(warp.LUMA, overlap.LUMA), (warp.CHROMA, overlap.CHROMA)])
def test_overlap_equals_integers(
    filters: tuple[warp.Taps, ...],
    ramp: tuple[int, ...],
    piece: int,
    own: bool,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "_EVERYWHERE", way == "everywhere")
    monkeypatch.setattr(places, "_compiles", way == "compiled")
    monkeypatch.setattr(warp, "PIECE", piece)
    random = np.random.default_rng(len(ramp))
    block = len(ramp)
    picture = random.choice([0, 1023, 511, 3], (2, 2, ROWS * block, COLS * block))
    field = random.integers(-9, 10, (2, ROWS, COLS, 2))
    field[0, :2] = field[0, 0, 0]
    used = random.random((2, ROWS, COLS)) < 0.8
    reference, smooth = torch.from_numpy(picture).float(), torch.tensor([False, True])

    def predict(vectors: Ints) -> torch.Tensor:
        return warp.compensate(reference, torch.from_numpy(vectors), filters, smooth)

    found = overlap.overlapped(
        warp.Interpolator(reference, filters, smooth),
        torch.from_numpy(field),
        torch.from_numpy(used),
        predict(field) if own else None,
    ).numpy()
    for b in range(2):
        fields = {
            side: np.stack([neighbours(field[n], used[n], *side) for n in range(2)])
            for side in ((-1, 0), (1, 0), (0, -1), (0, 1))
        }
        for c in range(2):
            by = {side: predict(vectors).numpy()[b, c].astype(np.int64) for side, vectors in fields.items()}
            want = plain(predict(field).numpy()[b, c].astype(np.int64), by, ramp)
            needed = used[b].repeat(block, 0).repeat(block, 1)
            assert np.array_equal(found[b, c][needed], want[needed])
    assert found.min() >= 0
    assert found.max() <= 1023


def test_no_weight_is_negative() -> None:
    for ramp in (overlap.LUMA, overlap.CHROMA):
        assert list(ramp) == sorted(ramp, reverse=True)
        least = min(
            overlap.WHOLE - ramp[i] - ramp[-1 - i] - ramp[j] - ramp[-1 - j]
            for i in range(len(ramp))
            for j in range(len(ramp))
        )
        assert least > 0


def test_alike_vectors_change_nothing() -> None:
    random = np.random.default_rng(5)
    reference = torch.from_numpy(random.integers(0, 1024, (1, 1, 24, 32))).float()
    field = torch.tensor([5, -3]).expand(1, 3, 4, 2)
    used = torch.ones(1, 3, 4, dtype=torch.bool)
    found = overlap.overlapped(warp.Interpolator(reference, warp.LUMA), field, used)
    assert torch.equal(found, warp.compensate(reference, field))


def test_gradients_reach_the_reference() -> None:
    random = np.random.default_rng(6)
    reference = torch.from_numpy(random.integers(0, 1024, (1, 1, 24, 32))).float().requires_grad_()
    field = torch.from_numpy(random.integers(-9, 10, (1, 3, 4, 2)))
    used = torch.ones(1, 3, 4, dtype=torch.bool)
    read = warp.Interpolator(reference, warp.LUMA, rounding=False)
    overlap.overlapped(read, field, used, rounding=False).sum().backward()
    assert reference.grad is not None
    assert float(reference.grad.sum()) == pytest.approx(24 * 32, rel=0.2)


MEASURED = """
import sys, torch
from lvc.bench.memory import peak_bytes
from lvc.exact import overlap, places, warp
from lvc.exact.arithmetic import exact_arithmetic
if int(sys.argv[1]):
    warp.PIECE, places._compiles = int(sys.argv[1]), False
rows, cols = 128, 256
with exact_arithmetic():
    picture = torch.randint(0, 1024, (1, 1, 8 * rows, 8 * cols)).float()
    field = torch.randint(-40, 40, (1, rows, cols, 2))
    used = torch.ones(1, rows, cols, dtype=torch.bool)
    read = warp.Interpolator(picture, warp.LUMA)
    overlap.overlapped(warp.Interpolator(picture[..., :64, :64], warp.LUMA), field[:, :8, :8], used[:, :8, :8])
    before = peak_bytes()
    overlap.overlapped(read, field, used)
    print(peak_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process inherits the peak of the one that starts it")
def test_memory_is_bounded_where_all_vectors_differ() -> None:
    """32,768 blocks with four neighbours each: at once, in pieces, and compiled."""
    at_once, in_pieces, compiled = (
        int(subprocess.run([sys.executable, "-c", MEASURED, str(piece)], capture_output=True, check=True).stdout)
        for piece in (1 << 20, 1 << 12, 0)
    )
    assert in_pieces < at_once / 3
    assert compiled < in_pieces
