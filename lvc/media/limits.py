"""Sizes of pictures that are accepted, in the words of someone who holds a video file."""

from lvc.container import limits
from lvc.errors import InputError, LimitError


def check_size(width: int, height: int) -> None:
    """Refuses pictures that a `.lvc` file cannot hold; see ``lvc.container.limits``.

    Args:
        width, height: luma samples.

    Raises:
        InputError: a side is too short.
        LimitError: a side is too long, or there are too many samples.
    """
    least = limits.MIN_SIDE
    if min(width, height) < least:
        raise InputError(f"pictures of {width}x{height} are too small; the least is {least}x{least}")
    if max(width, height) > limits.MAX_SIDE or width * height > limits.MAX_PIXELS:
        raise LimitError(
            f"pictures of {width}x{height} are too large; "
            f"the most is {limits.MAX_SIDE} samples per side and {limits.MAX_PIXELS} in all"
        )
