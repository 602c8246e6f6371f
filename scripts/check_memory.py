"""Pipes generated video through `lvc encode - - | lvc decode - -` and prints the peak memory of both processes.

Exits with status 1 where a peak is above --most, or grows by more than a tenth from one length to a longer one.

python scripts/check_memory.py --frames 1000,10000 --size 320x176
"""

import argparse
import os
import subprocess
import sys
import time

import numpy as np

TEXTURE = 512
GROWTH = 1.1
"""Largest peak of a longer video, as a multiple of a shorter one's."""


def write_video(sink: int, frames: int, width: int, height: int) -> None:
    """A texture that moves by a fraction of a sample each frame, with a little noise, as y4m."""
    random = np.random.default_rng(1)
    spectrum = np.fft.rfft2(random.normal(size=(TEXTURE, TEXTURE)))
    distance = np.hypot(np.fft.fftfreq(TEXTURE)[:, None], np.fft.rfftfreq(TEXTURE)[None]) + 1 / TEXTURE
    texture = np.fft.irfft2(spectrum / distance)
    texture = 128 + 40 * texture / texture.std()
    noise = random.normal(size=(height + 64, width + 64)) * 2
    with os.fdopen(sink, "wb") as stream:
        stream.write(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\n" % (width, height))
        for t in range(frames):
            rows = (np.arange(height) + t // 3) % TEXTURE
            cols = (np.arange(width) + t // 2) % TEXTURE
            dy, dx = random.integers(0, 64, 2)
            luma = texture[rows[:, None], cols[None]] + noise[dy : dy + height, dx : dx + width]
            chroma = texture[rows[::2, None], cols[None, ::2]] * 0.25 + 96
            stream.write(b"FRAME\n")
            for plane in (luma, chroma, chroma):
                stream.write(plane.round().clip(16, 235).astype(np.uint8).tobytes())


def peak(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end; largest resident set in MB.

    Raises:
        SystemExit: it failed.
    """
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{process.args!r} ended with {process.returncode}")
    return usage.ru_maxrss / 1024


def failures(peaks: dict[int, tuple[float, float]], most: float) -> list[str]:
    """What is wrong with peaks in MB, of encoder and decoder, by number of frames."""
    found = []
    for place, name in enumerate(("encode", "decode")):
        values = [peaks[frames][place] for frames in sorted(peaks)]
        if max(values) > most:
            found.append(f"{name} takes {max(values):.0f} MB, more than {most:.0f}")
        if max(values) > GROWTH * values[0]:
            found.append(f"{name} grows with the length, from {values[0]:.0f} to {max(values):.0f} MB")
    return found


def main() -> int:
    """Run, print, and say by the exit status whether memory is bounded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", default="1000,10000")
    parser.add_argument("--size", default="320x176")
    parser.add_argument("--most", type=float, default=1000.0, help="MB that either process may take (default 1000)")
    parser.epilog = "All other options are those of lvc encode."
    arguments, options = parser.parse_known_args()
    width, height = map(int, arguments.size.split("x"))
    peaks: dict[int, tuple[float, float]] = {}
    for frames in map(int, arguments.frames.split(",")):
        begin = time.monotonic()
        source, sink = os.pipe()
        lvc = [sys.executable, "-m", "lvc"]
        encoder = subprocess.Popen(
            [*lvc, "encode", "-", "-", "--quiet", *options], stdin=source, stdout=subprocess.PIPE
        )
        decoder = subprocess.Popen(
            [*lvc, "decode", "-", "-", "--quiet"], stdin=encoder.stdout, stdout=subprocess.DEVNULL
        )
        os.close(source)
        if encoder.stdout is not None:
            encoder.stdout.close()
        write_video(sink, frames, width, height)
        megabytes = peaks[frames] = peak(encoder), peak(decoder)
        print(
            f"{frames} frames of {width}x{height}: encode {megabytes[0]:.0f} MB, decode {megabytes[1]:.0f} MB, "
            f"{time.monotonic() - begin:.0f} s",
            flush=True,
        )
    found = failures(peaks, arguments.most)
    for failure in found:
        print(failure, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
