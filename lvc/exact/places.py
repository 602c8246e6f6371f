"""Where to compute: only what is needed, or everything where asking what that is would take longer."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

_EVERYWHERE = False
"""Set in tests, to see on any machine what CUDA does."""
_compiles = True


def places(mask: Tensor) -> Tensor | slice:
    """Indices [k] of the true entries of a mask [n]; all entries on a device that runs behind the program.

    On such a device (CUDA) indices mean to wait until it has caught up, and what is computed cannot be captured as a
    graph. Callers must give the same results whether or not entries that are not true are among the places.
    """
    if mask.is_cuda or _EVERYWHERE:
        return slice(None)
    return torch.nonzero(mask)[:, 0]


def is_compiled(x: Tensor) -> bool:
    """Whether what is done block by block is done to such a tensor by :mod:`lvc.kernels`."""
    return x.device.type == "cpu" and _compiles and not _EVERYWHERE


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Everything by PyTorch, as on GPUs: slower on a CPU, but it can be counted. For all threads."""
    global _compiles  # noqa: PLW0603
    before, _compiles = _compiles, False
    try:
        yield
    finally:
        _compiles = before


def picked(values: Tensor, which: Tensor | slice) -> Tensor:
    """Some rows; faster than indexing."""
    return values[which] if isinstance(which, slice) else values.index_select(0, which)


def enlarged(values: Tensor, factor: int) -> Tensor:
    """Each entry for factor x factor, [..., h, w] to [..., h * factor, w * factor]; faster than repeating twice."""
    h, w = values.shape[-2:]
    cells = values[..., :, None, :, None].expand(*values.shape[:-2], h, factor, w, factor)
    return cells.reshape(*values.shape[:-2], h * factor, w * factor)


def in_pieces(
    read: Callable[[Tensor | slice, Tensor], Tensor], size: int, which: Tensor | slice, vectors: Tensor
) -> Tensor:
    """What is read of blocks, so many at a time that all that it takes stays in a cache.

    Args:
        read: gives [n, ...] of places [n] and vectors [n, 2].
        size: most blocks of a piece.
        which: places [n]; ``slice(None)`` for as many as there are vectors.
    """
    if len(vectors) <= size:
        return read(which, vectors)
    pieces = [slice(begin, begin + size) for begin in range(0, len(vectors), size)]
    return torch.cat([read(at if isinstance(which, slice) else which[at], vectors[at]) for at in pieces])
