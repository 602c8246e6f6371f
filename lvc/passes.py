"""How often an encode reads its source: twice to aim at something by samples, once where it can be read only once."""

from lvc.ends import PathOrStream, is_file
from lvc.errors import InputError

PASSES = (1, 2)


def passes_for(source: PathOrStream, wanted: int | None, *, rate_only: bool, workers: int) -> int:
    """The number of passes over a source with a bit rate, a size or a likeness to be met: 1 or 2.

    Args:
        source: what is encoded.
        wanted: 1 or 2; None for 2 where the source is a file and 1 where it is not.
        rate_only: whether bit rates are all that is to be met.
        workers: processes to encode in.

    Raises:
        InputError: the source can be read only once, and that does not do.
        ValueError: the arguments do not go together.
    """
    if wanted not in (None, *PASSES):
        raise ValueError(f"{wanted} passes: 1 or 2 are possible")
    again = is_file(source)  # also where it is missing: that is said when it is opened
    passes = wanted or (2 if again else 1)
    if wanted == 1 and not rate_only:
        raise ValueError("one pass can aim at a bit rate alone, not at a size or a likeness")
    if not again and (passes == 2 or not rate_only):
        raise InputError("a size or likeness can only be aimed at when the input is a file: it is read twice")
    if passes == 1 and workers > 1:
        raise ValueError("one pass adapts each group of pictures to those before it: it works in one process alone")
    return passes
