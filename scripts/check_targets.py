"""Encodes a clip to sizes and bit rates, in one pass and in two, and prints how far the files are off.

    python scripts/check_targets.py clip.mkv --seconds 10.5 --crop 384:288

Clips that are shorter run forwards and backwards. Ends with status 1 where a file is more than 3 % off.
"""

import argparse
import sys
import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path

from check_drift import there_and_back

import lvc
from lvc.edit import Crop, Edit
from lvc.encoder.search import Target
from lvc.media import EditedSource, VideoReader
from lvc.media.y4m import Y4mWriter

WITHIN = 0.03
MOST_FRAMES = 64
"""That are held in memory."""


def write_source(clip: Path, crop: Crop | None, seconds: float, path: Path) -> tuple[int, float]:
    """A y4m file of so many seconds or a little more; its frames, and seconds exactly."""
    with VideoReader(clip) as reader, path.open("wb") as file:
        source = EditedSource(reader, Edit(crop=crop))
        rate = source.info.frame_rate or Fraction(25)
        frames = list(islice(source, MOST_FRAMES))
        count = -int(-seconds * rate // 1)
        writer = Y4mWriter(file, source.info)
        for frame in there_and_back(frames, count):
            writer.write(frame)
        writer.finish()
    return count, float(count / rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=10.5)
    parser.add_argument("--crop", type=Crop.parse, help="W:H, the middle of the picture")
    parser.add_argument("--bitrates", default="150,400", help="kb/s, each in one pass, in two and as a size")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        source, coded = Path(folder, "source.y4m"), Path(folder, "coded.lvc")
        for clip in arguments.clips:
            count, seconds = write_source(clip, arguments.crop, arguments.seconds, source)
            for bitrate in (1000 * float(text) for text in arguments.bitrates.split(",")):
                wanted = bitrate * seconds / 8
                for name, target, passes in (
                    ("1 pass", Target(bitrate=bitrate), 1),
                    ("2 passes", Target(bitrate=bitrate), 2),
                    ("size", Target(size=round(wanted)), None),
                ):
                    lvc.encode(source, coded, target=target, passes=passes, threads=arguments.threads, overwrite=True)
                    off = coded.stat().st_size / wanted - 1
                    worst = max(worst, abs(off))
                    print(
                        f"{clip.stem}, {count} frames, {seconds:.2f} s: {bitrate / 1000:g} kb/s, {name}: "
                        f"{coded.stat().st_size} bytes, {off:+.2%}",
                        flush=True,
                    )
    if worst > WITHIN:
        sys.exit(f"{worst:.2%} off")


if __name__ == "__main__":
    main()
