"""Encodes and decodes with several processes and with one: prints how many times faster, and whether the bytes agree.

python scripts/make_clips.py clip.y4m --size 640x352 --frames 240
python scripts/check_workers.py clip.y4m --keyint 20

Ends with status 1 where bytes differ, or where two processes are less than 1.7 times as fast as one.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LEAST = 0.85
"""Of the number of processes, the least factor."""


def seconds(command: str, source: Path, target: Path, workers: int, options: list[str]) -> float:
    """How long lvc takes, each process with one thread.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    fixed = ["--workers", str(workers), "--threads", "1", "--device", "cpu", "--quiet", "-y"]
    begin = time.monotonic()
    subprocess.run([sys.executable, "-m", "lvc", command, str(source), str(target), *fixed, *options], check=True)
    return time.monotonic() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="the best of so many counts")
    parser.epilog = "All other options are those of lvc encode."
    arguments, options = parser.parse_known_args()
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command, extension, more in (("encode", "lvc", options), ("decode", "y4m", _of_decode(options))):
            source = arguments.source if command == "encode" else folder / "1.lvc"
            targets = {workers: folder / f"{workers}.{extension}" for workers in (1, arguments.workers)}
            rounds = [
                [seconds(command, source, target, workers, more) for workers, target in targets.items()]
                for _ in range(arguments.rounds)
            ]
            one, several = (min(column) for column in zip(*rounds, strict=True))
            factor = one / several
            files = [target.read_bytes() for target in targets.values()]
            verdict = "the same bytes" if files[0] == files[1] else "OTHER BYTES"
            print(f"{command}: {one:.1f} s, {several:.1f} s: {factor:.2f} times as fast, {verdict}")
            good &= files[0] == files[1] and factor >= LEAST * arguments.workers
    sys.exit(not good)


def _of_decode(options: list[str]) -> list[str]:
    """Of the options of lvc encode, those that lvc decode has and needs."""
    if "--model" not in options:
        return []
    place = options.index("--model")
    return options[place : place + 2]


if __name__ == "__main__":
    main()
