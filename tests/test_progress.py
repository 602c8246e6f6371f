"""Lines and bars of progress."""

import logging
import re
import sys

import pytest

from lvc.cli.events import Events
from lvc.cli.notes import log_as_notes
from lvc.cli.progress import ProgressLine, bit_rate, duration, plain
from lvc.encoder.search import Try
from lvc.progress import Progress
from tests.command_line import Call, run


def test_plain_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("encoding", quiet=False, events=Events()) as line:
        line(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4))
        line.warn("Chroma was converted.")
    text = capsys.readouterr()
    assert not text.out
    assert text.err.startswith("lvc: warning: Chroma was converted\nlvc: encoding: 10 frames, ")  # fewer than expected
    assert "left" not in text.err
    with ProgressLine("encoding", quiet=True, events=Events()) as line:
        line(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4))
        line.warn("Chroma was converted.")
    assert capsys.readouterr().err == ""


def test_what_the_library_logs_becomes_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("lvc")
    with log_as_notes(Events()):
        logger.info("this takes a while")
    with log_as_notes(Events(wanted=True)):
        logger.info("this takes a while")
    with log_as_notes(Events(quiet=True)):
        logger.info("this takes a while")
    logger.info("nobody listens any more")
    text = capsys.readouterr()
    assert text.err == "lvc: this takes a while\n"
    assert text.out == '{"type": "note", "message": "this takes a while"}\n'


def test_a_search_does_not_count_for_the_speed(
    calls: list[Call], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    run("encode", "in.mp4", "out.lvc", "--bitrate", "20k")
    tried = calls[0].options["tried"]
    line = calls[0].options["progress"]
    now[0] = 1000.0
    tried(Try(50.0, 1, 1, None, None))
    now[0] = 1010.0
    line(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4))
    assert "10 of 40 frames, 1.0 frames/s, " in capsys.readouterr().err


def test_progress_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressLine("encoding", quiet=False, events=Events()) as line:
        for frames in range(1, 41):
            line(Progress(frames, 40, 5000 * frames, frames / 25))
    text = capsys.readouterr()
    assert not text.out
    assert "40/40" in text.err
    assert re.search(r"40/40 \[[0-9:]+<[0-9:]+, +[0-9.]+ ?frames/s", text.err)  # how long it took, and will take
    assert "1.00 Mbit/s" in text.err
    with ProgressLine("decoding", quiet=False, events=Events()) as line:
        line(Progress(9, 12, 5000, 0.4))
    last = capsys.readouterr().err.rstrip().rpartition("\r")[2]
    assert "9/9" in last
    assert "/12" not in last


def test_numbers_for_people() -> None:
    text = plain(Progress(frames=10, total=40, bytes=50_000, media_seconds=0.4), 2.0)
    assert text == "10 of 40 frames, 5.0 frames/s, 1.00 Mbit/s, 0:06 left"
    assert plain(Progress(0, None, 0, 0), 0.0) == "0 frames, 0.0 frames/s"
    assert [duration(seconds) for seconds in (0, 61, 3723)] == ["0:00", "1:01", "1:02:03"]
    assert [bit_rate(rate) for rate in (999, 843_210, 12_345_678)] == ["0.999 kbit/s", "843 kbit/s", "12.35 Mbit/s"]
