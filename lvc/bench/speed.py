"""``lvc bench --speed``: how fast lvc and its peers are at common sizes, on each device, in turn in one run."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from lvc.bench import memory
from lvc.bench.clips import Clip, find_clips
from lvc.bench.codecs import CodecSpec, parse_codec
from lvc.bench.measure import Conditions, peer_settings
from lvc.bench.ours import OurStream
from lvc.bench.stages import macs, stage_seconds
from lvc.bench.workers import Workers
from lvc.errors import OutputError
from lvc.media import VideoReader, VideoWriter, peers
from lvc.media.scaling import scaled, scaled_info
from lvc.scratch import scratch_folder

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
LEAST_FRAMES = 9
"""Large pictures are coded fewer at a time, about as many samples as at 360p; a group needs some."""
ROUNDS = 2
"""Every codec has its turn this often; the faster time counts, the others waited for something else."""


@dataclass(frozen=True)
class SpeedRow:
    """One codec at one size on one device.

    Attributes:
        size: a key of ``SIZES``.
        codec: its name.
        device: ``cpu`` or ``cuda``.
        threads: 1, or 0 for all.
        frames: coded.
        kbps: rate at which it was measured.
        encode_fps, decode_fps: frames per second of wall time, without reading the source and comparing.
        encode_peak_bytes, decode_peak_bytes: of the whole process; None where the system does not say.
        encode_stages, decode_stages: milliseconds per frame by stage; of lvc only.
        encode_macs, decode_macs: multiply-accumulates per luma sample; of lvc only.
        error: why there is no result.
    """

    size: str
    codec: str
    device: str
    threads: int
    frames: int = 0
    kbps: float = 0.0
    encode_fps: float = 0.0
    decode_fps: float = 0.0
    encode_peak_bytes: int | None = None
    decode_peak_bytes: int | None = None
    encode_stages: dict[str, float] | None = None
    decode_stages: dict[str, float] | None = None
    encode_macs: float | None = None
    decode_macs: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Turn:
    """One codec, one size, one device."""

    size: str
    spec: CodecSpec
    device: str


@dataclass(frozen=True)
class _Timing:
    """What one turn took."""

    bytes: int
    encode_seconds: float
    decode_seconds: float
    encode_peak: int | None
    decode_peak: int | None


def measure_speed(
    clip: Path,
    codecs: Sequence[str],
    threads: int,
    frames: int,
    folder: Path,
    on_turn: Callable[[str], None] | None = None,
) -> list[SpeedRow]:
    """Run everything and write ``speed.jsonl`` into the folder.

    The clip, or the first one of a folder, is scaled to each size, whatever its shape. Each codec runs at the middle of
    its points. Peers run on the CPU only.

    Args:
        threads: 1, or 0 for all.
        frames: from the start of the clip, at 360p; fewer of larger sizes, see LEAST_FRAMES.
        on_turn: called with a line on what comes next.

    Raises:
        CodecStringError: a codec string does not parse.
        InputError: the clip cannot be read.
        OutputError: the folder cannot be written.
    """
    specs = [parse_codec(text) for text in codecs]
    clip = find_clips([clip])[0].path
    rows: list[SpeedRow] = []
    with scratch_folder() as temporary:
        for size, (width, height) in SIZES.items():
            path = temporary / f"{size}.y4m"
            some = max(min(frames, LEAST_FRAMES), round(frames * 640 * 360 / (width * height)))
            count = _write_scaled(clip, path, width, height, min(frames, some))
            turns = [_Turn(size, spec, device) for spec in specs for device in _devices(spec)]
            rows += list(_measure_size(turns, Clip(path, count), threads, on_turn))
            path.unlink()
    _save(rows, folder, clip)
    return rows


def speed_text(rows: Sequence[SpeedRow]) -> str:
    """A table for the terminal."""
    titles = ["size", "codec", "device", "threads", "kb/s", "encode/s", "decode/s"]
    titles += ["MiB enc", "MiB dec", "MAC/px enc", "MAC/px dec"]
    form = "{:6} {:22} {:6} {:>7} {:>8} {:>9} {:>9} {:>8} {:>8} {:>10} {:>10}"
    lines = [form.format(*titles)]
    lines.append("-" * len(lines[0]))
    for row in rows:
        head = (row.size, row.codec, row.device, row.threads or "all")
        figures = (f"{row.kbps:.0f}", f"{row.encode_fps:.2f}", f"{row.decode_fps:.2f}")
        memories = (_mebibytes(row.encode_peak_bytes), _mebibytes(row.decode_peak_bytes))
        counts = (_count(row.encode_macs), _count(row.decode_macs))
        if row.error:
            lines.append(" ".join(map(str, (*head, row.error))))
        else:
            lines.append(form.format(*head, *figures, *memories, *counts))
    for row in rows:
        for name, stages in (("encode", row.encode_stages), ("decode", row.decode_stages)):
            if stages:
                text = ", ".join(f"{stage} {value:.1f}" for stage, value in stages.items())
                lines.append(f"{row.size} {row.codec} {row.device} {name}, ms per frame: {text}")
    return "\n".join(lines)


def _mebibytes(value: int | None) -> str:
    return "–" if value is None else f"{value / 2**20:.0f}"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _devices(spec: CodecSpec) -> list[str]:
    if not spec.is_ours:
        return ["cpu"]
    import torch

    return ["cpu", "cuda"] if torch.cuda.device_count() else ["cpu"]


def _write_scaled(clip: Path, path: Path, width: int, height: int, frames: int) -> int:
    """Scale the first frames into a y4m file; how many there were."""
    count = 0
    with (
        VideoReader(clip) as reader,
        VideoWriter(path, scaled_info(reader.info, width, height), format="y4m") as writer,
    ):
        for frame in islice(reader, frames):
            writer.write(scaled(frame, reader.info, width, height))
            count += 1
    return count


def _measure_size(
    turns: Sequence[_Turn], clip: Clip, threads: int, on_turn: Callable[[str], None] | None
) -> Iterator[SpeedRow]:
    timings: dict[_Turn, list[_Timing]] = {turn: [] for turn in turns}
    errors: dict[_Turn, str] = {}
    for number in range(ROUNDS):
        for turn in turns:
            if turn in errors:
                continue
            if on_turn is not None:
                on_turn(f"{turn.size} {turn.spec.name} {turn.device}, turn {number + 1} of {ROUNDS}")
            answer = _isolated(_time, turn, clip, threads)
            if isinstance(answer, _Timing):
                timings[turn].append(answer)
            else:
                errors[turn] = str(answer)
    for turn in turns:
        extra: dict[str, object] = {}
        if turn.spec.is_ours and turn not in errors:
            if on_turn is not None:
                on_turn(f"{turn.size} {turn.spec.name} {turn.device}, stages and multiplications")
            answer = _isolated(_profile, turn, clip, threads)
            if isinstance(answer, dict):
                extra = answer
            else:
                errors[turn] = str(answer)
        yield _row(turn, clip, threads, timings[turn], errors.get(turn), extra)


def _row(
    turn: _Turn, clip: Clip, threads: int, timings: Sequence[_Timing], error: str | None, extra: dict[str, object]
) -> SpeedRow:
    head = {"size": turn.size, "codec": turn.spec.name, "device": turn.device, "threads": threads}
    if error is not None:
        return SpeedRow(**head, error=error)  # type: ignore[arg-type]
    frames = clip.frames or 0
    seconds = frames / float(clip.info.frame_rate or 25)
    return SpeedRow(
        **head,  # type: ignore[arg-type]
        frames=frames,
        kbps=timings[0].bytes * 8 / 1000 / seconds,
        encode_fps=frames / min(timing.encode_seconds for timing in timings),
        decode_fps=frames / min(timing.decode_seconds for timing in timings),
        encode_peak_bytes=timings[0].encode_peak,
        decode_peak_bytes=timings[0].decode_peak,
        **extra,  # type: ignore[arg-type]
    )


def _isolated(function: Callable[..., object], *arguments: object) -> object:
    """Run in a process of its own; the result, or the LvcError."""
    with Workers[None](1, ("lvc.bench.speed",)) as workers:
        workers.start(None, function, *arguments)
        return next(answer for _, answer in workers.finished())


def _middle(spec: CodecSpec) -> float:
    return spec.points[len(spec.points) // 2]


def _time(turn: _Turn, clip: Clip, threads: int) -> _Timing:
    memory.reset_peak()
    point = _middle(turn.spec)
    if turn.spec.is_ours:
        _warm_up(turn, clip, threads)
        memory.reset_peak()
        ours = OurStream.encode(clip, turn.spec, point, threads, device=turn.device)
        encode_peak = memory.peak_bytes()
        memory.reset_peak()
        for _ in ours.decode():
            pass
        return _Timing(ours.size, ours.encode_seconds, ours.decode_seconds, encode_peak, memory.peak_bytes())
    settings = peer_settings(turn.spec, point, Conditions(threads=threads))
    stream = peers.encode(settings, clip.info, clip.read())
    encode_peak = memory.peak_bytes()
    memory.reset_peak()
    for _ in peers.decode(stream):
        pass
    return _Timing(stream.size, stream.encode_seconds, stream.decode_seconds, encode_peak, memory.peak_bytes())


def _warm_up(turn: _Turn, clip: Clip, threads: int) -> None:
    """Two frames there and back: loading the model and choosing kernels is not speed."""
    short = Clip(clip.path, min(2, clip.frames or 2))
    for _ in OurStream.encode(short, turn.spec, _middle(turn.spec), threads, device=turn.device).decode():
        pass


def _profile(turn: _Turn, clip: Clip, threads: int) -> dict[str, object]:
    """Milliseconds per frame by stage and multiplications per luma sample, over at most eight frames."""
    _warm_up(turn, clip, threads)
    short = Clip(clip.path, min(8, clip.frames or 8))
    frames = short.frames or 1
    streams: list[OurStream] = []

    def encode() -> None:
        streams.append(OurStream.encode(short, turn.spec, _middle(turn.spec), threads, device=turn.device))

    def decode() -> None:
        for _ in streams[0].decode():
            pass

    encode_stages, decode_stages = stage_seconds(encode), stage_seconds(decode)
    samples = frames * short.info.width * short.info.height
    return {
        "encode_stages": {name: round(1000 * value / frames, 3) for name, value in encode_stages.items()},
        "decode_stages": {name: round(1000 * value / frames, 3) for name, value in decode_stages.items()},
        "encode_macs": macs(encode) / samples,
        "decode_macs": macs(decode) / samples,
    }


def _save(rows: Sequence[SpeedRow], folder: Path, clip: Path) -> None:
    date = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({**asdict(row), "clip": clip.name, "date": date}) + "\n" for row in rows]
        (folder / "speed.jsonl").write_text("".join(lines), "utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}.") from error
