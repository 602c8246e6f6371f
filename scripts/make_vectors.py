"""Makes the conformance files in tests/vectors: small .lvc files with the MD5 of every picture that they decode to.

Most are coded with a tiny model of random numbers that lies beside them, so that they test the format and not the
product's model; some with the default model. Run this after every change of the format or of models/lite.lvcm:

python scripts/make_vectors.py                   # all
python scripts/make_vectors.py --only tiny       # those of the tiny model
python scripts/make_vectors.py --new-model       # and the tiny model itself, where its layout has changed
"""

import argparse
import hashlib
import io
import json
import lzma
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lvc.decoder import Decoder  # noqa: E402
from lvc.encoder import EncoderSettings, encode_stream  # noqa: E402
from lvc.model import Model, find_model  # noqa: E402
from lvc.model.weights import unpack  # noqa: E402
from lvc.video import Frame, VideoInfo  # noqa: E402
from tests.clips import clip_frames, clip_info  # noqa: E402
from tests.models import tiny_bytes  # noqa: E402

FOLDER = ROOT / "tests" / "vectors"
TINY = FOLDER / "tiny.lvcm.xz"
LIST = FOLDER / "vectors.json"


@dataclass
class Vector:
    """One conformance file: a generated clip, how it is coded, and by which model. Also the source of its frames."""

    name: str
    model: str
    kind: str
    size: tuple[int, int]
    frames: int
    quality: int
    bit_depth: int = 8
    keyint: int = 250
    preset: str = "medium"
    tune: str = "psnr"
    side: bytes = b""

    @property
    def info(self) -> VideoInfo:
        return clip_info(*self.size, self.frames, bit_depth=self.bit_depth)

    def __iter__(self) -> Iterator[Frame]:
        return clip_frames(self.kind, *self.size, self.frames, bit_depth=self.bit_depth)

    def take_side(self) -> bytes | None:
        side, self.side = self.side, b""
        return side or None


VECTORS = (
    Vector("odd", "tiny", "mix", (33, 17), 4, 60),
    Vector("smallest", "tiny", "textures", (16, 16), 5, 30, keyint=2),
    Vector("worst", "tiny", "pan", (96, 64), 5, 1),
    Vector("best", "tiny", "pan", (32, 32), 3, 100),
    Vector("deep", "tiny", "zoom", (47, 35), 5, 45, bit_depth=10),
    Vector("deep-best", "tiny", "noise", (32, 32), 2, 100, bit_depth=10),
    Vector("cuts", "tiny", "cuts", (40, 40), 10, 25),
    Vector("still", "tiny", "static", (64, 32), 6, 50),
    Vector("fade", "tiny", "fade", (48, 64), 11, 55),
    Vector("grey", "tiny", "grey", (40, 33), 6, 40, bit_depth=10),
    Vector("groups", "tiny", "textures", (48, 32), 7, 40, keyint=3, preset="slow"),
    Vector("side", "tiny", "pan", (32, 48), 2, 35, side=b"anything"),
    Vector("levels", "tiny", "mix", (80, 48), 8, 40, tune="ssim"),
    Vector("lite-levels", "lite", "mix", (112, 80), 9, 40, tune="ssim"),
    Vector("lite", "lite", "mix", (97, 65), 8, 50, keyint=5),
    Vector("lite-fade", "lite", "fade", (96, 80), 18, 45, keyint=15),
    Vector("lite-grey", "lite", "grey", (64, 64), 10, 60),
    Vector("lite-worst", "lite", "pan", (160, 96), 6, 1),
    Vector("lite-best", "lite", "textures", (48, 48), 4, 100),
    Vector("lite-deep", "lite", "zoom", (80, 64), 5, 70, bit_depth=10),
)


def md5_of(frame: Frame, bit_depth: int) -> str:
    """MD5 of Y, U and V in rows: a byte per sample at 8 bits, two, the less significant one first, at 10."""
    digest = hashlib.md5()
    for plane in frame.planes:
        digest.update(plane.astype("u1" if bit_depth == 8 else "<u2").tobytes())
    return digest.hexdigest()


def make(vector: Vector, model: Model) -> dict[str, Any]:
    """Writes one file; its entry in the list."""
    sink = io.BytesIO()
    settings = EncoderSettings(quality=vector.quality, preset=vector.preset, tune=vector.tune, keyint=vector.keyint)
    encode_stream(vector, sink, model=model, settings=settings)
    data = sink.getvalue()
    (FOLDER / f"{vector.name}.lvc").write_bytes(data)
    decoded = Decoder(io.BytesIO(data), load_model=lambda _: model)
    pictures = [md5_of(item, vector.bit_depth) for item in decoded if isinstance(item, Frame)]
    print(f"{vector.name:12} {vector.model:5} {len(pictures):3} pictures {len(data):7,} bytes")
    return {"model": vector.model, "sha256": hashlib.sha256(data).hexdigest(), "pictures": pictures}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("tiny", "lite"), help="leave the files of the other model as they are")
    parser.add_argument("--new-model", action="store_true", help="make the tiny model anew, too")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    if options.new_model or not TINY.exists():
        TINY.write_bytes(lzma.compress(tiny_bytes(), preset=9 | lzma.PRESET_EXTREME))
    models = {"tiny": unpack(lzma.decompress(TINY.read_bytes()), "tiny")}
    if options.only != "tiny":
        models["lite"] = find_model("lite")
    known: dict[str, Any] = json.loads(LIST.read_text()) if LIST.exists() else {}
    entries = {}
    for vector in VECTORS:
        if options.only in (None, vector.model):
            entries[vector.name] = make(vector, models[vector.model])
        elif vector.name in known:
            entries[vector.name] = known[vector.name]
    LIST.write_text(json.dumps(entries, indent=1) + "\n")
    for path in FOLDER.glob("*.lvc"):
        if path.stem not in entries:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
