"""Writes and reads media files with PyAV alone, to have something that ``lvc.media`` can be compared with."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 48_000


@dataclass
class Sound:
    """An audio track: a tone."""

    codec: str = "aac"
    tags: dict[str, str] = field(default_factory=dict)
    seconds: float = 1.0
    start: float = 0.0
    disposition: int = 0


@dataclass
class Text:
    """A subtitle track: (start, end, text) in milliseconds."""

    codec: str
    lines: Sequence[tuple[int, int, str]]
    tags: dict[str, str] = field(default_factory=dict)


def _sound_packets(stream: Any, sound: Sound, pitch: float) -> list[Any]:
    count = int(sound.seconds * RATE)
    tone = 0.4 * np.sin(np.arange(count) * pitch)
    packets: list[Any] = []
    size = stream.codec_context.frame_size or 1024
    for start in range(0, count, size):
        part = tone[start : start + size]
        name = stream.codec_context.format.name
        scale, kind = {"f": (1, np.float32), "1": (32767, np.int16), "3": (32767 << 16, np.int32)}[name.strip("s")[0]]
        data = (np.stack([part, part]) * scale).astype(kind)
        if not stream.codec_context.format.is_planar:
            data = np.ascontiguousarray(data.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, name, "stereo")
        frame.sample_rate = RATE
        frame.pts = start + round(sound.start * RATE)
        frame.time_base = Fraction(1, RATE)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _video_packets(video: Any, times: Sequence[int], time_base: Fraction) -> list[Any]:
    packets: list[Any] = []
    for number, time in enumerate(times):
        frame = av.VideoFrame(video.width, video.height, video.pix_fmt)
        wide = "10" in video.pix_fmt or "12" in video.pix_fmt
        for plane in frame.planes:
            area = np.frombuffer(plane, np.uint8)
            area[:] = 1 if wide else 100 + number % 100
            area[: len(area) // 2] = 2 if wide else 64
        frame.pts, frame.time_base = time, time_base
        packets += video.encode(frame)
    return packets + list(video.encode(None))


def write_media(
    path: Path,
    *,
    times: Sequence[int] = tuple(range(0, 1000, 40)),
    time_base: Fraction = Fraction(1, 1000),
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    sounds: Sequence[Sound] = (),
    texts: Sequence[Text] = (),
    tags: dict[str, str] | None = None,
    video_tags: dict[str, str] | None = None,
    chapters: Sequence[tuple[int, int, str]] = (),
    attachments: Sequence[tuple[str, str, bytes]] = (),
    options: dict[str, str] | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    context: dict[str, Any] | None = None,
    rate: Fraction = Fraction(25),
    muxer: dict[str, str] | None = None,
) -> None:
    """Writes a file with a video stream at ``times`` (ticks of ``time_base``) and whatever else is asked for."""
    with av.open(str(path), "w", container_options=muxer or {}) as container:
        container.metadata.update(tags or {})
        video: Any = container.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height = size
        video.pix_fmt = pix_fmt
        video.codec_context.time_base = time_base
        video.time_base = time_base
        video.metadata.update(video_tags or {})
        for name, value in (context or {}).items():
            setattr(video.codec_context, name, value)
        if rotation:
            video.set_display_rotation(rotation, hflip=mirrored)
        tracks: list[Any] = []
        for sound in sounds:
            track: Any = container.add_stream(sound.codec, rate=RATE, layout="stereo")
            track.metadata.update(sound.tags)
            if sound.disposition:
                track.disposition = sound.disposition
            tracks.append(track)
        lines: list[Any] = []
        for text in texts:
            track = container.add_mux_stream(text.codec, time_base=Fraction(1, 1000))
            track.metadata.update(text.tags)
            lines.append(track)
        for name, mime, data in attachments:
            container.add_attachment(name, mime, data)
        if chapters:
            container.set_chapters(
                [
                    {"id": i, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                    for i, (a, b, title) in enumerate(chapters)
                ]
            )
        packets = _video_packets(video, times, time_base)
        for number, (track, sound) in enumerate(zip(tracks, sounds, strict=True)):
            packets += _sound_packets(track, sound, 0.03 + 0.01 * number)
        for track, text in zip(lines, texts, strict=True):
            for start, end, line in text.lines:
                packet: Any = av.Packet(line.encode())
                packet.stream, packet.time_base = track, Fraction(1, 1000)
                packet.pts = packet.dts = start
                packet.duration = end - start
                packet.is_keyframe = True
                packets.append(packet)
        packets.sort(key=lambda p: p.dts * p.time_base)
        for packet in packets:
            container.mux(packet)


@dataclass
class Track:
    """What a file holds of one stream that is not its video."""

    kind: str
    codec: str
    tags: dict[str, str]
    digest: str
    times: list[Fraction]
    disposition: int
    payloads: list[bytes] = field(default_factory=list, repr=False)


def side_tracks(path: Path) -> list[Track]:
    """All streams but the video, with a digest of their packets and the times of these in seconds."""
    with av.open(str(path)) as container:
        streams: list[Any] = [s for s in container.streams if s.type in ("audio", "subtitle")]
        found = {
            s.index: Track(s.type, s.codec_context.name, dict(s.metadata), "", [], int(s.disposition)) for s in streams
        }
        packets: Any = container.demux(*streams) if streams else []
        for packet in packets:
            if packet.size:
                track = found[packet.stream_index]
                track.payloads.append(bytes(packet))
                track.times.append(packet.pts * packet.time_base)
    for track in found.values():
        track.digest = hashlib.md5(b"".join(track.payloads)).hexdigest()
    return list(found.values())
