"""Sizes and ratios that are accepted, in the words of someone who holds a video file."""

from fractions import Fraction

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


def storable_ratio(ratio: Fraction, what: str) -> Fraction:
    """The nearest ratio with terms that a `.lvc` file can hold.

    Args:
        ratio: 0 or more.
        what: it is, for the message.

    Raises:
        LimitError: there is none near it.
    """
    most = limits.MAX_RATIO_TERM
    if max(ratio.as_integer_ratio()) <= most:
        return ratio
    if not Fraction(1, most) <= ratio <= most:
        raise LimitError(f"a {what} of {float(ratio):.3g} is not possible")
    return ratio.limit_denominator(most) if ratio < 1 else 1 / (1 / ratio).limit_denominator(most)
