"""Audio, subtitles, tags, chapters and attachments: copied untouched."""

import io
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lvc.errors import FormatError
from lvc.media import VideoReader, VideoWriter
from lvc.media.head import unpack_head
from lvc.media.muxer import Muxer
from lvc.media.segment import unpack_packets
from tests.clips import make_clip
from tests.media_files import Sound, Text, Track, side_tracks, write_media

LINES = [(100, 400, "Hello"), (500, 900, "<i>World</i> of Gr\u00fc\u00dfe")]


def copy(
    source: Path, destination: Path, every: int = 10, codec: str | None = None
) -> tuple[list[bytes], list[str], list[str]]:
    """Source to destination as encoder and decoder do it: segments in order, the first before the first frame."""
    segments: list[bytes] = []
    with VideoReader(source) as reader, VideoWriter(destination, reader.info, codec=codec) as writer:

        def hand_over() -> None:
            while (segment := reader.take_side()) is not None:
                segments.append(segment)
                writer.write_side(segment)

        hand_over()
        for number, frame in enumerate(reader, 1):
            writer.write(frame)
            if number % every == 0:
                hand_over()
        hand_over()
    return segments, reader.warnings, writer.warnings


def cover() -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuvj420p"
        picture = av.VideoFrame(32, 32, "yuvj420p")
        for plane in picture.planes:
            plane.update(bytes([90]) * plane.buffer_size)
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return target.getvalue()


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rich") / "rich.mkv"
    write_media(
        path,
        sounds=[
            Sound("aac", {"language": "eng", "title": "English"}, disposition=1),
            Sound("libopus", {"language": "deu", "title": "Deutsch"}),
        ],
        texts=[Text("subrip", LINES, {"language": "fra"})],
        tags={"title": "A title", "artist": "Somebody"},
        video_tags={"language": "jpn", "title": "Picture"},
        chapters=[(0, 400, "one"), (400, 1000, "two")],
        attachments=[("cover.jpg", "image/jpeg", cover()), ("a.ttf", "application/x-truetype-font", b"font" * 100)],
    )
    return path


def offsets(track: Track) -> list[float]:
    return [float(time) for time in track.times]


def test_everything_survives_in_matroska(rich: Path, tmp_path: Path) -> None:
    _, lost, dropped = copy(rich, tmp_path / "b.mkv")
    assert not lost
    assert not dropped
    before, after = side_tracks(rich), side_tracks(tmp_path / "b.mkv")
    assert [t.codec for t in before] == ["aac", "opus", "srt"]
    assert [t.codec for t in after] == ["aac", "opus", "srt"]
    for old, new in zip(before, after, strict=True):
        assert old.digest == new.digest
        assert old.times == new.times
        assert (old.tags["language"], old.tags.get("title")) == (new.tags["language"], new.tags.get("title"))
        assert old.disposition == new.disposition
    with av.open(str(rich)) as a, av.open(str(tmp_path / "b.mkv")) as b:
        assert a.metadata == b.metadata
        assert a.chapters() == b.chapters()
        assert [s.type for s in a.streams] == [s.type for s in b.streams]
        video = b.streams.video[0]
        assert (video.metadata["language"], video.metadata["title"]) == ("jpn", "Picture")
        fonts = [s for s in b.streams if s.type == "attachment"]
        assert [(s.name, s.mimetype, s.data) for s in fonts] == [  # type: ignore[attr-defined]
            ("a.ttf", "application/x-truetype-font", b"font" * 100)
        ]
        packet = next(b.demux(b.streams.video[1]))
        assert bytes(packet) == cover()


def test_mp4_and_back(rich: Path, tmp_path: Path) -> None:
    _, _, dropped = copy(rich, tmp_path / "b.mp4")
    assert dropped == ["mp4 cannot hold the attachment a.ttf; it was left out"]
    _, lost, dropped = copy(tmp_path / "b.mp4", tmp_path / "c.mkv")
    assert [w for w in lost if "plain text" in w]
    assert dropped == ["matroska begins at time 0: everything was moved by 0.021 seconds"]
    before = side_tracks(rich)
    for name in ("b.mp4", "c.mkv"):
        after = side_tracks(tmp_path / name)
        assert [t.tags["language"] for t in after] == ["eng", "deu", "fra"]
        assert [t.digest for t in after[:2]] == [t.digest for t in before[:2]]
        delay = after[0].times[0] - before[0].times[0]
        for a, b in zip(before[:2], after[:2], strict=True):
            assert offsets(b) == pytest.approx([t + float(delay) for t in offsets(a)], abs=0.0011)
        with av.open(str(tmp_path / name)) as container:
            assert container.metadata["title"] == "A title"
            assert [c["metadata"]["title"] for c in container.chapters()] == ["one", "two"]
            assert sum(bool(s.disposition & av.stream.Disposition.attached_pic) for s in container.streams.video) == 1
    texts = [p for p in side_tracks(tmp_path / "c.mkv")[2].payloads if p.strip()]
    assert texts == [b"Hello", "World of Gr\u00fc\u00dfe".encode()]


def test_mp4_tracks_keep_their_titles(rich: Path, tmp_path: Path) -> None:
    copy(rich, tmp_path / "b.mp4")
    copy(tmp_path / "b.mp4", tmp_path / "c.mp4")
    assert [t.tags.get("name") for t in side_tracks(tmp_path / "c.mp4")[:2]] == ["English", "Deutsch"]


@pytest.mark.parametrize("codec", ["aac", "ac3", "mp2", "flac", "pcm_s16le", "libopus", "libmp3lame"])
@pytest.mark.parametrize("name", ["b.mkv", "b.mov", "b.mp4"])
def test_audio_codecs(tmp_path: Path, codec: str, name: str) -> None:
    write_media(tmp_path / "a.mkv", sounds=[Sound(codec)])
    _, lost, dropped = copy(tmp_path / "a.mkv", tmp_path / name)
    assert not lost
    before, after = side_tracks(tmp_path / "a.mkv"), side_tracks(tmp_path / name)
    if dropped:
        assert "cannot hold the audio" in dropped[0]
        assert name == "b.mov"
        assert codec in ("flac", "libopus")
        return
    assert b"".join(before[0].payloads) == b"".join(after[0].payloads)


def test_transport_stream_audio(tmp_path: Path) -> None:
    write_media(tmp_path / "a.ts", sounds=[Sound("aac", {"language": "eng"})])
    for name in ("b.mp4", "b.mkv"):
        _, lost, dropped = copy(tmp_path / "a.ts", tmp_path / name)
        assert not lost
        assert not dropped
        before, after = side_tracks(tmp_path / "a.ts"), side_tracks(tmp_path / name)
        assert [p[7:] for p in before[0].payloads] == after[0].payloads  # the ADTS header is not for these files
        assert after[0].tags["language"] == "eng"
        with av.open(str(tmp_path / name)) as container:
            assert [s.type for s in container.streams] == ["video", "audio"]
            assert container.streams[1].codec_context.extradata == b"\x11\x90"  # low complexity, 48 kHz, two channels
            assert len(list(container.decode(audio=0))) == len(after[0].payloads)


def test_damaged_transport_stream_audio(tmp_path: Path) -> None:
    write_media(tmp_path / "a.ts", sounds=[Sound("aac")])
    data = (tmp_path / "a.ts").read_bytes()
    payloads = side_tracks(tmp_path / "a.ts")[0].payloads
    place = data.index(payloads[20][:20])
    (tmp_path / "c.ts").write_bytes(data[: place + 2] + b"\x7c" + data[place + 3 :])  # a rate that there is not
    _, lost, dropped = copy(tmp_path / "c.ts", tmp_path / "b.mkv")
    assert lost == ["packets of stream 1 are damaged and were left out"]
    assert not dropped
    before, after = [payload[7:] for payload in payloads], side_tracks(tmp_path / "b.mkv")[0].payloads
    assert (after[:20], after[-10:]) == (before[:20], before[-10:])


def test_times_are_exact_in_the_segments(tmp_path: Path) -> None:
    write_media(
        tmp_path / "a.mov", sounds=[Sound("pcm_s16le", start=-0.25)], times=range(25), time_base=Fraction(1, 25)
    )
    with av.open(str(tmp_path / "a.mov")) as container:
        expected = [(p.pts, p.duration) for p in container.demux(audio=0) if p.size]
    with VideoReader(tmp_path / "a.mov") as reader:
        head = unpack_head(reader.take_side() or b"")
        for _ in reader:
            pass
        packets = []
        while (segment := reader.take_side()) is not None:
            packets += list(unpack_packets(segment))
    assert head.streams[0].time_base == Fraction(1, 48000)
    assert [(p.pts, p.duration) for p in packets] == expected


@pytest.mark.parametrize("name", ["b.mkv", "b.mp4"])
@pytest.mark.parametrize("start", [-0.3, 0.5])
def test_audio_that_begins_elsewhere(tmp_path: Path, name: str, start: float) -> None:
    write_media(tmp_path / "a.mkv", sounds=[Sound("ac3", start=start)], times=range(0, 1000, 40))
    copy(tmp_path / "a.mkv", tmp_path / name)

    def distance(path: Path) -> float:
        with VideoReader(path) as reader:
            return float(side_tracks(path)[0].times[0] - next(iter(reader)).pts * reader.info.time_base)

    assert distance(tmp_path / name) == pytest.approx(distance(tmp_path / "a.mkv"), abs=0.0011)


@pytest.mark.parametrize("name", ["b.mp4", "b.mov"])
def test_audio_begins_between_pictures(tmp_path: Path, name: str) -> None:
    """Where times of pictures are counted in whole pictures."""
    sound = Sound("aac", start=0.31)
    write_media(
        tmp_path / "a.mov",
        times=range(12),
        time_base=Fraction(1, 5),
        rate=Fraction(5),
        sounds=[sound],
        muxer={"video_track_timescale": "5"},
    )
    copy(tmp_path / "a.mov", tmp_path / name)
    with VideoReader(tmp_path / "a.mov") as reader:
        assert reader.info.time_base == Fraction(1, 5)
    assert side_tracks(tmp_path / name)[0].times[0] == pytest.approx(
        side_tracks(tmp_path / "a.mov")[0].times[0], abs=1e-3
    )


def test_negative_start_moves_audio_too(tmp_path: Path) -> None:
    unmoved = {"avoid_negative_ts": "disabled"}
    sound = Sound("ac3", start=-0.4)
    times = range(-400, 600, 40)
    write_media(tmp_path / "a.ts", times=times, sounds=[sound], options={"bf": "0"}, muxer=unmoved)
    copy(tmp_path / "a.ts", tmp_path / "b.mp4")
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert [f.pts * reader.info.time_base for f in reader] == [Fraction(t + 400, 1000) for t in times]
    before, after = side_tracks(tmp_path / "a.ts")[0], side_tracks(tmp_path / "b.mp4")[0]
    assert offsets(after) == pytest.approx([t + 0.4 for t in offsets(before)], abs=0.0001)


def test_audio_before_time_0_moves_the_video_in_matroska(tmp_path: Path) -> None:
    """As in files of phones, whose encoders of AAC begin with a packet that is not to be heard."""
    chapters = [(0, 400, "one"), (400, 1000, "two")]
    write_media(tmp_path / "a.mp4", sounds=[Sound("aac")], chapters=chapters)
    assert side_tracks(tmp_path / "a.mp4")[0].times[0] == Fraction(-1024, 48000)
    for name, moved in (("b.mkv", 0.021), ("b.mp4", 0)):
        _, _, told = copy(tmp_path / "a.mp4", tmp_path / name)
        assert told == (["matroska begins at time 0: everything was moved by 0.0213333 seconds"] if moved else [])
        (before,), (after,) = side_tracks(tmp_path / "a.mp4"), side_tracks(tmp_path / name)
        assert offsets(after) == pytest.approx([time + moved for time in offsets(before)], abs=0.0011)
        with VideoReader(tmp_path / name) as reader:
            times = [float(frame.pts * reader.info.time_base) for frame in reader]
        assert times == pytest.approx([0.04 * n + moved for n in range(25)], abs=0.0011)
        with av.open(str(tmp_path / name)) as container:
            begins = [float(chapter["start"] * chapter["time_base"]) for chapter in container.chapters()]
        assert begins == pytest.approx([moved, 0.4 + moved], abs=0.0011)


def test_audio_longer_than_video(tmp_path: Path) -> None:
    write_media(tmp_path / "a.mkv", sounds=[Sound("ac3", seconds=5)], times=range(0, 400, 40))
    copy(tmp_path / "a.mkv", tmp_path / "b.mkv")
    assert side_tracks(tmp_path / "b.mkv")[0].digest == side_tracks(tmp_path / "a.mkv")[0].digest
    with VideoReader(tmp_path / "a.mkv") as reader:
        assert reader.info.frames == 10


def test_nothing_beside_the_video(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", "pan", width=64, height=48, frames=3)
    segments, lost, dropped = copy(tmp_path / "a.mkv", tmp_path / "b.mp4")
    assert (segments, lost, dropped) == ([], [], [])
    make_clip(tmp_path / "a.mp4", "pan", width=64, height=48, frames=3)
    assert copy(tmp_path / "a.mp4", tmp_path / "b.mp4") == ([], [], [])


def light_of(path: Path) -> dict[str, bytes]:
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
        data = [(d.type.name, bytes(d)) for d in picture.side_data]  # type: ignore[attr-defined]
        return {name: value for name, value in data if name != "SEI_UNREGISTERED"}


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_high_dynamic_range(tmp_path: Path, codec: str) -> None:
    mastering = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    options = {"x264-params": f"mastering-display={mastering}:cll=1000,400"}
    colour = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1}
    write_media(tmp_path / "a.mkv", times=(0, 40), pix_fmt="yuv420p10le", options=options, context=colour)
    expected = light_of(tmp_path / "a.mkv")
    assert set(expected) == {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"}
    _, _, dropped = copy(tmp_path / "a.mkv", tmp_path / "b.mp4", codec=codec)
    assert not dropped
    assert light_of(tmp_path / "b.mp4") == expected
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert reader.info.bit_depth == 10
        assert (reader.info.colour.primaries, reader.info.colour.transfer, reader.info.colour.matrix) == (9, 16, 9)


@pytest.mark.parametrize("pictures", [1, 2, 3])
def test_x265_and_short_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: int) -> None:
    """Decoding times of one or two pictures come from memory that it never wrote: anything, and not every time."""

    class Garbled:
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def encode(self, picture: av.VideoFrame | None) -> list[av.Packet]:
            packets = list(self._stream.encode(picture))
            if pictures <= 2:
                for packet in packets:
                    packet.dts = packet.pts - 309237645384
            return packets

    write_media(tmp_path / "a.mkv", times=range(0, 40 * pictures, 40))
    with (
        VideoReader(tmp_path / "a.mkv") as reader,
        VideoWriter(tmp_path / "b.mp4", reader.info, codec="libx265") as writer,
    ):
        assert isinstance(writer._output, Muxer)
        monkeypatch.setattr(writer._output, "_stream", Garbled(writer._output._stream))
        for frame in reader:
            writer.write(frame)
    with av.open(str(tmp_path / "b.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        times = [float(packet.pts * packet.time_base) for packet in packets]
        assert sorted(times) == pytest.approx([0.04 * k for k in range(pictures)])
        assert all(packet.dts <= packet.pts for packet in packets)


def test_tags_alone(tmp_path: Path) -> None:
    write_media(tmp_path / "a.mp4", times=(0, 40), tags={"title": "Only tags"})
    segments, _, _ = copy(tmp_path / "a.mp4", tmp_path / "b.mkv")
    assert len(segments) == 1
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert container.metadata["title"] == "Only tags"


def test_side_streams_can_be_left(rich: Path) -> None:
    with VideoReader(rich, side=False) as reader:
        assert len(list(reader)) == 25
        assert reader.take_side() is None


def test_y4m_says_what_it_leaves(rich: Path, tmp_path: Path) -> None:
    _, _, dropped = copy(rich, tmp_path / "b.y4m")
    assert dropped == ["y4m holds no audio and no other side streams; they were left out"]


def test_damaged_segments_are_refused(rich: Path) -> None:
    with VideoReader(rich) as reader:
        head = reader.take_side() or b""
        for _ in reader:
            pass
        packets = reader.take_side() or b""
    assert (head[:1], packets[:1]) == (b"H", b"P")
    rng = np.random.default_rng(0)
    for segment, unpack in ((head, unpack_head), (packets, lambda s: list(unpack_packets(s)))):
        for _ in range(300):
            damaged = bytearray(segment)
            for place in rng.integers(1, min(len(damaged), 2000), 3):
                damaged[place] = rng.integers(0, 256)
            cut = bytes(damaged[: rng.integers(1, len(damaged))])
            for data in (bytes(damaged), cut):
                with suppress(FormatError):  # nothing else
                    unpack(data)
