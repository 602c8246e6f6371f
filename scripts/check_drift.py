"""Codes a clip that runs forwards and backwards for 300 frames at constant quality in one group, and prints the PSNR of
each turn. Fails where that of the last turn is more than 0.5 dB below that of the first.

    python scripts/check_drift.py CLIP --quality 30,60

The second frame is told too, but nothing is held against it: all codecs code the first picture finer than those that
follow, and the second still profits from it. --peers shows how x264 and x265 do under the same conditions.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path

import numpy as np
import torch

from lvc.catalogue import path_of
from lvc.encoder import EncoderSettings
from lvc.encoder.around import with_around
from lvc.encoder.group import GroupEncoder
from lvc.encoder.picture import CodedPicture
from lvc.exact.arithmetic import exact_arithmetic
from lvc.media import VideoReader, peers
from lvc.model.weights import load
from lvc.video import Frame, Plane

MOST_DRIFT = 0.5
PEER_RATE_FACTORS = (20, 28)


def there_and_back(frames: list[Frame], count: int) -> Iterator[Frame]:
    """``count`` frames: forwards, backwards and so on."""
    turn = [*frames, *frames[-2:0:-1]]
    for position in range(count):
        frame = turn[position % len(turn)]
        yield Frame(frame.planes, position, 1)


def psnr(source: Sequence[Plane], coded: Sequence[Plane], bit_depth: int) -> float:
    """Y, U and V weighted 6:1:1, in dB."""
    peak = (1 << bit_depth) - 1
    errors = (np.mean((a.astype(np.float64) - b) ** 2) for a, b in zip(source, coded, strict=True))
    y, u, v = (10 * math.log10(peak**2 / max(float(error), 1e-4)) for error in errors)
    return (6 * y + u + v) / 8


def tell(name: str, found: list[float], turn: int) -> list[float]:
    """Print what the frames of a codec have, and return the mean of each turn."""
    turns = [float(np.mean(found[max(1, i) : i + turn])) for i in range(0, len(found) - turn // 2, turn)]
    print(f"{name}: frame 2 {found[1]:.2f} dB, frame {len(found)} {found[-1]:.2f} dB")
    print("  turns: " + " ".join(f"{value:.2f}" for value in turns), flush=True)
    return turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--quality", default="30,60")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--period", type=int, default=16, help="Frames of the clip that are used.")
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--peers", action="store_true", help="x264 and x265 as well.")
    arguments = parser.parse_args()
    with VideoReader(arguments.clip) as reader:
        info = reader.info
        frames = list(islice(reader, arguments.period))
    model = load(path_of(arguments.model))
    turn = 2 * len(frames) - 2
    worst = 0.0
    for quality in map(float, arguments.quality.split(",")):
        settings = EncoderSettings(quality=quality, preset=arguments.preset)
        group = GroupEncoder(model, info, settings, torch.device("cpu"))
        found: list[float] = []
        waiting: list[Frame] = []

        def take(coded: list[CodedPicture], waiting: list[Frame] = waiting, found: list[float] = found) -> None:
            found.extend(psnr(waiting.pop(0).planes, picture.planes, info.bit_depth) for picture in coded)

        for frame, around in with_around(there_and_back(frames, arguments.frames)):
            waiting.append(frame)
            with exact_arithmetic():
                take(group.encode(frame, around))
        with exact_arithmetic():
            take(group.finish())
        turns = tell(f"quality {quality:g}", found, turn)
        worst = max(worst, turns[0] - turns[-1])
    for codec, factor in product(("x264", "x265"), PEER_RATE_FACTORS) if arguments.peers else ():
        looped = list(there_and_back(frames, arguments.frames))
        stream = peers.encode(peers.PeerSettings(codec, "medium", factor, one_intra=True), info, looped)
        decoded = zip(looped, peers.decode(stream), strict=True)
        tell(f"{codec} CRF {factor}", [psnr(frame.planes, planes, info.bit_depth) for frame, planes in decoded], turn)
    if worst > MOST_DRIFT:
        raise SystemExit(f"{worst:.2f} dB lost from the first turn to the last")


if __name__ == "__main__":
    main()
