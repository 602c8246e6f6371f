"""``lvc cat`` and ``lvc cut``: whole groups of pictures in another file, at other times."""

import io
import json
import re
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import lvc
from lvc.cli import main
from lvc.container import GopChunk, Header, Reader, SideChunk, limits
from lvc.edit import Edit, Span
from lvc.errors import FormatError, InputError, LimitError, TruncatedError
from lvc.media.head import Attachment, Chapter, Hdr, Head, StreamHead, pack_head, unpack_head
from lvc.media.segment import SidePacket, pack_packets, unpack_packets
from lvc.progress import Progress
from lvc.splice import Piece, splice
from tests.container_files import HEADER, INFO, group, with_side_behind, write
from tests.media_files import Sound, side_tracks, write_media
from tests.models import tiny_bytes

TICK = INFO.time_base


def piece(*pts: int, header: Header = HEADER, count: int = 3, **span: Any) -> Piece:
    """Groups of ``count`` frames that begin at these times."""
    return Piece("a.lvc", io.BytesIO(write(*(group(time, count) for time in pts), header=header)), **span)


def times(pieces: list[Piece]) -> list[list[int]]:
    sink = io.BytesIO()
    result = splice(pieces, sink)
    assert result.bytes == len(sink.getvalue())
    reader = Reader(io.BytesIO(sink.getvalue()))
    found = [[frame.pts for frame in item.gop.frames] for item in reader if isinstance(item, GopChunk)]
    assert (result.groups, result.frames) == (len(found), sum(map(len, found)))
    return found


def test_pieces_follow_each_other() -> None:
    assert times([piece(5, 8), piece(-7, -4), piece(100, count=1)]) == [
        [5, 6, 7],
        [8, 9, 10],
        [11, 12, 13],
        [14, 15, 16],
        [17],
    ]


@pytest.mark.parametrize(
    ("start", "end", "firsts"),
    [
        (0, None, [100, 103, 106]),
        (2, None, [100, 103, 106]),
        (3, None, [0, 3]),
        (8, None, [0]),
        (0, 3, [100]),
        (0, 4, [100, 103]),
        (4, 6, [0]),
        (4, 60, [0, 3]),
    ],
)
def test_cuts_are_whole_groups(start: int, end: int | None, firsts: list[int]) -> None:
    cut = piece(100, 103, 106, start=start * TICK, end=None if end is None else end * TICK)
    assert times([cut]) == [[first, first + 1, first + 2] for first in firsts]


def test_time_bases_become_a_common_one() -> None:
    other = replace(HEADER, info=replace(INFO, time_base=Fraction(1, 25), frame_rate=Fraction(25)))
    sink = io.BytesIO()
    splice([piece(0), piece(0, header=other)], sink)
    reader = Reader(io.BytesIO(sink.getvalue()))
    base = reader.header.info.time_base
    assert reader.header.info.frame_rate is None
    seconds = [f.pts * base for item in reader if isinstance(item, GopChunk) for f in item.gop.frames]
    assert seconds == [0, TICK, 2 * TICK, 3 * TICK, 3 * TICK + Fraction(1, 25), 3 * TICK + Fraction(2, 25)]
    odd = replace(HEADER, info=replace(INFO, time_base=Fraction(1, (1 << 31) - 1)))
    with pytest.raises(LimitError, match="no common time base"):
        splice([piece(0), piece(0, header=odd)], io.BytesIO())


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (replace(HEADER, model_id=bytes(32)), "another model"),
        (replace(HEADER, info=replace(INFO, width=640)), "another size"),
        (replace(HEADER, info=replace(INFO, bit_depth=8)), "another bit depth"),
        (replace(HEADER, info=replace(INFO, rotation=0)), "another rotation"),
        (replace(HEADER, info=replace(INFO, sample_aspect=Fraction(1))), "another sample aspect"),
    ],
)
def test_pieces_that_do_not_fit(header: Header, message: str) -> None:
    with pytest.raises(InputError, match=message):
        splice([piece(0), piece(0, header=header)], io.BytesIO())


def test_bad_pieces() -> None:
    with pytest.raises(InputError, match="holds no frames"):
        splice([Piece("a.lvc", io.BytesIO(write()))], io.BytesIO())
    with pytest.raises(InputError, match=r"ends 0\.1001 seconds after"):
        splice([piece(0, start=Fraction(9))], io.BytesIO())
    with pytest.raises(InputError, match="the end lies before the start"):
        splice([piece(0, 3, 6, start=7 * TICK, end=2 * TICK)], io.BytesIO())
    for end in (0, 1):
        with pytest.raises(InputError, match="the end lies before the start, or is the same"):
            splice([piece(0, 3, start=TICK, end=end * TICK)], io.BytesIO())
    whole = write(group(0, 3), group(3, 3))
    with pytest.raises(TruncatedError):
        splice([Piece("a.lvc", io.BytesIO(whole[:-50]))], io.BytesIO())


def test_an_index_that_names_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reader, "seek", lambda reader, entry: list(reader))
    with pytest.raises(FormatError, match="names a place where no group of pictures is"):
        splice([piece(0, 3)], io.BytesIO())


def test_playing_time_counts_from_the_first_frame() -> None:
    for pieces in ([piece(500_000, 500_003)], [piece(500_000), piece(7)], [piece(7, 10, start=4 * TICK)]):
        sink = io.BytesIO()
        reports: list[Progress] = []
        result = splice(pieces, sink, progress=reports.append)
        assert result.media_seconds == pytest.approx(float(result.frames * TICK))
        assert reports[-1] == Progress(result.frames, result.frames, reports[-1].bytes, result.media_seconds)
        assert len(reports) == result.groups


def test_video_only_keeps_what_is_said_of_the_video() -> None:
    head = Head(
        {"title": "x"},
        {"language": "de"},
        1,
        Hdr(light=(1000, 400)),
        [StreamHead({}, 0, Fraction(1, 25))],
        b"parameters",
        [Chapter(0, 0, 10, Fraction(1, 25), {"title": "one"})],
        [Attachment("font.ttf", "font/ttf", b"font")],
    )
    size = 20_000
    sound = [pack_packets([SidePacket(0, bytes(size), n, None)]) for n in range(100)]
    groups = [group(n, 1) for n in range(100)]
    data = write(pack_head(head), *(item for pair in zip(groups, sound, strict=True) for item in pair))
    sink = io.BytesIO()
    tracemalloc.start()
    splice([Piece("a.lvc", io.BytesIO(data))], sink, video_only=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30 * size
    side = [item.data for item in Reader(io.BytesIO(sink.getvalue())) if isinstance(item, SideChunk)]
    assert [unpack_head(segment) for segment in side] == [replace(head, streams=[], matroska=b"", attachments=[])]


# With sound, through the command line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splice")
    (folder / "tiny.lvcm").write_bytes(tiny_bytes())
    write_media(
        folder / "in.mkv",
        times=[40 * n for n in range(12)],
        sounds=[Sound("pcm_s16le", seconds=0.48)],
        chapters=[(0, 200, "one"), (200, 480, "two")],
    )
    write_media(folder / "silent.mkv", times=[0, 40])
    options: dict[str, Any] = {"keyint": 3, "preset": "fast", "model": folder / "tiny.lvcm", "device": "cpu"}
    lvc.encode(folder / "in.mkv", folder / "in.lvc", **options)
    lvc.encode(folder / "silent.mkv", folder / "silent.lvc", **options)
    lvc.encode(folder / "in.mkv", folder / "part.lvc", edit=Edit(Span(frames=6)), **options)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_cutting_and_joining_gives_the_whole_again(folder: Path) -> None:
    assert run("cut", folder / "in.lvc", folder / "1.lvc", "--end", "0.24", "-y").exit_code == 0
    result = run("cut", folder / "in.lvc", folder / "2.lvc", "--start", "0.26", "-y", "--json", "--quiet")
    assert result.exit_code == 0, result.output
    fields = json.loads(result.stdout)
    assert (fields["command"], fields["frames"], fields["groups"], fields["starts"]) == ("cut", 6, 2, [0.24])
    result = run("cut", folder / "in.lvc", folder / "2.lvc", "--start", "0.26", "-y")
    warning, shown = result.stderr.splitlines()
    assert warning == "lvc: warning: the piece begins with the group of pictures at 0.24 seconds"
    assert re.fullmatch(r"lvc: cutting: 6 frames, [0-9.]+ frames/s, [0-9.]+ [kM]bit/s", shown)
    result = run("cat", folder / "1.lvc", folder / "2.lvc", "-o", folder / "whole.lvc", "-y")
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.fullmatch(r"lvc: joining: 12 frames, [0-9.]+ frames/s, [0-9.]+ [kM]bit/s\n", result.stderr)
    before, after = (
        [item.gop for item in Reader(io.BytesIO((folder / name).read_bytes())) if isinstance(item, GopChunk)]
        for name in ("in.lvc", "whole.lvc")
    )
    assert before == after
    model = ["--model", folder / "tiny.lvcm", "-y"]
    assert run("verify", folder / "whole.lvc", *model[:2]).exit_code == 0
    assert run("decode", folder / "whole.lvc", folder / "whole.mkv", *model).exit_code == 0
    (a,), (b,) = side_tracks(folder / "in.mkv"), side_tracks(folder / "whole.mkv")
    assert a.payloads == b.payloads
    assert [float(time) for time in a.times] == pytest.approx([float(time) for time in b.times], abs=0.001)


@pytest.mark.parametrize("place", [0, 3])
def test_sound_far_from_its_pictures(folder: Path, place: int) -> None:
    """Several groups before them, or behind."""
    (folder / "far.lvc").write_bytes(with_side_behind((folder / "in.lvc").read_bytes(), place))
    span = ["--start", "0.26", "--end", "0.3"] if place == 0 else ["--start", "0.14", "--end", "0.2"]
    found = []
    for name in ("in", "far"):
        result = run("cut", folder / f"{name}.lvc", folder / "cut.lvc", *span, "-y")
        assert result.exit_code == 0, result.output
        items = list(Reader(io.BytesIO((folder / "cut.lvc").read_bytes())))
        side = [item.data for item in items if isinstance(item, SideChunk)]
        found.append([packet for data in side if data[:1] == b"P" for packet in unpack_packets(data)])
    assert len(found[0]) > 1
    assert found[0] == found[1]


def test_other_streams_must_be_the_same(folder: Path) -> None:
    arguments = ["cat", folder / "in.lvc", folder / "silent.lvc", "-o", folder / "x.lvc"]
    result = run(*arguments)
    assert result.exit_code == 3
    assert "--video-only leaves them out" in result.stderr
    assert not (folder / "x.lvc").exists()
    result = run(*arguments, "--video-only", "-y", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["frames"] == 14


def test_an_input_is_never_the_output(folder: Path) -> None:
    result = run("cat", folder / "in.lvc", folder / "part.lvc", "-o", folder / "part.lvc", "-y")
    assert result.exit_code == 8
    assert "same file" in result.stderr


def test_times_that_become_too_large_are_refused() -> None:
    late = limits.MAX_TICKS - 4
    assert times([piece(late)]) == [[late, late + 1, late + 2]]
    with pytest.raises(LimitError, match="ticks"):
        splice([piece(late), piece(0)], io.BytesIO())


@pytest.mark.parametrize("segments", [(b"H\0",), (pack_head(Head({"title": "x"})), b"P\x80")])
def test_damaged_side_streams_are_named(segments: tuple[bytes, ...]) -> None:
    data = write(*segments, group(0, 3))
    begin = data.index(segments[-1])
    with pytest.raises(FormatError, match="side streams") as caught:
        splice([Piece("a.lvc", io.BytesIO(data))], io.BytesIO())
    assert begin <= (caught.value.position or 0) <= begin + len(segments[-1])
