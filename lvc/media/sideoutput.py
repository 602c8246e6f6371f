"""Writes the side streams of segments into an output file, packets untouched."""

import io
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from lvc.errors import FormatError
from lvc.media import text
from lvc.media.head import Attachment, Head, unpack_head
from lvc.media.matroska import codec_delay
from lvc.media.segment import SidePacket, unpack_packets
from lvc.memory import pass_on_shortage

_ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_ISO_MEDIA = ("mp4", "mov")
_MATROSKA = ("matroska", "webm")


class SideOutput:
    """The side streams of one output file.

    Args:
        container: opened for writing, its header not yet written.
        muxer: FFmpeg's name of its format.
        warnings: sentences on what cannot be kept are added here.

    Attributes:
        head: what the segment of kind "H" said.
    """

    def __init__(self, container: av.container.OutputContainer, muxer: str, warnings: list[str]) -> None:
        self._container = container
        self._muxer = muxer
        self._warnings = warnings
        self.head = Head()
        self._parameters: av.container.InputContainer | None = None
        self._streams: dict[int, Any] = {}
        self._delays: dict[int, Fraction] = {}
        self._text_of: dict[int, str] = {}
        self._covers: list[tuple[Any, bytes]] = []
        self._last_dts: dict[int, int] = {}

    def declare(self, segment: bytes, video: Any) -> None:
        """Declares all that a segment of kind "H" names.

        Args:
            segment: the bytes.
            video: the video stream, which takes its tags and disposition from the segment.

        Raises:
            FormatError: the segment is damaged.
        """
        head = self.head = unpack_head(segment)
        self._container.metadata.update(head.tags)
        video.metadata.update(head.video_tags)
        video.disposition = head.video_disposition & ~int(av.stream.Disposition.attached_pic)
        if head.matroska:
            try:
                self._parameters = av.open(io.BytesIO(head.matroska), "r", format="matroska")
            except (av.FFmpegError, OSError, ValueError) as error:
                pass_on_shortage(error)
                raise FormatError("side streams: their codec parameters cannot be read") from error
            if len(self._parameters.streams) != len(head.streams):
                raise FormatError("side streams: some have no description, or no codec parameters")
            for index, template in enumerate(self._parameters.streams):
                self._declare_stream(index, template)
        for attachment in head.attachments:
            self._declare_attachment(attachment)

    def set_chapters(self, shift: Fraction) -> None:
        """Writes the chapters, moved by ``shift`` seconds; must come before the header."""
        chapters: Any = [
            {
                "id": chapter.id,
                "start": max(0, chapter.start + round(shift / chapter.time_base)),
                "end": max(0, chapter.end + round(shift / chapter.time_base)),
                "time_base": chapter.time_base,
                "metadata": chapter.tags,
            }
            for chapter in self.head.chapters
        ]
        if chapters:
            self._container.set_chapters(chapters)

    def _declare_stream(self, index: int, template: Any) -> None:
        head = self.head.streams[index]
        codec = template.codec_context.name if template.codec_context is not None else "unknown"
        if _holds(self._muxer, template):
            stream: Any = self._container.add_stream_from_template(template)
        elif codec in text.PLAIN and self._muxer in _ISO_MEDIA:
            stream = self._container.add_stream("mov_text", time_base=Fraction(1, 1000))
            stream.codec_context.subtitle_header = _ASS_HEADER
            self._text_of[index] = codec
            if codec in ("ass", "ssa"):
                self._warnings.append("styled subtitles became plain text, which is what this format holds")
        else:
            self._warnings.append(f"{self._muxer} cannot hold the {template.type} stream of {codec}; it was left out")
            return
        if template.type == "audio" and template.codec_context.layout.name.endswith("channels"):
            _set_layout(stream.codec_context, head.layout)
        stream.time_base = head.time_base
        stream.metadata.update(head.tags)
        stream.disposition = head.disposition
        self._streams[index] = stream
        self._delays[index] = codec_delay(template) if self._muxer in _MATROSKA else Fraction(0)

    def _declare_attachment(self, attachment: Attachment) -> None:
        if self._muxer == "matroska":
            self._container.add_attachment(attachment.name, attachment.mime, attachment.data)
        elif attachment.cover and self._muxer == "mp4":
            try:
                with av.open(io.BytesIO(attachment.data), "r") as picture:
                    stream: Any = self._container.add_stream_from_template(picture.streams.video[0], opaque=True)
            except (av.FFmpegError, OSError, ValueError, IndexError) as error:
                pass_on_shortage(error)
                self._warnings.append("the cover picture cannot be read and was left out")
                return
            stream.disposition = int(av.stream.Disposition.attached_pic)
            self._covers.append((stream, attachment.data))
        else:
            self._warnings.append(f"{self._muxer} cannot hold the attachment {attachment.name}; it was left out")

    def covers(self) -> Iterator[Any]:
        """The packets of cover pictures, once, after the header."""
        for stream, data in self._covers:
            packet: Any = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = 0
            packet.is_keyframe = True
            yield packet
        self._covers.clear()

    def packets(self, segment: bytes, shift: Fraction) -> Iterator[Any]:
        """The packets of a segment of kind "P", ready to be written.

        Args:
            segment: the bytes.
            shift: seconds to add to all times.

        Raises:
            FormatError: the segment is damaged.
        """
        for packet in unpack_packets(segment):
            stream = self._streams.get(packet.stream)
            if stream is not None:
                yield self._packet(packet, stream, shift)

    def begin(self, segment: bytes) -> Fraction:
        """When the first packet of a segment of kind "P" begins, 0 at most: as many seconds must all be moved.

        Raises:
            FormatError: the segment is damaged.
        """
        if self._muxer in _ISO_MEDIA:  # which can say that a sound begins before the video
            return Fraction(0)
        return min(
            (
                packet.pts * self.head.streams[packet.stream].time_base + self._delays[packet.stream]
                for packet in unpack_packets(segment)
                if packet.stream in self._streams and packet.pts is not None
            ),
            default=Fraction(0),
        )

    def _packet(self, source: SidePacket, stream: Any, shift: Fraction) -> Any:
        payload = source.payload
        if source.stream in self._text_of:
            payload = text.to_mov_text(self._text_of[source.stream], payload)
        time_base = self.head.streams[source.stream].time_base
        ticks = round(shift / time_base)
        packet: Any = av.Packet(payload)
        packet.stream, packet.time_base = stream, time_base
        packet.pts = None if source.pts is None else source.pts + ticks
        packet.dts = packet.pts if source.dts is None else source.dts + ticks
        packet.duration = source.duration
        if packet.dts is not None:
            scale = time_base / stream.time_base
            dts, last = _rounded(packet.dts * scale), self._last_dts.get(source.stream)
            if last is not None and dts <= last and not (dts == last and self._muxer in _MATROSKA):
                dts = last + 1  # FFmpeg refuses times that go back, by the ticks of the file
                packet.pts = dts if packet.pts is None else max(_rounded(packet.pts * scale), dts)
                packet.dts, packet.duration = dts, _rounded(source.duration * scale)
                packet.time_base = stream.time_base
            self._last_dts[source.stream] = dts
        packet.is_keyframe = source.key
        for name, data in source.side_data:
            _attach(packet, name, data)
        return packet

    def close(self) -> None:
        """Lets go of the codec parameters."""
        if self._parameters is not None:
            self._parameters.close()
            self._parameters = None


def _rounded(ticks: Fraction) -> int:
    """Whole ticks; halves go up, as FFmpeg rounds times from 0 on."""
    return math.floor(ticks + Fraction(1, 2))


def _set_layout(codec: Any, name: str) -> None:
    """Says which channels these are where Matroska only counted them; MP4 refuses PCM without."""
    name = name or _USUAL_LAYOUTS.get(codec.channels, "")
    try:
        layout = av.AudioLayout(name)
    except ValueError:
        return
    if layout.nb_channels == codec.channels:
        codec.layout = layout


def _attach(packet: Any, name: str, data: bytes) -> None:
    try:
        kind = av.packet.packet_sidedata_type_from_literal(name)  # type: ignore[arg-type]
    except (KeyError, ValueError):
        return  # of a newer FFmpeg than this one
    side_data: Any = av.packet.PacketSideData(kind, len(data))  # type: ignore[call-arg]
    side_data.update(data)
    packet.set_sidedata(side_data)


def _holds(muxer: str, template: Any) -> bool:
    """Whether a file of this format begins well with such a stream in it."""
    if template.codec_context is None:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as trial:
            trial.add_stream_from_template(template)
            trial.start_encoding()
    except (ValueError, av.FFmpegError) as error:
        pass_on_shortage(error)
        return False
    return True
