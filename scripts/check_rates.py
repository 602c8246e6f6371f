#!/usr/bin/env python3
"""What a model does over the whole range of qualities, clip by clip: rate, luma PSNR, estimate against bytes, parts.

Checks that rate and PSNR rise from quality to quality, that the best one passes 45 dB, that the sum of estimated bits
is within 1 % of the file, and that over all clips motion takes less than 10 % of the bytes from quality 50 up and less
than 25 % at the lowest; and that where the first picture of a clip stands still motion takes less than 0.001 bit per
pixel. Example:
    python scripts/check_rates.py ../clips --frames 32 --quality 1,25,50,75,100
"""

import argparse
import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from lvc.decoder import Decoder
from lvc.encoder import EncoderSettings, encode_stream
from lvc.media import VideoReader
from lvc.model import find_model
from lvc.training.data import SUFFIXES
from lvc.video import Frame, VideoInfo

ESTIMATE_WITHIN = 0.01
LEAST_TOP_PSNR = 45.0
MOTION_SHARE = {50: 0.10, 1: 0.25}
MOST_STILL_MOTION = 0.001


class Frames:
    """The first frames of a clip, held in memory, without its side streams."""

    def __init__(self, path: Path, count: int) -> None:
        with VideoReader(path, side=False) as reader:
            self.info: VideoInfo = reader.info
            self.frames = [frame for frame, _ in zip(reader, range(count), strict=False)]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def stand(self) -> None:
        """All frames show what the first one does."""
        self.frames = [replace(frame, planes=self.frames[0].planes) for frame in self.frames]

    def take_side(self) -> None:
        """There is nothing beside the video."""


def luma_psnr(a: list[Frame], b: list[Frame], depth: int) -> float:
    """Mean over frames, in dB."""
    peak = float((1 << depth) - 1)
    errors = [np.mean((x.planes[0].astype(float) - y.planes[0]) ** 2) for x, y in zip(a, b, strict=True)]
    return float(np.mean([10 * np.log10(peak**2 / max(float(error), 1e-9)) for error in errors]))


def main() -> int:
    """Run, print, and say by the exit status whether all checks hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--quality", default="1,15,30,50,70,85,100")
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--model")
    options = parser.parse_args()
    model = find_model(options.model)
    qualities = [int(q) for q in options.quality.split(",")]
    paths = [p for c in options.clips for p in (sorted(c.iterdir()) if c.is_dir() else [c]) if p.suffix in SUFFIXES]
    failures = []
    motion, total = dict.fromkeys(qualities, 0), dict.fromkeys(qualities, 0)
    for path in paths:
        source = Frames(path, options.frames)
        last = (0, 0.0)
        for quality in qualities:
            sink = io.BytesIO()
            settings = EncoderSettings(quality=quality, preset=options.preset, keyint=1024, scene_cuts=False)
            result = encode_stream(source, sink, model=model, settings=settings)
            sink.seek(0)
            decoded = [x for x in Decoder(sink, load_model=lambda _: model) if isinstance(x, Frame)]
            psnr = luma_psnr(source.frames, decoded, source.info.bit_depth)
            share = result.parts["motion"] / result.bytes
            off = abs(result.estimated_bits / 8 / result.bytes - 1)
            pixels = source.info.width * source.info.height * result.frames
            hyper = result.parts["hyper"] / result.bytes
            print(
                f"{path.stem:32s} q{quality:3d} {result.bytes:9d} bytes {8 * result.bytes / pixels:7.4f} bpp "
                f"{psnr:6.2f} dB  motion {100 * share:5.2f} %  hyper {100 * hyper:5.2f} %"
                f"  estimate off by {100 * off:.2f} %",
                flush=True,
            )
            wrong = [
                result.bytes <= last[0] and "rate does not rise",
                psnr <= last[1] and "PSNR does not rise",
                off > ESTIMATE_WITHIN and "estimate is off",
                quality == 100 and psnr < LEAST_TOP_PSNR and "45 dB is not reached",
            ]
            failures += [f"{path.stem} at quality {quality}: {what}" for what in wrong if what]
            last = (result.bytes, psnr)
            motion[quality] += result.parts["motion"]
            total[quality] += result.bytes
        source.stand()
        for quality in qualities:
            settings = EncoderSettings(quality=quality, preset=options.preset, keyint=1024, scene_cuts=False)
            result = encode_stream(source, io.BytesIO(), model=model, settings=settings)
            bits = 8 * result.parts["motion"] / (source.info.width * source.info.height * result.frames)
            print(f"{path.stem:32s} q{quality:3d} standing still: motion {bits:.5f} bpp", flush=True)
            if bits >= MOST_STILL_MOTION:
                failures.append(f"{path.stem} at quality {quality}: motion where nothing moves")
    for quality in qualities:
        share = motion[quality] / total[quality]
        print(f"over all clips, q{quality:3d}: motion {100 * share:5.2f} %")
        if share > MOTION_SHARE[50 if quality >= 50 else 1]:
            failures.append(f"too much motion at quality {quality}")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(failures)} failures over {len(paths)} clips and {len(qualities)} qualities")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
