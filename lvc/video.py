"""What passes between media, container and codec: pictures with their timing, and what is true of a whole stream."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # a tenth of a second, which `lvc --help` does without
    import numpy as np
    import numpy.typing as npt

Plane: TypeAlias = "npt.NDArray[np.uint16]"


@dataclass(frozen=True)
class Colour:
    """Colour description: code points of ITU-T H.273, as FFmpeg numbers them too (2 is "unspecified").

    Attributes:
        primaries, transfer, matrix: H.273 code points.
        range: 0 unspecified, 1 limited ("tv"), 2 full ("pc"), as in FFmpeg's AVColorRange.
        chroma_location: 0 unspecified, 1 left, 2 centre, 3 top-left ..., as in FFmpeg's AVChromaLocation.
    """

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    range: int = 0
    chroma_location: int = 0


@dataclass(frozen=True)
class VideoInfo:
    """A video stream, always 4:2:0.

    Attributes:
        width, height: luma samples, 16 or more, odd sizes allowed.
        bit_depth: 8 or 10.
        time_base: seconds per tick of every pts and duration.
        frame_rate: nominal frames per second (average); None where unknown.
        colour: see :class:`Colour`.
        sample_aspect: width over height of one sample; 0 where unknown.
        rotation: clockwise degrees at which the picture is to be shown: 0, 90, 180 or 270.
        frames: number of frames where the source says it; an estimate, for progress lines only.
    """

    width: int
    height: int
    bit_depth: int = 8
    time_base: Fraction = Fraction(1, 25)
    frame_rate: Fraction | None = None
    colour: Colour = field(default_factory=Colour)
    sample_aspect: Fraction = Fraction(0)
    rotation: int = 0
    frames: int | None = None


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        planes: Y [height, width], U and V [(height + 1) // 2, (width + 1) // 2], uint16 holding values of
            ``bit_depth`` bits (0...255 or 0...1023).
        pts: presentation time in ticks of the stream's time base; may be negative.
        duration: in ticks, 0 where unknown.
    """

    planes: Sequence[Plane]
    pts: int
    duration: int

    def __repr__(self) -> str:
        height, width = self.planes[0].shape
        return f"Frame({width}x{height}, pts={self.pts}, duration={self.duration})"
