"""Prints how many frames per second the library encodes and decodes at quality 60, on all cores, without verifying.

    python scripts/check_speed.py clip.mkv --rounds 3

Ends with status 1 where the best round is below 6 frames/s encoding or 15 frames/s decoding: what two cores should
reach at 640x352. The clip is read before the clock starts.
"""

import argparse
import io
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import lvc
from lvc.media import VideoReader
from lvc.media.y4m import Y4mWriter

LEAST_ENCODING, LEAST_DECODING = 6.0, 15.0


def rounds(clip: bytes, count: int, preset: str) -> Iterator[tuple[float, float]]:
    """Frames per second of encoding and decoding."""
    for _ in range(count):
        coded = io.BytesIO()
        begin = time.perf_counter()
        frames = lvc.encode(io.BytesIO(clip), coded, preset=preset, device="cpu", verify=False).frames
        encoding = time.perf_counter() - begin
        coded.seek(0)
        begin = time.perf_counter()
        with lvc.open(coded, device="cpu") as video:
            decoded = sum(1 for _ in video)
        yield frames / encoding, decoded / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=65)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="medium")
    arguments = parser.parse_args()
    clip = io.BytesIO()
    with VideoReader(arguments.clip) as reader:
        info = reader.info
        writer = Y4mWriter(clip, info)
        for frame in islice(reader, arguments.frames):
            writer.write(frame)
    best = (0.0, 0.0)
    for encoding, decoding in rounds(clip.getvalue(), arguments.rounds, arguments.preset):
        print(f"{info.width}x{info.height}: encode {encoding:.2f}, decode {decoding:.2f} frames/s", flush=True)
        best = max(best[0], encoding), max(best[1], decoding)
    sys.exit(best[0] < LEAST_ENCODING or best[1] < LEAST_DECODING)


if __name__ == "__main__":
    main()
