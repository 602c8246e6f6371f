"""Which places are near others, see :mod:`lvc.exact.near`."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import compiled


@compiled
def measure(needed: npt.NDArray[np.bool_], most: int, out: npt.NDArray[np.int32]) -> None:
    """How far each place is from the next one that is needed: the larger of the distances by rows and by columns.

    Args:
        needed, out: [h, w].
        most: what lies further away is taken to be this far.
    """
    height, width = needed.shape
    for y in range(height):  # from places above and to the left
        for x in range(width):
            least = 0 if needed[y, x] else most
            if x > 0:
                least = min(least, out[y, x - 1] + 1)
            if y > 0:
                for other in range(max(x - 1, 0), min(x + 2, width)):
                    least = min(least, out[y - 1, other] + 1)
            out[y, x] = least
    for y in range(height - 1, -1, -1):  # from the others
        for x in range(width - 1, -1, -1):
            least = out[y, x]
            if x < width - 1:
                least = min(least, out[y, x + 1] + 1)
            if y < height - 1:
                for other in range(max(x - 1, 0), min(x + 2, width)):
                    least = min(least, out[y + 1, other] + 1)
            out[y, x] = least


@compiled
def neighbours(order: npt.NDArray[np.int64], height: int, width: int, out: npt.NDArray[np.int32]) -> None:
    """Where in an order of places the nine around each of them are.

    Args:
        order: places, by rows, [n].
        out: [n, 9]; n where a place is not in the order, or outside of the plane.
    """
    count = len(order)
    at = np.full((height + 2, width + 2), count, np.int32)
    for n in range(count):
        at[order[n] // width + 1, order[n] % width + 1] = n
    for n in range(count):
        y, x = order[n] // width, order[n] % width
        for dy in range(3):
            for dx in range(3):
                out[n, 3 * dy + dx] = at[y + dy, x + dx]
