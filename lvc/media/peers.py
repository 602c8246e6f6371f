"""The codecs that people use, in process through PyAV, for ``lvc bench`` to measure against.

They run as they come: the preset's own B-frames, references and lookahead, no tuning, no low-latency switches. What is
set is what makes runs comparable: constant rate factor, a key interval longer than the clip, the number of threads,
and, only where ``one_intra`` asks for it, no further intra pictures at scene cuts.

PyAV asks every encoder for slice threads, which x264 takes as ``sliced-threads``, a low-delay setting that costs it
rate; frame threads are asked for here, as the ``ffmpeg`` command does.

x264 build 165 with AVX-512 and weighted prediction does not quite repeat itself on some widths that are no multiple of
64 (848, 1232): the same frames give sizes up to 0.7 % apart. It is left as people run it.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import av

from lvc.errors import LvcError
from lvc.media.pictures import DEPTH_OF_FORMAT, FORMAT_OF_DEPTH, picture_of, planes_of
from lvc.media.priority import usual_priority
from lvc.video import Frame, Plane, VideoInfo

KEY_INTERVAL = 9999
"""Frames between intra pictures: one per clip in practice."""


class PeerError(LvcError):
    """A peer codec that this PyAV build lacks, or that fails on one clip."""


@dataclass(frozen=True)
class _Codec:
    """How one peer is called.

    Attributes:
        encoder: name of FFmpeg's encoder.
        decoders: names of FFmpeg's decoders, the first that the build has is taken.
        preset_option: name of the option that the preset goes to.
        preset: where none is given: the encoder's default of x264, x265 and vp9; a usual middle for svtav1.
        rates: constant rate factors where none are given, from high quality to low.
        presets: allowed preset names.
        highest_rate: the largest constant rate factor.
        tunes: values of ``tune`` that lvc bench takes.
        whole: whether rate factors are whole numbers; the encoder rounds others without a word.
    """

    encoder: str
    decoders: tuple[str, ...]
    preset_option: str
    preset: str
    presets: tuple[str, ...]
    rates: tuple[float, ...]
    highest_rate: float
    tunes: tuple[str, ...] = ()
    whole: bool = False


_NAMED_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_RATES = (22.0, 27.0, 32.0, 37.0, 42.0)
_TUNES = ("psnr", "ssim", "grain", "animation")

CODECS = {
    "x264": _Codec("libx264", ("h264",), "preset", "medium", _NAMED_PRESETS, _RATES, 51, _TUNES),
    "x265": _Codec("libx265", ("hevc",), "preset", "medium", _NAMED_PRESETS, _RATES, 51, _TUNES),
    "svtav1": _Codec(
        encoder="libsvtav1",
        decoders=("libdav1d", "av1"),
        preset_option="preset",
        preset="8",
        presets=tuple(map(str, range(-1, 14))),
        rates=(30, 40, 50, 57, 63),
        highest_rate=63,
        whole=True,
    ),
    "vp9": _Codec(
        encoder="libvpx-vp9",
        decoders=("vp9",),
        preset_option="cpu-used",
        preset="1",
        presets=tuple(map(str, range(9))),
        rates=(30, 40, 48, 56, 63),
        highest_rate=63,
        whole=True,
    ),
}
"""Peers by the name that codec strings use. Rates: five points over roughly the same qualities in all."""


@dataclass(frozen=True)
class PeerSettings:
    """One peer at one point.

    Attributes:
        codec: a key of ``CODECS``.
        preset: a preset of that codec.
        rate_factor: its constant rate factor (CRF).
        threads: 1 for one, 0 for as many as the codec takes by itself.
        one_intra: no intra pictures but the first, even at scene cuts.
        tune: one of the codec's ``tunes``; None for what it does by itself, which in x264 and x265 spends bits on looks
            that PSNR does not see.
    """

    codec: str
    preset: str
    rate_factor: float
    threads: int = 1
    one_intra: bool = False
    tune: str | None = None


@dataclass
class PeerStream:
    """An encoded clip in memory.

    Attributes:
        settings: what made it.
        packets: the elementary stream in decoding order, parameter sets within the first packet.
        frame_sizes: bytes of each picture in display order (hidden pictures count with the one they are sent with).
        settings_text_size: bytes of the first packet that only hold the encoder's name and settings as text (user
            data SEI, of x264 and x265). No decoder looks at them, so ``size`` leaves them out: on a few dozen frames
            they would cost the peer up to several per cent.
        settings_text: that text.
        encode_seconds, encode_cpu_seconds: wall and processor time inside the encoder.
        decode_seconds: wall time inside the decoder, filled while :func:`decode` runs.
    """

    settings: PeerSettings
    bit_depth: int
    packets: list[bytes] = field(default_factory=list)
    frame_sizes: list[int] = field(default_factory=list)
    settings_text_size: int = 0
    settings_text: str = ""
    encode_seconds: float = 0.0
    encode_cpu_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def size(self) -> int:
        """Bytes of the elementary stream with its parameter sets, less ``settings_text_size``."""
        return sum(map(len, self.packets)) - self.settings_text_size


def is_available(codec: str) -> bool:
    """Whether this PyAV build can encode and decode with a codec of ``CODECS``."""
    entry = CODECS[codec]
    return _has(entry.encoder, "w") and any(_has(name, "r") for name in entry.decoders)


def library_version() -> str:
    """Identity of the libraries behind the peers, such as ``av 18.1.0 libavcodec 62.28.102``."""
    return f"av {av.__version__} libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


def encode(settings: PeerSettings, info: VideoInfo, frames: Iterable[Frame]) -> PeerStream:
    """Encode a clip, with one frame held at a time beside what the encoder itself holds.

    Args:
        info: size, bit depth and frame rate of ``frames``; 25 frames/s where it is unknown. Frames are numbered at that
            rate, whatever their times.

    Raises:
        PeerError: codec missing in this build, or it refuses this clip or its settings; no frames.
    """
    context = _open_encoder(settings, info)
    stream = PeerStream(settings, info.bit_depth)
    sizes: dict[int, int] = {}
    count = 0

    def take(picture: av.VideoFrame | None) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        packets = context.encode(picture)
        stream.encode_seconds += time.perf_counter() - wall
        stream.encode_cpu_seconds += time.process_time() - cpu
        for packet in packets:
            data = bytes(packet)
            if data:
                stream.packets.append(data)
                sizes[int(packet.pts or 0)] = sizes.get(int(packet.pts or 0), 0) + len(data)

    try:
        for frame in frames:
            picture = picture_of(list(frame.planes), info.bit_depth, info.width, info.height)
            picture.pts, picture.time_base = count, context.time_base
            take(picture)
            count += 1
        if count:
            take(None)
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise PeerError(f"{settings.codec} fails on this clip: {error}") from error
    if not count:
        raise PeerError(f"{settings.codec} got no frames")
    stream.frame_sizes = [sizes.get(index, 0) for index in range(count)]
    stream.settings_text_size, stream.settings_text = _settings_text(settings.codec, stream.packets[0])
    return stream


def decode(stream: PeerStream) -> Iterator[list[Plane]]:
    """Planes Y, U, V of each picture in display order, uint16 with values of the stream's own bit depth.

    Raises:
        PeerError: the stream does not decode to as many pictures as went in.
    """
    settings = stream.settings
    name = next((name for name in CODECS[settings.codec].decoders if _has(name, "r")), None)
    if name is None:
        raise PeerError(f"this PyAV build has no decoder for {settings.codec}")
    context = av.CodecContext.create(name, "r")
    if not isinstance(context, av.VideoCodecContext):
        raise PeerError(f"{name} is not a video decoder")
    context.thread_count = settings.threads
    context.thread_type = "AUTO"
    stream.decode_seconds = 0.0
    count = 0
    packets: list[av.Packet[Any] | None] = [av.Packet(data) for data in stream.packets]
    for packet in [*packets, None]:
        start = time.perf_counter()
        try:
            pictures = context.decode(packet)
        except av.FFmpegError as error:
            raise PeerError(f"{settings.codec} does not decode what it encoded: {error}") from error
        stream.decode_seconds += time.perf_counter() - start
        for picture in pictures:
            count += 1
            if DEPTH_OF_FORMAT.get(picture.format.name) != stream.bit_depth:
                raise PeerError(f"{settings.codec} decodes to {picture.format.name}")
            yield planes_of(picture)
    if count != len(stream.frame_sizes):
        raise PeerError(f"{settings.codec} decodes to {count} pictures of {len(stream.frame_sizes)}")


def _has(name: str, mode: Literal["r", "w"]) -> bool:
    try:
        av.Codec(name, mode)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _open_encoder(settings: PeerSettings, info: VideoInfo) -> av.VideoCodecContext:
    entry = CODECS[settings.codec]
    if not is_available(settings.codec):
        raise PeerError(f"this PyAV build has no {entry.encoder}")
    context = av.CodecContext.create(entry.encoder, "w")
    if not isinstance(context, av.VideoCodecContext):
        raise PeerError(f"{entry.encoder} is not a video encoder")
    rate = info.frame_rate or Fraction(25)
    context.width, context.height = info.width, info.height
    context.pix_fmt = FORMAT_OF_DEPTH[info.bit_depth]
    context.framerate = rate
    context.time_base = 1 / rate
    context.gop_size = KEY_INTERVAL
    context.thread_type = "FRAME"
    context.thread_count = settings.threads
    context.options = {
        entry.preset_option: settings.preset,
        "crf": f"{settings.rate_factor:g}",
        **_special_options(settings),
    }
    if settings.tune is not None:
        context.options = {**context.options, "tune": settings.tune}
    try:
        with usual_priority():
            context.open()
    except (av.FFmpegError, ValueError) as error:
        raise PeerError(f"{settings.codec} refuses {info.width}x{info.height} at these settings: {error}") from error
    return context


def _special_options(settings: PeerSettings) -> dict[str, str]:
    """What each encoder calls threads, quiet, and no intra pictures at scene cuts."""
    single = settings.threads == 1
    if settings.codec == "x264":
        return {"x264-params": "scenecut=0"} if settings.one_intra else {}
    if settings.codec == "x265":
        # x265 does not look at FFmpeg's number of threads. WPP stays on, as by default.
        parameters = ["log-level=error"]
        parameters += ["pools=1", "frame-threads=1"] if single else []
        parameters += ["scenecut=0"] if settings.one_intra else []
        return {"x265-params": ":".join(parameters)}
    if settings.codec == "svtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only; the library writes to stderr by itself
        return {"svtav1-params": "lp=1"} if single else {}
    return {} if single else {"row-mt": "1"}


def _settings_text(codec: str, packet: bytes) -> tuple[int, str]:
    """Size and text of the unregistered user data SEI units (H.264 annex D.1.7, H.265 annex D.2.7) of a packet."""
    if codec not in ("x264", "x265"):
        return 0, ""
    starts = [match.start() for match in re.finditer(rb"\x00?\x00\x00\x01", packet)]
    size, text = 0, b""
    for start, end in zip(starts, [*starts[1:], len(packet)], strict=True):
        unit = packet[start:end].lstrip(b"\x00")[1:]
        if codec == "x264":
            is_sei, payload = unit[:1] and unit[0] & 31 == 6, unit[1:]
        else:
            is_sei, payload = unit[:1] and unit[0] >> 1 & 63 == 39, unit[2:]
        if is_sei and payload[:1] == b"\x05":
            size += end - start
            text += payload
    printable = re.search(rb"x26[45][ -~]+", text)
    return size, printable.group().decode("ascii").strip() if printable else ""
