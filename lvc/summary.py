"""What a `.lvc` file holds, from its bytes alone: nothing is decoded and no model is needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

from lvc.container import INTRA, GopChunk, Header, Reader, SideChunk


@dataclass(frozen=True)
class GopSummary:
    """One group of pictures.

    Attributes:
        position, size: of its chunk in the file, in bytes.
        first_frame: frames before it.
        first_pts: in ticks.
        frames: how many it has.
        qualities: lowest and highest quality of its frames.
        damaged: cut off or with a wrong checksum.
    """

    position: int
    size: int
    first_frame: int
    first_pts: int
    frames: int
    qualities: tuple[int, int]
    damaged: bool


@dataclass(frozen=True)
class Summary:
    """One `.lvc` file.

    Attributes:
        header: what it begins with.
        bytes: that could be read.
        frames, intra_frames: in all groups.
        seconds: playing time.
        parts: bytes by part, which add up to ``bytes``: motion, hyper, latents, side (chunks of other streams, with
            their heads and checksums), container (all else), as an encode tells them.
        gops: every group of pictures, in order.
        truncated: whether its end is missing.
        damage: a sentence for everything that is wrong.
    """

    header: Header
    bytes: int
    frames: int
    intra_frames: int
    seconds: Fraction
    parts: dict[str, int]
    gops: list[GopSummary]
    truncated: bool
    damage: list[str]

    @property
    def bits_per_second(self) -> int | None:
        """Average rate of the whole file; None where the playing time is not known."""
        return round(8 * self.bytes / self.seconds) if self.seconds else None

    def as_json(self) -> dict[str, Any]:
        """The same as numbers, strings, lists and dictionaries; ratios are strings like ``30000/1001``."""
        info, colour = self.header.info, self.header.info.colour
        return {
            "bytes": self.bytes,
            "frames": self.frames,
            "intra_frames": self.intra_frames,
            "media_seconds": round(float(self.seconds), 6),
            "bits_per_second": self.bits_per_second,
            "truncated": self.truncated,
            "damage": self.damage,
            "header": {
                "model": self.header.model_id.hex(),
                "width": info.width,
                "height": info.height,
                "bit_depth": info.bit_depth,
                "time_base": str(info.time_base),
                "frame_rate": None if info.frame_rate is None else str(info.frame_rate),
                "sample_aspect": str(info.sample_aspect),
                "rotation": info.rotation,
                "colour": dict(vars(colour)),
                "quality": self.header.quality,
                "keyint": self.header.keyint,
            },
            "parts": self.parts,
            "gops": [dict(vars(gop)) for gop in self.gops],
        }


def summarise(stream: BinaryIO) -> Summary:
    """Read a whole `.lvc` file, checksums included. Damage after the header does not stop it.

    Raises:
        FormatError: it is no `.lvc` file, or its header is damaged.
        LimitError: its picture size is outside the limits.
    """
    reader = Reader(stream, keep_going=True)
    parts = dict.fromkeys(("motion", "hyper", "latents", "side"), 0)
    gops = list(_count(reader, parts))
    parts["container"] = reader.position - sum(parts.values())
    intra = sum(gop_intra for _, gop_intra in gops)
    return Summary(
        header=reader.header,
        bytes=reader.position,
        frames=reader.total_frames,
        intra_frames=intra,
        seconds=reader.duration * reader.header.info.time_base,
        parts=parts,
        gops=[gop for gop, _ in gops],
        truncated=reader.truncated,
        damage=reader.damage,
    )


def _count(reader: Reader, parts: dict[str, int]) -> Iterator[tuple[GopSummary, int]]:
    """Add bytes to ``parts``; give every group with its number of intra frames."""
    for item in reader:
        if isinstance(item, SideChunk):
            parts["side"] += item.size
            continue
        yield _summary_of(item), sum(frame.kind == INTRA for frame in item.gop.frames)
        for part, size in item.gop.parts.items():
            parts[part] += size


def _summary_of(item: GopChunk) -> GopSummary:
    frames = item.gop.frames
    qualities = [frame.quality for frame in frames]
    return GopSummary(
        position=item.position,
        size=item.size,
        first_frame=item.first_frame,
        first_pts=frames[0].pts,
        frames=len(frames),
        qualities=(min(qualities), max(qualities)),
        damaged=item.damaged,
    )
