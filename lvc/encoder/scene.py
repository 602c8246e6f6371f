"""Scene cuts: where a picture has so little to do with the one before that an intra picture costs less.

A flash or a fade is none: there the one before only has to be made brighter or darker, see :mod:`lvc.model.weighting`.
"""

import numpy as np
import numpy.typing as npt

from lvc.video import Frame

CELL = 16
LEAST_CHANGE = 14.0
"""Mean absolute change of 16x16 means, in 8-bit grey levels, under which nothing counts as a cut."""
OVER_USUAL = 3.5
"""How many times the recent change a cut must exceed."""
LEAST_UNLIKE = 0.5
"""What must be left of the change when the last picture has been given mean and contrast of this one, in standard
deviations of this one: pictures that have nothing in common differ by about 1.1."""


class SceneCuts:
    """Tells cuts from motion by comparing each change with the ones just before."""

    def __init__(self, bit_depth: int) -> None:
        self._scale = 1.0 / (1 << (bit_depth - 8))
        self._last: npt.NDArray[np.float64] | None = None
        self._usual = 0.0

    def is_cut(self, frame: Frame) -> bool:
        """Whether ``frame`` starts a new scene; call for every frame in order. The first one does not."""
        luma = frame.planes[0]
        height, width = luma.shape[0] // CELL * CELL, luma.shape[1] // CELL * CELL
        cells = luma[:height:2, :width:2].reshape(height // CELL, CELL // 2, width // CELL, CELL // 2)
        small = cells.mean((1, 3)) * self._scale
        last, self._last = self._last, small
        if last is None or last.shape != small.shape:
            return False
        change = float(np.abs(small - last).mean())
        cut = change > LEAST_CHANGE and change > OVER_USUAL * self._usual and _unlike(small, last) > LEAST_UNLIKE
        self._usual = 0.0 if cut else 0.7 * self._usual + 0.3 * change if self._usual else change
        return cut


def _unlike(small: npt.NDArray[np.float64], last: npt.NDArray[np.float64]) -> float:
    contrast, old_contrast = float(small.std()), float(last.std())
    if contrast == 0:
        return 0.0  # a weight of nothing makes it of any picture
    same = (last - last.mean()) / old_contrast if old_contrast else np.zeros_like(last)
    return float(np.abs((small - small.mean()) / contrast - same).mean())
