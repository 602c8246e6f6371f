"""Which places are near others, and what is there, see :mod:`lvc.exact.near`."""

import numpy as np
import numpy.typing as npt

from lvc.kernels import compiled

Floats = npt.NDArray[np.float32]
Runs = npt.NDArray[np.int64]

_GAP = 4
"""So few places between two runs are computed, too: longer loops are faster."""


@compiled
def measure(needed: npt.NDArray[np.bool_], out: npt.NDArray[np.int32]) -> None:
    """How far each place is from the next one that is needed: the larger of the distances by rows and by columns.

    Args:
        needed, out: [h, w]; where nothing is needed all is further away than the plane is large.
    """
    height, width = needed.shape
    for y in range(height):  # from places above and to the left
        for x in range(width):
            least = 0 if needed[y, x] else height + width
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
def runs(distances: npt.NDArray[np.int32], reach: int) -> Runs:
    """Where the places within a distance are: first place and number of places of each run in a row, [n, 2].

    Args:
        distances: [h, w].
    """
    height, width = distances.shape
    found, count = np.empty((height * (width // 2 + 1), 2), np.int64), 0
    for y in range(height):
        end = -_GAP - 1  # of the last run in this row
        for x in range(width):
            if distances[y, x] > reach:
                continue
            if x - end > _GAP:
                found[count, 0], found[count, 1] = y * width + x, 0
                count += 1
            found[count - 1, 1] = y * width + x + 1 - found[count - 1, 0]
            end = x + 1
    return found[:count].copy()


@compiled
def move(planes: Floats, places: Runs, columns: Floats, taking: bool) -> None:
    """Take what is in some places of planes as columns, or put it back.

    Args:
        planes: [C, N].
        places: runs of n places in all.
        columns: [C, n].
        taking: columns are written, else planes.
    """
    for channel in range(len(planes)):
        at = 0
        for run in range(len(places)):
            start, count = places[run]
            there, here = planes[channel, start : start + count], columns[channel, at : at + count]
            if taking:  # loops, not slices: these take five seconds longer to compile
                for n in range(count):
                    here[n] = there[n]
            else:
                for n in range(count):
                    there[n] = here[n]
            at += count
