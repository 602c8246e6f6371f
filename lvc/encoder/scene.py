"""Scene cuts: where a picture has so little to do with the one before that an intra picture costs less."""

import numpy as np
import numpy.typing as npt

from lvc.video import Frame

CELL = 16
LEAST_CHANGE = 14.0
"""Mean absolute change of 16x16 means, in 8-bit grey levels, under which nothing counts as a cut."""
OVER_USUAL = 3.5
"""How many times the recent change a cut must exceed."""


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
        cut = change > LEAST_CHANGE and change > OVER_USUAL * self._usual
        self._usual = 0.0 if cut else 0.7 * self._usual + 0.3 * change if self._usual else change
        return cut
