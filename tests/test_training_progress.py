"""What ``lvc train`` shows of its phases: plain lines, bars, events."""

import json
import sys

import pytest

from lvc.cli.events import Events
from lvc.cli.training_progress import TrainingLine
from lvc.training.progress import TrainingProgress

REPORTS = [
    TrainingProgress.counted("reading", 1, 2),
    TrainingProgress.counted("reading", 2, 2),
    TrainingProgress("training", 30, None, 0.5),
    TrainingProgress("training", 40, None, 0.75, 3, -1.5, None),
    TrainingProgress.counted("fitting", 1, 1),
    TrainingProgress.counted("fitting", 0, 1),
    TrainingProgress.counted("fitting", 1, 1),
    TrainingProgress("training", 50, None, 1.0, 3, -1.625, 2.0),
]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test may change."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_plain_lines(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """Every 10 seconds and at the end of each phase; what is left goes by the phase alone."""
    with TrainingLine(quiet=False, events=Events()) as line:
        for report in REPORTS:
            now[0] += 20 if report.done == 40 else 1
            line(report)
    text = capsys.readouterr()
    assert not text.out
    assert text.err.splitlines() == [
        "lvc: reading clips: 100.0 %, 2 of 2",
        "lvc: training: 75.0 %, step 40, 3 frames, cost -1.500 / -, 0:20 left",
        "lvc: fitting: 100.0 %, 1 of 1",
        "lvc: fitting: 100.0 %, 1 of 1",
        "lvc: training: 100.0 %, step 50, 3 frames, cost -1.625 / 2.000",
    ]
    with TrainingLine(quiet=True, events=Events()) as line:
        line(REPORTS[-1])
    assert not capsys.readouterr().err


def test_events(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """Once a second and at the end of each phase."""
    with TrainingLine(quiet=False, events=Events(wanted=True)) as line:
        for report in REPORTS:
            now[0] += 1 if report.done == 40 else 0
            line(report)
    text = capsys.readouterr()
    assert not text.err
    events = [json.loads(row) for row in text.out.splitlines()]
    assert [(event["phase"], event["done"], event["share"]) for event in events] == [
        ("reading", 2, 1),
        ("training", 40, 0.75),
        ("fitting", 1, 1),
        ("fitting", 1, 1),
        ("training", 50, 1),
    ]
    assert events[1] == {
        "type": "progress",
        "phase": "training",
        "done": 40,
        "total": None,
        "share": 0.75,
        "frames": 3,
        "intra": -1.5,
        "inter": None,
    }


def test_bars(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other; what was being done stays in sight."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with TrainingLine(quiet=False, events=Events()) as line:
        for report in REPORTS:
            line(report)
        line.note("told", "a sentence", {})
    *bars, said, _ = [row.rpartition("\r")[2] for row in capsys.readouterr().err.split("\n")]
    assert [row.partition(" % |")[0] for row in bars] == [
        "reading clips: 100.0",
        "training:  75.0",
        "fitting: 100.0",
        "fitting: 100.0",
        "training: 100.0",
    ]
    assert "step 40, 3 frames, cost -1.500 / -, " in bars[1]
    assert said == "lvc: a sentence"
