"""Encoding and decoding through the command line and the library: files, pipes, damage."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lvc
from lvc.container import GopChunk, Reader, SideChunk, Writer
from lvc.errors import MismatchError
from lvc.media import VideoReader
from lvc.progress import Progress
from lvc.video import Frame
from tests.command_line import run
from tests.raw_clip import FRAMES, HEIGHT, WIDTH


def groups(data: bytes) -> Iterator[GopChunk]:
    return (item for item in Reader(io.BytesIO(data)) if isinstance(item, GopChunk))


def same(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


def test_files(folder: Path) -> None:
    result = run("encode", folder / "clip.y4m", folder / "new.lvc", "-q", 30, "--keyint", 4, "--json", "--quiet")
    assert result.exit_code == 0, result.output
    assert not result.stderr
    fields = json.loads(result.stdout)
    assert fields["frames"] == FRAMES
    assert fields["bytes"] == (folder / "new.lvc").stat().st_size == sum(fields["parts"].values())
    result = run("verify", folder / "new.lvc", "--quiet", "--json")
    assert json.loads(result.stdout)["frames"] == FRAMES
    result = run("decode", folder / "new.lvc", folder / "out.mp4", "--json", "--quiet")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["frames"] == FRAMES
    with VideoReader(folder / "out.mp4") as reader:
        assert len(list(reader)) == FRAMES
    assert sorted(path.name for path in folder.iterdir()) == ["clip.lvc", "clip.y4m", "new.lvc", "out.mp4"]


def test_files_are_verified_before_they_get_their_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, and what that cost is shown; not where the output is a stream, or where it is not wanted."""
    fixed = ["-q", 30, "--preset", "fast", "--device", "cpu", "-y"]
    file = [folder / "clip.y4m", folder / "new.lvc", *fixed]
    result = run("encode", *file)
    assert result.exit_code == 0, result.output
    assert "every picture decodes exactly; this took" in result.stderr
    told = [json.loads(line) for line in run("encode", *file, "--json").stdout.splitlines()]
    (verified,) = (event for event in told if event["type"] == "verified")
    assert verified["seconds"] > 0
    assert told[-1]["verify_seconds"] == pytest.approx(verified["seconds"], abs=1e-3)
    (folder / "new.lvc").unlink()
    before = sorted(folder.iterdir())
    monkeypatch.setattr("lvc.group_decoder.checksum", lambda *_: -1)  # a decoder that sees other pictures
    for more in ([], ["--resume"]):
        result = run("encode", *file, *more)
        assert result.exit_code == MismatchError.exit_status == 9, result.output
        assert "differs from the one that was encoded" in result.stderr
        assert not (folder / "new.lvc").exists()
    assert sorted(path for path in folder.iterdir() if not path.name.startswith(".")) == before
    assert run("encode", *file, "--no-verify").exit_code == 0
    sink = io.BytesIO()
    assert not lvc.encode(folder / "clip.y4m", sink, quality=30, preset="fast", device="cpu").verify_seconds
    assert sink.getvalue() == (folder / "new.lvc").read_bytes()


def test_library_and_command_line_decode_the_same_pictures(folder: Path) -> None:
    assert run("decode", folder / "clip.lvc", folder / "out.mkv", "--lossless").exit_code == 0
    assert run("decode", folder / "clip.lvc", folder / "out.y4m").exit_code == 0
    with lvc.open(folder / "clip.lvc") as video:
        assert (video.info.width, video.info.height) == (WIDTH, HEIGHT)
        frames = list(video)
    for name in ("out.mkv", "out.y4m"):
        with VideoReader(folder / name) as reader:
            assert all(same(a, b) for a, b in zip(frames, reader, strict=True))


@pytest.mark.parametrize(
    ("name", "options"), [("out.mp4", ["--codec", "libx265", "--crf", 20]), ("out.mkv", ["--codec", "libsvtav1"])]
)
def test_encoders_of_the_output_are_silent(
    folder: Path, name: str, options: list[object], capfd: pytest.CaptureFixture[str]
) -> None:
    """Although their libraries write to standard error by themselves."""
    result = run("decode", folder / "clip.lvc", folder / name, *options, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("options", [["--codec", "aac"], ["--lossless"]])
def test_what_an_output_cannot_hold_is_refused(folder: Path, options: list[str]) -> None:
    result = run("decode", folder / "clip.lvc", folder / "out.mp4", *options)
    assert result.exit_code == 8
    assert result.stderr.startswith("lvc: error: ")
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["clip.lvc", "clip.y4m"]


@pytest.mark.parametrize("talk", [["--quiet"], [], ["--json"]])
def test_pipes(clip: bytes, talk: list[str]) -> None:
    """Standard output carries the stream and nothing else, whatever standard error tells."""
    command = [sys.executable, "-m", "lvc"]
    options = ["--device", "cpu", *talk]
    coded = subprocess.run([*command, "encode", "-", "-", *options], input=clip, capture_output=True, check=True)
    assert sum(len(group.gop.frames) for group in groups(coded.stdout)) == FRAMES
    back = subprocess.run([*command, "decode", "-", "-", *options], input=coded.stdout, capture_output=True, check=True)
    assert len(back.stdout) == len(clip)
    want = io.BytesIO()
    lvc.decode(io.BytesIO(coded.stdout), want, device="cpu")
    assert back.stdout == want.getvalue()
    for told, name in ((coded.stderr.decode(), "encode"), (back.stderr.decode(), "decode")):
        if talk == ["--json"]:
            assert json.loads(told.splitlines()[-1])["command"] == name
        elif talk:
            assert not told
        else:
            shown = rf"lvc: {name[:-1]}ing: (100 %, )?{FRAMES}.* frames?, [0-9.]+ frames/s, [0-9.]+ [kM]bit/s.*"
            assert re.fullmatch(shown, told.splitlines()[-1])


@pytest.mark.parametrize("part", ["header", "first group", "second group", "last byte"])
def test_flipped_bytes(folder: Path, coded: bytes, part: str) -> None:
    first, second = groups(coded)
    position = {
        "header": 20,
        "first group": first.position + first.size - 5,
        "second group": second.position + second.size - 5,
        "last byte": len(coded) - 1,
    }[part]
    data = bytearray(coded)
    data[position] ^= 1
    (folder / "bad.lvc").write_bytes(data)
    for arguments in (["decode", folder / "bad.lvc", folder / "out.mp4"], ["verify", folder / "bad.lvc"]):
        result = run(*arguments, "--quiet")
        assert result.exit_code == 4
        assert result.stderr.startswith(f"lvc: error: {folder / 'bad.lvc'}: ")
        assert "at byte" in result.stderr
    with pytest.raises(lvc.FormatError, match=r"bad\.lvc: .*at byte"), lvc.open(folder / "bad.lvc") as video:
        list(video)
    assert not (folder / "out.mp4").exists()
    result = run("decode", folder / "bad.lvc", folder / "out.y4m", "--keep-going")
    if part == "header":
        assert result.exit_code == 4
        assert not (folder / "out.y4m").exists()
        return
    assert result.exit_code == 0, result.output
    assert "lvc: warning: " in result.stderr
    with VideoReader(folder / "out.y4m") as reader:
        frames = list(reader)
    # what is lost is at most the last picture of the damaged group
    assert FRAMES - 1 <= len(frames) <= FRAMES


def test_truncated_files(folder: Path, coded: bytes) -> None:
    first, second = groups(coded)
    (folder / "cut.lvc").write_bytes(coded[: second.position + 30])
    result = run("decode", folder / "cut.lvc", folder / "out.y4m")
    assert result.exit_code == 5
    assert not (folder / "out.y4m").exists()
    result = run("decode", folder / "cut.lvc", folder / "out.y4m", "--keep-going", "--json", "--quiet")
    assert result.exit_code == 0, result.output
    fields = json.loads(result.stdout)
    assert (fields["frames"], fields["truncated"], len(fields["damage"])) == (3, True, 1)
    assert run("verify", folder / "cut.lvc").exit_code == 5
    (folder / "cut.lvc").write_bytes(coded[: first.position + 20])
    assert run("decode", folder / "cut.lvc", folder / "none.y4m", "--keep-going").exit_code == 4
    assert not (folder / "none.y4m").exists()


def test_verifying_finds_pictures_that_were_not_encoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("verify", folder / "clip.lvc").exit_code == 0
    monkeypatch.setattr("lvc.group_decoder.checksum", lambda *_: -1)
    result = run("verify", folder / "clip.lvc", "--quiet")
    assert result.exit_code == 9
    assert "picture 0 differs from the one that was encoded" in result.stderr


def test_nothing_is_coded_where_the_self_test_fails(clip: bytes, coded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """By neither side."""
    monkeypatch.setattr("lvc.exact.device.passes_self_test", lambda _: False)
    with pytest.raises(MismatchError, match="nothing can be decoded here"):
        lvc.encode(io.BytesIO(clip), io.BytesIO(), preset="fast", device="cpu", verify=False)
    with pytest.raises(MismatchError, match="nothing can be decoded here"):
        lvc.decode(io.BytesIO(coded), io.BytesIO(), device="cpu")


def test_the_decoder_knows_how_much_there_is(folder: Path) -> None:
    """Of files, not of pipes."""
    for source, total in ((folder / "clip.lvc", FRAMES), (Pipe((folder / "clip.lvc").read_bytes()), None)):
        told: list[Progress] = []
        lvc.decode(source, io.BytesIO(), device="cpu", progress=told.append)
        assert [(each.frames, each.total) for each in told][-1] == (FRAMES, total)


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("command", ["encode", "decode", "verify", "train"])
def test_a_gpu_that_is_not_there(folder: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = sorted(folder.iterdir())
    ends = {
        "encode": [folder / "clip.y4m", folder / "out.lvc"],
        "decode": [folder / "clip.lvc", folder / "out.y4m"],
        "verify": [folder / "clip.lvc"],
        "train": [folder, "-o", folder / "out.lvcm", "--steps", 1],
    }
    result = run(command, *ends[command], "--device", "cuda")
    assert result.exit_code == 1
    assert (
        result.stderr.splitlines()[-1] == "lvc: error: there is no CUDA device that torch can use: choose --device cpu"
    )
    assert sorted(folder.iterdir()) == before


def test_unknown_models(folder: Path, coded: bytes) -> None:
    reader = Reader(io.BytesIO(coded))
    with (folder / "other.lvc").open("wb") as stream, Writer(stream, replace(reader.header, model_id=bytes(32))) as out:
        for item in reader:
            if isinstance(item, SideChunk):
                out.write_side(item.data)
            else:
                out.write_gop(item.gop)
    for options in ([], ["--model", "lite"]):
        result = run("decode", folder / "other.lvc", folder / "out.mp4", *options)
        assert result.exit_code == 6
        assert "0000000000000000" in result.stderr
    for arguments in (["encode", folder / "clip.y4m"], ["decode", folder / "clip.lvc"]):
        result = run(*arguments, folder / "x.mp4", "--model", "nonsense")
        assert result.exit_code == 6
        assert result.stderr.startswith("lvc: error: unknown model 'nonsense'; installed: ")
    assert sorted(path.name for path in folder.iterdir()) == ["clip.lvc", "clip.y4m", "other.lvc"]


@pytest.mark.parametrize("content", [b"", b"this is no video", None])
def test_what_is_no_video(tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "in.mp4"
    if content is not None:
        source.write_bytes(content)
    result = run("encode", source, tmp_path / "out.lvc")
    assert result.exit_code == 3
    assert result.stderr.startswith("lvc: error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out.lvc").exists()


def test_no_frames(tmp_path: Path, clip: bytes) -> None:
    source = tmp_path / "in.y4m"
    source.write_bytes(clip[: clip.index(b"\n") + 1])
    assert run("encode", source, tmp_path / "out.lvc").exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["in.y4m"]


def test_streams_as_source_and_destination(clip: bytes, coded: bytes) -> None:
    back = io.BytesIO()
    result = lvc.decode(io.BytesIO(coded), back)
    assert (result.frames, result.truncated, result.damage) == (FRAMES, False, ())
    assert len(back.getvalue()) == len(clip)


def test_library_refuses_what_is_out_of_range(tmp_path: Path) -> None:
    for options in ({"quality": 0}, {"keyint": 5000}, {"preset": "placebo"}):
        with pytest.raises(ValueError, match="outside its range"):
            lvc.encode("in.mp4", tmp_path / "out.lvc", **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        lvc.encode("in.mp4", tmp_path / "out.lvc", quality="high")  # type: ignore[arg-type]
