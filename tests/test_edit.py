"""Parts of videos, cropped and scaled: what is taken, and when it is shown."""

import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lvc
from lvc import api
from lvc.cli import main
from lvc.container import GopChunk, Reader, limits
from lvc.decoder import Decoder
from lvc.edit import Crop, Edit, Span
from lvc.errors import InputError, LimitError, TruncatedError
from lvc.group_decoder import GroupDecoder
from lvc.media import EditedSource, VideoReader
from lvc.media.head import Head, StreamHead, pack_head, unpack_head
from lvc.media.segment import SidePacket, pack_packets, unpack_packets
from lvc.model.entropy import SymbolCoder
from lvc.video import Frame
from tests.clips import clip_frames, clip_info, make_clip
from tests.container_files import Counting, with_side_behind
from tests.media_files import Sound, Text, side_tracks, write_media
from tests.models import tiny_bytes

COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and a file of four groups of three frames with sound."""
    folder = tmp_path_factory.mktemp("edit")
    (folder / "tiny.lvcm").write_bytes(tiny_bytes())
    times = [1000 + 40 * n for n in range(COUNT)]
    chapters = [(1000, 1200, "one"), (1200, 1480, "two")]
    write_media(
        folder / "in.mkv",
        times=times,
        sounds=[Sound("pcm_s16le", seconds=0.48, start=1.0)],
        texts=[Text("subrip", [(1010, 1100, "early"), (1290, 1400, "late")])],
        chapters=chapters,
    )
    lvc.encode(folder / "in.mkv", folder / "in.lvc", keyint=3, preset="fast", model=folder / "tiny.lvcm", device="cpu")
    return folder


def run(folder: Path, *arguments: object) -> Result:
    options = ["--model", folder / "tiny.lvcm", "--device", "cpu", "-y"]
    return CliRunner().invoke(main, [str(argument) for argument in (*arguments, *options)])


def frames_of(path: Path, **options: Any) -> list[Frame]:
    with lvc.open(path, model=path.with_name("tiny.lvcm"), device="cpu", **options) as video:
        return list(video)


def same(a: list[Frame], b: list[Frame]) -> bool:
    pairs = zip(a, b, strict=True)
    return all(np.array_equal(x, y) for f, g in pairs for x, y in zip(f.planes, g.planes, strict=True))


# Decoding


@pytest.mark.parametrize(
    ("start", "frames", "first", "last"),
    [("0", 2, 0, 2), ("0.28", None, 7, 12), ("0.281", 1, 8, 9), ("00:00:00.12", 5, 3, 8), ("0.2", 100, 5, 12)],
)
def test_a_part_is_decoded(folder: Path, start: str, frames: int | None, first: int, last: int) -> None:
    limit = [] if frames is None else ["--frames", frames]
    result = run(folder, "decode", folder / "in.lvc", folder / "out.mkv", "--lossless", "--start", start, *limit)
    assert result.exit_code == 0, result.output
    with VideoReader(folder / "out.mkv") as reader:
        found = list(reader)
    assert same(found, frames_of(folder / "in.lvc")[first:last])
    assert [frame.pts * reader.info.time_base for frame in found] == [Fraction(n, 25) for n in range(last - first)], (
        "it begins at time 0"
    )
    begin, end = 1 + Fraction(first, 25), 1 + Fraction(last, 25)
    source, (sound, texts) = side_tracks(folder / "in.mkv"), side_tracks(folder / "out.mkv")
    kept = [n for n, time in enumerate(source[0].times) if begin <= time < end]
    assert sound.payloads == [source[0].payloads[n] for n in kept]
    assert [float(time) for time in sound.times] == pytest.approx(
        [float(source[0].times[n] - begin) for n in kept], abs=0.001
    )
    assert texts.payloads == [line for time, line in zip(source[1].times, source[1].payloads, strict=True)
                              if begin <= time < end]  # fmt: skip


def test_only_what_is_needed_is_read_and_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (folder / "in.lvc").read_bytes()
    decoded: list[int] = []
    original = GroupDecoder.decode

    def counted(self: GroupDecoder, groups: list[GopChunk]) -> Iterator[Iterator[Frame]]:
        decoded.extend(group.first_frame for group in groups)
        return original(self, groups)

    monkeypatch.setattr(GroupDecoder, "decode", counted)
    sizes = [item.size for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk)]
    span = Span(Fraction(40 * 10, 1000), 1)
    for seekable in (True, False):
        source = Counting(data)
        monkeypatch.setattr(source, "seekable", lambda seekable=seekable: seekable)
        out = io.BytesIO()
        result = lvc.decode(source, out, span=span, model=folder / "tiny.lvcm", device="cpu")
        assert result.frames == 1
        if seekable:
            assert source.count < len(data) - sizes[1]
    assert decoded == [9, 9]


@pytest.mark.parametrize("options", [[], ["--start", "0.2"], ["--frames", 2], ["--workers", 2, "--threads", 1]])
def test_previews_are_the_first_pictures_of_groups(folder: Path, options: list[object]) -> None:
    result = run(folder, "decode", folder / "in.lvc", folder / "out.mkv", "--lossless", "--preview", *options)
    assert result.exit_code == 0, result.output
    with VideoReader(folder / "out.mkv") as reader:
        found = list(reader)
    first, last = (3, 12) if "--start" in options else (0, 6 if "--frames" in options else 12)
    assert same(found, frames_of(folder / "in.lvc")[first:last:3])
    begin = 1 if len(options) in (0, 4) else 0
    assert [frame.pts * reader.info.time_base - begin for frame in found] == [
        Fraction(3 * n, 25) for n in range(len(found))
    ]
    assert not side_tracks(folder / "out.mkv")


@pytest.mark.parametrize("start", ["0.36", "0.4", "0.45", "0.479"])
@pytest.mark.parametrize("options", [["--preview"], ["--layers", 3, "--workers", 2, "--threads", 1]])
def test_a_preview_of_the_last_group(folder: Path, start: str, options: list[object]) -> None:
    """Also where the time lies behind the begin of its last frame."""
    result = run(folder, "decode", folder / "in.lvc", folder / "out.mkv", "--lossless", "--start", start, *options)
    assert result.exit_code == 0, result.output
    with VideoReader(folder / "out.mkv") as reader:
        assert same(list(reader), frames_of(folder / "in.lvc")[9:10])
    result = run(folder, "decode", folder / "in.lvc", folder / "out.mkv", "--start", "0.48", *options)
    assert result.exit_code == 3


def test_layers_of_previews(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fewer layers, the fewer passes, and the further from the whole picture."""
    passes: list[int] = []
    original = SymbolCoder.residual

    def counted(self: SymbolCoder, wanted: Any, scale: Any, mask: Any, band: int) -> Any:
        passes.append(band)
        return original(self, wanted, scale, mask, band)

    monkeypatch.setattr(SymbolCoder, "residual", counted)
    whole = frames_of(folder / "in.lvc")[::3]
    errors = []
    for layers, bands in ((1, [0, 0]), (2, [0, 0, 1, 1]), (3, [0, 0, 1, 1, 2, 2])):
        passes.clear()
        result = run(folder, "decode", folder / "in.lvc", folder / f"{layers}.mkv", "--lossless", "--layers", layers)
        assert result.exit_code == 0, result.output
        assert passes == 4 * bands
        with VideoReader(folder / f"{layers}.mkv") as reader:
            found = list(reader)
        assert len(found) == 4
        pairs = zip(found, whole, strict=True)
        errors.append(sum(np.abs(a.planes[0].astype(int) - b.planes[0]).sum() for a, b in pairs))
    assert errors[0] > errors[1] > errors[2] == 0
    several = ["--workers", 2, "--threads", 1, "--preview"]
    run(folder, "decode", folder / "in.lvc", folder / "out.mkv", "--lossless", "--layers", 1, *several)
    with VideoReader(folder / "out.mkv") as reader, VideoReader(folder / "1.mkv") as first:
        assert same(list(reader), list(first))


@pytest.mark.parametrize(("fps", "told"), [("50", True), ("25", False), (None, False)])
def test_another_pace_warns_where_there_is_sound(folder: Path, fps: str | None, told: bool) -> None:
    options = [] if fps is None else ["--fps", fps]
    result = run(folder, "encode", folder / "in.mkv", folder / "pace.lvc", "--preset", "fast", "--frames", 2, *options)
    assert result.exit_code == 0, result.output
    assert ("audio and subtitles keep their times" in result.stderr) is told
    make_clip(folder / "mute.mkv", "pan", width=64, height=48, frames=2)
    result = run(folder, "encode", folder / "mute.mkv", folder / "pace.lvc", "--preset", "fast", *options)
    assert "keep their times" not in result.stderr


def test_layers_are_for_previews(folder: Path) -> None:
    with (folder / "in.lvc").open("rb") as stream, pytest.raises(ValueError, match="only in previews"):
        Decoder(stream, layers=2)
    assert run(folder, "decode", folder / "in.lvc", folder / "out.mkv", "--layers", 4).exit_code == 2


def test_a_part_behind_the_end(folder: Path) -> None:
    result = run(folder, "decode", folder / "in.lvc", folder / "none.mkv", "--start", "1:00:00")
    assert result.exit_code == 3
    told = "there is no frame {} seconds after its first one\n"
    assert result.stderr == f"lvc: error: {folder / 'in.lvc'}: {told.format(3600)}"
    assert not (folder / "none.mkv").exists()
    result = run(folder, "encode", folder / "in.mkv", folder / "none.lvc", "--start", "10")
    assert result.exit_code == 3
    assert result.stderr.endswith(f"lvc: error: {folder / 'in.mkv'}: {told.format(10)}")


# Encoding


def test_a_part_is_encoded(folder: Path) -> None:
    result = run(folder, "encode", folder / "in.mkv", folder / "part.lvc", "--start", "0.2", "--frames", 4)
    assert result.exit_code == 0, result.output
    with lvc.open(folder / "part.lvc", model=folder / "tiny.lvcm") as video:
        assert [frame.pts * video.info.time_base for frame in video] == [Fraction(n, 25) for n in range(4)]
    result = run(folder, "decode", folder / "part.lvc", folder / "part.mkv")
    assert result.exit_code == 0, result.output
    source, (sound, texts) = side_tracks(folder / "in.mkv")[0], side_tracks(folder / "part.mkv")
    begin, end = Fraction(12, 10), Fraction(136, 100)
    assert sound.payloads == [p for t, p in zip(source.times, source.payloads, strict=True) if begin <= t < end]
    assert texts.payloads == [b"late"]


def test_chapters_of_a_part(folder: Path) -> None:
    with VideoReader(folder / "in.mkv") as reader:
        source = EditedSource(reader, Edit(Span(Fraction("0.12"), 6)))
        head = source.take_side()
        assert head is not None
        chapters = unpack_head(head).chapters
    times = [round(1000 * time * c.time_base) for c in chapters for time in (c.start, c.end)]
    assert times == [0, 80, 80, 240]


class _Clip:
    def __init__(self, size: tuple[int, int] = (64, 48), frames: int = 5) -> None:
        self.info = replace(clip_info(*size, frames), rotation=90)
        self.frames = list(clip_frames("pan", *size, frames))

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def take_side(self) -> bytes | None:
        return None


class _LongClip(_Clip):
    """Frames with a segment of one packet, which begins with it, before each."""

    PAYLOAD = 20_000

    def __init__(self, frames: int) -> None:
        super().__init__((16, 16), frames)
        self.info = replace(self.info, time_base=Fraction(1, 25))
        self.segments = [pack_head(Head(streams=[StreamHead({}, 0, Fraction(1, 25))]))]

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.frames:
            self.segments.append(pack_packets([SidePacket(0, bytes(self.PAYLOAD), frame.pts, None)]))
            yield frame

    def take_side(self) -> bytes | None:
        return self.segments.pop(0) if self.segments else None


def test_packets_before_a_part_are_not_kept() -> None:
    clip = _LongClip(200)
    tracemalloc.start()
    source = EditedSource(clip, Edit(Span(Fraction(190, 25))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * clip.PAYLOAD
    assert (head := source.take_side()) is not None
    assert len(unpack_head(head).streams) == 1
    frames = list(source)
    segments = list(iter(source.take_side, None))
    times = [packet.pts for segment in segments for packet in unpack_packets(segment)]
    assert times == [frame.pts for frame in frames] == list(range(10))


@pytest.mark.parametrize(("options", "place"), [(["--start", "0.28"], 0), (["--start", "0.12", "--frames", 2], 3)])
def test_sound_far_from_its_pictures(folder: Path, options: list[object], place: int) -> None:
    """Several groups before them, or behind."""
    (folder / "far.lvc").write_bytes(with_side_behind((folder / "in.lvc").read_bytes(), place))
    found = []
    for name in ("in", "far"):
        result = run(folder, "decode", folder / f"{name}.lvc", folder / "out.mkv", *options)
        assert result.exit_code == 0, result.output
        found.append([(track.payloads, track.times) for track in side_tracks(folder / "out.mkv")])
    assert found[0][0][0]
    assert found[0] == found[1]


@pytest.mark.parametrize("piped", [False, True])
def test_what_is_missing_behind_a_part_does_not_matter(folder: Path, tmp_path: Path, piped: bool) -> None:
    """Nor does a file that is still being written; sound may be looked for there in vain."""
    data = (folder / "in.lvc").read_bytes()
    for name, cut_off in (("whole", len(data)), ("cut", len(data) - 60)):
        source = io.BytesIO(data[:cut_off])
        if piped:
            source.seekable = lambda: False  # type: ignore[method-assign]
        out = tmp_path / f"{name}.mkv"
        assert lvc.decode(source, out, span=Span(frames=2), model=folder / "tiny.lvcm", device="cpu").frames == 2
    (tmp_path / "cut.lvc").write_bytes(data[:-60])
    assert api.cut(tmp_path / "cut.lvc", tmp_path / "part.lvc", end=Fraction(1, 10)).frames == 3
    with pytest.raises(TruncatedError):
        lvc.decode(tmp_path / "cut.lvc", tmp_path / "all.mkv", model=folder / "tiny.lvcm", device="cpu")


@pytest.mark.parametrize("size", [(64, 48), (67, 49)])
def test_crop(size: tuple[int, int]) -> None:
    clip = _Clip(size)
    edited = EditedSource(clip, Edit(crop=Crop(33, 17, 4, 2)))
    assert (edited.info.width, edited.info.height, edited.info.rotation) == (33, 17, 90)
    for before, after in zip(clip.frames, edited, strict=True):
        assert np.array_equal(after.planes[0], before.planes[0][2:19, 4:37])
        assert np.array_equal(after.planes[1], before.planes[1][1:10, 2:19])
        assert after.planes[2].shape == (9, 17)
    centred = next(iter(EditedSource(clip, Edit(crop=Crop(32, 16)))))
    top, left = (size[1] - 16) // 4 * 2, (size[0] - 32) // 4 * 2
    assert np.array_equal(centred.planes[0], clip.frames[0].planes[0][top : top + 16, left : left + 32])


def test_crop_outside_of_the_picture() -> None:
    for crop in (Crop(66, 16), Crop(32, 32, 34, 0), Crop(32, 32, 0, 18)):
        with pytest.raises(InputError, match="does not lie within 64x48"):
            EditedSource(_Clip(), Edit(crop=crop))
    with pytest.raises(InputError, match="too small"):
        EditedSource(_Clip(), Edit(crop=Crop(15, 16)))


def test_scale_keeps_the_shape_that_is_shown() -> None:
    clip = _Clip()
    edited = EditedSource(clip, Edit(scale=(32, 48)))
    assert (edited.info.width, edited.info.height, edited.info.sample_aspect) == (32, 48, 2)
    frames = list(edited)
    assert [frame.pts for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0].planes[0].shape == (48, 32)
    halves = clip.frames[0].planes[0].reshape(48, 32, 2).mean(2)
    assert np.abs(frames[0].planes[0] - halves).mean() < 4
    clip.info = replace(clip.info, sample_aspect=Fraction(0))
    assert EditedSource(clip, Edit(scale=(32, 24))).info.sample_aspect == 0


def test_ratios_that_no_file_can_hold_become_the_nearest_ones(folder: Path) -> None:
    """Also where it is the decimal point that makes the terms long."""
    clip = _Clip()
    clip.info = replace(clip.info, sample_aspect=Fraction(2_000_000_011, 1_999_999_973))
    aspect = EditedSource(clip, Edit(scale=(34, 46))).info.sample_aspect
    assert max(aspect.as_integer_ratio()) <= limits.MAX_RATIO_TERM
    assert float(aspect) == pytest.approx(64 * 46 / (48 * 34), rel=1e-7)
    clip.info = replace(clip.info, sample_aspect=Fraction(2_000_000_011))
    with pytest.raises(LimitError, match="a sample aspect ratio of 4e"):
        EditedSource(clip, Edit(scale=(32, 48)))
    result = run(folder, "encode", folder / "in.mkv", folder / "pace.lvc", "--preset", "fast", "--fps", "2997.123457")
    assert result.exit_code == 0, result.output
    with lvc.open(folder / "pace.lvc", model=folder / "tiny.lvcm") as video:
        assert float(video.info.frame_rate) == pytest.approx(2997.123457, rel=1e-9)


def test_fps_sets_the_pace_and_drops_nothing() -> None:
    edited = EditedSource(_Clip(), Edit(Span(Fraction("0.08")), fps=Fraction(30000, 1001)))
    assert (edited.info.time_base, edited.info.frame_rate) == (Fraction(1001, 30000), Fraction(30000, 1001))
    assert [(frame.pts, frame.duration) for frame in edited] == [(0, 1), (1, 1), (2, 1)]


def test_all_options_together(tmp_path: Path, folder: Path) -> None:
    make_clip(tmp_path / "in.y4m", width=96, height=80, frames=5)
    options = ["--crop", "64:64:2:4", "--scale", "48x32", "--fps", "10", "--start", "0.04", "--frames", 3]
    result = run(folder, "encode", tmp_path / "in.y4m", tmp_path / "out.lvc", *options)
    assert result.exit_code == 0, result.output
    (tmp_path / "tiny.lvcm").write_bytes(tiny_bytes())
    with lvc.open(tmp_path / "out.lvc", model=tmp_path / "tiny.lvcm") as video:
        assert (video.info.width, video.info.height, video.info.frame_rate) == (48, 32, 10)
        assert len(list(video)) == 3
