"""At which qualities a training learns, and how hard each of them pulls."""

import numpy as np
import torch
from torch import Tensor

QUALITY_BINS = 10


class Balance:
    """Running mean Lagrangian by quality and frame type, so that every quality pulls equally hard."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.level = torch.zeros(2, QUALITY_BINS, device=device)

    @torch.no_grad()
    def weight(self, kind: int, quality: Tensor, cost: Tensor) -> Tensor:
        """1 / running mean for each sample [B], updated by its cost where that is finite."""
        bins = ((quality - 1) * (QUALITY_BINS / 100)).long().clamp(0, QUALITY_BINS - 1)
        inside = (bins[:, None] == torch.arange(QUALITY_BINS, device=bins.device)).float()
        finite = torch.isfinite(cost)
        counted = inside * finite[:, None]
        count = counted.sum(0)
        mean = (counted * torch.where(finite, cost, 0.0)[:, None]).sum(0) / count.clamp_min(1)
        old = self.level[kind]
        kept = torch.where(old == 0, 0.0, 0.97**count)
        self.level[kind] = torch.where(count > 0, kept * old + (1 - kept) * mean, old)
        return 1 / (inside @ self.level[kind]).clamp_min(1e-3)

    def mean_log(self, kind: int) -> float | None:
        """Mean binary logarithm of what has been seen; None (and not NaN, which JSON lacks) before."""
        seen = self.level[kind][self.level[kind] > 0]
        return round(float(seen.log2().mean()), 4) if len(seen) else None


def pick_quality(random: np.random.Generator, batch: int) -> Tensor:
    """Mostly the range that people use."""
    usual = random.uniform(5, 75, batch)
    rare = random.uniform(1, 100, batch)
    return torch.from_numpy(np.where(random.random(batch) < 0.8, usual, rare)).float()
