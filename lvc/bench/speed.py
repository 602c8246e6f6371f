"""``lvc bench --speed``: how fast lvc and its peers are at common sizes, on each device, in turn in one run."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from lvc.bench import memory
from lvc.bench.clips import Clip
from lvc.bench.codecs import CodecSpec
from lvc.bench.measure import Conditions, peer_settings
from lvc.bench.ours import OurStream
from lvc.bench.progress import BenchProgress
from lvc.bench.session import find_all_clips, parse_codecs
from lvc.bench.stages import macs, stage_seconds
from lvc.bench.workers import Workers
from lvc.errors import InputError, LvcError, OutputError
from lvc.media import VideoReader, VideoWriter, peers
from lvc.media.scaling import scaled, scaled_info
from lvc.output import write_file
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


@dataclass
class SpeedPlan:
    """What there is to measure, and how.

    Attributes:
        clip: the one clip.
        specs: codecs, each at the middle of its points.
        threads: 1, or 0 for all.
        frames: from the start of the clip, at 360p; fewer of larger sizes, see LEAST_FRAMES. None: all, at all sizes.
        device: on which lvc runs: ``cpu``, ``cuda``, or ``auto`` for each that is there. Peers run on the CPU.
        failures: one sentence for each clip or codec that is left out.
        notes: what else the user should know.
    """

    clip: Clip
    specs: list[CodecSpec]
    threads: int
    frames: int | None
    device: str
    failures: list[str]
    notes: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """All of it in one sentence, to be printed with every result."""
        name = self.clip.path.name
        if self.frames is None:
            frames = f"all frames of {name}"
        else:
            frames = f"the first {self.frames} frames of {name}, fewer of sizes over 360p"
        threads = "one thread" if self.threads == 1 else "all threads"
        device = "on each device" if self.device == "auto" else f"on {self.device}"
        return (
            f"speed: {frames}, scaled to {', '.join(SIZES)}, every codec at the middle of its points, {threads}, "
            f"lvc {device}; wall time without reading and comparing, the faster of {ROUNDS} turns"
        )

    def frames_at(self, size: str) -> int | None:
        """Frames to code at a size; None for all."""
        width, height = SIZES[size]
        if self.frames is None:
            return None
        some = max(LEAST_FRAMES, round(self.frames * 640 * 360 / (width * height)))
        return min(self.frames, some)

    def weight(self, size: str) -> int:
        """Luma samples to code in each turn, for estimates of time."""
        width, height = SIZES[size]
        known = self.clip.info.frames
        frames = self.frames_at(size) or known or 100
        return width * height * min(frames, known or frames)

    def turns(self, size: str) -> list[_Turn]:
        """Who has a turn at a size, in order."""
        return [_Turn(size, spec, device) for spec in self.specs for device in _devices(spec, self.device)]


def plan_speed(
    clips: Sequence[Path], codecs: Sequence[str], threads: int, frames: int | None, device: str = "auto"
) -> SpeedPlan:
    """Take the first clip of files and folders that can be read, and all codecs that have a speed.

    Raises:
        NoCodecError: not one codec string parses.
        InputError: nothing is left to measure.
    """
    failures: list[str] = []
    specs = parse_codecs(codecs, failures)
    failures += [f"{spec.name}: no decoder reads what lacks a part; skipped" for spec in specs if spec.ablate]
    specs = [spec for spec in specs if not spec.ablate]
    if not specs:
        raise InputError("nothing to measure: " + " ".join(failures))
    found = []
    for clip in find_all_clips(clips, None, failures):
        try:
            clip.info  # noqa: B018 -- whether it can be read
        except LvcError as error:
            failures.append(f"{error} Skipped.")
        else:
            found.append(clip)
    if not found:
        raise InputError("nothing to measure: " + " ".join(failures))
    plan = SpeedPlan(found[0], specs, threads, frames, device, failures)
    if len(found) > 1:
        plan.notes.append(f"speed is measured on one clip, the first of {len(found)}")
    return plan


def measure_speed(
    plan: SpeedPlan, folder: Path, *, quiet: bool = False
) -> tuple[list[SpeedRow], KeyboardInterrupt | None]:
    """Run everything, at one size after the other, and write ``speed.jsonl`` into the folder.

    The clip is scaled to each size, whatever its shape.

    Returns:
        All rows, and the Ctrl-C that ended it early, to be raised in the end; those that were finished are kept.

    Raises:
        InputError: the clip is damaged.
        OutputError: the folder cannot be written.
    """
    rows: list[SpeedRow] = []
    _make_folder(folder)
    turns = {size: plan.turns(size) for size in SIZES}
    total = sum(plan.weight(size) * (ROUNDS + turn.spec.is_ours) for size in SIZES for turn in turns[size])
    try:
        with scratch_folder() as temporary, BenchProgress(total, quiet=quiet) as progress:
            for size, (width, height) in SIZES.items():
                path = temporary / f"{size}.y4m"
                count = _write_scaled(plan.clip.path, path, width, height, plan.frames_at(size))
                for row in _measure_size(turns[size], Clip(path, count), plan.threads, plan.weight(size), progress):
                    rows.append(row)
                    _save(rows, folder, plan.clip.path)
                path.unlink()
    except KeyboardInterrupt as error:
        return rows, error
    return rows, None


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


def _devices(spec: CodecSpec, device: str) -> list[str]:
    if not spec.is_ours:
        return ["cpu"]
    if device != "auto":
        return [device]
    import torch

    return ["cpu", "cuda"] if torch.cuda.device_count() else ["cpu"]


def _write_scaled(clip: Path, path: Path, width: int, height: int, frames: int | None) -> int:
    """Scale the first frames, or all, into a y4m file; how many there were."""
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
    turns: Sequence[_Turn], clip: Clip, threads: int, weight: int, progress: BenchProgress
) -> Iterator[SpeedRow]:
    timings: dict[_Turn, list[_Timing]] = {turn: [] for turn in turns}
    errors: dict[_Turn, str] = {}
    for number in range(ROUNDS):
        for turn in turns:
            if turn in errors:
                progress.shrink(weight)
                continue
            progress.begin(f"{turn.size} {turn.spec.name} {turn.device}, turn {number + 1} of {ROUNDS}")
            answer = _isolated(_time, turn, clip, threads)
            progress.advance(weight)
            if isinstance(answer, _Timing):
                timings[turn].append(answer)
            else:
                errors[turn] = str(answer)
    for turn in turns:
        extra: dict[str, object] = {}
        if turn.spec.is_ours and turn in errors:
            progress.shrink(weight)
        elif turn.spec.is_ours:
            progress.begin(f"{turn.size} {turn.spec.name} {turn.device}, stages and multiplications")
            answer = _isolated(_profile, turn, clip, threads)
            progress.advance(weight)
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
        while True:
            for _, answer in workers.finished():  # none where a process that got stuck is started once more
                return answer


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


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}.") from error


def _save(rows: Sequence[SpeedRow], folder: Path, clip: Path) -> None:
    date = datetime.now(UTC).isoformat(timespec="seconds")
    lines = [json.dumps({**asdict(row), "clip": clip.name, "date": date}) + "\n" for row in rows]
    write_file(folder / "speed.jsonl", "".join(lines).encode())
