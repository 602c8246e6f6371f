"""Work in several processes: the same bytes and pictures, and what happens when a process dies."""

import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import lvc
from lvc.compute import crew_of, processes
from lvc.container import GopChunk, Reader
from lvc.decoder import _decode_in_worker
from lvc.edit import Edit, Span
from lvc.encoder import EncoderSettings, encode_stream
from lvc.encoder.search import Target
from lvc.errors import FormatError, ModelError, OutputError
from lvc.progress import Progress
from lvc.spool import read_frames, write_frames
from lvc.video import Frame
from lvc.workers import Call, WorkerError, Workers
from tests.clips import clip_frames, clip_info, make_clip
from tests.models import tiny_bytes, tiny_model
from tests.worker_calls import broken, damaged, die, double, end_slowly, forever, slow

HERE = Path(__file__).resolve().parent
ROOT = {"PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}


def results(count: int, *calls: Call | None, report: Any = lambda _: None) -> list[Any]:
    with Workers(count, "tests.worker_calls", ROOT) as workers:
        return [result for _, result in workers.in_order(enumerate(calls), report)]


def test_results_come_in_order_with_reports() -> None:
    reports: list[int] = []
    calls = [Call(slow, (0,)), None, *(Call(double, (n,)) for n in range(5))]
    assert results(2, *calls, report=reports.append) == [0, None, 0, 2, 4, 6, 8]
    assert sorted(reports) == [0, 1, 2, 3, 4]


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    calls = [Call(die, (tmp_path / "a", 1)), Call(double, (4,)), Call(die, (tmp_path / "b", 2))]
    assert results(1, *calls) == ["alive after 1", 8, "alive after 2"]


def test_a_worker_that_always_dies_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="died 3 times"):
        results(1, Call(die, (tmp_path / "a", 99)))
    assert (tmp_path / "a").read_bytes() == b"xxx"


def test_the_status_that_is_told_is_its_own() -> None:
    """Its output is closed before it has ended."""
    with pytest.raises(WorkerError, match=r"exit status 7\)"):
        results(1, Call(end_slowly, (7,)))


def test_a_worker_that_is_gone_when_it_gets_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """That pipe is broken, and it is not the one of the output."""
    monkeypatch.setattr("lvc.workers._send", gone)
    with pytest.raises(WorkerError, match="died 3 times") as failed:
        results(1, Call(double, (1,)))
    assert not isinstance(failed.value.__cause__, BrokenPipeError)


def gone(*_: object) -> None:
    raise BrokenPipeError


def test_a_worker_that_cannot_be_started_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        if started:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(original(*arguments, **options))
        return started[0]

    monkeypatch.setattr("lvc.workers.subprocess.Popen", start)
    with pytest.raises(WorkerError, match="cannot be started: Resource temporarily"):
        results(2, Call(double, (1,)))
    assert started[0].poll() is not None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_temporary_folder_is_an_output_error(folder: Path) -> None:
    with (folder / "in.lvc").open("rb") as stream:
        reader = Reader(stream)
        group = next(item for item in reader if isinstance(item, GopChunk))
    arguments = (folder / "tiny.lvcm", reader.header.info, "cpu", False, 3, 1, group, Path("/dev/full"))
    with pytest.raises(OutputError, match="the disk is full"):
        results(1, Call(_decode_in_worker, arguments))


def test_errors_come_back() -> None:
    with pytest.raises(FormatError, match=r"damaged \(at byte 17\)"):
        results(1, Call(damaged, ()))
    with pytest.raises(WorkerError, match="ZeroDivisionError"):
        results(1, Call(broken, ()))


def test_leaving_ends_all_processes() -> None:
    pids: list[int] = []

    def stop(pid: int) -> None:
        pids.append(pid)
        if len(pids) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        results(2, Call(forever, ()), Call(forever, ()), report=stop)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_not_more_is_taken_than_is_worked_on() -> None:
    taken = 0

    def calls() -> Iterator[tuple[int, Call]]:
        nonlocal taken
        for number in range(20):
            taken += 1
            yield number, Call(double, (number,))

    with Workers(1, "tests.worker_calls", ROOT) as workers:
        for number, _ in workers.in_order(calls()):
            assert taken <= number + 2


@pytest.mark.parametrize(("size", "bit_depth"), [((33, 17), 8), ((16, 16), 10)])
def test_spooled_frames(tmp_path: Path, size: tuple[int, int], bit_depth: int) -> None:
    frames = [
        Frame(frame.planes, -5 * frame.pts, frame.pts) for frame in clip_frames("pan", *size, 3, bit_depth=bit_depth)
    ]
    info = clip_info(*size, 3, bit_depth=bit_depth)
    assert write_frames(tmp_path / "spool", info, frames) == 3
    for before, after in zip(frames, read_frames(tmp_path / "spool", info), strict=True):
        assert (before.pts, before.duration) == (after.pts, after.duration)
        assert all((a == b).all() for a, b in zip(before.planes, after.planes, strict=True))


# Encoding


class Clip:
    """Frames with side data after each."""

    def __init__(self, count: int) -> None:
        self.info = clip_info(32, 32, count)
        self._frames = clip_frames("cuts", 32, 32, count)
        self._side = [b"head"]

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self._side.append(b"side %d" % frame.pts)
            yield frame

    def take_side(self) -> bytes | None:
        return self._side.pop(0) if self._side else None


def test_encoding_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "tiny.lvcm").write_bytes(tiny_bytes())
    files, reports = [], []
    for workers in (1, 2, 3):
        seen: list[Progress] = []
        sink = io.BytesIO()
        with processes(workers, 1, "lvc.encoder.stretch") as started:
            result = encode_stream(
                Clip(20),
                sink,
                model=tiny_model(),
                settings=EncoderSettings(keyint=3, preset="fast"),
                crew=crew_of(started, workers, tmp_path / "tiny.lvcm", 1),
                verify=workers == 3,
                progress=seen.append,
            )
        files.append(sink.getvalue())
        reports.append(seen)
        assert result.frames == 20
        assert result.bytes == len(sink.getvalue()) == sum(result.parts.values())
        assert (result.verify_seconds > 0) is (workers == 3)
    assert files[0] == files[1] == files[2]
    assert [report.frames for report in reports[2]] == list(range(1, 21))
    assert reports[2][-1].media_seconds == pytest.approx(20 / 25)


# Through the library


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers")
    (folder / "tiny.lvcm").write_bytes(tiny_bytes())
    make_clip(folder / "in.y4m", "cuts", width=48, height=32, frames=12)
    lvc.encode(folder / "in.y4m", folder / "in.lvc", keyint=3, model=folder / "tiny.lvcm", device="cpu")
    return folder


def test_decoding_gives_the_same_pictures(folder: Path) -> None:
    files = []
    for workers in (1, 2):
        sink = io.BytesIO()
        result = lvc.decode(
            folder / "in.lvc", sink, workers=workers, threads=1, model=folder / "tiny.lvcm", device="cpu"
        )
        assert result.frames == 12
        files.append(sink.getvalue())
    assert files[0] == files[1]


def test_a_part_decoded_by_workers(folder: Path) -> None:
    for span, frames in ((Span(Fraction("0.2")), 7), (Span(Fraction("0.2"), 4), 4)):
        files = []
        for workers in (1, 2):
            options = {"workers": workers, "threads": 1, "span": span, "model": folder / "tiny.lvcm", "device": "cpu"}
            files.append(io.BytesIO())
            result = lvc.decode(folder / "in.lvc", files[-1], **options)  # type: ignore[arg-type]
            assert result.frames == frames
        assert files[0].getvalue() == files[1].getvalue()


def test_workers_do_not_decode_with_another_model(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.lvcm"
    other.write_bytes(tiny_bytes(seed=2))
    for workers in (1, 2):
        with pytest.raises(ModelError, match="encoded with another model"):
            lvc.decode(folder / "in.lvc", io.BytesIO(), workers=workers, model=other, device="cpu")


def test_the_process_that_only_waits_for_workers_imports_nothing_heavy(folder: Path, tmp_path: Path) -> None:
    code = (
        "import lvc, sys\n"
        f"lvc.decode({str(folder / 'in.lvc')!r}, {str(tmp_path / 'out.y4m')!r}, workers=2,"
        f" model={str(folder / 'tiny.lvcm')!r}, device='cpu')\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_a_number_there_is_a_process_for_each_core(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    original = Workers.__enter__

    def noted(self: Workers) -> Workers:
        started.append(self._count)
        return original(self)

    monkeypatch.setattr("lvc.compute.usable_cores", lambda: 3)
    monkeypatch.setattr("lvc.compute.WORTH_SAMPLES", 1)
    monkeypatch.setattr(Workers, "__enter__", noted)
    fixed: dict[str, Any] = {"model": folder / "tiny.lvcm", "device": "cpu"}
    coding = {**fixed, "keyint": 4, "preset": "fast", "workers": None}
    source, whole = tmp_path / "in.mkv", tmp_path / "one.lvc"
    make_clip(source, "cuts", width=48, height=32, frames=12)
    lvc.encode(source, whole, **{**coding, "workers": 1})
    lvc.encode(source, tmp_path / "out.lvc", **coding)
    assert started == [3]
    assert (tmp_path / "out.lvc").read_bytes() == whole.read_bytes()
    lvc.encode(source, tmp_path / "two.lvc", threads=2, **coding)
    assert started == [3]  # three cores are enough for one process of two threads
    one, several = io.BytesIO(), io.BytesIO()
    lvc.decode(whole, one, **fixed)
    lvc.decode(whole, several, workers=None, **fixed)
    assert started == [3, 3]
    assert one.getvalue() == several.getvalue()
    # where one does not know how long it is, where little is wanted, or each group waits for the one before
    lvc.encode(io.BytesIO(source.read_bytes()), io.BytesIO(), **coding)
    lvc.encode(source, io.BytesIO(), edit=Edit(Span(frames=3)), **coding)
    lvc.encode(source, io.BytesIO(), target=Target(bitrate=50e3), passes=1, **coding)
    lvc.decode(whole, io.BytesIO(), workers=None, span=Span(frames=4), **fixed)
    lvc.decode(whole, io.BytesIO(), workers=None, span=Span(Fraction("0.2")), **fixed)
    lvc.decode(whole, io.BytesIO(), workers=None, batch=2, **fixed)
    assert started == [3, 3]


def test_damage_is_told_by_workers_too(folder: Path) -> None:
    data = bytearray((folder / "in.lvc").read_bytes())
    second = [item for item in Reader(io.BytesIO(bytes(data))) if isinstance(item, GopChunk)][1]
    data[second.position + second.size - 20] ^= 1
    results = []
    for workers in (1, 2):
        options = {"workers": workers, "model": folder / "tiny.lvcm", "device": "cpu", "keep_going": True}
        results.append(lvc.decode(io.BytesIO(data), io.BytesIO(), **options))  # type: ignore[arg-type]
    assert results[0] == results[1]
    assert results[0].frames < 12
    assert results[0].damage


def test_a_worker_that_is_killed_while_it_encodes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    killed: list[subprocess.Popen[bytes]] = []
    original = Workers._process

    def noted(self: Workers, index: int) -> subprocess.Popen[bytes]:
        process = original(self, index)
        if process not in started:
            started.append(process)
        return process

    def kill(_: Progress) -> None:
        if not killed:
            killed.extend(started)
            for process in killed:
                process.kill()

    monkeypatch.setattr(Workers, "_process", noted)
    options = {"keyint": 3, "model": folder / "tiny.lvcm", "device": "cpu", "threads": 1, "workers": 2}
    lvc.encode(folder / "in.y4m", tmp_path / "out.lvc", progress=kill, **options)  # type: ignore[arg-type]
    assert len(killed) == 2
    assert len(started) > len(killed)
    assert (tmp_path / "out.lvc").read_bytes() == (folder / "in.lvc").read_bytes()


def test_encoding_and_resuming_with_workers(folder: Path, tmp_path: Path) -> None:
    options = {"keyint": 3, "model": folder / "tiny.lvcm", "device": "cpu", "threads": 1, "workers": 2, "resume": True}
    whole = (folder / "in.lvc").read_bytes()

    def stop(progress: Progress) -> None:
        if progress.frames >= 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lvc.encode(folder / "in.y4m", tmp_path / "out.lvc", progress=stop, **options)  # type: ignore[arg-type]
    assert [path.name[:5] for path in tmp_path.iterdir()] == [".out."]
    lvc.encode(folder / "in.y4m", tmp_path / "out.lvc", **options)  # type: ignore[arg-type]
    assert (tmp_path / "out.lvc").read_bytes() == whole
