"""One codec at one point on one clip: code it, decode it, compare every picture, and write the row."""

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import zip_longest
from typing import Any, Protocol

from lvc.bench import memory
from lvc.bench.cache import Row, key_of
from lvc.bench.clips import Clip
from lvc.bench.codecs import CodecSpec
from lvc.bench.metrics import FrameQuality, clip_quality, frame_quality
from lvc.bench.ours import KEY_INTERVAL, OurStream, our_identity
from lvc.errors import LvcError
from lvc.media import filters, peers
from lvc.video import Plane

ROW_VERSION = 4
"""Part of every key: raise it when measures or fields change."""

PER_FRAME = ("psnr", "psnr_y", "psnr_u", "psnr_v", "ssim", "ssim_y", "ssim_u", "ssim_v", "ms_ssim")
"""Measures of :class:`lvc.bench.metrics.FrameQuality` whose value for every frame is kept, beside those of filters."""

FILTER_MEASURES = ("xpsnr", "vmaf")


class MeasureError(LvcError):
    """A codec that does not give back what went in."""


@dataclass(frozen=True)
class Conditions:
    """How every codec of a run is used.

    Attributes:
        name: ``default`` or ``ctc``.
        frames: frames from the start of each clip; None for all.
        threads: 1, or 0 for as many as each codec takes.
        one_intra: exactly one intra picture per clip, if it is not longer than the codec's longest key interval (see
            :meth:`describe`). Otherwise every codec may also place intra pictures at scene cuts as it does by default;
            no codec is given a shorter key interval.
        device: on which lvc runs, ``cpu`` or ``cuda``; peers run on the CPU.
    """

    name: str = "default"
    frames: int | None = None
    threads: int = 1
    one_intra: bool = False
    device: str = "cpu"

    def describe(self) -> str:
        """All of it in one sentence, to be printed with every result."""
        frames = "all frames" if self.frames is None else f"the first {self.frames} frames"
        threads = "one thread" if self.threads == 1 else "all threads"
        intra = "one intra picture"
        if self.frames is None or self.frames > KEY_INTERVAL:
            intra += f" in every {KEY_INTERVAL:,} frames of lvc and {peers.KEY_INTERVAL:,} of its peers"
        if not self.one_intra:
            intra += " and those the encoder puts at scene cuts"
        device = "" if self.device == "cpu" else f", lvc on {self.device}"
        return (
            f"{self.name} conditions: {frames} of each clip, {intra}, 4:2:0 at the source's bit depth "
            "without odd last rows and columns, "
            f"{threads}{device}; "
            "sizes with all headers, without encoders' settings text; PSNR per frame in dB, weighted 6:1:1, averaged"
        )


class Stream(Protocol):
    """An encoded clip of any codec."""

    encode_seconds: float
    decode_seconds: float
    encode_cpu_seconds: float

    @property
    def size(self) -> int:
        """Bytes."""


def row_key(clip: Clip, spec: CodecSpec, point: float, conditions: Conditions) -> str:
    """Hash of all that a row depends on: the clip's bytes, the codec with its version or code, and the conditions.

    Raises:
        InputError: the clip cannot be read.
    """
    how = {**asdict(conditions), "name": ""}
    if not spec.is_ours:
        del how["device"]
    version = our_identity(spec.model) if spec.is_ours else peers.library_version()
    measures = [name for name in FILTER_MEASURES if filters.is_available(name)]
    return key_of(
        {
            "clip": clip.sha256,
            "codec": spec.point_string(point),
            "conditions": how,
            "version": version,
            "row": ROW_VERSION,
            "filters": measures,
        }
    )


def measure(
    clip: Clip,
    spec: CodecSpec,
    point: float,
    conditions: Conditions,
    on_stream: Callable[[bytes], None] | None = None,
    on_middle: Callable[[int, Sequence[Plane]], None] | None = None,
) -> Row:
    """Code, decode and compare one clip at one point.

    Args:
        on_stream: called with the ``.lvc`` file where lvc ran.
        on_middle: called with number and planes of its decoded picture in the middle, if it is known where that is.

    Returns:
        A row of ``results.jsonl``; bits per pixel count luma samples.

    Raises:
        LvcError: the clip cannot be read, or the codec fails on it; see the subclasses.
    """
    info = clip.info
    memory.reset_peak()
    stream, pictures, sizes = _code(clip, spec, point, conditions)
    peak = memory.peak_bytes()
    ours = stream if isinstance(stream, OurStream) and stream.pictures is None else None
    if on_stream is not None and ours is not None:
        on_stream(ours.data)
    middle = min(count for count in (clip.frames, info.frames, 1 << 62) if count) // 2
    frames: list[FrameQuality] = []
    rate = info.frame_rate or Fraction(25)
    reports = _FilterReports(info.width, info.height, info.bit_depth, rate)
    for source, planes in zip_longest(clip.read(), pictures):
        if source is None or planes is None:
            raise MeasureError(f"{spec.name} decodes to {'more' if source is None else 'fewer'} frames than went in")
        if on_middle is not None and ours is not None and len(frames) == middle:
            on_middle(middle, planes)
        frames.append(frame_quality(source.planes, planes, info.bit_depth))
        reports.add(source.planes, planes)
    count = len(frames)
    seconds = count / float(rate)
    by_filters = reports.finish()
    per_frame: dict[str, Any] = {
        name: [_short(values[name]) for values in (frame.as_dict() for frame in frames)] for name in PER_FRAME
    }
    per_frame |= {name: [_short(value) for value in values] for name, values in by_filters.items()}
    per_frame["bytes"] = sizes
    metrics = clip_quality(frames) | {name: sum(values) / len(values) for name, values in by_filters.items()}
    return {
        "key": row_key(clip, spec, point, conditions),
        "clip": clip.name,
        "clip_sha256": clip.sha256,
        "codec": spec.name,
        "string": spec.point_string(point),
        "point": point,
        "conditions": asdict(conditions),
        "width": info.width,
        "height": info.height,
        "bit_depth": info.bit_depth,
        "frame_rate": float(rate),
        "frames": count,
        "bytes": stream.size,
        "settings_text_bytes": stream.settings_text_size if isinstance(stream, peers.PeerStream) else 0,
        "bpp": stream.size * 8 / (count * info.width * info.height),
        "kbps": stream.size * 8 / 1000 / seconds,
        "metrics": {name: _short(value) for name, value in metrics.items()},
        "missing": reports.missing,
        "per_frame": per_frame,
        "encode_seconds": round(stream.encode_seconds, 4),
        "encode_cpu_seconds": round(stream.encode_cpu_seconds, 4),
        "decode_seconds": round(stream.decode_seconds, 4),
        "encode_fps": round(count / max(stream.encode_seconds, 1e-6), 3),
        "decode_fps": round(count / stream.decode_seconds, 3) if stream.decode_seconds else None,
        "peak_bytes": peak,
        "version": our_identity(spec.model) if spec.is_ours else peers.library_version(),
        "machine": f"{platform.machine()} {platform.system()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def peer_settings(spec: CodecSpec, point: float, conditions: Conditions) -> peers.PeerSettings:
    """Settings of a peer at one point under these conditions."""
    return peers.PeerSettings(spec.codec, spec.preset, point, conditions.threads, conditions.one_intra, spec.tune)


def _code(
    clip: Clip, spec: CodecSpec, point: float, conditions: Conditions
) -> tuple[Stream, Iterator[Sequence[Plane]], list[int]]:
    if spec.is_ours:
        ours = OurStream.encode(clip, spec, point, conditions.threads, conditions.one_intra, conditions.device)
        return ours, ours.decode(), ours.frame_sizes
    stream = peers.encode(peer_settings(spec, point, conditions), clip.info, clip.read())
    return stream, peers.decode(stream), stream.frame_sizes


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


class _FilterReports:
    """XPSNR and VMAF of a clip, with the reason where one is missing."""

    def __init__(self, width: int, height: int, bit_depth: int, rate: Fraction) -> None:
        self.missing: dict[str, str] = {}
        self._comparisons: dict[str, filters.Comparison] = {}
        self._values: dict[str, list[dict[str, str]]] = {}
        for name in FILTER_MEASURES:
            try:
                self._comparisons[name] = filters.Comparison(name, width, height, bit_depth, rate)
                self._values[name] = []
            except filters.FilterError as error:
                self.missing[name] = str(error)

    def add(self, source: Sequence[Plane], decoded: Sequence[Plane]) -> None:
        for name, comparison in list(self._comparisons.items()):
            try:
                self._values[name].append(comparison.add(source, decoded))
            except filters.FilterError as error:
                self.missing[name] = str(error)
                del self._comparisons[name]

    def finish(self) -> dict[str, list[float]]:
        """Values of each frame by the name of the measure."""
        result: dict[str, list[float]] = {}
        for name, comparison in self._comparisons.items():
            rows = [row for row in (*self._values[name], *comparison.finish()) if row]
            result |= _xpsnr(rows) if name == "xpsnr" else _vmaf(rows)
        return {name: values for name, values in result.items() if values}


def _xpsnr(rows: Sequence[dict[str, str]]) -> dict[str, list[float]]:
    """Decibels of each frame: Y, U, V, infinite ones as 100 dB, and (4·Y + U + V) / 6 for 4:2:0."""
    y, u, v = ([min(100.0, float(row[f"lavfi.xpsnr.xpsnr.{plane}"])) for row in rows] for plane in "yuv")
    whole = [(4 * a + b + c) / 6 for a, b, c in zip(y, u, v, strict=True)]
    return {"xpsnr": whole, "xpsnr_y": y, "xpsnr_u": u, "xpsnr_v": v}


def _vmaf(rows: Sequence[dict[str, str]]) -> dict[str, list[float]]:
    return {"vmaf": [float(row["lavfi.vmaf.score"]) for row in rows if "lavfi.vmaf.score" in row]}
