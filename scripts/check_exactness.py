"""Encodes clips and checks that the files decode to the same pictures in whatever way a machine does it.

Every clip is encoded at every quality, in groups of 5 pictures, with pictures between two where they win. The files are
then decoded in processes of their own with the instruction sets of PyTorch, oneDNN and Numba at their default and at
their lowest, and in each of these with 1 and 2 threads, 1 and 4 groups of pictures at a time, oneDNN on and off, and on
the GPU where there is one. A line for each way shows the MD5 of all decoded pictures. Exit status 1 when two of them
differ or a picture fails its checksum.

python scripts/check_exactness.py                                   # generated clips, and ../shared/data/val if there
python scripts/check_exactness.py --frames 3 --qualities 5,30,60,95
python scripts/check_exactness.py --crop 256x192                    # the middle of files, which takes much less time
python scripts/check_exactness.py --keyint 250                      # one group of pictures for each clip
python scripts/check_exactness.py --model my.lvcm clip.mp4 other.mkv
"""

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lvc.errors import LvcError  # noqa: E402
from lvc.media import VideoReader  # noqa: E402
from lvc.video import Frame, VideoInfo  # noqa: E402
from tests.clips import KINDS, clip_frames, clip_info  # noqa: E402

VALIDATION = ROOT.parent / "shared" / "data" / "val"
LOWEST = {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "NUMBA_CPU_NAME": "generic"}
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait do so without keeping a core busy: this runs beside other things."""
ENVIRONMENTS: tuple[dict[str, str], ...] = ({}, *({name: value} for name, value in LOWEST.items()), LOWEST)


@dataclass
class Source:
    """Frames to encode."""

    name: str
    info: VideoInfo
    frames: list[Frame]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def take_side(self) -> bytes | None:
        return None


def sources(
    kinds: Iterable[str], paths: Iterable[Path], count: int, size: tuple[int, int], crop: tuple[int, int] | None
) -> Iterator[Source]:
    """Generated clips, one of them with 10 bits, then files."""
    for kind in kinds:
        depth = 10 if kind == "mix" else 8
        yield Source(
            kind, clip_info(*size, count, bit_depth=depth), list(clip_frames(kind, *size, count, bit_depth=depth))
        )
    for path in paths:
        with VideoReader(path) as reader:
            info, frames = reader.info, list(itertools.islice(reader, count))
        if crop is not None:
            width, height = (min(sides) for sides in zip(crop, (info.width, info.height), strict=True))
            frames = [_middle(frame, width, height) for frame in frames]
            info = replace(info, width=width, height=height)
        yield Source(path.name, info, frames)


def _middle(frame: Frame, width: int, height: int) -> Frame:
    """The middle of a 4:2:0 frame, even sizes."""
    top, left = ((whole - part) // 4 * 2 for whole, part in zip(frame.planes[0].shape, (height, width), strict=True))
    y, *chroma = frame.planes
    rows, cols = slice(top // 2, (top + height) // 2), slice(left // 2, (left + width) // 2)
    luma = y[top : top + height, left : left + width]
    return replace(frame, planes=[luma.copy(), *(plane[rows, cols].copy() for plane in chroma)])


def encode_all(options: argparse.Namespace, folder: Path) -> list[str]:
    """Writes a .lvc file for every clip and quality; their names."""
    from lvc.encoder import EncoderSettings, encode_stream
    from lvc.model import find_model

    files = []
    for source in sources(options.kinds, options.clips, options.frames, options.size, options.crop):
        for quality in options.qualities:
            name = f"{source.name} q{quality}.lvc"
            settings = EncoderSettings(quality=quality, preset="medium", keyint=options.keyint)
            with (folder / name).open("wb") as sink:
                encode_stream(source, sink, model=find_model(options.model), settings=settings)
            files.append(name)
    return files


def digest_of(path: Path, model_name: str | None, device: str, batch: int) -> str:
    """MD5 of all decoded samples of a file."""
    from lvc.decoder import Decoder
    from lvc.model import find_model

    digest = hashlib.md5()
    with path.open("rb") as stream:
        for item in Decoder(stream, device=device, batch=batch, load_model=lambda _: find_model(model_name)):
            for plane in item.planes if isinstance(item, Frame) else ():
                digest.update(plane.astype("<u2").tobytes())
    return digest.hexdigest()


def decode_all(options: argparse.Namespace) -> None:
    """In a process of its own: decodes all files in all ways that need no other process, a line of JSON for each."""
    import torch

    ways: list[dict[str, Any]] = [
        {"device": "cpu", "threads": threads, "batch": batch, "onednn": onednn}
        for threads, batch, onednn in itertools.product((1, 2), (1, 4), (True, False))
    ]
    if torch.cuda.is_available():
        ways += [{"device": "cuda", "threads": 1, "batch": batch, "onednn": True} for batch in (1, 4)]
    for way in ways:
        torch.set_num_threads(way["threads"])
        torch.backends.mkldnn.enabled = way["onednn"]
        files = {}
        for path in sorted(options.decode.glob("*.lvc")):
            try:
                files[path.name] = digest_of(path, options.model, way["device"], way["batch"])
            except LvcError as error:
                files[path.name] = f"{type(error).__name__}: {error}"
        print(json.dumps({**way, "capability": torch.backends.cpu.get_cpu_capability(), "files": files}), flush=True)


def in_environment(options: argparse.Namespace, folder: Path, changes: dict[str, str]) -> Iterator[dict[str, Any]]:
    """What :func:`decode_all` says in a process with these variables."""
    command: list[str | Path] = [sys.executable, __file__, "--decode", folder]
    if options.model:
        command += ["--model", options.model]
    clean = {name: value for name, value in os.environ.items() if name not in LOWEST}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**clean, **PATIENT, **changes}, text=True) as process:
        for line in process.stdout or ():
            yield json.loads(line)
    if process.returncode:
        yield {"files": {}, "failed": process.returncode}


def check(options: argparse.Namespace, folder: Path) -> int:
    """Encodes, decodes in all ways, and compares."""
    files = encode_all(options, folder)
    print(f"{len(files)} files of {options.frames} frames, {sum(p.stat().st_size for p in folder.iterdir()):,} bytes")
    first: dict[str, str] | None = None
    differences = 0
    for changes in ENVIRONMENTS[:: len(ENVIRONMENTS) - 1] if options.quick else ENVIRONMENTS:
        print(" ".join(f"{name}={value}" for name, value in changes.items()) or "default environment")
        for row in in_environment(options, folder, changes):
            found: dict[str, str] = row["files"]
            first = found if first is None else first
            wrong = [name for name in files if found.get(name) != first.get(name) or len(found.get(name, "")) != 32]
            differences += bool(wrong)
            whole = hashlib.md5("".join(found.get(name, "?") for name in files).encode()).hexdigest()
            print(
                f"  {row.get('device', '?'):4} {row.get('threads', '?')} threads, batch {row.get('batch', '?')}, "
                f"oneDNN {'on ' if row.get('onednn') else 'off'}, {row.get('capability', '?'):8} {whole}"
                + "".join(f"\n    DIFFERS: {name}: {found.get(name, 'no answer')}" for name in wrong)
            )
    print(f"{differences} ways differ" if differences else "all the same")
    return 1 if differences or first is None else 0


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "clips", nargs="*", type=Path, help="clips beside the generated ones; ../shared/data/val if none"
    )
    parser.add_argument("--model", help="name or path of a model")
    parser.add_argument("--frames", type=int, default=18, help="of each clip")
    parser.add_argument("--keyint", type=int, default=5, help="most pictures of a group")
    parser.add_argument("--size", type=_size, default=(160, 90), metavar="WxH", help="of the generated clips")
    parser.add_argument("--crop", type=_size, metavar="WxH", help="take the middle of files, even numbers")
    parser.add_argument(
        "--qualities", type=lambda text: [int(q) for q in text.split(",")], default=[5, 30, 60, 95], metavar="Q,Q..."
    )
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS, help="generated clips, all by default")
    parser.add_argument("--only-generated", action="store_true", help="leave ../shared/data/val out")
    parser.add_argument(
        "--quick", action="store_true", help="instruction sets all at their default or all at their lowest"
    )
    parser.add_argument("--decode", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.decode:
        decode_all(options)
        return 0
    if not options.clips and not options.only_generated and VALIDATION.is_dir():
        options.clips = sorted(VALIDATION.glob("*.mkv"))
    with tempfile.TemporaryDirectory() as folder:
        return check(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
