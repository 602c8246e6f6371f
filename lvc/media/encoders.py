"""Which encoder of FFmpeg writes the video of an output file, and how it is set."""

import io
import os
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from lvc.errors import OutputError
from lvc.media.pictures import FORMAT_OF_DEPTH
from lvc.media.priority import usual_priority
from lvc.memory import pass_on_shortage
from lvc.video import VideoInfo

_VISUALLY_LOSSLESS = {"libx264": 10.0, "libx265": 12.0, "libvpx-vp9": 15.0, "libsvtav1": 14.0, "libaom-av1": 15.0}
"""Constant rate factors at which nobody sees the second generation; about the same for each encoder's own scale."""

_HIGHEST_RATE_FACTOR = {
    "libx264": 51,
    "libx265": 51,
    "libvpx": 63,
    "libvpx-vp9": 63,
    "libsvtav1": 63,
    "libaom-av1": 63,
}
"""Of the encoders that have a constant rate factor, which begins at 0. FFmpeg takes one for any other, too, and x264
takes more than the highest, without a word."""

_PRESET = {"libx264": {"preset": "veryfast"}}
"""At 640x352, "veryfast" with factor 10 takes 6 ms of one core per frame for 46.0 dB; "medium" with 12 takes 15 ms for
45.8 dB, 20 % smaller. Who names a rate factor gets the encoder's own preset."""

_ODD_SIZES = frozenset({"ffv1", "libvpx-vp9", "libaom-av1", "rawvideo", "huffyuv", "ffvhuff"})
"""Encoders that take an odd width or height; H.264 and HEVC cannot express one in 4:2:0."""

_CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")


@dataclass(frozen=True)
class Encoder:
    """An encoder and its settings.

    Attributes:
        codec: FFmpeg's name.
        options: FFmpeg's options.
        width, height: of the pictures that it gets; even where it must be.
    """

    codec: str
    width: int
    height: int
    options: dict[str, str] = field(default_factory=dict)


def choose_encoder(muxer: str, codec: str | None, crf: float | None, lossless: bool, info: VideoInfo) -> Encoder:
    """Chooses the encoder for a container.

    Args:
        muxer: FFmpeg's name of the container.
        codec: what the user asked for; None for libx264 (in webm: VP9, and AV1 for 10 bits).
        crf: constant rate factor; None for a visually lossless one.
        lossless: FFV1.
        info: the video.

    Raises:
        OutputError: contradictory wishes, or no encoder of video.
    """
    if lossless:
        if codec not in (None, "ffv1") or crf is not None:
            raise OutputError("lossless output is FFV1; it goes with no other codec and with no rate factor")
        codec = "ffv1"
    codec = _encoder_name(codec or _usual_codec(muxer, info.bit_depth))
    options: dict[str, str] = {}
    if crf is None:
        crf = _VISUALLY_LOSSLESS.get(codec)
        options.update(_PRESET.get(codec, {}))
    if crf is not None:
        options["crf"] = f"{crf:g}"
    if codec == "ffv1":
        options.update(level="3", slicecrc="1")
    if codec == "libvpx-vp9":
        options.update({"b": "0", "row-mt": "1", "deadline": "good", "cpu-used": "2"})
    if codec == "libsvtav1":
        options["preset"] = "6"
        os.environ.setdefault("SVT_LOG", "1")  # errors only; the library writes to standard error by itself
    if codec == "libx265":
        options["x265-params"] = "log-level=error"  # as does this one
    if 0 < info.colour.chroma_location < len(_CHROMA_LOCATIONS):
        options["chroma_sample_location"] = _CHROMA_LOCATIONS[info.colour.chroma_location]
    odd = 0 if codec in _ODD_SIZES else 1
    return Encoder(codec, info.width + (info.width & odd), info.height + (info.height & odd), options)


def check_rate_factor(muxer: str, codec: str | None, crf: float) -> None:
    """Refuse a constant rate factor that the encoder would ignore, before anything is decoded for it.

    Args:
        muxer, codec, crf: as in :func:`choose_encoder`.

    Raises:
        ValueError: the encoder has none, or it is outside its range.
        OutputError: no encoder of video.
    """
    name = _encoder_name(codec or _usual_codec(muxer, 8))
    highest = _HIGHEST_RATE_FACTOR.get(name)
    if highest is None:
        raise ValueError(f"{name} has no constant rate factor: leave crf out")
    if not 0 <= crf <= highest:
        raise ValueError(f"a rate factor of {crf:g} is outside the range of {name}, 0 to {highest}")


def _usual_codec(muxer: str, bit_depth: int) -> str:
    """The encoder where none is asked for."""
    return "libx264" if muxer != "webm" else "libvpx-vp9" if bit_depth == 8 else "libsvtav1"


def _encoder_name(codec: str) -> str:
    """The encoder that FFmpeg takes for the name of an encoder or of a format, such as libx265 for hevc."""
    try:
        found = av.codec.Codec(codec, "w")
    except ValueError as error:
        raise OutputError(f"FFmpeg has no encoder {codec!r} here") from error
    if found.type != "video":
        raise OutputError(f"{codec} is no encoder of video")
    return found.name


def add_video_stream(container: av.container.OutputContainer, encoder: Encoder, info: VideoInfo) -> av.VideoStream:
    """Declares the video stream with timing, colour, sample aspect and rotation.

    Raises:
        ValueError, av.FFmpegError: the container cannot hold the codec.
    """
    rate = info.frame_rate or Fraction(25)
    stream: Any = container.add_stream(encoder.codec, rate=rate.limit_denominator(1_000_000), options=encoder.options)
    stream.width, stream.height = encoder.width, encoder.height
    stream.pix_fmt = FORMAT_OF_DEPTH[info.bit_depth]
    stream.time_base = info.time_base
    context = stream.codec_context
    context.time_base = info.time_base
    context.thread_type = "AUTO" if encoder.codec == "ffv1" else "FRAME"
    context.thread_count = 0
    context.flags |= int(av.codec.context.Flags.frame_duration)
    context.color_primaries = info.colour.primaries
    context.color_trc = info.colour.transfer
    context.colorspace = info.colour.matrix
    context.color_range = info.colour.range
    if info.sample_aspect:
        context.sample_aspect_ratio = info.sample_aspect
    if info.rotation:
        stream.set_display_rotation(-info.rotation)
    return stream  # type: ignore[no-any-return]


def check_encoder(muxer: str, encoder: Encoder, info: VideoInfo) -> None:
    """Tries whether a file can be begun so, before anything is written.

    Raises:
        OutputError: the container cannot hold the codec, or the encoder refuses the pictures.
    """
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as container, usual_priority():
            add_video_stream(container, encoder, info).codec_context.open()
    except (ValueError, av.FFmpegError) as error:
        pass_on_shortage(error)
        raise OutputError(
            f"{encoder.codec} cannot write {info.width}x{info.height} pictures of {info.bit_depth} bits "
            f"into {muxer}: {getattr(error, 'strerror', None) or error}"
        ) from error
