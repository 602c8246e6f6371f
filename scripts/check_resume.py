"""Kills an encode at random moments and lets it go on: prints how often the result had the same bytes.

python scripts/check_resume.py in.mp4 --rounds 20 --keyint 8
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.epilog = "All other options are those of lvc encode."
    arguments, options = parser.parse_known_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "lvc", "encode", str(arguments.source), "--quiet", *options]
        begin = time.monotonic()
        subprocess.run([*command, str(folder / "whole.lvc")], check=True)
        seconds = time.monotonic() - begin
        whole = (folder / "whole.lvc").read_bytes()
        print(f"uninterrupted: {len(whole)} bytes in {seconds:.1f} s")
        killed = same = number = 0
        while killed < arguments.rounds:
            number += 1
            target = folder / f"{number}.lvc"
            resumed = [*command, str(target), "--resume"]
            moment = moments.uniform(0, seconds)
            with subprocess.Popen(resumed) as process:
                try:
                    process.wait(moment)
                except subprocess.TimeoutExpired:
                    process.kill()
            if target.exists():
                if target.read_bytes() != whole:
                    sys.exit(f"{number}: half a file under the final name after {moment:.2f} s")
                print(f"{number}: the file was whole before the encode was killed; does not count")
                continue
            killed += 1
            left = sum(path.stat().st_size for path in folder.glob(f".{number}.*"))
            begin = time.monotonic()
            subprocess.run(resumed, check=True)
            took = time.monotonic() - begin
            equal = target.read_bytes() == whole
            same += equal
            verdict = "the same bytes" if equal else "OTHER BYTES"
            print(f"{number}: killed after {moment:.2f} s with {left} bytes left, resumed in {took:.2f} s: {verdict}")
            target.unlink()
    print(f"{same} of {killed} with the same bytes")
    sys.exit(same != killed)


if __name__ == "__main__":
    main()
