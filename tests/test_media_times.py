"""Times of sources that start anew, and of those that tell only when pictures are decoded."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import pytest

from lvc.media import VideoReader, VideoWriter
from lvc.media.segment import unpack_packets
from lvc.media.timing import Clocks, DecodingTimes
from tests.media_files import Sound, side_tracks, write_media

RESTARTED = "times start anew within the source: what follows was moved to go on from there"
SEAM = 0.06
"""Seconds: nobody knows whether a picture is still held back, and a sound may end a packet later."""


def read(path: Path) -> tuple[list[float], list[bytes], VideoReader]:
    """Times of frames in seconds, and the segments of side streams."""
    with VideoReader(path) as reader:
        times = [float(frame.pts * reader.info.time_base) for frame in reader]
        segments = []
        while (segment := reader.take_side()) is not None:
            segments.append(segment)
    return times, segments, reader


def write(path: Path, reader: VideoReader, source: Path, segments: list[bytes]) -> None:
    with VideoReader(source) as again, VideoWriter(path, reader.info) as writer:
        for segment in segments:
            writer.write_side(segment)
        for frame in again:
            writer.write(frame)


def steps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


@pytest.mark.parametrize("seconds", [0.4, 2])
@pytest.mark.parametrize(("extension", "codec"), [("ts", "libx264"), ("ts", "mpeg2video"), ("mpg", "mpeg2video")])
def test_sources_put_together_stay_in_step(tmp_path: Path, seconds: float, extension: str, codec: str) -> None:
    pictures = round(seconds * 25)
    one, three = tmp_path / f"a.{extension}", tmp_path / f"b.{extension}"
    sound = Sound("mp2", seconds=seconds)
    write_media(one, codec=codec, times=range(pictures), time_base=Fraction(1, 25), sounds=[sound])
    three.write_bytes(one.read_bytes() * 3)
    shown, segments, reader = read(three)
    assert reader.warnings == [RESTARTED]
    assert len(shown) >= 3 * pictures - 2  # FFmpeg drops a packet at a seam
    assert min(steps(shown)) > 0.035  # a sound that ends early or late moves a seam
    assert shown[-1] - shown[0] == pytest.approx(3 * seconds - 0.04, abs=2 * SEAM)
    heard = [float(Fraction(p.pts or 0, 90000)) for part in segments[1:] for p in unpack_packets(part)]
    assert heard[-1] - heard[0] == pytest.approx(3 * seconds - 0.024, abs=2 * SEAM)
    for name in ("c.mp4", "c.mov", "c.mkv"):
        write(tmp_path / name, reader, three, segments)
        written = [float(time) for time in side_tracks(tmp_path / name)[0].times]
        assert written == pytest.approx(heard, abs=0.0011)


@pytest.mark.parametrize("name", ["b.mp4", "b.mov", "b.mkv"])
def test_packets_that_go_back_are_written(tmp_path: Path, name: str) -> None:
    """A tick of a transport stream is shorter than one of the file."""
    write_media(tmp_path / "a.ts", sounds=[Sound("mp2")])
    _, (head, *packets), reader = read(tmp_path / "a.ts")
    write(tmp_path / name, reader, tmp_path / "a.ts", [head, *packets, *packets])
    track = side_tracks(tmp_path / name)[0]
    assert len(track.payloads) == 2 * len(list(unpack_packets(packets[0])))
    assert track.times == sorted(set(track.times))


def move(clocks: Clocks, kind: str, dts: int | None, duration: int = 40, pts: int | None = None) -> int | None:
    """Where a packet goes, in milliseconds."""
    index = ("video", "audio", "subtitle").index(kind)
    packet = SimpleNamespace(
        stream=SimpleNamespace(index=index, type=kind),
        time_base=Fraction(1, 1000),
        dts=dts,
        pts=dts if pts is None else pts,
        duration=duration,
    )
    clocks.move(packet)
    assert dts is None or packet.dts - dts == packet.pts - (dts if pts is None else pts)
    return packet.pts if dts is None else packet.dts


def test_times_of_one_clock_are_left_alone() -> None:
    clocks = Clocks()
    for kind, dts, pts in [
        *[("video", 0, 80), ("video", 40, 240), ("video", 80, 160), ("audio", 5000, 5000), ("video", 60, 120)],
        *[("video", 4000, 4080), ("audio", 5040, 5040), ("subtitle", 9000, 9000), ("subtitle", 10, 10)],
        *[("video", 12000, 12080), ("video", None, 12120), ("video", None, None), ("video", 20000, 20080)],
        ("audio", 20000, 20000),  # after 15 seconds without a sound
    ]:
        assert move(clocks, kind, dts, pts=pts) == (pts if dts is None else dts)
    assert clocks.restarts == 0


def test_what_comes_late_goes_by_the_old_clock() -> None:
    """Demultiplexers hold a picture back until another begins."""
    clocks = Clocks()
    for time in range(0, 1000, 40):
        assert move(clocks, "audio", time) == time
        if time < 960:
            assert move(clocks, "video", time) == time
    given = [("audio", 0), ("audio", 40), ("video", 960), ("audio", 80), ("video", 0), ("subtitle", 10), ("video", 40)]
    assert [move(clocks, *each) for each in given] == [1000, 1040, 960, 1080, 1000, 1010, 1040]
    assert clocks.restarts == 1


def test_a_clock_that_jumps_ahead() -> None:
    clocks = Clocks()
    given = [("video", 0), ("audio", 0), ("video", 40), ("audio", 3_600_000), ("video", 3_600_000), ("video", 0)]
    assert [move(clocks, *each) for each in given] == [0, 0, 40, 120, 120, 160]
    assert clocks.restarts == 2


def test_times_out_of_range_are_left_alone() -> None:
    clocks = Clocks()
    far = 1 << 61
    given = [("video", far), ("video", 0), ("audio", far), ("audio", -2 * far), ("video", 40)]
    assert [move(clocks, *each) for each in given] == [time for _, time in given]


def test_times_do_not_depend_on_who_wants_the_sound(tmp_path: Path) -> None:
    write_media(tmp_path / "a.ts", sounds=[Sound("mp2", seconds=1.5)])
    (tmp_path / "b.ts").write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    with VideoReader(tmp_path / "b.ts", side=False) as reader:
        assert [float(frame.pts * reader.info.time_base) for frame in reader] == read(tmp_path / "b.ts")[0]


def test_several_programmes_have_several_clocks(tmp_path: Path) -> None:
    """What starts anew in one of them does not move the others."""
    frame = av.VideoFrame(64, 48, "yuv420p")
    frame.time_base = Fraction(1, 25)
    with av.open(tmp_path / "a.ts", "w") as container:
        streams = [container.add_stream("mpeg2video", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(50):
            frame.pts = number
            for stream in streams:
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    (tmp_path / "b.ts").write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    assert RESTARTED not in read(tmp_path / "b.ts")[2].warnings


def test_streams_meet_again_after_a_single_wrong_time() -> None:
    clocks = Clocks()
    for time in range(0, 6000, 40):
        move(clocks, "audio", time)
        move(clocks, "video", 400 if time == 1000 else time)
    assert clocks.restarts == 1
    audio, video = move(clocks, "audio", 6000), move(clocks, "video", 6000)
    assert audio == video


VARIABLE = (0, 1, 4, 5, 6, 7)


@pytest.mark.parametrize(
    ("codec", "options", "times"),
    [
        ("libx264", {"bf": "0"}, VARIABLE),
        ("libx264", {"bf": "2", "g": "12"}, range(30)),
        ("libx264", {"bf": "3", "x264-params": "b-pyramid=normal:open-gop=1:keyint=8"}, range(30)),
        ("mpeg4", {"bf": "0"}, VARIABLE),
        ("mjpeg", {}, VARIABLE),
        ("rawvideo", {}, VARIABLE),
    ],
)
def test_times_in_avi_are_exact(tmp_path: Path, codec: str, options: dict[str, str], times: Sequence[int]) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    ticks = Fraction(1, 25)
    write_media(tmp_path / "a.avi", codec=codec, options=options, times=times, time_base=ticks, pix_fmt=pix_fmt)
    shown, _, reader = read(tmp_path / "a.avi")
    assert shown == pytest.approx([time / 25 for time in times])
    assert not reader.warnings


def test_b_frames_of_mpeg_4_in_avi_have_the_times_of_ffmpeg(tmp_path: Path) -> None:
    write_media(tmp_path / "a.avi", codec="mpeg4", options={"bf": "2"}, times=range(10), time_base=Fraction(1, 25))
    with av.open(str(tmp_path / "a.avi")) as container:
        expected = [frame.pts for frame in container.decode(video=0)]
    with VideoReader(tmp_path / "a.avi") as reader:
        assert [frame.pts for frame in reader] == expected


def test_pictures_that_are_dropped_take_their_times_along(tmp_path: Path) -> None:
    write_media(tmp_path / "a.avi", options={"bf": "0", "g": "5"}, times=range(20), time_base=Fraction(1, 25))
    with av.open(str(tmp_path / "a.avi")) as source, av.open(str(tmp_path / "b.avi"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                empty = av.Packet(b"\0\0\0\1\x09\xf0")  # what H.264 says between two pictures
                empty.pts, empty.dts, empty.time_base = packet.pts, packet.dts, packet.time_base
                taken = packet if packet.dts >= 5 else empty
                taken.stream = stream
                target.mux(taken)
    shown, _, reader = read(tmp_path / "b.avi")
    assert reader.warnings == ["5 undecodable packets before the first picture were skipped"]
    assert shown == pytest.approx([time / 25 for time in range(5, 20)])


def test_the_first_time_goes_to_the_first_picture() -> None:
    times = DecodingTimes()
    for dts in range(6):  # decoded as I P B I P B, shown as I B P I B P
        times.push(dts)
    assert [times.place(dts, dts in (0, 3)) for dts in (0, 2, 1, 3, 5, 4)] == [0, 1, 2, 3, 4, 5]
    for dts in (6, 7, 8, 9, 11, 12):  # 7 is dropped, 12 leads the key picture 11
        times.push(dts)
    assert [times.place(dts, dts == 11) for dts in (6, 9, 8, 12, 11)] == [6, 7, 8, 9, 12]
    assert times.place(None, False) is None
    assert times.place(3, True) == 3
