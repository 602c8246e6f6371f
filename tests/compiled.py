"""What is compiled and what is not, side by side."""

from collections.abc import Callable

from torch import Tensor

from lvc.exact import places


def both(call: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """What is compiled, and what is not."""
    compiled = call()
    with places.uncompiled():
        return compiled, call()
