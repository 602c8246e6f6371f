"""Whole runs, from what was asked for to what is reported: names, notes, and what is left out."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import pytest

from lvc.bench.cache import Cache
from lvc.bench.clips import Clip, with_distinct_names
from lvc.bench.codecs import parse_codec
from lvc.bench.measure import Conditions, MeasureError, measure
from lvc.bench.ours import OurStream
from lvc.bench.session import Outcome, Request, run_session
from lvc.container import GopChunk, Reader
from lvc.media import VideoWriter, peers
from lvc.video import Plane
from tests.clips import clip_frames, clip_info

FRAMES = 3


def write_clip(path: Path, kind: str = "pan", frames: int = FRAMES, bit_depth: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, clip_info(64, 48, frames, bit_depth=bit_depth), format="y4m") as writer:
        for frame in clip_frames(kind, 64, 48, frames, bit_depth=bit_depth):
            writer.write(frame)
    return path


def run(
    clips: Sequence[Path], codecs: Sequence[str], folder: Path, cache: Path | None = None, jobs: int = 1
) -> Outcome:
    request = Request(
        clips, codecs, Conditions(frames=FRAMES), folder, Cache(cache), crops=False, jobs=jobs, quiet=True
    )
    return run_session(request)


def names(outcome: Outcome) -> list[tuple[str, str, float]]:
    return [(row["clip"], row["codec"], row["point"]) for row in outcome.summary.rows]


@pytest.fixture
def models() -> None:
    if not list(Path(__file__).parent.parent.glob("models/*.lvcm")):
        pytest.skip("there is no model here")


def test_a_model_that_is_not_there_is_left_out_alone(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "pan.y4m")
    outcome = run([clip], ["lvc:model=nowhere", "x264:crf=40"], tmp_path / "report")
    assert names(outcome) == [("pan", "x264 medium", 40)]
    assert outcome.failures == ["lvc medium nowhere: model nowhere: No such file or directory. Skipped."]


def test_a_codec_that_this_build_lacks_is_left_out_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "is_available", lambda codec: codec != "x265")
    outcome = run([write_clip(tmp_path / "pan.y4m")], ["x265", "x264:crf=40"], tmp_path / "report")
    assert names(outcome) == [("pan", "x264 medium", 40)]
    assert outcome.failures == ["x265: this PyAV build has no encoder and decoder for it; skipped"]


def test_each_clip_has_its_name_whatever_was_measured_before(tmp_path: Path) -> None:
    """Clips of equal content are measured once, and reported under each name."""
    first = write_clip(tmp_path / "p.y4m")
    cache = tmp_path / "cache"
    run([first], ["x264:crf=40"], tmp_path / "before", cache)
    second = tmp_path / "q.y4m"
    second.write_bytes(first.read_bytes())
    outcome = run([first, second], ["x264:crf=40"], tmp_path / "report", cache)
    assert names(outcome) == [("p", "x264 medium", 40), ("q", "x264 medium", 40)]
    first.unlink()
    for folder in ("before", "report"):
        outcome = run([second], ["x264:crf=40"], tmp_path / folder)
        assert names(outcome) == [("q", "x264 medium", 40)]
        stored = [json.loads(line) for line in (tmp_path / folder / "results.jsonl").read_text().splitlines()]
        assert [row["clip"] for row in stored] == ["p", "q"]
        assert len({row["date"] for row in stored}) == 1


def test_clips_of_equal_names_are_told_apart(tmp_path: Path) -> None:
    paths = ["a/x.mkv", "a/x.mp4", "b/x.mkv", "b/y.mkv", "b/z.mkv", "b/z.mp4", "c/d/w.mkv", "e/d/w.mkv"]
    clips = with_distinct_names([Clip(tmp_path / path) for path in paths])
    assert [clip.path for clip in clips] == [tmp_path / path for path in paths]
    assert [clip.name for clip in clips] == [*("a/x", "x.mp4", "b/x", "y", "z.mkv", "z.mp4", "c/d/w", "e/d/w")]
    outcome = run(
        [write_clip(tmp_path / "a/x.y4m"), write_clip(tmp_path / "b/x.y4m", "zoom")],
        ["x264:crf=40"],
        tmp_path / "report",
    )
    assert outcome.summary.clips == ["a/x", "b/x"]
    assert [len(outcome.summary.curve(clip, "x264 medium")) for clip in outcome.summary.clips] == [1, 1]


@pytest.mark.parametrize(
    ("layout", "samples", "says"),
    [
        ("444", 64 * 48 * 3, "converted from yuv444p to yuv420p"),
        ("420p12", 64 * 48 * 3, "converted from yuv420p12le to yuv420p10le"),
    ],
)
def test_conversions_are_named(tmp_path: Path, layout: str, samples: int, says: str) -> None:
    picture = b"FRAME\n" + bytes(samples)
    (tmp_path / "other.y4m").write_bytes(f"YUV4MPEG2 W64 H48 F25:1 C{layout}\n".encode() + picture * 2)
    outcome = run([tmp_path / "other.y4m", write_clip(tmp_path / "pan.y4m")], ["x264:crf=40"], tmp_path / "report")
    assert [note for note in outcome.notes if "matplotlib" not in note] == [f"other: the video was {says}"]
    assert says in outcome.report.read_text("utf-8")


def test_failures_of_points_side_by_side(tmp_path: Path) -> None:
    deep = write_clip(tmp_path / "deep.y4m", bit_depth=10)  # vp9 takes 8 bits only
    outcome = run(
        [deep, write_clip(tmp_path / "pan.y4m")], ["vp9:preset=8:crf=40", "x264:crf=40"], tmp_path / "report", jobs=3
    )
    assert names(outcome) == [("deep", "x264 medium", 40), ("pan", "vp9 8", 40), ("pan", "x264 medium", 40)]
    assert [failure.partition(": vp9:preset=8:crf=40: ")[0] for failure in outcome.failures] == ["deep"]
    assert not list((tmp_path / "report").glob("*.part"))


@pytest.mark.usefixtures("models")
def test_a_clip_of_one_frame(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "one.y4m", frames=1)
    codecs = [
        "lvc:preset=fast:quality=50",
        "x264:crf=30",
        "x265:crf=30",
        "svtav1:preset=12:crf=40",
        "vp9:preset=8:crf=40",
    ]
    request = Request([clip], codecs, Conditions(), tmp_path / "report", Cache(None), quiet=True)
    outcome = run_session(request)
    assert outcome.failures == []
    assert [row["frames"] for row in outcome.summary.rows] == [1] * len(codecs)
    assert all(row["metrics"]["psnr"] > 20 and row["encode_fps"] > 0 for row in outcome.summary.rows)
    assert outcome.report.read_text("utf-8").count("data:image/png;base64") == 1 + len(codecs)


def one_less(pictures: Iterator[list[Plane]]) -> Iterator[list[Plane]]:
    return islice(pictures, FRAMES - 1)


def one_more(pictures: Iterator[list[Plane]]) -> Iterator[list[Plane]]:
    known = list(pictures)
    return chain(known, known[-1:])


@pytest.mark.parametrize(("change", "says"), [(one_less, "fewer"), (one_more, "more")])
def test_codecs_must_give_as_many_frames_as_they_got(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Iterator[list[Plane]]], Iterator[list[Plane]]],
    says: str,
) -> None:
    decode = peers.decode
    monkeypatch.setattr(peers, "decode", lambda stream: change(decode(stream)))
    clip = Clip(write_clip(tmp_path / "pan.y4m"))
    with pytest.raises(MeasureError, match=f"x264 medium decodes to {says} frames than went in"):
        measure(clip, parse_codec("x264"), 40, Conditions())


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(("interval", "alone", "with_cuts"), [(1024, 1, 3), (10, 2, 3)])
def test_intra_pictures_of_lvc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: int, alone: int, with_cuts: int
) -> None:
    """One, unless the clip is longer than the key interval; and those at cuts, where these are allowed."""
    monkeypatch.setattr("lvc.bench.ours.KEY_INTERVAL", interval)
    clip = Clip(write_clip(tmp_path / "cuts.y4m", "cuts", 20))  # at 8 and 16
    spec = parse_codec("lvc:preset=fast")
    groups = []
    for one_intra in (True, False):
        stream = OurStream.encode(clip, spec, 30, threads=1, one_intra=one_intra)
        groups.append(sum(isinstance(item, GopChunk) for item in Reader(io.BytesIO(stream.data))))
    assert groups == [alone, with_cuts]


def test_conditions_say_how_many_intra_pictures_there_are() -> None:
    long = "one intra picture in every 1,024 frames of lvc and 9,999 of its peers"
    for frames, says in ((96, "one intra picture"), (1024, "one intra picture"), (1025, long), (None, long)):
        assert f", {says}, 4:2:0" in Conditions("ctc", frames, one_intra=True).describe()
        assert f", {says} and those the encoder puts at scene cuts, 4:2:0" in Conditions(frames=frames).describe()
