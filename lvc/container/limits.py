"""Every limit of the `.lvc` format (``lvc/FORMAT.md``). All are checked before anything is allocated."""

MIN_SIDE = 16
"""Smallest width and height, in luma samples."""

MAX_SIDE = 16_384
"""Largest width and height, in luma samples."""

MAX_PIXELS = 1 << 26
"""Largest width times height: 67 million luma samples, nearly twice an 8K picture."""

MAX_GOP_FRAMES = 1024
"""Most frames in one group of pictures, and the largest key interval."""

MAX_BETWEEN = 15
"""Most frames from one anchor to the next, of which a decoder holds all."""

MAX_HEADER_BYTES = 1024
"""Longest body of the file header."""

MAX_CHUNK_BYTES = 1 << 28
"""Longest payload of any chunk: 256 MiB."""

MAX_INDEX_GOPS = 1 << 20
"""Most groups that an INDEX describes; a file with more has none, and readers scan."""

MAX_FRAMES = 1 << 40
"""Most frames in one file."""

MAX_TICKS = 1 << 56
"""Largest magnitude of a presentation time, and largest duration, in ticks of the time base."""

MAX_RATIO_TERM = (1 << 31) - 1
"""Largest numerator and denominator of the time base, frame rate and sample aspect."""
