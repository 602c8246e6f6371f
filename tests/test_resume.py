"""Encodes that are killed at any moment, and go on: never a half file, always the same bytes."""

import io
import os
import random
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from click.testing import CliRunner

import lvc
from lvc import encoding, ends
from lvc.bench.png import encode_png
from lvc.cli import main
from lvc.container import Header, Writer
from lvc.edit import Edit, Span
from lvc.encoder import EncoderSettings, encode_stream
from lvc.encoder.group import GroupEncoder
from lvc.encoder.picture import CodedPicture
from lvc.encoder.resume import Finished
from lvc.errors import InputError, OutputError
from lvc.output import open_resumable
from lvc.share import Share
from lvc.video import Frame
from tests.clips import clip_frames, clip_info, make_clip
from tests.container_files import HEADER, group, write
from tests.models import tiny_bytes, tiny_model

FRAMES = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    (folder / "tiny.lvcm").write_bytes(tiny_bytes())
    make_clip(folder / "in.y4m", "cuts", width=96, height=80, frames=FRAMES)
    options = {"keyint": 4, "model": folder / "tiny.lvcm", "device": "cpu", "threads": 1}
    lvc.encode(folder / "in.y4m", folder / "whole.lvc", **options)
    return folder


def arguments(folder: Path, target: Path) -> list[str]:
    ends = [str(folder / "in.y4m"), str(target)]
    options = ["--keyint", "4", "--model", str(folder / "tiny.lvcm"), "--device", "cpu", "--threads", "1", "--resume"]
    return ["encode", *ends, *options, "--quiet"]


KILLED = """
import os, sys
from lvc.cli import main
from lvc.output import OutputStream

written, enough = 0, int(sys.argv[1])

def write(self, data):
    global written
    taken = os.write(self._stream.fileno(), bytes(data)[: enough - written])
    written += taken
    if written == enough:
        os.kill(os.getpid(), int(sys.argv[2]))
    return taken

OutputStream.write = write
main(sys.argv[3:])
"""
"""An encode that is killed, by a signal, when it has written so many bytes."""
SIGKILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # the latter is the same on Windows


def test_killed_at_random_bytes(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.lvc"
    whole = (folder / "whole.lvc").read_bytes()
    for size in sorted(random.Random(5).sample(range(1, len(whole)), 3)):
        command = [sys.executable, "-c", KILLED, str(size), str(int(SIGKILL)), *arguments(folder, target)]
        assert abs(subprocess.run(command, check=False).returncode) == SIGKILL
        (left,) = tmp_path.iterdir()
        assert left != target
        assert left.read_bytes() == whole[:size]
    subprocess.run([sys.executable, "-m", "lvc", *arguments(folder, target)], check=True)
    assert target.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out.lvc"]


@pytest.mark.parametrize("cut", [0, 1, 100, 0.3, 0.6, 0.95, 1.0, "longer", "damaged", "other"])
def test_whatever_was_left_the_bytes_are_the_same(cut: float | str, tmp_path: Path) -> None:
    def encode(unfinished: Path | None, sink: io.BytesIO) -> int:
        coded.clear()
        settings = EncoderSettings(keyint=3, preset="fast")
        encode_stream(Clip(), sink, model=tiny_model(), settings=settings, unfinished=unfinished, progress=coded.append)
        return len(coded)

    class Clip:
        info = clip_info(32, 32, 10)

        def __iter__(self):
            return clip_frames("cuts", 32, 32, 10)

        def take_side(self):
            return None

    coded: list[object] = []
    sink = io.BytesIO()
    encode(None, sink)
    whole = sink.getvalue()
    if isinstance(cut, str):
        damaged = whole[:-200] + b"?" + whole[-199:]
        left = {"longer": whole + b"more", "damaged": damaged, "other": write(group(0, 3), group(3, 3))}[cut]
    else:
        left = whole[: cut if isinstance(cut, int) else int(len(whole) * cut)]
    path = tmp_path / "left"
    path.write_bytes(left)
    sink = io.BytesIO()
    assert encode(path, sink) == 10
    assert sink.getvalue() == whole


def test_finished_groups_are_not_coded_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.lvc"
    whole = (folder / "whole.lvc").read_bytes()
    coded = []
    original = GroupEncoder.encode

    def interrupted(self: GroupEncoder, frame: Frame, later: Frame | None = None) -> list[CodedPicture]:
        coded.append(frame)
        if len(coded) == 11:
            raise KeyboardInterrupt
        return original(self, frame, later)

    monkeypatch.setattr(GroupEncoder, "encode", interrupted)
    options = {"keyint": 4, "model": folder / "tiny.lvcm", "device": "cpu", "resume": True}
    with pytest.raises(KeyboardInterrupt):
        lvc.encode(folder / "in.y4m", target, **options)
    assert len(list(tmp_path.iterdir())) == 1
    lvc.encode(folder / "in.y4m", target, **options)
    assert len(coded) == 11 + FRAMES - 8
    assert target.read_bytes() == whole


def test_other_settings_do_not_go_on(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.lvc"
    options = {"model": folder / "tiny.lvcm", "device": "cpu", "resume": True}
    lvc.encode(folder / "in.y4m", target, keyint=4, **options)
    (tmp_path / ".out.000000000000.lvc").write_bytes((folder / "whole.lvc").read_bytes())
    lvc.encode(folder / "in.y4m", target, keyint=4, quality=20, overwrite=True, **options)
    assert len(target.read_bytes()) < len((folder / "whole.lvc").read_bytes())


@pytest.mark.parametrize("part", ["version", "verify", "device", "place"])
def test_nothing_else_is_taken_for_the_same_encode(
    part: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version, groups that were not verified, another kind of device, a file of that name elsewhere."""
    known: list[str] = []
    original = open_resumable

    def noted(target: str, key: str, *, resume: bool) -> AbstractContextManager[tuple[BinaryIO, Path | None]]:
        known.append(key)
        return original(target, key, resume=resume)

    monkeypatch.setattr(ends, "open_resumable", noted)
    source = tmp_path / "in.y4m"
    source.hardlink_to(folder / "in.y4m")
    options: dict[str, Any] = {"model": folder / "tiny.lvcm", "device": "cpu", "preset": "fast", "overwrite": True}
    options["edit"] = Edit(Span(frames=1))
    for other in (False, False, True):
        if other and part == "version":
            monkeypatch.setattr(encoding, "__version__", "0.0.1")
        if other and part == "device":
            monkeypatch.setattr(encoding, "choose_device", lambda *_: "cpu:0")
        options["verify"] = not (other and part == "verify")
        lvc.encode(folder / "in.y4m" if other and part == "place" else source, tmp_path / "out.lvc", **options)
    assert known[0] == known[1] != known[2]


def test_only_one_file_is_resumed_or_shared(folder: Path, tmp_path: Path) -> None:
    """What another sequence of the same name has left must not be taken over, and nobody can tell these apart."""
    for number in range(2):
        (tmp_path / f"f{number}.png").write_bytes(encode_png(np.full((32, 32, 3), 100 * number, np.uint8)))
    sequence, target = tmp_path / "f%d.png", tmp_path / "out.lvc"
    options: dict[str, Any] = {"model": folder / "tiny.lvcm", "device": "cpu", "preset": "fast"}
    for how in ({"resume": True}, {"share": Share(0, 2)}):
        with pytest.raises(InputError, match="only what is one file can be resumed, or shared"):
            lvc.encode(sequence, target, **options, **how)
    os.mkfifo(tmp_path / "pipe.y4m")
    for source in ("-", str(tmp_path / "pipe.y4m")):
        result = CliRunner().invoke(main, ["encode", source, str(target), "--resume"])
        assert (result.exit_code, "--resume goes from a file to a file" in result.stderr) == (2, True)
    result = CliRunner().invoke(main, ["encode", str(tmp_path / "none.y4m"), str(target), "--resume"])
    assert result.exit_code == InputError.exit_status
    assert not list(tmp_path.glob(".out*"))
    assert lvc.encode(sequence, target, **options).frames == 2


def test_only_one_works_on_a_file(tmp_path: Path) -> None:
    with open_resumable(tmp_path / "out", "key", resume=True) as (sink, left):
        assert left is None
        sink.write(b"first")
        with pytest.raises(OutputError, match="another process"), open_resumable(tmp_path / "out", "key", resume=True):
            pass
    assert (tmp_path / "out").read_bytes() == b"first"


def test_what_was_left_is_cut_off_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_resumable(tmp_path / "out", "key", resume=True) as (sink, _):
        sink.write(b"a long text")
        raise KeyboardInterrupt
    with open_resumable(tmp_path / "out", "key", resume=True) as (sink, left):
        assert left is not None
        assert left.read_bytes() == b"a long text"
        sink.write(b"short")
    assert (tmp_path / "out").read_bytes() == b"short"
    with pytest.raises(KeyboardInterrupt), open_resumable(tmp_path / "out", "key", resume=False):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_groups_are_taken_by_their_times(tmp_path: Path) -> None:
    path = tmp_path / "left"
    path.write_bytes(write(group(0, 2), group(2, 3), group(5, 1), close=False))
    finished = Finished(path, HEADER)
    assert finished.take([(n, 1) for n in range(5)]) == (group(0, 2), group(2, 3))
    assert finished.take([(5, 1), (6, 1)]) is None
    assert finished.is_over
    assert Finished(path, Header(bytes(32), HEADER.info, 60, 250)).is_over
    for other in (replace(HEADER, keyint=9), replace(HEADER, info=replace(HEADER.info, rotation=90))):
        assert Finished(path, other).is_over
    assert not Finished(path, replace(HEADER, info=replace(HEADER.info, frames=6))).is_over
    with path.open("wb") as stream:
        Writer(stream, HEADER).write_side(b"side")
    assert Finished(path, HEADER).is_over
