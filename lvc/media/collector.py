"""Collects the packets of audio, subtitles and attachments while a video is read; nothing of them is decoded."""

import mimetypes
from collections import deque
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av

from lvc.media import text
from lvc.media.adts import RawAac, guessed_config
from lvc.media.head import Attachment, Chapter, Hdr, Head, StreamHead, pack_head
from lvc.media.matroska import matroska_head
from lvc.media.segment import MAX_TIME, SidePacket, pack_packets
from lvc.memory import pass_on_shortage

MAX_SEGMENT_BYTES = 32 << 20
"""Payload bytes after which a segment ends; what remains waits for the next call."""

MAX_ATTACHED_BYTES = 128 << 20
"""Attachments over this in all are left out: a head must fit one chunk."""

_OF_THE_CONTAINER = {
    *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "variant_bitrate"),
    *("bps", "number_of_frames", "number_of_bytes", "vendor_id"),
}
"""Tags, in lower case, that say something about the old file and are no longer true of the new one."""


_DEFAULT_HANDLERS = {
    *("VideoHandler", "SoundHandler", "SubtitleHandler", "DataHandler"),
    *("Core Media Video", "Core Media Audio", "Core Media Metadata"),
}


def _kept_tags(tags: dict[str, str]) -> dict[str, str]:
    def is_kept(name: str) -> bool:
        name = name.lower()
        return name not in _OF_THE_CONTAINER and not name.startswith(("_statistics", "duration-", "bps-"))

    kept = {name: value for name, value in tags.items() if is_kept(name)}
    if kept.get("handler_name", kept.get("HANDLER_NAME", "")).strip() in _DEFAULT_HANDLERS:
        kept.pop("handler_name", None)
        kept.pop("HANDLER_NAME", None)
    if "name" in kept:  # what MP4 calls the title of a track
        kept.setdefault("title", kept.pop("name"))
    if kept.get("language") == "und":
        del kept["language"]
    return kept


def _codec_name(stream: Any) -> str:
    return str(stream.codec_context.name) if stream.codec_context is not None else "unknown"


class SideCollector:
    """What a source has beside its video stream.

    Args:
        container: opened for reading.
        video: the stream that is not a side stream.
        warnings: sentences on what cannot be kept are added here.

    Attributes:
        hdr: goes into the first segment too; to be set before that is taken.
    """

    def __init__(self, container: av.container.InputContainer, video: av.VideoStream, warnings: list[str]) -> None:
        self._container = container
        self._warnings = warnings
        self._packets: deque[SidePacket] = deque()
        self._covers: dict[int, Attachment | None] = {}
        self._index: dict[int, int] = {}
        self._text_of: dict[int, str] = {}
        self._raw: dict[int, RawAac] = {}
        self._video = video
        self._head_given = False
        self.hdr = Hdr()
        self._wanted = self._choose_streams()

    @property
    def has_streams(self) -> bool:
        """Whether there is audio or are subtitles to collect."""
        return bool(self._wanted)

    def add(self, packet: Any) -> None:
        """Takes a packet of any other stream than the video."""
        stream = packet.stream
        if stream.index in self._covers:
            if self._covers[stream.index] is None:
                self._covers[stream.index] = _cover(stream, bytes(packet))
            return
        index = self._index.get(stream.index)
        if index is None:
            return
        if stream.index in self._raw:
            try:
                raw = self._raw[stream.index].push(packet)
            except av.FFmpegError as error:
                pass_on_shortage(error)
                self._warn_once(f"packets of stream {stream.index} are damaged and were left out")
                return
            # beside the data: the config, which the head says, and numbers of the transport stream
            self._packets.extend(replace(_side_packet(index, each), side_data=()) for each in raw)
            return
        taken = _side_packet(index, packet)
        if stream.index in self._text_of:
            taken = replace(taken, payload=text.to_plain(self._text_of[stream.index], taken.payload))
            if not taken.payload:
                return
        self._packets.append(taken)

    def _warn_once(self, sentence: str) -> None:
        if sentence not in self._warnings:
            self._warnings.append(sentence)

    def leave_out_head(self) -> None:
        """Give no first segment: another collector has given it already."""
        self._head_given = True

    def take(self) -> bytes | None:
        """The next segment; None where nothing has come since the last."""
        if not self._head_given:
            self._head_given = True
            head = self._head()
            if head != Head(video_disposition=head.video_disposition):
                return pack_head(head)
        if not self._packets:
            return None
        taken: list[SidePacket] = []
        size = 0
        while self._packets and size < MAX_SEGMENT_BYTES:
            packet = self._packets.popleft()
            size += len(packet.payload)
            taken.append(packet)
        return pack_packets(taken)

    def _head(self) -> Head:
        chapters = [
            Chapter(c["id"], c["start"], c["end"], c["time_base"] or Fraction(1, 1000), _kept_tags(c["metadata"]))
            for c in self._container.chapters()
            if -MAX_TIME <= c["start"] <= c["end"] <= MAX_TIME
        ]
        return Head(
            _kept_tags(self._container.metadata),
            _kept_tags(self._video.metadata),
            int(self._video.disposition),
            self.hdr,
            self._stream_heads(),
            _matroska(self._wanted, {index: raw.config for index, raw in self._raw.items()}) if self._wanted else b"",
            chapters,
            self._attachments(),
        )

    def _attachments(self) -> list[Attachment]:
        found = [cover for cover in self._covers.values() if cover is not None]
        found += [
            Attachment(stream.name or "attachment", stream.mimetype or "", stream.data)
            for stream in self._container.streams
            if isinstance(stream, av.stream.AttachmentStream)
        ]
        kept: list[Attachment] = []
        room = MAX_ATTACHED_BYTES
        for attachment in found:
            if len(attachment.data) > room:
                self._warnings.append(f"the attachment {attachment.name} is too large and was left out")
                continue
            room -= len(attachment.data)
            kept.append(attachment)
        return kept

    def _choose_streams(self) -> list[Any]:
        """Decides which streams are kept."""
        wanted: list[Any] = []
        for stream in self._container.streams:
            if stream.index == self._video.index or stream.type == "attachment":
                continue
            if stream.type == "video" and stream.disposition & av.stream.Disposition.attached_pic:
                self._covers[stream.index] = None
            elif stream.type in ("audio", "subtitle") and _fits(stream):
                wanted.append(stream)
            elif not (stream.type == "data" and self._container.chapters()):  # MP4 has chapters twice, once as data
                self._warnings.append(
                    f"stream {stream.index} ({stream.type}, {_codec_name(stream)}) cannot be kept and was left out"
                )
        for index, stream in enumerate(wanted):
            self._index[stream.index] = index
            if _needs_config(stream):
                self._raw[stream.index] = RawAac(stream)
            if _codec_name(stream) in text.CONVERTED:
                self._text_of[stream.index] = _codec_name(stream)
                self._warnings.append(f"subtitles of stream {stream.index} were kept as plain text")
        return wanted

    def _stream_heads(self) -> list[StreamHead]:
        return [
            StreamHead(
                _kept_tags(stream.metadata),
                int(stream.disposition),
                stream.time_base or Fraction(1, 1000),
                _layout(stream),
            )
            for stream in self._wanted
        ]


def _side_packet(index: int, packet: Any) -> SidePacket:
    side_data = tuple((str(item.data_type), bytes(item)) for item in packet.iter_sidedata())
    pts, dts = (None if time is None or abs(time) > MAX_TIME else time for time in (packet.pts, packet.dts))
    duration = packet.duration if 0 <= (packet.duration or 0) <= MAX_TIME else 0
    return SidePacket(index, bytes(packet), pts, dts, duration or 0, packet.is_keyframe, side_data)


def _needs_config(stream: Any) -> bool:
    return _codec_name(stream) == "aac" and not stream.codec_context.extradata


def _layout(stream: Any) -> str:
    """FFmpeg's name of a channel layout; empty where it only counts channels."""
    name = stream.codec_context.layout.name if stream.type == "audio" else ""
    return "" if name.endswith("channels") else name


def _fits(stream: Any) -> bool:
    try:
        _matroska([stream], {})
    except (ValueError, av.FFmpegError) as error:
        pass_on_shortage(error)
        return False
    return True


def _matroska(streams: list[Any], configs: dict[int, bytes]) -> bytes:
    """A Matroska file with the parameters of these streams and no packets.

    Args:
        configs: by index of the stream, what is to be said of AAC that does not say it itself.
    """

    def declare(container: Any) -> None:
        for stream in streams:
            codec = stream.codec_context
            if codec is None:
                raise ValueError(f"stream {stream.index} is of an unknown codec")
            if codec.name in text.CONVERTED:
                container.add_mux_stream("subrip", time_base=Fraction(1, 1000))
                continue
            copy: Any = container.add_stream_from_template(stream)
            if _needs_config(stream):
                copy.codec_context.extradata = configs.get(stream.index) or guessed_config(stream)

    return matroska_head(declare)


def _cover(stream: Any, data: bytes) -> Attachment:
    kind = {"mjpeg": "image/jpeg", "png": "image/png"}.get(_codec_name(stream), f"image/{_codec_name(stream)}")
    kind = stream.metadata.get("mimetype", kind)
    name = stream.metadata.get("filename") or "cover" + (mimetypes.guess_extension(kind) or "")
    return Attachment(name, kind, data, cover=True)
