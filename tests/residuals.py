"""Residuals that want transforms of different sizes, as large as a small picture."""

import numpy as np
import torch

from lvc.model.transform import dct_matrix

WIDTH, HEIGHT = 96, 64


def random_sizes(batch: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 3, (batch, 1, HEIGHT // 16, WIDTH // 16))).float()


@torch.no_grad()
def text(seed: int = 1) -> np.ndarray:
    """Strokes of a sample's width on nothing, [HEIGHT, WIDTH]: a few in each block, as a residual of letters."""
    random = np.random.default_rng(seed)
    plane = np.zeros((HEIGHT, WIDTH))
    for y, x in np.ndindex(HEIGHT // 16, WIDTH // 16):
        row, col = 16 * y + 4 * random.integers(0, 4), 16 * x + 4 * random.integers(0, 4)
        plane[row : row + 3, col + 1] = 260
        plane[row + 2, col : col + 4] = -260
    return plane


def gradient() -> np.ndarray:
    """A slow wave, [HEIGHT, WIDTH]: one whole period on 64 samples."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    wave: np.ndarray = 150 * np.cos(2 * np.pi * (y + 0.5 * x) / 64)
    return wave


def tiles(seed: int = 1) -> np.ndarray:
    """A few frequencies of each 8x8 block, [HEIGHT, WIDTH]."""
    random = np.random.default_rng(seed)
    cosines = dct_matrix(8).numpy()
    plane = np.zeros((HEIGHT, WIDTH))
    for y, x in np.ndindex(HEIGHT // 8, WIDTH // 8):
        v, h = random.integers(2, 7, 2)
        plane[8 * y : 8 * y + 8, 8 * x : 8 * x + 8] = 700 * np.outer(cosines[v], cosines[h])
    return plane
