"""Makes video to try things on: moving textures, pans, zooms, noise, cuts or nothing that moves.

python scripts/make_clips.py clip.mp4
python scripts/make_clips.py clip.y4m --kind zoom --size 640x352 --frames 100 --fps 30000/1001 --depth 10
python scripts/make_clips.py folder/ --all          # one clip of each kind
"""

import argparse
import re
import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lvc.errors import LvcError
from tests.clips import KINDS, make_clip


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError("a size looks like 640x352")
    return int(match[1]), int(match[2])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="file to write (.mp4 .mkv .mov .webm .y4m), or the folder with --all")
    parser.add_argument("--kind", choices=KINDS, default="mix")
    parser.add_argument("--all", action="store_true", help="one clip of each kind, as .mkv, lossless")
    parser.add_argument("--size", type=_size, default=(320, 176), metavar="WxH")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--fps", type=Fraction, default=Fraction(25), help="a number or a ratio such as 30000/1001")
    parser.add_argument("--depth", type=int, choices=(8, 10), default=8, help="bits per sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lossless", action="store_true", help="FFV1, for .mkv")
    options = parser.parse_args()
    kinds, paths = [options.kind], [options.output]
    if options.all:
        Path(options.output).mkdir(parents=True, exist_ok=True)
        kinds, paths = list(KINDS), [str(Path(options.output) / f"{kind}.mkv") for kind in KINDS]
    width, height = options.size
    for kind, path in zip(kinds, paths, strict=True):
        try:
            make_clip(
                path,
                kind,
                width=width,
                height=height,
                frames=options.frames,
                fps=options.fps,
                bit_depth=options.depth,
                seed=options.seed,
                lossless=options.lossless or options.all,
            )
        except LvcError as error:
            sys.stderr.write(f"make_clips: {error}\n")
            return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
