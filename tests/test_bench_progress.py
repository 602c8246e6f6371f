"""Progress of a benchmark: a bar on a terminal, plain lines elsewhere, and the time left."""

import io
import sys

import pytest

from lvc.bench import progress
from lvc.bench.progress import PLAIN_SECONDS, BenchProgress


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_plain_lines_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with BenchProgress(1000, quiet=False) as shown:
        shown.begin("a")
        clock.now += PLAIN_SECONDS
        shown.begin("b")
        shown.advance(200)
        shown.begin("c")  # too soon
        clock.now += 5 * PLAIN_SECONDS
        shown.shrink(100)
        shown.advance(250)
        shown.begin("d")
    # 90 seconds for half of the 900 that are left of the work
    assert capsys.readouterr().err.splitlines() == [
        "lvc: 0 % done; next b",
        "lvc: 50 % done, about 1.5 minutes left; next d",
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with BenchProgress(1000, quiet=False) as shown:
        shown.begin("street x264 30")
        shown.advance(450)
        shown.shrink(100)
        shown.begin("street x265 30")
    lines = terminal.getvalue().split("\r")
    assert "street x264 30   0%|" in terminal.getvalue()
    assert "street x265 30  50%|" in lines[-1] or "street x265 30  50%|" in lines[-2]
    assert "so far" in lines[-1]
    assert "left" in lines[-1]


@pytest.mark.parametrize("total", [0, 1000])
def test_quiet_says_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch, total: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with BenchProgress(total, quiet=True) as shown:
        shown.begin("a")
        clock.now += 2 * PLAIN_SECONDS
        shown.advance(total)
        shown.begin("b")
    assert terminal.getvalue() == ""
