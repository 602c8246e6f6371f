"""Files as people have them, encoded and decoded again: what FFmpeg says of them before and after."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

import lvc
from lvc.errors import InputError
from tests.media_files import Sound, Text, side_tracks, write_media
from tests.models import tiny_bytes

PQ = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1}
FILES: dict[str, dict[str, Any]] = {
    "phone": {"rotation": 90, "sounds": [Sound()]},
    "variable frame rate": {"times": [0, 40, 50, 200, 233, 400]},
    "high dynamic range": {"pix_fmt": "yuv420p10le", "context": PQ},
    "full range": {"context": {"color_range": 2, "color_primaries": 1, "color_trc": 1, "colorspace": 1}},
    "limited range": {"context": {"color_range": 1, "color_primaries": 1, "color_trc": 1, "colorspace": 1}},
    "anamorphic": {"context": {"sample_aspect_ratio": Fraction(64, 45)}},
    "23.976": {"times": list(range(6)), "time_base": Fraction(1001, 24000), "rate": Fraction(24000, 1001)},
    "59.94": {"times": list(range(6)), "time_base": Fraction(1001, 60000), "rate": Fraction(60000, 1001)},
    "one frame": {"times": [0]},
    "two frames": {"times": [0, 40]},
    "after five hours": {"times": [18_000_000 + 40 * n for n in range(4)]},
    "long sound": {"times": [0, 40, 80], "sounds": [Sound(seconds=1.5)]},
    "two languages": {
        "sounds": [Sound(tags={"language": "eng"}), Sound(tags={"language": "deu"})],
        "texts": [Text("subrip", [(100, 400, "one"), (500, 900, "two")], {"language": "fra"})],
        "chapters": [(0, 500, "first"), (500, 1000, "second")],
    },
    "odd size": {"size": (17, 33), "codec": "ffv1"},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.lvcm"
    path.write_bytes(tiny_bytes())
    return path


def facts(path: Path) -> dict[str, Any]:
    """What a user would ask ffprobe."""
    with av.open(str(path)) as container:
        video: Any = container.streams.video[0]
        frames: list[Any] = list(container.decode(video))
        context = video.codec_context
        first = frames[0]
        return {
            "size": (context.width, context.height),
            "times": [float(frame.pts * frame.time_base) for frame in frames],
            "colour": (first.color_primaries, first.color_trc, first.colorspace, first.color_range),
            "rotation": first.rotation,
            "aspect": float(video.sample_aspect_ratio or 1),
            "streams": [stream.type for stream in container.streams],
            "languages": [stream.metadata.get("language") for stream in container.streams],
            "chapters": [
                (round(1000 * c["start"] * c["time_base"]), c["metadata"].get("title")) for c in container.chapters()
            ],
        }


@pytest.mark.parametrize("name", FILES)
def test_what_must_survive(name: str, tmp_path: Path, model: Path) -> None:
    options = {"times": range(0, 320, 40), **FILES[name]}
    write_media(tmp_path / "in.mkv", **options)
    fixed: dict[str, Any] = {"model": model, "device": "cpu", "threads": 1}
    lvc.encode(tmp_path / "in.mkv", tmp_path / "out.lvc", preset="fast", **fixed)
    lossless = options.get("codec") == "ffv1"
    lvc.decode(tmp_path / "out.lvc", tmp_path / "out.mkv", lossless=lossless, **fixed)
    before, after = facts(tmp_path / "in.mkv"), facts(tmp_path / "out.mkv")
    assert after.pop("times") == pytest.approx(before.pop("times"), abs=0.0011)
    assert after.pop("aspect") == pytest.approx(before.pop("aspect"), rel=0.001)
    assert after == before
    for a, b in zip(side_tracks(tmp_path / "in.mkv"), side_tracks(tmp_path / "out.mkv"), strict=True):
        assert (a.kind, a.codec, a.digest) == (b.kind, b.codec, b.digest)
        assert [float(t) for t in b.times] == pytest.approx([float(t) for t in a.times], abs=0.0011)


@pytest.mark.parametrize("size", [(1, 1), (16, 15), (8, 64)])
def test_too_small_is_named(size: tuple[int, int], tmp_path: Path, model: Path) -> None:
    write_media(tmp_path / "in.mkv", size=size, codec="ffv1", times=[0, 40])
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]} are too small; the least is 16x16"):
        lvc.encode(tmp_path / "in.mkv", tmp_path / "out.lvc", model=model)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]
