"""The beginning of `.lvc` files: signature and header."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from lvc.errors import FormatError, LimitError
from lvc.video import Colour
from tests.container_files import FIRST_CHUNK, HEADER, INFO, SMALL, read, write


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF" + bytes(100), "not a .lvc file"),
        (SMALL.replace(b"\r\n", b"\n", 1), "transferred as text"),
        (SMALL[:8] + b"\xff\xff" + SMALL[10:], "length of 65535"),
        (SMALL[:8] + b"\x00\x00" + SMALL[10:], "length of 0"),
    ],
)
def test_bad_beginnings(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(data)


def changed_header(change: Callable[[bytearray], None]) -> bytes:
    body = bytearray(SMALL[10 : FIRST_CHUNK - 4])
    change(body)
    counted = len(body).to_bytes(2, "big") + body
    return SMALL[:8] + counted + zlib.crc32(counted).to_bytes(4, "big") + SMALL[FIRST_CHUNK:]


def test_other_versions_and_sizes_over_the_limits_are_refused() -> None:
    with pytest.raises(FormatError, match="version 2"):
        read(changed_header(lambda body: body.__setitem__(0, 2)))
    with pytest.raises(LimitError, match="2097088x353"):
        read(changed_header(lambda body: body.__setitem__(slice(33, 35), b"\xc0\xff\x7f")))
    with pytest.raises(FormatError, match="unexpected"):
        read(changed_header(lambda body: body.append(0)))
    for width, height in ((15, 100), (16385, 16), (16000, 16000)):
        with pytest.raises(LimitError, match=f"{width}x{height}"):
            write(header=replace(HEADER, info=replace(INFO, width=width, height=height)))


@pytest.mark.parametrize(
    "change",
    [{"quality": 0}, {"quality": 101}, {"keyint": 0}, {"keyint": 1025}, {"model_id": b"short"}],
)
def test_bad_header_fields_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is not within"):
        write(header=replace(HEADER, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"bit_depth": 9},
        {"rotation": 45},
        {"time_base": Fraction(0)},
        {"sample_aspect": Fraction(-1)},
        {"frame_rate": Fraction(1 << 40)},
        {"colour": Colour(range=3)},
        {"colour": Colour(primaries=256)},
    ],
)
def test_bad_video_descriptions_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is n"):
        write(header=replace(HEADER, info=replace(INFO, **change)))  # type: ignore[arg-type]
