"""Which part of a video is wanted, and what is done to its pictures before they are encoded."""

import re
from dataclasses import dataclass
from fractions import Fraction

FPS_MAX = 1_000_000


@dataclass(frozen=True)
class Span:
    """A stretch of a video.

    Attributes:
        start: seconds from the first frame, 0 or more; the stretch begins with the first frame that is not shown
            before.
        frames: most frames, 1 or more; None for all that follow.

    Raises:
        ValueError: one is outside its range.
    """

    start: Fraction = Fraction(0)
    frames: int | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.frames is not None and self.frames < 1):
            raise ValueError(f"a start of {self.start} or {self.frames} frames is outside its range")


@dataclass(frozen=True)
class Crop:
    """A rectangle of luma samples; ``x`` and ``y``, both even, count from the top left, None centres.

    Raises:
        ValueError: a size is less than 1, or a place less than 0.
    """

    width: int
    height: int
    x: int | None = None
    y: int | None = None

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or min(self.x or 0, self.y or 0) < 0:
            raise ValueError(f"a crop of {self.width}x{self.height} at {self.x}, {self.y} is outside its range")

    @classmethod
    def parse(cls, text: str) -> "Crop":
        """``W:H`` or ``W:H:X:Y``.

        Raises:
            ValueError: it is neither.
        """
        if re.fullmatch(r"\d{1,5}:\d{1,5}(:\d{1,5}:\d{1,5})?", text) is None:
            raise ValueError(f"{text!r} does not look like W:H or W:H:X:Y")
        crop = cls(*map(int, text.split(":")))
        if (crop.x or 0) % 2 or (crop.y or 0) % 2:
            raise ValueError(f"{text!r}: X and Y must be even, as chroma has half the resolution")
        return crop


@dataclass(frozen=True)
class Edit:
    """What is done to a source before it is encoded, in this order.

    Attributes:
        span: the frames that are taken.
        fps: frames per second at which they follow each other, whatever their timestamps; none is dropped or doubled.
        crop: the part of each picture that is taken, before rotation.
        scale: width and height to which it is scaled.

    Raises:
        ValueError: one is outside its range.
    """

    span: Span = Span()
    fps: Fraction | None = None
    crop: Crop | None = None
    scale: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps <= FPS_MAX:
            raise ValueError(f"a rate of {self.fps} frames per second is not possible")
        if self.scale is not None and min(self.scale) < 1:
            raise ValueError(f"a scale of {self.scale[0]}x{self.scale[1]} is outside its range")


def parse_size(text: str) -> tuple[int, int]:
    """``WxH`` as width and height.

    Raises:
        ValueError: it is no such size.
    """
    if re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", text) is None:
        raise ValueError(f"{text!r} does not look like 640x360")
    width, height = map(int, text.split("x"))
    return width, height


def parse_rate(text: str) -> Fraction:
    """``25``, ``29.97`` or ``30000/1001`` as frames per second.

    Raises:
        ValueError: it is no such rate.
    """
    if re.fullmatch(r"\d{1,9}(\.\d{1,6}|/\d{1,9})?", text) is None:
        raise ValueError(f"{text!r} is no rate such as 25, 29.97 or 30000/1001")
    try:
        rate = Fraction(text)
    except ZeroDivisionError:
        rate = Fraction(0)
    if not 0 < rate <= FPS_MAX:
        raise ValueError(f"a rate of {text} frames per second is not possible")
    return rate


def parse_amount(text: str) -> float:
    """``500000``, ``800k``, ``1.5M`` or ``2G``: decimal thousands, as bits or bytes are counted in rates and sizes.

    Raises:
        ValueError: it is no such amount.
    """
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([kKMG]?)", text)
    amount = float(match[1]) * {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}[match[2]] if match else 0.0
    if amount < 1:
        raise ValueError(f"{text!r} is no amount such as 500000, 800k or 1.5M")
    return amount
