"""Whole layers and blocks of networks in one go each, with products of words: short calls are not worth their overhead,
and what runs at the same time waits for Python in between.
"""

import numpy as np
import numpy.typing as npt

from lvc.kernels import compiled, layers, nearness, words

Floats = npt.NDArray[np.float32]


@compiled
def layer(
    planes: tuple[Floats, ...],
    runs: layers.Runs,
    weights: words.Pairs,
    grid: Floats,
    offsets: Floats,
    is_leaky: bool,
    most: float,
    out: Floats,
) -> None:
    """Activations of a matrix and planes.

    Args:
        planes: [C, h w] each; their channels are joined. Always as many, since each number of them is compiled anew.
        runs: where it is computed, see :func:`lvc.kernels.nearness.move`; none: everywhere.
        weights, grid: see :func:`lvc.kernels.words.multiply`.
        offsets, is_leaky, most: see :func:`lvc.kernels.layers.finish`.
        out: [m, h w], result; zero where nothing is computed.
    """
    channels = 0
    for plane in planes:
        channels += len(plane)
    count = runs[:, 1].sum() if len(runs) else out.shape[1]
    columns, first = np.empty((channels, count), np.float32), 0
    for plane in planes:
        into = columns[first : first + len(plane)]
        if len(runs):
            nearness.move(plane, runs, into, True)
        else:
            for channel in range(len(plane)):
                for n in range(count):
                    into[channel, n] = plane[channel, n]
        first += len(plane)
    sums = np.empty((len(out), count), np.float32) if len(runs) else out
    words.multiply(weights, grid, columns, sums, 0, words.parts(count))
    layers.finish(sums, offsets, is_leaky, most)
    if len(runs):
        out[:] = 0
        nearness.move(out, runs, sums, False)


@compiled
def block(
    x: Floats,
    runs: layers.Runs,
    filters: Floats,
    filter_offsets: Floats,
    weights: words.Pairs,
    grid: Floats,
    offsets: Floats,
    weights_after: words.Pairs,
    grid_after: Floats,
    offsets_after: Floats,
    most: float,
    out: Floats,
) -> None:
    """A residual block.

    Args:
        x: [C, h, w]; changed in place where there are runs.
        runs: where it is computed, see :func:`lvc.kernels.layers.depthwise_near`; none: everywhere.
        filters, filter_offsets: of the depth-wise layer, [C, 3, 3] and [C].
        weights, grid, offsets: of the one that widens, see :func:`lvc.kernels.words.multiply_twice`.
        weights_after, grid_after, offsets_after: of the one that narrows.
        most: largest activation.
        out: [C, h, w], result where there are none.
    """
    channels, height, width = x.shape
    flat = x.reshape(channels, height * width)
    count = runs[:, 1].sum() if len(runs) else height * width
    columns, sums = np.empty((channels, count), np.float32), np.empty((channels, count), np.float32)
    if len(runs):
        layers.depthwise_near(flat, width, runs, filters, filter_offsets, most, columns)
    else:
        layers.depthwise(x, filters, filter_offsets, most, columns.reshape(x.shape))
    last = words.parts(count)
    words.multiply_twice(weights, grid, offsets, most, weights_after, grid_after, columns, sums, 0, last)
    if len(runs):
        layers.finish_and_add_near(sums, offsets_after, most, runs, flat)
    else:
        layers.finish_and_add(sums, offsets_after, most, flat, out.reshape(channels, height * width), 0)
