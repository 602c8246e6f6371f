"""Frames, timing and colour in and out of files and pipes."""

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lvc.media import VideoReader, VideoWriter
from lvc.video import Colour, Frame, VideoInfo
from tests.clips import KINDS, clip_frames, clip_info, make_clip
from tests.media_files import write_media


def read(path: object) -> tuple[VideoInfo, list[Frame], list[str]]:
    with VideoReader(path) as reader:
        frames = list(reader)
        return reader.info, frames, reader.warnings


def same(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def write(path: object, info: VideoInfo, frames: list[Frame], **options: object) -> list[str]:
    with VideoWriter(path, info, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.warnings


@pytest.mark.parametrize("extension", ["y4m", "mkv"])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("size", [(64, 48), (17, 33), (65, 16)])
def test_pixels_survive(tmp_path: Path, extension: str, bit_depth: int, size: tuple[int, int]) -> None:
    info = clip_info(*size, 3, bit_depth=bit_depth)
    frames = list(clip_frames("mix", *size, 3, bit_depth=bit_depth))
    path = tmp_path / f"clip.{extension}"
    write(path, info, frames, lossless=extension == "mkv")
    found, decoded, warnings = read(path)
    assert (found.width, found.height, found.bit_depth) == (*size, bit_depth)
    assert len(decoded) == 3
    assert all(same(a, b) for a, b in zip(frames, decoded, strict=True))
    assert not warnings


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm"])
def test_default_output_is_visually_lossless(tmp_path: Path, extension: str, bit_depth: int) -> None:
    info = clip_info(64, 48, 4, bit_depth=bit_depth)
    frames = list(clip_frames("pan", 64, 48, 4, bit_depth=bit_depth))
    write(tmp_path / f"clip.{extension}", info, frames)
    found, decoded, _ = read(tmp_path / f"clip.{extension}")
    assert found.bit_depth == bit_depth
    assert len(decoded) == 4
    for a, b in zip(frames, decoded, strict=True):
        error = np.square(a.planes[0].astype(float) - b.planes[0]).mean() / (1 << bit_depth) ** 2
        assert -10 * np.log10(error) > 40


@pytest.mark.parametrize(
    ("name", "options", "codec"),
    [
        ("a.mp4", {}, "h264"),
        ("a.mov", {}, "h264"),
        ("a.mkv", {}, "h264"),
        ("a.webm", {}, "vp9"),
        ("a.mp4", {"codec": "libx265"}, "hevc"),
        ("a.mkv", {"lossless": True}, "ffv1"),
    ],
)
def test_codec_of_the_output(tmp_path: Path, name: str, options: dict[str, object], codec: str) -> None:
    write(tmp_path / name, clip_info(64, 48, 2), list(clip_frames("pan", 64, 48, 2)), **options)
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].codec_context.name == codec


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_rate_factor_of_the_output(tmp_path: Path, codec: str) -> None:
    frames = list(clip_frames("mix", 64, 48, 4))
    for crf in (10, 40):
        write(tmp_path / f"{crf}.mp4", clip_info(64, 48, 4), frames, codec=codec, crf=crf)
    assert 2 * (tmp_path / "40.mp4").stat().st_size < (tmp_path / "10.mp4").stat().st_size


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_description_survives(tmp_path: Path, extension: str) -> None:
    info = VideoInfo(64, 48, 10, Fraction(1, 30000), Fraction(30000, 1001), Colour(9, 16, 9, 1, 3), Fraction(4, 3), 90)
    frames = [Frame(f.planes, f.pts * 1001, 1001) for f in clip_frames("static", 64, 48, 3, bit_depth=10)]
    write(tmp_path / f"a.{extension}", info, frames)
    found, _, _ = read(tmp_path / f"a.{extension}")
    assert found.colour == info.colour
    assert found.sample_aspect == info.sample_aspect
    assert found.rotation == 90
    assert found.frame_rate == pytest.approx(info.frame_rate, rel=1e-3)
    assert found.frames == 3


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_clockwise(tmp_path: Path, rotation: int) -> None:
    write_media(tmp_path / "a.mp4", times=(0, 40), rotation=-rotation)
    info, frames, _ = read(tmp_path / "a.mp4")
    assert info.rotation == rotation
    write(tmp_path / "b.mp4", info, frames)
    assert read(tmp_path / "b.mp4")[0].rotation == rotation


def test_mirrored_video_is_named(tmp_path: Path) -> None:
    write_media(tmp_path / "a.mp4", times=(0, 40), rotation=-90)
    write_media(tmp_path / "b.mp4", times=(0, 40), rotation=-90, mirrored=True)
    assert not read(tmp_path / "a.mp4")[2]
    assert "mirrored" in read(tmp_path / "b.mp4")[2][0]


@pytest.mark.parametrize("colour_range", [1, 2])
def test_colour_range(tmp_path: Path, colour_range: int) -> None:
    info = replace(clip_info(64, 48, 2), colour=Colour(1, 1, 1, colour_range, 1))
    frames = list(clip_frames("static", 64, 48, 2))
    for name in ("a.mp4", "a.y4m", "a.mkv"):
        write(tmp_path / name, info, frames)
        assert read(tmp_path / name)[0].colour.range == colour_range


TIMES = {
    "variable": [0, 1001, 3003, 3500, 9000],
    "five hours": [5 * 3600 * 30000 + t for t in (0, 1001, 2002)],
    "late": [1001 * 7, 1001 * 8],
    "one": [0],
    "one late": [15015],
}


@pytest.mark.parametrize("name", TIMES)
def test_times_in_mp4_are_exact(tmp_path: Path, name: str) -> None:
    info = replace(clip_info(64, 48, 5), time_base=Fraction(1, 30000), frame_rate=Fraction(30000, 1001))
    frames = [Frame(next(clip_frames("static", 64, 48, 1)).planes, t, 1001) for t in TIMES[name]]
    write(tmp_path / "a.mp4", info, frames)
    found, decoded, _ = read(tmp_path / "a.mp4")
    assert [f.pts * found.time_base for f in decoded] == [Fraction(t, 30000) for t in TIMES[name]]
    if name != "variable":  # there MP4 has durations in decoding order only
        assert decoded[-1].duration * found.time_base == Fraction(1001, 30000)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(60000, 1001), Fraction(10), Fraction(25, 2)])
@pytest.mark.parametrize("extension", ["mp4", "mkv", "y4m"])
def test_frame_rates(tmp_path: Path, rate: Fraction, extension: str) -> None:
    make_clip(tmp_path / f"a.{extension}", "pan", width=64, height=48, frames=30, fps=rate)
    info, frames, _ = read(tmp_path / f"a.{extension}")
    assert info.frame_rate == pytest.approx(rate, rel=1e-4)
    times = [f.pts * info.time_base for f in frames]
    exact = [n / rate for n in range(30)]
    assert times == (exact if extension != "mkv" else pytest.approx(exact, abs=0.00051))
    if extension == "y4m":
        assert info.time_base == 1 / rate


def test_edit_lists_are_followed(tmp_path: Path) -> None:
    """An MP4 that is cut without encoding holds pictures before its start; they are not shown, so they are not read."""
    unmoved = {"avoid_negative_ts": "disabled"}
    write_media(tmp_path / "a.mp4", times=range(-100, 200, 20), options={"bf": "0"}, muxer=unmoved)
    info, frames, _ = read(tmp_path / "a.mp4")
    assert [f.pts * info.time_base * 1000 for f in frames] == list(range(0, 200, 20))


def test_negative_start_is_moved_in_mp4(tmp_path: Path) -> None:
    info = replace(clip_info(64, 48, 3), time_base=Fraction(1, 1000))
    frames = [Frame(f.planes, t, 40) for f, t in zip(clip_frames("pan", 64, 48, 3), (-80, -40, 10), strict=True)]
    warnings = write(tmp_path / "a.mp4", info, frames)
    assert "0.08 seconds" in warnings[0]
    found, decoded, _ = read(tmp_path / "a.mp4")
    assert [f.pts * found.time_base for f in decoded] == [0, Fraction(40, 1000), Fraction(90, 1000)]


def test_negative_start_is_read(tmp_path: Path) -> None:
    unmoved = {"avoid_negative_ts": "disabled"}
    write_media(tmp_path / "a.ts", times=(-100, -60, 0, 20), options={"bf": "0"}, muxer=unmoved)
    info, frames, _ = read(tmp_path / "a.ts")
    assert [f.pts * info.time_base * 1000 for f in frames] == [-100, -60, 0, 20]


def test_y4m_says_when_it_loses_times(tmp_path: Path) -> None:
    info = replace(clip_info(64, 48, 3), time_base=Fraction(1, 1000))
    frames = [Frame(f.planes, t, 40) for f, t in zip(clip_frames("pan", 64, 48, 3), (0, 40, 200), strict=True)]
    assert any("timestamps" in w for w in write(tmp_path / "a.y4m", info, frames))
    regular = [replace(f, pts=t) for f, t in zip(frames, (0, 40, 80), strict=True)]
    assert write(tmp_path / "b.y4m", info, regular) == []


def test_times_are_repaired() -> None:
    from lvc.media.timing import Timeline

    line = Timeline(Fraction(1, 100), Fraction(25))
    given = [None, None, 8, 8, 7, 20, -900, -896]
    assert [line.place(t, 4) for t in given] == [0, 4, 8, 9, 10, 20, 24, 28]
    assert line.repaired == 4


@pytest.mark.parametrize(
    ("pix_fmt", "depth", "converted"),
    [
        ("yuv444p", 8, True),
        ("yuv422p10le", 10, True),
        ("yuv420p12le", 10, True),
        ("gray", 8, True),
        ("gbrp10le", 10, True),
        ("bgr0", 8, True),
        ("yuv420p", 8, False),
    ],
)
def test_other_pixel_formats_are_converted(tmp_path: Path, pix_fmt: str, depth: int, converted: bool) -> None:
    write_media(tmp_path / "a.mkv", times=(0, 40, 80), codec="ffv1", pix_fmt=pix_fmt, size=(33, 17))
    info, frames, warnings = read(tmp_path / "a.mkv")
    assert info.bit_depth == depth
    assert [p.shape for p in frames[0].planes] == [(17, 33), (9, 17), (9, 17)]
    assert len(warnings) == converted
    if converted:
        assert pix_fmt in warnings[0]


def test_conversion_keeps_luma(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        picture = av.VideoFrame(64, 48, "yuv444p")
        values = np.random.default_rng(0).integers(0, 256, (3, 48, 64), np.uint8)
        for plane, value in zip(picture.planes, values, strict=True):
            np.frombuffer(plane, np.uint8).reshape(48, -1)[:, :64] = value
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    _, frames, _ = read(tmp_path / "a.mkv")
    assert np.array_equal(frames[0].planes[0], values[0])


def test_interlaced_is_deinterlaced(tmp_path: Path) -> None:
    write_media(tmp_path / "a.mkv", codec="ffv1", times=tuple(range(0, 400, 40)))
    assert not read(tmp_path / "a.mkv")[2]
    head = b"YUV4MPEG2 W64 H48 F25:1 It A1:1 C420jpeg\n"
    frame = b"FRAME\n" + bytes(range(256)) * (64 * 48 * 3 // 2 // 256)
    (tmp_path / "a.y4m").write_bytes(head + frame * 6)
    for source in (tmp_path / "a.y4m", io.BytesIO(head + frame * 6)):
        info, frames, warnings = read(source)
        assert len(frames) == 6
        assert [f.pts * info.time_base for f in frames] == [Fraction(i, 25) for i in range(6)]
        assert [w for w in warnings if "deinterlaced" in w]


def test_size_change_is_scaled(tmp_path: Path) -> None:
    for name, size in (("a", (64, 48)), ("b", (96, 64))):
        write_media(tmp_path / f"{name}.ts", codec="mpeg2video", times=range(10), time_base=Fraction(1, 25), size=size)
    (tmp_path / "c.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    info, frames, warnings = read(tmp_path / "c.ts")
    assert (info.width, info.height) == (64, 48)
    assert all(f.planes[0].shape == (48, 64) for f in frames)
    assert len(frames) >= 19  # FFmpeg drops a packet at the seam
    times = [f.pts for f in frames]
    assert times == sorted(set(times))
    assert sum("scaled" in w for w in warnings) == 1


def test_animated_gif(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.gif"), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 40, 30, "rgb8"
        for value in range(4):
            picture = av.VideoFrame.from_ndarray(np.full((30, 40, 3), 60 * value, np.uint8), "rgb24")
            container.mux(stream.encode(picture.reformat(format="rgb8")))
        container.mux(stream.encode(None))
    info, frames, warnings = read(tmp_path / "a.gif")
    assert (info.width, info.height, len(frames), len(warnings)) == (40, 30, 4, 1)
    assert info.colour.matrix == 1
    assert frames[3].planes[0].mean() > frames[0].planes[0].mean() + 100


def test_image_sequence_and_single_image(tmp_path: Path) -> None:
    for number in range(3):
        picture = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 80 * number, np.uint8), "rgb24")
        with av.open(str(tmp_path / f"img_{number:03d}.png"), "w") as container:
            stream = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "rgb24"
            container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    info, frames, _ = read(str(tmp_path / "img_%03d.png"))
    assert [f.pts * info.time_base for f in frames] == [0, Fraction(1, 25), Fraction(2, 25)]
    info, frames, _ = read(tmp_path / "img_001.png")
    assert (len(frames), info.width, info.height) == (1, 48, 32)


def test_odd_sizes_in_h264_are_continued(tmp_path: Path) -> None:
    frames = list(clip_frames("pan", 33, 17, 2))
    warnings = write(tmp_path / "a.mp4", clip_info(33, 17, 2), frames)
    assert "34x18" in warnings[0]
    info, _, _ = read(tmp_path / "a.mp4")
    assert (info.width, info.height) == (34, 18)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_are_what_they_say(kind: str) -> None:
    frames = list(clip_frames(kind, 48, 32, 10))
    again = list(clip_frames(kind, 48, 32, 10))
    assert all(same(a, b) for a, b in zip(frames, again, strict=True))
    assert frames[0].planes[0].std() > 8
    assert same(frames[0], frames[9]) == (kind == "static")
