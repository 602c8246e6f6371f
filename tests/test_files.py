"""Files as people have them, encoded and decoded again: what FFmpeg says of them before and after."""

import io
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import lvc
from lvc.errors import InputError
from tests.media_files import Sound, Text, side_tracks, write_media
from tests.models import tiny_bytes

LIGHT = {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"}
PQ = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1}
TAGS = {"title": "A title", "artist": "Somebody"}
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
    "five hours": {
        "times": range(0, 18_000_001, 3_600_000),
        "sounds": [Sound("ac3", seconds=0.2), Sound("ac3", start=18_000, seconds=0.2)],
    },
    "long sound": {"times": [0, 40, 80], "sounds": [Sound(seconds=1.5)]},
    "two languages": {
        "sounds": [Sound(tags={"language": "eng"}), Sound(tags={"language": "deu"})],
        "texts": [Text("subrip", [(100, 400, "one"), (500, 900, "two")], {"language": "fra"})],
        "chapters": [(0, 500, "first"), (500, 1000, "second")],
        "tags": TAGS,
    },
    "odd size": {"size": (17, 33), "codec": "ffv1"},
}


MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
FRAME = 0.04


def write_gif(folder: Path) -> str:
    with av.open(str(folder / "in.gif"), "w") as container:
        stream: Any = container.add_stream("gif", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"
        for value in range(6):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * value, np.uint8), "rgb24")
            container.mux(stream.encode(picture.reformat(format="rgb8")))
        container.mux(stream.encode(None))
    return "in.gif"


def write_images(folder: Path) -> str:
    for number in range(6):
        with av.open(str(folder / f"in_{number:03d}.png"), "w") as container:
            stream: Any = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8), "rgb24")
            container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    return "in_%03d.png"


def write_size_change(folder: Path) -> str:
    """As a broadcast does it, where a film begins; times go on."""
    for name, size, begin in (("a.ts", (64, 48), 0), ("b.ts", (96, 64), 8)):
        times = range(begin, begin + 8)
        codec = {"codec": "mpeg2video", "options": {"bf": "0"}, "time_base": Fraction(1, 25)}
        write_media(folder / name, times=times, size=size, **codec)
    (folder / "in.ts").write_bytes((folder / "a.ts").read_bytes() + (folder / "b.ts").read_bytes())
    return "in.ts"


def write_interlaced(folder: Path) -> str:
    head = b"YUV4MPEG2 W64 H48 F25:1 It A1:1 C420jpeg\n"
    (folder / "in.y4m").write_bytes(head + (b"FRAME\n" + bytes(range(256)) * (64 * 48 * 3 // 2 // 256)) * 6)
    return "in.y4m"


def picture_file() -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="mjpeg") as container:
        stream: Any = container.add_stream("mjpeg", rate=1)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuvj420p")))
        container.mux(stream.encode(None))
    return target.getvalue()


def written(name: str, **options: Any) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        write_media(folder / name, **{"times": range(0, 400, 40), **options})
        return name

    return write


SOURCES: dict[str, tuple[Callable[[Path], str], set[str]]] = {
    "gif": (write_gif, {"colour"}),
    "image sequence": (write_images, {"colour"}),
    "size change": (write_size_change, {"colour", "size"}),
    "interlaced": (write_interlaced, {"colour"}),
    "negative start": (
        written(
            "in.ts",
            times=range(-400, 0, 40),
            sounds=[Sound("ac3", start=-0.4, seconds=0.4)],
            options={"bf": "0"},
            muxer={"avoid_negative_ts": "disabled"},
        ),
        set(),
    ),
    "cover": (written("in.mkv", attachments=[("cover.jpg", "image/jpeg", picture_file())], tags=TAGS), set()),
    "mastering": (
        written(
            "in.mkv",
            pix_fmt="yuv420p10le",
            context=PQ,
            options={"x264-params": f"mastering-display={MASTERING}:cll=1000,400"},
        ),
        set(),
    ),
    "phone": (written("in.mp4", rotation=90, sounds=[Sound(seconds=0.4)], tags=TAGS), set()),
    "transport stream": (written("in.ts", sounds=[Sound(seconds=0.4)]), set()),
}
"""Of each: what writes it and gives its name, and which facts its conversion changes."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.lvcm"
    path.write_bytes(tiny_bytes())
    return path


def duration(path: Path) -> float:
    """Seconds from the first packet to the end of the last."""
    with av.open(str(path)) as container:
        packets: list[Any] = [packet for packet in container.demux() if packet.size and packet.pts is not None]
        begin = min(packet.pts * packet.time_base for packet in packets)
        return float(max((packet.pts + (packet.duration or 0)) * packet.time_base for packet in packets) - begin)


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
            "covers": sum(bool(s.disposition & av.stream.Disposition.attached_pic) for s in container.streams.video),
            "light": {d.type.name: bytes(d) for d in first.side_data if d.type.name in LIGHT},
            "duration": duration(path),
            "tags": {name.lower(): text for name, text in container.metadata.items() if name.lower() in TAGS},
            "languages": [stream.metadata.get("language", "und") for stream in container.streams],
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
    assert after.pop("duration") == pytest.approx(before.pop("duration"), abs=FRAME)
    assert after.pop("aspect") == pytest.approx(before.pop("aspect"), rel=0.001)
    assert after == before
    for a, b in zip(side_tracks(tmp_path / "in.mkv"), side_tracks(tmp_path / "out.mkv"), strict=True):
        assert (a.kind, a.codec, a.digest) == (b.kind, b.codec, b.digest)
        assert [float(t) for t in b.times] == pytest.approx([float(t) for t in a.times], abs=0.0011)


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
@pytest.mark.parametrize("name", SOURCES)
def test_through_lvc(name: str, extension: str, tmp_path: Path, model: Path) -> None:
    write, changed = SOURCES[name]
    source, result = tmp_path / write(tmp_path), tmp_path / f"out.{extension}"
    fixed: dict[str, Any] = {"model": model, "device": "cpu", "threads": 1}
    lvc.encode(source, tmp_path / "out.lvc", preset="fast", **fixed)
    lvc.decode(tmp_path / "out.lvc", result, **fixed)
    before, after = facts(source), facts(result)
    for key in changed:
        del before[key], after[key]
    old, new = before.pop("times"), after.pop("times")
    assert [time - new[0] for time in new] == pytest.approx([time - old[0] for time in old], abs=0.0011)
    assert after.pop("duration") == pytest.approx(before.pop("duration"), abs=FRAME)
    assert after == before
    for a, b in zip(side_tracks(source), side_tracks(result), strict=True):
        headers = 7 if (a.codec, source.suffix) == ("aac", ".ts") else 0
        assert (a.codec, [payload[headers:] for payload in a.payloads]) == (b.codec, b.payloads)
        assert [float(time) - new[0] for time in b.times] == pytest.approx(
            [float(time) - old[0] for time in a.times], abs=0.0011
        )


@pytest.mark.parametrize("size", [(1, 1), (16, 15), (8, 64)])
def test_too_small_is_named(size: tuple[int, int], tmp_path: Path, model: Path) -> None:
    write_media(tmp_path / "in.mkv", size=size, codec="ffv1", times=[0, 40])
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]} are too small; the least is 16x16"):
        lvc.encode(tmp_path / "in.mkv", tmp_path / "out.lvc", model=model)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_a_large_picture(tmp_path: Path, model: Path) -> None:
    width, height = 4096, 2304
    luma = (np.arange(width) // 16 + np.arange(height)[:, None] // 9).astype(np.uint8)
    chroma = np.full((height // 2, width), 128, np.uint8)
    header = f"YUV4MPEG2 W{width} H{height} F25:1 C420jpeg\nFRAME\n".encode()
    (tmp_path / "in.y4m").write_bytes(header + luma.tobytes() + chroma.tobytes())
    fixed: dict[str, Any] = {"model": model, "device": "cpu"}
    lvc.encode(tmp_path / "in.y4m", tmp_path / "out.lvc", preset="fast", quality=40, verify=False, **fixed)
    result = lvc.decode(tmp_path / "out.lvc", tmp_path / "out.y4m", **fixed)
    assert result.frames == 1
    data = (tmp_path / "out.y4m").read_bytes()
    found = np.frombuffer(data[len(data) - width * height * 3 // 2 :], np.uint8)[: width * height]
    assert data.startswith(b"YUV4MPEG2 W4096 H2304 ")
    assert np.abs(found.reshape(height, width).astype(int) - luma).mean() < 8


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_reader_that_goes(command: str, tmp_path: Path, model: Path) -> None:
    write_media(tmp_path / "in.mkv", times=range(0, 960, 40))
    fixed = ["--model", str(model), "--device", "cpu", "--threads", "1"]
    if command == "encode":
        fixed += ["--preset", "fast", "--keyint", "4"]
    lvc.encode(tmp_path / "in.mkv", tmp_path / "in.lvc", preset="fast", keyint=4, model=model, device="cpu")
    source = tmp_path / ("in.mkv" if command == "encode" else "in.lvc")
    arguments = [sys.executable, "-m", "lvc", command, str(source), "-", *fixed]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(120) == 141
        assert process.stderr.read() == b""
