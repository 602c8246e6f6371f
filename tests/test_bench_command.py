"""``lvc bench`` from the command line."""

import json
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner, Result

from lvc.bench.command import _device, bench
from lvc.bench.results import locked
from lvc.bench.session import Outcome, Request
from lvc.bench.workers import Workers
from lvc.cli import main
from lvc.encoder.settings import ABLATIONS
from lvc.errors import LvcError
from lvc.media import VideoWriter
from tests.clips import clip_frames, clip_info

T = TypeVar("T")
FRAMES = 4
LONG = 60
ROOT = Path(__file__).resolve().parent.parent
LVC = (sys.executable, "-c", "from lvc.cli import main\nif __name__ == '__main__': main()")


def write_clip(path: Path, frames: int = FRAMES, width: int = 64, height: int = 48) -> Path:
    with VideoWriter(path, clip_info(width, height, frames), format="y4m") as writer:
        for frame in clip_frames("pan", width, height, frames):
            writer.write(frame)
    return path


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_clip(tmp_path / "pan.y4m")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


def test_report_folder(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    result = run(clip, "-c", "x264:crf=20,30,40", "-c", "vp9:preset=8:crf=20,40,60", "-o", folder)
    assert result.exit_code == 0, result.output
    assert "against x264 medium" in result.stdout
    assert "default conditions: the first 32 frames" in result.stderr
    assert len((folder / "results.jsonl").read_text().splitlines()) == 6
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64") == 3
    assert (tmp_path / "cache" / "lvc" / "bench").is_dir()
    again = run(clip, "-c", "x264:crf=20,30,40", "-o", folder, "--no-crops")
    assert again.exit_code == 0
    assert len((folder / "results.jsonl").read_text().splitlines()) == 6


def test_failures_end_with_status_1_and_keep_the_rest(clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no video")
    folder = tmp_path / "report"
    result = run(broken, clip, tmp_path / "gone", "-c", "x264:crf=30", "-c", "x266", "-o", folder, "--no-crops")
    assert result.exit_code == 1
    for word in ("broken.mkv", "gone", "x266", "3 left out"):
        assert word in result.stderr
    assert len((folder / "results.jsonl").read_text().splitlines()) == 1
    assert "3 left out" in (folder / "report.html").read_text("utf-8")


def test_the_folder_and_what_is_kept_elsewhere(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report goes into report/; without the cache, what only the cache knows is measured."""
    monkeypatch.chdir(tmp_path)
    options = [clip, "-c", "x264:crf=40", "--no-crops"]
    assert run(*options).exit_code == 0
    (kept,) = (tmp_path / "cache" / "lvc" / "bench").glob("*.json")
    row = json.loads(kept.read_text())
    kept.write_text(json.dumps({**row, "bytes": 1}))

    def size(folder: str) -> int:
        return int(json.loads((tmp_path / folder / "results.jsonl").read_text())["bytes"])

    assert run(*options, "-o", "other").exit_code == 0
    assert run(*options, "-o", "third", "--no-cache").exit_code == 0
    assert (size("report"), size("other"), size("third")) == (row["bytes"], 1, row["bytes"])
    assert json.loads(kept.read_text())["bytes"] == 1


def test_folders_that_cannot_be_used(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run(clip, "-c", "x264:crf=40", "-o", tmp_path / "file" / "report")
    assert result.exit_code == 8
    assert "Not a directory" in result.stderr
    with locked(tmp_path / "report"):
        result = run(clip, "-c", "x264:crf=40", "-o", tmp_path / "report")
    assert result.exit_code == 8
    assert "another run writes into this folder" in result.stderr
    assert not (tmp_path / "report" / "results.jsonl").exists()


def test_parts_that_lvc_does_not_have(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    options = ["-c", "x264:crf=40", "-c", "lvc:model=nowhere", "--ablate", "motion", "--no-crops"]
    result = run(clip, *options, "-o", folder)
    assert result.exit_code == 1
    assert "no part 'motion'; there are scalar, " in result.stderr
    (line,) = (folder / "results.jsonl").read_text().splitlines()
    assert json.loads(line)["codec"] == "x264 medium"


@pytest.mark.parametrize(
    ("codec", "device"), [("LVC:quality=30", "cuda"), (" lvc", "cuda"), ("lvcx", "cpu"), ("x264", "cpu")]
)
def test_the_device_is_that_of_lvc(monkeypatch: pytest.MonkeyPatch, codec: str, device: str) -> None:
    monkeypatch.setattr("lvc.compute.choose_device", lambda _: "cuda")
    assert _device("auto", (codec,)) == device


def test_what_is_switched_off_runs_on_the_device(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lvc takes part where only parts of it are named."""
    requests: list[Request] = []

    def noted(request: Request) -> Outcome:
        requests.append(request)
        raise LvcError("enough")

    monkeypatch.setattr("lvc.compute.choose_device", lambda _: "cuda")
    monkeypatch.setattr("lvc.bench.session.run_session", noted)
    assert run(clip, "-c", "x264", "--ablate", "scalar", "-o", tmp_path / "report").exit_code == 1
    assert [(request.codecs, request.conditions.device) for request in requests] == [
        (["x264", "lvc", "lvc:ablate=scalar"], "cuda")
    ]


def test_nothing_to_measure(tmp_path: Path) -> None:
    result = run(tmp_path / "gone", "-c", "x264", "-o", tmp_path / "report")
    assert result.exit_code == 3
    assert "gone" in result.stderr
    clip = write_clip(tmp_path / "pan.y4m")
    for more in ([], ["--speed"]):
        result = run(clip, "-c", "x266", "-c", "x264:crf=99", "-o", tmp_path / "report", *more)
        assert result.exit_code == 2
        assert "there is no codec 'x266'" in result.stderr
    assert not (tmp_path / "report").exists()
    assert run().exit_code == 2
    assert run(tmp_path, "--frames", "many").exit_code == 2


def test_all_threads(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    codecs = ["-c", "x264:crf=30", "-c", "x265:preset=ultrafast:crf=30", "-c", "vp9:preset=8:crf=30"]
    for threads, said in (("1", "one thread"), ("all", "all threads")):
        result = run(clip, *codecs, "-o", folder, "--threads", threads, "--no-crops")
        assert result.exit_code == 0, result.output
        assert f"columns, {said};" in result.stderr
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [row["conditions"]["threads"] for row in rows] == [1] * 3 + [0] * 3  # neither takes the place of the other


@pytest.mark.parametrize("anchor", ["x265", "x265 fast", "libx265", "x265:preset=fast:crf=1", "x265:preset=fast"])
def test_anchors_by_name_codec_string_and_family(clip: Path, tmp_path: Path, anchor: str) -> None:
    codecs = ["-c", "x264:crf=30", "-c", "x265:preset=fast:crf=30", "--no-crops"]
    result = run(clip, *codecs, "--anchor", anchor, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "against x265 fast" in result.stdout


@pytest.mark.parametrize(
    ("anchor", "many"), [("nonsense::", "none"), ("vp9", "none"), ("x265:preset=slow", "none"), ("x265", "several")]
)
def test_an_anchor_that_fits_no_codec_or_several_is_refused(clip: Path, tmp_path: Path, anchor: str, many: str) -> None:
    codecs = ["-c", "x264", "-c", "x265:preset=fast", "-c", "x265:preset=faster", "--no-crops"]
    result = run(clip, *codecs, "--anchor", anchor, "-o", tmp_path / "report")
    assert result.exit_code == 2
    assert f"{many} of this run's codecs, which are x264 medium, x265 fast, x265 faster" in result.stderr
    assert not (tmp_path / "report").exists()


def test_a_frame_that_is_not_there_is_told(clip: Path, tmp_path: Path) -> None:
    result = run(clip, "-c", "x264:crf=30", "-o", tmp_path / "report", "--frame", 99)
    assert result.exit_code == 0
    assert "note: pan has no frame 99: frame 3 is shown" in result.stderr
    assert "frame 3 of pan" in (tmp_path / "report" / "report.html").read_text("utf-8")


def test_a_clip_whose_crops_fail_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Workers[T]):
        def finished(self) -> Iterator[tuple[T, object]]:
            for number, row in super().finished():
                yield number, LvcError("gone") if number == 1 else row

    monkeypatch.setattr("lvc.bench.session.Workers", Failing)
    clips = [write_clip(tmp_path / f"{name}.y4m") for name in "abc"]
    result = run(*clips, "-c", "x264:crf=30", "-o", tmp_path / "report", "--jobs", 2)
    assert result.exit_code == 1
    assert "b: no crops: gone" in result.stderr
    report = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert list(dict.fromkeys(re.findall(r"frame 2 of (\w)", report))) == ["a", "c"]


def test_ctrl_c_while_crops_are_made(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Workers[T]):
        def finished(self) -> Iterator[tuple[T, object]]:
            raise KeyboardInterrupt

    monkeypatch.setattr("lvc.bench.session.Workers", Interrupted)
    result = run(clip, "-c", "x264:crf=30", "-o", tmp_path / "report")
    assert result.exit_code == 130
    assert "x264 medium" in (tmp_path / "report" / "report.html").read_text("utf-8")


def test_ctc_conditions_are_printed(clip: Path, tmp_path: Path) -> None:
    result = run(clip, "-c", "x264:crf=30", "-o", tmp_path / "report", "--conditions", "ctc", "--no-crops")
    assert result.exit_code == 0
    assert "ctc conditions: the first 96 frames of each clip, one intra picture, 4:2:0" in result.stderr
    (line,) = (tmp_path / "report" / "results.jsonl").read_text().splitlines()
    assert json.loads(line)["conditions"] == {
        "name": "ctc",
        "frames": 96,
        "threads": 1,
        "one_intra": True,
        "device": "cpu",
    }


def test_ours_and_ablations(clip: Path, tmp_path: Path) -> None:
    if not list(Path(__file__).parent.parent.glob("models/*.lvcm")):
        pytest.skip("there is no model here")
    folder = tmp_path / "report"
    result = run(
        clip, "-c", "lvc:preset=fast:quality=30,60", "-o", folder, "--ablate", "scalar", "--ablate", "nomotion"
    )
    assert result.exit_code == 0, result.output
    assert "against lvc fast" in result.stdout
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [row["codec"] for row in rows] == [
        *["lvc fast"] * 2,
        *["lvc fast without scalar"] * 2,
        *["lvc fast without nomotion"] * 2,
    ]
    assert all(len(row["per_frame"]["bytes"]) == FRAMES for row in rows)
    assert rows[0]["encode_fps"] == pytest.approx(FRAMES / rows[0]["encode_seconds"], rel=0.01)
    assert rows[0]["decode_fps"] == pytest.approx(FRAMES / rows[0]["decode_seconds"], rel=0.01)
    # no decoder reads what lacks a part: its pictures come from the encoder, and nothing is said of its speed
    assert [row["decode_fps"] is None for row in rows] == [False, False, True, True, True, True]
    speeds = result.stdout[result.stdout.index("million samples/s") :].splitlines()
    assert [" – " in line for line in speeds if line.startswith("lvc fast")] == [False, True, True]
    assert (folder / "report.html").read_text("utf-8").count(">–<") >= 2 + 4  # of codecs, of points


def test_a_peer_takes_the_same_memory_beside_lvc(clip: Path, tmp_path: Path) -> None:
    if not list(Path(__file__).parent.parent.glob("models/*.lvcm")):
        pytest.skip("there is no model here")
    peaks = []
    for name, codecs in (("alone", []), ("beside", ["-c", "lvc:preset=fast:quality=30"])):
        command = [*LVC, "bench", str(clip), "-c", "x264:crf=30", *codecs, "-o", str(tmp_path / name)]
        subprocess.run([*command, "--no-crops", "--no-cache"], cwd=ROOT, capture_output=True, check=True)
        rows = map(json.loads, (tmp_path / name / "results.jsonl").read_text().splitlines())
        peaks += [row["peak_bytes"] for row in rows if row["codec"] == "x264 medium"]
    assert peaks[1] == pytest.approx(peaks[0], rel=0.2)


def test_ctrl_c_keeps_finished_rows(clip: Path, tmp_path: Path) -> None:
    long = write_clip(tmp_path / "long.y4m", LONG, 320, 192)
    folder = tmp_path / "report"
    command = [*LVC, "bench", str(clip), str(long), "-o", str(folder)]
    command += ["-c", "x264:crf=30", "-c", "x265:preset=placebo:crf=1,2,3,4,5,6,7,8", "--frames", str(LONG)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 240
        while not (folder / "results.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert (folder / "results.jsonl").read_text().endswith("\n")
    assert "x264 medium" in (folder / "report.html").read_text("utf-8")


@pytest.mark.filterwarnings("always")
def test_quiet_silences_warnings_of_python(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careful(*_: object) -> None:
        warnings.warn("take care", stacklevel=1)
        raise LvcError("that was enough")

    monkeypatch.setattr("lvc.bench.session.run_session", careful)
    for options, told in (([], ["lvc: warning: take care"]), (["--quiet"], [])):
        result = CliRunner().invoke(main, ["bench", str(clip), "-o", str(tmp_path), *options])
        assert result.exit_code == 1
        assert result.stderr.splitlines()[1:] == [*told, "lvc: error: that was enough"]


def test_help_is_light() -> None:
    program = "import sys; import lvc.bench.command; print(sorted({'torch', 'av', 'numpy'} & set(sys.modules)))"
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"
    text = CliRunner().invoke(bench, ["--help"]).output
    assert "Codec strings" in text
    assert "Folder of the report.  [default: report]" in text
    _, _, parts = text.partition("Parts for --ablate:\n")
    assert sorted(re.findall(r"  (no\w+|scalar) ", parts)) == sorted(ABLATIONS)
